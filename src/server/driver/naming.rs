//! What clients call themselves, in what the core tells of those who have jobs: it knows them by number only.

use shoalmq_core::command::{Answer, HeldBy, Reply};
use shoalmq_core::message::Message;

use super::Driver;

impl Driver {
    /// Names the client of this node that has the job of an EXPLAIN.
    #[inline]
    pub(super) fn name_in_reply(&self, reply: &mut Reply) {
        if let Reply::Explained(Some(explained)) = reply
            && let Some((node, held)) = &mut explained.held_by
            && *node == self.node.id()
        {
            self.name(held);
        }
    }

    /// The same in what a peer is told.
    #[inline]
    pub(super) fn name_in_message(&self, message: &mut Message) {
        if let Message::Answer {
            answer: Answer::Report(report),
            ..
        } = message
            && let Some(held) = &mut report.held_by
        {
            self.name(held);
        }
    }

    fn name(&self, held: &mut HeldBy) {
        let client = self.clients.get(&held.client);
        held.name = client.map_or_else(Vec::new, |client| client.name.clone());
    }
}
