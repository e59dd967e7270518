//! Copies of records: they go out as they come, are taken, and each member says what it has.
//!
//! Touches the log (records) and the order of this room.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::entries::Slot;
use super::super::haves;
use super::super::id::EntryId;
use super::super::origin::Origin;
use super::super::planted::Bug;
use super::super::record::TopicRecord;
use super::super::spans::Spans;
use super::super::topics::Topics;
use super::Cluster;
use super::message::{Have, Head, TopicMessage, TopicNews};
use crate::effect::Effect;
use crate::limits;
use crate::members::PeerKey;
use crate::message::Message;
use crate::node::{Log, Node, Sync};
use crate::time::Now;

impl Node {
    /// Tells a member something about topics.
    pub(super) fn tell_member(
        &mut self,
        now: Now,
        to: PeerKey,
        news: TopicNews,
        effects: &mut Vec<Effect>,
    ) {
        let head = self.head(now);
        let message = Box::new(TopicMessage { head, news });
        self.send(to, Message::Topic(message), effects);
    }

    fn head(&mut self, now: Now) -> Head {
        let takes = self.takes_records();
        let topics = &mut self.topics;
        topics.cluster.told_takes = takes;
        let closed = topics.own_closed(now.wall);
        Head {
            clock: topics.clock().reading(),
            wall: now.wall,
            closed,
            takes,
        }
    }

    /// Whether there is room for records of others.
    pub(super) fn takes_records(&self) -> bool {
        let is_stuck = self.log_failing || self.check_topic_disk().is_err();
        let is_full = self.topics.memory() as u64 >= self.settings.topic_memory;
        !is_stuck && !is_full
    }

    /// Sends what this node published to those who have room for it.
    pub(super) fn push_records(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(own) = self.topics.own() else {
            return;
        };
        let last = self.topics.origins.prefix(own);
        for key in self.topics.cluster.members.keys() {
            while let Some(member) = self.topics.cluster.members.get(key) {
                let window = member.window();
                let Some(next) = member.next_push.filter(|&next| next <= last) else {
                    break;
                };
                if !member.is_present() || !member.takes || window == 0 {
                    break;
                }
                self.push_some(now, key, own, (next, last), effects);
            }
        }
    }

    /// Sends one message of records; or says that what left memory has to be pulled.
    fn push_some(
        &mut self,
        now: Now,
        to: PeerKey,
        own: Origin,
        (next, last): (u64, u64),
        effects: &mut Vec<Effect>,
    ) {
        let (records, bytes) = self.topics.recent_records(own, next, last);
        let count = records.len() as u64;
        let member = self.topics.cluster.members.get_mut(to);
        let member = member.expect("it is pushed to");
        let news = if count == 0 {
            member.next_push = Some(last + 1);
            TopicNews::Follows(own, last + 1)
        } else {
            let end = next + count - 1;
            member.next_push = Some(end + 1);
            member.in_flight.push_back((end, bytes));
            TopicNews::Records(records)
        };
        self.tell_member(now, to, news, effects);
    }

    /// Records of another member came.
    pub(super) fn on_topic_records(
        &mut self,
        now: Now,
        records: Vec<TopicRecord>,
        effects: &mut Vec<Effect>,
    ) {
        if !self.takes_records() {
            // They are asked for again when there is room.
            self.topics.cluster.told_takes = false;
            self.watch_topics(now);
            return;
        }
        for record in records {
            self.take_record(record, effects);
        }
        self.watch_topic_log(now);
    }

    /// Takes a record of any origin, if it is new here.
    pub(super) fn take_record(&mut self, record: TopicRecord, effects: &mut Vec<Effect>) {
        let topics = &mut self.topics;
        let is_new = match &record {
            TopicRecord::Entry(entry) => {
                let is_new = topics.hold(entry).is_some();
                if is_new {
                    topics.entries.remember(entry);
                    topics.cluster.note(entry.origin, entry.id);
                }
                is_new
            }
            TopicRecord::End {
                origin,
                number,
                record,
            } => {
                let is_new = topics.hold_end(*origin, *number, record);
                if is_new {
                    topics.cluster.note(*origin, record.id());
                }
                is_new
            }
            TopicRecord::Freed {
                origin,
                first,
                last,
                first_entry,
            } => topics.take_freed(*origin, (*first, *last), *first_entry),
            TopicRecord::Life(_) => false,
        };
        if is_new {
            let counts = self.settings.log == Log::On && self.settings.sync == Sync::First;
            if let Some((origin, number)) = place_of(&record).filter(|_| counts) {
                topics.cluster.note_unsynced(origin, number);
            }
            topics.has_news = true;
            topics.segments.grow(record.size());
            self.persist_topic(record, effects);
        }
    }

