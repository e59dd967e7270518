//! What holds of the other nodes, and of leaving them.

use crate::agenda::Timer;
use crate::node::Node;

/// Handing jobs over goes on until it is over, and nobody is expected back for ever.
pub(crate) fn check(node: &Node) {
    node.hand_over.check(&node.agenda);
    for key in node.peers.keys() {
        let peer = node.peers.get(key);
        let Some(until) = peer.expected_until else {
            continue;
        };
        let id = peer.id;
        assert!(!peer.is_reachable(), "{id} is here, so nobody expects it");
        assert!(
            node.agenda.holds_timer(until, Timer::Expected),
            "{id} is looked at when it is expected no more"
        );
    }
}
