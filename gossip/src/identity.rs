//! Who a node says it is: what gossip carries per member, and which of two such claims is the newer one.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use shoalmq_core::id::{NodeId, StoreId};

/// One node as gossip knows it: about 50 bytes on the wire.
///
/// The node id stays; all else changes with a restart, a move, a RESET or a false DOWN. The fields are in the
/// order in which two claims about one node are compared: the greater one is the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Which node.
    pub node: NodeId,
    /// The generation: rises whenever its process starts.
    pub start: u64,
    /// Rises by one when a false DOWN is answered, when the address changes, and at RESET.
    pub renewal: u32,
    /// Drawn at random when the node is new and at every RESET: only who knows it is listened to.
    pub epoch: u32,
    /// The store that its copies lie in: fixed while the process lives.
    pub store: StoreId,
    /// Where its bus listens, over TCP and UDP: what others must be able to reach.
    pub bus: SocketAddr,
}

impl Identity {
    /// Whether this claim is newer than another about the same node.
    pub fn outranks(&self, other: &Identity) -> bool {
        self.node == other.node && self > other
    }

    /// Whether both can be one process, or one process and its former self: nothing but a clone has another
    /// address or store.
    pub fn shares_place_with(&self, other: &Identity) -> bool {
        self.bus == other.bus && self.store == other.store
    }

    /// The same node under a newer claim; `None` after four thousand million of them.
    #[must_use]
    pub fn renewed(&self) -> Option<Identity> {
        let renewal = self.renewal.checked_add(1)?;
        Some(Identity { renewal, ..*self })
    }
}

impl foca::Identity for Identity {
    type Addr = NodeId;

    fn addr(&self) -> NodeId {
        self.node
    }

    fn renew(&self) -> Option<Self> {
        self.renewed()
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self > adversary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(start: u64, renewal: u32, port: u16) -> Identity {
        Identity {
            node: NodeId::from_bytes([7; 20]),
            start,
            renewal,
            epoch: 1,
            store: StoreId(1),
            bus: SocketAddr::from(([10, 0, 0, 1], port)),
        }
    }

    #[test]
    fn a_later_start_outranks_any_renewal() {
        assert!(identity(2, 0, 1).outranks(&identity(1, 9, 2)));
        assert!(identity(2, 1, 1).outranks(&identity(2, 0, 2)));
        assert!(!identity(2, 0, 1).outranks(&identity(2, 0, 1)));
    }

    #[test]
    fn clones_of_one_start_are_still_told_apart() {
        let (one, other) = (identity(2, 0, 1), identity(2, 0, 2));
        assert!(one.outranks(&other) != other.outranks(&one));
        assert!(!one.shares_place_with(&other));
    }

    #[test]
    fn renewals_end() {
        assert_eq!(identity(1, u32::MAX, 1).renewed(), None);
    }
}
