//! ACKJOB, FASTACK, DELJOB, ttl, eviction: forgetting a job.
//!
//! An acknowledged job goes once every node that may hold a copy knows. This node is its only holder so far, so it
//! goes at once.

use crate::command::Reply;
use crate::effect::Effect;
use crate::id::JobId;
use crate::jobs::JobKey;
use crate::node::{Eviction, MemoryLevel, Node};
use crate::record::Record;
use crate::time::Time;

impl Node {
    pub(crate) fn ack_jobs(
        &mut self,
        now: Time,
        ids: &[JobId],
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let reply = self.delete_jobs(now, ids, effects);
        if let Reply::Count(count) = reply {
            self.counters.acked += count;
        }
        reply
    }

    /// FASTACK and DELJOB: they differ in what other nodes are told.
    pub(crate) fn delete_jobs(
        &mut self,
        now: Time,
        ids: &[JobId],
        effects: &mut Vec<Effect>,
    ) -> Reply {
        self.each_job(ids, |node, key| {
            node.forget(now, key, effects);
            true
        })
    }

    /// The job's ttl is over.
    pub(crate) fn expire(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        self.counters.expired += 1;
        self.forget(now, key, effects);
    }

    /// A command needs memory: frees what nothing promises any more, as far as the level asks for it.
    pub(crate) fn on_memory_pressure(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.sweep_queues(now);
        while self.settings.eviction == Eviction::Acks && self.memory_level() >= MemoryLevel::Evict
        {
            let Some(key) = self.evictable.first() else {
                return;
            };
            self.counters.evicted += 1;
            self.forget(now, key, effects);
        }
    }

    fn forget(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        self.persist(Record::Deleted(self.jobs[key].id), effects);
        self.remove(now, key);
    }
}
