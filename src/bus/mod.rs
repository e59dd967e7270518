//! What two nodes say to each other over TCP, as bytes: pure, without sockets or clock.
//!
//! A node dials every other member and speaks only on the link that it dialled; the other end of it merely listens, and
//! answers pings. So each pair has two links, one per direction, and messages of one direction keep their order.
//!
//! ```text
//! dialling node                                        dialled node
//! greeting (46 bytes) ───────────────────────────────► greeting                 [`handshake`]
//! proof and hello ───────────────────────────────────► is it a member? proof and hello
//! frame, frame, frame … ─────────────────────────────► to the core              [`codec`]
//!                     ◄─────────────────────────────── pong, pong …
//! ```
//!
//! After the handshake both know that the other holds the cluster's secret *now*. What follows is neither sealed nor
//! encrypted: who can change packets on the way between two nodes can change jobs, and who can listen can read them.
//! Networks that nodes cross must be trusted, or tunnelled.

pub mod codec;
pub mod handshake;
mod samples;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use shoalmq_core::extras::{Extras, Features};
pub use shoalmq_core::id::{NodeId, StoreId};

/// The bus protocols that this node speaks, the oldest and the newest. Two nodes use the newest that both speak.
pub const VERSIONS: (u8, u8) = (2, 2);

/// Who a node says it is: gossip's identity. The fields never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which node.
    pub node: NodeId,
    /// The generation: rises whenever its process starts.
    pub start: u64,
    /// Rises within one process whenever its claim changes.
    pub renewal: u32,
    /// Changes at every RESET.
    pub epoch: u32,
    /// The store that its copies lie in.
    pub store: StoreId,
    /// Where its bus listens.
    pub bus: SocketAddr,
}

/// What a node tells of itself beside its claim. The fields never change: what is added later is an extra.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Where it takes clients.
    pub client: SocketAddr,
    /// The host name that it is reached by (`cluster-announce-host`), tried when its address fails.
    pub name: Option<String>,
    /// Where it stands: copies of a job go to other zones first.
    pub zone: String,
    /// The version of its software.
    pub software: String,
    /// It is leaving the cluster.
    pub leaving: bool,
    /// Its wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// What it knows beyond the formats as they are.
    pub features: Features,
    /// What else it tells; nothing yet.
    pub extras: Extras,
}
