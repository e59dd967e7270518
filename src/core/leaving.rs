//! Leaving: CLUSTER LEAVING, and handing jobs over before a stop.

use crate::command::{Refusal, Reply};
use crate::effect::Effect;
use crate::node::Node;
use crate::time::Time;

/// Jobs on their way to other nodes.
#[derive(Debug, Default)]
pub(crate) struct HandOver {}

impl Node {
    /// CLUSTER LEAVING yes or no.
    pub(crate) fn on_leaving(&mut self, now: Time, leaving: bool, effects: &mut Vec<Effect>) {
        self.leaving = leaving;
        while let Some(id) = self.waiters.first().filter(|_| leaving) {
            self.give_up(now, id, Reply::Refused(Refusal::Leaving), effects);
        }
        self.tell_state(effects);
    }

    /// Jobs that still have to go to other nodes before this one may stop.
    pub fn handing_over(&self) -> usize {
        0
    }

    pub(crate) fn on_hand_over(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let _ = (now, effects, &self);
    }
    pub(crate) fn on_hand_over_timer(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let _ = (now, effects, &self);
    }
}
