//! Leaving: CLUSTER LEAVING, and handing jobs over before a stop.
//!
//! A pass over all jobs, a few each tick, finds those that others cannot do without this node:
//!
//! - A queued job goes to a holder, by ENQUEUE; if none is left, whole, by YOURJOBS. It is out of the queue here from
//!   that moment on, and QUEUED settles the move. Without an answer it goes the way of any job whose retry is over: the
//!   holders are asked, and it is queued here again.
//! - An at-most-once job goes whole, and is deleted here in the same turn: lost with the message, but never in two
//!   places. One that is delayed takes what is left of its delay along.
//! - A job that is out or delayed needs a copy elsewhere: when the operator wants this node to go for good, one of the
//!   holders is asked for its copy; without any, another node gets one.
//! - The end of a job that is kept (KEEP, WINDOW) and that no other holder has goes to another node (`acking/inheriting`).
//! - Before a stop the holders hear how long the jobs that this node handed out will be out.
//!
//! The number of unconfirmed moves is bounded; passes follow each other until nothing is left.

use std::collections::BTreeMap;

use crate::adding::Home;
use crate::agenda::{Agenda, Timer};
use crate::command::{Refusal, Reply};
use crate::effect::Effect;
use crate::explaining::What;
use crate::id::{Guarantee, JobId};
use crate::job::{Job, JobKey, JobState, Move};
use crate::limits;
use crate::members::peers::{NodeSet, PeerKey};
use crate::message::{Copy, Message};
use crate::node::Node;
use crate::planted::Bug;
use crate::time::{Now, Time};

/// Jobs on their way to other nodes.
#[derive(Debug, Default)]
pub(crate) struct HandOver {
    reason: Option<Reason>,
    /// The next step is on the agenda for this time.
    next: Option<Time>,
    /// The next slot to look at.
    cursor: u32,
    /// No pass has ended yet: copies that nobody vouched for are asked after.
    first: bool,
    /// Jobs that this pass met and that are still here.
    met: usize,
    /// As many as the last pass met, and those that came back to their queue since.
    left: usize,
    unconfirmed: BTreeMap<JobId, Unconfirmed>,
    /// What each peer got lately: it shows in its own state only later.
    given: BTreeMap<PeerKey, u64>,
}

/// Why jobs are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// CLUSTER LEAVING: the node will not come back.
    Leaving,
    /// It stops, and may come back.
    Stopping,
}

/// A job that another node was sent, or asked after, and has not answered.
#[derive(Debug, Clone, Copy)]
struct Unconfirmed {
    since: Time,
    what: Sent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// Its place in the queue: QUEUED is the answer.
    Turn,
    /// A copy, or a question for one: GOTJOB is the answer.
    Copy,
    /// How it ended, to be kept: GOTACK is the answer.
    End,
}

/// What one step may still send.
struct Budget {
    jobs: usize,
    bytes: usize,
    /// Whole jobs, to be sent together.
    whole: BTreeMap<PeerKey, Vec<Copy>>,
}

impl HandOver {
    /// Panics if what it says of itself does not hold.
    pub(super) fn check(&self, agenda: &Agenda) {
        let most = limits::HAND_OVER_UNCONFIRMED + limits::HAND_OVER_PER_TICK;
        assert!(self.unconfirmed.len() <= most, "moves are bounded");
        let planned = self
            .next
            .is_some_and(|when| agenda.holds_timer(when, Timer::HandOver));
        assert!(
            planned || self.next.is_none() && self.reason.is_none(),
            "handing over goes on until it is over"
        );
    }

    /// Jobs that were sent and not confirmed.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.reason == Some(Reason::Stopping)
    }

    /// Another node has the job in its queue, or on its way to a client.
    pub(crate) fn confirm_turn(&mut self, id: &JobId) {
        self.confirm(id, Sent::Turn);
    }

    /// Another node keeps the end of the job.
    pub(crate) fn confirm_end(&mut self, id: &JobId) {
        self.confirm(id, Sent::End);
    }

    fn confirm(&mut self, id: &JobId, what: Sent) {
        if self.unconfirmed.get(id).is_some_and(|it| it.what == what) {
            self.unconfirmed.remove(id);
        }
    }

    /// The job was handed over, nobody has confirmed it, and its time is over: it is this node's again.
    pub(crate) fn take_back(&mut self, id: &JobId) -> bool {
        let before = self.unconfirmed.len();
        self.confirm_turn(id);
        let taken = self.unconfirmed.len() < before;
        self.left += usize::from(taken);
        taken
    }
}

