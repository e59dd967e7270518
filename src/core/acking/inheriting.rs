//! Ends that a leaving node alone keeps: another node takes them over.
//!
//! The end goes as SETACK that also names the queue, which a node without a copy does not know. A key of DEDUP goes with it.
//! The heir keeps it as if it had held the job, and answers GOTACK as a holder does.

use crate::acking::End;
use crate::effect::Effect;
use crate::id::JobId;
use crate::job::JobKey;
use crate::members::{NodeSet, PeerKey};
use crate::message::Message;
use crate::node::Node;
use crate::time::Time;

impl Node {
    /// Whether the end of a job is kept here, and by no other node that stays.
    pub(crate) fn keeps_alone(&self, now: Time, key: JobKey) -> bool {
        let rests = self.collections.get(key).is_some_and(|it| it.rests);
        let others = self.jobs[key].holders.and(self.peers.staying());
        rests && others.is_empty() && self.rests_until(now, key).is_some()
    }

    /// Asks another node to keep the end of a job that is kept here. Its GOTACK says that it does.
    pub(crate) fn bequeath(&mut self, key: JobKey, to: PeerKey, effects: &mut Vec<Effect>) {
        let job = &self.jobs[key];
        let queue = self.queues[job.queue].name.clone();
        let message = Message::SetAck {
            id: job.id,
            holders: self.peers.list(NodeSet::only(to), Some(self.id)),
            withdrawn: false,
            extras: self
                .end_of(key)
                .to_bequeath(self.clock.time, queue.as_bytes()),
        };
        self.send(to, message, effects);
    }

    /// A leaving node asks this one, which has no copy, to keep an end.
    pub(super) fn inherit(
        &mut self,
        from: PeerKey,
        id: JobId,
        end: End,
        queue: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        let Some(until) = end.kept_until() else {
            return;
        };
        let queue = self.queues.find_or_add(queue);
        let key = self.keep_ack(id, queue, until, 0, self.segments.current(), end);
        self.jobs[key].holders = NodeSet::only(from);
        self.begin_collection(key);
        self.collections.hear(key, from);
        self.agenda.add_job(&mut self.jobs, key);
        self.persist_ack(key, effects);
        self.note_fate(id);
        self.rest(self.clock.time, key);
    }
}
