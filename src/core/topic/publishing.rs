//! TPUB and PUBLISH: an entry gets its number and id, is held and recorded, and settles.
//!
//! Touches the log (records) and the readers of this room, who are given news after the batch.

use std::sync::Arc;

use super::channels::ChannelKey;
use super::cluster::Terms;
use super::command::{Publish, TopicRefusal, TopicReply};
use super::id::EntryId;
use super::origin::Origin;
use super::record::{Entry, TopicRecord};
use crate::command::Reply;
use crate::effect::Effect;
use crate::extras::{Extras, Tag};
use crate::id::Ticket;
use crate::job::Body;
use crate::limits;
use crate::log::answer;
use crate::node::{Node, TopicMember};
use crate::refusal::Refusal;
use crate::time::Now;

impl Node {
    pub(super) fn publish(
        &mut self,
        now: Now,
        ticket: Ticket,
        publish: &Publish<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let terms = Terms {
            ticket,
            replicate: publish.replicate,
            is_async: publish.is_async,
            announces: false,
            until: publish.timeout.map(|timeout| now.time + timeout),
        };
        self.publish_when_possible(now, terms, publish, effects);
    }

    /// PUBLISH: as Redis counts, each subscription that the entry goes to.
    pub(super) fn publish_unwatched(
        &mut self,
        now: Now,
        ticket: Ticket,
        publish: &Publish<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let terms = Terms {
            ticket,
            replicate: publish.replicate,
            is_async: true,
            announces: true,
            until: Some(now.time + limits::TOPIC_GATHER),
        };
        self.publish_when_possible(now, terms, publish, effects);
    }

    /// Publishes at once, or as soon as enough members take copies.
    fn publish_when_possible(
        &mut self,
        now: Now,
        terms: Terms,
        publish: &Publish<'_>,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = self.check_publish(now, publish) {
            return answer(terms.ticket, Reply::Refused(refusal), effects);
        }
        self.own_life(now, effects);
        if self.topics.cluster.members.is_empty() {
            self.go_on_beginning(now, effects);
        }
        if self.topics.cluster.publishes.has_waiting() || !self.may_publish(publish.replicate) {
            return self.wait_for_takers(now, terms, publish);
        }
        self.publish_on(now, terms, publish, effects);
    }

    /// Publishes: enough members take copies.
    pub(super) fn publish_on(
        &mut self,
        now: Now,
        terms: Terms,
        publish: &Publish<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let published = match publish.dedup {
            Some(key) => self.publish_once(now, publish, key, effects),
            None => Ok(self.append(now, publish, effects)),
        };
        match published {
            Ok(_) if terms.announces => {
                let readers = self.topics.readers.count(publish.channel);
                let reply = TopicReply::Announced(readers);
                answer(terms.ticket, Reply::Topic(Box::new(reply)), effects);
            }
            Ok(place) => self.wait_for_copies(now, terms, place, effects),
            Err(refusal) => answer(terms.ticket, Reply::Refused(refusal), effects),
        }
    }

    fn check_publish(&mut self, now: Now, publish: &Publish<'_>) -> Result<(), Refusal> {
        self.check_topics()?;
        if self.is_going() {
            return Err(Refusal::Leaving);
        }
        let copies = publish.replicate.unwrap_or(1);
        if self.topics.cluster.members.is_empty() && copies > 1 {
            return Err(TopicRefusal::TooFewTakers.into());
        }
        if self.is_clock_wrong(now) {
            self.note_wrong_clock(now);
            return Err(TopicRefusal::Clock.into());
        }
        self.check_topic_disk()?;
        let topics = &self.topics;
        let is_new = topics.channels.find(publish.channel).is_none();
        if is_new && topics.channels.with_entries() >= limits::TOPIC_CHANNELS {
            return Err(TopicRefusal::TooManyChannels.into());
        }
        if topics.memory() as u64 >= self.settings.topic_memory {
            return Err(TopicRefusal::Memory.into());
        }
        Ok(())
    }

    /// Publishes nothing if an entry with this key came within the window. Returns where the entry is.
    fn publish_once(
        &mut self,
        now: Now,
        publish: &Publish<'_>,
        key: &[u8],
        effects: &mut Vec<Effect>,
    ) -> Result<(Origin, u64, EntryId), Refusal> {
        let since = now.wall.0.saturating_sub(self.settings.topic_dedup_ms);
        if let Some(id) = self.topics.keys.find(publish.channel, key, since)
            && let Some((origin, number)) = self.topics.find(id)
        {
            return Ok((origin, number, id));
        }
        if self.topics.keys.is_full() {
            return Err(TopicRefusal::TooManyKeys.into());
        }
        Ok(self.append(now, publish, effects))
    }

    /// Appends an entry to the log of this life.
    fn append(
        &mut self,
        now: Now,
        publish: &Publish<'_>,
        effects: &mut Vec<Effect>,
    ) -> (Origin, u64, EntryId) {
        let own = self.own_life(now, effects);
        let channel = match self.topics.channels.find(publish.channel) {
            Some(key) => Arc::clone(self.topics.channels.get(key).name()),
            None => Arc::from(publish.channel),
        };
        let (number, id) = self.topics.next_own(own, now.wall);
        let entry = Arc::new(Entry {
            origin: own,
            number,
            id,
            channel,
            body: Body::new(publish.body),
            extras: publish.extras.clone(),
        });
        let key = self.topics.hold(&entry);
        let key = key.unwrap_or_else(|| panic!("{entry:?} has a number of its own"));
        self.count_published(key);
        self.topics.entries.remember(&entry);
        let record = TopicRecord::Entry(entry);
        self.topics.segments.grow(record.size());
        self.persist_topic(record, effects);
        self.topics.has_news = true;
        if self.topics.cluster.members.is_empty() {
            self.settle_own_log();
        }
        (own, number, id)
    }

    fn count_published(&mut self, key: ChannelKey) {
        let is_first = self.is_among_first(key);
        let topics = &mut self.topics;
        topics.channels.count_published(key);
        topics.counts.published += 1;
        topics.counts.published_to_rest += u64::from(!is_first);
    }

    /// These records are on disk.
    pub(crate) fn on_topics_safe(&mut self, records: &[(Origin, u64)]) {
        let own = self.topics.own();
        for &(origin, number) in records {
            if own == Some(origin) {
                let synced = &mut self.topics.cluster.own_synced;
                *synced = number.max(*synced);
            } else {
                self.topics.cluster.note_synced(origin, number);
            }
        }
        self.topics.has_news |= !records.is_empty();
    }

    /// Whether this node serves topics.
    pub(super) fn check_topics(&self) -> Result<(), Refusal> {
        if self.settings.topics == TopicMember::No {
            return Err(TopicRefusal::NotServed.into());
        }
        Ok(())
    }
}

/// The key of DEDUP, if an entry has one.
pub(super) fn key_of(extras: &Extras) -> Option<&[u8]> {
    extras.get(Tag::DEDUP)
}
