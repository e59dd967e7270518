//! TPUB waits: first until enough members are there that take copies, then until enough of them have one.
//!
//! What waits for members has not been published, so it can be refused. What waits for copies has: it stays, is copied on,
//! and is read, whatever its publisher is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::super::command::{Publish, TopicRefusal, TopicReply};
use super::super::id::EntryId;
use super::super::origin::{Origin, OriginNode};
use super::super::publishing::key_of;
use super::message::TopicNews;
use crate::agenda::Timer;
use crate::command::Reply;
use crate::effect::Effect;
use crate::extras::Extras;
use crate::id::{ClientId, Ticket};
use crate::job::Body;
use crate::log::answer;
use crate::node::Node;
use crate::refusal::Refusal;
use crate::time::{Now, Time};

/// What publishers wait for.
#[derive(Debug, Default)]
pub(in crate::topic) struct Publishes {
    /// Not published yet, in the order in which they came.
    waiting: VecDeque<Waiting>,
    /// Published, and too few copies are confirmed.
    pending: BTreeMap<(Origin, u64), Vec<Pending>>,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    channel: Arc<[u8]>,
    body: Body,
    extras: Extras,
    replicate: Option<u16>,
    is_async: bool,
    /// PUBLISH.
    announces: bool,
    until: Option<Time>,
}

#[derive(Debug)]
struct Pending {
    ticket: Ticket,
    id: EntryId,
    /// What its publisher asked for. If it did not say, the present members count, which may become fewer.
    replicate: Option<u16>,
    /// But never less than this.
    least: usize,
    until: Option<Time>,
}

/// How a publish is to be answered.
#[derive(Debug, Clone, Copy)]
pub(in crate::topic) struct Terms {
    pub(in crate::topic) ticket: Ticket,
    pub(in crate::topic) replicate: Option<u16>,
    pub(in crate::topic) is_async: bool,
    pub(in crate::topic) announces: bool,
    pub(in crate::topic) until: Option<Time>,
}

