//! What happens when: the one queue of the simulation, in order of virtual time, then of scheduling.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use shoalmq_core::id::JobId;

use crate::client::Step;
use crate::faults::FaultId;

/// Microseconds since the simulation began.
pub(crate) type Micros = u64;

pub(crate) const MS: Micros = 1000;
pub(crate) const SECOND: Micros = 1_000_000;

/// A machine, by its number.
pub(crate) type HostIndex = usize;

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happening {
    /// The core wanted to be woken now. Like all that names a boot, nothing if the process is another by now.
    Tick(HostIndex, u32),
    /// The membership wanted to be woken now.
    GossipTick(HostIndex, u32),
    /// The first message under way between two nodes may arrive.
    Pump(HostIndex, HostIndex),
    /// A node dials another.
    Dial(HostIndex, HostIndex, u32),
    /// The handshake between two processes is through.
    Handshake(HostIndex, HostIndex, u32, u32),
    /// The other end of a link, of this incarnation, is gone.
    Reset(HostIndex, HostIndex, u64),
    /// All nodes look whether their links still answer.
    KeepAlive,
    /// The disk is through with what it was given.
    Synced(HostIndex, u32),
    /// A disk without `appendfsync always` writes out what it was given.
    SyncDue(HostIndex, u32),
    /// A datagram arrives at this address.
    Datagram(SocketAddr, Vec<u8>),
    /// Every node tells its peers whom it knows.
    Members,
    /// Every node looks up the seeds.
    Seeds,
    /// A client does something.
    Client(Step),
    /// A server noticed that these deliveries found their clients gone.
    Unseen(HostIndex, u32, Vec<JobId>),
    /// A fault begins.
    FaultBegins,
    /// A fault ends.
    FaultEnds(FaultId),
    /// A machine starts its process.
    Start(HostIndex),
    /// A node that stops looks how far its hand-over is.
    Stopping(HostIndex, u32),
    /// The operator tells a node to forget another.
    Forget(HostIndex, HostIndex),
}

/// All that is to happen.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    heap: BinaryHeap<Reverse<Entry>>,
    number: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    at: Micros,
    number: u64,
    happening: Happening,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Schedule {
    pub(crate) fn add(&mut self, at: Micros, happening: Happening) {
        self.number += 1;
        let number = self.number;
        self.heap.push(Reverse(Entry {
            at,
            number,
            happening,
        }));
    }

    /// The next thing that happens, up to `end`.
    pub(crate) fn next(&mut self, end: Micros) -> Option<(Micros, Happening)> {
        if self.heap.peek()?.0.at > end {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        Some((entry.at, entry.happening))
    }
}
