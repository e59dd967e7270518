//! Links come up and break, members greet, and say whom they count.

use super::super::origin::{Origin, OriginNode};
use super::super::record::TopicRecord;
use super::super::topics::Topics;
use super::member::Aside;
use super::message::{Greeting, Head, TopicMessage, TopicNews};
use crate::effect::Effect;
use crate::extras::Features;
use crate::members::PeerKey;
use crate::node::Node;
use crate::setting::SettingKind;
use crate::time::Now;

impl Node {
    /// A node of the cluster is known. Whether it knows topics is seen when a link comes up.
    pub(crate) fn on_member_known(&mut self, now: Now, key: PeerKey) {
        if self.check_topics().is_err() {
            return;
        }
        let own = OriginNode::of(&self.id);
        let id = self.peers.get(key).id;
        if self.topics.cluster.members.get(key).is_none()
            && self.topics.cluster.members.open(key, &id, own).is_some()
        {
            self.begin_loading(now);
        }
    }

    /// Our link to a node is up.
    pub(crate) fn on_member_up(&mut self, now: Now, key: PeerKey, effects: &mut Vec<Effect>) {
        if self.check_topics().is_err() {
            return;
        }
        let peer = self.peers.get(key);
        let (id, knows_topics) = (peer.id, peer.features.knows(Features::TOPICS));
        // A node that lost its store has another key.
        let node = OriginNode::of(&id);
        if let Some(former) = self.topics.cluster.members.find(node).filter(|&f| f != key) {
            // Its greeting may have come before our link.
            self.topics.cluster.members.rename(former, key);
        }
        let own = OriginNode::of(&self.id);
        let members = &mut self.topics.cluster.members;
        let member = if knows_topics {
            members.open(key, &id, own)
        } else {
            members.remove(key);
            None
        };
        let Some(member) = member else {
            return;
        };
        member.is_reachable = true;
        member.forget_told();
        self.own_life(now, effects);
        self.greet(now, key, effects);
        self.resume_with(now, key, effects);
        self.topics.has_news = true;
        self.watch_topics(now);
    }

    /// Our link to a node broke: what we said last may be lost.
    pub(crate) fn on_member_down(&mut self, now: Now, key: PeerKey) {
        self.set_reachable(now, key, false);
        if let Some(member) = self.topics.cluster.members.get_mut(key) {
            // It may be another process when it is back, with less than it had.
            member.has_greeted = false;
            member.forget_told();
        }
    }

    /// A node is taken for dead, or is not any more. Our link to it may be up all the time.
    pub(crate) fn on_member_reachable(
        &mut self,
        now: Now,
        key: PeerKey,
        is_reachable: bool,
        effects: &mut Vec<Effect>,
    ) {
        self.set_reachable(now, key, is_reachable);
        let member = self.topics.cluster.members.get(key);
        if member.is_some_and(|member| member.next_push.is_none()) {
            // It greeted while it was taken for dead.
            self.resume_with(now, key, effects);
        }
    }

    fn set_reachable(&mut self, now: Now, key: PeerKey, is_reachable: bool) {
        let Some(member) = self.topics.cluster.members.get_mut(key) else {
            return;
        };
        if member.is_reachable == is_reachable {
            return;
        }
        member.is_reachable = is_reachable;
        self.topics.look_at_haves(key);
        self.topics.cluster.tell_all_of(&self.topics.origins);
        self.topics.has_news = true;
        self.watch_topics(now);
    }

    /// A node is a member no more.
    pub(crate) fn on_member_forgotten(
        &mut self,
        now: Now,
        key: PeerKey,
        effects: &mut Vec<Effect>,
    ) {
        let node = OriginNode::of(&self.peers.get(key).id);
        self.topics.cluster.members.remove(key);
        self.topics.cluster.haves.forget(node);
        self.topics.order_mut().forget(node);
        self.topics.cluster.may_owe_ends = true;
        self.topics.cluster.may_have_lost = true;
        self.topics.has_news = true;
        self.end_forgotten(now, node, effects);
        self.watch_topics(now);
    }

