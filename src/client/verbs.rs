//! The commands of a queue, typed. Each is a builder that is sent when it is awaited.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use shoalmq_resp::Frame;

use crate::error::Error;
use crate::id::JobId;
use crate::link::{Link, Repeat};

/// For how long a key of [`Add::unique_per_call`] holds: longer than a lost answer is looked for.
const PER_CALL_WINDOW: Duration = Duration::from_mins(2);

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

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

/// A job that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The queue that it was in.
    pub queue: Bytes,
    /// The job.
    pub id: JobId,
    /// What its producer sent.
    pub body: Bytes,
    /// How often it was given back.
    pub nacks: u64,
    /// How often it was put back for another reason, mostly because its retry was over.
    pub additional_deliveries: u64,
}

/// ADDJOB.
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
        let frame = self.send(false).await?;
        let id = frame.as_bytes().and_then(JobId::parse);
        id.ok_or_else(|| unexpected(&frame))
    }
}

impl<'a> IntoFuture for Add<'a> {
    type Output = Result<Receipt, Error>;
    type IntoFuture = Answer<'a, Receipt>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let frame = self.send(true).await?;
            receipt(&frame).ok_or_else(|| unexpected(&frame))
        })
    }
}

/// GETJOB without waiting: a [`Consumer`](crate::Consumer) waits.
#[derive(Debug)]
#[must_use = "nothing is taken until it is awaited"]
pub struct Get<'a> {
    link: &'a Link,
    queues: Vec<Vec<u8>>,
    count: u32,
}

impl<'a> Get<'a> {
    pub(crate) fn new(link: &'a Link, queues: Vec<Vec<u8>>) -> Self {
        Get {
            link,
            queues,
            count: 1,
        }
    }

    /// The most jobs: 1 unless said.
    pub fn count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }
}

impl<'a> IntoFuture for Get<'a> {
    type Output = Result<Vec<Delivery>, Error>;
    type IntoFuture = Answer<'a, Vec<Delivery>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let count = self.count.to_string();
            let mut args: Vec<&[u8]> = vec![b"GETJOB", b"NOHANG", b"COUNT", count.as_bytes()];
            args.extend([&b"WITHCOUNTERS"[..], b"FROM"]);
            args.extend(self.queues.iter().map(Vec::as_slice));
            let frame = self.link.call(&args, Repeat::Jobs, Duration::ZERO).await?;
            deliveries(frame)
        })
    }
}

/// NACK.
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

    /// Sends it without waiting for an answer. False if there is no room for it.
    pub(crate) fn post(self) -> bool {
        self.link.post(&self.args(), Repeat::Never)
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

/// A time in whole seconds, rounded up: none is cut short.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// The count that a command is answered with.
pub(crate) fn count(frame: &Frame) -> Result<u64, Error> {
    let count = frame
        .as_integer()
        .and_then(|count| u64::try_from(count).ok());
    count.ok_or_else(|| unexpected(frame))
}

fn receipt(frame: &Frame) -> Option<Receipt> {
    let pairs = frame.as_array()?.as_chunks::<2>().0;
    let of = |name: &str| {
        let found = pairs.iter().find(|[key, _]| key.as_str() == Some(name));
        found.map(|[_, value]| value)
    };
    let number = |name| u64::try_from(of(name)?.as_integer()?).ok();
    Some(Receipt {
        id: JobId::parse(of("id")?.as_bytes()?)?,
        is_existing: number("existing")? > 0,
        copies: number("copies")?,
        on_disk: number("on-disk")?,
    })
}

/// The jobs of a GETJOB with counters.
pub(crate) fn deliveries(frame: Frame) -> Result<Vec<Delivery>, Error> {
    if frame.is_nil() {
        return Ok(Vec::new());
    }
    let Frame::Array(jobs) = frame else {
        return Err(unexpected(&frame));
    };
    jobs.into_iter().map(delivery).collect()
}

fn delivery(frame: Frame) -> Result<Delivery, Error> {
    let Frame::Array(fields) = frame else {
        return Err(unexpected(&frame));
    };
    let fields: [Frame; 7] = fields
        .try_into()
        .map_err(|fields| unexpected(&Frame::Array(fields)))?;
    match fields {
        [
            Frame::Bulk(queue),
            id,
            Frame::Bulk(body),
            _,
            Frame::Integer(nacks),
            _,
            Frame::Integer(more),
        ] => Ok(Delivery {
            queue: queue.into(),
            id: id
                .as_bytes()
                .and_then(JobId::parse)
                .ok_or_else(|| unexpected(&id))?,
            body: body.into(),
            nacks: nacks.unsigned_abs(),
            additional_deliveries: more.unsigned_abs(),
        }),
        fields => Err(unexpected(&Frame::Array(fields.into()))),
    }
}

pub(crate) fn unexpected(frame: &Frame) -> Error {
    Error::Unexpected(format!("{frame:.200?}"))
}
