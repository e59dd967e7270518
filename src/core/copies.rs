//! Copies of jobs that other nodes add: taking one, and saying whether it is here.

use crate::effect::Effect;
use crate::id::{JobId, NodeId};
use crate::jobs::JobKey;
use crate::message::Copy;
use crate::node::Node;
use crate::peers::PeerKey;
use crate::time::Time;

impl Node {
    pub(crate) fn on_repl_job(
        &mut self,
        now: Time,
        from: PeerKey,
        copy: Copy,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (now, from, copy, effects, &self);
    }
    pub(crate) fn on_missing(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (now, from, id, effects, &self);
    }
    pub(crate) fn on_holders(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        holders: &[NodeId],
        copies: u16,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (now, from, id, holders, copies, effects, &self);
    }
    pub(crate) fn on_enqueue_message(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        delay_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (now, from, id, delay_ms, effects, &self);
    }
}
