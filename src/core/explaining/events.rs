//! The ring: what happened to jobs at this node lately.
//!
//! It grows up to its bound, and then the oldest entry makes room for the next. A node notes several events for each job, so an
//! entry is small, and is written without looking anything up. Who reads walks over all of them, which takes some 0.1 ms.

use crate::acking::Known;
use crate::command::EventView;
use crate::delivering::Cause;
use crate::id::{ClientId, JobId, Maker};
use crate::limits;
use crate::members::PeerKey;
use crate::node::Node;
use crate::outcome::Outcome;
use crate::register::DeathReason;
use crate::time::{Time, WallTime};

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// ADDJOB took it, and it is to have this number of copies.
    Added(u16),
    /// This number of other nodes confirmed copies.
    Replicated(u16),
    /// This node sent a copy.
    Kept(Maker),
    /// It went into its queue.
    Queued(Cause),
    /// This client got it.
    HandedOut(ClientId),
    /// That client was gone before it could get it, or the body could not be read.
    GivenBack,
    /// DEQUEUE took it out of its queue.
    Dequeued,
    /// It was to go back into its queue, which takes no jobs.
    KeptOut,
    /// It waits for its DELAY until then.
    Delayed(WallTime),
    /// A client gave it back, and it waits until then.
    Waits(WallTime),
    /// WORKING: nobody else gets it until then.
    Working(WallTime),
    /// It became a dead letter.
    Buried(DeathReason),
    /// REDRIVE sent it back; the version of its register.
    Redriven(u32),
    /// A client gave it back into another queue; the version of its register.
    Moved(u32),
    /// Another node moved it; the version of its register.
    HeardMoved(u32),
    /// PROMOTE gave it this priority.
    Promoted(u8),
    /// It went to this node, where clients wait.
    Shipped(Maker),
    /// It came from this node.
    Arrived(Maker),
    /// The other holders were asked whether one of them has it.
    Asked,
    /// It left its queue, because another node has it.
    Yielded,
    /// Too few nodes have a copy.
    Short,
    /// New copies were sent to this number of nodes.
    Healed(u16),
    /// Its body cannot be read here.
    Unreadable,
    /// It was read from the log when the node started.
    Restored,
    /// It ended.
    Ended(Known),
    /// Another node told that it ended.
    HeardEnd(Known),
}

/// One entry.
#[derive(Debug, Clone, Copy)]
struct Happening {
    id: JobId,
    at: WallTime,
    what: What,
}

const _: () = assert!(size_of::<Happening>() == 48, "a full ring takes 3 MiB");

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Happenings {
    ring: Vec<Happening>,
    /// Once it is full: the oldest entry, which makes room for the next.
    oldest: usize,
}

impl Happenings {
    #[inline]
    fn add(&mut self, happening: Happening) {
        if self.ring.len() < limits::HAPPENINGS {
            if self.ring.capacity() == 0 {
                self.make_room();
            }
            self.ring.push(happening);
        } else {
            self.ring[self.oldest] = happening;
            self.oldest = (self.oldest + 1) % limits::HAPPENINGS;
        }
    }

    /// Room for all of it is taken at once, so that nothing is ever moved. What is not used yet takes no memory but addresses.
    #[cold]
    fn make_room(&mut self) {
        self.ring.reserve_exact(limits::HAPPENINGS);
    }

    /// What happened to a job, the newest first.
    pub(super) fn of(&self, id: &JobId) -> impl Iterator<Item = (WallTime, What)> {
        let (newer, older) = self.ring.split_at(self.oldest);
        let newest_first = newer.iter().rev().chain(older.iter().rev());
        newest_first
            .filter(move |it| it.id == *id)
            .map(|it| (it.at, it.what))
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.ring.len() * size_of::<Happening>()
    }
}

impl Node {
    /// This happens to a job at this moment.
    #[inline]
    pub(crate) fn happened(&mut self, id: JobId, what: What) {
        let at = self.clock.wall;
        self.happenings.add(Happening { id, at, what });
    }

