//! What holds of the shared settings.

use crate::node::Node;

/// Digest, size and index are those of the entries.
pub(crate) fn check(node: &Node) {
    node.shared.check();
}
