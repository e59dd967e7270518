//! All that can happen to a membership, and all that it can ask for.

use std::net::SocketAddr;

use shoalmq_core::id::{NodeId, StoreId};

use crate::{Identity, Settings};

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A datagram came. Where from does not matter, and is not even told: an address is believed only when it
    /// stands in a sealed packet.
    Packet(Vec<u8>),
    /// The time that [`Membership::deadline`](crate::Membership::deadline) told has come.
    Tick,
    /// CLUSTER MEET: ask who listens at this bus address, ten times within 14 s, and join them.
    Meet(SocketAddr),
    /// What `cluster-join` resolves to just now, at most 64: asked for ever, unless a member answers there.
    Seeds(Vec<SocketAddr>),
    /// The members that a member told over a link: those that are news are asked to prove themselves.
    Members {
        /// Who told. From a node that is no member, nothing is taken.
        from: NodeId,
        /// Whom it knows to live.
        members: Vec<Identity>,
    },
    /// The node that a handshake on the bus found at its other end. This makes nobody a member.
    Seen(Identity),
    /// CLUSTER FORGET: the node is no member any more, and cannot become one for 60 s. To be told at all members: one
    /// that only some ignore calls those dead to the rest, and they flap.
    Forget(NodeId),
    /// CLUSTER RESET: forgets all members and seeds, and listens only to nodes that meet this node again.
    Reset,
    /// CLUSTER RESET HARD: the same, under this new node id.
    Renamed(NodeId),
    /// Settings changed.
    Configured(Settings),
    /// The address to announce became known, or changed.
    AddressKnown(SocketAddr),
    /// The process stops: tell the others, then be silent for good.
    Leave,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send this datagram, at most 1400 bytes.
    Send {
        /// The bus address to send it to.
        to: SocketAddr,
        /// What to send.
        bytes: Vec<u8>,
    },
    /// A node that was not known is a member. [`Effect::Up`] follows.
    Joined(Identity),
    /// A member lives: since it joined, came back, or was found after this process started.
    Up(Identity),
    /// A member did not answer. It counts as living until `Down`.
    Suspected(NodeId),
    /// A suspected member answered after all.
    Recovered(NodeId),
    /// A member is taken for dead, or left. Advice: never a reason to delete.
    Down(NodeId),
    /// A member has another address, start, epoch or store. Links to what it was before are dead.
    Moved(Identity),
    /// No member any more: FORGET or RESET.
    Forgotten(NodeId),
    /// This node's own identity changed: [`Membership::me`](crate::Membership::me).
    Myself(Identity),
    /// Write [`Membership::memory`](crate::Membership::memory) to disk.
    Remember,
    /// A newer process has this node's id, with another address or store. This one must stop, and is silent from
    /// now on.
    Impostor {
        /// Where the other one is.
        bus: SocketAddr,
        /// Its generation.
        start: u64,
        /// Its store.
        store: StoreId,
    },
}
