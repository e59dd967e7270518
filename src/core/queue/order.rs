//! Lists that run through the jobs themselves, and walks along them.

use crate::job::{Job, JobKey, Jobs, Links, Place};

/// A list that runs through the jobs themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    pub(super) head: JobKey,
    pub(super) tail: JobKey,
}

impl Default for List {
    fn default() -> Self {
        List::EMPTY
    }
}

impl List {
    pub(crate) const EMPTY: List = List {
        head: JobKey::NONE,
        tail: JobKey::NONE,
    };

    pub(crate) fn first(self) -> Option<JobKey> {
        (!self.head.is_none()).then_some(self.head)
    }

    pub(crate) fn iter(self, jobs: &Jobs) -> impl Iterator<Item = JobKey> + '_ {
        walk(jobs, self.head, |job| job.order.next)
    }

    pub(crate) fn push_back(&mut self, jobs: &mut Jobs, key: JobKey, place: Place) {
        let prev = std::mem::replace(&mut self.tail, key);
        if prev.is_none() {
            self.head = key;
        } else {
            jobs[prev].order.next = key;
        }
        jobs[key].order = Links {
            prev,
            next: JobKey::NONE,
        };
        jobs[key].enter(place);
    }

    pub(super) fn push_front(&mut self, jobs: &mut Jobs, key: JobKey, place: Place) {
        let next = std::mem::replace(&mut self.head, key);
        if next.is_none() {
            self.tail = key;
        } else {
            jobs[next].order.prev = key;
        }
        jobs[key].order = Links {
            prev: JobKey::NONE,
            next,
        };
        jobs[key].enter(place);
    }

    pub(crate) fn remove(&mut self, jobs: &mut Jobs, key: JobKey) {
        let Links { prev, next } = jobs[key].order;
        if prev.is_none() {
            self.head = next;
        } else {
            jobs[prev].order.next = next;
        }
        if next.is_none() {
            self.tail = prev;
        } else {
            jobs[next].order.prev = prev;
        }
        jobs[key].order = Links::NONE;
        jobs[key].leave();
    }
}

pub(super) fn walk<'a>(
    jobs: &'a Jobs,
    end: JobKey,
    step: impl Fn(&Job) -> JobKey + 'a,
) -> impl Iterator<Item = JobKey> + 'a {
    let some = |key: JobKey| (!key.is_none()).then_some(key);
    std::iter::successors(some(end), move |&key| some(step(&jobs[key])))
}

pub(super) fn merge<'a>(
    jobs: &'a Jobs,
    a: impl Iterator<Item = JobKey> + 'a,
    b: impl Iterator<Item = JobKey> + 'a,
    goes_first: fn((u64, JobKey), (u64, JobKey)) -> bool,
) -> impl Iterator<Item = JobKey> + 'a {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some(&x), Some(&y)) if goes_first(order(jobs, y), order(jobs, x)) => b.next(),
        (Some(_), _) => a.next(),
        (None, _) => b.next(),
    })
}

/// What a queue is ordered by. Nodes may give the same creation time: then any order will do, but always the same.
pub(super) fn order(jobs: &Jobs, key: JobKey) -> (u64, JobKey) {
    (jobs[key].entered, key)
}
