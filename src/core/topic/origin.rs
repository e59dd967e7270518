//! An origin: one life of a node that publishes.
//!
//! An origin never goes on after a restart, so a number of its log names one record for ever: what a crash lost is never
//! written again under the same number.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Maker, NodeId};

/// A node, as origins and cursors name it: the first 32 bits of its id. Two nodes that share them do not link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OriginNode(u32);

impl OriginNode {
    /// The node with these 32 bits.
    pub const fn new(bits: u32) -> Self {
        OriginNode(bits)
    }

    /// The node with this id.
    pub fn of(node: &NodeId) -> Self {
        let [a, b, c, d, ..] = *node.as_bytes();
        OriginNode(u32::from_be_bytes([a, b, c, d]))
    }

    /// How its jobs name it.
    pub fn maker(self) -> Maker {
        Maker::new(self.0.to_be_bytes())
    }

    /// Its 32 bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for OriginNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for OriginNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One life of a node. Origins of one node are in the order of their starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    node: OriginNode,
    start: u64,
}

impl Origin {
    /// The life of a node that began with this start.
    pub const fn new(node: OriginNode, start: u64) -> Self {
        Origin { node, start }
    }

    /// The life that follows, when none of `node` with a higher start than `last` is known: its start is the wall clock in
    /// seconds, or the next number if the clock was set back. It must be on disk before it is used.
    pub fn after(node: OriginNode, last: Option<u64>, wall_secs: u64) -> Self {
        let next = last.map_or(0, |last| last.saturating_add(1));
        Origin::new(node, next.max(wall_secs))
    }

    /// The node.
    pub const fn node(self) -> OriginNode {
        self.node
    }

    /// The number that tells it from the other lives of its node.
    pub const fn start(self) -> u64 {
        self.start
    }

    /// Whether it is a later life of the same node.
    pub fn is_later_than(self, other: Origin) -> bool {
        self.node == other.node && self.start > other.start
    }

    /// The first possible origin of a node.
    pub(super) const fn first_of(node: OriginNode) -> Self {
        Origin::new(node, 0)
    }

    /// The last possible origin of a node.
    pub(super) const fn last_of(node: OriginNode) -> Self {
        Origin::new(node, u64::MAX)
    }

    /// 32 bits that make the ids of this origin its own: the same on every node and in every build.
    pub fn hash(self) -> u32 {
        let mut hash = (u64::from(self.node.0) << 32) ^ self.start;
        for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
            hash = (hash ^ hash >> 33).wrapping_mul(factor);
        }
        (hash >> 32) as u32
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node, self.start)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: OriginNode = OriginNode::new(0xdcb8_33cf);

    #[test]
    fn a_start_is_never_used_twice() {
        assert_eq!(Origin::after(NODE, None, 100).start(), 100);
        assert_eq!(Origin::after(NODE, Some(100), 100).start(), 101);
        assert_eq!(Origin::after(NODE, Some(500), 100).start(), 501);
    }

    #[test]
    fn only_lives_of_one_node_follow_each_other() {
        let other = OriginNode::new(1);
        assert!(Origin::new(NODE, 2).is_later_than(Origin::new(NODE, 1)));
        assert!(!Origin::new(NODE, 1).is_later_than(Origin::new(NODE, 1)));
        assert!(!Origin::new(NODE, 2).is_later_than(Origin::new(other, 1)));
    }

    #[test]
    fn a_node_goes_by_the_first_bits_of_its_id() {
        let id = NodeId::parse(b"dcb833cf01234567890abcdef01234567890abcd").expect("40 digits");
        assert_eq!(OriginNode::of(&id), NODE);
        assert_eq!(Origin::new(NODE, 7).to_string(), "dcb833cf.7");
    }

    #[test]
    fn lives_have_hashes_of_their_own() {
        let hashes: std::collections::BTreeSet<u32> = (0..1000)
            .map(|start| Origin::new(NODE, start).hash())
            .collect();
        assert!(hashes.len() > 998);
    }
}