impl Node {
    /// CLUSTER LEAVING yes or no. No also takes back that the node is about to stop.
    pub(crate) fn on_leaving(&mut self, at: Now, leaving: bool, effects: &mut Vec<Effect>) {
        let now = at.time;
        let changes = leaving != self.leaving;
        self.leaving = leaving;
        if !leaving {
            self.reopen_topics(at, effects);
            // What is on its way may still be confirmed, or comes back.
            self.hand_over.reason = None;
        } else if changes && !self.hand_over.is_stopping() {
            self.begin_hand_over(Reason::Leaving, now + self.settings.leaving_grace);
        }
        self.turn_waiters_away(now, effects);
        self.tell_state(effects);
    }

    /// The node is about to stop: begins at once.
    pub(crate) fn on_hand_over(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if !self.hand_over.is_stopping() {
            self.begin_hand_over(Reason::Stopping, now);
            self.turn_waiters_away(now, effects);
            self.tell_state(effects);
        }
    }

    /// Whether this node goes away, for good or to come back: it takes no copies, asks for no jobs, and lets nobody wait.
    pub fn is_going(&self) -> bool {
        self.leaving || self.hand_over.is_stopping()
    }

    /// A node that goes away lets nobody wait.
    fn turn_waiters_away(&mut self, now: Time, effects: &mut Vec<Effect>) {
        while let Some(id) = self.waiters.first().filter(|_| self.is_going()) {
            self.give_up(now, id, Reply::Refused(Refusal::Leaving), effects);
        }
        if self.is_going() {
            self.turn_publishers_away(effects);
            self.turn_readers_away(effects);
            self.topics.look_again();
        }
    }

    fn begin_hand_over(&mut self, reason: Reason, when: Time) {
        let hand_over = &mut self.hand_over;
        hand_over.reason = Some(reason);
        (hand_over.cursor, hand_over.first, hand_over.met) = (0, true, 0);
        self.plan_hand_over(when);
    }

    fn plan_hand_over(&mut self, when: Time) {
        if let Some(before) = self.hand_over.next.replace(when) {
            self.agenda.remove_timer(before, Timer::HandOver);
        }
        self.agenda.add_timer(when, Timer::HandOver);
    }

    /// All jobs are gone. A node that leaves goes on leaving.
    pub(crate) fn restart_hand_over(&mut self, now: Time) {
        let reason = self.hand_over.reason;
        self.hand_over = HandOver::default();
        if let Some(reason) = reason {
            self.begin_hand_over(reason, now);
        }
    }

    /// Jobs that still have to go to other nodes before this one may stop, or more until all were looked at; 0 is safe.
    /// Before a stop without another node to take them there are none.
    pub fn handing_over(&self) -> usize {
        let hand_over = &self.hand_over;
        let alone = hand_over.is_stopping() && self.peers.staying().is_empty();
        if hand_over.reason.is_none() || alone {
            return 0;
        }
        let here = hand_over.met + hand_over.unconfirmed.len() + self.topics_left();
        if hand_over.first {
            let unseen = self.jobs.end().saturating_sub(hand_over.cursor) as usize;
            here + unseen.min(self.jobs.len())
        } else {
            here.max(hand_over.left)
        }
    }

    /// A peer has a copy of the job. One that lacked it when it was given its turn is given it once more.
    pub(crate) fn hand_over_to(&mut self, peer: PeerKey, id: JobId, effects: &mut Vec<Effect>) {
        let sent = self.hand_over.unconfirmed.get(&id).map(|it| it.what);
        match sent {
            Some(Sent::Turn) => self.send(peer, Message::enqueue(id, 0), effects),
            Some(Sent::Copy) => self.hand_over.confirm(&id, Sent::Copy),
            Some(Sent::End) | None => {}
        }
    }

    /// A node stops with moves that nobody confirmed: after the next start their retry decides. Of a job that only had a copy made,
    /// nothing has changed here.
    pub(crate) fn end_hand_over(&mut self, now: Time) {
        for (id, sent) in std::mem::take(&mut self.hand_over).unconfirmed {
            let Some(key) = self.jobs.find(&id).filter(|_| sent.what == Sent::Turn) else {
                continue;
            };
            let job = &self.jobs[key];
            if job.state() == JobState::Active && !job.is_ours() {
                let requeue = now.after_secs(job.retry) + self.stagger();
                self.move_job(key, Move::Wait, requeue);
            }
        }
    }

