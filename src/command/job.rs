//! Parsers of the commands on jobs, from ADDJOB to WORKING.

use shoalmq_core::command::{
    AddJob, Command, GetJob, Nack, PROGRESS_MAX, Replication, Told, WAITJOB_IDS, Wait, WaitJob,
};
use shoalmq_core::dedup::{Dedup, KEY_MAX};
use shoalmq_core::extras::{Extras, Tag};
use shoalmq_core::id::{IdText, JOB_ID_TEXT, JobId};
use shoalmq_core::meta::Meta;
use shoalmq_core::policy::{Backoff, KEEP_MOST};

use super::args::{self, Args, is};
use super::{ParseError, Parsed, Request};
use crate::suggestion;

/// `ADDJOB queue body ms-timeout [REPLICATE n] [DELAY s] [RETRY s] [TTL s] [MAXLEN n] [PRIORITY n] [MAXDELIVER n] [DEAD queue]
/// [BACKOFF base max] [DEDUP key [WINDOW s]] [KEEP s] [META name value]… [ASYNC] [RECEIPT]`: the new id, as a simple string;
/// with RECEIPT a map.
///
/// Options are checked from left to right, then the timeout; of an option given twice the last counts. Times above
/// 136 years count as 136 years: no client can tell, and a job that outlives its server is what was asked for.
pub(super) fn add_job<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[queue, body, timeout, ref options @ ..] = args else {
        return Err(ParseError::WrongArity("addjob"));
    };
    let mut job = AddJob::new(queue, body);
    let (mut meta, mut guard) = (Meta::default(), Guard::default());
    let (mut key, mut window) = (None, None);
    let mut options = Args::new(options);
    while let Some(option) = options.next() {
        if is(option, "ASYNC") {
            job.replication = Replication::Asynchronous;
        } else if is(option, "RECEIPT") {
            job.wants_receipt = true;
        } else if is(option, "DEDUP") {
            key = Some(dedup_key(options.value()?).ok_or(ParseError::DedupKey)?);
        } else if is(option, "WINDOW") {
            window = Some(args::seconds(options.value()?).ok_or(ParseError::Window)?);
        } else if is(option, "META") {
            let (name, value) = options.pair()?;
            meta.set(name, value).map_err(ParseError::Meta)?;
        } else if !guard.take(option, &mut options, queue)?
            && !job_option(option, &mut options, &mut job)?
        {
            return Err(ParseError::Near(option, "addjob"));
        }
    }
    job.timeout = args::timeout(timeout)?;
    job.dedup = match (key, window) {
        (None, Some(_)) => return Err(ParseError::WindowAlone),
        (None, None) => None,
        (Some(key), window) => {
            let window = window.unwrap_or(0);
            Some(Box::new(Dedup { key, window }))
        }
    };
    if !meta.is_empty() || guard != Guard::default() {
        job.extras = guard.extras(&meta);
    }
    Ok(Request::Core(Command::AddJob(job)))
}

/// When a job goes, what is to become of it if it fails, and for how long its end is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Guard<'a> {
    priority: Option<u8>,
    keep: Option<u32>,
    max_deliver: Option<u16>,
    dead: Option<&'a [u8]>,
    backoff: Option<Backoff>,
}

