//! Healing: making the copies that jobs lack, so that durability does not rot.
//!
//! A job is *short* when fewer nodes hold it than should: a holder has been away for `heal-delay`, was forgotten, or came
//! back with an empty store; or the job was accepted with fewer copies than it aims at, or before they were confirmed.
//! Passes over all jobs (`sweep`) find short jobs, and open a *case* for each that something can be done about. A case
//! asks the holders that can be reached whether they have their copies (HOLDERS), for only a GOTJOB counts; then it
//! sends copies to other nodes; in the end it tells the holders how many copies there are, so that none of them does
//! the same. A holder is never removed here: an ack still waits for it.
//!
//! Whatever a case could not do leaves the job short, and a later pass opens another one.

use std::collections::{BTreeMap, BTreeSet};

use crate::effect::Effect;
use crate::explaining::What;
use crate::healing::recent::Recent;
use crate::healing::sweep::{Pass, Sweep};
use crate::id::Guarantee;
use crate::job::{Job, JobKey, JobState};
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::node::Node;
use crate::planted::Bug;
use crate::time::Time;

/// A short job that is being looked after.
#[derive(Debug)]
struct Case {
    /// Holders that have a copy.
    confirmed: NodeSet,
    /// Nodes that were sent one which they did not have before.
    given: NodeSet,
    /// How often something was done.
    steps: u32,
    /// When the next thing is done, if nobody answers before.
    due: Time,
}

/// Jobs with fewer copies than they are to have.
#[derive(Debug, Default)]
pub(crate) struct Healing {
    cases: BTreeMap<JobKey, Case>,
    by_due: BTreeSet<(Time, JobKey)>,
    /// Jobs whose [`Job::short`] holds.
    short: usize,
    /// Cases of which nothing was made yet: their holders may still answer in time.
    fresh: usize,
    /// A pass over all jobs under way, and the one to come after it.
    pub(super) sweep: Option<Sweep>,
    pub(super) next_pass: Option<Pass>,
    /// Copies that may have been lost in a crash of their node.
    pub(crate) recent: Recent,
    /// The pause after the last step.
    pub(super) rests_until: Time,
    /// When the node looks at all this next.
    pub(super) timer: Option<Time>,
}

impl Healing {
    pub(crate) fn short(&self) -> usize {
        self.short
    }

    pub(crate) fn open(&self) -> usize {
        self.cases.len()
    }

    pub(super) fn holds(&self, key: JobKey) -> bool {
        self.cases.contains_key(&key)
    }

    /// When the first case is due.
    pub(super) fn first_due(&self) -> Option<Time> {
        self.by_due.first().map(|&(due, _)| due)
    }

    /// The job is gone, or acked: how many copies there are does not matter any more.
    pub(crate) fn forget_job(&mut self, key: JobKey) {
        self.short -= 1;
        self.close(key);
    }

    /// What a peer held is gone.
    pub(super) fn forget_peer(&mut self, peer: PeerKey) {
        for case in self.cases.values_mut() {
            case.confirmed.remove(peer);
            case.given.remove(peer);
        }
        self.recent.forget(peer);
    }

    fn close(&mut self, key: JobKey) -> Option<Case> {
        let case = self.cases.remove(&key)?;
        self.fresh -= usize::from(case.steps == 0);
        self.by_due.remove(&(case.due, key));
        Some(case)
    }

    /// Looks at a case again at this moment.
    fn wait(&mut self, key: JobKey, due: Time) {
        if let Some(case) = self.cases.get_mut(&key) {
            self.by_due.remove(&(case.due, key));
            case.due = due;
            self.by_due.insert((due, key));
        }
    }

    /// Takes a case that is due at `now` out of the order of time.
    pub(super) fn take_due(&mut self, now: Time) -> Option<JobKey> {
        let &(due, key) = self.by_due.first()?;
        (due <= now).then(|| {
            self.by_due.pop_first();
            key
        })
    }

    /// Whether all cases are in the order of time and those to come are counted, for the checks.
    pub(super) fn is_consistent(&self) -> bool {
        let ordered = |(&key, case): (&JobKey, &Case)| self.by_due.contains(&(case.due, key));
        let fresh = self.cases.values().filter(|case| case.steps == 0);
        self.fresh == fresh.count()
            && self.cases.len() == self.by_due.len()
            && self.cases.iter().all(ordered)
    }

    /// Jobs of all cases, for the checks.
    pub(super) fn keys(&self) -> impl Iterator<Item = JobKey> {
        self.cases.keys().copied()
    }
}

impl Node {
    /// Jobs held here that are known to have fewer copies than they are to have, on as many nodes as there are. Not those
    /// that were answered a moment ago, whose holders may still confirm them in time: a producer that waits for no copies
    /// always has some of these.
    pub fn under_replicated(&self) -> usize {
        self.healing.short - self.healing.fresh
    }

    /// Jobs for which missing copies are being made at this moment.
    pub fn healing_left(&self) -> usize {
        self.healing.cases.len()
    }

    /// Copies that a job is to have, here and elsewhere.
    pub(crate) fn wanted_copies(&self, job: &Job) -> u16 {
        job.replicate.min(self.peers.cluster_size())
    }

