//! The other nodes as the server sees them: what membership says, what the links say, and what the core is told of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use shoalmq_core::id::{NodeId, StoreId};

/// What membership thinks of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answers.
    Alive,
    /// It did not answer lately: `fail?`.
    Suspect,
    /// It is taken for dead: `fail`.
    Down,
}

/// One other node.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: NodeId,
    /// Where it takes links and gossip.
    pub(crate) bus: SocketAddr,
    /// Where it takes clients: known from the first handshake on.
    pub(crate) client: Option<SocketAddr>,
    /// `cluster-announce-host`, tried when the address fails.
    pub(crate) name: Option<String>,
    pub(crate) store: Option<StoreId>,
    pub(crate) zone: String,
    pub(crate) leaving: bool,
    pub(crate) health: Health,
    /// Our link to it is up.
    pub(crate) linked: bool,
    /// When the ping went out that is not answered yet, in unix ms; 0 when there is none.
    pub(crate) ping_sent: u64,
    /// When it last answered, in unix ms; 0 for never.
    pub(crate) pong_received: u64,
}

/// The cluster as this node knows it.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    /// All other members, by id.
    pub(crate) members: BTreeMap<NodeId, Member>,
    /// Addresses of CLUSTER MEET that have not answered yet: shown with the flag `handshake`.
    pub(crate) meeting: Vec<SocketAddr>,
    /// The address that other nodes reach this one at, once it is known.
    pub(crate) own_address: Option<SocketAddr>,
    pub(crate) messages_sent: u64,
    pub(crate) messages_received: u64,
}
