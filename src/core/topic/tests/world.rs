//! A cluster without a network, whose nodes run the real code.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::reading::Reader;
use crate::time::WallTime;
use crate::topic::{
    Bug, Clock, Closed, EndRecord, Ended, EntryId, Haves, Order, Origin, OriginLog, OriginNode,
    Origins,
};

/// A record as it was written; a number names one for ever.
#[derive(Debug, Clone)]
pub(super) enum Written {
    Entry { id: EntryId, channel: &'static str },
    End(EndRecord),
}

/// A node: what is in its memory, and what a crash leaves.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: OriginNode,
    pub(super) is_up: bool,
    /// It never comes back.
    pub(super) is_dead: bool,
    /// It has what the present members had: it serves readers.
    pub(super) is_ready: bool,
    pub(super) origins: Origins,
    pub(super) order: Order,
    pub(super) haves: Haves,
    pub(super) clock: Clock,
    /// How far its wall clock is off, in milliseconds.
    pub(super) skew: i64,
    pub(super) life: Origin,
    /// Forgotten nodes whose end records are this node's work.
    pub(super) answers_for: BTreeSet<OriginNode>,
    /// Flush marks: pattern and id.
    pub(super) marks: BTreeMap<&'static str, EntryId>,
    /// What was on disk at the last sync.
    disk: Origins,
}

/// What a crash does to a node's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disk {
    /// Everything was written.
    Whole,
    /// Tails that were not synced are cut somewhere.
    Torn,
    /// Tails that were not synced are cut where the last sync was.
    Shortest,
    /// Nothing is left.
    Wiped,
}

pub(super) struct World {
    pub(super) random: StdRng,
    pub(super) nodes: Vec<Node>,
    /// Pairs that cannot talk.
    pub(super) cut: BTreeSet<(usize, usize)>,
    pub(super) wall: u64,
    /// How many copies settle a record.
    pub(super) copies: NonZeroUsize,
    pub(super) written: BTreeMap<(Origin, u64), Written>,
    /// How far any node ever took a log to be settled.
    pub(super) settled: BTreeMap<Origin, u64>,
    /// Entries that were freed somewhere, and all flush marks.
    pub(super) removed: BTreeSet<(Origin, u64)>,
    pub(super) flushed: Vec<(&'static str, EntryId)>,
    pub(super) members: BTreeSet<usize>,
    pub(super) readers: Vec<Reader>,
    booted: usize,
    bug: Option<Bug>,
}

impl World {
    /// Nodes that are down, none of which ever ran.
    pub(super) fn new(seed: u64, nodes: usize, bug: Option<Bug>) -> World {
        let node = |at: usize| Node {
            id: OriginNode::new(at as u32),
            is_up: false,
            is_dead: false,
            is_ready: false,
            origins: Origins::default(),
            order: Order::default(),
            haves: Haves::default(),
            clock: Clock::default(),
            skew: 0,
            life: Origin::new(OriginNode::new(at as u32), 0),
            answers_for: BTreeSet::new(),
            marks: BTreeMap::new(),
            disk: Origins::default(),
        };
        World {
            random: StdRng::seed_from_u64(seed),
            nodes: (0..nodes).map(node).collect(),
            cut: BTreeSet::new(),
            wall: 1_000_000,
            copies: NonZeroUsize::new(2).expect("two is more than none"),
            written: BTreeMap::new(),
            settled: BTreeMap::new(),
            removed: BTreeSet::new(),
            flushed: Vec::new(),
            members: BTreeSet::new(),
            readers: Vec::new(),
            booted: 0,
            bug,
        }
    }

    /// Nodes that run, all of them linked.
    pub(super) fn running(nodes: usize) -> World {
        let mut world = World::new(0, nodes, None);
        for at in 0..nodes {
            world.boot(at, Disk::Whole);
        }
        for at in 0..nodes {
            for other in 0..nodes {
                world.nodes[at].is_ready = true;
                world.count(at, other);
            }
        }
        world
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.random.random_range(0..bound)
    }

