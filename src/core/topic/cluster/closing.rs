//! The order goes on: what this node promises, what it asks of others, and whom it sets aside.
//!
//! [`Node::go_on_topics`] comes at the end of each batch, before readers are served. All that depends on several members is
//! decided there, from what is known then; messages only note what they say.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::figures::MemberFigures;
use super::super::id::{EntryId, is_wrong};
use super::super::log::OriginLog;
use super::super::order::Closed;
use super::super::origin::{Origin, OriginNode};
use super::super::planted::Bug;
use super::super::topics::Topics;
use super::member::{Aside, Member};
use super::message::{Have, TopicNews};
use crate::agenda::Timer;
use crate::effect::Effect;
use crate::members::PeerKey;
use crate::node::Node;
use crate::time::{Now, Time, WallTime};

impl Node {
    /// A batch is over.
    pub(in crate::topic) fn go_on_topics(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.settle_own_log();
        if self.topics.cluster.members.is_empty() {
            self.topics.judge_others(self.settings.topic_replicate);
        }
        self.count_members(now, effects);
        self.go_on_loading(now, effects);
        self.go_on_beginning(now, effects);
        self.go_on_publishing(now, effects);
        self.answer_commits(effects);
        self.settle_own_log();
        self.topics.advance(now.wall);
        self.set_members_aside(now, effects);
        // Without those who were set aside just now the order may go on, before a reader that waited for it is answered.
        self.topics.advance(now.wall);
        if self.topics.cluster.members.is_empty() {
            return;
        }
        self.close_for_good(now, effects);
        self.answer_questions(now, effects);
        self.ask_to_close(now, effects);
        self.push_records(now, effects);
        self.tell_haves(now, effects);
        self.pull_records(now, effects);
        self.watch_topics(now);
    }

    /// Counts those whose logs are here as far as the order has come, and tells them so.
    fn count_members(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let patience = self.patience();
        for key in self.topics.cluster.members.keys() {
            let topics = &mut self.topics;
            let Some(member) = topics.cluster.members.get(key) else {
                continue;
            };
            let is_silent = member.is_silent(now.time, patience);
            if !member.is_present() || member.is_ahead || is_silent {
                continue;
            }
            let (node, own) = (member.node, member.own);
            if topics.count(node) {
                let member = topics.cluster.members.get_mut(key);
                let member = member.expect("it is present");
                member.aside = Aside::No;
                if let Some(own) = own.filter(|_| member.told_counted != own) {
                    member.told_counted = Some(own);
                    self.tell_member(now, key, TopicNews::Counted(own), effects);
                }
            } else {
                let stable = topics.stable();
                if topics.order().promised(node) < stable {
                    self.ask_one(now, key, stable, effects);
                }
            }
        }
    }

    /// Asks those to close whose promises readers here wait for.
    fn ask_to_close(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let topics = &self.topics;
        if topics.readers.len() == 0 {
            return;
        }
        let highest = topics.cluster.highest;
        let mut asked = topics.unsettled_members();
        if highest > topics.stable() {
            let behind = topics.order().behind(highest);
            asked.extend(behind.filter_map(|node| topics.cluster.members.find(node)));
        }
        for key in asked {
            self.ask_one(now, key, highest, effects);
        }
    }

    fn ask_one(&mut self, now: Now, to: PeerKey, id: EntryId, effects: &mut Vec<Effect>) {
        let Some(member) = self.topics.cluster.members.get_mut(to) else {
            return;
        };
        if !member.is_present() || member.asked.is_some() {
            return;
        }
        if member.asked_last == now.time {
            // At most one in a millisecond.
            let next = now.time + Duration::from_millis(1);
            self.agenda.add_timer(next, Timer::TopicAsk);
            return;
        }
        (member.asked, member.asked_last) = (Some((id, now.time)), now.time);
        self.tell_member(now, to, TopicNews::Close(id), effects);
    }

    /// A question may be asked again.
    pub(crate) fn on_topic_ask(&mut self) {
        self.topics.has_news = true;
    }

    /// Answers those who asked, as far as this node can promise what they want.
    fn answer_questions(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let asked = |member: &Member| member.question;
        let members = &self.topics.cluster.members;
        if members.iter().all(|(_, member)| asked(member).is_none()) {
            return;
        }
        let closed = self.topics.own_closed(now.wall);
        let promised = closed.map_or(EntryId::ZERO, |(_, closed)| closed.id);
        for key in self.topics.cluster.members.keys() {
            let Some(member) = self.topics.cluster.members.get_mut(key) else {
                continue;
            };
            if member.question.is_some_and(|id| id <= promised) {
                member.question = None;
                self.tell_member(now, key, TopicNews::Closed, effects);
            }
        }
    }

