//! How far the log must be on disk before a reply may leave.
//!
//! Under `appendfsync always` nothing leaves that is not on disk: a reply waits for the records of its own command, and a
//! delivery for the record of its job. Otherwise only adds wait, and only for a disk that stalls.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use shoalmq_core::command::Reply;
use shoalmq_core::id::JobId;
use shoalmq_core::message::Message;
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
    /// Under `always`: jobs that are new here, and whose records may not be on disk.
    adds: HashMap<JobId, Position, RandomState>,
    /// The same, in order of their positions.
    order: VecDeque<(Position, JobId)>,
    released: watch::Receiver<Position>,
}

impl Gates {
    pub(super) fn new(released: watch::Receiver<Position>) -> Self {
        Gates {
            position: OPEN,
            adds: HashMap::default(),
            order: VecDeque::new(),
            released,
        }
    }

    /// The last record in the journal.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The record has this position now.
    pub(super) fn record(
        &mut self,
        policy: AppendFsync,
        record: &Record,
        news: News,
        position: Position,
    ) {
        self.position = position;
        if policy == AppendFsync::Always
            && news == News::Job
            && let Record::Added(job) = record
        {
            self.adds.insert(job.id, position);
            self.order.push_back((position, job.id));
        }
    }

    /// Forgets the jobs whose records are on disk, or need not be.
    pub(super) fn prune(&mut self) {
        let released = *self.released.borrow();
        while let Some(&(position, id)) = self.order.front()
            && position <= released
        {
            self.order.pop_front();
            // The job may have been added again since.
            if self.adds.get(&id) == Some(&position) {
                self.adds.remove(&id);
            }
        }
    }

    /// How far the log must be on disk until the job is. Where that is not kept track of, since nobody waits unless the
    /// disk stalls, it is all there is.
    fn of_job(&self, policy: AppendFsync, id: &JobId) -> Position {
        match policy {
            AppendFsync::Always => self.adds.get(id).copied().unwrap_or(OPEN),
            AppendFsync::Everysec | AppendFsync::No => self.position,
        }
    }

    /// How far the log must be on disk before a peer may be told this. What others build on waits for all that was
    /// recorded before it was said: a copy counts once it is on disk, an ack once no crash can take it back. What asks or
    /// merely informs leaves at once.
    pub(super) fn of_message(&self, policy: AppendFsync, message: &Message) -> Position {
        match message {
            Message::GotJob(id) => self.of_job(policy, id),
            Message::Enqueue { .. }
            | Message::Queued { .. }
            | Message::SetAck { .. }
            | Message::GotAck { .. }
            | Message::DelJob { .. }
            | Message::YourJobs(_) => match policy {
                AppendFsync::Always => self.position,
                AppendFsync::Everysec | AppendFsync::No => OPEN,
            },
            Message::State(_)
            | Message::ReplJob(_)
            | Message::Missing(_)
            | Message::Holders { .. }
            | Message::WillQueue { .. }
            | Message::Working { .. }
            | Message::NeedJobs { .. }
            | Message::Settings(_)
            | Message::SettingsDigest { .. }
            | Message::Ask { .. }
            | Message::Answer { .. } => OPEN,
        }
    }

