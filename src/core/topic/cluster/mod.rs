//! Topics between nodes: every member copies every log, and all readers get one order.
//!
//! | | |
//! |---|---|
//! | `message` | what members tell each other |
//! | `member` | what is known of each of them |
//! | `meeting` | a link comes up or breaks, a node is forgotten: greetings, and who counts whom |
//! | `copying` | records go to the others as they come, and are taken; each tells what it has |
//! | `pulling` | what is missing is asked for |
//! | `confirming` | TPUB waits for members that take copies, then for their copies |
//! | `closing` | the order goes on: promises, questions, and members that are set aside |
//! | `beginning` | a node starts: it gathers what there is before it serves, and ends its former lives |
//!
//! ```text
//!      publisher        A                      B                     reader at B
//!      TPUB ──────────▶ appends 7
//!                       Records 7 ───────────▶ holds 7; it is above what is stable
//!                                              Close id(7) ─▶ A, C ◀─ wants 7
//!                       ◀──────────── Haves 7
//!      ◀── id           copies are enough: 7 is settled
//!                       Closed id(7) ────────▶ stable ≥ id(7) ──────▶ 7
//! ```
//!
//! A member sends each message over the link that it dialled itself. What the last messages of a broken link said may be
//! lost, so a new link begins with a greeting, which says all that still matters, and each side forgets what it had asked
//! or told over the old one.
//!
//! Without a fault nothing waits for a timer, and nothing is sent where nobody publishes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::command::Told;
use super::haves::Haves;
use super::id::EntryId;
use super::origin::Origin;
use crate::members::PeerKey;
use crate::time::Time;

mod beginning;
mod closing;
mod committing;
mod confirming;
mod copying;
mod meeting;
mod member;
mod message;
mod pulling;

pub use message::{Greeting, Have, Head, TopicMessage, TopicNews};

pub(super) use beginning::{Loading, Postponed};
use committing::Commits;
pub(super) use confirming::{Publishes, Terms};
pub(super) use member::Members;

/// What a node keeps of topics for the sake of the other members.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each belongs to another flow"
)]
pub(super) struct Cluster {
    pub(super) members: Members,
    pub(super) haves: Haves,
    /// Logs of which more is here than the others have been told.
    dirty: BTreeSet<Origin>,
    /// Logs of which the others may have more than is here.
    lacking: BTreeSet<Origin>,
    /// Records that are being read, in the order in which that was asked for.
    pub(super) fetches: VecDeque<Fetch>,
    pub(super) publishes: Publishes,
    pub(super) commits: Commits,
    /// The node does not serve readers yet.
    pub(super) loading: Option<Loading>,
    /// The members count the present life, so it publishes.
    is_introduced: bool,
    /// More came of a former life of this node, or of a forgotten one: it may owe end records.
    may_owe_ends: bool,
    /// Somebody came or went: numbers that end records count on may be nowhere.
    may_have_lost: bool,
    /// When the present life began.
    own_since: Time,
    /// This many records of the present life are on disk, where that counts.
    pub(super) own_synced: u64,
    /// Records of other lives that came and may not be on disk, where that counts.
    unsynced: BTreeMap<Origin, BTreeSet<u64>>,
    /// Unsettled records: this many were held at that time.
    aging: BTreeMap<Origin, (Time, u64)>,
    /// This node's wall clock differs from those of the others.
    is_clock_wrong: bool,
    /// The node stops: its origin is closed for good.
    pub(super) is_closed: bool,
    /// It has told the others that it takes no records.
    told_takes: bool,
    /// The highest id of all records that came.
    pub(super) highest: EntryId,
    /// When the next look at what is overdue is planned.
    check: Option<Time>,
}

/// What a read of records is for.
#[derive(Debug)]
pub(super) enum Fetch {
    /// They are recorded again.
    Compaction,
    /// Jobs are made of them: for the binding of this name, a page.
    Binding(std::sync::Arc<[u8]>, u64),
    /// A member asked for them.
    Copies {
        to: PeerKey,
        origin: Origin,
        first: u64,
        last: u64,
        /// What is known without a read.
        parts: Vec<super::record::TopicRecord>,
    },
}

impl Cluster {
    pub(super) fn new() -> Self {
        Cluster {
            members: Members::default(),
            haves: Haves::default(),
            dirty: BTreeSet::new(),
            lacking: BTreeSet::new(),
            fetches: VecDeque::new(),
            publishes: Publishes::default(),
            commits: Commits::default(),
            loading: None,
            is_introduced: false,
            may_owe_ends: true,
            may_have_lost: true,
            own_since: Time::ZERO,
            own_synced: 0,
            unsynced: BTreeMap::new(),
            aging: BTreeMap::new(),
            is_clock_wrong: false,
            is_closed: false,
            told_takes: true,
            highest: EntryId::ZERO,
            check: None,
        }
    }

    /// A record came: the others are to hear of it. Only of those that greet it is certain that they end their former lives
    /// by themselves.
    pub(super) fn note(&mut self, origin: Origin, id: EntryId) {
        self.highest = self.highest.max(id);
        self.may_owe_ends |= self.members.find(origin.node()).is_none();
        if !self.members.is_empty() {
            self.dirty.insert(origin);
        }
    }

    /// An end record came: more is over, of which readers may have passed more than is left anywhere.
    pub(super) fn note_end(&mut self, id: EntryId) {
        self.highest = self.highest.max(id);
        self.may_have_lost = true;
    }
}

/// What is read for a fetch: the entries, by origin and number.
pub(super) fn entries_of(told: Vec<Told>) -> Vec<std::sync::Arc<super::record::Entry>> {
    let entries = told.into_iter().filter_map(|told| match told {
        Told::Entry(entry, _) => Some(entry),
        Told::Unread(_) | Told::Lost(..) => None,
    });
    entries.collect()
}
