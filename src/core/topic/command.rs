//! What clients ask of topics, and what they are told.

use std::sync::Arc;
use std::time::Duration;

use super::binding::BindingView;
use super::channels::ChannelKey;
use super::cursor::Cursor;
use super::id::EntryId;
use super::origin::Origin;
use super::record::Entry;
use super::retention::Rule;
use crate::command::AddJob;
use crate::extras::Extras;
use crate::record::Location;

/// A command on topics, its syntax checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicCommand<'a> {
    /// TPUB: publish an entry.
    Publish(Publish<'a>),
    /// PUBLISH: the same with one copy, answered at once with the number of readers at this node.
    Announce {
        /// Where to.
        channel: &'a [u8],
        /// What.
        body: &'a [u8],
    },
    /// TREAD: the next entries.
    Read(Read<'a>),
    /// TSUB: entries as they come.
    Follow(Follow<'a>),
    /// TUNSUB: end one subscription of TSUB, or all of the connection.
    Unfollow(Option<u64>),
    /// SUBSCRIBE, PSUBSCRIBE.
    Subscribe(Listen, Vec<&'a [u8]>),
    /// UNSUBSCRIBE, PUNSUBSCRIBE: from these, or from all.
    Unsubscribe(Listen, Vec<&'a [u8]>),
    /// PUBSUB CHANNELS: channels that somebody subscribes to at this node, by name; perhaps only some.
    ActiveChannels(Option<&'a [u8]>),
    /// PUBSUB NUMSUB: how many connections of this node subscribe to each of these channels, by name.
    Subscribers(Vec<&'a [u8]>),
    /// PUBSUB NUMPAT: to how many patterns the connections of this node subscribe.
    PatternCount,
    /// TFLUSH: take what a pattern matches away, up to a place.
    Flush {
        /// Of which channels.
        pattern: &'a [u8],
        /// Up to where.
        before: Before,
    },
    /// TRETAIN: all rules.
    Rules,
    /// TRETAIN pattern …: how long entries are kept.
    SetRule {
        /// Of which channels.
        pattern: &'a [u8],
        /// What holds from now on.
        rule: Rule,
    },
    /// TRETAIN pattern DEL.
    RemoveRule(&'a [u8]),
    /// TCOMMIT: the reader of a name has come this far.
    Commit {
        /// Whose reader.
        name: &'a [u8],
        /// A cursor that it was given.
        cursor: Cursor,
    },
    /// TCURSOR: the names of all named cursors.
    Cursors,
    /// TCURSOR name: one of them.
    NamedCursor(&'a [u8]),
    /// TCURSOR name SET: its reader goes on from there.
    SetCursor {
        /// Which one.
        name: &'a [u8],
        /// From where.
        start: Start,
    },
    /// TCURSOR name DEL.
    DeleteCursor(&'a [u8]),
    /// TBIND: entries become jobs.
    Bind {
        /// Of the channels that this matches.
        pattern: &'a [u8],
        /// From where on.
        start: Start,
        /// The queue, and the options of its jobs. The rest is not looked at.
        add: AddJob<'a>,
    },
    /// TUNBIND: they do no more.
    Unbind {
        /// Of the channels that this matches.
        pattern: &'a [u8],
        /// Jobs of this queue.
        queue: &'a [u8],
    },
    /// TBINDINGS: all bindings.
    Bindings,
    /// TLEN: entries that a pattern matches.
    Length(&'a [u8]),
    /// TSTAT: figures of a channel.
    Stat(&'a [u8]),
    /// TSCAN: walk the channels.
    Scan {
        /// Where the last answer stopped; 0 to begin.
        cursor: u64,
        /// A hint how many to return.
        count: u64,
        /// Only channels that this matches.
        pattern: Option<&'a [u8]>,
    },
}

impl TopicCommand<'_> {
    /// Whether it publishes.
    pub(crate) fn adds(&self) -> bool {
        matches!(
            self,
            TopicCommand::Publish(_) | TopicCommand::Announce { .. }
        )
    }
}

/// The arguments of TPUB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where to: 1 to [`CHANNEL_MAX`] bytes.
    pub channel: &'a [u8],
    /// What.
    pub body: &'a [u8],
    /// REPLICATE: how many copies; `None` is the node's default.
    pub replicate: Option<u16>,
    /// TIMEOUT: how long the client waits for them; `None` is for ever.
    pub timeout: Option<Duration>,
    /// ASYNC: answer before the copies are there.
    pub is_async: bool,
    /// DEDUP: the key.
    pub dedup: Option<&'a [u8]>,
    /// META, encoded; and the key of DEDUP.
    pub extras: Extras,
}

impl<'a> Publish<'a> {
    /// What PUBLISH publishes: one copy, and nobody waits for others.
    pub(super) fn announcement(channel: &'a [u8], body: &'a [u8]) -> Self {
        Publish {
            channel,
            body,
            replicate: Some(1),
            timeout: None,
            is_async: true,
            dedup: None,
            extras: Extras::NONE,
        }
    }
}

/// The most bytes of a channel's name.
pub const CHANNEL_MAX: usize = 512;
/// The most bytes of a pattern.
pub const PATTERN_MAX: usize = 512;
/// The most patterns of one call.
pub const PATTERNS_MAX: usize = 100;
/// The most entries of one answer to TREAD, and the most that LAST reaches back.
pub const READ_MAX: u64 = 10_000;
/// The most bytes of the key of DEDUP.
pub const DEDUP_MAX: usize = 256;

/// The most bytes of the name of a cursor.
pub const CURSOR_NAME_MAX: usize = 256;

/// Where a reader begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// A cursor: exactly there.
    Cursor(Box<Cursor>),
    /// `$`: all that this node has counts as read.
    Now,
    /// What this node has up to this id counts as read.
    Id(EntryId),
    /// LAST: the newest entries of the patterns, this many.
    Last(u64),
    /// AS: where the reader of this name has come to; there, if this is the first use of the name.
    Named(Arc<[u8]>, Box<Start>),
}

/// Up to where TFLUSH flushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// `$`: all that this node has.
    Now,
    /// Entries below this id.
    Id(EntryId),
}

/// The arguments of TREAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<'a> {
    /// From where.
    pub start: Start,
    /// At least one.
    pub patterns: Vec<&'a [u8]>,
    /// TO: up to this id, which is read, too.
    pub to: Option<EntryId>,
    /// At most this many entries.
    pub count: u64,
    /// At most this many bytes of channels, bodies and extras, but one entry in any case.
    pub bytes: u64,
    /// BLOCK: how long to wait if there is nothing.
    pub wait: crate::command::Wait,
    /// WITHMETA.
    pub meta: bool,
}

/// The arguments of TSUB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follow<'a> {
    /// From where.
    pub start: Start,
    /// At least one.
    pub patterns: Vec<&'a [u8]>,
    /// WITHMETA.
    pub meta: bool,
}

/// What SUBSCRIBE and PSUBSCRIBE listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    /// One channel.
    Channel,
    /// All channels that a pattern matches.
    Pattern,
}

/// The answer to a command on topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicReply {
    /// TPUB.
    Published(EntryId),
    /// PUBLISH: how many subscriptions of this node the entry goes to.
    Announced(u64),
    /// TREAD.
    Page(Page),
    /// TSUB: number and cursor, and how many subscriptions the connection has then.
    Followed(u64, Cursor, u64),
    /// TUNSUB: number and cursor of each that ended; the number of subscriptions that the connection still has.
    Unfollowed(Vec<(u64, Cursor)>, u64),
    /// SUBSCRIBE and the like: for each what it was, and how many subscriptions the connection has then.
    Subscribed(Listen, Vec<(Arc<[u8]>, u64)>),
    /// UNSUBSCRIBE and the like; nothing was subscribed to if there is no name.
    Unsubscribed(Listen, Vec<(Option<Arc<[u8]>>, u64)>),
    /// PUBSUB CHANNELS, TCURSOR: names.
    Names(Vec<Arc<[u8]>>),
    /// PUBSUB NUMSUB.
    Subscribers(Vec<(Arc<[u8]>, u64)>),
    /// TFLUSH, TLEN, PUBSUB NUMPAT, and yes or no: a number.
    Count(u64),
    /// TRETAIN, TCOMMIT, TCURSOR SET, TBIND: done.
    Done,
    /// TCURSOR name.
    Named(Option<Box<NamedView>>),
    /// TREAD, TSUB: an error. The name reads other patterns.
    Misread(Misread),
    /// TBINDINGS.
    Bindings(Vec<BindingView>),
    /// TRETAIN: patterns and rules.
    Rules(Vec<(Arc<[u8]>, Rule)>),
    /// TSTAT.
    Stat(Option<Box<ChannelView>>),
    /// TSCAN: the next cursor (0: done), and channels.
    Channels(u64, Vec<Arc<[u8]>>),
}

/// What TREAD answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where to go on.
    pub cursor: Cursor,
    /// What is read.
    pub told: Vec<Told>,
    /// WITHMETA.
    pub meta: bool,
}

/// One thing that a reader is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// An entry, and whether it is late.
    Entry(Arc<Entry>, bool),
    /// An entry that is in the log alone: it is read before it is told.
    Unread(Unread),
    /// Entries before this id may be missing, at most this many.
    Lost(EntryId, u64),
}

impl Told {
    /// The same entry, late or not.
    #[must_use]
    pub(crate) fn with_late(self, late: bool) -> Self {
        match self {
            Told::Entry(entry, _) => Told::Entry(entry, late),
            Told::Unread(unread) => Told::Unread(Unread { late, ..unread }),
            Told::Lost(..) => self,
        }
    }

    /// The entry that has to be read first, if it is one.
    pub fn unread(&self) -> Option<&Unread> {
        match self {
            Told::Unread(unread) => Some(unread),
            Told::Entry(..) | Told::Lost(..) => None,
        }
    }
}

/// An entry in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// In the log of this origin.
    pub origin: Origin,
    /// Under this number.
    pub number: u64,
    /// With this id.
    pub id: EntryId,
    /// There.
    pub place: Location,
    /// The bytes of its channel, body and extras.
    pub bytes: u32,
    /// Whether it is late.
    pub late: bool,
    /// Of which channel of this node.
    pub(super) channel: ChannelKey,
}

