//! GETJOB, and the jobs that it brings.

use std::future::IntoFuture;
use std::time::Duration;

use bytes::Bytes;
use shoalmq_resp::Frame;

use super::{Answer, count, unexpected};
use crate::error::Error;
use crate::id::JobId;
use crate::link::{Link, Repeat};

/// A job that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The queue that it was in.
    pub queue: Bytes,
    /// The job.
    pub id: JobId,
    /// What its producer sent.
    pub body: Bytes,
    /// How often it was handed out, this time included: counted if it has a `max_deliver`, otherwise an estimate.
    pub deliveries: u64,
    /// What its producer sent along.
    pub meta: Meta,
    /// How it died, if it is a dead letter.
    pub dead: Option<DeadLetter>,
}

/// The named values that a producer sent along with a job ([`Add::meta`](crate::Add::meta)) or an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta(Vec<(Bytes, Bytes)>);

impl Meta {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mut pairs = self.iter();
        pairs.find_map(|(key, value)| (key == name.as_bytes()).then_some(value))
    }

    /// Reads a flat map.
    pub(crate) fn read(frame: Frame) -> Result<Self, Error> {
        let Frame::Array(parts) = frame else {
            return Err(unexpected(&frame));
        };
        let mut parts = parts.into_iter();
        let mut pairs = Vec::new();
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            pairs.push((bytes(name)?, bytes(value)?));
        }
        Ok(Meta(pairs))
    }

    /// All names with their values, as they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&name[..], &value[..]))
    }
}

/// How a job became a dead letter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The queue that it was in.
    pub from: Bytes,
    /// `deliveries`, `nack` or `expired`.
    pub reason: Bytes,
    /// The last reason that a worker gave; empty if none did.
    pub text: Bytes,
    /// How often it was handed out before it died.
    pub deliveries: u64,
    /// When it died, as time since 1970.
    pub at: Duration,
}

/// GETJOB without waiting: a [`Consumer`](crate::Consumer) waits.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// for job in shoal.get(["urgent", "mails"]).count(10).await? {
///     println!("{}: {:?}, delivery {}", job.id, job.body, job.deliveries);
///     shoal.ack([job.id]).await?;
/// }
/// # Ok(())
/// # }
/// ```
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
        Box::pin(take(self.link, self.queues, self.count, None))
    }
}

/// Takes up to `count` jobs from queues, and waits for one if it is told how long.
pub(crate) async fn take(
    link: &Link,
    queues: impl IntoIterator<Item: AsRef<[u8]>>,
    count: u32,
    wait: Option<Duration>,
) -> Result<Vec<Delivery>, Error> {
    let mut args = vec![b"GETJOB".to_vec()];
    match wait {
        None => args.push(b"NOHANG".to_vec()),
        Some(wait) => {
            let wait = wait.as_millis().max(1).to_string();
            args.extend([b"TIMEOUT".to_vec(), wait.into()]);
        }
    }
    let count = count.to_string().into();
    args.extend([
        b"COUNT".to_vec(),
        count,
        b"WITHMETA".to_vec(),
        b"FROM".to_vec(),
    ]);
    args.extend(queues.into_iter().map(|queue| queue.as_ref().to_vec()));
    let wait = wait.unwrap_or_default();
    deliveries(link.call(&args, Repeat::Jobs, wait).await?)
}

/// The jobs of a GETJOB with META.
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
    let fields: [Frame; 5] = fields
        .try_into()
        .map_err(|fields| unexpected(&Frame::Array(fields)))?;
    match fields {
        [
            Frame::Bulk(queue),
            Frame::Bulk(id),
            Frame::Bulk(body),
            _,
            Frame::Array(told),
        ] => {
            let id = JobId::parse(&id).ok_or_else(|| unexpected(&Frame::Bulk(id)))?;
            let mut delivery = Delivery {
                queue: queue.into(),
                id,
                body: body.into(),
                deliveries: 1,
                meta: Meta::default(),
                dead: None,
            };
            let mut told = told.into_iter();
            while let (Some(name), Some(value)) = (told.next(), told.next()) {
                delivery.note(name, value)?;
            }
            Ok(delivery)
        }
        fields => Err(unexpected(&Frame::Array(fields.into()))),
    }
}

impl Delivery {
    /// Takes up what the server tells under a name: its own begin with `shoal.`, those of producers never do.
    fn note(&mut self, name: Frame, value: Frame) -> Result<(), Error> {
        let Frame::Bulk(name) = name else {
            return Err(unexpected(&name));
        };
        let Some(own) = name.strip_prefix(b"shoal.") else {
            self.meta.0.push((name.into(), bytes(value)?));
            return Ok(());
        };
        if own == b"deliveries" {
            self.deliveries = count(&value)?;
        } else if let Some(name) = own.strip_prefix(b"dead.") {
            self.dead.get_or_insert_default().note(name, value)?;
        }
        Ok(())
    }
}

impl DeadLetter {
    /// Reads what WAITJOB tells.
    pub(super) fn read(told: &Frame) -> Option<Self> {
        let mut dead = DeadLetter::default();
        for [name, value] in told.as_array()?.as_chunks::<2>().0 {
            let name = name.as_bytes()?.strip_prefix(b"shoal.dead.")?;
            dead.note(name, value.clone()).ok()?;
        }
        Some(dead)
    }

    fn note(&mut self, name: &[u8], value: Frame) -> Result<(), Error> {
        match name {
            b"from" => self.from = bytes(value)?,
            b"reason" => self.reason = bytes(value)?,
            b"text" => self.text = bytes(value)?,
            b"deliveries" => self.deliveries = count(&value)?,
            b"at" => self.at = Duration::from_millis(count(&value)?),
            _ => {}
        }
        Ok(())
    }
}

/// The bytes of a text; nil has none.
pub(crate) fn bytes(frame: Frame) -> Result<Bytes, Error> {
    match frame {
        Frame::Bulk(bytes) => Ok(bytes.into()),
        nil if nil.is_nil() => Ok(Bytes::new()),
        other => Err(unexpected(&other)),
    }
}
