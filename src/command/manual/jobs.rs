//! The manual of the commands on jobs.

use shoalmq_core::command::Refusal;
use shoalmq_core::meta;

use super::queues::GLOBAL;
use super::{Group, Manual, entry};
use crate::Failure::{self, Parse, Refused};
use crate::ParseError;

const IDS: &str = "[ id ... ]";
const BAD_ID: &[Failure<'static>] = &[Parse(ParseError::InvalidJobId)];
const ALL_OR_NONE: &str = "All ids are checked first: one malformed id, and nothing is done. Without ids the answer is 0.";
const ANY_NODE: &str = "Any node takes it. One that does not hold the job passes it on: to the node that has the job queued or handed it out or, if \
                        that one cannot be reached, to one that has a copy.";
const AT_MOST_ONCE: &str =
    "At-most-once jobs (`RETRY 0`) that were delivered are never queued again: they count 0.";

pub(crate) static ADDJOB: Manual = Manual {
    failures: &[
        Parse(ParseError::Replicate),
        Parse(ParseError::Ttl),
        Parse(ParseError::Retry),
        Parse(ParseError::Delay),
        Parse(ParseError::MaxLen),
        Parse(ParseError::Priority),
        Parse(ParseError::MaxDeliver),
        Parse(ParseError::Dead),
        Parse(ParseError::Backoff),
        Parse(ParseError::DedupKey),
        Parse(ParseError::Window),
        Parse(ParseError::WindowAlone),
        Parse(ParseError::Keep),
        Parse(ParseError::Meta(meta::Refused::TooMuch)),
        Parse(ParseError::Meta(meta::Refused::Reserved)),
        Parse(ParseError::Near(b"RETRI", "addjob")),
        Parse(ParseError::NoValue(b"RETRY")),
        Parse(ParseError::TimeoutNotInteger),
        Parse(ParseError::TimeoutNegative),
        Refused(Refusal::RetryZeroNeedsOneReplica),
        Refused(Refusal::DelayBeyondTtl),
        Refused(Refusal::NeedsRetry),
        Refused(Refusal::TooFewNodes),
        Refused(Refusal::TooFewNodesLeaving),
        Refused(Refusal::TooFewNodesMemory),
        Refused(Refusal::QueueTooLong),
        Refused(Refusal::QueuePaused),
        Refused(Refusal::ReplicationTimeout),
        Refused(Refusal::RemovedWhileReplicating),
    ],
    notes: &[
        "`ms-timeout` is how long to wait for the replicas, in milliseconds; 0 sets no limit.",
        "`REPLICATE` is the number of nodes that hold the job before ADDJOB answers. Without it the node aims at \
         `default-replicate` copies, 3 by default: it accepts the job with `min-replicate` copies, or as many as there \
         are nodes if these are fewer, and makes the missing ones later.",
        "A member that became unreachable less than 10 s ago is expected back, for it may only be restarting; in the \
         first 10 s after its own start a node expects all members it knows. ADDJOB waits for such a member, up to \
         `ms-timeout`, and is refused at once when even these nodes are too few. With `ms-timeout` 0 it is refused as \
         soon as the missing nodes are no longer expected. A node that leaves (`CLUSTER LEAVING yes`) is never expected.",
        "`DELAY` is how long the job waits before it is first ready: 0 by default, and less than `TTL`. `RETRY` is how long \
         a delivered job may stay unacknowledged before it is delivered again: a tenth of `TTL` by default, at least 1 s \
         and at most 300 s; `RETRY 0` asks for at-most-once delivery. `TTL` is how long the job is kept: 86400 by default; \
         then it is dropped, done or not. All three are in seconds.",
        "`MAXLEN` refuses the job when its queue has this many jobs or more on this node; other nodes do not count. `ASYNC` \
         answers before the replicas confirmed.",
        "`PRIORITY`, 0 (the default) to 255, says which job goes first: the one with the highest, and among jobs of one priority the one that \
         entered the queue first. That is exact at one node; a node that sends jobs to another one, where clients wait, sends the \
         highest first.",
        "`MAXDELIVER`, 1 to 65535, is how often the job may be handed out: when it is to be put back after that, because its retry is over or \
         by NACK, it is moved to its dead queue instead. `DEAD` names that queue; by default it is the name of the job's queue with `.dead` behind it. \
         A job with `MAXDELIVER` or `DEAD` also becomes a dead letter when its TTL ends. `BACKOFF` makes the job wait after NACK: base seconds after the first, and twice as long after each that follows, at most max; 20 % more or less, at \
         random, and no longer than half of the TTL that is left. None of \
         them goes with `RETRY 0`.",
        "`DEDUP` gives the job a key, 1 to 256 bytes, that belongs to its queue. While a job with this key is not over, and until `WINDOW` \
         seconds (0 by default) after it was added, adding again makes no job: the answer is the id of that job, also if the queue is paused or \
         full. Of several jobs with the key it is the oldest. A job counts once its producer was answered. A dead letter, and a \
         job that is over, count only while `WINDOW` runs; one that was withdrawn, cancelled (`DELJOB ... GLOBAL`) or purged does not count, \
         nor does a dead letter that REDRIVE sent back. The body and the options of the job stay as they are.",
        "While no node comes or goes, nodes that can reach each other have one such job a key, however many producers add it at once. In a \
         partition each side may have one, and both may be delivered. When the nodes meet again, the younger one ends as `duplicate`, \
         once every member of the cluster has said that the older one is not over.",
        "`RECEIPT` tells who has the job at the moment of the answer. `on-disk` counts the nodes that run with `appendfsync always`. Nodes without \
         a zone share one. If `existing` is 1, the other three are 0.",
        "`KEEP`, 1 to 604800 s, is for how long the end of the job is kept once it is over: how it ended, and the result. It is as safe as \
         the job was, and WAITJOB tells it.",
        "`META` gives the job a named value, and may be given several times: 16 pairs, 4096 bytes of names and values in all. \
         The queue does not look at it. It goes with the job to every node, through every restart, until the job ends, and \
         GETJOB returns it with `WITHMETA`. Of a name given twice the last value counts. `traceparent` and `tracestate` \
         are the names of the W3C Trace Context; names that begin with `shoal.` are refused.",
        "Several may be under way on one connection: commands behind one that waits go on, and are answered in order.",
        "`-NOREPL Timeout reached ...` means that the job is withdrawn. So is a job that is refused for too few nodes after a \
         wait, and that of a producer that disconnects while it waits. A withdrawn job ends like an acknowledged one: every node that was sent a copy is told until it has \
         answered, across restarts too, and no node that has been told delivers it. SHOW gives its state as `withdrawn` \
         until all nodes have answered. It counts neither as added nor as acknowledged.",
        "A withdrawn job may still be delivered by a node that has a copy and has not been told. That is a node that cannot \
         reach any node that knows of the withdrawal when its retry ends; one that stays away past the job's TTL; one that \
         was forgotten (CLUSTER FORGET); and any node, once the others have evicted the withdrawal for lack of memory \
         (`maxmemory-policy acks`). With `appendfsync always`, NOREPL is sent when the withdrawal is on disk; otherwise a \
         crash of the adding node may undo the withdrawals of its last seconds.",
        "A node that could not reach the adding node for a whole retry may have delivered the job before NOREPL was sent. \
         That node does not deliver the job again once it has been told, and ACKJOB then returns 0 for it.",
        "`-NOREPL job removed ...` means that, before there were enough copies, the job was acknowledged or deleted, or its \
         TTL ended. It may have been delivered.",
        "Where QCONFIG sets a policy for the queue, it stands in for an option that is not given.",
        "Options are checked from left to right, then the timeout. Of an option given twice the last counts. Times above \
         136 years count as 136 years.",
    ],
    ..entry(
        Group::Jobs,
        "queue body ms-timeout [ REPLICATE n ] [ DELAY s ] [ RETRY s ] [ TTL s ] [ MAXLEN n ] [ PRIORITY n ] [ MAXDELIVER n ] [ DEAD queue ] [ BACKOFF base max ] [ DEDUP key [ WINDOW s ] ] [ KEEP s ] [ META name value ] ... [ ASYNC ] [ RECEIPT ]",
        "Adds a job to a queue.",
        "simple string: the id of the job. With `RECEIPT` a map (in RESP2 a flat array): `id`; `existing`, 1 if `DEDUP` found the job; `copies`, the nodes that confirmed it; `on-disk`, those of them that had it on disk by then; and `zones`, the different ones among them.",
    )
};

pub(crate) static GETJOB: Manual = Manual {
    failures: &[
        Parse(ParseError::Near(b"FORM", "getjob")),
        Parse(ParseError::NoValue(b"COUNT")),
        Parse(ParseError::NoQueue),
        Parse(ParseError::TimeoutNotInteger),
        Parse(ParseError::TimeoutNegative),
        Parse(ParseError::Count),
        Refused(Refusal::Leaving),
    ],
    notes: &[
        "Waits for a job when there is none: `TIMEOUT` bounds the wait (0, the default, is for ever), `NOHANG` does not wait. \
         A client that had to wait gets exactly one job, whatever `COUNT` says.",
        "Jobs of other nodes come too. A client that waits gets a new one at once. For one that does not wait (`NOHANG`, or \
         the last 10 ms of `TIMEOUT`) a job first stays for 50 ms at the node that has it, in case a client takes it there: ask again.",
        "Everything after `FROM` is a queue. Jobs are taken one from each queue in turn, round after round.",
        "A job that is not acknowledged within its retry is delivered again.",
        "With `WITHMETA`, the map holds what ADDJOB was given as `META`, and `shoal.deliveries`: how often the job was handed \
         out, this time included. While `MAXDELIVER` applies to the job that number is counted; otherwise it is an estimate, 1 + nacks + \
         additional deliveries. A dead letter also has `shoal.dead.from` (the queue that it was in), `shoal.dead.reason` (`deliveries`, \
         `nack` or `expired`), `shoal.dead.text` (the last `REASON` of NACK), `shoal.dead.deliveries` and `shoal.dead.at` (unix \
         milliseconds).",
        "Choose a `TIMEOUT` below the socket timeout of your client library, which otherwise gives up before the reply comes. \
         The socket timeout of redis-py 8 is 5 s by default: use 2000 to 4000 ms.",
        "A node that drains or stops closes the connections of waiting clients without a reply: connect again, to another \
         node. After `CLUSTER LEAVING yes` it answers `LEAVING` instead.",
    ],
    ..entry(
        Group::Jobs,
        "[ NOHANG ] [ TIMEOUT ms ] [ COUNT n ] [ WITHCOUNTERS ] [ WITHMETA ] FROM queue ...",
        "Takes jobs out of queues, or waits for one.",
        "array of jobs, each an array of queue, id and body; with `WITHCOUNTERS` also `nacks`, their number, \
         `additional-deliveries`, their number; with `WITHMETA` also `meta` and a map (in RESP2 a flat array). Nil array \
         when there is nothing.",
    )
};

pub(crate) static ACKJOB: Manual = Manual {
    failures: &[
        Parse(ParseError::InvalidJobId),
        Parse(ParseError::NoValue(b"RESULT")),
        Parse(ParseError::Near(b"RESLUT", "ackjob")),
        Refused(Refusal::ResultTooLarge(65_536)),
    ],
    notes: &[
        ALL_OR_NONE,
        "An acknowledged job vanishes once every node that may hold a copy has confirmed; one that was added with `KEEP` stays for as \
         long as that says, without its body.",
        "`RESULT` goes to those who wait for the job (WAITJOB), and is kept if the job has `KEEP`. It has at most `result-max-size` bytes, \
         65536 by default; with more than that nothing is acknowledged. With several ids, each gets this result. Of two \
         results for one job the first is kept.",
    ],
    ..entry(
        Group::Jobs,
        "[ id ... ] [ RESULT bytes ]",
        "Acknowledges jobs: they are done, and forgotten everywhere.",
        "integer: how many were known here and not yet acknowledged.",
    )
};

pub(crate) static FASTACK: Manual = Manual {
    failures: BAD_ID,
    notes: &[
        ALL_OR_NONE,
        "Cheaper than ACKJOB, since no confirmations are gathered: after a failure a job may come again.",
    ],
    ..entry(
        Group::Jobs,
        IDS,
        "Acknowledges jobs with best effort.",
        "integer: how many were deleted here.",
    )
};

pub(crate) static DELJOB: Manual = Manual {
    failures: &[
        Parse(ParseError::InvalidJobId),
        Parse(ParseError::Near(b"GLOABL", "deljob")),
    ],
    notes: &[
        ALL_OR_NONE,
        "Without `GLOBAL`, copies on other nodes stay, and may be delivered.",
        "With `GLOBAL`, which comes last, the jobs are cancelled: they end on all nodes as if they were acknowledged, and those that are \
         away hear of it when they come back. A worker that has such a job keeps it, and its ACKJOB returns 0. Any node \
         takes this for any job.",
    ],
    ..entry(
        Group::Jobs,
        "[ id ... ] [ GLOBAL ]",
        "Forgets jobs on this node only, or cancels them everywhere.",
        "integer: how many were deleted here; with `GLOBAL`, how many were not over yet, at this node and at those that it can reach.",
    )
};

pub(crate) static WAITJOB: Manual = Manual {
    failures: &[
        Parse(ParseError::InvalidJobId),
        Parse(ParseError::TooManyIds),
        Parse(ParseError::NoValue(b"TIMEOUT")),
        Parse(ParseError::TimeoutNotInteger),
        Parse(ParseError::TimeoutNegative),
    ],
    notes: &[
        "Waits until none of the jobs is pending, or for `TIMEOUT` milliseconds; 0, the default, is for ever. Any node takes it, for \
         jobs of all nodes.",
        "The outcome is `acked`, with the `RESULT` of ACKJOB or nil; `dead`, with what GETJOB tells of a dead letter with `WITHMETA`; `expired`, \
         with nil; `deleted`, with nil; `duplicate`, with the id of the older job that has the same `DEDUP` key; `pending`, with the last `PROGRESS` of WORKING or nil, when the time is up; or `unknown`, with nil.",
        "An ack counts at once, wherever it was given. Any other end counts once no node that can be reached has the job unfinished. A job is \
         unknown if no member of the cluster knows it; while one of them cannot be reached, that is answered only when the time \
         is up.",
        "The outcome of a job is remembered for about 5 minutes, in memory, and for less time under load; the result only reaches those \
         who wait when it comes. Add the job with `KEEP` to have both for a given time.",
    ],
    ..entry(
        Group::Jobs,
        "[ TIMEOUT ms ] id ...",
        "Waits for the end of jobs, and tells how they ended.",
        "array with an array for each id, in the order in which they were given: id, outcome, detail.",
    )
};

pub(crate) static ENQUEUE: Manual = Manual {
    failures: BAD_ID,
    notes: &[
        ALL_OR_NONE,
        AT_MOST_ONCE,
        "A delayed job is queued at once.",
    ],
    ..entry(
        Group::Jobs,
        IDS,
        "Puts jobs into their queues now.",
        "integer: how many went from active to queued.",
    )
};

pub(crate) static NACK: Manual = Manual {
    failures: &[
        Parse(ParseError::InvalidJobId),
        Parse(ParseError::Delay),
        Parse(ParseError::DeadExcludes),
        Parse(ParseError::Near(b"RAESON", "nack")),
    ],
    notes: &[
        ALL_OR_NONE,
        AT_MOST_ONCE,
        "Queues are ordered by entry, so a job goes back to its old place, mostly the head.",
        "A job waits before it goes back when `BACKOFF` of ADDJOB or a policy says so, or for `DELAY` seconds; never for longer than half of the \
         TTL that it has left. `TO` puts it at the end of another queue, where it stays. \
         `REASON` is kept with the job, up to 1 KiB, and tells why it died if it does.",
        "`DEAD` moves the job to its dead queue, and so does any NACK of a job that was handed out as often as `MAXDELIVER` allows. \
         `NACK ... DEAD` of a dead letter puts it back with the new `REASON`. `DEAD` and `TO` also take jobs that wait in a queue.",
        ANY_NODE,
    ],
    ..entry(
        Group::Jobs,
        "[ id ... ] [ DELAY s ] [ TO queue ] [ REASON text ] [ DEAD ]",
        "Gives jobs back: into their queues now or later, into another queue, or to the dead letters.",
        "integer: how many were put back, moved or buried.",
    )
};

pub(crate) static PROMOTE: Manual = Manual {
    failures: &[Parse(ParseError::InvalidJobId), Parse(ParseError::Priority)],
    notes: &[
        "The job keeps its place among the jobs of that priority, by the time when it entered the queue. To end a delay or a wait, use \
         ENQUEUE.",
        ANY_NODE,
    ],
    ..entry(
        Group::Jobs,
        "id [ n ]",
        "Sets the priority of a job to n, or to 255.",
        "integer: 1, or 0 if no node that can be reached has the job, unfinished.",
    )
};

pub(crate) static DEQUEUE: Manual = Manual {
    failures: BAD_ID,
    notes: &[ALL_OR_NONE],
    ..entry(
        Group::Jobs,
        IDS,
        "Takes jobs out of their queues.",
        "integer: how many went from queued to active.",
    )
};

pub(crate) static WORKING: Manual = Manual {
    failures: &[
        Parse(ParseError::InvalidJobId),
        Refused(Refusal::UnknownJob),
        Refused(Refusal::TooLateToPostpone),
        Parse(ParseError::Progress),
        Parse(ParseError::Near(b"PORGRESS", "working")),
    ],
    notes: &[
        "`PROGRESS` is shown to those who wait for the job (WAITJOB). It has at most 1024 bytes, and is kept in memory, at one node.",
        ANY_NODE,
    ],
    ..entry(
        Group::Jobs,
        "id [ PROGRESS bytes ]",
        "Postpones the next delivery of a job by its retry, since it is still being worked on.",
        "integer: the retry of the job in seconds.",
    )
};

pub(crate) static SHOW: Manual = Manual {
    failures: BAD_ID,
    ..entry(
        Group::Jobs,
        "id",
        "Tells all that this node knows of a job.",
        "array of exactly 30 elements, a name and a value in turn: id, queue, state, repl, ttl, ctime, delay, retry, nacks, \
         additional-deliveries, nodes-delivered, nodes-confirmed, next-requeue-within, next-awake-within, body. Nil bulk for \
         an unknown job.",
    )
};

pub(crate) static EXPLAIN: Manual = Manual {
    failures: BAD_ID,
    notes: &[
        "Any node takes it, for jobs of all nodes: it asks all members that it can reach. `missing` lists those that did not answer within \
         1 s.",
        "`state` is `wait-repl` (its producer waits for copies), `queued`, `active` (handed out, or waiting for its retry), `delayed`, \
         `dead`, or how it ended: `acked`, `deleted`, `expired`; `withdrawn` (ADDJOB was answered with NOREPL); or `unknown` when nothing is \
         left but what happened. `why` is for people, and its words may change.",
        "Each copy is a map: `node`; `state` (as above, or `copy`: another node has the turn to deliver it; or `restored`: read at the start of \
         the node, which cannot know who has it); `queue`; `version` (0, and one more with each move to another queue or priority); `turn` (1 if \
         it is this node's turn to deliver it); `next`, what the node will do by itself; `next-in`, in how many milliseconds, or nil.",
        "`held-by` is nil or a map: `node`, `client` (its id in CLIENT LIST of that node), `name` (CLIENT SETNAME; empty when it has none, or is no \
         longer connected) and `since` (unix milliseconds). `progress` is what WORKING said last, or nil.",
        "Each event is an array: unix milliseconds, node, event, detail. A node remembers its last 65536 events of all jobs, in memory, and tells up \
         to 64 of one job. Under load that is little more than a second, and then neither `events` nor `held-by` says anything.",
    ],
    ..entry(
        Group::Jobs,
        "id",
        "Tells where a job is, why it is not being delivered, and what happens next.",
        "map of `id`, `queue`, `state`, `why`, `copies`, `held-by`, `progress`, `events` and `missing` (a flat array in RESP2). Nil bulk for \
         an unknown job.",
    )
};

pub(crate) static JSCAN: Manual = Manual {
    failures: &[
        Parse(ParseError::CursorOrOption(b"CUONT", "jscan")),
        Parse(ParseError::Near(b"CUONT", "jscan")),
        Parse(ParseError::NotInteger),
        Parse(ParseError::JobState),
        Parse(ParseError::ScanReply),
    ],
    notes: &[
        "The cursor may stand anywhere among the options; without one the scan begins. `COUNT`, 100 by default, is a hint; \
         `BUSYLOOP` returns everything at once.",
        "`QUEUE` shows the jobs of one queue only. States are `wait-repl`, `active`, `queued` and `acked`, which includes \
         withdrawn jobs (see ADDJOB); `STATE` may be repeated.",
        GLOBAL,
    ],
    ..entry(
        Group::Jobs,
        "[ cursor ] [ COUNT n ] [ BUSYLOOP ] [ QUEUE queue ] [ STATE state ] ... [ REPLY < ALL | ID > ] [ GLOBAL ]",
        "Walks the jobs of this node, or of one node of the cluster after the other.",
        "array of the next cursor (a bulk, `0` at the end) and an array: ids as simple strings, or with `REPLY all` what SHOW \
         tells.",
    )
};

pub(crate) static LOADJOB: Manual = Manual {
    failures: &[Parse(ParseError::LoadJob)],
    ..entry(
        Group::Jobs,
        "job",
        "Is refused: the job log has its own format here.",
        "none.",
    )
};
