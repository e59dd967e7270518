//! What waits for the disk, by the core's own gates, and the order that it leaves in: messages over one link keep theirs.

use shoalmq_core::log::Position;

use crate::cluster::Cluster;
use crate::host::Held;
use crate::schedule::HostIndex;

impl Cluster {
    /// Holds something until the disk is synced up to its gate.
    pub(crate) fn hold(&mut self, index: HostIndex, gate: Position, held: Held) {
        let host = &mut self.hosts[index];
        let Some(process) = &mut host.process else {
            return;
        };
        let open = process.shell.open_to(&host.disk);
        // A link keeps the order of its messages.
        let link = held.link().and_then(|link| {
            let before = process.held.iter().rev();
            let mut before = before.filter(|(_, held)| held.link() == Some(link));
            before.next().map(|&(gate, _)| gate)
        });
        let gate = gate.max(link.unwrap_or(Position::START));
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
        let host = &mut self.hosts[index];
        let Some(process) = &mut host.process else {
            return;
        };
        let synced = process.shell.synced(&host.disk);
        let held = std::mem::take(&mut process.held);
        let (free, still) = held.into_iter().partition(|&(gate, _)| gate <= synced);
        process.held = still;
        let free: Vec<(Position, Held)> = free;
        for (_, held) in free {
            self.release(index, held);
        }
    }
}
