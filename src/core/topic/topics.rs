//! All that a node holds of topics.

use std::sync::Arc;

use super::binding::Bindings;
use super::channels::{ChannelKey, Channels, Floor};
use super::cluster::Cluster;
use super::cursor::Cursor;
use super::cut::Passed;
use super::ends::EndRecord;
use super::entries::{Entries, Indexed, Runs, Slot, Stretch};
use super::figures::Counts;
use super::id::{AHEAD_MAX_MS, Clock, EntryId};
use super::keys::Keys;
use super::lagging::Lagging;
use super::marks::Marks;
use super::order::{Closed, Order};
use super::origin::{Origin, OriginNode};
use super::origins::Origins;
use super::page::{Look, Page};
use super::publishing::key_of;
use super::readers::Readers;
use super::record::Entry;
use super::restoring::Segments;
use super::retaining::Retention;
use super::retention::Rules;
use super::wanted::Wanted;
use crate::limits;
use crate::record::Segment;
use crate::time::WallTime;

/// Durable channels, as one node holds them.
#[derive(Debug)]
pub(crate) struct Topics {
    /// This life of the node, once it has begun.
    own: Option<Origin>,
    /// Rises at every start of the node.
    pub(super) generation: u64,
    /// The start of the last life that the log tells of.
    pub(super) last_life: Option<u64>,
    clock: Clock,
    pub(super) origins: Origins,
    order: Order,
    /// No clock that is right makes ids above this one now.
    horizon: EntryId,
    pub(super) entries: Entries,
    pub(super) channels: Channels,
    pub(super) marks: Marks,
    pub(super) rules: Rules,
    pub(super) bindings: Bindings,
    pub(super) keys: Keys,
    pub(super) readers: Readers,
    pub(super) retention: Retention,
    pub(super) lagging: Lagging,
    pub(super) segments: Segments,
    /// The log is being shrunk.
    pub(super) is_compacting: bool,
    /// The segment whose live entries are being read for that.
    pub(super) copied: Segment,
    /// Where all live readers are.
    pub(super) live: Cursor,
    /// Something was published, or settled, that the live readers have not been given.
    pub(super) has_news: bool,
    /// The other members.
    pub(super) cluster: Cluster,
    pub(super) counts: Counts,
}

impl Topics {
    /// No entries. `seed` keys the tables of what clients name.
    pub(crate) fn new(seed: u64) -> Self {
        Topics {
            own: None,
            generation: 0,
            last_life: None,
            clock: Clock::default(),
            origins: Origins::default(),
            order: Order::default(),
            horizon: EntryId::MAX,
            entries: Entries::default(),
            channels: Channels::new(seed),
            marks: Marks::default(),
            rules: Rules::default(),
            bindings: Bindings::default(),
            keys: Keys::new(seed),
            readers: Readers::default(),
            retention: Retention::default(),
            lagging: Lagging::default(),
            segments: Segments::default(),
            is_compacting: false,
            copied: 0,
            live: Cursor::default(),
            has_news: false,
            cluster: Cluster::new(),
            counts: Counts::default(),
        }
    }

    /// This life of the node, once it has begun.
    pub(super) fn own(&self) -> Option<Origin> {
        self.own
    }

    /// A life begins, above all earlier ones of this node that are known. Of those without a log none is, so the seconds are
    /// not all: two starts within one second differ by their generation.
    pub(super) fn begin(&mut self, node: OriginNode, last: Option<u64>, wall: WallTime) -> Origin {
        let held = self.origins.logs_of(node).next_back();
        let held = held.map(|(origin, _)| origin.start());
        let seconds = (wall.0 / 1000).saturating_add(self.generation);
        let own = Origin::after(node, last.max(held), seconds);
        self.own = Some(own);
        own
    }

    /// A life goes on, which must not be: only a planted bug does that.
    pub(super) fn go_on(&mut self, own: Origin) {
        self.own = Some(own);
    }

    /// The node has another id: what it publishes belongs to another life.
    pub(crate) fn end_life(&mut self) {
        (self.own, self.last_life) = (None, None);
    }

