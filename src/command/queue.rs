//! Parsers of the commands on queues, and of the two scans.

use shoalmq_core::command::{
    Command, Detail, JobScan, Pause, PauseState, Question, QueueList, QueueOrder, QueueScan,
    QueuesWanted, Redrive, ScanReply,
};
use shoalmq_core::id::QueueName;
use shoalmq_core::job::JobState;

use super::args::{self, Args, is};
use super::job::ids;
use super::{ParseError, Parsed, Request};

/// As the last argument: what the whole cluster says, as an array of the usual answer and the nodes that are missing in it.
pub(super) const GLOBAL: &str = "GLOBAL";

/// What makes QSTAT tell of jobs that are not ready, too.
pub(super) const FULL: &str = "FULL";

/// With META: what the producer said about a job, and how often it was handed out.
pub(super) const WITHMETA: &str = "WITHMETA";

/// What a scan returns at a time when it names no COUNT.
const DEFAULT_SCAN_COUNT: u64 = 100;

/// How many queues QLIST returns when it names no COUNT.
pub const DEFAULT_LIST_COUNT: u64 = 1000;

/// `QLEN queue [GLOBAL]`: how many jobs are ready, 0 for a queue that is not there.
pub(super) fn length<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    Ok(Request::Core(match *args {
        [queue] => Command::QueueLength(queue),
        [queue, word] if is(word, GLOBAL) => {
            Command::Global(Question::QueueLength(QueueName::new(queue)))
        }
        _ => return Err(ParseError::WrongArity("qlen")),
    }))
}

/// `QPEEK queue count [WITHMETA] [GLOBAL]`: an array of jobs, the oldest first, or the newest first when `count` is negative.
pub(super) fn peek<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[queue, count, ref words @ ..] = args else {
        return Err(ParseError::WrongArity("qpeek"));
    };
    let (mut is_meta, mut global) = (false, false);
    for word in words {
        if is(word, WITHMETA) {
            is_meta = true;
        } else if is(word, GLOBAL) {
            global = true;
        } else {
            return Err(ParseError::WrongArity("qpeek"));
        }
    }
    let count = args::any_integer(count)?;
    Ok(Request::Core(if global {
        let queue = QueueName::new(queue);
        Command::Global(Question::QueuePeek {
            queue,
            count,
            is_meta,
        })
    } else {
        Command::QueuePeek {
            queue,
            count,
            is_meta,
        }
    }))
}

/// `REDRIVE queue [COUNT n] [TO queue] [IDS id ...]`: how many jobs were moved.
pub(super) fn redrive<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[queue, ref options @ ..] = args else {
        return Err(ParseError::WrongArity("redrive"));
    };
    let mut redrive = Redrive {
        queue: QueueName::new(queue),
        to: None,
        count: None,
        ids: Vec::new(),
    };
    let mut options = Args::new(options);
    while let Some(option) = options.next() {
        if is(option, "COUNT") {
            redrive.count = Some(args::positive(options.value()?).ok_or(ParseError::Count)?);
        } else if is(option, "TO") {
            redrive.to = Some(QueueName::new(options.value()?));
        } else if is(option, "IDS") {
            let listed = options.rest();
            if listed.is_empty() {
                return Err(ParseError::NoValue(option));
            }
            redrive.ids = ids(listed)?;
            if redrive.ids.is_empty() {
                // No node made them: nothing is moved.
                redrive.count = Some(0);
            }
        } else {
            return Err(ParseError::Near(option, "redrive"));
        }
    }
    Ok(Request::Core(Command::Global(Question::Redrive(redrive))))
}

/// `QSTAT queue [FULL] [GLOBAL]`: 20 elements, with FULL more after them, or a nil array.
pub(super) fn stat<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[queue, ref words @ ..] = args else {
        return Err(ParseError::WrongArity("qstat"));
    };
    let (mut detail, mut global) = (Detail::Plain, false);
    for word in words {
        if is(word, FULL) && detail == Detail::Plain {
            detail = Detail::Full;
        } else if is(word, GLOBAL) && !global {
            global = true;
        } else {
            return Err(ParseError::WrongArity("qstat"));
        }
    }
    Ok(Request::Core(if global {
        let queue = QueueName::new(queue);
        Command::Global(Question::QueueStat { queue, detail })
    } else {
        Command::QueueStat { queue, detail }
    }))
}