    /// Begins to set those aside that are down or do not answer, and ends it where the others have said what they have.
    fn set_members_aside(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let (stall, patience) = (self.settings.topic_stall, self.patience());
        let idle_goes = self.topics.origins.has(Bug::IdleAside);
        for key in self.topics.cluster.members.keys() {
            let lacks = self.topics.lacks(key);
            let members = &mut self.topics.cluster.members;
            let Some(member) = members.get_mut(key) else {
                continue;
            };
            let node = member.node;
            member.lacking_since = lacks.then(|| member.lacking_since.unwrap_or(now.time));
            let is_idle = idle_goes && member.says_nothing(now.time, stall);
            let is_silent = member.is_silent(now.time, patience) || is_idle;
            let is_gone = !member.is_present() || member.is_ahead || is_silent;
            match &member.aside {
                Aside::No if is_gone => self.begin_aside(now, key, effects),
                Aside::Asking(since, left) => {
                    let own = member.own;
                    let is_over = now.time.since(*since) >= stall
                        || left.is_empty()
                            && own.is_none_or(|own| !self.topics.cluster.lacking.contains(&own));
                    if is_over {
                        self.end_aside(key);
                    }
                }
                Aside::No | Aside::Yes => {}
            }
            if is_silent && !self.topics.order().is_counted(node) {
                self.end_aside(key);
            }
        }
    }

    fn begin_aside(&mut self, now: Now, key: PeerKey, effects: &mut Vec<Effect>) {
        let members = &self.topics.cluster.members;
        let Some(member) = members.get(key) else {
            return;
        };
        let (node, own) = (member.node, member.own);
        let others: BTreeSet<PeerKey> = members
            .present()
            .map(|(other, _)| other)
            .filter(|other| *other != key)
            .collect();
        let is_whole = own.is_none() || self.topics.order().is_closed_for_good(node);
        if others.is_empty() || is_whole || !self.topics.order().is_counted(node) {
            return self.end_aside(key);
        }
        for &other in &others {
            self.tell_member(now, other, TopicNews::HowFar(node, true), effects);
        }
        if let Some(member) = self.topics.cluster.members.get_mut(key) {
            member.aside = Aside::Asking(now.time, others);
        }
    }

    fn end_aside(&mut self, key: PeerKey) {
        if let Some(member) = self.topics.cluster.members.get_mut(key)
            && member.aside != Aside::Yes
        {
            member.aside = Aside::Yes;
            let node = member.node;
            self.topics.order_mut().set_aside(node);
            self.topics.judge_others(self.settings.topic_replicate);
            self.topics.has_news = true;
        }
    }

    /// A member asks how far the logs of a node are here that does not answer it.
    pub(super) fn on_how_far(
        &mut self,
        now: Now,
        from: PeerKey,
        node: OriginNode,
        follows: bool,
        effects: &mut Vec<Effect>,
    ) {
        if follows && let Some(member) = self.topics.cluster.members.get_mut(from) {
            member.wants.insert(node);
        }
        let logs: Vec<Origin> = self.topics.origins.logs_of(node).map(|(o, _)| o).collect();
        let haves = logs
            .iter()
            .filter_map(|&origin| self.topics.have_of(origin));
        let haves: Vec<Have> = haves.collect();
        self.tell_member(now, from, TopicNews::SoFar(node, haves), effects);
    }

    pub(super) fn on_so_far(&mut self, now: Now, from: PeerKey, node: OriginNode, haves: &[Have]) {
        self.on_topic_haves(now, from, haves);
        for (_, member) in self.topics.cluster.members.iter_mut() {
            if member.node == node
                && let Aside::Asking(_, left) = &mut member.aside
            {
                left.remove(&from);
            }
        }
    }

    /// Looks again soon, if anything is outstanding.
    pub(in crate::topic) fn watch_topics(&mut self, now: Now) {
        if self.topics.cluster.check.is_none() && self.is_waiting() {
            let next = now.time + self.check_pause();
            self.topics.cluster.check = Some(next);
            self.agenda.add_timer(next, Timer::TopicCheck);
        }
    }

    /// How long a member may leave a question unanswered. It may itself wait for copies as long as `topic-stall`, and notices a
    /// check later that this is over.
    fn patience(&self) -> Duration {
        self.settings.topic_stall * 3 / 2
    }

    fn check_pause(&self) -> Duration {
        self.settings.topic_stall / 8
    }

