//! Replies whose bodies are in the log alone: which bodies the shell must read, and what is left without them.

use super::{Again, JobView, Reply, Unread, unread_of, unread_views};
use crate::id::JobId;
use crate::job::Body;
use crate::topic::{Told, TopicReply, Unread as UnreadEntry};

impl Reply {
    /// The bodies that must be read before it can be told, each with its job. One that cannot be read stays as it is.
    pub fn unread_bodies(&mut self) -> Vec<(JobId, &mut Body)> {
        match self {
            Reply::Unread(unread) => unread_of(&mut unread.jobs),
            Reply::Peeked(jobs, _) => unread_of(jobs),
            Reply::Shown(Some(job)) => unread_views(std::slice::from_mut(job)),
            Reply::Jobs(_, jobs) => unread_views(jobs),
            Reply::Global(gathered) => gathered.answer.unread_bodies(),
            Reply::Added(_)
            | Reply::Existing(_)
            | Reply::Receipt(_)
            | Reply::Delivered(..)
            | Reply::NothingToDeliver
            | Reply::Count(_)
            | Reply::Fates(_)
            | Reply::Explained(_)
            | Reply::Shown(None)
            | Reply::QueueStat(_)
            | Reply::PauseState(_)
            | Reply::AllPolicies(_)
            | Reply::Policies(_)
            | Reply::Configured
            | Reply::Queues(..)
            | Reply::JobIds(..)
            | Reply::Topic(_)
            | Reply::Refused(_) => Vec::new(),
        }
    }

    /// The jobs that it hands out.
    pub fn delivered(&self) -> Vec<JobId> {
        match self {
            Reply::Delivered(jobs, _) => jobs.iter().map(|job| job.id).collect(),
            Reply::Unread(unread) => unread.jobs.iter().map(|job| job.id).collect(),
            Reply::Added(_)
            | Reply::Existing(_)
            | Reply::Receipt(_)
            | Reply::NothingToDeliver
            | Reply::Count(_)
            | Reply::Fates(_)
            | Reply::Explained(_)
            | Reply::Shown(_)
            | Reply::Peeked(..)
            | Reply::QueueStat(_)
            | Reply::PauseState(_)
            | Reply::AllPolicies(_)
            | Reply::Policies(_)
            | Reply::Configured
            | Reply::Queues(..)
            | Reply::JobIds(..)
            | Reply::Jobs(..)
            | Reply::Global(_)
            | Reply::Topic(_)
            | Reply::Refused(_) => Vec::new(),
        }
    }

    /// The bytes of all bodies of a GETJOB of which some must be read.
    pub fn unread_length(&self) -> usize {
        if let Reply::Unread(unread) = self {
            unread.jobs.iter().map(|job| job.body.len()).sum()
        } else {
            self.unread_entries()
                .map(|entry| entry.bytes as usize)
                .sum()
        }
    }

    /// The entries of topics that must be read before it can be told.
    pub fn unread_entries(&self) -> impl Iterator<Item = &UnreadEntry> {
        let mut page: &[Told] = &[];
        if let Reply::Topic(reply) = self
            && let TopicReply::Page(read) = &**reply
        {
            page = &read.told;
        }
        page.iter().filter_map(Told::unread)
    }

    /// The reply without what could not be read: or the GETJOB that has to go on, when nothing is left to hand out.
    pub fn into_read(self) -> Result<Reply, Again> {
        Ok(match self {
            Reply::Unread(unread) => {
                let Unread { mut jobs, again } = *unread;
                jobs.retain(|job| job.body.spilled_to().is_none());
                if jobs.is_empty() {
                    return Err(again);
                }
                Reply::Delivered(jobs, again.told)
            }
            Reply::Peeked(mut jobs, is_meta) => {
                jobs.retain(|job| job.body.spilled_to().is_none());
                Reply::Peeked(jobs, is_meta)
            }
            Reply::Shown(Some(mut job)) => {
                job.drop_unread();
                Reply::Shown(Some(job))
            }
            Reply::Jobs(cursor, mut jobs) => {
                jobs.iter_mut().for_each(JobView::drop_unread);
                Reply::Jobs(cursor, jobs)
            }
            Reply::Global(mut gathered) => {
                gathered.answer.drop_unread();
                Reply::Global(gathered)
            }
            whole @ (Reply::Added(_)
            | Reply::Existing(_)
            | Reply::Receipt(_)
            | Reply::Delivered(..)
            | Reply::NothingToDeliver
            | Reply::Count(_)
            | Reply::Fates(_)
            | Reply::Explained(_)
            | Reply::Shown(None)
            | Reply::QueueStat(_)
            | Reply::PauseState(_)
            | Reply::AllPolicies(_)
            | Reply::Policies(_)
            | Reply::Configured
            | Reply::Queues(..)
            | Reply::JobIds(..)
            | Reply::Topic(_)
            | Reply::Refused(_)) => whole,
        })
    }
}
