//! The manual of the commands on queues.

use super::{Group, Manual, entry};
use crate::command::Failure::Parse;
use crate::command::ParseError;

/// What GLOBAL does to an answer.
pub(super) const GLOBAL: &str = "With `GLOBAL`, the last argument, the whole cluster answers: an array of two, the answer as it \
     is without `GLOBAL`, and an array of the ids of those nodes that did not answer in time, which is empty when the answer \
     is complete.";

pub(in crate::command) static QLEN: Manual = Manual {
    notes: &[GLOBAL],
    ..entry(
        Group::Queues,
        "queue [ GLOBAL ]",
        "Counts the ready jobs of a queue on this node, or of the whole cluster.",
        "integer: their number; 0 for an unknown queue.",
    )
};

pub(in crate::command) static QPEEK: Manual = Manual {
    failures: &[Parse(ParseError::NotInteger)],
    notes: &["Works on paused queues too.", GLOBAL],
    ..entry(
        Group::Queues,
        "queue count [ GLOBAL ]",
        "Looks at ready jobs without taking them: the oldest first, or the newest first when `count` is negative.",
        "array of jobs, each an array of queue, id and body; empty for an unknown queue.",
    )
};

pub(in crate::command) static QSTAT: Manual = Manual {
    notes: &[GLOBAL],
    ..entry(
        Group::Queues,
        "queue [ GLOBAL ]",
        "Tells the figures of a queue on this node, or of the whole cluster.",
        "array of exactly 20 elements, a name and a value in turn: name, len, age, idle, blocked, import-from, import-rate, \
         jobs-in, jobs-out, pause. Nil array for an unknown queue.",
    )
};

pub(in crate::command) static PAUSE: Manual = Manual {
    failures: &[Parse(ParseError::Near(b"OUTT", "pause"))],
    notes: &[
        "`in` refuses new jobs, `out` hands none out, `all` does both, `none` neither. They add up within one command and \
         replace the former state; `none` clears what came before it.",
        "`state` changes nothing. `bcast` tells the resulting state to all nodes.",
    ],
    ..entry(
        Group::Queues,
        "queue < NONE | IN | OUT | ALL | STATE | BCAST > ...",
        "Stops or restarts the input and the output of a queue.",
        "simple string: the state that holds now: `none`, `in`, `out` or `all`.",
    )
};

pub(in crate::command) static QSCAN: Manual = Manual {
    failures: &[
        Parse(ParseError::CursorOrOption(b"CUONT", "qscan")),
        Parse(ParseError::Near(b"CUONT", "qscan")),
        Parse(ParseError::NotInteger),
    ],
    notes: &[
        "The cursor may stand anywhere among the options; without one the scan begins. `COUNT`, 100 by default, is a hint; \
         `BUSYLOOP` returns everything at once.",
        "`MINLEN` and `MAXLEN` bound the ready jobs of a queue, `IMPORTRATE` is the least number of jobs a second that it gets \
         from other nodes.",
    ],
    ..entry(
        Group::Queues,
        "[ cursor ] [ COUNT n ] [ BUSYLOOP ] [ MINLEN n ] [ MAXLEN n ] [ IMPORTRATE n ]",
        "Walks the queues of this node.",
        "array of the next cursor (a bulk, `0` at the end) and an array of queue names.",
    )
};
