//! GLOBAL: QLEN, QSTAT, QPEEK and JSCAN of the whole cluster.

use crate::command::{Answer, Question};
use crate::effect::Effect;
use crate::id::Ticket;
use crate::node::Node;
use crate::peers::PeerKey;
use crate::time::Time;

/// Questions that wait for answers.
#[derive(Debug, Default)]
pub(crate) struct Gatherings {}

impl Node {
    pub(crate) fn gather(
        &mut self,
        now: Time,
        ticket: Ticket,
        question: Question,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (now, ticket, question, effects, &self);
    }
    pub(crate) fn on_ask(
        &mut self,
        now: Time,
        from: PeerKey,
        number: u64,
        question: &Question,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (now, from, number, question, effects, &self);
    }
    pub(crate) fn on_answer(
        &mut self,
        from: PeerKey,
        number: u64,
        answer: Answer,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (from, number, answer, effects, &self);
    }
    pub(crate) fn on_gathering_late(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let _ = (now, effects, &self);
    }
    pub(crate) fn gather_without(&mut self, peer: PeerKey, effects: &mut Vec<Effect>) {
        let _ = (peer, effects, &self);
    }
}
