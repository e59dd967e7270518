//! The one timer structure: which job, waiter or queue the node must look at next.
//!
//! Every live job is on it, so jobs sit in a timing wheel whose lists run through the jobs themselves: 8 bytes a
//! job, and adding, moving or removing one costs the same whether there are ten or ten million. The wheel has eight
//! levels of 64 buckets; a bucket of level `n` spans 64^n milliseconds. A job goes to the level of the highest
//! bit in which its time differs from the present; when the wheel reaches a bucket of a higher level, its jobs
//! move down (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987).
//! The few other timers are in a tree, ordered by time.

use std::collections::BTreeSet;

use crate::job::Links;
use crate::jobs::{JobKey, Jobs};
use crate::queue::QueueKey;
use crate::time::Time;
use crate::waiters::WaiterId;

const BITS: u32 = 6;
const WIDTH: usize = 1 << BITS;
const LEVELS: usize = 8;
/// The wheel's horizon: 64^8 ms, some 8900 years from the start of the timeline.
const HORIZON: u64 = (1 << (BITS as usize * LEVELS)) - 1;

/// A timer that is not a job's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A blocked client's timeout.
    Waiter(WaiterId),
    /// An empty queue may have idled long enough to go.
    Queue(QueueKey),
    /// The log wants a mark of the wall clock.
    Mark,
    /// A pass that records jobs anew goes on.
    Rewrite,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Job(JobKey),
    Timer(Timer),
}

/// Who must be looked at when.
#[derive(Debug)]
pub(crate) struct Agenda {
    /// How far the wheel has turned, in ms of the timeline.
    turned: u64,
    /// Per level, which buckets hold jobs.
    occupied: [u64; LEVELS],
    /// First job of each bucket.
    heads: [JobKey; LEVELS * WIDTH],
    timers: BTreeSet<(Time, Timer)>,
}

impl Agenda {
    pub(crate) fn new(now: Time) -> Self {
        Agenda {
            turned: now.as_millis(),
            occupied: [0; LEVELS],
            heads: [JobKey::NONE; LEVELS * WIDTH],
            timers: BTreeSet::new(),
        }
    }

    /// Puts a job that is not on the agenda where its wake time belongs.
    pub(crate) fn add_job(&mut self, jobs: &mut Jobs, key: JobKey) {
        let when = jobs[key].wake().as_millis().clamp(self.turned, HORIZON);
        let level = level_of(self.turned, when);
        let bucket = level * WIDTH + slot_of(when, level);
        let next = std::mem::replace(&mut self.heads[bucket], key);
        if !next.is_none() {
            jobs[next].agenda.prev = key;
        }
        jobs[key].agenda = Links {
            prev: JobKey(JobKey::END | bucket as u32),
            next,
        };
        self.occupied[level] |= 1 << (bucket % WIDTH);
    }

    /// Takes a job off the agenda.
    pub(crate) fn remove_job(&mut self, jobs: &mut Jobs, key: JobKey) {
        let Links { prev, next } = jobs[key].agenda;
        assert!(!prev.is_none(), "{} is not on the agenda", jobs[key].id);
        if !next.is_none() {
            jobs[next].agenda.prev = prev;
        }
        if prev.0 < JobKey::END {
            jobs[prev].agenda.next = next;
        } else {
            let bucket = (prev.0 - JobKey::END) as usize;
            self.heads[bucket] = next;
            if next.is_none() {
                self.occupied[bucket / WIDTH] &= !(1 << (bucket % WIDTH));
            }
        }
        jobs[key].agenda = Links::NONE;
    }

    pub(crate) fn add_timer(&mut self, when: Time, timer: Timer) {
        self.timers.insert((when, timer));
    }

    pub(crate) fn remove_timer(&mut self, when: Time, timer: Timer) {
        self.timers.remove(&(when, timer));
    }