    /// Whether anything of topics waits for others.
    fn is_waiting(&self) -> bool {
        let topics = &self.topics;
        let cluster = &topics.cluster;
        let own = topics.own().and_then(|own| topics.origins.log(own));
        let readers = topics.readers.len();
        let waits = |member: &Member| {
            member.asked.is_some()
                || member.pull.is_some()
                || member.lacking_since.is_some()
                || matches!(member.aside, Aside::Asking(..))
        };
        cluster.loading.is_some()
            || !cluster.publishes.is_empty()
            || !cluster.told_takes
            || !cluster.aging.is_empty()
            || cluster.is_clock_wrong
            || own.is_some_and(OriginLog::is_unsettled)
            || readers > 0 && topics.has_unread()
            || topics.own().is_some() && !cluster.is_introduced
            || cluster.may_have_lost && !cluster.is_anybody_away()
            || topics.is_anything_unsettled()
            || cluster.members.iter().any(|(_, member)| waits(member))
    }

    /// Looks after what is overdue.
    pub(crate) fn on_topic_check(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let stall = self.settings.topic_stall;
        let planned = self.topics.cluster.check.take().unwrap_or(now.time);
        let late = now.time.since(planned);
        if late >= stall / 2 {
            // This node stood still: what waits on its links comes first.
            self.topics.cluster.delay(late);
        }
        self.topics.cluster.end_pulls(now.time, stall);
        let synced = self.own_synced();
        self.topics.settle_aged(now.time, stall, synced);
        if self.topics.readers.len() > 0 {
            self.topics.origins.grow_old(now.time, stall * 2);
        }
        self.ask_for_copies(now, effects);
        self.give_up_lost(now);
        self.watch_clock(now, effects);
        if !self.topics.cluster.told_takes && self.takes_records() {
            for key in self.topics.cluster.members.keys() {
                self.tell_member(now, key, TopicNews::Closed, effects);
            }
            self.topics.cluster.told_takes = true;
        }
        self.topics.has_news = true;
        self.watch_topics(now);
    }

    /// Compares this node's wall clock with those of the others.
    fn watch_clock(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let was_wrong = self.topics.cluster.is_clock_wrong;
        let is_wrong = self.is_clock_wrong(now);
        self.topics.cluster.is_clock_wrong = is_wrong;
        if was_wrong && !is_wrong {
            self.topics.reset_clock();
            self.begin_again(now, effects);
        }
    }

    /// Whether this node's wall clock is far from those of the present members.
    pub(in crate::topic) fn is_clock_wrong(&self, now: Now) -> bool {
        let members = self.topics.cluster.members.present();
        let walls = members.filter_map(|(_, member)| member.wall_at(now.time));
        is_wrong(now.wall, walls)
    }

    /// Notes that this node's clock is wrong: it is looked at until it is right.
    pub(in crate::topic) fn note_wrong_clock(&mut self, now: Now) {
        self.topics.cluster.is_clock_wrong = true;
        self.watch_topics(now);
    }

    /// The node stays after all: what it promised when it was about to stop ends its life.
    pub(crate) fn reopen_topics(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if std::mem::take(&mut self.topics.cluster.is_closed) {
            self.begin_again(now, effects);
        }
    }

    /// The node stops, and all members have what it published: its origin is closed for good.
    fn close_for_good(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let is_over = self.topics.cluster.is_closed || !self.hand_over.is_stopping();
        if is_over || self.topics.own().is_none() || self.has_topics_left() {
            return;
        }
        self.topics.cluster.is_closed = true;
        for key in self.topics.cluster.members.keys() {
            self.tell_member(now, key, TopicNews::Closed, effects);
        }
    }

    /// What has to happen about topics before this node may stop: 1 while a member lacks something that it published, and 1
    /// for each binding whose jobs are made here.
    pub(crate) fn topics_left(&self) -> usize {
        let is_alone = self.topics.cluster.members.present().next().is_none();
        if !self.is_going() || is_alone {
            return 0;
        }
        let bindings = self.bindings_left();
        if self.topics.own().is_none() {
            return bindings;
        }
        let is_open = self.hand_over.is_stopping() && !self.topics.cluster.is_closed;
        bindings + usize::from(is_open || self.has_topics_left())
    }

    fn has_topics_left(&self) -> bool {
        let topics = &self.topics;
        let Some(log) = topics
            .own()
            .and_then(|own| Some((own, topics.origins.log(own)?)))
        else {
            return false;
        };
        let (own, log) = log;
        let mut present = topics.cluster.members.present();
        let is_lacking = present.any(|(_, member)| {
            let held = topics.cluster.haves.of(member.node, own);
            member.takes && held.map_or(0, super::super::Spans::prefix) < log.prefix()
        });
        is_lacking || log.is_unsettled()
    }
}

impl super::Cluster {
    /// Everything that waits for an answer began this much later.
    fn delay(&mut self, by: Duration) {
        for (_, member) in self.members.iter_mut() {
            for since in [
                member.asked.as_mut().map(|(_, since)| since),
                member.lacking_since.as_mut(),
                member.pull.as_mut().map(|pull| &mut pull.since),
            ]
            .into_iter()
            .flatten()
            {
                *since = *since + by;
            }
            if let Aside::Asking(since, _) = &mut member.aside {
                *since = *since + by;
            }
        }
    }