    /// Whether the number of copies matters.
    pub(super) fn is_kept_alive(&self, job: &Job) -> bool {
        let waits = matches!(job.state(), JobState::Active | JobState::Queued);
        waits && job.guarantee() == Guarantee::AtLeastOnce && self.wanted_copies(job) > 1
    }

    /// Whether too few nodes hold a job, if all that are counted on do.
    pub(super) fn lacks_holders(&self, job: &Job) -> bool {
        let away = self.peers.lost().or(self.peers.gone());
        self.is_kept_alive(job) && 1 + job.holders.without(away).len() < self.wanted_copies(job)
    }

    /// Counts a job that is kept from now on, if too few nodes hold it.
    pub(crate) fn note_short(&mut self, now: Time, key: JobKey) {
        if self.lacks_holders(&self.jobs[key]) {
            self.set_short(now, key, true);
        }
    }

    pub(super) fn set_short(&mut self, now: Time, key: JobKey, short: bool) {
        let before = std::mem::replace(&mut self.jobs[key].short, short);
        self.healing.short += usize::from(short);
        self.healing.short -= usize::from(before);
        if short {
            self.sweep_again(now);
        }
    }

    /// A job was answered before all of its copies were confirmed: they were sent to its holders just now.
    pub(crate) fn heal_soon(&mut self, now: Time, key: JobKey) {
        if !self.is_kept_alive(&self.jobs[key]) || self.has(Bug::NoHealing) {
            return;
        }
        self.set_short(now, key, true);
        if self.healing.open() < limits::HEALING_CASES {
            self.open_case(key, now + limits::HEALING_PATIENCE);
            self.plan_healing(now);
        }
    }

    pub(super) fn open_case(&mut self, key: JobKey, due: Time) {
        let case = Case {
            confirmed: NodeSet::EMPTY,
            given: NodeSet::EMPTY,
            steps: 0,
            due,
        };
        self.healing.fresh += 1;
        self.healing.cases.insert(key, case);
        self.healing.by_due.insert((due, key));
    }

    /// Does the next thing about a short job: asks its holders, or makes copies; or gives up for now.
    pub(super) fn attend(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let holders = self.jobs[key].holders;
        let case = self.healing.cases.get_mut(&key);
        let case = case.expect("it is one");
        self.healing.fresh -= usize::from(case.steps == 0);
        case.steps += 1;
        let (confirmed, steps) = (case.confirmed, case.steps);
        let present = holders.and(self.peers.reachable());
        let silent = present.without(confirmed);
        let due = now + limits::HEALING_PATIENCE * (1 << steps.min(limits::HEALING_STEPS));
        if steps == 1 && !silent.is_empty() {
            self.tell_holders(key, silent, 1, effects);
            self.healing.wait(key, due);
            return;
        }
        // Who cannot be reached, but is not given up, is expected back.
        let away = self.peers.lost().or(self.peers.gone()).or(present);
        let expected = confirmed.or(holders.without(away));
        let wanted = self.wanted_copies(&self.jobs[key]);
        let missing = wanted.saturating_sub(1 + expected.len());
        let more = self.choose(missing, self.takers_of(key).without(holders));
        if more.is_empty() || steps > limits::HEALING_STEPS {
            if missing > 0 {
                self.happened(self.jobs[key].id, What::Short);
            }
            self.healing.close(key);
            // Whether those who are expected back have it is known when they are.
            let short = missing > 0 || 1 + confirmed.len() < wanted;
            self.set_short(now, key, short);
            return;
        }
        if let Some(case) = self.healing.cases.get_mut(&key) {
            case.given = case.given.or(more);
        }
        self.happened(self.jobs[key].id, What::Healed(more.len()));
        self.merge_holders(key, more, effects);
        self.offer(now, key, more, effects);
        self.healing.wait(key, due);
    }

    /// A holder says that it has its copy.
    pub(crate) fn heal_confirmed(
        &mut self,
        now: Time,
        key: JobKey,
        from: PeerKey,
        effects: &mut Vec<Effect>,
    ) {
        let Some(case) = self.healing.cases.get_mut(&key) else {
            return;
        };
        if case.confirmed.contains(from) {
            return;
        }
        case.confirmed.insert(from);
        self.counters.healed += u64::from(case.given.contains(from));
        let (copies, asked) = (1 + case.confirmed.len(), case.steps > 0);
        let holders = self.jobs[key].holders;
        let present = holders.and(self.peers.reachable());
        let silent = present.without(case.confirmed);
        if copies >= self.wanted_copies(&self.jobs[key]) {
            self.healing.close(key);
            self.set_short(now, key, false);
            if asked {
                self.tell_holders(key, present, copies, effects);
            }
        } else if asked && silent.is_empty() {
            self.attend(now, key, effects);
        }
        self.plan_healing(now);
    }

    /// A holder lacks its copy, and this node sent it again.
    pub(crate) fn heal_missing(&mut self, key: JobKey, from: PeerKey) {
        self.healing.recent.answered(from, key);
        if let Some(case) = self.healing.cases.get_mut(&key) {
            case.confirmed.remove(from);
            case.given.insert(from);
        }
    }

    /// A holder knows of this many copies: if these are enough, nothing is left to do here.
    pub(crate) fn heal_told(&mut self, now: Time, key: JobKey, copies: u16) {
        if self.jobs[key].short && copies >= self.wanted_copies(&self.jobs[key]) {
            self.healing.close(key);
            self.set_short(now, key, false);
        }
    }
}