    /// Tells the members what came here of the logs of others: each the node whose log it is, all of them while that does
    /// not answer or has begun another life, and those who asked.
    pub(super) fn tell_haves(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let own = self.topics.own().map(Origin::node);
        let dirty = std::mem::take(&mut self.topics.cluster.dirty);
        let mut to: BTreeMap<PeerKey, Vec<Have>> = BTreeMap::new();
        for origin in dirty {
            if Some(origin.node()) == own {
                continue;
            }
            let Some(have) = self.topics.have_of(origin) else {
                continue;
            };
            let members = &self.topics.cluster.members;
            let is_there = members.speaks_for(origin);
            for (key, member) in members.present() {
                let is_its = member.node == origin.node();
                if is_its || !is_there || member.wants.contains(&origin.node()) {
                    to.entry(key).or_default().push(have.clone());
                }
            }
        }
        for (key, haves) in to {
            self.tell_member(now, key, TopicNews::Haves(haves), effects);
        }
    }

    /// A member says what it has.
    pub(super) fn on_topic_haves(&mut self, now: Now, from: PeerKey, haves: &[Have]) {
        let own = self.topics.own();
        let mut has_others = false;
        for have in haves {
            self.topics.hear_have(from, have);
            if Some(have.origin) == own {
                let last = have.held.last().map_or(0, |(_, last)| *last);
                if let Some(member) = self.topics.cluster.members.get_mut(from) {
                    member.confirm(last);
                }
            } else {
                has_others = true;
            }
        }
        self.topics.has_news = true;
        if has_others {
            self.topics.judge_others(self.settings.topic_replicate);
        }
        self.watch_topics(now);
    }

    /// A node without others needs nobody to settle what it has, and to say what is lost. So a reader sees what was acknowledged
    /// before.
    pub(in crate::topic) fn settle_alone(&mut self, now: Now) {
        if !self.topics.cluster.members.is_empty() {
            return;
        }
        self.give_up_lost(now);
        if self.topics.has_news {
            self.settle_own_log();
            self.topics.judge_others(self.settings.topic_replicate);
        }
    }

    /// What is settled of this node's own log, after the members said more or the disk did.
    pub(in crate::topic) fn settle_own_log(&mut self) {
        let Some(own) = self.topics.own() else {
            return;
        };
        let topics = &self.topics;
        let present: Vec<_> = topics
            .cluster
            .members
            .present()
            .filter(|(_, member)| member.takes_copies())
            .map(|(_, member)| member.node)
            .collect();
        let replicate = self.settings.topic_replicate;
        let haves = &topics.cluster.haves;
        let settled = haves.settled(&topics.origins, own, &present, (replicate, u64::MAX));
        let settled = settled.min(self.own_synced());
        let settled = if topics.origins.has(Bug::ClosedEarly) {
            topics.origins.prefix(own)
        } else {
            settled
        };
        self.topics.settle(own, settled);
    }

    /// How many records of the present life count here: under `appendfsync always` those that are on disk.
    pub(super) fn own_synced(&self) -> u64 {
        if self.settings.log == Log::On && self.settings.sync == Sync::First {
            self.topics.cluster.own_synced
        } else {
            u64::MAX
        }
    }
}

/// Where in which log a record is that readers may get, or that cursors rest on.
fn place_of(record: &TopicRecord) -> Option<(Origin, u64)> {
    match record {
        TopicRecord::Entry(entry) => Some((entry.origin, entry.number)),
        TopicRecord::End { origin, number, .. } => Some((*origin, *number)),
        TopicRecord::Freed { .. } | TopicRecord::Life(_) => None,
    }
}

impl Cluster {
    /// A record of another life was given to the disk.
    fn note_unsynced(&mut self, origin: Origin, number: u64) {
        self.unsynced.entry(origin).or_default().insert(number);
    }

    /// It is on disk.
    pub(in crate::topic) fn note_synced(&mut self, origin: Origin, number: u64) {
        if let Some(numbers) = self.unsynced.get_mut(&origin) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.unsynced.remove(&origin);
            }
        }
    }

    /// How many records of another life count here: those before the first that may not be on disk.
    pub(super) fn synced(&self, origin: Origin) -> u64 {
        let numbers = self.unsynced.get(&origin);
        let first = numbers.and_then(|numbers| numbers.first());
        first.map_or(u64::MAX, |first| first - 1)
    }
}

