//! Whether the node should get clients. It never depends on other nodes: one alone serves.

use shoalmq_core::node::MemoryLevel;

use super::driver::Driver;

impl Driver {
    /// Why it should get none; empty when it is ready.
    pub(crate) fn not_ready(&self) -> Vec<&'static str> {
        let reasons = [
            (self.loading.is_some(), "loading"),
            (self.node.is_leaving(), "leaving"),
            (self.is_closed || self.node.is_about_to_stop(), "draining"),
            (self.health.is_failing(), "the job log cannot be written"),
            (self.health.is_short(), "the disk is full"),
            (
                self.node.memory_level() >= MemoryLevel::Evict,
                "memory is short",
            ),
        ];
        let hold = reasons.into_iter().filter(|(holds, _)| *holds);
        hold.map(|(_, reason)| reason).collect()
    }
}