    /// Writes what a forgotten node owes, if that is for this node to do: it is the lowest of those that are there.
    pub(super) fn end_forgotten(&mut self, now: Now, node: OriginNode, effects: &mut Vec<Effect>) {
        let own = OriginNode::of(&self.id);
        let is_lowest = self
            .topics
            .cluster
            .members
            .present()
            .all(|(_, m)| own < m.node);
        if !is_lowest || node == own || self.topics.cluster.members.find(node).is_some() {
            return;
        }
        let owed = self.topics.origins.owed_of_forgotten(node);
        if !owed.is_empty() {
            let own = self.own_life(now, effects);
            self.write_end(now, own, &owed, effects);
        }
    }

    /// Says how this node is.
    pub(super) fn greet(&mut self, now: Now, to: PeerKey, effects: &mut Vec<Effect>) {
        let Some(own) = self.topics.own() else {
            return;
        };
        let member = self.topics.cluster.members.get(to);
        let asks = member.is_some_and(|member| !member.has_greeted);
        let greeting = Box::new(self.topics.greeting(own, asks));
        // Who makes jobs of entries, and how far that has come, is known before anybody counts on this node.
        self.tell_settings(to, SettingKind::TOPIC_BINDING, effects);
        self.tell_member(now, to, TopicNews::Greeting(greeting), effects);
    }

    /// A member says something about topics.
    pub(crate) fn on_topic_message(
        &mut self,
        now: Now,
        from: PeerKey,
        message: TopicMessage,
        effects: &mut Vec<Effect>,
    ) {
        let own = OriginNode::of(&self.id);
        let id = self.peers.get(from).id;
        if self.check_topics().is_err()
            || self.topics.cluster.members.open(from, &id, own).is_none()
        {
            return;
        }
        let TopicMessage { head, news } = message;
        if let TopicNews::Greeting(greeting) = &news {
            self.begin_member(from, greeting);
        }
        self.on_head(now, from, &head);
        match news {
            TopicNews::Greeting(greeting) => self.on_greeting(now, from, *greeting, effects),
            TopicNews::Counted(origin) => {
                if let Some(member) = self.topics.cluster.members.get_mut(from) {
                    member.counts = Some(origin);
                }
            }
            TopicNews::Haves(haves) => self.on_topic_haves(now, from, &haves),
            TopicNews::Follows(origin, number) => {
                if let Some(member) = self.topics.cluster.members.get_mut(from) {
                    member.follows = Some((origin, number.max(1)));
                    // What it made since it greeted is pulled from it, though it never told that it has that.
                    if member.node == origin.node() && number > 1 {
                        let haves = &mut self.topics.cluster.haves;
                        haves.add(member.node, origin, 1..=number - 1);
                    }
                }
                self.topics.cluster.lacking.insert(origin);
            }
            TopicNews::Records(records) => self.on_topic_records(now, records, effects),
            TopicNews::Pull(origin, first, last) => {
                self.on_topic_pull(now, from, origin, (first, last), effects);
            }
            TopicNews::Pulled {
                origin,
                first,
                last,
                records,
            } => self.on_topic_pulled(now, from, (origin, first, last), records, effects),
            TopicNews::Close(id) => {
                if let Some(member) = self.topics.cluster.members.get_mut(from) {
                    member.question = Some(id);
                }
            }
            TopicNews::Closed => {}
            TopicNews::HowFar(node, follows) => {
                self.on_how_far(now, from, node, follows, effects);
            }
            TopicNews::SoFar(node, haves) => self.on_so_far(now, from, node, &haves),
            TopicNews::Confirm(number) => {
                self.tell_member(now, from, TopicNews::Confirmed(number), effects);
            }
            TopicNews::Confirmed(number) => self.on_confirmed(from, number),
        }
        self.topics.has_news = true;
    }