impl Publishes {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.pending.is_empty()
    }

    /// Whether something waits that is not published.
    pub(in crate::topic) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl Node {
    /// Whether a publish may go on: this life is introduced, and enough members take copies.
    pub(in crate::topic) fn may_publish(&self, replicate: Option<u16>) -> bool {
        self.is_introduced() && self.takers() >= self.copies_of(replicate)
    }

    /// This node, and the members that take copies.
    fn takers(&self) -> usize {
        let members = self.topics.cluster.members.present();
        1 + members.filter(|(_, member)| member.takes_copies()).count()
    }

    /// How many copies a publish waits for.
    fn copies_of(&self, replicate: Option<u16>) -> usize {
        let cluster = &self.topics.cluster;
        if let Some(copies) = replicate {
            return usize::from(copies);
        }
        let present = 1 + cluster.members.present().count();
        let most = self.settings.topic_replicate.get();
        most.min(present).max(self.least_copies())
    }

    /// How many copies a publish has at least whose publisher does not say.
    fn least_copies(&self) -> usize {
        let least = usize::from(self.settings.topic_min_replicate);
        let all = 1 + self.topics.cluster.members.len();
        let most = self.settings.topic_replicate.get();
        least.min(all).min(most)
    }

    /// Keeps a publish until enough members are there.
    pub(in crate::topic) fn wait_for_takers(
        &mut self,
        now: Now,
        terms: Terms,
        publish: &Publish<'_>,
    ) {
        self.topics.cluster.publishes.waiting.push_back(Waiting {
            ticket: terms.ticket,
            channel: Arc::from(publish.channel),
            body: Body::new(publish.body),
            extras: publish.extras.clone(),
            replicate: terms.replicate,
            is_async: terms.is_async,
            announces: terms.announces,
            until: terms.until,
        });
        self.plan_publish_end(terms.until);
        self.watch_topics(now);
    }

    /// Answers a publish once enough members have the entry.
    pub(in crate::topic) fn wait_for_copies(
        &mut self,
        now: Now,
        terms: Terms,
        (origin, number, id): (Origin, u64, EntryId),
        effects: &mut Vec<Effect>,
    ) {
        let copies = self.copies_of(terms.replicate);
        if terms.is_async || self.topics.has_copies(origin, number, copies) {
            return answer_published(terms.ticket, id, effects);
        }
        let is_known = self.topics.own() == Some(origin);
        let least = self.least_copies();
        let pending = &mut self.topics.cluster.publishes.pending;
        pending.entry((origin, number)).or_default().push(Pending {
            ticket: terms.ticket,
            id,
            replicate: terms.replicate,
            least,
            until: terms.until,
        });
        self.plan_publish_end(terms.until);
        if !is_known {
            self.ask_for_copies(now, effects);
        }
    }

    /// An entry with the same key came from another node, which alone hears who has it: the others are asked.
    pub(super) fn ask_for_copies(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let own = self.topics.own();
        let pending = self.topics.cluster.publishes.pending.keys();
        let others = pending.filter(|(origin, _)| Some(*origin) != own);
        let nodes: BTreeSet<OriginNode> = others.map(|(origin, _)| origin.node()).collect();
        for node in nodes {
            for key in self.topics.cluster.members.keys() {
                self.tell_member(now, key, TopicNews::HowFar(node, false), effects);
            }
        }
    }

    fn plan_publish_end(&mut self, until: Option<Time>) {
        if let Some(until) = until {
            self.agenda.add_timer(until, Timer::TopicPublishes);
        }
    }

    /// Publishes what waited for members, and answers what has its copies.
    pub(super) fn go_on_publishing(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(first) = self.topics.cluster.publishes.waiting.front()
            && self.may_publish(first.replicate)
        {
            let waiting = self.topics.cluster.publishes.waiting.pop_front();
            let waiting = waiting.expect("it was just there");
            let terms = Terms {
                ticket: waiting.ticket,
                replicate: waiting.replicate,
                is_async: waiting.is_async,
                announces: waiting.announces,
                until: waiting.until,
            };
            let publish = Publish {
                channel: &waiting.channel,
                body: waiting.body.as_bytes(),
                replicate: waiting.replicate,
                timeout: None,
                is_async: waiting.is_async,
                dedup: key_of(&waiting.extras),
                extras: waiting.extras.clone(),
            };
            self.publish_on(now, terms, &publish, effects);
        }
        let topics = &self.topics;
        let usual = self.copies_of(None);
        let has_copies = |&(origin, number): &(Origin, u64), pending: &Pending| {
            let copies = pending
                .replicate
                .map_or(usual.max(pending.least), usize::from);
            topics.has_copies(origin, number, copies)
        };
        let mut done = Vec::new();
        for (key, waiting) in &topics.cluster.publishes.pending {
            let those = waiting.iter().filter(|pending| has_copies(key, pending));
            done.extend(those.map(|pending| (*key, pending.ticket, pending.id)));
        }
        for (key, ticket, id) in done {
            self.topics.cluster.publishes.end(key, ticket);
            answer_published(ticket, id, effects);
        }
    }

    /// The time of some publishes is up.
    pub(crate) fn on_publishes_late(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let is_late = |until: Option<Time>| until.is_some_and(|until| until <= now);
        let publishes = &mut self.topics.cluster.publishes;
        let (mut late, mut kept) = (Vec::new(), VecDeque::new());
        for waiting in publishes.waiting.drain(..) {
            if is_late(waiting.until) {
                late.push(waiting.ticket);
            } else {
                kept.push_back(waiting);
            }
        }
        publishes.waiting = kept;
        let mut ended = Vec::new();
        for (key, waiting) in &publishes.pending {
            let those = waiting.iter().filter(|pending| is_late(pending.until));
            ended.extend(those.map(|pending| (*key, pending.ticket, pending.id)));
        }
        for (key, ticket, _) in &ended {
            publishes.end(*key, *ticket);
        }
        for ticket in late {
            answer(
                ticket,
                Reply::Refused(TopicRefusal::TooFewTakers.into()),
                effects,
            );
        }
        for (_, ticket, id) in ended {
            answer(
                ticket,
                Reply::Refused(TopicRefusal::Pending(id).into()),
                effects,
            );
        }
    }

    /// A connection is over: what it had published is, and nothing else.
    pub(crate) fn drop_publishes(&mut self, client: ClientId) {
        let publishes = &mut self.topics.cluster.publishes;
        publishes.waiting.retain(|it| it.ticket.client != client);
    }

    /// This node leaves: what is not published is not going to be.
    pub(crate) fn turn_publishers_away(&mut self, effects: &mut Vec<Effect>) {
        for waiting in std::mem::take(&mut self.topics.cluster.publishes.waiting) {
            answer(waiting.ticket, Reply::Refused(Refusal::Leaving), effects);
        }
    }
}

impl Publishes {
    fn end(&mut self, key: (Origin, u64), ticket: Ticket) {
        if let Some(waiting) = self.pending.get_mut(&key) {
            waiting.retain(|pending| pending.ticket != ticket);
            if waiting.is_empty() {
                self.pending.remove(&key);
            }
        }
    }
}

impl super::super::topics::Topics {
    /// Whether this many nodes have a record, this one included.
    fn has_copies(&self, origin: Origin, number: u64, copies: usize) -> bool {
        let members = self.cluster.members.present();
        let has = members.filter(|(_, member)| {
            let held = self.cluster.haves.of(member.node, origin);
            held.is_some_and(|held| held.contains(number))
        });
        1 + has.count() >= copies
    }
}

fn answer_published(ticket: Ticket, id: EntryId, effects: &mut Vec<Effect>) {
    let reply = TopicReply::Published(id);
    answer(ticket, Reply::Topic(Box::new(reply)), effects);
}
