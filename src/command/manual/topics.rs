//! The manual of the commands on topics.

use shoalmq_core::command::Refusal;
use shoalmq_core::topic::{EntryId, TopicRefusal};

use super::{Group, Manual, Subcommand, entry, sub};
use crate::Failure::{self, Parse, Refused, Server};
use crate::topic::TopicError;
use crate::{ParseError, ServerError};

const NOT_SERVED: Failure<'static> = Server(ServerError::NoTopics("10.0.0.2:7711, 10.0.0.3:7711"));
const LOADING: Failure<'static> = Refused(Refusal::Topic(TopicRefusal::Loading(43)));
const CHANNEL: Failure<'static> = Parse(ParseError::Topic(TopicError::Channel));
const PATTERN: Failure<'static> = Parse(ParseError::Topic(TopicError::Pattern));

const CURSOR_NAME: Failure<'static> = Parse(ParseError::Topic(TopicError::CursorName));
const UNKNOWN_CURSOR: Failure<'static> = Refused(Refusal::Topic(TopicRefusal::UnknownCursor));
const TOO_MANY_CURSORS: Failure<'static> = Refused(Refusal::Topic(TopicRefusal::TooManyCursors));

const GLOBS: &str = "Patterns are Redis's: `*` any bytes, `?` one byte, `[a-z]` one of a range, `[^a]` any other, `\\` takes the \
     next byte as it is.";
const STARTS: &str = "A start is a cursor, `0` (the oldest entry that is kept), `$` (now: what this node has counts as read), an id, \
     or unix milliseconds (what this node has up to there counts as read). Store cursors, not ids: only a cursor goes on exactly.";

const AS: &str = "`AS name` goes on from what TCOMMIT committed under that name, which all nodes keep; reading commits nothing. The first use \
     of a name makes it: it begins at `0`, or at the `FROM` or `LAST` given beside it, which later uses ignore. The name belongs to the \
     patterns of its first use. Other patterns are refused with `ERR cursor 'x' reads 'orders.*', not 'y'`. A name has 1 to 256 bytes. Two readers \
     of one name get the same entries.";

pub(crate) static TPUB: Manual = Manual {
    failures: &[
        CHANNEL,
        Parse(ParseError::Replicate),
        Parse(ParseError::Topic(TopicError::Dedup)),
        Refused(Refusal::Topic(TopicRefusal::TooFewTakers)),
        Refused(Refusal::Topic(TopicRefusal::Pending(EntryId::new(
            1_790_000_000_000,
            1,
        )))),
        Refused(Refusal::Topic(TopicRefusal::Clock)),
        Refused(Refusal::Leaving),
        Refused(Refusal::Topic(TopicRefusal::Memory)),
        Refused(Refusal::Topic(TopicRefusal::Disk)),
        Refused(Refusal::Topic(TopicRefusal::TooManyChannels)),
        Refused(Refusal::Topic(TopicRefusal::TooManyKeys)),
        NOT_SERVED,
    ],
    notes: &[
        "The entry is on disk as `appendfsync` says, for jobs and entries alike, before the reply leaves.",
        "`DEDUP`: if the channel has an entry with this key from the last `topic-dedup-window` milliseconds, nothing is published \
         and the id of that entry is the answer. A key has 1 to 256 bytes.",
        "`META` works as for ADDJOB.",
        "`REPLICATE` is strict: the reply leaves once that many nodes have the entry, this one included. Without it `topic-replicate` \
         nodes do, or all that are present if they are fewer, but `min-replicate` at least. `ASYNC` does not wait for them. `TIMEOUT` \
         is 5000 unless said, 0 for ever.",
        "`NOREPL` and `PENDING` differ: before `NOREPL` nothing was published. With `PENDING` the entry was: it stays, is copied on, \
         and will be read.",
    ],
    ..entry(
        Group::Topics,
        "channel body [ REPLICATE n ] [ TIMEOUT ms ] [ ASYNC ] [ DEDUP key ] [ META name value ] ...",
        "Publishes an entry to a channel, for all who read it now or later.",
        "bulk string: the id of the entry. Ids rise.",
    )
};

