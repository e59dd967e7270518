//! ADDJOB: a job is added.

use std::future::IntoFuture;
use std::time::Duration;

use shoalmq_resp::Frame;

use super::{Answer, of, seconds, unexpected};
use crate::error::Error;
use crate::id::JobId;
use crate::link::{Link, Repeat};

/// For how long a key of [`Add::unique_per_call`] holds: longer than a lost answer is looked for.
const PER_CALL_WINDOW: Duration = Duration::from_mins(2);

/// What a producer hears of its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The job.
    pub id: JobId,
    /// Whether a job with this key was there before: then nothing was added, and the counts are 0.
    pub is_existing: bool,
    /// The nodes that confirmed it.
    pub copies: u64,
    /// Those of them that had it on disk by then.
    pub on_disk: u64,
}

/// ADDJOB.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let hour = Duration::from_secs(3600);
/// let receipt = shoal.add("mails", "to ada").unique("welcome-ada", hour).max_deliver(5).await?;
/// println!("{} is on {} nodes", receipt.id, receipt.copies);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is added until it is awaited"]
pub struct Add<'a> {
    link: &'a Link,
    queue: Vec<u8>,
    body: Vec<u8>,
    timeout: Duration,
    options: Vec<Vec<u8>>,
    repeat: Repeat,
}

impl<'a> Add<'a> {
    pub(crate) fn new(link: &'a Link, queue: &[u8], body: Vec<u8>) -> Self {
        Add {
            link,
            queue: queue.to_vec(),
            body,
            timeout: Duration::from_secs(5),
            options: Vec::new(),
            repeat: Repeat::Never,
        }
    }

    fn option(mut self, name: &str, values: &[&[u8]]) -> Self {
        self.options.push(name.into());
        self.options
            .extend(values.iter().map(|value| value.to_vec()));
        self
    }

    fn number(self, name: &str, value: u64) -> Self {
        self.option(name, &[value.to_string().as_bytes()])
    }

    /// How long to wait for the copies: 5 s unless said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// On how many nodes the job has to be before the answer.
    pub fn replicate(self, nodes: u16) -> Self {
        self.number("REPLICATE", nodes.into())
    }

    /// How long it waits before it is first ready, in whole seconds.
    pub fn delay(self, delay: Duration) -> Self {
        self.number("DELAY", seconds(delay))
    }

    /// How long it may be under way before it is handed out again, in whole seconds; zero for at most once.
    pub fn retry(self, retry: Duration) -> Self {
        self.number("RETRY", seconds(retry))
    }

    /// How long it lives, in whole seconds.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.number("TTL", seconds(ttl))
    }

    /// Which one goes first: the highest.
    pub fn priority(self, priority: u8) -> Self {
        self.number("PRIORITY", priority.into())
    }

    /// How often it may be handed out before it is a dead letter, at least 1.
    pub fn max_deliver(self, times: u16) -> Self {
        self.number("MAXDELIVER", times.into())
    }

    /// The queue of its dead letter.
    pub fn dead(self, queue: impl AsRef<[u8]>) -> Self {
        self.option("DEAD", &[queue.as_ref()])
    }

    /// How long it waits once it was given back: `base` after the first time and twice as long after each that follows, at most
    /// `max`; both in whole seconds.
    pub fn backoff(self, base: Duration, max: Duration) -> Self {
        let (base, max) = (seconds(base).to_string(), seconds(max).to_string());
        self.option("BACKOFF", &[base.as_bytes(), max.as_bytes()])
    }

    /// Adds nothing if the queue has a live job with this key, of 1 to 256 bytes, or had one added in the last `window`. An add with
    /// a key may be sent again, and is, if its answer is lost.
    pub fn unique(mut self, key: impl AsRef<[u8]>, window: Duration) -> Self {
        self.repeat = Repeat::Safe;
        let window = seconds(window).to_string();
        self.option("DEDUP", &[key.as_ref(), b"WINDOW", window.as_bytes()])
    }

    /// The same with a random key: no job is added twice because an answer was lost. It costs a message to each member, and the job
    /// needs a retry.
    pub fn unique_per_call(self) -> Self {
        let key = [getrandom::u64(), getrandom::u64()].map(Result::ok);
        match key {
            [Some(one), Some(other)] => {
                self.unique(format!("call-{one:016x}{other:016x}"), PER_CALL_WINDOW)
            }
            // Without random bytes it is not safe to send it again, and it is not sent again.
            _ => self,
        }
    }

    /// How long its end is kept: how it ended, and its result.
    pub fn keep(self, keep: Duration) -> Self {
        self.number("KEEP", seconds(keep))
    }

    /// A named value that goes with the job.
    pub fn meta(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.option("META", &[name.as_bytes(), value.as_ref()])
    }

    /// The same, with the trace of the span that is current, unless it has one.
    #[cfg(feature = "opentelemetry")]
    fn traced(mut self) -> Self {
        if !self.options.iter().any(|word| word == b"traceparent") {
            for (name, value) in crate::tracing_context::outgoing() {
                self = self.meta(name, value);
            }
        }
        self
    }

    #[cfg(not(feature = "opentelemetry"))]
    fn traced(self) -> Self {
        self
    }

    async fn send(self, receipt: bool) -> Result<Frame, Error> {
        let timeout = self.timeout.as_millis().to_string();
        let mut args: Vec<&[u8]> = vec![b"ADDJOB", &self.queue, &self.body, timeout.as_bytes()];
        args.extend(self.options.iter().map(Vec::as_slice));
        if receipt {
            args.push(b"RECEIPT");
        }
        self.link.call(&args, self.repeat, self.timeout).await
    }

    /// Adds it, and asks for its id alone.
    pub async fn id(self) -> Result<JobId, Error> {
        let frame = self.traced().send(false).await?;
        let id = frame.as_bytes().and_then(JobId::parse);
        id.ok_or_else(|| unexpected(&frame))
    }
}

impl<'a> IntoFuture for Add<'a> {
    type Output = Result<Receipt, Error>;
    type IntoFuture = Answer<'a, Receipt>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let frame = self.traced().send(true).await?;
            receipt(&frame).ok_or_else(|| unexpected(&frame))
        })
    }
}

fn receipt(frame: &Frame) -> Option<Receipt> {
    let map = frame.as_array()?;
    let number = |name| u64::try_from(of(map, name)?.as_integer()?).ok();
    Some(Receipt {
        id: JobId::parse(of(map, "id")?.as_bytes()?)?,
        is_existing: number("existing")? > 0,
        copies: number("copies")?,
        on_disk: number("on-disk")?,
    })
}
