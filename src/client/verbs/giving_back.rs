//! NACK: a job is given back.

use std::future::IntoFuture;
use std::time::Duration;

use super::{Answer, count, seconds};
use crate::error::Error;
use crate::id::JobId;
use crate::link::{Link, Repeat};

/// NACK.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// for job in shoal.get(["mails"]).await? {
///     shoal.nack(job.id).delay(Duration::from_secs(60)).reason("the post is closed").await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is given back until it is awaited"]
pub struct Nack<'a> {
    link: &'a Link,
    id: JobId,
    options: Vec<Vec<u8>>,
}

impl<'a> Nack<'a> {
    pub(crate) fn new(link: &'a Link, id: JobId) -> Self {
        Nack {
            link,
            id,
            options: Vec::new(),
        }
    }

    /// How long it waits before it is back in its queue, in whole seconds.
    pub fn delay(mut self, delay: Duration) -> Self {
        let delay = seconds(delay).to_string().into_bytes();
        self.options.extend([b"DELAY".to_vec(), delay]);
        self
    }

    /// To which queue it goes.
    pub fn to(mut self, queue: impl AsRef<[u8]>) -> Self {
        self.options
            .extend([b"TO".to_vec(), queue.as_ref().to_vec()]);
        self
    }

    /// Why; the first KiB of it is kept.
    pub fn reason(mut self, reason: &str) -> Self {
        self.options.extend([b"REASON".to_vec(), reason.into()]);
        self
    }

    /// To the dead letters.
    pub fn dead(mut self) -> Self {
        self.options.push(b"DEAD".to_vec());
        self
    }

    fn args(&self) -> Vec<&[u8]> {
        let mut args: Vec<&[u8]> = vec![b"NACK", self.id.as_ref()];
        args.extend(self.options.iter().map(Vec::as_slice));
        args
    }
}

impl<'a> IntoFuture for Nack<'a> {
    type Output = Result<bool, Error>;
    type IntoFuture = Answer<'a, bool>;

    /// Whether it was given back: false if it was over, or is in other hands.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let frame = self
                .link
                .call(&self.args(), Repeat::Never, Duration::ZERO)
                .await?;
            Ok(count(&frame)? > 0)
        })
    }
}
