//! WAITJOB: how jobs end.

use std::future::IntoFuture;
use std::time::Duration;

use bytes::Bytes;
use shoalmq_resp::Frame;
use tokio::time::Instant;

use super::taking::{DeadLetter, bytes};
use super::{Answer, unexpected};
use crate::error::Error;
use crate::id::JobId;
use crate::link::Repeat;
use crate::shoal::Shoal;

/// How long one WAITJOB waits: a link that is dead is noticed soon after.
const STEP: Duration = Duration::from_secs(5);

/// How a job ended, or that it has not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// It was acknowledged, with this result.
    Acked(Option<Bytes>),
    /// It is a dead letter.
    Dead(DeadLetter),
    /// Its life ended before it was done.
    Expired,
    /// Somebody deleted it.
    Deleted,
    /// Another job with its key is older, and stands for it.
    Duplicate(JobId),
    /// It has not ended; with the progress that its worker last reported.
    Pending(Option<Bytes>),
    /// No node that answered knows it.
    Unknown,
}

/// WAITJOB.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use shoalmq_client::Ending;
///
/// let id = shoal.add("sums", "1 + 2").keep(Duration::from_secs(60)).await?.id;
/// for (id, ending) in shoal.wait([id]).timeout(Duration::from_secs(5)).await? {
///     if let Ending::Acked(Some(result)) = ending {
///         println!("{id}: {result:?}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is waited for until it is awaited"]
pub struct Wait<'a> {
    shoal: &'a Shoal,
    ids: Vec<JobId>,
    timeout: Option<Duration>,
}

impl<'a> Wait<'a> {
    pub(crate) fn new(shoal: &'a Shoal, ids: Vec<JobId>) -> Self {
        Wait {
            shoal,
            ids,
            timeout: None,
        }
    }

    /// How long to wait: for ever unless said. What has not ended then is [`Ending::Pending`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    async fn wait(self) -> Result<Vec<(JobId, Ending)>, Error> {
        if self.ids.is_empty() {
            return Ok(Vec::new());
        }
        let (link, _) = self.shoal.taking_link();
        let until = self.timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let asked = Instant::now();
            let left = until.map_or(STEP, |until| until.duration_since(asked));
            let step = left.clamp(Duration::from_millis(1), STEP);
            let millis = step.as_millis().to_string();
            let mut args: Vec<&[u8]> = vec![b"WAITJOB", b"TIMEOUT", millis.as_bytes()];
            args.extend(self.ids.iter().map(AsRef::as_ref));
            let ends = link.call(&args, Repeat::Safe, step).await?;
            let ends = endings(&ends).ok_or_else(|| unexpected(&ends))?;
            // It answers earlier when there is nothing to wait for.
            let is_early = asked.elapsed() < step;
            if is_early || until.is_some_and(|until| until <= Instant::now()) {
                return Ok(ends);
            }
        }
    }
}

impl<'a> IntoFuture for Wait<'a> {
    type Output = Result<Vec<(JobId, Ending)>, Error>;
    type IntoFuture = Answer<'a, Vec<(JobId, Ending)>>;

    /// The jobs in the order in which they were given. If no node can be reached it waits a while beyond its timeout, and then ends as
    /// [`Error::Unreachable`].
    fn into_future(self) -> Self::IntoFuture {
        let given_up = self
            .timeout
            .map(|timeout| timeout + self.shoal.options().patience);
        Box::pin(async move {
            let Some(given_up) = given_up else {
                return self.wait().await;
            };
            let waited = tokio::time::timeout(given_up, self.wait()).await;
            let nobody =
                || Error::Unreachable("nobody answered while a job was waited for".to_owned());
            waited.map_err(|_| nobody())?
        })
    }
}

pub(crate) fn endings(frame: &Frame) -> Option<Vec<(JobId, Ending)>> {
    let ends = frame.as_array()?.iter();
    ends.map(|end| {
        let [id, outcome, detail] = end.as_array()? else {
            return None;
        };
        let text = || Some(bytes(detail.clone()).ok()?).filter(|_| !detail.is_nil());
        let ending = match outcome.as_str()? {
            "acked" => Ending::Acked(text()),
            "dead" => Ending::Dead(DeadLetter::read(detail)?),
            "expired" => Ending::Expired,
            "deleted" => Ending::Deleted,
            "duplicate" => Ending::Duplicate(JobId::parse(detail.as_bytes()?)?),
            "pending" => Ending::Pending(text()),
            "unknown" => Ending::Unknown,
            _ => return None,
        };
        Some((JobId::parse(id.as_bytes()?)?, ending))
    })
    .collect()
}
