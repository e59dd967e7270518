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
    terms: Terms,
    channel: Arc<[u8]>,
    body: Body,
    extras: Extras,
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
    /// PUBLISH.
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
    pub(super) fn copies_of(&self, replicate: Option<u16>) -> usize {
        let cluster = &self.topics.cluster;
        if let Some(copies) = replicate {
            return usize::from(copies);
        }
        let present = 1 + cluster.members.present().count();
        let most = self.settings.topic_replicate.get();
        most.min(present).max(self.least_copies())
    }

    /// How many copies a publish has at least whose publisher does not say.
    pub(super) fn least_copies(&self) -> usize {
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
            terms,
            channel: Arc::from(publish.channel),
            body: Body::new(publish.body),
            extras: publish.extras.clone(),
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
            && self.may_publish(first.terms.replicate)
        {
            let waiting = self.topics.cluster.publishes.waiting.pop_front();
            let waiting = waiting.expect("it was just there");
            let terms = waiting.terms;
            let publish = Publish {
                channel: &waiting.channel,
                body: waiting.body.as_bytes(),
                replicate: terms.replicate,
                timeout: None,
                is_async: terms.is_async,
                dedup: key_of(&waiting.extras),
                extras: waiting.extras.clone(),
            };
            self.publish_on(now, terms, &publish, effects);
        }
        let usual = self.copies_of(None);
        let mut pending = std::mem::take(&mut self.topics.cluster.publishes.pending);
        let done = end_pending(&mut pending, |(origin, number), pending| {
            let copies = pending
                .replicate
                .map_or(usual.max(pending.least), usize::from);
            self.topics.has_copies(origin, number, copies)
        });
        self.topics.cluster.publishes.pending = pending;
        for (ticket, id) in done {
            answer_published(ticket, id, effects);
        }
    }

    /// The time of some publishes is up.
    pub(crate) fn on_publishes_late(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let is_late = |until: Option<Time>| until.is_some_and(|until| until <= now);
        let refused = |refusal: TopicRefusal| Reply::Refused(refusal.into());
        let publishes = &mut self.topics.cluster.publishes;
        publishes.waiting.retain(|waiting| {
            let is_late = is_late(waiting.terms.until);
            if is_late {
                let reply = refused(TopicRefusal::TooFewTakers);
                answer(waiting.terms.ticket, reply, effects);
            }
            !is_late
        });
        let late = end_pending(&mut publishes.pending, |_, pending| is_late(pending.until));
        for (ticket, id) in late {
            answer(ticket, refused(TopicRefusal::Pending(id)), effects);
        }
        self.give_up_commits(now, effects);
    }

    /// A connection is over: what it had published is, and nothing else.
    pub(crate) fn drop_publishes(&mut self, client: ClientId) {
        let publishes = &mut self.topics.cluster.publishes;
        publishes
            .waiting
            .retain(|it| it.terms.ticket.client != client);
        self.drop_commits(client);
    }

    /// This node leaves: what is not published is not going to be.
    pub(crate) fn turn_publishers_away(&mut self, effects: &mut Vec<Effect>) {
        for waiting in std::mem::take(&mut self.topics.cluster.publishes.waiting) {
            let reply = Reply::Refused(Refusal::Leaving);
            answer(waiting.terms.ticket, reply, effects);
        }
    }
}

/// Takes out the publishes of which that holds: who asked for them, and the ids of their entries.
fn end_pending(
    all: &mut BTreeMap<(Origin, u64), Vec<Pending>>,
    holds: impl Fn((Origin, u64), &Pending) -> bool,
) -> Vec<(Ticket, EntryId)> {
    let mut ended = Vec::new();
    all.retain(|&place, of_one| {
        let those = of_one.extract_if(.., |pending| holds(place, pending));
        ended.extend(those.map(|pending| (pending.ticket, pending.id)));
        !of_one.is_empty()
    });
    ended
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
