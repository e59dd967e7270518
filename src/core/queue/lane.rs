//! A lane: the ready jobs of one priority, in order of their entry.
//!
//! Nearly all jobs come in that order, so they form a list that runs through the jobs themselves; one that comes back between
//! others goes to a tree, and the head of the lane is the older of the two heads.

use std::collections::BTreeSet;

use crate::job::{JobKey, Jobs, Place};
use crate::queue::order::{List, merge, order, walk};

/// Ready jobs in order.
#[derive(Debug)]
pub(super) struct Lane {
    list: List,
    tree: BTreeSet<(u64, JobKey)>,
}

impl Lane {
    pub(super) const EMPTY: Lane = Lane {
        list: List::EMPTY,
        tree: BTreeSet::new(),
    };

    pub(super) fn is_empty(&self) -> bool {
        self.list.first().is_none() && self.tree.is_empty()
    }

    /// Puts a job into its place.
    pub(super) fn push(&mut self, jobs: &mut Jobs, key: JobKey) {
        let order = order(jobs, key);
        let at = |end: JobKey| (!end.is_none()).then(|| super::order::order(jobs, end));
        if at(self.list.tail).is_none_or(|tail| tail < order) {
            self.list.push_back(jobs, key, Place::List);
        } else if at(self.list.head).is_some_and(|head| order < head) {
            self.list.push_front(jobs, key, Place::List);
        } else {
            self.tree.insert(order);
            jobs[key].enter(Place::Tree);
        }
    }

    /// Takes a job out, wherever it stands.
    pub(super) fn remove(&mut self, jobs: &mut Jobs, key: JobKey) {
        match jobs[key].place() {
            Place::List => self.list.remove(jobs, key),
            Place::Tree => {
                let removed = self.tree.remove(&order(jobs, key));
                assert!(removed, "{} is in its queue's tree", jobs[key].id);
                jobs[key].leave();
            }
            Place::Before
            | Place::BeforeUnsure
            | Place::Nowhere
            | Place::Unsettled
            | Place::Restored
            | Place::Waiting
            | Place::Evictable
            | Place::Acked => {
                panic!("{} is not in its queue", jobs[key].id)
            }
        }
    }

    /// The oldest job.
    pub(super) fn first(&self, jobs: &Jobs) -> Option<JobKey> {
        let listed = self.list.first();
        let Some(&treed) = self.tree.first() else {
            return listed;
        };
        listed
            .filter(|&listed| order(jobs, listed) < treed)
            .or(Some(treed.1))
    }

    /// All of them, oldest first.
    pub(super) fn oldest<'a>(&'a self, jobs: &'a Jobs) -> impl Iterator<Item = JobKey> + 'a {
        merge(
            jobs,
            self.list.iter(jobs),
            self.tree.iter().map(|&(_, key)| key),
            |a, b| a < b,
        )
    }

    /// All of them, newest first.
    pub(super) fn newest<'a>(&'a self, jobs: &'a Jobs) -> impl Iterator<Item = JobKey> + 'a {
        let listed = walk(jobs, self.list.tail, |job| job.order.prev);
        merge(
            jobs,
            listed,
            self.tree.iter().rev().map(|&(_, key)| key),
            |a, b| a > b,
        )
    }
}
