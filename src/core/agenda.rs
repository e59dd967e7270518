//! The one timer structure: which job, waiter or queue the node must look at next.
//!
//! Every live job is on it, so jobs sit in a timing wheel whose lists run through the jobs themselves: 8 bytes a
//! job, and adding, moving or removing one costs the same whether there are ten or ten million. The wheel has eight
//! levels of 64 buckets; a bucket of level `n` spans 64^n milliseconds. A job goes to the level of the highest
//! bit in which its time differs from the present; when the wheel reaches a bucket of a higher level, its jobs
//! move down (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987).
//! The few other timers are in a tree, ordered by time.

use std::collections::BTreeSet;

use crate::job::{JobKey, Jobs, Links};
use crate::queue::{QueueKey, WaiterId};
use crate::time::Time;
use crate::topic::ReaderId;

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
    /// Memory is short: bodies leave it.
    Spilling,
    /// A pass that records jobs again continues.
    Rewrite,
    /// A peer may have been away for too long.
    Absence,
    /// A peer that cannot be reached may be expected back no more.
    Expected,
    /// What this node is ready for may have changed.
    State,
    /// Jobs with too few copies are looked at.
    Healing,
    /// The telling of acks to a peer whose link came up goes on.
    Collection,
    /// Ids of jobs that are over have been remembered for long enough.
    Forgotten,
    /// Interest in jobs of other nodes is refreshed, or runs out.
    Federation,
    /// Holders that came back are told what is queued here.
    Agreement,
    /// Jobs move on from a node that leaves.
    HandOver,
    /// Nodes that did not answer a question are given up.
    Gathering,
    /// The jobs of a purged queue go.
    Purging,
    /// The next step of REDRIVE.
    Redriving,
    /// The time of a WAITJOB is up.
    JobWait(u64),
    /// Members are asked again how the jobs stand that clients wait for.
    WatchAgain,
    /// Peers may not want to hear of jobs any more.
    Watches,
    /// The producer of an add with a key of DEDUP waited long enough.
    KeyedAdd(u64),
    /// Keys of DEDUP are asked for again.
    Dedup,
    /// The time of a TREAD that waits is up.
    TopicRead(ReaderId),
    /// Something about topics may be overdue.
    TopicCheck,
    /// A member may be asked again to close.
    TopicAsk,
    /// Publishers may have waited for long enough.
    TopicPublishes,
    /// Readers of topics go on.
    TopicPages,
    /// The log of topics is too large.
    TopicCompaction,
    /// Entries of topics have been kept for long enough.
    Retention,
    /// Bindings of topics may go on.
    TopicBindings,
    /// How far the readers of named cursors are behind.
    Lagging,
}

impl Timer {
    fn is_of_topics(self) -> bool {
        match self {
            Timer::TopicRead(_)
            | Timer::TopicCheck
            | Timer::TopicAsk
            | Timer::TopicPublishes
            | Timer::TopicPages
            | Timer::TopicCompaction
            | Timer::Retention
            | Timer::Lagging
            | Timer::TopicBindings => true,
            Timer::Waiter(_)
            | Timer::Queue(_)
            | Timer::Mark
            | Timer::Spilling
            | Timer::Rewrite
            | Timer::Absence
            | Timer::Expected
            | Timer::State
            | Timer::Healing
            | Timer::Collection
            | Timer::Forgotten
            | Timer::Federation
            | Timer::Agreement
            | Timer::HandOver
            | Timer::Gathering
            | Timer::Purging
            | Timer::Redriving
            | Timer::JobWait(_)
            | Timer::WatchAgain
            | Timer::Watches
            | Timer::KeyedAdd(_)
            | Timer::Dedup => false,
        }
    }
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
    jobs: usize,
}

impl Agenda {
    pub(crate) fn new(now: Time) -> Self {
        Agenda {
            turned: now.as_millis(),
            occupied: [0; LEVELS],
            heads: [JobKey::NONE; LEVELS * WIDTH],
            timers: BTreeSet::new(),
            jobs: 0,
        }
    }

    /// Jobs on the agenda.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs
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
        self.jobs += 1;
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
        self.jobs -= 1;
    }

    pub(crate) fn add_timer(&mut self, when: Time, timer: Timer) {
        self.timers.insert((when, timer));
    }

    /// The timers of topics, which outlive a flush of all jobs.
    pub(crate) fn topic_timers(&self) -> Vec<(Time, Timer)> {
        let timers = self.timers.iter().copied();
        timers.filter(|(_, timer)| timer.is_of_topics()).collect()
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
            self.jobs -= 1;
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
mod tests;