    /// The next step of a pass.
    pub(crate) fn on_hand_over_timer(&mut self, now: Time, effects: &mut Vec<Effect>) {
        // A timer that was set before a flush is of no use.
        if self.hand_over.next.is_none_or(|next| next > now) {
            return;
        }
        self.hand_over.next = None;
        if self.hand_over.reason.is_none() {
            // The node stays: what it sent is settled, or given up.
            self.give_up_unconfirmed(now);
            if !self.hand_over.unconfirmed.is_empty() {
                self.plan_hand_over(now + limits::HAND_OVER_AGAIN);
            }
            return;
        }
        let mut budget = Budget {
            jobs: limits::HAND_OVER_PER_TICK,
            bytes: limits::HAND_OVER_BYTES_PER_TICK,
            whole: BTreeMap::new(),
        };
        let end = self.jobs.end();
        let to = end.min(
            self.hand_over
                .cursor
                .saturating_add(limits::HAND_OVER_SLOTS),
        );
        while self.hand_over.cursor < to && budget.jobs > 0 && budget.bytes > 0 {
            if self.hand_over.unconfirmed.len() >= limits::HAND_OVER_UNCONFIRMED {
                break;
            }
            let key = JobKey(self.hand_over.cursor);
            self.hand_over.cursor += 1;
            if self.jobs.get(key).is_some() {
                self.hand_over_job(now, key, &mut budget, effects);
            }
        }
        for (peer, jobs) in budget.whole {
            self.send(peer, Message::YourJobs(jobs), effects);
        }
        let pause = self.after_step(now, end);
        self.plan_hand_over(now + pause);
    }

    /// How long until the next step, and what it begins with.
    fn after_step(&mut self, now: Time, end: u32) -> std::time::Duration {
        let over = self.hand_over.cursor >= end;
        if over || self.hand_over.unconfirmed.len() >= limits::HAND_OVER_UNCONFIRMED {
            self.give_up_unconfirmed(now);
        }
        if !over {
            return limits::HAND_OVER_PAUSE;
        }
        let hand_over = &mut self.hand_over;
        if hand_over.unconfirmed.is_empty() {
            hand_over.first = false;
            hand_over.left = hand_over.met;
            (hand_over.cursor, hand_over.met) = (0, 0);
            hand_over.given.clear();
            return limits::HAND_OVER_AGAIN;
        }
        limits::HAND_OVER_PAUSE
    }

    /// Drops what was answered in another way: the job is acked, gone, or somebody gave it back. A copy that nobody
    /// confirmed is asked after again in the next pass.
    fn give_up_unconfirmed(&mut self, now: Time) {
        let jobs = &self.jobs;
        let mut failed = 0;
        self.hand_over.unconfirmed.retain(|id, it| {
            let job = jobs.find(id).map(|key| &jobs[key]);
            let stays = job.is_some_and(|job| match it.what {
                Sent::Turn => job.state() == JobState::Active && !job.is_ours(),
                Sent::Copy => job.state() != JobState::Acked,
                Sent::End => true,
            });
            let late = it.what != Sent::Turn && now.since(it.since) >= limits::HAND_OVER_PATIENCE;
            failed += usize::from(stays && late);
            stays && !late
        });
        self.hand_over.met += failed;
    }

    /// One job: sends it, asks after it, or counts it as still here.
    fn hand_over_job(
        &mut self,
        now: Time,
        key: JobKey,
        budget: &mut Budget,
        effects: &mut Vec<Effect>,
    ) {
        let job = &self.jobs[key];
        let id = job.id;
        if self.hand_over.unconfirmed.contains_key(&id) || self.is_purged(key) {
            return;
        }
        let once = job.guarantee() == Guarantee::AtMostOnce;
        let done = match job.state() {
            JobState::Acked => self.leave_end(now, key, budget, effects),
            // Others will keep it, one of them will queue it: it comes and goes while this node takes new jobs.
            JobState::WaitReplicas => {
                let pending = self.replications.get(key);
                pending.is_some_and(|pending| pending.home == Home::Elsewhere)
            }
            JobState::Queued if once => self.leave_once(now, key, budget, effects),
            JobState::Active if once && job.is_delayed() => {
                self.leave_once(now, key, budget, effects)
            }
            JobState::Queued => self.give_away_turn(now, key, budget, effects),
            // A copy that no other node hands over is nobody's: see `take_in_known`.
            JobState::Active if once => job.queued_before() || !job.is_ours(),
            JobState::Active => self.leave_with_others(now, key, budget, effects),
        };
        self.hand_over.met += usize::from(!done);
    }

    /// A job is over, and another node that stays keeps how it ended, or one is asked to.
    fn leave_end(
        &mut self,
        now: Time,
        key: JobKey,
        budget: &mut Budget,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if !self.keeps_alone(now, key) {
            return true;
        }
        let heir = self.heir(self.peers.takers());
        if let Some(to) = heir {
            self.bequeath(key, to, effects);
            self.expect(now, self.jobs[key].id, Sent::End);
            budget.spend(self.jobs.extras(key).len());
        }
        heir.is_some()
    }

