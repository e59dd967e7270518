//! TSUB and TUNSUB, and Redis's pub/sub: subscriptions of connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cluster::Postponed;
use super::command::{Follow, Listen, TopicRefusal, TopicReply};
use super::cursor::Cursor;
use super::glob::{Case, matches};
use super::readers::{At, Kind, ReaderId};
use crate::command::Reply;
use crate::effect::Effect;
use crate::id::{ClientId, Ticket};
use crate::limits;
use crate::log::answer;
use crate::node::Node;
use crate::refusal::Refusal;
use crate::time::Now;

impl Node {
    pub(super) fn follow(
        &mut self,
        now: Now,
        ticket: Ticket,
        follow: &Follow<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let client = ticket.client;
        let checked = self
            .check_topics()
            .and_then(|()| self.check_subscriptions(client, 1));
        if let Err(refusal) = checked {
            return answer(ticket, Reply::Refused(refusal), effects);
        }
        if self.topics.cluster.loading.is_some() {
            return self.postpone_reader(now, ticket, Postponed::follow(follow), effects);
        }
        self.settle_alone(now);
        self.topics.advance(now.wall);
        let cursor = match self.begin_reader(now, &follow.start, &follow.patterns, effects) {
            Ok(cursor) => cursor,
            Err(reply) => return answer(ticket, reply, effects),
        };
        let number = self.topics.readers.next_number(client);
        let kind = Kind::Follower {
            number,
            meta: follow.meta,
            epoch: cursor.epoch(),
        };
        let patterns = follow.patterns.iter().map(|&pattern| Arc::from(pattern));
        let readers = &mut self.topics.readers;
        let at = cursor.clone().in_epoch(None);
        readers.add(client, kind, patterns.collect(), at);
        let count = readers.subscription_count(client);
        let reply = TopicReply::Followed(number, cursor, count);
        answer(ticket, Reply::Topic(Box::new(reply)), effects);
        self.step_readers(now, effects);
    }

    pub(super) fn unfollow(
        &mut self,
        ticket: Ticket,
        number: Option<u64>,
        effects: &mut Vec<Effect>,
    ) {
        let client = ticket.client;
        let mut ended = Vec::new();
        for id in self.topics.readers.of_client(client) {
            let Some(reader) = self.topics.readers.get(id) else {
                continue;
            };
            if let Kind::Follower {
                number: own, epoch, ..
            } = reader.kind
                && number.is_none_or(|number| number == own)
            {
                let cursor = self.place_of(id).in_epoch(epoch);
                self.topics.readers.remove(id);
                ended.push((own, cursor));
            }
        }
        let left = self.topics.readers.subscription_count(client);
        let reply = match (number, ended.is_empty()) {
            (Some(_), true) => Reply::Refused(TopicRefusal::UnknownSubscription.into()),
            (None | Some(_), _) => Reply::Topic(Box::new(TopicReply::Unfollowed(ended, left))),
        };
        answer(ticket, reply, effects);
    }

    pub(super) fn subscribe(
        &mut self,
        now: Now,
        ticket: Ticket,
        listen: Listen,
        names: &[&[u8]],
        effects: &mut Vec<Effect>,
    ) {
        let client = ticket.client;
        let new = names.len() as u64;
        let checked = self
            .check_topics()
            .and_then(|()| self.check_subscriptions(client, new));
        if let Err(refusal) = checked {
            return answer(ticket, Reply::Refused(refusal), effects);
        }
        if self.topics.cluster.loading.is_some() {
            return self.postpone_reader(now, ticket, Postponed::subscribe(listen, names), effects);
        }
        self.settle_alone(now);
        self.topics.advance(now.wall);
        let start = self.topics.now();
        let mut told = Vec::new();
        for &name in names {
            let name: Arc<[u8]> = Arc::from(name);
            if self
                .topics
                .readers
                .listener(client, listen, &name)
                .is_none()
            {
                let kind = Kind::Listener(listen, Arc::clone(&name));
                let patterns = vec![Arc::clone(&name)];
                let readers = &mut self.topics.readers;
                readers.add(client, kind, patterns, start.clone());
            }
            let count = self.topics.readers.subscription_count(client);
            told.push((name, count));
        }
        let reply = TopicReply::Subscribed(listen, told);
        answer(ticket, Reply::Topic(Box::new(reply)), effects);
        self.step_readers(now, effects);
    }

