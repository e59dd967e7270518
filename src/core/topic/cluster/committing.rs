//! TCOMMIT waits until as many nodes have the commit as a plain TPUB has copies, so that it outlives this node.
//!
//! A commit goes to the other nodes as every setting does. Behind it each member is asked to confirm what it was sent; the
//! answer leaves when that is recorded, and a link keeps the order. A member whose link comes up meanwhile is sent the name again,
//! and asked. What is not confirmed in time stays and goes on to the others, but its client is told that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::command::{TopicRefusal, TopicReply};
use super::super::origin::OriginNode;
use super::message::TopicNews;
use crate::agenda::Timer;
use crate::command::Reply;
use crate::effect::Effect;
use crate::id::{ClientId, Ticket};
use crate::log::answer;
use crate::members::PeerKey;
use crate::message::Message;
use crate::node::Node;
use crate::setting::SettingKind;
use crate::time::{Now, Time};

/// How long a commit waits for other nodes: as long as a TPUB that does not say.
const PATIENCE: Duration = Duration::from_secs(5);

/// Commits that too few members have confirmed.
#[derive(Debug, Default)]
pub(in crate::topic) struct Commits {
    /// By the number of the question.
    waiting: BTreeMap<u64, Waiting>,
    last: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    name: Arc<[u8]>,
    confirmed: BTreeSet<OriginNode>,
    /// Not fewer nodes than this count, though members go meanwhile.
    least: usize,
    until: Time,
}

impl Node {
    /// A client is answered once enough nodes have what this one keeps of a name.
    pub(in crate::topic) fn wait_for_keepers(
        &mut self,
        now: Now,
        ticket: Ticket,
        (name, is_sent): (&[u8], bool),
        effects: &mut Vec<Effect>,
    ) {
        let until = now.time + PATIENCE;
        let least = self.least_copies();
        let commits = &mut self.topics.cluster.commits;
        commits.last += 1;
        let number = commits.last;
        commits.waiting.insert(
            number,
            Waiting {
                ticket,
                name: name.into(),
                confirmed: BTreeSet::new(),
                least,
                until,
            },
        );
        for key in self.topics.cluster.members.keys() {
            self.ask_keeper(now, key, (number, is_sent), effects);
        }
        self.answer_commits(effects);
        if self.topics.cluster.commits.waiting.contains_key(&number) {
            self.agenda.add_timer(until, Timer::TopicPublishes);
        }
    }

    /// Asks a member for a commit, which it was sent already, or is now.
    fn ask_keeper(
        &mut self,
        now: Now,
        to: PeerKey,
        (number, is_sent): (u64, bool),
        effects: &mut Vec<Effect>,
    ) {
        let cluster = &self.topics.cluster;
        let Some(waiting) = cluster.commits.waiting.get(&number) else {
            return;
        };
        let setting = self.shared.get(SettingKind::TOPIC_CURSOR, &waiting.name);
        let is_present = |member: &super::member::Member| member.is_present();
        let Some(setting) = setting.filter(|_| cluster.members.get(to).is_some_and(is_present))
        else {
            return;
        };
        if !is_sent {
            let settings = Arc::from([setting.clone()]);
            self.send(to, Message::Settings(settings), effects);
        }
        self.tell_member(now, to, TopicNews::Confirm(number), effects);
    }

    /// The link to a member came up: it hears of all commits that wait.
    pub(super) fn ask_new_keeper(&mut self, now: Now, to: PeerKey, effects: &mut Vec<Effect>) {
        let waiting = &self.topics.cluster.commits.waiting;
        let numbers: Vec<u64> = waiting.keys().copied().collect();
        for number in numbers {
            self.ask_keeper(now, to, (number, false), effects);
        }
    }

    /// A member has recorded all settings that it was sent before it was asked.
    pub(super) fn on_confirmed(&mut self, from: PeerKey, number: u64) {
        let cluster = &mut self.topics.cluster;
        let waiting = cluster.commits.waiting.get_mut(&number);
        if let Some((waiting, member)) = waiting.zip(cluster.members.get(from)) {
            waiting.confirmed.insert(member.node);
        }
    }

    /// Answers those that enough nodes have, this one included.
    pub(super) fn answer_commits(&mut self, effects: &mut Vec<Effect>) {
        if self.topics.cluster.commits.waiting.is_empty() {
            return;
        }
        let usual = self.copies_of(None);
        let present = self.topics.cluster.members.present_nodes();
        let commits = &mut self.topics.cluster.commits;
        let is_kept = |_: &u64, waiting: &mut Waiting| {
            let confirmed = present
                .iter()
                .filter(|node| waiting.confirmed.contains(node));
            1 + confirmed.count() >= usual.max(waiting.least)
        };
        for (_, waiting) in commits.waiting.extract_if(.., is_kept) {
            let reply = Reply::Topic(Box::new(TopicReply::Done));
            answer(waiting.ticket, reply, effects);
        }
    }

    /// The time of some commits is up.
    pub(super) fn give_up_commits(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let commits = &mut self.topics.cluster.commits;
        let is_late = |_: &u64, waiting: &mut Waiting| waiting.until <= now;
        for (_, waiting) in commits.waiting.extract_if(.., is_late) {
            let refusal = TopicRefusal::CommitPending.into();
            answer(waiting.ticket, Reply::Refused(refusal), effects);
        }
    }

    /// A connection is over: nobody waits for the answer any more.
    pub(super) fn drop_commits(&mut self, client: ClientId) {
        let commits = &mut self.topics.cluster.commits;
        commits
            .waiting
            .retain(|_, waiting| waiting.ticket.client != client);
    }
}
