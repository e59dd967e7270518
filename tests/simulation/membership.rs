//! Who is a member and who lives, as the nodes see it.

use shoalmq_core::event::Event;

use crate::cluster::Cluster;
use crate::schedule::{Happening, HostIndex, MS, Micros};

/// A member that nothing was heard of for so long is failing.
const FAILING_AFTER: Micros = 1500 * MS;

impl Cluster {
    /// A process begins to look for the others.
    pub(crate) fn join(&mut self, index: HostIndex) {
        for other in 0..self.hosts.len() {
            if self.hosts[index].members[other] {
                self.learn(index, other);
            }
        }
    }

    /// A process learns of a member.
    fn learn(&mut self, index: HostIndex, other: HostIndex) {
        self.hosts[index].members[other] = true;
        let id = self.hosts[other].id;
        self.feed(index, Event::PeerKnown(id));
        if let Some(process) = &mut self.hosts[index].process
            && !std::mem::replace(&mut process.peers[other].dialling, true)
        {
            let boot = process.boot;
            self.after(MS, Happening::Dial(index, other, boot));
        }
    }

    pub(crate) fn knows(&self, from: HostIndex, to: HostIndex) -> bool {
        self.hosts[from].members[to]
    }

    /// Where a process believes that another node is.
    pub(crate) fn address_of(
        &self,
        _from: HostIndex,
        to: HostIndex,
    ) -> Option<std::net::SocketAddr> {
        Some(self.hosts[to].address)
    }

    /// Every process looks who lives.
    pub(crate) fn watch_members(&mut self) {
        for from in 0..self.hosts.len() {
            for to in 0..self.hosts.len() {
                if from != to && self.hosts[from].serves() && !self.hosts[from].is_paused() {
                    self.watch_member(from, to);
                }
            }
        }
    }

    fn watch_member(&mut self, from: HostIndex, to: HostIndex) {
        let heard = !self.network.is_cut(from, to)
            && !self.network.is_cut(to, from)
            && self.hosts[to].serves()
            && !self.hosts[to].is_paused();
        let (now, id) = (self.now, self.hosts[to].id);
        let Some(process) = &mut self.hosts[from].process else {
            return;
        };
        let peer = &mut process.peers[to];
        if heard {
            peer.silent_since = None;
        }
        let silent = !heard && now - *peer.silent_since.get_or_insert(now) > FAILING_AFTER;
        if heard {
            peer.silent_since = None;
        }
        let changed = std::mem::replace(&mut peer.failing, silent) != silent;
        if changed {
            self.feed(from, Event::PeerFailing(id, silent));
        }
        if heard && !self.hosts[from].members[to] && !self.hosts[to].removed {
            self.learn(from, to);
        }
    }

    pub(crate) fn gossip_tick(&mut self, _index: HostIndex, _boot: u32) {}
    pub(crate) fn gossip_packet(&mut self, _index: HostIndex, _bytes: Vec<u8>) {}
    pub(crate) fn resume_gossip(&mut self, _index: HostIndex) {}
    pub(crate) fn datagram(&mut self, _to: std::net::SocketAddr, _bytes: Vec<u8>) {}
    pub(crate) fn seeds(&mut self) {}

    pub(crate) fn forget_member(&mut self, index: HostIndex, forgotten: HostIndex) {
        if !self.hosts[index].serves() || self.hosts[index].is_paused() {
            return self.after(1000 * MS, Happening::Forget(index, forgotten));
        }
        self.hosts[index].members[forgotten] = false;
        let id = self.hosts[forgotten].id;
        self.feed(index, Event::PeerForgotten(id));
    }
}
