//! Passes over all jobs that look for short ones, a few slots each tick.
//!
//! A pass begins when a peer's copies count no more, and when a peer comes that may take some. The holders of a job that
//! are left rank by their ids. The first pass opens cases for jobs that this node ranks first for; jobs that are still
//! short when it has become the next one's turn are for the next pass. So the holders do not all do the same, and one that
//! lacks the job, though the others count on it, holds up nobody for long.
//!
//! A pass also takes the slots of stores that are gone out of the jobs; after that they are free for other peers.

use crate::agenda::Timer;
use crate::effect::Effect;
use crate::job::{Job, JobKey, JobState};
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::node::Node;
use crate::planted::Bug;
use crate::time::Time;

/// A pass to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    begins: Time,
    /// Jobs that more holders rank before this node for are left to them.
    rank: u16,
    /// Peers whose copies count no more since the last pass.
    without: NodeSet,
}

/// A pass under way.
#[derive(Debug)]
pub(crate) struct Sweep {
    pass: Pass,
    /// The slot to look at next.
    next: u32,
    /// Slots that no job names when the pass has ended.
    gone: NodeSet,
    /// It met short jobs that are left to others as yet.
    left: bool,
}

/// What may still be done in one tick.
struct Budget {
    jobs: u32,
    bytes: usize,
}

impl Budget {
    /// Takes the share of a job; none is left when either is used up.
    fn spend(&mut self, bytes: usize) {
        self.jobs = self.jobs.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn is_spent(&self) -> bool {
        self.jobs == 0 || self.bytes == 0
    }
}

impl Node {
    /// The copies of a peer count no more: it has been away for too long, or what it held is gone.
    pub(crate) fn heal_without(&mut self, now: Time, peer: PeerKey) {
        if self.peers.gone().contains(peer) {
            self.replications.forget_peer(peer);
            self.healing.forget_peer(peer);
        }
        self.begin_pass(now, NodeSet::only(peer));
        self.plan_healing(now);
    }

    /// A peer came that may take copies.
    pub(crate) fn heal_with(&mut self, now: Time) {
        // After a partition all others come back at about the same time.
        self.begin_pass(now + limits::HEALING_SETTLE, NodeSet::EMPTY);
        self.plan_healing(now);
    }

    /// Looks at all jobs from this moment on, from the first rank on; again, if a pass is under way.
    fn begin_pass(&mut self, begins: Time, without: NodeSet) {
        let planned = self.healing.next_pass.unwrap_or(Pass {
            begins,
            rank: 0,
            without,
        });
        self.healing.next_pass = Some(Pass {
            begins: begins.min(planned.begins),
            rank: 0,
            without: without.or(planned.without),
        });
    }

    /// Some job is short: looks for what can be done, if no pass is planned.
    pub(super) fn sweep_again(&mut self, now: Time) {
        if self.healing.next_pass.is_none() {
            self.begin_pass(now + limits::HEALING_EVERY, NodeSet::EMPTY);
            self.plan_healing(now);
        }
    }

    pub(crate) fn on_healing(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.healing.timer = None;
        let mut budget = Budget {
            jobs: limits::HEALING_JOBS_PER_TICK,
            bytes: limits::HEALING_BYTES_PER_TICK,
        };
        while let Some(key) = self.healing.take_due(now) {
            self.attend(now, key, effects);
            budget.spend(self.jobs[key].body.len());
            if budget.is_spent() {
                break;
            }
        }
        self.offer_recent(effects);
        if self.healing.sweep.is_none() {
            self.start_sweep(now);
        }
        if let Some(mut sweep) = self.healing.sweep.take() {
            let ended = self.sweep_on(now, &mut sweep, &mut budget, effects);
            if ended {
                self.end_sweep(now, &sweep);
            } else {
                self.healing.sweep = Some(sweep);
            }
        }
        self.healing.rests_until = now + limits::HEALING_PAUSE;
        self.plan_healing(now);
    }