    pub(super) fn are_linked(&self, one: usize, other: usize) -> bool {
        let pair = (one.min(other), one.max(other));
        self.nodes[one].is_up && self.nodes[other].is_up && !self.cut.contains(&pair)
    }

    pub(super) fn set_link(&mut self, one: usize, other: usize, is_up: bool) {
        let pair = (one.min(other), one.max(other));
        if is_up {
            self.cut.remove(&pair);
        } else {
            self.cut.insert(pair);
        }
    }

    /// Each of the first group is cut off from each of the others.
    pub(super) fn partition(&mut self, group: &[usize]) {
        self.cut.clear();
        for one in group {
            for other in (0..self.nodes.len()).filter(|other| !group.contains(other)) {
                self.set_link(*one, other, false);
            }
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    fn wall_at(&self, at: usize) -> WallTime {
        WallTime(self.wall.saturating_add_signed(self.nodes[at].skew))
    }

    /// A node publishes; the number of the entry in its log.
    pub(super) fn publish(&mut self, at: usize, channel: &'static str) -> (Origin, u64) {
        let wall = self.wall_at(at);
        let node = &mut self.nodes[at];
        let origin = node.life;
        let id = node.clock.next(wall, origin);
        let number = node.origins.log(origin).map_or(0, |log| log.held().last()) + 1;
        let taken = node.origins.take_entry(origin, number, id);
        assert_eq!(taken, Ok(true), "{origin} {number} is new");
        let entry = Written::Entry { id, channel };
        assert!(self.written.insert((origin, number), entry).is_none());
        (origin, number)
    }

    /// Writes an end record into a node's log, and syncs it.
    pub(super) fn write_end(&mut self, at: usize, ended: &[Ended]) {
        if ended.is_empty() {
            return;
        }
        let wall = self.wall_at(at);
        let node = &mut self.nodes[at];
        for ended in ended {
            let newest = node.origins.log(ended.origin).and_then(OriginLog::newest);
            if let Some((_, id)) = newest {
                node.clock.pass(id);
            }
        }
        let origin = node.life;
        let record = EndRecord::new(node.clock.next(wall, origin), ended);
        let number = node.origins.log(origin).map_or(0, |log| log.held().last()) + 1;
        let taken = node.origins.take_end(origin, number, &record);
        assert_eq!(taken, Ok(true), "{origin} {number} is new");
        let former = self.written.insert((origin, number), Written::End(record));
        assert!(former.is_none(), "{origin} {number} is new");
    }

    /// Everything that a node has reaches its disk.
    pub(super) fn sync(&mut self, at: usize) {
        self.nodes[at].disk = self.nodes[at].origins.clone();
    }

    /// The node takes nothing over from its former life but its disk, and begins a new origin.
    pub(super) fn boot(&mut self, at: usize, disk: Disk) {
        self.crash_disk(at, disk);
        self.booted += 1;
        let is_founder = self.booted < self.nodes.len();
        let wall = self.wall_at(at);
        let node = &mut self.nodes[at];
        node.is_up = true;
        node.is_ready |= is_founder;
        node.clock = Clock::default();
        node.order = Order::default();
        node.haves = Haves::default();
        node.life = Origin::after(node.id, Some(node.life.start()), wall.0 / 1000);
        self.members.insert(at);
        // It gathers what the present members hold of its earlier origins, as far as links are up in time.
        for other in 0..self.nodes.len() {
            if other != at && self.are_linked(at, other) && self.chance(0.7) {
                self.share_table(other, at);
                self.nodes[at].is_ready |= self.nodes[other].is_ready;
                for origin in self.logs_of(other, self.nodes[at].id) {
                    self.copy(other, at, origin, u64::MAX);
                }
            }
        }
        self.write_first(at);
        for other in self.members.clone() {
            let id = self.nodes[other].id;
            if other != at {
                self.nodes[at].order.join(id);
            }
        }
    }

    /// A node finds its origin ended by others, and begins another one.
    fn begin_again(&mut self, at: usize) {
        let wall = self.wall_at(at);
        let node = &mut self.nodes[at];
        node.life = Origin::after(node.id, Some(node.life.start()), wall.0 / 1000);
        self.members.insert(at);
        self.write_first(at);
    }

    fn write_first(&mut self, at: usize) {
        let node = &self.nodes[at];
        let ended = node.origins.ended_by_first(node.life);
        self.write_end(at, &ended);
    }

    fn crash_disk(&mut self, at: usize, disk: Disk) {
        let floors: BTreeMap<Origin, u64> = self.settled.clone();
        let floor = |origin: Origin| self.floor(&floors, at, origin);
        let node = &self.nodes[at];
        let mut disk = disk;
        if disk == Disk::Wiped && node.origins.logs().any(|(origin, _)| floor(origin) > 0) {
            disk = Disk::Torn;
        }
        let held: Vec<(Origin, u64, u64)> = node
            .origins
            .logs()
            .map(|(origin, log)| {
                let synced = node.disk.log(origin).map_or(0, |log| log.held().last());
                let own_end = node.origins.ends().rows(origin, 1).last();
                let own_end = own_end.filter(|_| origin.node() == node.id);
                let synced = synced.max(own_end.map_or(0, |(number, _)| number));
                (origin, synced.max(floor(origin)), log.held().last())
            })
            .collect();
        let mut left = self.empty_origins();
        if disk == Disk::Wiped {
            self.nodes[at].is_ready = false;
            self.nodes[at].disk = self.empty_origins();
            self.nodes[at].marks.clear();
        } else {
            let is_table_whole = disk == Disk::Whole || disk == Disk::Torn && self.chance(0.5);
            let node = &self.nodes[at];
            left.learn(if is_table_whole {
                &node.origins
            } else {
                &node.disk
            });
            for (origin, least, last) in held {
                let last = match disk {
                    Disk::Whole | Disk::Wiped => last,
                    Disk::Torn => self.random.random_range(least.min(last)..=last),
                    Disk::Shortest => least.min(last),
                };
                self.keep(at, origin, last, &mut left);
            }
        }
        self.nodes[at].origins = left;
        self.sync(at);
    }

    pub(super) fn empty_origins(&self) -> Origins {
        let mut origins = Origins::default();
        if let Some(bug) = self.bug {
            origins.plant(bug);
        }
        origins
    }

    /// What was settled survives: how many records of a log a crash may not take from this node.
    fn floor(&self, settled: &BTreeMap<Origin, u64>, at: usize, origin: Origin) -> u64 {
        let settled = settled.get(&origin).copied().unwrap_or(0);
        let has = |(other, node): &(usize, &Node)| {
            *other != at && !node.is_dead && node.origins.prefix(origin) >= settled
        };
        let is_elsewhere = self.nodes.iter().enumerate().any(|pair| has(&pair));
        if is_elsewhere { 0 } else { settled }
    }

    /// Reads the records of a log up to `last` back from disk.
    fn keep(&self, at: usize, origin: Origin, last: u64, left: &mut Origins) {
        let log = self.nodes[at]
            .origins
            .log(origin)
            .expect("a log of the node");
        for number in log.held().iter().flatten().filter(|number| *number <= last) {
            if log.freed().contains(number) {
                let first = log.first_entry().filter(|first| *first <= number);
                left.take_freed(origin, number..=number, first);
            } else if log.lost().contains(number) {
                left.lose(origin, number..=number);
            } else {
                self.take(left, origin, number);
            }
        }
    }

    fn take(&self, origins: &mut Origins, origin: Origin, number: u64) {
        let taken = match &self.written[&(origin, number)] {
            Written::Entry { id, .. } => origins.take_entry(origin, number, *id),
            Written::End(record) => origins.take_end(origin, number, record),
        };
        taken.expect("nobody wrote a number twice");
    }

    pub(super) fn stop(&mut self, at: usize) {
        self.nodes[at].is_up = false;
    }

    /// A node never comes back, if no settled record goes with it.
    pub(super) fn kill_for_good(&mut self, at: usize) -> bool {
        let origins = &self.nodes[at].origins;
        let holds = origins
            .logs()
            .any(|(o, _)| self.floor(&self.settled, at, o) > 0);
        if !holds {
            self.nodes[at].is_up = false;
            self.nodes[at].is_dead = true;
            self.nodes[at].origins = self.empty_origins();
        }
        !holds
    }

    /// Ends the origin of a node that this one takes to be dead.
    pub(super) fn forget(&mut self, at: usize, gone: usize) {
        let node = self.nodes[gone].id;
        let ended = self.nodes[at].origins.owed_of_forgotten(node);
        self.write_end(at, &ended);
        self.nodes[at].answers_for.insert(node);
        self.nodes[at].order.forget(node);
        self.members.remove(&gone);
    }

    /// One node's table of end records, marks and readiness reach another.
    fn share_table(&mut self, from: usize, to: usize) {
        let mut origins = std::mem::take(&mut self.nodes[to].origins);
        origins.learn(&self.nodes[from].origins);
        let marks = self.nodes[from].marks.clone();
        let node = &mut self.nodes[to];
        node.origins = origins;
        for (pattern, id) in marks {
            let mark = node.marks.entry(pattern).or_default();
            *mark = id.max(*mark);
        }
    }

    pub(super) fn logs(&self, at: usize) -> Vec<Origin> {
        self.nodes[at]
            .origins
            .logs()
            .map(|(origin, _)| origin)
            .collect()
    }

    fn logs_of(&self, at: usize, node: OriginNode) -> Vec<Origin> {
        let logs = self.nodes[at].origins.logs_of(node);
        logs.map(|(origin, _)| origin).collect()
    }

    /// A node pulls the next records of a log, at most `most`.
    pub(super) fn copy(&mut self, from: usize, to: usize, origin: Origin, most: u64) {
        let first = self.nodes[to].origins.prefix(origin) + 1;
        self.copy_from(from, to, origin, first, most);
    }

    /// A node pulls records of a log from this number on, at most `most`.
    pub(super) fn copy_from(
        &mut self,
        from: usize,
        to: usize,
        origin: Origin,
        first: u64,
        most: u64,
    ) {
        let mut taken = std::mem::take(&mut self.nodes[to].origins);
        if let Some(log) = self.nodes[from].origins.log(origin) {
            let last = first.saturating_add(most).min(log.held().last() + 1);
            for number in (first..last).filter(|number| log.held().contains(*number)) {
                if log.freed().contains(number) {
                    taken.take_freed(origin, number..=number, log.first_entry());
                } else if log.lost().contains(number) {
                    taken.lose(origin, number..=number);
                } else if !taken.ends().is_sealed(origin) {
                    self.take(&mut taken, origin, number);
                }
            }
        }
        self.nodes[to].origins = taken;
    }

    /// What goes over a link when it comes up: tables, haves, clocks. The receiver then writes what it owes.
    pub(super) fn greet(&mut self, from: usize, to: usize) {
        self.share_table(from, to);
        self.tell_haves(from, to);
        self.nodes[to].is_ready |= self.nodes[from].is_ready;
        let reading = self.nodes[from].clock.reading();
        let wall = self.wall_at(to);
        // A clock that is too far ahead is not taken over; the logs are.
        let _ = self.nodes[to].clock.meet(wall, reading);
        let id = self.nodes[from].id;
        self.nodes[to].order.join(id);
        if self.nodes[to].origins.ends().is_ended(self.nodes[to].life) {
            self.begin_again(to);
        }
    }

    fn tell_haves(&mut self, from: usize, to: usize) {
        let logs = self.nodes[from].origins.logs();
        let haves: Vec<_> = logs
            .map(|(origin, log)| (origin, log.held().clone()))
            .collect();
        let id = self.nodes[from].id;
        let node = &mut self.nodes[to];
        node.haves.forget(id);
        for (origin, held) in haves {
            node.origins.hear_of(origin, held.last());
            node.haves.tell(id, origin, held);
        }
    }

    /// A node writes the end records that it owes.
    pub(super) fn write_owed(&mut self, at: usize) {
        let node = &self.nodes[at];
        let mut owed = node.origins.owed(node.life);
        for gone in &node.answers_for {
            if !self.members.contains(&(gone.bits() as usize)) {
                owed.extend(node.origins.owed_of_forgotten(*gone));
            }
        }
        self.write_end(at, &owed);
    }

    /// The sender promises, as far as its log is settled.
    pub(super) fn promise(&mut self, from: usize, to: usize) {
        let (origin, closed) = self.closed(from);
        self.nodes[to].order.hear(origin, closed);
    }

    fn closed(&mut self, at: usize) -> (Origin, Closed) {
        let wall = self.wall_at(at);
        let node = &mut self.nodes[at];
        let origin = node.life;
        let (last, settled) = node.origins.log(origin).map_or((0, 0), |log| {
            (log.held().last(), log.settled().min(log.prefix()))
        });
        let id = match self.written.get(&(origin, settled + 1)) {
            Some(Written::Entry { id, .. }) if settled < last => id.before(),
            Some(Written::End(record)) if settled < last => record.id().before(),
            _ => self.nodes[at].clock.close(wall),
        };
        let records = settled;
        (origin, Closed { id, records })
    }

    /// A node judges what is settled, by the copies at the members it has links to.
    pub(super) fn settle(&mut self, at: usize, copies: NonZeroUsize) {
        let present: Vec<OriginNode> = (0..self.nodes.len())
            .filter(|other| *other != at && self.are_linked(at, *other))
            .map(|other| self.nodes[other].id)
            .collect();
        if present.len() + 1 < copies.get() {
            return;
        }
        for origin in self.logs(at) {
            let node = &mut self.nodes[at];
            let records = node
                .haves
                .settled(&node.origins, origin, &present, (copies, u64::MAX));
            // What this node cannot see may not be there any more: a have is as old as its message.
            let is_held = |node: &&Node| !node.is_dead && node.origins.prefix(origin) >= records;
            if self.nodes.iter().filter(is_held).count() < copies.get() {
                continue;
            }
            self.nodes[at].origins.settle(origin, records);
            let settled = self.settled.entry(origin).or_default();
            *settled = records.max(*settled);
        }
    }

    pub(super) fn advance(&mut self, at: usize) {
        let (_, own) = self.closed(at);
        let node = &mut self.nodes[at];
        node.order.advance(own.id, &node.origins);
    }

    pub(super) fn count(&mut self, at: usize, other: usize) {
        let id = self.nodes[other].id;
        let node = &mut self.nodes[at];
        node.order.join(id);
        node.order.count(id, &node.origins);
    }

    /// Everything goes from one node to another.
    pub(super) fn tell_all(&mut self, from: usize, to: usize) {
        self.greet(from, to);
        for origin in self.logs(from) {
            self.copy(from, to, origin, u64::MAX);
        }
        self.write_owed(to);
        self.tell_haves(from, to);
    }

    /// All nodes that can talk tell each other everything, until nobody has news.
    pub(super) fn settle_down(&mut self) {
        for _ in 0..4 {
            self.wall += 10;
            for from in 0..self.nodes.len() {
                for to in 0..self.nodes.len() {
                    if from != to && self.are_linked(from, to) {
                        self.tell_all(from, to);
                    }
                }
            }
        }
        for _ in 0..2 {
            for at in 0..self.nodes.len() {
                if self.nodes[at].is_up {
                    self.settle(at, self.copies);
                    self.sync(at);
                }
            }
            self.wall += 1000;
            for from in 0..self.nodes.len() {
                for to in 0..self.nodes.len() {
                    if from != to && self.are_linked(from, to) {
                        self.promise(from, to);
                        self.count(to, from);
                    }
                }
            }
            for at in 0..self.nodes.len() {
                if self.nodes[at].is_up {
                    self.advance(at);
                }
            }
        }
    }
}