/// What a connection is told without asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The subscription.
    pub to: Addressee,
    /// What it is told, and the cursor behind that.
    pub told: Told,
    /// As text; empty where the subscription has none.
    pub cursor: Arc<str>,
}

/// Which subscription of a connection something is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// SUBSCRIBE.
    Channel,
    /// PSUBSCRIBE to this pattern.
    Pattern(Arc<[u8]>),
    /// TSUB, by this pattern of it; and WITHMETA.
    Follower(Arc<[u8]>, bool),
}

/// What TSTAT tells of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelView {
    /// The id of the oldest entry.
    pub oldest: Option<EntryId>,
    /// The id of the newest entry.
    pub newest: Option<EntryId>,
    /// How many there are.
    pub entries: u64,
    /// The bytes of their channels, bodies and extras.
    pub bytes: u64,
    /// Subscriptions at this node that match.
    pub readers: u64,
    /// Bindings that match.
    pub bindings: u64,
}

/// What TCURSOR tells of a named cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedView {
    /// How far its reader has come.
    pub cursor: Cursor,
    /// What it reads, in order.
    pub patterns: Vec<Arc<[u8]>>,
    /// How many entries it has not read; of many about.
    pub behind: u64,
    /// How long ago it came further; none if it has not since it began, or since it was set.
    pub committed_ms_ago: Option<u64>,
}