    /// A peer, as events name it.
    pub(crate) fn maker_of(&self, peer: PeerKey) -> Maker {
        self.peers.get(peer).id.maker()
    }

    /// What the wall clock will say at a moment of this node's timeline.
    pub(crate) fn wall_at(&self, when: Time) -> WallTime {
        let left = when.since(self.clock.time).as_millis() as u64;
        WallTime(self.clock.wall.0.saturating_add(left))
    }
}

impl What {
    /// How the job ended, if it did.
    pub(super) fn end(self) -> Option<Outcome> {
        if let What::Ended(end) | What::HeardEnd(end) = self {
            end.outcome()
        } else {
            None
        }
    }

    /// Whether a client that got the job before may still have it afterwards.
    pub(super) fn leaves_it_out(self) -> bool {
        matches!(
            self,
            What::Working(_)
                | What::Asked
                | What::Short
                | What::Healed(_)
                | What::Promoted(_)
                | What::HeardMoved(_)
                | What::Replicated(_)
                | What::Kept(_)
        )
    }

    /// As clients see it.
    pub(super) fn view(self, at: WallTime) -> EventView {
        let (event, detail) = self.text();
        EventView {
            at_ms: at.0,
            event: event.to_owned(),
            detail,
        }
    }

    fn text(self) -> (&'static str, String) {
        let none = String::new;
        match self {
            What::Added(copies) => ("added", format!("copies wanted: {copies}")),
            What::Replicated(copies) => ("replicated", format!("copies elsewhere: {copies}")),
            What::Kept(from) => ("copy taken", format!("from {from}")),
            What::Queued(cause) => ("queued", cause_text(cause).to_owned()),
            What::HandedOut(client) => ("handed out", format!("to client {}", client.0)),
            What::GivenBack => ("given back", "the client did not get it".to_owned()),
            What::Dequeued => ("dequeued", none()),
            What::KeptOut => ("kept out", "its queue is paused in input".to_owned()),
            What::Delayed(until) => ("delayed", format!("until {}", until.0)),
            What::Waits(until) => ("waits", format!("NACK, until {}", until.0)),
            What::Working(until) => ("working", format!("until {}", until.0)),
            What::Buried(reason) => ("buried", reason.name().to_owned()),
            What::Redriven(version) => ("redriven", format!("version {version}")),
            What::Moved(version) => ("moved", format!("version {version}")),
            What::HeardMoved(version) => ("moved", format!("version {version}, by another node")),
            What::Promoted(priority) => ("promoted", format!("priority {priority}")),
            What::Shipped(to) => ("shipped", format!("to {to}")),
            What::Arrived(from) => ("arrived", format!("from {from}")),
            What::Asked => ("holders asked", none()),
            What::Yielded => ("yielded", "another node has it".to_owned()),
            What::Short => ("copies lost", none()),
            What::Healed(copies) => ("copies sent", format!("to {copies} more")),
            What::Unreadable => ("unreadable", "its body, at this node".to_owned()),
            What::Restored => ("restored", "from the log".to_owned()),
            What::Ended(end) => (end_text(end), none()),
            What::HeardEnd(end) => (end_text(end), "told by another node".to_owned()),
        }
    }
}

fn end_text(end: Known) -> &'static str {
    end.outcome().map_or("withdrawn", Outcome::name)
}

/// Why a job was queued.
fn cause_text(cause: Cause) -> &'static str {
    match cause {
        Cause::First => "for the first time",
        Cause::Retry => "its retry was over",
        Cause::Nack => "NACK",
        Cause::Asked => "ENQUEUE",
        Cause::Restart => "the node started",
        Cause::Restored => "as it was before",
        Cause::Heal => "it did not arrive elsewhere",
        Cause::Given => "another node gave it",
        Cause::Drain => "no other node confirmed it",
        Cause::Waited => "its wait was over",
    }
}