    pub(super) fn unsubscribe(
        &mut self,
        ticket: Ticket,
        listen: Listen,
        names: &[&[u8]],
        effects: &mut Vec<Effect>,
    ) {
        let client = ticket.client;
        let mut names: Vec<Arc<[u8]>> = names.iter().map(|&name| Arc::from(name)).collect();
        if names.is_empty() {
            names = self.topics.readers.listened_to(client, listen);
        }
        let mut told = Vec::new();
        for name in names {
            if let Some(id) = self.topics.readers.listener(client, listen, &name) {
                self.topics.readers.remove(id);
            }
            let count = self.topics.readers.subscription_count(client);
            told.push((Some(name), count));
        }
        if told.is_empty() {
            told.push((None, self.topics.readers.subscription_count(client)));
        }
        let reply = TopicReply::Unsubscribed(listen, told);
        answer(ticket, Reply::Topic(Box::new(reply)), effects);
    }

    /// How many subscriptions a connection has.
    pub fn subscription_count(&self, client: ClientId) -> u64 {
        self.topics.readers.subscription_count(client)
    }

    /// PUBSUB CHANNELS: what SUBSCRIBE named at this node.
    pub(super) fn active_channels(&self, pattern: Option<&[u8]>) -> TopicReply {
        let names = self.listened_to();
        let is_match =
            |name: &&Arc<[u8]>| pattern.is_none_or(|pattern| matches(pattern, name, Case::Exact));
        TopicReply::Names(names.keys().filter(is_match).cloned().collect())
    }

    /// PUBSUB NUMSUB.
    pub(super) fn subscribers(&self, names: &[&[u8]]) -> TopicReply {
        let all = self.listened_to();
        let count = |name: &[u8]| all.get(name).copied().unwrap_or_default();
        let counts = names.iter().map(|&name| (Arc::from(name), count(name)));
        TopicReply::Subscribers(counts.collect())
    }

    /// PUBSUB NUMPAT: different patterns, as Redis counts.
    pub(super) fn pattern_count(&self) -> TopicReply {
        let patterns = self.topics.readers.iter();
        let patterns = patterns.filter_map(|reader| match &reader.kind {
            Kind::Listener(Listen::Pattern, name) => Some(name),
            Kind::Listener(Listen::Channel, _) | Kind::Follower { .. } | Kind::Waiting(_) => None,
        });
        let patterns: std::collections::BTreeSet<_> = patterns.collect();
        TopicReply::Count(patterns.len() as u64)
    }

    /// The channels that SUBSCRIBE named, and how many connections each.
    fn listened_to(&self) -> BTreeMap<Arc<[u8]>, u64> {
        let mut all = BTreeMap::new();
        for reader in self.topics.readers.iter() {
            if let Kind::Listener(Listen::Channel, name) = &reader.kind {
                *all.entry(Arc::clone(name)).or_default() += 1;
            }
        }
        all
    }

    fn check_subscriptions(&self, client: ClientId, new: u64) -> Result<(), Refusal> {
        let count = self.topics.readers.subscription_count(client);
        if count + new > limits::TOPIC_SUBSCRIPTIONS {
            return Err(TopicRefusal::TooManySubscriptions.into());
        }
        Ok(())
    }

    /// Where a reader is.
    fn place_of(&self, id: ReaderId) -> Cursor {
        match self.topics.readers.get(id).map(|reader| &reader.at) {
            Some(At::Behind { cursor, .. }) => cursor.clone(),
            Some(At::Live) | None => self.topics.live.clone(),
        }
    }
}