    /// Who did not send what it was asked for is asked no longer: perhaps another has it.
    fn end_pulls(&mut self, now: Time, patience: Duration) {
        for (_, member) in self.members.iter_mut() {
            if member
                .pull
                .is_some_and(|pull| now.since(pull.since) >= patience)
            {
                member.pull = None;
            }
        }
    }
}

impl Topics {
    /// The other members, as this node sees them.
    pub(in crate::topic) fn member_figures(&self) -> MemberFigures {
        let members = &self.cluster.members;
        let is_aside = |(_, member): &(PeerKey, &Member)| member.aside == Aside::Yes;
        let logs = || self.origins.logs().map(|(_, log)| log);
        MemberFigures {
            present: members.present().count(),
            aside: members.iter().filter(is_aside).count(),
            missing: logs().map(|log| log.known() - log.prefix()).sum(),
            refused: logs().filter(|log| log.is_refused()).count(),
        }
    }

    /// What this node's origin promises.
    pub(super) fn own_closed(&mut self, wall: WallTime) -> Option<(Origin, Closed)> {
        let own = self.own()?;
        let mut closed = self.promise(wall);
        let is_settled = closed.records == self.origins.prefix(own);
        if self.cluster.is_closed && is_settled {
            closed.id = EntryId::MAX;
        }
        Some((own, closed))
    }

    /// Whether a member promised records that are not here.
    fn lacks(&self, key: PeerKey) -> bool {
        let member = self.cluster.members.get(key);
        member.is_some_and(|member| self.order().lacks(member.node, &self.origins))
    }

    /// The members that are there, and have not said of all records of theirs that are here that these are settled.
    fn unsettled_members(&self) -> Vec<PeerKey> {
        let members = self.cluster.members.present();
        let unsettled = members.filter(|(_, member)| {
            let log = member.own.and_then(|own| self.origins.log(own));
            log.is_some_and(OriginLog::is_unsettled)
        });
        unsettled.map(|(key, _)| key).collect()
    }

    /// Whether a member that is there has not said that its records here are settled.
    fn has_unsettled(&self) -> bool {
        !self.unsettled_members().is_empty()
    }

    /// Whether the order comes to an id as soon as members have answered, or have copies of what this node published.
    pub(in crate::topic) fn awaits_order(&self, goal: EntryId) -> bool {
        let members = &self.cluster.members;
        // One that is being set aside answers no more; those who are asked about it do.
        let answers = |key: PeerKey| {
            let member = members.get(key);
            member.is_some_and(|member| member.aside != Aside::Yes)
        };
        let behind = self.order().behind(goal);
        let mut behind = behind.filter_map(|node| members.find(node));
        let own = self.own().and_then(|own| self.origins.log(own));
        !members.is_empty()
            && (self.stable() < goal && behind.any(answers)
                || self.unsettled_members().into_iter().any(answers)
                || own.is_some_and(OriginLog::is_unsettled))
    }

    /// Whether records are here that readers cannot get yet, or not in order.
    pub(in crate::topic) fn has_unread(&self) -> bool {
        let is_above = self.cluster.highest > self.stable();
        !self.cluster.members.is_empty() && (is_above || self.has_unsettled())
    }

    /// Whether records wait here to be settled by their age.
    fn is_anything_unsettled(&self) -> bool {
        !self.cluster.members.is_empty() && self.unsettled_logs().next().is_some()
    }

    /// The logs with unsettled records of which no member that is there says how far they are settled: of this node, of
    /// nodes that are not there, and of lives that are over.
    pub(super) fn unsettled_logs(&self) -> impl Iterator<Item = (Origin, &OriginLog)> {
        let members = &self.cluster.members;
        let logs = self.origins.logs();
        logs.filter(|(origin, log)| log.is_unsettled() && !members.speaks_for(*origin))
    }

    /// Settles what has waited for long enough for the copies of others.
    fn settle_aged(&mut self, now: Time, patience: Duration, synced: u64) {
        let unsettled = self.unsettled_logs();
        let unsettled: Vec<(Origin, u64)> = unsettled
            .map(|(origin, log)| (origin, log.prefix()))
            .collect();
        let own = self.own();
        let aging = &mut self.cluster.aging;
        aging.retain(|origin, _| unsettled.iter().any(|(other, _)| other == origin));
        let mut aged = Vec::new();
        for (origin, records) in unsettled {
            let (since, noted) = *aging.entry(origin).or_insert((now, records));
            if now.since(since) >= patience {
                aged.push((origin, noted));
                aging.remove(&origin);
            }
        }
        for (origin, records) in aged {
            let bound = if own == Some(origin) {
                synced
            } else {
                self.cluster.synced(origin)
            };
            self.settle(origin, records.min(bound));
        }
    }
}
