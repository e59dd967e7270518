//! The jobs of a run: their queues, bodies and commands, and whether a reply is what it has to be.

use super::args::Args;
use super::tally::Tally;
use shoalmq_resp::Frame;

/// Bytes at the head of a body that hold a time, in hexadecimal digits.
pub(super) const STAMP_BYTES: usize = 16;
/// How long ADDJOB may wait for copies, in milliseconds.
const REPLICATION_TIMEOUT_MS: &str = "5000";
/// Bytes of a job id.
const ID_BYTES: usize = 40;

/// What the jobs of a run have in common.
#[derive(Debug)]
pub(super) struct Jobs {
    queues: Vec<String>,
    /// The body, but for the time.
    body: Vec<u8>,
    /// What follows the body in ADDJOB.
    options: Vec<String>,
}

/// A job that was delivered.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) id: Vec<u8>,
    /// The time in its body.
    pub(super) stamp: Option<u64>,
}

impl Jobs {
    pub(super) fn new(args: &Args) -> Self {
        let queues = match args.queues.get() {
            1 => vec![args.queue.clone()],
            count => (0..count).map(|i| format!("{}-{i}", args.queue)).collect(),
        };
        let mut options = vec![REPLICATION_TIMEOUT_MS.to_owned()];
        if let Some(copies) = args.replicate {
            options.extend(["REPLICATE".to_owned(), copies.to_string()]);
        }
        if let Some(seconds) = args.retry {
            options.extend(["RETRY".to_owned(), seconds.to_string()]);
        }
        if args.asynchronous {
            options.push("ASYNC".to_owned());
        }
        Self {
            queues,
            body: vec![b'x'; args.size],
            options,
        }
    }

    pub(super) fn queues(&self) -> &[String] {
        &self.queues
    }

    /// The queues that consumer `index` of `consumers` takes from: between them, all.
    pub(super) fn queues_of(&self, index: usize, consumers: usize) -> Vec<&str> {
        let count = self.queues.len();
        if count < consumers {
            return vec![&self.queues[index % count]];
        }
        self.queues
            .iter()
            .skip(index)
            .step_by(consumers)
            .map(String::as_str)
            .collect()
    }

    /// A body without a time.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// A body with a time in it.
    pub(super) fn stamped(&self, stamp: u64) -> Vec<u8> {
        let mut body = self.body.clone();
        body[..STAMP_BYTES].copy_from_slice(format!("{stamp:016x}").as_bytes());
        body
    }

    /// ADDJOB for the job of this number.
    pub(super) fn add<'a>(&'a self, number: u64, body: &'a [u8], words: &mut Vec<&'a [u8]>) {
        words.clear();
        let queue = &self.queues[(number % self.queues.len() as u64) as usize];
        words.extend([b"ADDJOB", queue.as_bytes(), body]);
        words.extend(self.options.iter().map(String::as_bytes));
    }

    /// Whether a reply to ADDJOB is an id.
    pub(super) fn added(reply: &Frame) -> Result<(), String> {
        match reply {
            Frame::Simple(id) if is_id(id) => Ok(()),
            other => Err(unexpected("ADDJOB", other)),
        }
    }

    /// The jobs in a reply to GETJOB: none if it is nil. One that is not as it was added counts as an
    /// error; if it has an id it is there all the same, to be acknowledged.
    pub(super) fn delivered(
        &self,
        reply: Frame,
        from: &[&str],
        tally: &mut Tally,
    ) -> Vec<Delivered> {
        match reply {
            Frame::Array(jobs) if !jobs.is_empty() => jobs
                .iter()
                .filter_map(|job| self.one(job, from, tally))
                .collect(),
            nil if nil.is_nil() => Vec::new(),
            other => {
                tally.fail(unexpected("GETJOB", &other));
                Vec::new()
            }
        }
    }

    fn one(&self, job: &Frame, from: &[&str], tally: &mut Tally) -> Option<Delivered> {
        let fields = job.as_array().unwrap_or_default();
        let [Frame::Bulk(queue), Frame::Bulk(id), Frame::Bulk(body)] = fields else {
            tally.fail(unexpected("GETJOB", job));
            return None;
        };
        let head = STAMP_BYTES.min(self.body.len());
        if body.len() != self.body.len() || body[head..] != self.body[head..] {
            tally.fail(format!(
                "a job of {} bytes that this run did not add",
                body.len()
            ));
        } else if !is_id(id) || !from.iter().any(|name| name.as_bytes() == queue) {
            tally.fail(unexpected("GETJOB", job));
        }
        let stamp = body
            .get(..head)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let stamp = stamp.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        Some(Delivered {
            id: id.clone(),
            stamp,
        })
    }

    /// Whether a reply to ACKJOB is that all `count` jobs were known.
    pub(super) fn acked(reply: &Frame, count: usize) -> Result<(), String> {
        match reply {
            Frame::Integer(known) if usize::try_from(*known) == Ok(count) => Ok(()),
            other => Err(format!("{} to {count} jobs", unexpected("ACKJOB", other))),
        }
    }
}

fn is_id(id: &[u8]) -> bool {
    id.len() == ID_BYTES && id.starts_with(b"D-")
}

/// What to say of a reply that is not what it has to be.
pub(super) fn unexpected(command: &str, reply: &Frame) -> String {
    match reply.as_error() {
        Some(text) => format!("{command}: {}", String::from_utf8_lossy(text)),
        None => format!("{command}: unexpected reply {}", shown(reply)),
    }
}

/// The beginning of a reply, as text.
pub(super) fn shown(reply: &Frame) -> String {
    const SHOWN_CHARS: usize = 200;
    let text = reply.as_error().or(reply.as_bytes());
    let text = text.map_or_else(
        || format!("{reply:?}"),
        |text| String::from_utf8_lossy(text).into(),
    );
    text.chars().take(SHOWN_CHARS).collect()
}