    /// The clock moves past an id that is recorded already.
    pub(super) fn pass_clock(&mut self, id: EntryId) {
        self.clock.pass(id);
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Number and id of the next record of this node.
    pub(super) fn next_own(&mut self, own: Origin, wall: WallTime) -> (u64, EntryId) {
        let number = self.origins.prefix(own) + 1;
        (number, self.clock.next(wall, own))
    }

    /// Holds an entry. Returns its channel, unless the entry is not new here.
    pub(super) fn hold(&mut self, entry: &Arc<Entry>) -> Option<ChannelKey> {
        let taken = self
            .origins
            .take_entry(entry.origin, entry.number, entry.id);
        if taken != Ok(true) {
            return None;
        }
        if let Some(key) = key_of(&entry.extras) {
            self.keys.add(&entry.channel, key, entry.id);
        }
        let bytes = bytes_of(entry);
        if self.channels.len() >= limits::TOPIC_CHANNELS
            && self.channels.find(&entry.channel).is_none()
        {
            self.channels.drop_empty();
        }
        let marks = &self.marks;
        let key = self
            .channels
            .open(&entry.channel, || marks.of(&entry.channel));
        let position = (entry.origin, entry.number, entry.id);
        self.entries
            .add(position, Some(key), bytes, self.segments.current());
        self.cluster.highest = self.cluster.highest.max(entry.id);
        self.channels.add(key, entry.id, bytes);
        Some(key)
    }

    /// Holds an end record.
    pub(super) fn hold_end(&mut self, origin: Origin, number: u64, record: &EndRecord) -> bool {
        let is_new = self.origins.take_end(origin, number, record) == Ok(true);
        if is_new {
            let position = (origin, number, record.id());
            self.entries.add(position, None, 0, self.segments.current());
            self.cluster.note_end(record.id());
            let log = self.origins.log(origin);
            if log.is_some_and(|log| log.settled() >= number) {
                // It was settled before it came.
                self.settle_ended(record);
            }
        }
        is_new
    }

    /// The log of an origin is settled as far as this node alone, or with others, holds it. A settled end record settles what
    /// it ends: it counts at a member only with that.
    pub(super) fn settle(&mut self, origin: Origin, records: u64) {
        let log = self.origins.log(origin);
        let before = log.map_or(0, super::OriginLog::settled);
        if records <= before {
            return;
        }
        self.origins.settle(origin, records);
        let rows = self.origins.ends().rows(origin, before + 1);
        let rows = rows.take_while(|(number, _)| *number <= records);
        let ended: Vec<EndRecord> = rows.map(|(_, row)| row.clone()).collect();
        for record in ended {
            self.settle_ended(&record);
        }
        self.has_news = true;
    }

    /// Settles what a settled end record ends, however deep that goes.
    fn settle_ended(&mut self, record: &EndRecord) {
        for ended in record.ended() {
            self.settle(ended.origin, ended.records);
        }
    }

    /// Moves the stable id on, unless the node still gathers what the others have.
    pub(super) fn advance(&mut self, wall: WallTime) -> EntryId {
        self.horizon = EntryId::end_of(wall.0.saturating_add(AHEAD_MAX_MS));
        if self.cluster.loading.is_some() {
            return self.order.stable();
        }
        let before = self.order.stable();
        let closed = self.promise(wall);
        let stable = self.order.advance(closed.id, &self.origins);
        self.has_news |= stable > before && before < self.cluster.highest;
        stable
    }

    /// What this node can promise: to make no id at or below what its clock reads, unless records of it are not settled yet.
    pub(super) fn promise(&mut self, wall: WallTime) -> Closed {
        let log = self.own.and_then(|own| Some((own, self.origins.log(own)?)));
        let Some((own, log)) = log else {
            let id = self.clock.close(wall);
            return Closed { id, records: 0 };
        };
        let records = log.settled().min(log.prefix());
        let id = if records == log.prefix() {
            self.clock.close(wall)
        } else {
            match self.entries.slot(own, records + 1) {
                Slot::Entry(Indexed { id, .. }) => id.before(),
                Slot::End | Slot::Empty => {
                    let row = self.origins.ends().rows(own, records + 1).next();
                    let row = row.filter(|(number, _)| *number == records + 1);
                    row.map_or(EntryId::ZERO, |(_, row)| row.id().before())
                }
            }
        };
        Closed { id, records }
    }

    /// Something has changed that the end of the batch is to look at.
    pub(crate) fn look_again(&mut self) {
        self.has_news = true;
    }

    /// Whose order readers here get.
    pub(super) fn order(&self) -> &Order {
        &self.order
    }

    pub(super) fn order_mut(&mut self) -> &mut Order {
        &mut self.order
    }

    /// Counts a member, if its log is here up to a promise at or above the stable id.
    pub(super) fn count(&mut self, node: OriginNode) -> bool {
        self.order.count(node, &self.origins)
    }

    /// A member's clock said this. Returns whether it is too far ahead to be followed.
    pub(super) fn meet_clock(&mut self, wall: WallTime, clock: EntryId) -> bool {
        self.clock.meet(wall, clock).is_err()
    }

    /// The clock was wrong and is right again: nothing of what it said counts.
    pub(super) fn reset_clock(&mut self) {
        self.clock = Clock::default();
    }

    /// What readers have in order.
    pub(super) fn stable(&self) -> EntryId {
        self.order.stable()
    }

    /// A page behind a cursor.
    pub(super) fn open_page(&self, cursor: Cursor) -> Page {
        let page = Page::open(&self.origins, self.order.stable(), cursor);
        page.with_horizon(self.horizon)
    }

    /// What a place holds, for a reader.
    pub(super) fn look(&self, origin: Origin, number: u64, wanted: &mut Wanted<'_>) -> Look {
        let (entries, place) = (&self.entries, (origin, number));
        let Wanted { channels, runs } = wanted;
        look(entries, &self.origins, place, runs, |key| {
            channels.above(&self.channels, key)
        })
    }

    /// The cursor of a reader for whom all that this node has counts as read.
    pub(super) fn now(&self) -> Cursor {
        self.up_to(self.order.stable(), |origins, origin| {
            origins.prefix(origin)
        })
    }

    /// The cursor of a reader for whom what this node has up to this id counts as read.
    pub(super) fn at(&self, id: EntryId) -> Cursor {
        let id = id.min(self.order.stable());
        self.up_to(id, |_, origin| self.entries.last_at(origin, id))
    }

    fn up_to(&self, id: EntryId, records: impl Fn(&Origins, Origin) -> u64) -> Cursor {
        let passed = self.origins.logs().filter_map(|(origin, log)| {
            let records = records(&self.origins, origin);
            let has_entries = log.first_entry().is_some_and(|first| first <= records);
            has_entries.then(|| (origin, Passed::new(records, 0)))
        });
        let mut cut = passed.collect();
        self.origins.drop_names(&mut cut);
        Cursor::new(id, cut)
    }

    /// Where the record with this id is.
    pub(super) fn find(&self, id: EntryId) -> Option<(Origin, u64)> {
        let logs = self.origins.logs();
        let mut places = logs.map(|(origin, _)| (origin, self.entries.last_at(origin, id)));
        places.find(
            |&(origin, number)| match self.entries.slot(origin, number) {
                Slot::Entry(entry) => entry.id == id,
                Slot::End | Slot::Empty => false,
            },
        )
    }

    /// Raises the floor of a channel; what bindings have made no jobs of only a flush takes. Returns how many entries went.
    pub(super) fn raise(&mut self, key: ChannelKey, why: Floor, to: EntryId) -> u64 {
        self.raise_all(why, &[(key, to)])
    }

    /// Raises the floors of some channels. Returns how many entries went. What has to be counted one by one is counted in one
    /// walk for all of them: a walk for each would take seconds where entries of thousands of channels lie side by side.
    pub(super) fn raise_all(&mut self, why: Floor, floors: &[(ChannelKey, EntryId)]) -> u64 {
        let reach = |key| match why {
            Floor::Flushed => EntryId::MAX,
            Floor::Taken => self.bindings.reach(self.channels.get(key).name()),
        };
        let floors = floors.iter().map(|&(key, to)| (key, to.min(reach(key))));
        let floors: Vec<(ChannelKey, EntryId)> = floors.collect();
        let uncounted = floors.iter().map(|&(key, to)| {
            let first = self.channels.uncounted(key, to);
            (key, first.map(|first| (first, to)))
        });
        let uncounted: Vec<Stretch> = uncounted.collect();
        let mut counted = vec![(0, 0); floors.len()];
        self.entries.visit_stretches(&uncounted, |place, entry| {
            let (entries, bytes) = &mut counted[place];
            *entries += 1;
            *bytes += u64::from(entry.bytes);
        });
        let mut gone = 0;
        for ((key, to), part) in floors.into_iter().zip(counted) {
            gone += self.channels.raise(key, why, to, part);
        }
        match why {
            Floor::Flushed => self.counts.flushed += gone,
            Floor::Taken => self.counts.taken += gone,
        }
        gone
    }

    /// Entries that are in the log, too, leave memory until no more than this is taken by them.
    pub(crate) fn shrink_to(&mut self, most: usize) {
        self.entries.forget_recent(most);
    }

    /// What all of it takes in memory.
    pub(crate) fn memory(&self) -> usize {
        self.entries.memory() + self.channels.memory() + self.keys.memory()
    }
}

/// What a place holds, for a reader who wants the entries of a channel above an id that `above` says, if any.
pub(super) fn look(
    entries: &Entries,
    origins: &Origins,
    (origin, number): (Origin, u64),
    runs: &mut Runs,
    mut above: impl FnMut(ChannelKey) -> Option<EntryId>,
) -> Look {
    match entries.slot(origin, number) {
        Slot::Entry(Indexed { channel, id, .. }) => {
            let wanted = above(channel).is_some_and(|above| above < id);
            let run = if wanted {
                None
            } else {
                entries.run(origin, number, runs, above)
            };
            match run {
                Some((to, last)) => Look::Run { id, to, last },
                None => Look::Entry { id, wanted },
            }
        }
        Slot::End => Look::Freed { to: number },
        Slot::Empty => {
            let log = origins.log(origin);
            match log.and_then(|log| log.freed().end_of_run(number)) {
                Some(to) => Look::Freed { to },
                None => Look::Absent,
            }
        }
    }
}

/// What retention counts of an entry: channel, body and extras.
pub(super) fn bytes_of(entry: &Entry) -> u64 {
    (entry.channel.len() + entry.body.len() + entry.extras.len()) as u64
}
