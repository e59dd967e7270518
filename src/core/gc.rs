//! ACKJOB, FASTACK, DELJOB, ttl, eviction: forgetting a job.
//!
//! An acknowledged job goes once every node that may hold a copy knows. This node is its only holder so far, so it
//! goes at once.

use crate::command::Reply;
use crate::effect::Effect;
use crate::id::{JobId, NodeId};
use crate::jobs::JobKey;
use crate::node::{Eviction, MemoryLevel, Node};
use crate::peers::PeerKey;
use crate::record::Record;
use crate::time::Time;

/// Acked jobs whose holders do not all know.
#[derive(Debug, Default)]
pub(crate) struct Collections {}

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

    /// FASTACK: forgets here, and tells others to.
    pub(crate) fn fast_ack_jobs(
        &mut self,
        now: Time,
        ids: &[JobId],
        effects: &mut Vec<Effect>,
    ) -> Reply {
        self.delete_jobs(now, ids, effects)
    }

    pub(crate) fn on_set_ack(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        holders: &[NodeId],
        effects: &mut Vec<Effect>,
    ) {
        let _ = (&self, now, from, id, holders, effects);
    }

    pub(crate) fn on_got_ack(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        known: bool,
        holders: &[NodeId],
        effects: &mut Vec<Effect>,
    ) {
        let _ = (&self, now, from, id, known, holders, effects);
    }

    pub(crate) fn on_delete_message(&mut self, now: Time, id: JobId, effects: &mut Vec<Effect>) {
        let _ = (&self, now, id, effects);
    }

    /// An acked job is due: holders that have not answered are told again.
    pub(crate) fn on_collection_due(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let _ = (&self, now, key, effects);
    }

    /// The link to a peer came up: it is told of the acks that it has not confirmed.
    pub(crate) fn collect_with(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        let _ = (&self, now, peer, effects);
    }

    /// A peer holds nothing any more: it counts as having confirmed every ack.
    pub(crate) fn collect_without(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        let _ = (&self, now, peer, effects);
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
