//! How far the log must be on disk before a reply or a message may leave.
//!
//! What each of them waits for is decided in `waits`, and comes with the effect. Here it becomes a position in the log, by
//! what was recorded so far and by the policy. Server and simulator use the same [`Gates`].

use std::collections::VecDeque;

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use crate::command::{Receipt, Reply};
use crate::effect::{News, Wait};
use crate::id::JobId;
use crate::message::Message;
use crate::record::Record;
use crate::topic::{Origin, TopicRecord};

/// How many records were appended before and with one, since the first log of the process was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// Before the first record: nothing waits for it.
    pub const START: Position = Position(0);
}

/// What a policy makes wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// All that has something to wait for: `appendfsync always`.
    Always,
    /// The same, except for replies that only say what the node knows: the log cannot be written at the moment, and an
    /// operator who looks at the node must get an answer.
    AlwaysButFailing,
    /// Only what confirms a copy; and only if the shell lets nothing go that is not on disk, because the disk stalls.
    Stalls,
}

/// What was recorded, as far as replies and messages depend on it.
#[derive(Debug)]
pub struct Gates {
    /// The last record in the log.
    position: Position,
    /// Under `always`: jobs that are new here, and whose records may not be on disk.
    jobs: HashMap<JobId, Position, FixedState>,
    /// The same, in order of their positions.
    order: VecDeque<(Position, JobId)>,
    /// Under `always`: records of topics that may not be on disk, in order.
    topics: VecDeque<(Position, Origin, u64)>,
}

impl Gates {
    /// Nothing is recorded. `seed` keys the table of jobs, so that clients cannot choose ids that collide.
    pub fn new(seed: u64) -> Self {
        Gates {
            position: Position::START,
            jobs: HashMap::with_hasher(FixedState::with_seed(seed)),
            order: VecDeque::new(),
            topics: VecDeque::new(),
        }
    }

    /// The last record in the log.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The record has this position now.
    pub fn record(&mut self, policy: Policy, record: &Record, news: News, position: Position) {
        self.position = position;
        if let Record::Topic(record) = record {
            self.record_topic(policy, record, position);
        }
        if policy != Policy::Stalls && news == News::Job {
            let id = match record {
                Record::Added(job) => job.id,
                Record::Counted(counted) => counted.id,
                other => panic!("{other:?} is no news of a job"),
            };
            self.jobs.insert(id, position);
            self.order.push_back((position, id));
        }
    }

    fn record_topic(&mut self, policy: Policy, record: &TopicRecord, position: Position) {
        let (origin, number) = match record {
            TopicRecord::Entry(entry) => (entry.origin, entry.number),
            TopicRecord::End { origin, number, .. } => (*origin, *number),
            TopicRecord::Life(_) | TopicRecord::Freed { .. } => return,
        };
        if policy != Policy::Stalls || !self.topics.is_empty() {
            self.topics.push_back((position, origin, number));
        }
    }

    /// Whether records of topics may not be on disk.
    pub fn holds_topics(&self) -> bool {
        !self.topics.is_empty()
    }

    /// The records of topics that are on disk since the last time: all up to `on_disk` are. One may come more than once, for a
    /// new segment repeats end records.
    pub fn take_topics(&mut self, on_disk: Position) -> Vec<(Origin, u64)> {
        let mut safe: Vec<(Origin, u64)> = Vec::new();
        while let Some(&(position, origin, number)) = self.topics.front()
            && position <= on_disk
        {
            self.topics.pop_front();
            safe.push((origin, number));
        }
        safe
    }

    /// Forgets the jobs whose records are on disk: all up to `on_disk` are.
    pub fn prune(&mut self, on_disk: Position) {
        while let Some(&(position, id)) = self.order.front()
            && position <= on_disk
        {
            self.order.pop_front();
            // The job may have been added again since.
            if self.jobs.get(&id) == Some(&position) {
                self.jobs.remove(&id);
            }
        }
    }

    /// How far the log must be on disk before this message may leave.
    pub fn of_message(&self, policy: Policy, wait: Wait, message: &Message) -> Position {
        self.of(policy, wait, || match message {
            Message::GotJob(id) => self.of_job(id),
            other => panic!("{other:?} does not wait for the record of one job"),
        })
    }

    /// How far the log must be on disk before this reply may leave.
    pub fn of_reply(&self, policy: Policy, wait: Wait, reply: &Reply) -> Position {
        self.of(policy, wait, || {
            if let Reply::Added(id) | Reply::Receipt(Receipt { id, .. }) = reply {
                return self.of_job(id);
            }
            let gates = reply.delivered().iter().map(|id| self.of_job(id)).max();
            gates.unwrap_or(Position::START)
        })
    }

    fn of(&self, policy: Policy, wait: Wait, of_its_jobs: impl FnOnce() -> Position) -> Position {
        match (policy, wait) {
            (_, Wait::Nothing)
            | (Policy::Stalls, Wait::Jobs | Wait::View | Wait::All)
            | (Policy::AlwaysButFailing, Wait::View) => Position::START,
            // Where jobs are not kept track of, it is all there is.
            (Policy::Stalls, Wait::Copy)
            | (Policy::Always, Wait::View)
            | (Policy::Always | Policy::AlwaysButFailing, Wait::All) => self.position,
            (Policy::Always | Policy::AlwaysButFailing, Wait::Copy | Wait::Jobs) => of_its_jobs(),
        }
    }

    fn of_job(&self, id: &JobId) -> Position {
        self.jobs.get(id).copied().unwrap_or(Position::START)
    }
}

#[cfg(test)]
mod tests;
