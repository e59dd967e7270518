//! The size of the log of topics: segments go when readers may get nothing of them, and where little of one is left, that
//! is recorded again so that it can go.
//!
//! Segments go oldest first. When the log is larger than twice what is live and a margin, or than `topic-max-disk`, the live
//! entries of the oldest segment are read and recorded again, under their numbers, a few chunks at a time. What was dead
//! among them is freed. When room is short, the oldest entries of channels without a rule go first, as by retention.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::channels::{ChannelKey, Floor};
use super::cluster::Fetch;
use super::command::{Told, TopicRefusal};
use super::entries::Chunked;
use super::id::EntryId;
use super::origin::Origin;
use super::record::{ENTRY_BYTES, Entry, TopicRecord};
use super::restoring::Freed;
use super::topics::Topics;
use crate::agenda::Timer;
use crate::effect::Effect;
use crate::limits;
use crate::node::{Log, Node};
use crate::record::{Segment, Stream};
use crate::refusal::Refusal;
use crate::time::Now;

impl Node {
    /// Gives up the oldest segments of which readers may get nothing any more, and what else they may not get.
    pub(super) fn retire_topics(&mut self, effects: &mut Vec<Effect>) {
        let segments = &self.topics.segments;
        let (before, current) = (segments.oldest(), segments.current());
        let mut oldest = before;
        while oldest < current && !self.topics.has_visible(oldest) {
            oldest += 1;
        }
        let mut freed = self.topics.free_below(oldest);
        freed.extend(self.topics.drop_invisible());
        for record in freed {
            self.persist_topic(record, effects);
        }
        if oldest > before {
            self.topics.segments.give_up(oldest);
            effects.push(Effect::Retire(Stream::Topics, oldest));
        }
    }

    /// The log of topics has grown, or less of it is live than was: it may have to shrink.
    pub(super) fn watch_topic_log(&mut self, now: Now) {
        if self.settings.log == Log::On
            && !self.topics.is_compacting
            && self.topics.shrinks(self.settings.topic_disk)
        {
            self.topics.is_compacting = true;
            self.agenda.add_timer(now.time, Timer::TopicCompaction);
        }
    }

    /// The next step of shrinking the log.
    pub(crate) fn on_topic_compaction(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.topics.is_compacting = self.topics.shrinks(self.settings.topic_disk);
        self.retire_topics(effects);
        if !self.topics.is_compacting {
            return;
        }
        let oldest = self.topics.segments.oldest();
        let told = self.topics.live_of(oldest);
        self.topics.copied = oldest;
        if told.is_empty() {
            self.agenda.add_timer(
                now.time + limits::TOPIC_COMPACTION_PAUSE,
                Timer::TopicCompaction,
            );
        } else {
            self.fetch_entries(Fetch::Compaction, told, effects);
        }
    }

    /// What was asked for first was read.
    pub(crate) fn on_entries_fetched(
        &mut self,
        now: Now,
        told: Vec<Told>,
        effects: &mut Vec<Effect>,
    ) {
        match self.topics.cluster.fetches.pop_front() {
            None | Some(Fetch::Compaction) => self.on_live_fetched(now, told, effects),
            Some(Fetch::Binding(name, page)) => self.on_binding_fetched((&name, page), told),
            Some(fetch @ Fetch::Copies { .. }) => {
                self.on_copies_fetched(now, fetch, told, effects);
            }
        }
    }

    /// The live entries of some chunks of the oldest segment were read: they are recorded again.
    fn on_live_fetched(&mut self, now: Now, told: Vec<Told>, effects: &mut Vec<Effect>) {
        let mut read = BTreeMap::new();
        for one in told {
            let Told::Entry(entry, _) = one else {
                // What cannot be read now may be later, and stays where it is. The next change of the log tries again.
                self.topics.is_compacting = false;
                return;
            };
            read.insert((entry.origin, entry.number), entry);
        }
        let oldest = self.topics.segments.oldest();
        // It may have gone meanwhile.
        if self.topics.copied == oldest {
            let entries = &self.topics.entries;
            for chunk in entries.first_chunks(oldest, limits::TOPIC_CHUNKS) {
                self.move_chunk(chunk, &read, effects);
            }
            self.retire_topics(effects);
        }
        self.agenda.add_timer(
            now.time + limits::TOPIC_COMPACTION_PAUSE,
            Timer::TopicCompaction,
        );
    }