/// A reader of a name wants other patterns than the name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misread {
    /// The name.
    pub name: Arc<[u8]>,
    /// What it reads.
    pub reads: Vec<Arc<[u8]>>,
    /// What the reader wants.
    pub not: Vec<Arc<[u8]>>,
}

/// Why a command on topics cannot be. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRefusal {
    /// `topics no`: this node serves none.
    NotServed,
    /// In time there were not as many members that take copies as the publish needs: nothing was published.
    TooFewTakers,
    /// The entry is published, but in time not as many members confirmed a copy as was asked for.
    Pending(EntryId),
    /// This node's wall clock is far from those of the others.
    Clock,
    /// The node still gathers what the others have: it has this many percent of it.
    Loading(u8),
    /// There are as many channels as may be.
    TooManyChannels,
    /// Topics take as much memory as they may.
    Memory,
    /// Topics take all of the disk that they may, and rules hold what is there.
    Disk,
    /// As many keys of DEDUP are remembered as may be.
    TooManyKeys,
    /// A connection has as many subscriptions as it may.
    TooManySubscriptions,
    /// TUNSUB with a number that the connection does not have.
    UnknownSubscription,
    /// There are as many marks of flushes as may be.
    TooManyMarks,
    /// There are as many rules of retention as may be.
    TooManyRules,
    /// There are as many named cursors as may be.
    TooManyCursors,
    /// There are as many bindings as may be.
    TooManyBindings,
    /// TBIND: pattern and queue are bound with other options.
    BoundOtherwise,
    /// TBIND: RETRY is 0.
    BoundOnce,
    /// TCOMMIT, TCURSOR SET: there is no named cursor of this name.
    UnknownCursor,
    /// TCOMMIT: after the cursor was handed out its name was set elsewhere, or deleted.
    StaleCursor,
    /// TCOMMIT: this node has not heard yet that the name was set to where the cursor comes from; or it is of another name.
    CursorAhead,
    /// TCOMMIT: it is kept here, but in time not as many other nodes said that they have it as a plain TPUB needs.
    CommitPending,
    /// TCOMMIT: with this the cursor would have more names than one may have.
    TooManyNames,
}

impl From<TopicRefusal> for crate::refusal::Refusal {
    fn from(refusal: TopicRefusal) -> Self {
        crate::refusal::Refusal::Topic(refusal)
    }
}
