//! Tombstones: acks of jobs that are not held here.
//!
//! A tombstone sends every member a SETACK that names no holders. A node that holds the job collects it. The tombstone
//! goes once one node says that it collects, or all say that they do not hold the job. It stays no longer than the job
//! can live by its id. The number of tombstones is bounded: the oldest go first.

use crate::acking::End;
use crate::effect::Effect;
use crate::explaining::What;
use crate::id::{Guarantee, JobId};
use crate::job::{Beside, Job, JobKey, Links, Stand};
use crate::limits;
use crate::members::NodeSet;
use crate::node::Node;
use crate::queue::{List, QueueKey};
use crate::record::{Location, Segment};
use crate::telling::Share;
use crate::telling::sizes;
use crate::time::Time;

/// All tombstones. They are kept among the jobs.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    /// Oldest first.
    pub(super) list: List,
    pub(crate) len: usize,
}

impl Node {
    /// An ack came for a job that is not held here.
    pub(crate) fn ack_unknown(
        &mut self,
        now: Time,
        id: JobId,
        end: End,
        effects: &mut Vec<Effect>,
    ) {
        if self.peers.members().is_empty() || self.forgotten.contains(&id) {
            return;
        }
        self.happened(id, What::Ended(end.known()));
        if id.guarantee() == Guarantee::AtMostOnce {
            // Nothing brings such a job back: one try to free its memory is enough.
            self.send_delete(self.peers.up(), id, &end, effects);
            self.remember_end(now, id, &end);
        } else if self.is_going() || self.tombstone_bound() == 0 {
            // It may be gone before anybody answers: a holder that hears of it now collects without it.
            for peer in self.peers.up().iter() {
                self.send(peer, end.message(id), effects);
            }
            self.remember_end(now, id, &end);
        } else {
            self.keep_tombstone(now, id, end, effects);
        }
    }

    fn tombstone_bound(&self) -> usize {
        let max_memory = self.settings.max_memory;
        limits::share(max_memory, sizes::TOMBSTONE_BYTES, limits::TOMBSTONES)
    }

    fn keep_tombstone(&mut self, now: Time, id: JobId, end: End, effects: &mut Vec<Effect>) {
        let bound = self.tombstone_bound();
        while let Some(oldest) = self.tombstones.list.first()
            && self.tombstones.len >= bound
        {
            self.counters.tombstones_dropped += 1;
            self.forget(now, oldest, effects);
        }
        let ttl = tombstone_ttl(id).saturating_add(self.longest_dead_ttl());
        let key = self.keep_ack(id, QueueKey::NONE, now, ttl, self.segments.current(), end);
        self.begin_collection(key);
        self.agenda.add_job(&mut self.jobs, key);
        self.persist_ack(key, effects);
        self.note_fate(id);
        self.tell_ack(now, key, effects);
    }

    /// Keeps the ack of a job of which nothing else is known. It stands in no list yet, nor on the agenda.
    pub(crate) fn keep_ack(
        &mut self,
        id: JobId,
        queue: QueueKey,
        added: Time,
        ttl: u32,
        segment: Segment,
        end: End,
    ) -> JobKey {
        let body = self.collections.no_body();
        let job = Job {
            id,
            body,
            entered: 0,
            added,
            due: added,
            holders: NodeSet::EMPTY,
            ttl,
            delay: 0,
            retry: 0,
            nacks: 0,
            additional_deliveries: 0,
            queue,
            order: Links::NONE,
            agenda: Links::NONE,
            segment,
            offset: Location::FAR,
            replicate: 0,
            stand: Stand::ended(),
            counted: Share::None,
            since: 0,
            moves: 0,
            short: false,
            ending: end.ending(),
            priority: 0,
            beside: Beside::Nothing,
        };
        self.keep(job, end.extras)
    }
}

/// Seconds for which the id allows its job to live, from now on, with what it rounded off.
fn tombstone_ttl(id: JobId) -> u32 {
    match id.ttl_minutes() {
        u16::MAX => u32::MAX,
        minutes => (u32::from(minutes) + 2) * 60,
    }
}