pub(crate) static TREAD: Manual = Manual {
    failures: &[
        Parse(ParseError::Topic(TopicError::NoStart)),
        Parse(ParseError::Topic(TopicError::Start(b"x", None))),
        Parse(ParseError::Topic(TopicError::Count("COUNT"))),
        Parse(ParseError::Topic(TopicError::Bytes)),
        CURSOR_NAME,
        Parse(ParseError::Topic(TopicError::NoPattern)),
        Parse(ParseError::Topic(TopicError::TooManyPatterns)),
        PATTERN,
        TOO_MANY_CURSORS,
        LOADING,
        Refused(Refusal::Leaving),
        NOT_SERVED,
    ],
    notes: &[
        STARTS,
        AS,
        GLOBS,
        "`LAST n` begins with the newest `n` entries that match, at most 10000. `TO` is the last id that is read, or the last \
         millisecond. `COUNT` is 100 unless said, at most 10000; `BYTES` is 1048576 unless said, and one entry always fits.",
        "`BLOCK` waits for the first entry, `0` for ever. When the time is up the array is empty.",
        "Of entries that retention took before they were read, a reader is told before it gets the next entry: id, nil, nil, `lost`, and how many at most are missing below the id. A page that ends before that id says so, and the next page says it again.",
    ],
    ..entry(
        Group::Topics,
        "< FROM start | LAST n | AS name > [ TO id ] [ COUNT n ] [ BYTES n ] [ BLOCK ms ] [ WITHMETA ] PATTERN pattern [ pattern ] ...",
        "Reads the next entries of all channels that match, in order of their ids.",
        "array of 2: the cursor to go on from, and an array of entries, each an array of id, channel and body. With `WITHMETA` \
         a mark, which is nil, and a map follow.",
    )
};

pub(crate) static TSUB: Manual = Manual {
    failures: &[
        Parse(ParseError::Topic(TopicError::NoPattern)),
        CURSOR_NAME,
        PATTERN,
        Refused(Refusal::Topic(TopicRefusal::TooManySubscriptions)),
        TOO_MANY_CURSORS,
        LOADING,
        NOT_SERVED,
    ],
    notes: &[
        STARTS,
        AS,
        GLOBS,
        "Begins at `$` unless said; `LAST n` begins with the newest `n` entries that match. `WITHMETA` adds a mark, which is nil, and a map to each. Each entry comes once, as an array of `tmessage`, the pattern, the channel, the id, the cursor \
         behind it and the body: as a push in RESP3, as an array in RESP2, where the connection is subscribed then.",
        "A reader that is slow loses nothing: it goes on from the log.",
    ],
    ..entry(
        Group::Topics,
        "[ < FROM start | LAST n | AS name > ] [ WITHMETA ] PATTERN pattern [ pattern ] ...",
        "Subscribes to all channels that match: what is there from the start on, then what comes.",
        "array of `tsubscribe`, the number of the subscription, and a cursor.",
    )
};

pub(crate) static TUNSUB: Manual = Manual {
    failures: &[
        Parse(ParseError::Topic(TopicError::Number)),
        Refused(Refusal::Topic(TopicRefusal::UnknownSubscription)),
    ],
    ..entry(
        Group::Topics,
        "[ number ]",
        "Ends a subscription of TSUB, or all of the connection.",
        "for each an array of `tunsubscribe`, its number, and the cursor to go on from.",
    )
};

pub(crate) static TCOMMIT: Manual = Manual {
    failures: &[
        CURSOR_NAME,
        Parse(ParseError::Topic(TopicError::Start(b"x", None))),
        UNKNOWN_CURSOR,
        Refused(Refusal::Topic(TopicRefusal::StaleCursor)),
        Refused(Refusal::Topic(TopicRefusal::CursorAhead)),
        Refused(Refusal::Topic(TopicRefusal::CommitPending)),
        Refused(Refusal::Topic(TopicRefusal::TooManyNames)),
        Refused(Refusal::TooManySettings),
        NOT_SERVED,
    ],
    notes: &[
        "`cursor` is one that TREAD or TSUB gave with `AS name`: all before it counts as read. A commit never moves the name back; commits \
         of two readers are merged, and what either has read counts as read.",
        "`STALE`: TCURSOR SET or DEL came after the cursor was handed out, and the name stays where it was set. Read `AS` it again. A cursor \
         that was handed out without a name is committed in any case.",
        "The reply leaves when as many nodes have recorded the commit, as `appendfsync` says, as a plain TPUB needs copies: \
         `topic-replicate`, or all present members if they are fewer, but not fewer than `topic-min-replicate`. `PENDING`: after five \
         seconds too few have confirmed it. The commit stays, and the others get it as soon as they are there.",
    ],
    ..entry(
        Group::Topics,
        "name cursor",
        "Keeps how far the reader of a name has come.",
        "OK.",
    )
};

const TCURSOR_SUBCOMMANDS: &[Subcommand] = &[
    sub(
        "SET",
        "start",
        "The reader goes on from there, and commits of cursors that were handed out before are refused as `STALE`. OK.",
    ),
    sub("DEL", "", "Deletes the name. 1, or 0 if there was none."),
];