    /// How far the log must be on disk before this reply may leave, which was `persisted` something or not.
    pub(super) fn of(&self, policy: AppendFsync, reply: &Reply, persisted: Persisted) -> Position {
        match (policy, reply) {
            (_, Reply::Added(id)) => self.of_job(policy, id),
            // An add that waited is withdrawn, and no crash may bring it back. One that is refused at once records nothing.
            (AppendFsync::Always, Reply::Refused(_)) if persisted == Persisted::Something => {
                self.position
            }
            (AppendFsync::Everysec | AppendFsync::No, _)
            | (AppendFsync::Always, Reply::NothingToDeliver | Reply::Refused(_)) => OPEN,
            (AppendFsync::Always, Reply::Delivered(..) | Reply::Unread(_)) => {
                let gates = reply.delivered();
                let gates = gates.iter().map(|id| self.of_job(policy, id));
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

/// Whether a record of a job tells of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// A client or a peer brought it.
    Job,
    /// It is recorded again, and its first record is on disk.
    Nothing,
}

#[cfg(test)]
mod tests {
    use shoalmq_core::command::{Delivery, Refusal, Told};
    use shoalmq_core::extras::Extras;
    use shoalmq_core::id::JobId;
    use shoalmq_core::record::JobRecord;

    use super::*;

    const ALWAYS: AppendFsync = AppendFsync::Always;

    fn id(number: u8) -> JobId {
        JobId::from_bytes([number; 24])
    }

    fn added(number: u8) -> Record {
        Record::Added(Box::new(JobRecord {
            id: id(number),
            ..JobRecord::sample()
        }))
    }

    fn delivered(jobs: &[u8]) -> Reply {
        let delivery = |&number| Delivery {
            id: id(number),
            ..Delivery::sample()
        };
        Reply::Delivered(jobs.iter().map(delivery).collect(), Told::default())
    }

    fn gates() -> (watch::Sender<Position>, Gates) {
        let released = watch::Sender::new(Position(0));
        let mut gates = Gates::new(released.subscribe());
        for (number, position) in [(10, 1), (20, 2), (30, 4)] {
            gates.record(ALWAYS, &added(number), News::Job, Position(position));
        }
        (released, gates)
    }

    #[test]
    fn a_delivery_waits_for_the_records_of_its_jobs_alone() {
        let (released, mut gates) = gates();
        let of =
            |gates: &Gates, jobs: &[u8]| gates.of(ALWAYS, &delivered(jobs), Persisted::NothingYet);
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
        gates.record(ALWAYS, &added(15), News::Nothing, Position(5));
        let reply = delivered(&[15]);
        assert_eq!(gates.of(ALWAYS, &reply, Persisted::NothingYet), OPEN);
    }

    #[test]
    fn only_always_holds_back_what_is_not_an_add() {
        let (_released, gates) = gates();
        let of = |policy, reply: &Reply, persisted| gates.of(policy, reply, persisted);
        let (count, job) = (Reply::Count(1), Reply::Added(id(20)));
        assert_eq!(of(ALWAYS, &count, Persisted::Something), Position(4));
        assert_eq!(of(ALWAYS, &count, Persisted::NothingYet), Position(4));
        assert_eq!(of(ALWAYS, &count, Persisted::NothingCanBe), OPEN);
        assert_eq!(
            of(AppendFsync::Everysec, &count, Persisted::Something),
            OPEN
        );
        let own = of(ALWAYS, &job, Persisted::Something);
        assert_eq!(own, Position(2), "not what came later");
        let all = of(AppendFsync::Everysec, &job, Persisted::Something);
        assert_eq!(all, Position(4));
        assert_eq!(
            of(ALWAYS, &Reply::NothingToDeliver, Persisted::NothingYet),
            OPEN
        );
        let refused = Reply::Refused(Refusal::TooFewNodes);
        assert_eq!(of(ALWAYS, &refused, Persisted::NothingYet), OPEN);
    }

    #[test]
    fn an_add_is_withdrawn_on_disk_before_its_producer_hears_of_it() {
        let (_released, gates) = gates();
        for refusal in [Refusal::ReplicationTimeout, Refusal::TooFewNodes] {
            let refused = Reply::Refused(refusal);
            let of = |policy| gates.of(policy, &refused, Persisted::Something);
            assert_eq!(of(ALWAYS), Position(4));
            assert_eq!(of(AppendFsync::Everysec), OPEN);
        }
    }

    #[test]
    fn peers_hear_of_a_copy_once_it_is_on_disk_and_of_an_ack_once_all_before_it_is() {
        let (released, mut gates) = gates();
        let got = Message::GotJob(id(20));
        let ack = Message::SetAck {
            id: id(20),
            holders: [].into(),
            withdrawn: true,
            extras: Extras::NONE,
        };
        let asks = Message::will_queue(id(20));
        let of = |gates: &Gates, policy, message: &Message| gates.of_message(policy, message);
        assert_eq!(of(&gates, ALWAYS, &got), Position(2));
        assert_eq!(of(&gates, AppendFsync::Everysec, &got), Position(4));
        assert_eq!(of(&gates, ALWAYS, &asks), OPEN);
        assert_eq!(of(&gates, ALWAYS, &ack), Position(4));
        assert_eq!(of(&gates, AppendFsync::Everysec, &ack), OPEN);
        released.send_replace(Position(2));
        gates.prune();
        assert_eq!(of(&gates, ALWAYS, &got), OPEN, "it is on disk");
    }

    #[test]
    fn a_job_that_comes_again_waits_for_its_newest_record() {
        let (released, mut gates) = gates();
        gates.record(ALWAYS, &added(10), News::Job, Position(5));
        released.send_replace(Position(4));
        gates.prune();
        assert_eq!(
            gates.of_message(ALWAYS, &Message::GotJob(id(10))),
            Position(5)
        );
    }
}
