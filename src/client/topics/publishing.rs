//! TPUB: an entry is published.

use std::future::IntoFuture;
use std::time::Duration;

use crate::error::Error;
use crate::link::{Link, Repeat};
use crate::verbs::{Answer, unexpected};

/// TPUB.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// let id = shoal.publish("orders.eu", "tea").unique("order-17").meta("by", "ada").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is published until it is awaited"]
pub struct Publish<'a> {
    link: &'a Link,
    args: Vec<Vec<u8>>,
    timeout: Duration,
    repeat: Repeat,
}

impl<'a> Publish<'a> {
    pub(crate) fn new(link: &'a Link, channel: &[u8], body: Vec<u8>) -> Self {
        Publish {
            link,
            args: vec![b"TPUB".to_vec(), channel.to_vec(), body],
            timeout: Duration::from_secs(5),
            repeat: Repeat::Never,
        }
    }

    fn option(mut self, words: &[&[u8]]) -> Self {
        self.args.extend(words.iter().map(|word| word.to_vec()));
        self
    }

    /// On how many nodes the entry has to be before the answer.
    pub fn replicate(self, nodes: u16) -> Self {
        self.option(&[b"REPLICATE", nodes.to_string().as_bytes()])
    }

    /// How long to wait for the copies: 5 s unless said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        let millis = timeout.as_millis().max(1).to_string();
        self.option(&[b"TIMEOUT", millis.as_bytes()])
    }

    /// Publishes nothing if the channel has an entry with this key, of 1 to 256 bytes, from the last `topic-dedup-window`: the id is that
    /// entry's then. With a key it may be sent again, and is, if its answer is lost.
    pub fn unique(mut self, key: impl AsRef<[u8]>) -> Self {
        self.repeat = Repeat::Safe;
        self.option(&[b"DEDUP", key.as_ref()])
    }

    /// A named value that goes with the entry.
    pub fn meta(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.option(&[b"META", name.as_bytes(), value.as_ref()])
    }
}

impl<'a> IntoFuture for Publish<'a> {
    type Output = Result<String, Error>;
    type IntoFuture = Answer<'a, String>;

    /// The id of the entry. `PENDING` ([`Error::code`]): it is published and will be read, but too few nodes have confirmed it in time.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let id = self
                .link
                .call(&self.args, self.repeat, self.timeout)
                .await?;
            let text = id.as_str().map(str::to_owned);
            text.ok_or_else(|| unexpected(&id))
        })
    }
}