    /// No event is needed before this time. It may be early: then a tick merely turns the wheel.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let timer = self.timers.first().map(|&(when, _)| when);
        let job = self.next_bucket().map(|(when, _)| Time::from_millis(when));
        timer.into_iter().chain(job).min()
    }

    /// The next thing that is due, taken off the agenda; none when all that is left is later than `now`.
    pub(crate) fn pop(&mut self, jobs: &mut Jobs, now: Time) -> Option<Due> {
        let timer = self
            .timers
            .first()
            .copied()
            .filter(|&(when, _)| when <= now);
        let until = timer.map_or(now, |(when, _)| when).as_millis();
        while let Some((when, bucket)) = self.next_bucket().filter(|&(when, _)| when <= until) {
            self.turned = when;
            if bucket < WIDTH {
                let key = self.heads[bucket];
                self.remove_job(jobs, key);
                return Some(Due::Job(key));
            }
            self.cascade(jobs, bucket);
        }
        // No job lies between: those in higher buckets still differ from the present in the same digit.
        self.turned = self.turned.max(until);
        let entry = timer?;
        self.timers.remove(&entry);
        Some(Due::Timer(entry.1))
    }

    /// Moves the jobs of a bucket that the wheel has reached to lower levels.
    fn cascade(&mut self, jobs: &mut Jobs, bucket: usize) {
        let mut key = std::mem::replace(&mut self.heads[bucket], JobKey::NONE);
        self.occupied[bucket / WIDTH] &= !(1 << (bucket % WIDTH));
        while !key.is_none() {
            let next = jobs[key].agenda.next;
            self.add_job(jobs, key);
            key = next;
        }
    }

    /// The time at which the wheel next reaches a bucket that holds jobs, and that bucket.
    fn next_bucket(&self) -> Option<(u64, usize)> {
        // A lower level is always reached before a higher one: its jobs differ from the present in lower bits only.
        let level = (0..LEVELS).find(|&level| self.occupied[level] != 0)?;
        let shift = BITS * level as u32;
        let present = (self.turned >> shift) as usize % WIDTH;
        let ahead = self.occupied[level] >> present;
        debug_assert!(ahead != 0, "no bucket lies behind the present");
        let slot = present + ahead.trailing_zeros() as usize;
        let start = (self.turned >> shift >> BITS << BITS | slot as u64) << shift;
        Some((start.max(self.turned), level * WIDTH + slot))
    }

    /// Whether a timer is set.
    pub(crate) fn holds_timer(&self, when: Time, timer: Timer) -> bool {
        self.timers.contains(&(when, timer))
    }
}

fn level_of(turned: u64, when: u64) -> usize {
    let differs = (turned ^ when) | 1;
    (differs.ilog2() / BITS) as usize
}