/// `PAUSE queue option [option ...]`: the state that holds then, as a simple string.
///
/// `in`, `out` and `all` add up and replace the former state, `none` clears what came before it; with only `state`
/// and `bcast` nothing is set.
pub(super) fn pause<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[queue, ref options @ ..] = args else {
        return Err(ParseError::WrongArity("pause"));
    };
    if options.is_empty() {
        return Err(ParseError::WrongArity("pause"));
    }
    let (mut set, mut broadcast) = (None, false);
    for option in options {
        if is(option, "state") {
            continue;
        }
        if is(option, "bcast") {
            broadcast = true;
            continue;
        }
        let mut state: PauseState = set.unwrap_or_default();
        if is(option, "none") {
            state = PauseState::default();
        } else if is(option, "in") {
            state.input = true;
        } else if is(option, "out") {
            state.output = true;
        } else if is(option, "all") {
            (state.input, state.output) = (true, true);
        } else {
            return Err(ParseError::Near(option, "pause"));
        }
        set = Some(state);
    }
    Ok(Request::Core(Command::Pause(Pause {
        queue,
        set,
        broadcast,
    })))
}

/// `QPURGE queue`: how many jobs the nodes that can be reached had, copies not counted.
pub(super) fn purge<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[queue] = args else {
        return Err(ParseError::WrongArity("qpurge"));
    };
    Ok(Request::Core(Command::PurgeQueue(queue)))
}

/// The word that PAUSE and QSTAT use for a state.
pub fn pause_name(state: PauseState) -> &'static str {
    match (state.input, state.output) {
        (false, false) => "none",
        (true, false) => "in",
        (false, true) => "out",
        (true, true) => "all",
    }
}

/// `QLIST [MATCH glob] [SORT name|ready|age] [COUNT n] [LOCAL]`: an array of maps, a queue each, and the ids of the nodes
/// that did not answer.
pub(super) fn list<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let mut list = QueueList {
        pattern: None,
        order: QueueOrder::Name,
        count: DEFAULT_LIST_COUNT,
    };
    let mut is_local = false;
    let mut args = Args::new(args);
    while let Some(option) = args.next() {
        if is(option, "MATCH") {
            list.pattern = Some(args.value()?.into());
        } else if is(option, "SORT") {
            list.order = order_named(args.value()?).ok_or(ParseError::ListOrder)?;
        } else if is(option, "COUNT") {
            list.count = args::positive(args.value()?).ok_or(ParseError::Count)?;
        } else if is(option, "LOCAL") {
            is_local = true;
        } else {
            return Err(ParseError::Near(option, "qlist"));
        }
    }
    Ok(Request::Core(if is_local {
        Command::QueueList(list)
    } else {
        Command::Global(Question::Queues(QueuesWanted::First(list)))
    }))
}

/// The order of a list by the word that QLIST and the HTTP API use for it.
pub fn order_named(word: &[u8]) -> Option<QueueOrder> {
    let orders = [
        ("name", QueueOrder::Name),
        ("ready", QueueOrder::Ready),
        ("age", QueueOrder::Age),
    ];
    let found = orders.into_iter().find(|(name, _)| is(word, name));
    found.map(|(_, order)| order)
}

/// `QSCAN [cursor] [COUNT n] [BUSYLOOP] [MINLEN n] [MAXLEN n] [IMPORTRATE n] [GLOBAL]`: the next cursor, and queue
/// names.
pub(super) fn queue_scan<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let mut args = Args::new(args);
    let mut window = Window::of("qscan");
    let (mut min_len, mut max_len, mut import_rate) = (None, None, None);
    let mut global = false;
    while let Some(word) = args.next() {
        if window.take(word, &mut args)? {
            continue;
        }
        let filter = if is(word, "MINLEN") {
            &mut min_len
        } else if is(word, "MAXLEN") {
            &mut max_len
        } else if is(word, "IMPORTRATE") {
            &mut import_rate
        } else if is(word, GLOBAL) && args.is_empty() {
            global = true;
            continue;
        } else {
            window.take_cursor(word)?;
            continue;
        };
        *filter = Some(args::any_integer(window.value(&mut args)?)?);
    }
    let scan = QueueScan {
        cursor: window.cursor(),
        count: window.count(),
        min_len,
        max_len,
        import_rate,
    };
    Ok(Request::Core(if global {
        Command::Global(Question::QueueScan(scan))
    } else {
        Command::QueueScan(scan)
    }))
}