    /// Sees to it that the timer of healing is set, if there is anything to do.
    pub(super) fn plan_healing(&mut self, now: Time) {
        let healing = &self.healing;
        let earliest = healing.rests_until.max(now);
        let busy = healing.sweep.is_some() || healing.recent.is_offering();
        let begins = healing.next_pass.map(|pass| pass.begins);
        let next = begins.into_iter().chain(healing.first_due());
        let next = next.chain(busy.then_some(earliest)).min();
        let Some(when) = next.map(|when| when.max(earliest)) else {
            return;
        };
        if let Some(before) = healing.timer {
            if before <= when {
                return;
            }
            self.agenda.remove_timer(before, Timer::Healing);
        }
        self.healing.timer = Some(when);
        self.agenda.add_timer(when, Timer::Healing);
    }

    fn start_sweep(&mut self, now: Time) {
        let due = self.healing.next_pass.filter(|pass| pass.begins <= now);
        let Some(pass) = due else {
            return;
        };
        self.healing.next_pass = None;
        self.healing.sweep = Some(Sweep {
            pass,
            next: 0,
            gone: self.peers.gone(),
            left: false,
        });
    }

    /// Looks at the next slots. Returns whether these were the last.
    fn sweep_on(
        &mut self,
        now: Time,
        sweep: &mut Sweep,
        budget: &mut Budget,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let end = self.jobs.end();
        let to = end.min(sweep.next.saturating_add(limits::HEALING_SLOTS_PER_TICK));
        while sweep.next < to {
            if budget.is_spent() || self.healing.open() >= limits::HEALING_OPEN {
                return false;
            }
            let key = JobKey(sweep.next);
            sweep.next += 1;
            if self.jobs.get(key).is_none() || !self.look_at(now, key, sweep) {
                continue;
            }
            self.open_case(key, now);
            self.attend(now, key, effects);
            budget.spend(self.jobs[key].body.len());
        }
        sweep.next >= end
    }

    /// Takes what is gone out of a job. Returns whether this node is to do something about its copies.
    fn look_at(&mut self, now: Time, key: JobKey, sweep: &mut Sweep) -> bool {
        let holders = self.jobs[key].holders;
        // Somebody who was asked and never confirmed may be among the holders: whenever one is lost, the others are asked.
        let doubtful = !holders.and(sweep.pass.without).is_empty();
        if !holders.and(sweep.gone).is_empty() {
            self.agenda.remove_job(&mut self.jobs, key);
            self.jobs[key].holders = if self.jobs[key].state() == JobState::Acked {
                self.peers.present(holders)
            } else {
                holders.without(sweep.gone)
            };
            self.agenda.add_job(&mut self.jobs, key);
        }
        let job = &self.jobs[key];
        let lacks = self.lacks_holders(job);
        if !self.is_kept_alive(job) || !(job.short || lacks || doubtful) {
            return false;
        }
        self.set_short(now, key, true);
        let job = &self.jobs[key];
        let takers = self.takers_of(key).without(job.holders);
        if self.healing.holds(key) || lacks && takers.is_empty() || self.has(Bug::NoHealing) {
            return false;
        }
        let mine = self.rank_among_holders(job) <= sweep.pass.rank;
        sweep.left |= !mine;
        mine
    }

    /// How many holders come before this node in looking after a job.
    fn rank_among_holders(&self, job: &Job) -> u16 {
        let away = self.peers.lost().or(self.peers.gone());
        let before = job.holders.without(away).iter();
        let before = before.filter(|&peer| self.peers.get(peer).id < self.id);
        before.count() as u16
    }

    fn end_sweep(&mut self, now: Time, sweep: &Sweep) {
        self.collections.forget_slots(sweep.gone);
        self.peers.free(sweep.gone);
        if self
            .healing
            .next_pass
            .is_some_and(|next| next.begins <= now)
        {
            return;
        }
        if sweep.left {
            self.healing.next_pass = Some(Pass {
                begins: now.max(sweep.pass.begins + limits::HEALING_RANK),
                rank: sweep.pass.rank + 1,
                without: NodeSet::EMPTY,
            });
        } else if self.healing.short() > self.healing.open() {
            self.sweep_again(now);
        }
    }
}
