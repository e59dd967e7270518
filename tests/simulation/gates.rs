//! What waits for the disk, by the core's own gates, and the order that it leaves in: messages over one link keep theirs.

use shoalmq_core::log::{self, Gates};

use crate::cluster::Cluster;
use crate::disk::Position;
use crate::host::Held;
use crate::plan::Policy;
use crate::schedule::HostIndex;

impl Cluster {
    /// No disk of the simulation fails to write.
    pub(crate) fn gate_policy(&self) -> log::Policy {
        match self.plan.policy {
            Policy::Always => log::Policy::Always,
            Policy::EverySecond | Policy::Sometimes => log::Policy::Stalls,
        }
    }

    /// Up to where the log must be on disk before something may leave.
    pub(crate) fn gate(
        &self,
        index: HostIndex,
        of: impl FnOnce(&Gates, log::Policy) -> log::Position,
    ) -> Position {
        let process = self.hosts[index].process.as_ref();
        process.map_or(0, |process| of(&process.gates, self.gate_policy()).0)
    }

    /// Up to where the gates are open. Without `always` they are, for no disk of the simulation stalls for long enough.
    fn open_to(&self, index: HostIndex) -> Position {
        match self.plan.policy {
            Policy::Always => self.hosts[index].disk.synced(),
            Policy::EverySecond | Policy::Sometimes => Position::MAX,
        }
    }

    pub(crate) fn hold(&mut self, index: HostIndex, gate: Position, held: Held) {
        let open = self.open_to(index);
        let Some(process) = &mut self.hosts[index].process else {
            return;
        };
        // A link keeps the order of its messages.
        let link = held.link().and_then(|link| {
            let before = process.held.iter().rev();
            let mut before = before.filter(|(_, held)| held.link() == Some(link));
            before.next().map(|&(gate, _)| gate)
        });
        let gate = gate.max(link.unwrap_or(0));
        if gate <= open {
            self.release(index, held);
        } else {
            process.held.push((gate, held));
        }
    }

    fn release(&mut self, index: HostIndex, held: Held) {
        match held {
            Held::Send(to, incarnation, message) => self.send(index, to, incarnation, *message),
            Held::Reply(ticket, reply, given) => self.answered(index, ticket, *reply, given),
        }
    }

    /// Lets everything go that waited for what is on disk now.
    pub(crate) fn release_held(&mut self, index: HostIndex) {
        let synced = self.open_to(index);
        let Some(process) = &mut self.hosts[index].process else {
            return;
        };
        process.gates.prune(log::Position(synced));
        let held = std::mem::take(&mut process.held);
        let (free, still) = held.into_iter().partition(|&(gate, _)| gate <= synced);
        process.held = still;
        let free: Vec<(Position, Held)> = free;
        for (_, held) in free {
            self.release(index, held);
        }
    }
}
