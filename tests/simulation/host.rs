//! One machine: what outlives its process (id, disk, clock), and the process, if it runs.

use std::net::SocketAddr;

use shoalmq_core::command::Reply;
use shoalmq_core::id::{NodeId, StoreId, Ticket};
use shoalmq_core::log::Position;
use shoalmq_core::message::Message;
use shoalmq_core::shell::{Disk, Shell};
use shoalmq_core::time::{Now, Time, WallTime};
use shoalmq_gossip::{Membership, Memory};

use crate::client::Ask;
use crate::dice::Dice;
use crate::schedule::{HostIndex, MS, Micros};

/// The wall clock when a simulation begins: 2026-01-01.
const WALL_MS: u64 = 1_767_225_600_000;

/// One machine.
pub(crate) struct Host {
    pub(crate) id: NodeId,
    pub(crate) zone: u64,
    pub(crate) address: SocketAddr,
    pub(crate) generation: u64,
    pub(crate) store: StoreId,
    pub(crate) disk: Disk,
    /// What its `dir` tells of the other members.
    pub(crate) memory: Memory,
    /// Where the timeline of its process began.
    pub(crate) timeline: Time,
    pub(crate) clock: WallClock,
    pub(crate) boots: u32,
    pub(crate) process: Option<Process>,
    /// While it is stopped by SIGSTOP: what came in meanwhile.
    pub(crate) inbox: Option<Vec<Inbound>>,
    /// It never comes back.
    pub(crate) removed: bool,
}

/// What a paused process finds when it goes on.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// A peer's message.
    Message(NodeId, Box<Message>),
    /// A client's command.
    Ask(Ticket, Ask),
    /// A client is gone.
    Disconnected(shoalmq_core::id::ClientId),
    /// A datagram.
    Datagram(Vec<u8>),
}

/// A wall clock that may be wrong, and may jump.
#[derive(Debug)]
pub(crate) struct WallClock {
    offset_ms: i64,
    /// The last jump, and the record that must be on disk for a crash not to mistake it for time that passed.
    jump: Option<(i64, Position)>,
}

impl WallClock {
    /// One that is ahead of the time by so much, until it jumps.
    pub(crate) fn ahead(offset_ms: i64) -> Self {
        WallClock {
            offset_ms,
            jump: None,
        }
    }

    pub(crate) fn at(&self, now: Micros) -> WallTime {
        WallTime((WALL_MS + now / MS).saturating_add_signed(self.offset_ms))
    }

    /// Jumps, once `given` records were given to the disk: the next one is the mark that tells of it.
    pub(crate) fn jump(&mut self, by_ms: i64, given: Position) {
        self.offset_ms += by_ms;
        let before = self.jump.take().map_or(0, |(before, _)| before);
        self.jump = Some((before + by_ms, Position(given.0 + 1)));
    }

    /// The process ended, and this much of its log is on disk. A jump that the log does not tell of is undone (as the
    /// time service does on the way up): how long the node was away can only be read off the clock.
    pub(crate) fn settle(&mut self, on_disk: Position) {
        if let Some((by_ms, position)) = self.jump.take()
            && position > on_disk
        {
            self.offset_ms -= by_ms;
        }
    }
}

/// One run of a node.
pub(crate) struct Process {
    pub(crate) boot: u32,
    pub(crate) shell: Shell,
    pub(crate) gossip: Membership,
    pub(crate) started: Micros,
    /// Where its timeline began.
    pub(crate) base: Time,
    /// What waits for the disk, in order.
    pub(crate) held: Vec<(Position, Held)>,
    /// The records that the present segment of topics began with.
    pub(crate) repeated: u64,
    /// When the next tick is scheduled.
    pub(crate) armed: Micros,
    pub(crate) gossip_armed: Micros,
    /// What is known of the other machines.
    pub(crate) peers: Vec<Peer>,
    /// It stops cleanly, at this moment at the latest.
    pub(crate) stops: Option<Micros>,
    /// Ticks at this moment of the timeline: a bound on busy loops.
    pub(crate) ticks: (Time, u32),
}

/// What may have to wait for the disk.
#[derive(Debug)]
pub(crate) enum Held {
    /// A reply, and when the core gave it.
    Reply(Ticket, Box<Reply>, Micros),
    /// A message over the link of this incarnation.
    Send(HostIndex, u64, Box<Message>),
}

impl Held {
    /// The link that it goes over, if it is a message.
    pub(crate) fn link(&self) -> Option<(HostIndex, u64)> {
        match self {
            Held::Send(to, incarnation, _) => Some((*to, *incarnation)),
            Held::Reply(..) => None,
        }
    }
}

/// Another machine, as a process sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// The generation at the last handshake.
    pub(crate) generation: Option<u64>,
    /// Somebody tries to make a link.
    pub(crate) dialling: bool,
    /// The core was told that it is failing.
    pub(crate) failing: bool,
}

impl Process {
    /// When this moment of its timeline comes.
    pub(crate) fn when(&self, time: Time) -> Micros {
        let ahead = time.as_millis().saturating_sub(self.base.as_millis());
        self.started.saturating_add(ahead.saturating_mul(MS))
    }
}

impl Host {
    /// The number of the process that runs, if one does.
    pub(crate) fn boot(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.boot)
    }

    /// The process was killed: of what was not synced, any end is lost, of each stream another. Returns what is left of jobs
    /// and of topics.
    pub(crate) fn crash_disk(&mut self, dice: &mut Dice) -> (Position, Position) {
        let (synced, given) = (self.disk.synced(), self.disk.given());
        let mut kept = || {
            let kept = Position(dice.between(synced.0, given.0));
            // More often than not all of it: the page cache was not written out yet.
            if dice.percent(60) { synced } else { kept }
        };
        let (jobs, topics) = (kept(), kept());
        self.disk.crash_streams(jobs, topics);
        (jobs, topics)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.inbox.is_some()
    }

    /// Whether clients can reach it.
    pub(crate) fn serves(&self) -> bool {
        let stops = |process: &Process| process.stops.is_some();
        self.process.as_ref().is_some_and(|process| !stops(process))
    }

    /// What its clocks say.
    pub(crate) fn now(&self, now: Micros) -> Now {
        let time = self.process.as_ref().map_or(Time::ZERO, |process| {
            let passed = (now - process.started) / MS;
            Time::from_millis(process.base.as_millis() + passed)
        });
        Now {
            time,
            wall: self.clock.at(now),
        }
    }
}