impl Topics {
    /// The newest records of a log from a number on, as far as they are in memory and fit one message; and their bytes.
    fn recent_records(&self, origin: Origin, from: u64, to: u64) -> (Vec<TopicRecord>, usize) {
        let (mut records, mut bytes) = (Vec::new(), 0);
        for number in from..=to {
            let record = if let Some(entry) = self.entries.recent(origin, number) {
                TopicRecord::Entry(Arc::clone(entry))
            } else if let Some(record) = self.end_at(origin, number) {
                record
            } else {
                break;
            };
            bytes += record.size() as usize;
            records.push(record);
            if bytes >= limits::TOPIC_MESSAGE_BYTES {
                break;
            }
        }
        (records, bytes)
    }

    /// Records count as soon as they are here: the policy is another one now.
    pub(crate) fn wait_for_no_sync(&mut self) {
        self.cluster.unsynced.clear();
    }

    /// The end record with this number of a log.
    pub(super) fn end_at(&self, origin: Origin, number: u64) -> Option<TopicRecord> {
        let (found, record) = self.origins.ends().rows(origin, number).next()?;
        (found == number).then(|| TopicRecord::End {
            origin,
            number,
            record: record.clone(),
        })
    }

    /// What this node has of a log; none of a log that is refused.
    pub(super) fn have_of(&self, origin: Origin) -> Option<Have> {
        let log = self.origins.log(origin)?;
        if log.is_refused() {
            return None;
        }
        let mut held = log.held().clone();
        for lost in log.lost().iter() {
            held.remove(lost);
        }
        Some(Have {
            origin,
            held: held
                .iter()
                .map(|range| (*range.start(), *range.end()))
                .collect(),
            newest: log.newest(),
        })
    }

    /// What a member has of a log. If it has more than is here, that is asked for.
    pub(super) fn hear_have(&mut self, from: PeerKey, have: &Have) {
        let Some(node) = self.cluster.members.get(from).map(|member| member.node) else {
            return;
        };
        let origin = have.origin;
        if let Some((number, id)) = have.newest
            && self.origins.check(origin, number, id).is_err()
        {
            return;
        }
        let mut held = Spans::default();
        for &(first, last) in &have.held {
            held.insert(first..=last);
        }
        self.origins.hear_of(origin, held.last());
        if self.lacks_of(origin, &held) {
            self.cluster.lacking.insert(origin);
        }
        self.cluster.haves.tell(node, origin, held);
    }

    fn lacks_of(&self, origin: Origin, held: &Spans) -> bool {
        let log = self.origins.log(origin);
        let has = |range| log.is_some_and(|log| log.held().covers(&range));
        !held.iter().all(has)
    }

    /// A member can be asked from now on for what it said that it has.
    pub(super) fn look_at_haves(&mut self, key: PeerKey) {
        let Some(node) = self.cluster.members.get(key).map(|member| member.node) else {
            return;
        };
        let haves = self.cluster.haves.of_member(node);
        let lacking = haves.filter(|(origin, held)| self.lacks_of(*origin, held));
        let lacking: Vec<Origin> = lacking.map(|(origin, _)| origin).collect();
        self.cluster.lacking.extend(lacking);
    }

    /// Settles what the members have of the logs of nodes that are not there.
    pub(super) fn judge_others(&mut self, replicate: std::num::NonZeroUsize) {
        let present = self.cluster.members.present_nodes();
        let own = self.own();
        let judged: Vec<(Origin, u64)> = self
            .unsettled_logs()
            .filter(|(origin, _)| own != Some(*origin))
            .map(|(origin, _)| {
                let haves: &haves::Haves = &self.cluster.haves;
                let counts = (replicate, self.cluster.synced(origin));
                (
                    origin,
                    haves.settled(&self.origins, origin, &present, counts),
                )
            })
            .collect();
        for (origin, settled) in judged {
            self.settle(origin, settled);
        }
    }

    /// Counts a range that a member freed as held here; true if that is news.
    fn take_freed(
        &mut self,
        origin: Origin,
        (first, last): (u64, u64),
        first_entry: Option<u64>,
    ) -> bool {
        if first == 0 || first > last {
            return false;
        }
        let log = self.origins.log(origin);
        if log.is_some_and(|log| log.held().covers(&(first..=last))) {
            return false;
        }
        self.origins.take_freed(origin, first..=last, first_entry);
        self.origins.see(origin, first..=last);
        self.cluster.note(origin, EntryId::ZERO);
        true
    }

    /// Whether a place of a log may be read by readers, or only counts.
    pub(super) fn is_visible(&self, origin: Origin, number: u64) -> bool {
        match self.entries.slot(origin, number) {
            Slot::Entry(entry) => entry.id > self.channels.get(entry.channel).floor(),
            Slot::End | Slot::Empty => false,
        }
    }
}
