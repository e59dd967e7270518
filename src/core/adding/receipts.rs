//! What the producer of an accepted job is told: its id, or with RECEIPT who has it at that moment.

use crate::adding::admission::Home;
use crate::command::{Receipt, Reply};
use crate::id::JobId;
use crate::members::NodeSet;
use crate::node::Node;

impl Node {
    /// The answer for a job that waits for no copies.
    pub(crate) fn accepted(&self, id: JobId, wants_receipt: bool) -> Reply {
        if !wants_receipt {
            return Reply::Added(id);
        }
        let home = if self.jobs.find(&id).is_some() {
            Home::Here
        } else {
            Home::Elsewhere
        };
        Reply::Receipt(self.receipt(id, NodeSet::EMPTY, home))
    }

    /// Who has a job: these peers have confirmed it.
    pub(super) fn receipt(&self, id: JobId, confirmed: NodeSet, home: Home) -> Receipt {
        let peers = || confirmed.iter().map(|peer| self.peers.get(peer));
        let here = u16::from(home == Home::Here);
        let is_near = here > 0 || peers().any(|peer| peer.same_zone);
        let mut zones: Vec<u64> = peers()
            .filter(|peer| !peer.same_zone)
            .map(|peer| peer.zone)
            .collect();
        zones.sort_unstable();
        zones.dedup();
        let synced = peers().filter(|peer| peer.state.syncs).count() as u16;
        Receipt {
            id,
            is_existing: false,
            copies: confirmed.len() + here,
            on_disk: synced + if self.syncs() { here } else { 0 },
            zones: zones.len() as u16 + u16::from(is_near),
        }
    }
}