    /// An at-most-once job goes whole.
    fn leave_once(
        &mut self,
        now: Time,
        key: JobKey,
        budget: &mut Budget,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let heir = self.heir(self.takers_of(key));
        if let Some(to) = heir {
            self.happened(self.jobs[key].id, What::Shipped(self.maker_of(to)));
            let copy = if self.has(Bug::LeftTwice) {
                self.copy_of(now, key)
            } else {
                self.give_away_once(now, key, effects)
            };
            budget.add(to, copy);
        }
        heir.is_some()
    }

    /// A queued job goes to a holder, or whole to another node.
    fn give_away_turn(
        &mut self,
        now: Time,
        key: JobKey,
        budget: &mut Budget,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let id = self.jobs[key].id;
        let holders = self.jobs[key].holders.and(self.peers.staying());
        if let Some(to) = self.heir(holders) {
            self.send(to, Message::enqueue(id, 0), effects);
            self.happened(id, What::Shipped(self.maker_of(to)));
            budget.jobs -= 1;
        } else if let Some(to) = self.heir(self.takers_of(key)) {
            self.merge_holders(key, NodeSet::only(to), effects);
            let copy = self.copy_of(now, key);
            self.happened(id, What::Shipped(self.maker_of(to)));
            budget.add(to, copy);
        } else {
            return false;
        }
        self.give_turn(now, key, now + limits::HAND_OVER_PATIENCE);
        self.expect(now, id, Sent::Turn);
        true
    }

    /// A job that is out, delayed, or a copy: the others must be able to do without this node.
    fn leave_with_others(
        &mut self,
        now: Time,
        key: JobKey,
        budget: &mut Budget,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let job = &self.jobs[key];
        let id = job.id;
        let holders = job.holders.and(self.peers.staying());
        let held = self.heir(holders);
        let Some(to) = held.or_else(|| self.heir(self.takers_of(key))) else {
            return false;
        };
        if held.is_none() {
            budget.spend(self.jobs[key].size());
            self.merge_holders(key, NodeSet::only(to), effects);
            self.offer(now, key, NodeSet::only(to), effects);
            self.expect(now, id, Sent::Copy);
        }
        let job = &self.jobs[key];
        if job.is_delayed() {
            // Its delay is not over: another holder ends it. Should this be lost, it is late by a retry, but not lost.
            let delay_ms = job.due.since(now).as_millis() as u64;
            let requeue = job.due.after_secs(job.retry) + self.stagger();
            self.send(to, Message::enqueue(id, delay_ms), effects);
            self.give_turn(now, key, requeue);
            budget.jobs = budget.jobs.saturating_sub(1);
        } else if job.is_ours() && self.hand_over.is_stopping() && self.hand_over.first {
            self.tell_working(now, key, effects);
            budget.jobs = budget.jobs.saturating_sub(1);
        }
        if held.is_some() && self.hand_over.first && self.hand_over.reason == Some(Reason::Leaving)
        {
            self.tell_holders(key, NodeSet::only(to), 1, effects);
            self.expect(now, id, Sent::Copy);
            budget.jobs = budget.jobs.saturating_sub(1);
        }
        true
    }

    fn expect(&mut self, now: Time, id: JobId, what: Sent) {
        let unconfirmed = Unconfirmed { since: now, what };
        self.hand_over.unconfirmed.insert(id, unconfirmed);
    }

    /// Which of these peers gets the next job: the one that holds least.
    fn heir(&mut self, among: NodeSet) -> Option<PeerKey> {
        let load = |peer: PeerKey| {
            let given = self.hand_over.given.get(&peer).copied().unwrap_or(0);
            self.peers.get(peer).state.load + given
        };
        let heir = among.iter().min_by_key(|&peer| (load(peer), peer))?;
        *self.hand_over.given.entry(heir).or_default() += 1;
        Some(heir)
    }
}

impl Budget {
    fn spend(&mut self, bytes: usize) {
        self.jobs -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn add(&mut self, to: PeerKey, copy: Copy) {
        self.spend(copy.body.len());
        self.whole.entry(to).or_default().push(copy);
    }
}

impl Job {
    /// It was never in a queue, and this node is to put it there when its delay is over.
    fn is_delayed(&self) -> bool {
        self.state() == JobState::Active && self.is_ours() && self.place().is_before()
    }

    fn size(&self) -> usize {
        self.body.len()
    }
}