impl<'a> Guard<'a> {
    /// Takes an option, if it is one of these.
    fn take(
        &mut self,
        option: &[u8],
        options: &mut Args<'_, 'a>,
        queue: &[u8],
    ) -> Result<bool, ParseError<'a>> {
        if is(option, "PRIORITY") {
            self.priority = Some(priority(options.value()?).ok_or(ParseError::Priority)?);
        } else if is(option, "KEEP") {
            self.keep = Some(keep(options.value()?).ok_or(ParseError::Keep)?);
        } else if is(option, "MAXDELIVER") {
            self.max_deliver = Some(max_deliver(options.value()?).ok_or(ParseError::MaxDeliver)?);
        } else if is(option, "DEAD") {
            let dead = options.value()?;
            if dead.is_empty() || dead == queue {
                return Err(ParseError::Dead);
            }
            self.dead = Some(dead);
        } else if is(option, "BACKOFF") {
            let (base, max) = options.pair()?;
            let both = args::positive(base).zip(args::positive(max));
            let backoff = both.and_then(|(base, max)| Backoff::new(base, max));
            self.backoff = Some(backoff.ok_or(ParseError::Backoff)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn extras(&self, meta: &Meta<'_>) -> Extras {
        let pairs = (!meta.is_empty()).then(|| meta.encode());
        let most = self.max_deliver.map(u16::to_le_bytes);
        let priority = self.priority.map(|priority| [priority]);
        let keep = self.keep.map(u32::to_le_bytes);
        let backoff = self.backoff.map(Backoff::encode);
        let fields = [
            (Tag::META, pairs.as_deref()),
            (Tag::MAX_DELIVER, most.as_ref().map(|bytes| &bytes[..])),
            (Tag::DEAD_QUEUE, self.dead),
            (Tag::BACKOFF, backoff.as_ref().map(|bytes| &bytes[..])),
            (Tag::PRIORITY, priority.as_ref().map(|bytes| &bytes[..])),
            (Tag::KEEP, keep.as_ref().map(|bytes| &bytes[..])),
        ];
        Extras::new(
            fields
                .into_iter()
                .filter_map(|(tag, value)| Some((tag, value?))),
        )
    }
}

fn dedup_key(key: &[u8]) -> Option<&[u8]> {
    (1..=KEY_MAX).contains(&key.len()).then_some(key)
}

pub(super) fn priority(text: &[u8]) -> Option<u8> {
    u8::try_from(args::integer(text)?).ok()
}

pub(super) fn keep(text: &[u8]) -> Option<u32> {
    let seconds = args::positive(text).filter(|&seconds| seconds <= KEEP_MOST)?;
    u32::try_from(seconds).ok()
}

pub(super) fn max_deliver(text: &[u8]) -> Option<u16> {
    u16::try_from(args::positive(text)?).ok()
}

/// Takes an option of a job, if it is one of those that ADDJOB and TBIND share.
pub(super) fn job_option<'a>(
    option: &[u8],
    options: &mut Args<'_, 'a>,
    job: &mut AddJob<'a>,
) -> Result<bool, ParseError<'a>> {
    if is(option, "REPLICATE") {
        job.replicate = Some(replicate(options.value()?).ok_or(ParseError::Replicate)?);
    } else if is(option, "DELAY") {
        job.delay = Some(args::seconds(options.value()?).ok_or(ParseError::Delay)?);
    } else if is(option, "RETRY") {
        job.retry = Some(args::seconds(options.value()?).ok_or(ParseError::Retry)?);
    } else if is(option, "TTL") {
        job.ttl = Some(ttl(options.value()?).ok_or(ParseError::Ttl)?);
    } else if is(option, "MAXLEN") {
        job.max_len = Some(args::positive(options.value()?).ok_or(ParseError::MaxLen)?);
    } else {
        return Ok(false);
    }
    Ok(true)
}

pub(super) fn replicate(text: &[u8]) -> Option<u16> {
    u16::try_from(args::positive(text)?).ok()
}

pub(super) fn ttl(text: &[u8]) -> Option<u32> {
    args::seconds(text).filter(|&seconds| seconds > 0)
}

/// `GETJOB [NOHANG] [TIMEOUT ms] [COUNT n] [WITHCOUNTERS] [WITHMETA] FROM queue [queue ...]`: an array of jobs, or a
/// nil array.
///
/// Everything after FROM is a queue, whatever its name. NOHANG wins over TIMEOUT; TIMEOUT 0 waits for ever.
pub(super) fn get_job<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    if args.is_empty() {
        return Err(ParseError::WrongArity("getjob"));
    }
    let mut args = Args::new(args);
    let (mut hang, mut timeout) = (true, None);
    let mut get = GetJob {
        queues: Vec::new(),
        count: 1,
        wait: Wait::Forever,
        told: Told::default(),
    };
    while let Some(option) = args.next() {
        if is(option, "FROM") {
            get.queues = args.rest().to_vec();
        } else if is(option, "NOHANG") {
            hang = false;
        } else if is(option, "WITHCOUNTERS") {
            get.told.counters = true;
        } else if is(option, "WITHMETA") {
            get.told.meta = true;
        } else if is(option, "COUNT") {
            get.count = args::positive(args.value()?).ok_or(ParseError::Count)?;
        } else if is(option, "TIMEOUT") {
            timeout = args::timeout(args.value()?)?;
        } else {
            return Err(ParseError::Near(option, "getjob"));
        }
    }
    if get.queues.is_empty() {
        return Err(ParseError::NoQueue);
    }
    get.wait = match (hang, timeout) {
        (false, _) => Wait::No,
        (true, Some(timeout)) => Wait::AtMost(timeout),
        (true, None) => Wait::Forever,
    };
    Ok(Request::Core(Command::GetJob(get)))
}