/// `JSCAN [cursor] [COUNT n] [BUSYLOOP] [QUEUE queue] [STATE state ...] [REPLY all|id] [GLOBAL]`: the next cursor,
/// and ids as simple strings or whole jobs as SHOW tells them.
pub(super) fn job_scan<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let mut args = Args::new(args);
    let mut window = Window::of("jscan");
    let (mut queue, mut states, mut reply) = (None, Vec::new(), ScanReply::Id);
    let mut global = false;
    while let Some(word) = args.next() {
        if window.take(word, &mut args)? {
            continue;
        }
        if is(word, "QUEUE") {
            queue = Some(window.value(&mut args)?);
        } else if is(word, "STATE") {
            let state = state_named(window.value(&mut args)?).ok_or(ParseError::JobState)?;
            // At most one of each: the list stays as short as the list of states.
            if !states.contains(&state) {
                states.push(state);
            }
        } else if is(word, "REPLY") {
            reply = match window.value(&mut args)? {
                all if is(all, "all") => ScanReply::All,
                id if is(id, "id") => ScanReply::Id,
                _ => return Err(ParseError::ScanReply),
            };
        } else if is(word, GLOBAL) && args.is_empty() {
            global = true;
        } else {
            window.take_cursor(word)?;
        }
    }
    let (cursor, count) = (window.cursor(), window.count());
    let command = if global {
        Command::Global(Question::JobScan {
            cursor,
            count,
            queue: queue.map(QueueName::new),
            states,
            reply,
        })
    } else {
        Command::JobScan(JobScan {
            cursor,
            count,
            queue,
            states,
            reply,
        })
    };
    Ok(Request::Core(command))
}

/// The word that SHOW and JSCAN use for a state.
pub(super) fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::WaitReplicas => "wait-repl",
        JobState::Active => "active",
        JobState::Queued => "queued",
        JobState::Acked => "acked",
    }
}

fn state_named(name: &[u8]) -> Option<JobState> {
    [
        JobState::WaitReplicas,
        JobState::Active,
        JobState::Queued,
        JobState::Acked,
    ]
    .into_iter()
    .find(|&state| is(name, state_name(state)))
}

/// What both scans know: where to go on, and how far.
struct Window {
    /// Which scan it is.
    scan: &'static str,
    cursor: Option<u64>,
    count: Option<u64>,
    all: bool,
}

impl Window {
    fn of(scan: &'static str) -> Self {
        Window {
            scan,
            cursor: None,
            count: None,
            all: false,
        }
    }

    /// The value of the option just read. One that stands last might have been meant as a cursor, and the error says so.
    fn value<'a>(&self, args: &mut Args<'_, 'a>) -> Result<&'a [u8], ParseError<'a>> {
        let option = args.last();
        args.next()
            .ok_or(ParseError::CursorOrOption(option, self.scan))
    }

    /// Takes COUNT or BUSYLOOP; says whether `word` was one of them.
    fn take<'a>(&mut self, word: &[u8], args: &mut Args<'_, 'a>) -> Result<bool, ParseError<'a>> {
        if is(word, "COUNT") {
            // 0 and less are no error: the scan then makes the smallest step that is a step.
            let count = args::any_integer(self.value(args)?)?;
            self.count = Some(u64::try_from(count).map_or(1, |count| count.max(1)));
        } else if is(word, "BUSYLOOP") {
            self.all = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes the cursor, which may stand anywhere, but once.
    fn take_cursor<'a>(&mut self, word: &'a [u8]) -> Result<(), ParseError<'a>> {
        if self.cursor.is_some() {
            return Err(ParseError::Near(word, self.scan));
        }
        let cursor = std::str::from_utf8(word).ok();
        let cursor = cursor.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let cursor = cursor.and_then(|text| text.parse().ok());
        self.cursor = Some(cursor.ok_or(ParseError::CursorOrOption(word, self.scan))?);
        Ok(())
    }

    fn cursor(&self) -> u64 {
        self.cursor.unwrap_or(0)
    }

    /// How many to return; `None` is all.
    fn count(&self) -> Option<u64> {
        (!self.all).then_some(self.count.unwrap_or(DEFAULT_SCAN_COUNT))
    }
}

#[cfg(test)]
mod tests;
