//! The manual of the commands on queues.

use shoalmq_core::command::Refusal;

use super::{Group, Manual, entry};
use crate::command::Failure::{Parse, Refused};
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
    notes: &[
        "`len` counts the jobs that are ready. A queue is known while jobs of it are ready, active, delayed or restored, and \
         for 5 minutes after.",
        "`FULL` counts the jobs that are not ready, each by what the node knows of it. `active`: this node handed it out, or \
         took it out of its queue for DEQUEUE, and it is not acknowledged. `delayed`: it was added here, and its delay is not over. `copies`: another node has it ready, \
         active or delayed; a queue of copies alone is known to `FULL`. `restored`: this node read it from disk at its start and \
         cannot tell whether somebody still works on it. After an unclean stop that is every job with a retry, copies too; after \
         a clean stop, every job that was active.",
        "`restored-requeue-within` tells in how many milliseconds the last of the restored jobs has been queued again, at the \
         latest; nil when there are none.",
        "`FULL` and `GLOBAL` may stand in either order. `GLOBAL` adds the nodes up: a job that several nodes read from disk \
         counts at each of them.",
        GLOBAL,
    ],
    ..entry(
        Group::Queues,
        "queue [ FULL ] [ GLOBAL ]",
        "Tells the figures of a queue on this node, or of the whole cluster.",
        "array of exactly 20 elements, a name and a value in turn: name, len, age, idle, blocked, import-from, import-rate, \
         jobs-in, jobs-out, pause. With `FULL` 10 more follow: active, delayed, copies, restored, restored-requeue-within. \
         Nil array for an unknown queue.",
    )
};

pub(in crate::command) static PAUSE: Manual = Manual {
    failures: &[
        Parse(ParseError::Near(b"OUTT", "pause")),
        Refused(Refusal::TooManySettings),
    ],
    notes: &[
        "`in` refuses new jobs, `out` hands none out, `all` does both, `none` neither. They add up within one command and \
         replace the former state; `none` clears what came before it.",
        "`state` changes nothing.",
        "With `bcast` the state holds for the whole cluster: it survives restarts, and a node that is away learns of it when it \
         returns. The last command wins; only between two that did not know of each other the clocks of their nodes decide. \
         Without `bcast` the state holds at this node alone, until the next PAUSE of the queue with `bcast`, or a restart.",
        "A cluster holds at most 10 000 queues that were paused with `bcast`, those resumed in the last 30 days included.",
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
         from other nodes. Each node judges its own queues.",
        GLOBAL,
        "With `GLOBAL`, a queue that several nodes know is named once in an answer, but may be named again in a later one.",
    ],
    ..entry(
        Group::Queues,
        "[ cursor ] [ COUNT n ] [ BUSYLOOP ] [ MINLEN n ] [ MAXLEN n ] [ IMPORTRATE n ] [ GLOBAL ]",
        "Walks the queues of this node, or of one node of the cluster after the other.",
        "array of the next cursor (a bulk, `0` at the end) and an array of queue names.",
    )
};
