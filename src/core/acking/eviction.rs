//! Eviction: what goes when memory is short.

use crate::effect::Effect;
use crate::job::{JobKey, JobState};
use crate::node::{Eviction, MemoryLevel, Node};
use crate::time::Time;

impl Node {
    /// A command needs memory: frees what nothing promises any more, as far as the level asks for it.
    pub(crate) fn on_memory_pressure(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.sweep_queues(now);
        while self.settings.eviction == Eviction::Acks && self.memory_level() >= MemoryLevel::Evict
        {
            let Some(key) = self.least_missed() else {
                return;
            };
            self.counters.evicted += 1;
            if self.jobs[key].state() != JobState::Acked {
                self.tally(self.jobs[key].queue, |tally| tally.dropped += 1);
            }
            self.forget(now, key, effects);
        }
    }

    /// The job that is missed least. A delivered at-most-once job does not come back, evicted or not. Without a tombstone
    /// or an acked job, a holder that has not heard of the ack delivers once more; of a tombstone it is not even known
    /// that there is such a holder.
    fn least_missed(&self) -> Option<JobKey> {
        let delivered = self.evictable.first();
        let tombstone = || self.tombstones.list.first();
        let acked = || self.collections.list.first();
        delivered.or_else(tombstone).or_else(acked)
    }
}
