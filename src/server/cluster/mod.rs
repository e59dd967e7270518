//! The other nodes as the server sees them: what membership says, what the links say, and what the core hears of both.
//!
//! | module | holds |
//! |---|---|
//! | `sockets`, `refusals` | the doors for other nodes; who was turned away there |
//! | `gossip` | membership: packets, timers, the file of members |
//! | `time` | a start after a long time: whether the peers' clocks agree |
//! | `address`, `meet` | this node's own address, and the seeds; CLUSTER MEET with a name |
//! | `members` | what membership tells, turned into links and into events for the core |
//! | `links`, `outbox` | the link to each member, as the owner of the node sees it; what waits to be written to it |
//! | `dial`, `inbound` | the tasks: dialling and writing; taking links in and reading |
//!
//! All state lies under the lock of the node, so that membership, links and core never disagree.

mod address;
mod dial;
mod gossip;
mod inbound;
mod links;
mod meet;
mod members;
mod outbox;
mod refusals;
mod sockets;
mod time;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use shoalmq_core::id::{NodeId, StoreId};
use shoalmq_core::telling::{Histogram, WAIT_MICROS};

pub(crate) use gossip::open;
pub(crate) use meet::meet_name;
pub(crate) use sockets::{BusError, Sockets};
pub(crate) use time::{LONG_STOP, peers_time};

use gossip::Running;
use inbound::Inbound;
use links::Link;
use refusals::Refusals;
use tokio::sync::oneshot;

use super::driver::{Driver, Shared};

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
    /// It is a member that keeps topics, as it says itself.
    pub(crate) keeps_topics: bool,
    pub(crate) leaving: bool,
    pub(crate) health: Health,
    /// Our link to it is up.
    pub(crate) linked: bool,
    /// When the ping went out that is not answered yet, in unix ms; 0 when there is none.
    pub(crate) ping_sent: u64,
    /// When it last answered, in unix ms; 0 for never.
    pub(crate) pong_received: u64,
    /// How far its wall clock was ahead of this one's in its last news, in milliseconds, the way included.
    pub(crate) skew_ms: i64,
    /// The version of its software; empty before it told.
    pub(crate) software: String,
}

/// The cluster as this node knows it.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    /// All other members, by id.
    pub(crate) members: BTreeMap<NodeId, Member>,
    /// Addresses of CLUSTER MEET that have not answered yet: shown with the flag `handshake`.
    pub(crate) meeting: Vec<SocketAddr>,
    /// The address that clients of other machines reach this node at, once it is known.
    pub(crate) own_address: Option<SocketAddr>,
    pub(crate) messages_sent: u64,
    pub(crate) messages_received: u64,
    /// Copies of jobs that were not sent, as too much was waiting; they are offered again.
    pub(crate) copies_held_back: u64,
    /// Links that were reset because the peer took too little.
    pub(crate) outboxes_overflowed: u64,
    /// How long peers took to answer pings on their links, in microseconds, by [`WAIT_MICROS`].
    pub(crate) pings: Histogram<{ WAIT_MICROS.len() }>,
    pub(crate) refusals: Refusals,
    /// Until when each of `meeting` is shown.
    meeting_until: Vec<Instant>,
    links: BTreeMap<NodeId, Link>,
    inbound: BTreeMap<NodeId, Inbound>,
    /// Links that something was put into since they were last woken.
    unwoken: Vec<NodeId>,
    /// Links that failed while the core was being asked.
    broken: Vec<NodeId>,
    next_inbound: u64,
    /// Members that are remembered, until membership begins.
    recalled: Vec<NodeId>,
    watched: Option<Instant>,
    /// A start waits to hear how far a peer's wall clock is ahead of ours, in milliseconds.
    time_asked: Option<oneshot::Sender<i64>>,
    /// What the core last heard about the log.
    log_failing: bool,
    running: Option<Running>,
}

impl Cluster {
    /// Packets of gossip that came and went.
    pub(crate) fn packets(&self) -> [(&'static str, u64); 2] {
        let stats = self
            .running
            .as_ref()
            .map(|running| running.membership.stats());
        let (received, sent) = stats.map_or((0, 0), |stats| (stats.packets_in, stats.packets_out));
        [("in", received), ("out", sent)]
    }

    /// Links of other nodes to this one.
    pub(crate) fn inbound_links(&self) -> usize {
        self.inbound.len()
    }
}

impl Shared {
    /// Does something with the node, and what must be done after each turn.
    pub(super) fn act<R>(&self, act: impl FnOnce(&mut Driver) -> R) -> R {
        let mut driver = self.driver.lock();
        let result = act(&mut driver);
        let sooner = driver.settle();
        drop(driver);
        if sooner {
            self.tick_sooner.notify_one();
        }
        result
    }
}
