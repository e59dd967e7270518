//! What holds of interests and of jobs on their way.

use crate::node::Node;

/// What is wanted, and what is on its way, is looked at again.
pub(crate) fn check(node: &Node) {
    node.federation.check(&node.agenda);
}