    /// What every message says of its sender.
    fn on_head(&mut self, now: Now, from: PeerKey, head: &Head) {
        let topics = &mut self.topics;
        let is_ahead = topics.meet_clock(now.wall, head.clock);
        let Some(member) = topics.cluster.members.get_mut(from) else {
            return;
        };
        member.hear_wall(now, head.wall);
        member.is_ahead = is_ahead;
        let has_room = head.takes && !member.takes && member.next_push.is_some();
        member.takes = head.takes;
        if let Some((origin, closed)) = head.closed
            && origin.node() == member.node
        {
            if member.asked.is_some_and(|(id, _)| id <= closed.id) {
                member.asked = None;
            }
            topics.order_mut().hear(origin, closed);
            topics.origins.hear_of(origin, closed.records);
            topics.settle(origin, closed.records);
        }
        if has_room {
            // What it did not take is sent again.
            topics.cluster.begin_push(from, topics.own());
        }
    }

    /// A greeting comes first on a new link: what was heard over the former one counts no more.
    fn begin_member(&mut self, from: PeerKey, greeting: &Greeting) {
        let topics = &mut self.topics;
        let Some(member) = topics.cluster.members.get_mut(from) else {
            return;
        };
        if greeting.own.node() != member.node {
            return;
        }
        member.forget_heard();
        member.has_greeted = true;
        member.own = Some(greeting.own);
        member.aside = Aside::No;
        member.lacking_since = None;
        let node = member.node;
        topics.cluster.may_have_lost = true;
        topics.order_mut().join(node);
        topics.cluster.haves.forget(node);
    }

    fn on_greeting(
        &mut self,
        now: Now,
        from: PeerKey,
        greeting: Greeting,
        effects: &mut Vec<Effect>,
    ) {
        for record in greeting.ends {
            if matches!(record, TopicRecord::End { .. }) {
                self.take_record(record, effects);
            }
        }
        for (origin, records) in greeting.whole {
            self.topics.origins.hold_whole(origin, records);
        }
        self.join_loading(now, &greeting.haves);
        self.on_topic_haves(now, from, &greeting.haves);
        if greeting.asks {
            self.greet(now, from, effects);
        }
        self.resume_with(now, from, effects);
    }

    /// Goes on with a member, once both links are up: what it lacks is sent, and it hears whether it is counted.
    fn resume_with(&mut self, now: Now, key: PeerKey, effects: &mut Vec<Effect>) {
        let own = self.topics.own();
        let is_present = |member: &super::member::Member| member.is_present();
        if !self.topics.cluster.members.get(key).is_some_and(is_present) {
            return;
        }
        self.topics.look_at_haves(key);
        self.topics.cluster.begin_push(key, own);
        let next = self.topics.cluster.members.get(key);
        if let Some(own) = own
            && let Some(next) = next.and_then(|member| member.next_push)
        {
            self.tell_member(now, key, TopicNews::Follows(own, next), effects);
        }
        self.ask_new_keeper(now, key, effects);
    }
}

impl super::Cluster {
    /// A member gets from now on what this node publishes: from where it is, or, if that is far back, from the end on. The
    /// rest it asks for.
    pub(super) fn begin_push(&mut self, key: PeerKey, own: Option<Origin>) {
        let (Some(own), Some(member)) = (own, self.members.get_mut(key)) else {
            return;
        };
        let held = self.haves.of(member.node, own);
        member.next_push = Some(held.map_or(1, |held| held.prefix() + 1));
        member.in_flight.clear();
    }

    /// A member went or came: those who are there are to hear what is here of the logs of those who are not.
    fn tell_all_of(&mut self, origins: &super::super::Origins) {
        let away = origins.logs().map(|(origin, _)| origin);
        let members = &self.members;
        let those: Vec<Origin> = away.filter(|&origin| !members.speaks_for(origin)).collect();
        self.dirty.extend(those);
    }
}

impl Topics {
    fn greeting(&self, own: Origin, asks: bool) -> Greeting {
        let logs = || self.origins.logs().map(|(origin, _)| origin);
        let whole = logs().map(|origin| (origin, self.origins.whole(origin)));
        let haves = logs().filter_map(|origin| self.have_of(origin));
        Greeting {
            own,
            asks,
            ends: self.end_records().collect(),
            whole: whole.filter(|(_, records)| *records > 0).collect(),
            haves: haves.filter(|have| !have.held.is_empty()).collect(),
        }
    }
}
