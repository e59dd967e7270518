//! Acks of jobs that are not held here, kept until somebody knows the job, or everybody said that he does not.

use crate::effect::Effect;
use crate::node::Node;
use crate::time::Time;

/// All tombstones.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {}

impl Node {
    pub(crate) fn on_collection_timer(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let _ = (now, effects, &self);
    }
}