    /// Records what is live of a chunk again.
    fn move_chunk(
        &mut self,
        chunk: Chunked,
        read: &BTreeMap<(Origin, u64), Arc<Entry>>,
        effects: &mut Vec<Effect>,
    ) {
        let origin = chunk.origin;
        let (mut freed, mut numbers) = (Freed::default(), Vec::new());
        for (number, entry) in chunk.entries {
            let is_live = entry.id > self.topics.channels.get(entry.channel).floor();
            if is_live && let Some(entry) = read.get(&(origin, number)) {
                let record = TopicRecord::Entry(Arc::clone(entry));
                self.topics.segments.grow(record.size());
                self.persist_topic(record, effects);
            } else {
                freed.note_one(origin, number, entry.channel);
                numbers.push(number);
            }
        }
        let topics = &mut self.topics;
        let current = topics.segments.current();
        topics
            .entries
            .move_chunk(origin, chunk.first, current, &numbers);
        for record in topics.free(freed) {
            self.persist_topic(record, effects);
        }
    }

    /// Whether there is room for another entry on the disk.
    pub(super) fn check_topic_disk(&self) -> Result<(), Refusal> {
        let is_full =
            self.settings.log == Log::On && self.topics.is_stuck(self.settings.topic_disk);
        if is_full {
            return Err(TopicRefusal::Disk.into());
        }
        Ok(())
    }
}

impl Topics {
    /// Whether the log is larger than it is to be, and can be made smaller: what is dead goes, and if room is short, the
    /// oldest entries that no rule holds.
    fn shrinks(&mut self, most: u64) -> bool {
        if self.segments.oldest() >= self.segments.current() {
            return false;
        }
        let (all, live) = (self.segments.bytes(), self.channels.live_bytes());
        if all > 2 * live + limits::TOPIC_LOG_MARGIN {
            return true;
        }
        // Less than an eighth is not worth the copying.
        let has_dead = all > live + live / 8;
        self.is_over(most) && (has_dead || self.take_oldest() || self.is_worth_copying())
    }

    /// Whether an eighth of the oldest segment is dead, or more.
    fn is_worth_copying(&self) -> bool {
        let mut live = 0;
        self.entries.visit(self.segments.oldest(), |entry| {
            if entry.id > self.channels.get(entry.channel).floor() {
                live += ENTRY_BYTES + u64::from(entry.bytes);
            }
        });
        let all = self.segments.oldest_bytes();
        all - live.min(all) >= all / 8
    }

    /// Whether the log takes more than topics may have on disk.
    fn is_over(&self, most: u64) -> bool {
        self.segments.bytes() > most
    }

    /// Whether the log is so far above that bound that nothing more is taken: what may go has gone, or cannot go fast enough.
    fn is_stuck(&self, most: u64) -> bool {
        self.segments.bytes() > most.saturating_add(limits::TOPIC_DISK_SLACK)
    }

    /// Takes what lies in the oldest segment of channels without a rule, as retention does. Returns whether there was any.
    fn take_oldest(&mut self) -> bool {
        let oldest = self.segments.oldest();
        let mut last: BTreeMap<ChannelKey, EntryId> = BTreeMap::new();
        self.entries.visit(oldest, |entry| {
            let id = last.entry(entry.channel).or_default();
            *id = entry.id.max(*id);
        });
        let floors = last.into_iter().filter(|&(key, id)| {
            let channel = self.channels.get(key);
            id > channel.floor() && self.rules.of(channel.name()).is_none()
        });
        let floors: Vec<_> = floors.collect();
        self.raise_all(Floor::Taken, &floors);
        !floors.is_empty()
    }

    /// The live entries of the first chunks of a segment.
    fn live_of(&self, segment: Segment) -> Vec<Told> {
        let chunks = self.entries.first_chunks(segment, limits::TOPIC_CHUNKS);
        let mut told = Vec::new();
        for chunk in chunks {
            for (number, entry) in chunk.entries {
                if entry.id > self.channels.get(entry.channel).floor() {
                    told.push(self.entries.told(chunk.origin, number, entry));
                }
            }
        }
        told
    }
}
