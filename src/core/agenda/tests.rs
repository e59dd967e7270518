//! The wheel against a sorted set.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::extras::Extras;
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
        (job.added, job.due) = (Time::from_millis(when), Time::from_millis(when));
        let key = self.jobs.insert(job, Extras::NONE);
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
