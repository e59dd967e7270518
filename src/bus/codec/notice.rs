//! What links say of themselves and of nodes.

use serde::{Deserialize, Serialize};
use shoalmq_core::extras::{Extras, Features, Tag};
use shoalmq_core::id::NodeId;

use crate::bus::{Claim, Profile};

/// What links say beside the core's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Are you there? Answered on the same connection.
    Ping(u64),
    /// Yes; the number is the ping's.
    Pong(u64),
    /// This is how I am, and whom I know. Sent when a link comes up, and once a second.
    Node(Box<NodeState>),
    /// CLUSTER FORGET was given for this node: forget it too.
    Forget(NodeId),
}

impl Notice {
    /// The first field that must be understood and that a node with these features does not know.
    pub fn unknown_to(&self, features: Features) -> Option<Tag> {
        match self {
            Notice::Node(state) => {
                let unknown = state.profile.extras.unknown_to(features);
                unknown.or_else(|| state.extras.unknown_to(features))
            }
            Notice::Ping(_) | Notice::Pong(_) | Notice::Forget(_) => None,
        }
    }
}

/// What a node says of itself and of others, all the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// How it is.
    pub profile: Profile,
    /// All members that it knows, living or not, itself left out.
    pub members: Vec<Claim>,
    /// What else it says; nothing yet.
    pub extras: Extras,
}
