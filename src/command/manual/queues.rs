//! The manual of the commands on queues.

use shoalmq_core::command::Refusal;
use shoalmq_core::policy::Policy;

use super::{Group, Manual, entry};
use crate::Failure::{Parse, Refused};
use crate::ParseError;

/// What GLOBAL does to an answer.
pub(super) const GLOBAL: &str = "With `GLOBAL`, the last argument, the whole cluster answers: an array of two, the answer as it \
     is without `GLOBAL`, and an array of the ids of those nodes that did not answer in time, which is empty when the answer \
     is complete.";

pub(crate) static QLEN: Manual = Manual {
    notes: &[GLOBAL],
    ..entry(
        Group::Queues,
        "queue [ GLOBAL ]",
        "Counts the ready jobs of a queue on this node, or of the whole cluster.",
        "integer: their number; 0 for an unknown queue.",
    )
};

pub(crate) static QPEEK: Manual = Manual {
    failures: &[Parse(ParseError::NotInteger)],
    notes: &[
        "Works on paused queues too.",
        "`WITHMETA` adds to each job what GETJOB adds: its `META`, how often it was handed out so far, and what a dead letter died \
         of.",
        GLOBAL,
    ],
    ..entry(
        Group::Queues,
        "queue count [ WITHMETA ] [ GLOBAL ]",
        "Looks at ready jobs without taking them: the oldest first, or the newest first when `count` is negative.",
        "array of jobs, each an array of queue, id and body, with `WITHMETA` also `meta` and a map (in RESP2 a flat array); \
         empty for an unknown queue.",
    )
};

pub(crate) static REDRIVE: Manual = Manual {
    failures: &[
        Parse(ParseError::Count),
        Parse(ParseError::InvalidJobId),
        Parse(ParseError::NoValue(b"IDS")),
        Parse(ParseError::Near(b"CUONT", "redrive")),
    ],
    notes: &[
        "Moves the jobs that wait in the queue, the oldest first: to the queue that `TO` names, or else each dead letter to the queue \
         that it came from. Without `TO`, jobs that are no dead letters stay.",
        "A dead letter starts again: its counters are 0, and it has its full TTL. Any other job keeps both.",
        "`IDS`, which comes last, moves only these. `COUNT` bounds their number. A job stays if the queue that it would go to is \
         paused in input.",
        "Works for the whole cluster: one node after the other moves its jobs in small steps, and the reply comes when all that can be \
         reached are done. Jobs that are handed out, or that wait for a retry, stay; so do those of nodes that are away.",
    ],
    ..entry(
        Group::Queues,
        "queue [ COUNT n ] [ TO queue ] [ IDS id ... ]",
        "Sends dead letters back, or moves the jobs of a queue to another.",
        "integer: how many jobs were moved.",
    )
};

pub(crate) static QSTAT: Manual = Manual {
    notes: &[
        "`len` counts the jobs that are ready. A queue is known while jobs of it are ready, active, delayed or restored, and \
         for 5 minutes after.",
        "`FULL` counts the jobs that are not ready, each by what the node knows of it. `active`: this node handed it out, or \
         took it out of its queue for DEQUEUE, and it is not acknowledged. `delayed`: it was added here, and its delay is not over, or it waits after NACK. `dead`: it is a dead letter that waits in this queue; such jobs are in `len`, too. `copies`: another node has it ready, \
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
         jobs-in, jobs-out, pause. With `FULL` 12 more follow: active, delayed, dead, copies, restored, restored-requeue-within. \
         Nil array for an unknown queue.",
    )
};

