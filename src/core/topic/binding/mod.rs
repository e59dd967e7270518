//! Bindings: the cluster itself reads channels, and makes a job of each entry.
//!
//! | | |
//! |---|---|
//! | `value` | what the cluster keeps of a binding, a setting; and how two values merge |
//! | `commands` | TBIND, TUNBIND, TBINDINGS |
//! | `leading` | which member makes the jobs, and how another one takes over |
//! | `making` | entries become jobs, and the binding comes further |
//!
//! One member makes all jobs of a binding: the one where TBIND was given, for as long as it is there. It has a reader of
//! its own, which gets pages as TREAD does, so jobs come in the one order of the entries, and only of settled ones. Each job
//! is added as by a client that waits for its copies without end. When all jobs of a page are added, the progress is the
//! cursor behind that page: it is recorded, and told to the others, behind the records of the jobs.
//!
//! ```text
//!      entries of any member ──▶ reader ──▶ page ──▶ jobs ──▶ copies ──▶ progress ──▶ log, other members
//! ```
//!
//! When the maker goes, the lowest member takes over from the highest progress that it knows. What lies between that
//! and what the former maker made is made again, under the same ids: it merges with the jobs that are there, and is refused
//! where their end is remembered. A maker that leaves hands over by itself, once all that it began is added, so nothing
//! is made twice then.
//!
//! Invariant: all entries up to the progress were made jobs of, or lay below a flush, or were lost.

mod commands;
mod leading;
mod making;
mod value;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::command::Told;
use super::cursor::Cursor;
use super::glob::{Case, matches};
use super::id::EntryId;
use super::origin::OriginNode;
use super::readers::ReaderId;
use super::record::Entry;
use crate::time::Time;

pub use commands::BindingView;
pub(super) use value::Binding;
pub use value::WaitsFor;
pub(crate) use value::merge_values;

/// A binding at this node.
#[derive(Debug)]
struct Bound {
    /// The version of its setting.
    epoch: u64,
    pattern: Arc<[u8]>,
    queue: Arc<[u8]>,
    binding: Binding,
    /// This node makes its jobs.
    making: Option<Making>,
}

/// Jobs are being made.
#[derive(Debug)]
struct Making {
    reader: ReaderId,
    /// The cursor before the first page.
    from: Cursor,
    pages: VecDeque<Page>,
    /// The number of the first page.
    first: u64,
    waits_for: Option<WaitsFor>,
    /// Something is to be kept that was not when this was kept last.
    is_dirty: bool,
    kept: Time,
}

/// A page of entries that become jobs.
#[derive(Debug)]
struct Page {
    /// The cursor behind it.
    cursor: Cursor,
    /// What has to be read first.
    unread: Vec<Told>,
    is_being_read: bool,
    /// What no job was made of yet, in order.
    todo: VecDeque<Arc<Entry>>,
    /// How many jobs were made.
    made: u64,
    /// How many of these wait for copies.
    pending: u64,
}

/// On what it depends who makes jobs.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// The other members that are there.
    present: Vec<OriginNode>,
    /// Those of them that stay.
    staying: Vec<OriginNode>,
    /// Whether this node may.
    may: bool,
}

/// All bindings of the cluster, as this node knows them.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    /// By the name of the setting.
    all: BTreeMap<Arc<[u8]>, Bound>,
    /// Jobs that wait for copies: of which binding and page. Adding knows each by its number.
    pending: BTreeMap<u64, (Arc<[u8]>, u64)>,
    next: u64,
    /// Those that something is to be done about here.
    busy: BTreeSet<Arc<[u8]>>,
    /// Of these there are enough copies, or they are gone.
    made: Vec<u64>,
    /// What was looked at when it was last decided who makes what.
    seen: Option<Seen>,
    /// What waits may be tried again.
    is_due: bool,
    /// The timer is on the agenda.
    is_armed: bool,
}

impl Bindings {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many make no jobs at present, as far as is known here.
    pub(super) fn waiting(&self) -> usize {
        let waits = |bound: &&Bound| bound.binding.lease.waits_for.is_some();
        self.all.values().filter(waits).count()
    }

    /// How many match a channel.
    pub(super) fn count(&self, channel: &[u8]) -> u64 {
        self.matching(channel).count() as u64
    }

    /// The id up to which retention and room may take entries of a channel.
    pub(super) fn reach(&self, channel: &[u8]) -> EntryId {
        let reaches = self.matching(channel);
        let reaches = reaches.map(|bound| bound.binding.progress.cursor.id());
        reaches.min().unwrap_or(EntryId::MAX)
    }

    fn matching(&self, channel: &[u8]) -> impl Iterator<Item = &Bound> {
        let is_match = |bound: &&Bound| matches(&bound.pattern, channel, Case::Exact);
        self.all.values().filter(is_match)
    }
}

impl Page {
    /// All its jobs are added.
    fn is_over(&self) -> bool {
        self.unread.is_empty() && self.todo.is_empty() && self.pending == 0
    }
}
