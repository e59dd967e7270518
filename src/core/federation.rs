//! Federation: jobs go to where clients wait.

use crate::effect::Effect;
use crate::id::QueueName;
use crate::message::Copy;
use crate::node::Node;
use crate::peers::PeerKey;
use crate::queue::QueueKey;
use crate::time::{Now, Time};

/// Who waits for which queue, here and elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Federation {}

impl Node {
    pub(crate) fn on_need_jobs(
        &mut self,
        now: Time,
        from: PeerKey,
        queue: &QueueName,
        count: u32,
        waiting: u32,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (now, from, queue, count, waiting, effects, &self);
    }
    pub(crate) fn on_your_jobs(
        &mut self,
        now: Now,
        from: PeerKey,
        jobs: Vec<Copy>,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (now, from, jobs, effects, &self);
    }
    pub(crate) fn on_federation(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let _ = (now, effects, &self);
    }
    pub(crate) fn feed_peers(&mut self, now: Time, queue: QueueKey, effects: &mut Vec<Effect>) {
        let _ = (now, queue, effects, &self);
    }
    pub(crate) fn want_jobs(
        &mut self,
        now: Time,
        queue: QueueKey,
        count: u64,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (now, queue, count, effects, &self);
    }
    pub(crate) fn federate_with(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        let _ = (now, peer, effects, &self);
    }
    pub(crate) fn federate_without(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        let _ = (now, peer, effects, &self);
    }
    pub(crate) fn settle_with(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        let _ = (now, peer, effects, &self);
    }
    pub(crate) fn unsettle_with(&mut self, now: Time, peer: PeerKey) {
        let _ = (now, peer, &self);
    }
}