pub(crate) static PAUSE: Manual = Manual {
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

pub(crate) static QCONFIG: Manual = Manual {
    failures: &[
        Parse(ParseError::UnknownPolicy(b"x")),
        Parse(ParseError::Retry),
        Parse(ParseError::Ttl),
        Parse(ParseError::Delay),
        Parse(ParseError::Replicate),
        Parse(ParseError::MaxLen),
        Parse(ParseError::Priority),
        Parse(ParseError::MaxDeliver),
        Parse(ParseError::Dead),
        Parse(ParseError::BackoffPolicy),
        Parse(ParseError::DeadTtl),
        Parse(ParseError::PolicyYesNo(Policy::PauseIn)),
        Parse(ParseError::PolicyOfQueue(Policy::PauseIn)),
        Parse(ParseError::Near(b"SETT", "qconfig")),
        Parse(ParseError::NoValue(b"ttl")),
        Refused(Refusal::TooManySettings),
    ],
    notes: &[
        "A policy is set on the name of a queue, or on the beginning of names with `*` behind it: `mail*` is every queue whose \
         name begins with `mail`, and `*` is every queue. For each policy by itself the most specific entry wins: the name, then \
         the longest beginning.",
        "`retry`, `ttl`, `delay`, `replicate`, `maxlen`, `priority` and `keep` stand in for the options of ADDJOB of these names, with the same \
         values, when a job does not name them. They apply when a job is added, at the node that adds it: jobs that are there \
         already stay as they are. An option of the job always wins.",
        "ADDJOB is refused where it would be refused with these options. If a policy had a part in it, the error names the \
         policy: `ERR The specified DELAY is greater than TTL. Job refused since would never be delivered (QCONFIG: delay)`. \
         `retry 0` needs `replicate 1` beside it wherever a cluster has more than one node.",
        "`max-deliver`, `dead-queue` and `backoff` (as `base:max`) stand in for MAXDELIVER, DEAD and BACKOFF of ADDJOB, and `dead-ttl` is how \
         many seconds a dead letter lives: 604800, which is 7 days, by default. It is set on the queue that the job fails in, not on the dead \
         queue. These four are looked up when a job fails, so a change reaches jobs that are already there. They do not apply to jobs with `RETRY 0`.",
        "`pause-in` and `pause-out` (`yes` or `no`, on names only) are what PAUSE with `bcast` writes.",
        "With `SET` and `UNSET` all changes are made, or none. They hold for the whole cluster: they survive restarts, and a \
         node that is away learns of them when it returns. The last command wins; only between two that did not know of each \
         other the clocks of their nodes decide.",
        "A cluster holds at most 10 000 entries of each policy, those removed in the last 30 days included.",
    ],
    ..entry(
        Group::Queues,
        "[ queue [ SET name value [ name value ] ... | UNSET name ... ] ]",
        "Tells or changes what applies to the jobs of queues that do not say it themselves.",
        "without arguments, array of the patterns that something is set on, each an array of the pattern and a map of its \
         policies. With a queue, map of what applies to a queue of this name; with a beginning and `*`, of what is set on \
         it. With `SET` or `UNSET`, simple string: `OK`. A map is a flat array in RESP2.",
    )
};

pub(crate) static QPURGE: Manual = Manual {
    failures: &[Refused(Refusal::TooManySettings)],
    notes: &[
        "Every job of the queue that was added before this moment goes, whatever its state: ready, delayed, handed out, or \
         waiting for copies. Jobs that are added after the reply stay, at any node, whatever the clocks of the nodes say.",
        "The moment is a mark that the cluster keeps for 30 days: for each node, the last job that it had added, as far as any of \
         the reached nodes has heard. No node that knows the mark hands out a job that the mark covers, whatever a crash, a late copy or \
         a node that comes back brings. A node that is away learns of it when it returns, and then deletes the jobs that the mark \
         covers. What it added after the others last heard of it stays, because nobody can tell whether that was before the \
         purge: a second QPURGE removes it. Linked nodes tell each other once a second.",
        "A worker that has one of the jobs keeps it, and its ACKJOB returns 0. A producer that waits for copies is told \
         `-NOREPL job removed ...`.",
        "Jobs are deleted in small steps, younger ones are handed out meanwhile, and the reply comes when all are deleted at the \
         reached nodes, or after 5 minutes.",
        "With `appendfsync always` the reply comes when the mark is on disk at the reached nodes; otherwise a crash of all of them may \
         take it back.",
        "A cluster holds at most 10 000 queues that were purged in the last 30 days.",
    ],
    ..entry(
        Group::Queues,
        "queue",
        "Deletes all jobs of a queue, on all nodes.",
        "integer: how many jobs the nodes that could be reached had; copies are not counted.",
    )
};

pub(crate) static QLIST: Manual = Manual {
    failures: &[
        Parse(ParseError::ListOrder),
        Parse(ParseError::Count),
        Parse(ParseError::NoValue(b"MATCH")),
        Parse(ParseError::Near(b"LOCALL", "qlist")),
    ],
    notes: &[
        "`ready`, `active`, `delayed` and `dead` count jobs as `QSTAT FULL` does; `dead` are the dead letters that wait in this \
         queue, and they are in `ready`, too. `oldest` is for how many seconds the job that is delivered next has been due, 0 when \
         none is ready. `consumers` are clients that wait for a job of the queue. `in` and `out` are jobs a second over the \
         last 10 seconds, rounded up: jobs that were added, moved here or put back, and jobs that were handed out. `paused` is a \
         word of PAUSE: `none`, `in`, `out` or `all`; a direction counts as paused if any node has paused it.",
        "Works for the whole cluster, from any node. `LOCAL` tells only of this node, and asks no other.",
        "`MATCH` selects queues whose names a glob matches: `*`, `?`, `[a-z]`, `\\` before a literal. `SORT` says which come first: `name` \
         (default), `ready` (the most ready jobs), or `age` (the greatest `oldest`); queues that are equal in it are in the order \
         of their names. `COUNT`, 1000 by default, is how many queues there are at most; never more than 1 048 576.",
        "The order is that of the sums over all nodes. With more queues than `COUNT`, a node sends only those that may be listed, so \
         a short list of 100 000 queues is cheap. It costs more by `ready` when most queues are about equally long.",
        "A queue is listed while it has jobs, is paused, or has clients that wait, and for 5 minutes after. After an unclean stop its \
         jobs wait for their retry, and only `restored` of `QSTAT FULL` counts them until then.",
    ],
    ..entry(
        Group::Queues,
        "[ MATCH glob ] [ SORT < NAME | READY | AGE > ] [ COUNT n ] [ LOCAL ]",
        "Lists the queues of the cluster with their figures.",
        "array of two: an array of maps, one for each queue, and an array of the ids of those nodes that did not answer in \
         time, which is empty when the list is complete. A map has name, ready, active, delayed, dead, oldest, consumers, in, \
         out, paused; it is a flat array in RESP2.",
    )
};

pub(crate) static QSCAN: Manual = Manual {
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
