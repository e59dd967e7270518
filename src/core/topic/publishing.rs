//! TPUB and PUBLISH: an entry gets its number and id, is held and recorded, and settles.
//!
//! Touches the log (records) and the readers of this room, who are given news after the batch.

use std::sync::Arc;

use super::channels::ChannelKey;
use super::command::{Publish, TopicRefusal, TopicReply};
use super::id::EntryId;
use super::origin::{Origin, OriginNode};
use super::record::{Entry, TopicRecord};
use crate::command::Reply;
use crate::effect::Effect;
use crate::extras::{Extras, Tag};
use crate::id::Ticket;
use crate::job::Body;
use crate::limits;
use crate::log::answer;
use crate::node::{Log, Node, Sync};
use crate::refusal::Refusal;
use crate::time::Now;

use super::ends::EndRecord;

impl Node {
    pub(super) fn publish(
        &mut self,
        now: Now,
        ticket: Ticket,
        publish: &Publish<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let published = self
            .check_publish(publish)
            .and_then(|()| match publish.dedup {
                Some(key) => self.publish_once(now, publish, key, effects),
                None => Ok(self.append(now, publish, effects)),
            });
        answer_publish(ticket, published.map(TopicReply::Published), effects);
    }

    /// PUBLISH: as Redis counts, each subscription that the entry goes to.
    pub(super) fn publish_unwatched(
        &mut self,
        now: Now,
        ticket: Ticket,
        publish: &Publish<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let checked = self.check_publish(publish);
        let published = checked.map(|()| {
            self.append(now, publish, effects);
            TopicReply::Announced(self.topics.readers.count(publish.channel))
        });
        answer_publish(ticket, published, effects);
    }

    fn check_publish(&self, publish: &Publish<'_>) -> Result<(), Refusal> {
        self.check_topics()?;
        if publish.replicate.is_some_and(|copies| copies > 1) {
            return Err(Refusal::TooFewNodes);
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

    /// Publishes nothing if an entry with this key came within the window.
    fn publish_once(
        &mut self,
        now: Now,
        publish: &Publish<'_>,
        key: &[u8],
        effects: &mut Vec<Effect>,
    ) -> Result<EntryId, Refusal> {
        let since = now.wall.0.saturating_sub(self.settings.topic_dedup_ms);
        if let Some(id) = self.topics.keys.find(publish.channel, key, since) {
            return Ok(id);
        }
        if self.topics.keys.is_full() {
            return Err(TopicRefusal::TooManyKeys.into());
        }
        Ok(self.append(now, publish, effects))
    }

    /// Appends an entry to the log of this life.
    fn append(&mut self, now: Now, publish: &Publish<'_>, effects: &mut Vec<Effect>) -> EntryId {
        let own = self.own_life(now, effects);
        self.end_former_lives(now, own, effects);
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
        self.settle_own(own, number);
        id
    }

    fn count_published(&mut self, key: ChannelKey) {
        let is_first = self.is_among_first(key);
        let topics = &mut self.topics;
        topics.channels.count_published(key);
        topics.counts.published += 1;
        topics.counts.published_to_rest += u64::from(!is_first);
    }

    /// This life of the node. Without a log, and under a new id, it begins with the first entry.
    fn own_life(&mut self, now: Now, effects: &mut Vec<Effect>) -> Origin {
        if let Some(own) = self.topics.own() {
            return own;
        }
        let node = OriginNode::of(&self.id);
        let own = self.topics.begin(node, None, now.wall);
        self.persist_topic(TopicRecord::Life(own), effects);
        own
    }

    /// The first record of a life ends the former ones.
    fn end_former_lives(&mut self, now: Now, own: Origin, effects: &mut Vec<Effect>) {
        if self.topics.origins.prefix(own) > 0 {
            return;
        }
        let ended = self.topics.origins.ended_by_first(own);
        if ended.is_empty() {
            return;
        }
        let (number, id) = self.topics.next_own(own, now.wall);
        let record = EndRecord::new(id, &ended);
        let is_new = self.topics.hold_end(own, number, &record);
        assert!(is_new, "the first record of a life");
        let record = TopicRecord::End {
            origin: own,
            number,
            record,
        };
        self.persist_topic(record, effects);
        self.settle_own(own, number);
    }

    /// A record of this node counts here at once, unless it has to be on disk first.
    fn settle_own(&mut self, own: Origin, number: u64) {
        let is_safe = self.settings.log == Log::Off || self.settings.sync == Sync::Later;
        if is_safe {
            self.topics.settle(own, number);
        }
        self.topics.has_news = true;
    }

    /// These records are on disk.
    pub(crate) fn on_topics_safe(&mut self, records: &[(Origin, u64)]) {
        for &(origin, number) in records {
            self.topics.settle(origin, number);
        }
        self.topics.has_news |= !records.is_empty();
    }

    /// Whether this node serves topics now.
    pub(super) fn check_topics(&self) -> Result<(), Refusal> {
        if self.peers.keys().next().is_some() {
            return Err(TopicRefusal::Alone.into());
        }
        Ok(())
    }
}

fn answer_publish(
    ticket: Ticket,
    published: Result<TopicReply, Refusal>,
    effects: &mut Vec<Effect>,
) {
    let reply = match published {
        Ok(reply) => Reply::Topic(Box::new(reply)),
        Err(refusal) => Reply::Refused(refusal),
    };
    answer(ticket, reply, effects);
}

/// The key of DEDUP, if an entry has one.
pub(super) fn key_of(extras: &Extras) -> Option<&[u8]> {
    extras.get(Tag::DEDUP)
}
