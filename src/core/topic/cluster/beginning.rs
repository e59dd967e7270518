//! A node starts, or joins: it gathers what the others have before it serves readers, and its life is introduced to the
//! others before it publishes. Then it ends its former lives.

use std::sync::Arc;

use super::super::command::{Follow, Listen, Read, TopicRefusal};
use super::super::ends::{EndRecord, Ended};
use super::super::origin::{Origin, OriginNode};
use super::super::record::TopicRecord;
use super::member::Aside;
use super::message::Have;
use crate::command::Reply;
use crate::effect::Effect;
use crate::id::{ClientId, Ticket};
use crate::limits;
use crate::log::answer;
use crate::node::Node;
use crate::time::{Now, Time};

/// A node that does not serve readers yet.
#[derive(Debug)]
pub(in crate::topic) struct Loading {
    /// Since when.
    since: Time,
    /// Readers that wait for the end of it: until then at the latest.
    readers: Vec<(Time, Ticket, Postponed)>,
}

/// A command of a reader that waits for the end of loading.
#[derive(Debug)]
pub(in crate::topic) struct Postponed {
    what: Reading,
    /// Its patterns, or the channels of SUBSCRIBE.
    names: Vec<Arc<[u8]>>,
}

/// A command without its names.
#[derive(Debug)]
enum Reading {
    /// TREAD.
    Read(Read<'static>),
    /// TSUB.
    Follow(Follow<'static>),
    /// SUBSCRIBE, PSUBSCRIBE.
    Subscribe(Listen),
}

impl Postponed {
    pub(in crate::topic) fn read(read: &Read<'_>) -> Self {
        let nameless = Read {
            start: read.start.clone(),
            patterns: Vec::new(),
            ..*read
        };
        Postponed::new(Reading::Read(nameless), &read.patterns)
    }

    pub(in crate::topic) fn follow(follow: &Follow<'_>) -> Self {
        let nameless = Follow {
            start: follow.start.clone(),
            patterns: Vec::new(),
            ..*follow
        };
        Postponed::new(Reading::Follow(nameless), &follow.patterns)
    }

    pub(in crate::topic) fn subscribe(listen: Listen, channels: &[&[u8]]) -> Self {
        Postponed::new(Reading::Subscribe(listen), channels)
    }

    fn new(what: Reading, names: &[&[u8]]) -> Self {
        let names = names.iter().map(|&name| Arc::from(name)).collect();
        Postponed { what, names }
    }
}

impl Node {
    /// Another member is known: a node that just started, or has nothing yet, gathers first.
    pub(super) fn begin_loading(&mut self, now: Now) {
        let is_new = now.time.since(self.started) < limits::TOPIC_GATHER;
        if self.topics.cluster.loading.is_none() && (is_new || self.topics.channels.entries() == 0)
        {
            self.topics.cluster.loading = Some(Loading {
                since: now.time,
                readers: Vec::new(),
            });
            self.watch_topics(now);
        }
    }

    /// A member greets that has more than a node which has nothing.
    pub(super) fn join_loading(&mut self, now: Now, haves: &[Have]) {
        if !haves.is_empty() && self.topics.channels.entries() == 0 {
            self.begin_loading(now);
        }
    }

    /// Keeps a command for when readers are served. Refuses it at once if that has taken too long already.
    pub(in crate::topic) fn postpone_reader(
        &mut self,
        now: Now,
        ticket: Ticket,
        what: Postponed,
        effects: &mut Vec<Effect>,
    ) {
        let percent = self.topics.percent();
        let loading = self.topics.cluster.loading.as_mut();
        let loading = loading.expect("commands are postponed while it goes on");
        let until = now.time + limits::TOPIC_GATHER;
        if now.time.since(loading.since) > limits::TOPIC_GATHER {
            return answer(ticket, refused(percent), effects);
        }
        loading.readers.push((until, ticket, what));
        self.watch_topics(now);
    }

    /// A connection is over: its commands wait no more.
    pub(in crate::topic) fn drop_postponed(&mut self, client: ClientId) {
        if let Some(loading) = &mut self.topics.cluster.loading {
            loading
                .readers
                .retain(|(_, ticket, _)| ticket.client != client);
        }
    }

    /// Ends loading if all is here that the present members had; refuses readers that waited for too long.
    pub(super) fn go_on_loading(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(mut loading) = self.topics.cluster.loading.take() else {
            return;
        };
        if self.has_loaded(now, loading.since) {
            self.topics.judge_others(self.settings.topic_replicate);
            self.topics.has_news = true;
            for (_, ticket, what) in loading.readers {
                self.resume(now, ticket, what, effects);
            }
            return;
        }
        let is_late = |(until, ..): &mut (Time, Ticket, Postponed)| *until <= now.time;
        for (_, ticket, _) in loading.readers.extract_if(.., is_late) {
            answer(ticket, refused(self.topics.percent()), effects);
        }
        self.topics.cluster.loading = Some(loading);
    }

    fn has_loaded(&self, now: Now, since: Time) -> bool {
        let cluster = &self.topics.cluster;
        let has_gathered = now.time.since(since) >= limits::TOPIC_GATHER;
        let mut members = cluster.members.iter();
        members.all(|(_, member)| {
            let is_here = self.topics.order().has_kept(member.node);
            if member.is_present() && member.aside != Aside::Yes && !member.is_ahead {
                is_here
            } else {
                has_gathered
            }
        }) && cluster.lacking.is_empty()
    }

    fn resume(
        &mut self,
        now: Now,
        ticket: Ticket,
        postponed: Postponed,
        effects: &mut Vec<Effect>,
    ) {
        let names = postponed.names.iter().map(|name| &**name).collect();
        match postponed.what {
            Reading::Read(mut read) => {
                read.patterns = names;
                self.read_topics(now, ticket, &read, effects);
            }
            Reading::Follow(mut follow) => {
                follow.patterns = names;
                self.follow(now, ticket, &follow, effects);
            }
            Reading::Subscribe(listen) => self.subscribe(now, ticket, listen, &names, effects),
        }
    }

    /// The present life of this node, begun if need be.
    pub(in crate::topic) fn own_life(&mut self, now: Now, effects: &mut Vec<Effect>) -> Origin {
        if let Some(own) = self.topics.own() {
            return own;
        }
        let node = OriginNode::of(&self.id);
        let last = self.topics.last_life;
        let own = self.topics.begin(node, last, now.wall);
        self.begin_own(now);
        self.persist_topic(TopicRecord::Life(own), effects);
        own
    }

    /// A life has begun.
    pub(in crate::topic) fn begin_own(&mut self, now: Now) {
        let cluster = &mut self.topics.cluster;
        (cluster.is_introduced, cluster.own_since) = (false, now.time);
        cluster.own_synced = 0;
        cluster.may_owe_ends = true;
        self.topics.has_news = true;
    }

    /// Begins another life: the present one was ended by others, or published by a wrong clock, or is not this node's alone.
    pub(super) fn begin_again(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.topics.last_life = self.topics.own().map(Origin::start);
        self.topics.end_life();
        self.own_life(now, effects);
        for key in self.topics.cluster.members.keys() {
            self.greet(now, key, effects);
        }
        let own = self.topics.own();
        for key in self.topics.cluster.members.keys() {
            self.topics.cluster.begin_push(key, own);
        }
        self.watch_topics(now);
    }

    /// Introduces the present life, if the members count it, and writes the end records that it owes.
    pub(in crate::topic) fn go_on_beginning(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(own) = self.topics.own() else {
            return;
        };
        if self.topics.origins.ends().is_ended(own) || self.topics.is_taken(own) {
            return self.begin_again(now, effects);
        }
        let cluster = &self.topics.cluster;
        if !cluster.is_introduced {
            let loading = cluster.loading.as_ref();
            let gathers = loading.is_some_and(|it| now.time.since(it.since) < limits::TOPIC_GATHER);
            let is_counted = cluster
                .members
                .present()
                .all(|(_, m)| m.counts == Some(own));
            let has_waited = now.time.since(cluster.own_since) >= self.settings.topic_stall;
            if gathers || !is_counted && !has_waited {
                return;
            }
            self.topics.cluster.is_introduced = true;
            if self.topics.cluster.members.is_empty() {
                self.topics.give_up_lost();
            }
        }
        if !std::mem::take(&mut self.topics.cluster.may_owe_ends) {
            return;
        }
        let owed = if self.topics.origins.prefix(own) == 0 {
            self.topics.origins.ended_by_first(own)
        } else {
            self.topics.origins.owed(own)
        };
        if !owed.is_empty() {
            self.write_end(now, own, &owed, effects);
        }
        let forgotten: Vec<OriginNode> = self
            .peers
            .forgotten()
            .map(|id| OriginNode::of(&id))
            .collect();
        for node in forgotten {
            self.end_forgotten(now, node, effects);
        }
    }

    /// Writes an end record.
    pub(super) fn write_end(
        &mut self,
        now: Now,
        own: Origin,
        ended: &[Ended],
        effects: &mut Vec<Effect>,
    ) {
        let (number, id) = self.topics.next_own(own, now.wall);
        let record = TopicRecord::End {
            origin: own,
            number,
            record: EndRecord::new(id, ended),
        };
        self.take_record(record, effects);
        self.settle_own_log();
    }

    /// Whether this node publishes now.
    pub(super) fn is_introduced(&self) -> bool {
        self.topics.own().is_some() && self.topics.cluster.is_introduced
    }
}

impl super::Cluster {
    /// How long readers have been served.
    pub(super) fn loading_since(&self, now: Now) -> std::time::Duration {
        match self.loading {
            Some(_) => std::time::Duration::ZERO,
            None => now.time.since(self.own_since),
        }
    }
}

impl super::super::topics::Topics {
    /// Refuses while the node still gathers what the others have.
    pub(in crate::topic) fn check_loaded(&self) -> Result<(), TopicRefusal> {
        match self.cluster.loading {
            Some(_) => Err(is_loading(self.percent())),
            None => Ok(()),
        }
    }

    /// Whether others know of records of this life that this node did not write, or of a later life: its disk is a copy of one
    /// that went on, and both began lives in the same seconds.
    fn is_taken(&self, own: Origin) -> bool {
        let latest = self.origins.logs_of(own.node()).next_back();
        latest.is_some_and(|(origin, log)| {
            let is_shared = log.is_refused() || log.known() > log.prefix();
            origin.is_later_than(own) || origin == own && is_shared
        })
    }

    /// How much of what is known is here, in percent.
    fn percent(&self) -> u64 {
        let (mut here, mut all) = (0, 0);
        for (_, log) in self.origins.logs() {
            here += log.prefix();
            all += log.known();
        }
        here * 100 / all.max(1)
    }
}

fn refused(percent: u64) -> Reply {
    Reply::Refused(is_loading(percent).into())
}

fn is_loading(percent: u64) -> TopicRefusal {
    TopicRefusal::Loading(u8::try_from(percent.min(99)).unwrap_or(99))
}
