//! Where the copies of each job are, as the disks tell, and which of them faults took away: so that the checker can tell a
//! broken promise from one that could not be kept.

use std::collections::{BTreeMap, BTreeSet};

use shoalmq_core::id::JobId;
use shoalmq_core::log::Position;
use shoalmq_core::record::Record;
use shoalmq_core::register::Register;
use shoalmq_core::shell::Disk;
use shoalmq_core::time::WallTime;

use crate::checker::{Checker, SKEW};
use crate::client::Number;
use crate::plan::Policy;
use crate::schedule::{HostIndex, MS, Micros};
use crate::topics::binding::QUEUE;

impl Checker {
    /// A node gave a record to its disk.
    pub(crate) fn recorded(
        &mut self,
        now: Micros,
        host: HostIndex,
        wall: WallTime,
        record: &Record,
        position: Position,
    ) {
        self.watch_topics(now, host, wall, record, position);
        match record {
            Record::Added(added) if added.queue.as_bytes() == QUEUE.as_bytes() => {
                self.bound_recorded(now, host, added);
            }
            Record::Added(added) => {
                let text = std::str::from_utf8(added.body.as_bytes()).unwrap_or_default();
                let number = text.strip_prefix("job ");
                let number = number.and_then(|text| text.trim_start().parse().ok());
                let Some(number) = number.filter(|&number: &Number| number < self.jobs.len())
                else {
                    return self.violate(None, format!("n{host} records {added:?}"));
                };
                self.by_id.insert(added.id, number);
                let job = &mut self.jobs[number];
                if job.id.is_none() {
                    (job.created, job.recorded) = (added.created, now);
                }
                let first = *job.id.get_or_insert(added.id);
                job.copies.entry(host).or_insert(position);
                job.had.insert(host);
                if first != added.id {
                    self.violate(Some(number), format!("n{host} has it as {}", added.id));
                }
                self.copied(now, host, number, &added.extras);
            }
            Record::Moved(moved) => self.moved(now, host, moved),
            Record::Counted(counted) => self.counted_record(now, host, counted),
            Record::Deleted(id) => self.dropped(now, host, id),
            Record::Acked(ack) => {
                self.ended(host, ack);
                self.dropped(now, host, &ack.id);
            }
            Record::Setting(setting) => {
                self.set(now, host, wall, setting);
                self.knows(now, host, setting);
            }
            Record::Started { .. }
            | Record::Mark { .. }
            | Record::Holders { .. }
            | Record::Peer { .. }
            | Record::PeerForgotten(_)
            | Record::Flushed
            | Record::Standing(_)
            | Record::Closed { .. }
            | Record::Topic(_) => {}
        }
    }

    /// A node forgets a job, or at least its body.
    fn dropped(&mut self, now: Micros, host: HostIndex, id: &JobId) {
        let Some(&number) = self.by_id.get(id) else {
            return;
        };
        let purged = self.may_be_purged(&self.jobs[number]);
        let ends = self.ends(&self.jobs[number]);
        let job = &mut self.jobs[number];
        job.copies.remove(&host);
        job.life.leave(now, host);
        let may = job.finished || now + SKEW >= ends || !job.is_promised() || job.taken || purged;
        if !may && job.copies.is_empty() {
            let what = format!("at {} ms n{host} drops the last copy", now / MS);
            self.doubtful.push((number, what));
        }
    }

    /// A node crashed, and these jobs are on its disk.
    pub(crate) fn crashed(
        &mut self,
        now: Micros,
        host: HostIndex,
        survived: &BTreeSet<JobId>,
        registers: &BTreeMap<JobId, Register>,
    ) {
        let may_lose = self.policy != Policy::Always;
        self.lore.lossy.insert(host, now);
        self.marks.forget(host);
        for job in &mut self.jobs {
            let Some(id) = job.id else { continue };
            if may_lose {
                // What any holder knew of the ack may be lost, and so may a withdrawal.
                (job.acked, job.withdrawn) = (None, None);
            }
            if survived.contains(&id) {
                job.copies.insert(host, Position::START);
                job.life.reread(now, host, registers.get(&id));
            } else if job.copies.remove(&host).is_some() {
                job.life.leave(now, host);
                if may_lose {
                    job.taken |= job.copies.is_empty();
                } else {
                    job.had.remove(&host);
                }
            }
        }
    }

    /// A node's disk is gone, and all copies on it.
    pub(crate) fn destroyed(&mut self, now: Micros, host: HostIndex) {
        self.marks.forget(host);
        for job in &mut self.jobs {
            job.life.lose_counts_of(host);
            job.acked = job.acked.filter(|&(_, by)| by != host);
            job.withdrawn = job.withdrawn.filter(|&(_, by)| by != host);
            job.life.leave(now, host);
            if job.copies.remove(&host).is_some() {
                job.taken |= job.copies.is_empty();
            }
        }
    }
}

/// The jobs that a start would find: added, and neither deleted nor acked since.
pub(crate) fn jobs_on(disk: &Disk) -> BTreeSet<JobId> {
    let mut jobs = BTreeSet::new();
    for (_, record) in disk.records() {
        match record {
            Record::Added(job) => {
                jobs.insert(job.id);
            }
            Record::Deleted(id) => {
                jobs.remove(id);
            }
            Record::Acked(ack) => {
                jobs.remove(&ack.id);
            }
            Record::Flushed => jobs.clear(),
            Record::Started { .. }
            | Record::Mark { .. }
            | Record::Holders { .. }
            | Record::Moved(_)
            | Record::Counted(_)
            | Record::Peer { .. }
            | Record::PeerForgotten(_)
            | Record::Setting(_)
            | Record::Standing(_)
            | Record::Closed { .. }
            | Record::Topic(_) => {}
        }
    }
    jobs
}