/// `ACKJOB id [id ...] [RESULT bytes]`: how many were known and not yet acknowledged. Refused: BADID.
pub(super) fn ack_job<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let (listed, mut options) = split_options(args, &["RESULT"], "ackjob")?;
    let ids = ids(listed)?;
    let mut result = None;
    while options.next().is_some() {
        result = Some(options.value()?);
        if let Some(word) = options.peek().filter(|word| !is(word, "RESULT")) {
            return Err(ParseError::Near(word, "ackjob"));
        }
    }
    Ok(Request::Core(Command::AckJob(ids, result)))
}

/// `FASTACK id [id ...]`: how many were deleted here. Refused: BADID.
pub(super) fn fast_ack<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    ids(args).map(|ids| Request::Core(Command::FastAck(ids)))
}

/// `DELJOB id [id ...] [GLOBAL]`: how many were deleted here, or ended everywhere. Refused: BADID.
pub(super) fn del_job<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let (listed, mut options) = split_options(args, &["GLOBAL"], "deljob")?;
    let ids = ids(listed)?;
    Ok(Request::Core(if options.next().is_none() {
        Command::DelJob(ids)
    } else if let Some(word) = options.next() {
        return Err(ParseError::Near(word, "deljob"));
    } else {
        Command::EndJob(ids)
    }))
}

/// `WAITJOB [TIMEOUT ms] id [id ...]`: how each job ended, or that it has not. Refused: BADID.
pub(super) fn wait_job<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let (mut timeout, mut listed) = (None, args);
    while let [option, rest @ ..] = listed
        && is(option, "TIMEOUT")
    {
        let [value, rest @ ..] = rest else {
            return Err(ParseError::NoValue(option));
        };
        timeout = args::timeout(value)?;
        listed = rest;
    }
    match listed.len() {
        0 => return Err(ParseError::WrongArity("waitjob")),
        1..=WAITJOB_IDS => {}
        _ => return Err(ParseError::TooManyIds),
    }
    if let Some(word) = listed.iter().find(|word| is_slip(word, &["TIMEOUT"])) {
        return Err(ParseError::Near(word, "waitjob"));
    }
    let named = |text: &&'a [u8]| {
        let id = job_id(text)?;
        let text: IdText = (*text).try_into().map_err(|_| ParseError::InvalidJobId)?;
        Ok((text, id))
    };
    let ids: Result<_, ParseError<'a>> = listed.iter().map(named).collect();
    Ok(Request::Core(Command::WaitJob(WaitJob {
        timeout,
        ids: ids?,
    })))
}

/// `ENQUEUE id [id ...]`: how many went into their queues. Refused: BADID.
pub(super) fn enqueue<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    ids(args).map(|ids| Request::Core(Command::Enqueue(ids)))
}

/// `NACK id [id ...] [DELAY s] [TO queue] [REASON text] [DEAD]`: how many were put back, moved or buried. Refused: BADID.
///
/// The options come behind the ids: from the first word on that is one.
pub(super) fn nack<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    const OPTIONS: [&str; 4] = ["DELAY", "TO", "REASON", "DEAD"];
    let (listed, mut options) = split_options(args, &OPTIONS, "nack")?;
    let mut nack = Nack {
        ids: ids(listed)?,
        ..Nack::default()
    };
    while let Some(option) = options.next() {
        if is(option, "DELAY") {
            nack.delay = Some(args::seconds(options.value()?).ok_or(ParseError::Delay)?);
        } else if is(option, "TO") {
            nack.to = Some(options.value()?);
        } else if is(option, "REASON") {
            nack.reason = Some(options.value()?);
        } else if is(option, "DEAD") {
            nack.is_dead = true;
        } else {
            return Err(ParseError::Near(option, "nack"));
        }
    }
    if nack.is_dead && (nack.delay.is_some() || nack.to.is_some()) {
        return Err(ParseError::DeadExcludes);
    }
    Ok(Request::Core(Command::Nack(nack)))
}