pub(crate) static TCURSOR: Manual = Manual {
    failures: &[
        CURSOR_NAME,
        Parse(ParseError::Topic(TopicError::Start(b"x", None))),
        UNKNOWN_CURSOR,
        Refused(Refusal::TooManySettings),
        NOT_SERVED,
    ],
    subcommands: TCURSOR_SUBCOMMANDS,
    notes: &[
        STARTS,
        "`behind` is how many entries the reader has not committed, as this node sees it. Some ten thousand are counted one by one, beyond \
         that the number may be too high by some hundred a channel. `committed` is how many milliseconds ago the last commit moved \
         the name, nil if none has since it began or was set.",
        "A subscription of TSUB goes on where it is when its name is set; its commits are `STALE` from then on.",
        "Named cursors do not hold back what TRETAIN, TFLUSH and `topic-max-disk` take.",
    ],
    ..entry(
        Group::Topics,
        "[ name [ subcommand ] ]",
        "Tells of named cursors, sets or deletes one.",
        "array of names; with a name a map of cursor, patterns, behind and committed, a nil array for a name that does not exist.",
    )
};

const BOUND: &str = "A binding reads the channels for all workers of the queue, so that the work is shared. Its jobs have the body and META of their entries, and \
     with WITHMETA `shoal.channel` and `shoal.id`, where they come from.";

pub(crate) static TBIND: Manual = Manual {
    failures: &[
        PATTERN,
        Parse(ParseError::Topic(TopicError::Start(b"x", None))),
        Parse(ParseError::Retry),
        Parse(ParseError::Replicate),
        Parse(ParseError::MaxLen),
        Refused(Refusal::DelayBeyondTtl),
        Refused(Refusal::Topic(TopicRefusal::BoundOnce)),
        Refused(Refusal::Topic(TopicRefusal::BoundOtherwise)),
        Refused(Refusal::Topic(TopicRefusal::TooManyBindings)),
        Refused(Refusal::TooManySettings),
        LOADING,
        NOT_SERVED,
    ],
    notes: &[
        BOUND,
        "`DELAY`, `RETRY`, `TTL`, `REPLICATE` and `MAXLEN` are those of ADDJOB, and fixed: the same TBIND again changes nothing, other options are refused. `FROM` is `$` unless said: \
         entries from now on. Policies of QCONFIG stand in for `REPLICATE` alone. To bind again after TUNBIND makes new jobs.",
        "While the queue holds `MAXLEN` jobs, 10000 unless said, no more are made; nor while it takes none (PAUSE), or a node is short of \
         memory. TBINDINGS says so, no entry is passed over, and TRETAIN and `topic-max-disk` take none of which no job was made. TFLUSH does.",
        STARTS,
        GLOBS,
    ],
    ..entry(
        Group::Topics,
        "pattern queue [ FROM start ] [ DELAY seconds ] [ RETRY seconds ] [ TTL seconds ] [ REPLICATE n ] [ MAXLEN n ]",
        "Makes a job of each entry of all channels that match.",
        "OK, also when they are bound already.",
    )
};

pub(crate) static TUNBIND: Manual = Manual {
    failures: &[PATTERN, NOT_SERVED],
    notes: &["Jobs that were made stay."],
    ..entry(
        Group::Topics,
        "pattern queue",
        "Ends a binding.",
        "integer: 1, or 0 if there was none.",
    )
};

pub(crate) static TBINDINGS: Manual = Manual {
    failures: &[NOT_SERVED],
    notes: &[
        "`behind` is of how many entries no job was made yet, as this node sees it; of many it is about right. `waits-for` is nil, or `pause` (the queue takes no \
         jobs), `maxlen` (it holds as many as it may), `copies` (too few nodes take copies) or `node` (the node that makes the jobs is short of memory, or \
         cannot write its log).",
    ],
    ..entry(
        Group::Topics,
        "",
        "Tells of all bindings.",
        "array of maps of pattern, queue, behind and waits-for.",
    )
};

pub(crate) static TFLUSH: Manual = Manual {
    failures: &[
        PATTERN,
        Parse(ParseError::Topic(TopicError::Id(b"x"))),
        Refused(Refusal::Topic(TopicRefusal::TooManyMarks)),
        NOT_SERVED,
    ],
    notes: &[
        GLOBS,
        "`BEFORE` takes an id, unix milliseconds, or `$` for all that is there. Nothing that is published later is taken, whatever is given.",
    ],
    ..entry(
        Group::Topics,
        "pattern BEFORE id",
        "Takes the entries below an id away, of all channels that match.",
        "integer: how many went.",
    )
};

