//! Healing: making copies anew, so that durability does not rot.

use crate::effect::Effect;
use crate::jobs::JobKey;
use crate::node::Node;
use crate::peers::PeerKey;
use crate::time::Time;

/// Jobs with fewer copies than they are to have.
#[derive(Debug, Default)]
pub(crate) struct Healing {}

impl Node {
    pub(crate) fn on_healing(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let _ = (now, effects, &self);
    }
    pub(crate) fn heal_without(&mut self, now: Time, peer: PeerKey) {
        let _ = (now, peer, &self);
    }
    pub(crate) fn offer_again(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        let _ = (now, peer, effects, &self);
    }
    pub(crate) fn heal_soon(&mut self, now: Time, key: JobKey) {
        let _ = (now, key, &self);
    }
}