/// The ids at the beginning, and the options behind them: from the first word on that is one.
fn split_options<'s, 'a>(
    args: &'s [&'a [u8]],
    options: &[&'static str],
    command: &'static str,
) -> Result<(&'s [&'a [u8]], Args<'s, 'a>), ParseError<'a>> {
    if args.iter().all(|word| word.len() == JOB_ID_TEXT) {
        // No option is as long as an id: this is what nearly all commands are.
        return Ok((args, Args::new(&[])));
    }
    let is_option = |word: &[u8]| options.iter().any(|option| is(word, option));
    let first = args.iter().position(|word| is_option(word));
    let (listed, rest) = args.split_at(first.unwrap_or(args.len()));
    if let [_, behind @ ..] = listed
        && let Some(word) = behind.iter().find(|word| is_slip(word, options))
    {
        return Err(ParseError::Near(word, command));
    }
    Ok((listed, Args::new(rest)))
}

/// Whether a word among ids is probably an option that was misspelt.
fn is_slip(word: &[u8], options: &[&'static str]) -> bool {
    // No option is as long as an id.
    word.len() < JOB_ID_TEXT && suggestion::closest(word, options.iter().copied()).is_some()
}

/// `PROMOTE id [n]`: 1, or 0 if no node that can be reached has the job. Refused: BADID.
pub(super) fn promote<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let (id, priority) = match *args {
        [id] => (id, u8::MAX),
        [id, number] => (id, priority(number).ok_or(ParseError::Priority)?),
        _ => return Err(ParseError::WrongArity("promote")),
    };
    Ok(Request::Core(Command::Promote(job_id(id)?, priority)))
}

/// `DEQUEUE id [id ...]`: how many were taken out of their queues. Refused: BADID.
pub(super) fn dequeue<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    ids(args).map(|ids| Request::Core(Command::Dequeue(ids)))
}

/// `WORKING id [PROGRESS bytes]`: the job's retry in seconds. Refused: BADID, NOJOB, TOOLATE.
pub(super) fn working<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[id, ref options @ ..] = args else {
        return Err(ParseError::WrongArity("working"));
    };
    let mut options = Args::new(options);
    let mut progress = None;
    while let Some(option) = options.next() {
        if !is(option, "PROGRESS") {
            // Disque has no option here.
            return Err(if is_slip(option, &["PROGRESS"]) {
                ParseError::Near(option, "working")
            } else {
                ParseError::WrongArity("working")
            });
        }
        let said = options.value()?;
        if said.len() > PROGRESS_MAX {
            return Err(ParseError::Progress);
        }
        progress = Some(said);
    }
    Ok(Request::Core(Command::Working(job_id(id)?, progress)))
}

/// `SHOW id`: 30 elements, or a nil bulk. Refused: BADID.
pub(super) fn show<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[id] = args else {
        return Err(ParseError::WrongArity("show"));
    };
    Ok(Request::Core(Command::Show(job_id(id)?)))
}

/// `EXPLAIN id`: where a job is, and why it is not being delivered; nil for an unknown job.
pub(super) fn explain<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[id] = args else {
        return Err(ParseError::WrongArity("explain"));
    };
    Ok(Request::Core(Command::Explain(job_id(id)?)))
}

/// `LOADJOB job`: always refused; it exists because Disque's clients may list it.
pub(super) fn load_job<'a>(_: &[&'a [u8]]) -> Parsed<'a> {
    Err(ParseError::LoadJob)
}

fn job_id<'a>(text: &[u8]) -> Result<Option<JobId>, ParseError<'a>> {
    JobId::parse(text).map_err(|_| ParseError::InvalidJobId)
}

/// All ids or none: one that is malformed refuses the list. Well formed ids that no node made are left out, since
/// no command can find a job by them.
pub(super) fn ids<'a>(args: &[&'a [u8]]) -> Result<Vec<JobId>, ParseError<'a>> {
    let mut ids = Vec::with_capacity(args.len());
    for text in args {
        ids.extend(job_id(text)?);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests;
