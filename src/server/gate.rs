//! How far the log must be on disk before a reply may leave.
//!
//! Under `appendfsync always` nobody is told of what is not on disk: a reply waits for the records of its own command,
//! and a delivery for the record of its job. Otherwise only adds wait, and only for a disk that stalls.

use std::collections::VecDeque;

use shoalmq_core::command::Reply;
use shoalmq_core::record::Record;
use shoalmq_storage::journal::Position;
use tokio::sync::watch;

use crate::config::AppendFsync;

/// No gate.
const OPEN: Position = Position(0);

/// What was recorded, as far as replies depend on it.
#[derive(Debug)]
pub(super) struct Gates {
    /// The last record in the journal.
    position: Position,
    /// Under `always`: new jobs whose records may not be on disk, by creation. Both numbers rise.
    adds: VecDeque<(u64, Position)>,
    released: watch::Receiver<Position>,
}

impl Gates {
    pub(super) fn new(released: watch::Receiver<Position>) -> Self {
        Gates {
            position: OPEN,
            adds: VecDeque::new(),
            released,
        }
    }

    /// The last record in the journal.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The record has this position now.
    pub(super) fn record(&mut self, policy: AppendFsync, record: &Record, position: Position) {
        self.position = position;
        if policy == AppendFsync::Always
            && let Record::Added(job) = record
            // One that is recorded anew is older: its first record is on disk.
            && self.adds.back().is_none_or(|&(created, _)| created < job.created)
        {
            self.adds.push_back((job.created, position));
        }
    }

    /// Forgets the jobs whose records are on disk.
    pub(super) fn prune(&mut self) {
        let released = *self.released.borrow();
        while self
            .adds
            .front()
            .is_some_and(|&(_, position)| position <= released)
        {
            self.adds.pop_front();
        }
    }

    /// As [`Gates::of`], of a reply to an earlier command. `None` is as far as the log was when that had run: a job that
    /// now has its copies was recorded then.
    pub(super) fn of_late(
        &self,
        policy: AppendFsync,
        reply: &Reply,
        persisted: Persisted,
    ) -> Option<Position> {
        match (reply, persisted) {
            (Reply::Added(_), Persisted::NothingYet | Persisted::NothingCanBe) => None,
            _ => Some(self.of(policy, reply, persisted)),
        }
    }

    /// How far the log must be on disk before this reply may leave, which was `persisted` something or not.
    pub(super) fn of(&self, policy: AppendFsync, reply: &Reply, persisted: Persisted) -> Position {
        match (policy, reply) {
            (_, Reply::Added(_)) => self.position,
            (AppendFsync::Everysec | AppendFsync::No, _)
            | (AppendFsync::Always, Reply::NothingToDeliver | Reply::Refused(_)) => OPEN,
            (AppendFsync::Always, Reply::Delivered(jobs, _)) => {
                let of_job = |created| {
                    let found = self
                        .adds
                        .binary_search_by_key(&created, |&(created, _)| created);
                    found.map_or(OPEN, |index| self.adds[index].1)
                };
                let gates = jobs.iter().map(|job| of_job(job.created));
                gates.max().unwrap_or(OPEN)
            }
            (AppendFsync::Always, _) => match persisted {
                Persisted::Something | Persisted::NothingYet => self.position,
                // Who looks at a node whose disk is full must get an answer: it promises nothing.
                Persisted::NothingCanBe => OPEN,
            },
        }
    }
}

/// What an event wrote to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persisted {
    /// At least one record.
    Something,
    /// No record, but others may be on their way to the disk.
    NothingYet,
    /// No record, and the log cannot be written now.
    NothingCanBe,
}

#[cfg(test)]
mod tests {
    use shoalmq_core::command::{Counters, Delivery};
    use shoalmq_core::id::{JobId, QueueName};
    use shoalmq_core::job::Body;
    use shoalmq_core::record::JobRecord;
    use shoalmq_core::time::Time;

    use super::*;

    const ALWAYS: AppendFsync = AppendFsync::Always;

    fn added(created: u64) -> Record {
        Record::Added(Box::new(JobRecord {
            id: JobId::from_bytes([1; 24]),
            queue: QueueName::new(b"q"),
            body: Body::new(b""),
            created,
            added: Time::ZERO,
            ttl: 60,
            delay: 0,
            retry: 6,
            replicate: 1,
            nacks: 0,
            additional_deliveries: 0,
            holders: [].into(),
        }))
    }

    fn delivered(created: &[u64]) -> Reply {
        let delivery = |&created| Delivery {
            queue: QueueName::new(b"q"),
            id: JobId::from_bytes([1; 24]),
            created,
            body: Body::new(b""),
            nacks: 0,
            additional_deliveries: 0,
        };
        Reply::Delivered(created.iter().map(delivery).collect(), Counters::Without)
    }

    fn gates() -> (watch::Sender<Position>, Gates) {
        let released = watch::Sender::new(Position(0));
        let mut gates = Gates::new(released.subscribe());
        for (created, position) in [(10, 1), (20, 2), (30, 4)] {
            gates.record(ALWAYS, &added(created), Position(position));
        }
        (released, gates)
    }

    #[test]
    fn a_delivery_waits_for_the_records_of_its_jobs_alone() {
        let (released, mut gates) = gates();
        let of =
            |gates: &Gates, jobs: &[u64]| gates.of(ALWAYS, &delivered(jobs), Persisted::NothingYet);
        assert_eq!(of(&gates, &[20, 10]), Position(2));
        assert_eq!(of(&gates, &[5]), OPEN, "older than all that is on its way");
        released.send_replace(Position(2));
        gates.prune();
        assert_eq!(of(&gates, &[20]), OPEN);
        assert_eq!(of(&gates, &[20, 30]), Position(4));
    }

    #[test]
    fn a_job_that_is_recorded_anew_holds_nobody_up() {
        let (_released, mut gates) = gates();
        gates.record(ALWAYS, &added(15), Position(5));
        let reply = delivered(&[15]);
        assert_eq!(gates.of(ALWAYS, &reply, Persisted::NothingYet), OPEN);
    }

    #[test]
    fn a_late_add_waits_for_the_record_of_its_command_alone() {
        let (_released, gates) = gates();
        let id = Reply::Added(JobId::from_bytes([1; 24]));
        let late = |reply: &Reply, persisted| gates.of_late(ALWAYS, reply, persisted);
        assert_eq!(late(&id, Persisted::NothingYet), None);
        assert_eq!(late(&id, Persisted::Something), Some(Position(4)));
        assert_eq!(
            late(&delivered(&[20]), Persisted::NothingYet),
            Some(Position(2))
        );
    }

    #[test]
    fn only_always_holds_back_what_is_not_an_add() {
        let (_released, gates) = gates();
        let of = |policy, reply: &Reply, persisted| gates.of(policy, reply, persisted);
        let (count, id) = (Reply::Count(1), Reply::Added(JobId::from_bytes([1; 24])));
        assert_eq!(of(ALWAYS, &count, Persisted::Something), Position(4));
        assert_eq!(of(ALWAYS, &count, Persisted::NothingYet), Position(4));
        assert_eq!(of(ALWAYS, &count, Persisted::NothingCanBe), OPEN);
        assert_eq!(
            of(AppendFsync::Everysec, &count, Persisted::Something),
            OPEN
        );
        assert_eq!(
            of(AppendFsync::Everysec, &id, Persisted::Something),
            Position(4)
        );
        assert_eq!(
            of(ALWAYS, &Reply::NothingToDeliver, Persisted::NothingYet),
            OPEN
        );
    }
}