pub(crate) static TRETAIN: Manual = Manual {
    failures: &[
        PATTERN,
        Parse(ParseError::Topic(TopicError::Bound("MAXLEN"))),
        Refused(Refusal::Topic(TopicRefusal::TooManyRules)),
        NOT_SERVED,
    ],
    notes: &[
        "Of the patterns that match a channel the longest counts, a whole name first. `MAXAGE` is in seconds, `MAXLEN` bounds each \
         channel, `MAXBYTES` all channels that follow the pattern together. Rules are applied about once a second.",
        "`topic-max-disk` takes nothing from a channel that follows a rule. `KEEP` alone is a rule without a bound: the entries stay until \
         TFLUSH takes them, and TPUB is refused when there is no more room. Beside a bound it changes nothing.",
        GLOBS,
    ],
    ..entry(
        Group::Topics,
        "[ pattern < DEL | [ MAXAGE seconds ] [ MAXBYTES n ] [ MAXLEN n ] [ KEEP ] > ]",
        "Sets how long entries are kept, takes a rule away, or tells all rules.",
        "OK; with `DEL` 1, or 0 if there was no rule; without arguments an array of pairs of a pattern and a map of those of maxage, maxbytes, maxlen and keep (1) that are set.",
    )
};

pub(crate) static TLEN: Manual = Manual {
    failures: &[PATTERN, NOT_SERVED],
    notes: &[GLOBS],
    ..entry(
        Group::Topics,
        "pattern",
        "Counts the entries of all channels that match.",
        "integer: their number.",
    )
};

pub(crate) static TSTAT: Manual = Manual {
    failures: &[CHANNEL, NOT_SERVED],
    ..entry(
        Group::Topics,
        "channel",
        "Tells the figures of a channel.",
        "map of oldest, newest, entries, bytes, readers and bindings; a nil array for a channel without entries.",
    )
};

pub(crate) static TSCAN: Manual = Manual {
    failures: &[
        Parse(ParseError::CursorOrOption(b"x", "tscan")),
        PATTERN,
        NOT_SERVED,
    ],
    notes: &[
        "`COUNT` is how many channels a call looks at, 100 unless said; `MATCH` is a pattern. A channel that is there from the begin of the scan to its end is found.",
    ],
    ..entry(
        Group::Topics,
        "cursor [ COUNT n ] [ MATCH pattern ]",
        "Walks the channels that have entries.",
        "array of 2: the next cursor, 0 at the end, and an array of names.",
    )
};

pub(crate) static PUBLISH: Manual = Manual {
    failures: &[CHANNEL, NOT_SERVED],
    notes: &[
        "As TPUB with one copy: the entry is kept, so it can be read later. Where nobody is to read it later, set a rule with TRETAIN.",
    ],
    ..entry(
        Group::Topics,
        "channel body",
        "Publishes an entry to a channel.",
        "integer: how many subscriptions of this node it goes to.",
    )
};

pub(crate) static SUBSCRIBE: Manual = Manual {
    failures: &[CHANNEL, NOT_SERVED],
    ..entry(
        Group::Topics,
        "channel [ channel ] ...",
        "Subscribes to channels, by name.",
        "for each an array of `subscribe`, the name, and how many subscriptions the connection has; then arrays of `message`, the \
         channel and the body.",
    )
};

pub(crate) static PSUBSCRIBE: Manual = Manual {
    failures: &[PATTERN, NOT_SERVED],
    notes: &[GLOBS],
    ..entry(
        Group::Topics,
        "pattern [ pattern ] ...",
        "Subscribes to all channels that match.",
        "for each an array of `psubscribe`, the pattern, and how many subscriptions the connection has; then arrays of `pmessage`, \
         the pattern, the channel and the body.",
    )
};

pub(crate) static UNSUBSCRIBE: Manual = Manual {
    ..entry(
        Group::Topics,
        "[ channel ] ...",
        "Ends subscriptions to channels, or all of them.",
        "for each an array of `unsubscribe`, the name, and how many subscriptions are left; the name is nil if there was none.",
    )
};

pub(crate) static PUNSUBSCRIBE: Manual = Manual {
    ..entry(
        Group::Topics,
        "[ pattern ] ...",
        "Ends subscriptions to patterns, or all of them.",
        "for each an array of `punsubscribe`, the pattern, and how many subscriptions are left; the pattern is nil if there was none.",
    )
};

const PUBSUB_SUBCOMMANDS: &[Subcommand] = &[
    sub(
        "CHANNELS",
        "[ pattern ]",
        "Channels that clients of this node subscribe to by name.",
    ),
    sub(
        "NUMSUB",
        "[ channel ] ...",
        "For each channel its name, and how many clients of this node subscribe to it by name.",
    ),
    sub(
        "NUMPAT",
        "",
        "To how many patterns the clients of this node subscribe.",
    ),
];

pub(crate) static PUBSUB: Manual = Manual {
    failures: &[NOT_SERVED],
    subcommands: PUBSUB_SUBCOMMANDS,
    ..entry(
        Group::Topics,
        "subcommand [ argument ] ...",
        "Tells what clients of this node subscribe to.",
        "depends on the subcommand.",
    )
};
