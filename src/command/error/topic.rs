//! The errors of commands on topics.

use std::sync::Arc;

use shoalmq_core::topic::{Misread, TopicRefusal};

use super::{join, shown};
use crate::topic::TopicError;

pub(super) fn write_parse_error(error: &TopicError<'_>, line: &mut Vec<u8>) {
    let parts: &[&[u8]] = match *error {
        TopicError::Channel => &[b"ERR the name of a channel must have 1 to 512 bytes"],
        TopicError::Pattern => &[b"ERR a pattern must have 1 to 512 bytes"],
        TopicError::NoPattern => &[b"ERR PATTERN is missing"],
        TopicError::TooManyPatterns => &[b"ERR at most 100 patterns in one call"],
        TopicError::NoStart => &[b"ERR give one start: FROM, LAST or AS"],
        TopicError::CursorName => &[b"ERR the name of a cursor must have 1 to 256 bytes"],
        TopicError::Start(text, Some(why)) => &[
            b"ERR invalid cursor '",
            &shown(text),
            b"': ",
            &why.to_string().into_bytes(),
        ],
        TopicError::Start(text, None) => &[
            b"ERR invalid cursor '",
            &shown(text),
            b"': give a cursor, 0, $, an id or unix milliseconds",
        ],
        TopicError::Id(text) => &[
            b"ERR invalid id '",
            &shown(text),
            b"': give an id or unix milliseconds",
        ],
        TopicError::Count(name) => &[
            b"ERR ",
            name.as_bytes(),
            b" must be a number from 1 to 10000",
        ],
        TopicError::Bytes => &[b"ERR BYTES must be a number greater than zero"],
        TopicError::Dedup => &[b"ERR the key of DEDUP must have 1 to 256 bytes"],
        TopicError::Bound(name) => &[
            b"ERR ",
            name.as_bytes(),
            b" must be a number greater than zero",
        ],
        TopicError::Number => &[b"ERR TUNSUB takes the number of a subscription"],
    };
    join(line, parts);
}

/// A reader of a name wants other patterns than the name has.
pub(super) fn write_misread(misread: &Misread, line: &mut Vec<u8>) {
    let quoted = |patterns: &[Arc<[u8]>]| {
        let quoted = patterns
            .iter()
            .map(|p| [b"'", &shown(p)[..], b"'"].concat());
        quoted.collect::<Vec<_>>().join(&b' ')
    };
    let parts: &[&[u8]] = &[
        b"ERR cursor '",
        &shown(&misread.name),
        b"' reads ",
        &quoted(&misread.reads),
        b", not ",
        &quoted(&misread.not),
    ];
    join(line, parts);
}

/// Where other nodes are known that keep topics, their addresses follow.
pub(super) const NOT_SERVED: &str = "NOTOPICS This node keeps no topics (topics no): ask another";

pub(super) fn refusal(refusal: TopicRefusal) -> &'static str {
    match refusal {
        TopicRefusal::NotServed => NOT_SERVED,
        TopicRefusal::TooFewTakers => {
            "NOREPL Not enough reachable nodes take copies for the requested replication level: nothing was published"
        }
        TopicRefusal::Clock => {
            "CLOCK The clock of this node is more than 60 seconds from those of the others: set it, or publish at another node"
        }
        TopicRefusal::Pending(_) => "PENDING ",
        TopicRefusal::Loading(_) => "LOADING topics are being copied",
        TopicRefusal::TooManyChannels => {
            "ERR there are 1000000 channels, the most that may be: TFLUSH those that are not needed"
        }
        TopicRefusal::Memory => {
            "OOM topics take all the memory of topic-max-memory: TFLUSH or TRETAIN, or raise it"
        }
        TopicRefusal::Disk => {
            "MISCONF topics take all of topic-max-disk, and rules of TRETAIN hold what is there: TFLUSH, or change the rules"
        }
        TopicRefusal::TooManyKeys => {
            "ERR 1000000 keys of DEDUP are remembered, the most that may be: lower topic-dedup-window"
        }
        TopicRefusal::TooManySubscriptions => {
            "ERR a connection has at most 10000 subscriptions: use patterns, or another connection"
        }
        TopicRefusal::UnknownSubscription => {
            "ERR this connection has no subscription of that number"
        }
        TopicRefusal::TooManyMarks => {
            "ERR 100000 patterns were flushed, the most that may be: flush with fewer, wider patterns"
        }
        TopicRefusal::TooManyRules => {
            "ERR there are 10000 rules, the most that may be: TRETAIN pattern DEL takes one away"
        }
        TopicRefusal::TooManyCursors => {
            "ERR there are 10000 named cursors, the most that may be; one that is deleted counts for 30 days"
        }
        TopicRefusal::TooManyBindings => {
            "ERR there are 10000 bindings, the most that may be; one that was ended counts for 30 days"
        }
        TopicRefusal::BoundOtherwise => {
            "ERR this pattern is bound to this queue with other options: TUNBIND it first"
        }
        TopicRefusal::BoundOnce => {
            "ERR RETRY must be greater than zero: a node that takes a binding over may make a job again"
        }
        TopicRefusal::UnknownCursor => {
            "ERR there is no named cursor of this name: TREAD or TSUB with AS begins one"
        }
        TopicRefusal::StaleCursor => {
            "STALE The name was set to another place or deleted after this cursor was handed out: read AS it again"
        }
        TopicRefusal::CursorAhead => {
            "ERR this cursor was handed out under another name, or after a TCURSOR SET that this node has not heard of yet: try again"
        }
        TopicRefusal::CommitPending => {
            "PENDING the commit is kept at this node and goes to the others, but too few have confirmed it in time: commit again"
        }
        TopicRefusal::TooManyNames => {
            "ERR a cursor has at most 256 names, and with this one it would have more: TCURSOR name SET cursor replaces it"
        }
    }
}

/// What follows the line of a refusal that has figures.
pub(super) fn write_figures(refusal: TopicRefusal, line: &mut Vec<u8>) {
    match refusal {
        TopicRefusal::Pending(id) => line.extend_from_slice(
            format!("{id} the entry is published and will be read, but too few nodes have confirmed a copy in time").as_bytes(),
        ),
        TopicRefusal::Loading(percent) => {
            line.extend_from_slice(format!(" ({percent} %)").as_bytes());
        }
        TopicRefusal::NotServed
        | TopicRefusal::TooFewTakers
        | TopicRefusal::Clock
        | TopicRefusal::TooManyChannels
        | TopicRefusal::Memory
        | TopicRefusal::Disk
        | TopicRefusal::TooManyKeys
        | TopicRefusal::TooManySubscriptions
        | TopicRefusal::UnknownSubscription
        | TopicRefusal::TooManyMarks
        | TopicRefusal::TooManyRules
        | TopicRefusal::TooManyCursors
        | TopicRefusal::TooManyBindings
        | TopicRefusal::BoundOtherwise
        | TopicRefusal::BoundOnce
        | TopicRefusal::UnknownCursor
        | TopicRefusal::StaleCursor
        | TopicRefusal::CursorAhead
        | TopicRefusal::CommitPending
        | TopicRefusal::TooManyNames => {}
    }
}