fn slot_of(when: u64, level: usize) -> usize {
    (when >> (BITS as usize * level)) as usize % WIDTH
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::tests::plain_job;

    const START: u64 = 1_700_000_000_000;
    const YEAR: u64 = 365 * 86_400_000;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Entry {
        Job(JobKey),
        Timer(QueueKey),
    }

    /// An agenda, and a sorted set that it must agree with. Whatever is set in the past is due at once.
    struct Pair {
        agenda: Agenda,
        jobs: Jobs,
        now: u64,
        model: BTreeSet<(u64, Entry)>,
        made: u32,
    }

    impl Pair {
        fn new() -> Self {
            Pair {
                agenda: Agenda::new(Time::from_millis(START)),
                jobs: Jobs::new(0),
                now: START,
                model: BTreeSet::new(),
                made: 0,
            }
        }

        fn add_job(&mut self, when: u64) {
            self.made += 1;
            let mut job = plain_job(self.made);
            (job.added, job.requeue) = (Time::from_millis(when), Time::from_millis(when));
            let key = self.jobs.insert(job);
            self.agenda.add_job(&mut self.jobs, key);
            self.model.insert((when.max(self.now), Entry::Job(key)));
        }

        fn add_timer(&mut self, when: u64) {
            self.made += 1;
            let key = QueueKey(self.made);
            self.agenda
                .add_timer(Time::from_millis(when), Timer::Queue(key));
            self.model.insert((when, Entry::Timer(key)));
        }

        fn remove(&mut self, nth: usize) {
            let Some(&entry) = self.model.iter().nth(nth % self.model.len().max(1)) else {
                return;
            };
            self.model.remove(&entry);
            match entry {
                (_, Entry::Job(key)) => {
                    self.agenda.remove_job(&mut self.jobs, key);
                    self.jobs.remove(key);
                }
                (when, Entry::Timer(key)) => self
                    .agenda
                    .remove_timer(Time::from_millis(when), Timer::Queue(key)),
            }
        }

        /// Takes all that is due at `now`: exactly what the model says, ordered by time.
        fn take_due(&mut self) {
            let (now, mut last) = (Time::from_millis(self.now), 0);
            while let Some(due) = self.agenda.pop(&mut self.jobs, now) {
                let entry = match due {
                    Due::Job(key) => Entry::Job(key),
                    Due::Timer(Timer::Queue(key)) => Entry::Timer(key),
                    Due::Timer(other) => panic!("{other:?} was never set"),
                };
                let found = self.model.iter().find(|&&(_, e)| e == entry).copied();
                let (when, _) = found.expect("only what was set comes due");
                assert!(when <= self.now, "{entry:?} is early");
                assert!(last <= when, "{entry:?} is out of order");
                last = when;
                self.model.remove(&(when, entry));
                if let Entry::Job(key) = entry {
                    self.jobs.remove(key);
                }
            }
            let left = self.model.first().map(|&(when, _)| when);
            assert!(
                left.is_none_or(|when| when > self.now),
                "nothing that is due stays"
            );
            self.check_deadline();
        }

        fn check_deadline(&self) {
            let deadline = self.agenda.deadline().map(Time::as_millis);
            let first = self.model.first().map(|&(when, _)| when);
            assert_eq!(deadline.is_some(), first.is_some());
            assert!(deadline <= first, "the deadline is not late");
        }

        /// Goes on to `to` as a shell would: a tick at every deadline. Each must lie after the one before.
        fn walk(&mut self, to: u64) {
            let allowed = (self.model.len() + 1) * LEVELS;
            for _ in 0..=allowed {
                let next = self.agenda.deadline().map_or(u64::MAX, Time::as_millis);
                if next > to {
                    self.now = to;
                    self.take_due();
                    return;
                }
                self.now = self.now.max(next);
                self.take_due();
                let after = self.agenda.deadline().map_or(u64::MAX, Time::as_millis);
                assert!(after > self.now, "a tick makes progress");
            }
            panic!("more than {allowed} ticks: the deadline is early again and again");
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Job(i64),
        Timer(i64),
        Remove(usize),
        Walk(u64),
        Jump(u64),
    }

    fn span() -> impl Strategy<Value = u64> {
        prop_oneof![
            Just(0),
            1..70_u64,
            1..5000_u64,
            (0..26_u32).prop_map(|bits| 1 << bits),
            1..30 * 86_400_000_u64,
            1..130 * YEAR
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        let offset = prop_oneof![8 => span().prop_map(u64::cast_signed), 1 => -100_000..0_i64];
        prop_oneof![
            6 => offset.clone().prop_map(Step::Job),
            2 => offset.prop_map(Step::Timer),
            2 => any::<usize>().prop_map(Step::Remove),
            2 => span().prop_map(Step::Walk),
            1 => span().prop_map(Step::Jump),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn the_wheel_agrees_with_a_sorted_set(steps in prop::collection::vec(step(), 1..80)) {
            let mut pair = Pair::new();
            for step in steps {
                match step {
                    Step::Job(offset) => pair.add_job(pair.now.saturating_add_signed(offset)),
                    Step::Timer(offset) => pair.add_timer(pair.now.saturating_add_signed(offset)),
                    Step::Remove(nth) => pair.remove(nth),
                    Step::Walk(span) => pair.walk(pair.now + span),
                    Step::Jump(span) => {
                        pair.now += span;
                        pair.take_due();
                    }
                }
                pair.check_deadline();
            }
            pair.walk(pair.now + 200 * YEAR);
            prop_assert!(pair.model.is_empty(), "nothing is lost");
        }
    }

    #[test]
    fn one_far_job_takes_few_ticks() {
        let mut pair = Pair::new();
        pair.add_job(START + 130 * YEAR + 12_345);
        let mut ticks = 0;
        while let Some(next) = pair.agenda.deadline() {
            pair.now = next.as_millis();
            pair.take_due();
            ticks += 1;
        }
        assert!(ticks <= LEVELS, "{ticks} ticks");
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_loses_nothing() {
        let mut pair = Pair::new();
        pair.add_job(START + 50);
        pair.now = START + 40;
        pair.take_due();
        assert_eq!(
            pair.agenda
                .pop(&mut pair.jobs, Time::from_millis(START + 10)),
            None
        );
        pair.add_job(START + 20);
        assert_eq!(pair.agenda.deadline(), Some(Time::from_millis(START + 40)));
        pair.now = START + 50;
        pair.take_due();
        assert!(pair.model.is_empty());
    }
}
