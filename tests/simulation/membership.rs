//! Who is a member and who lives: a real membership beside each core, and what the core hears from it.

use std::net::SocketAddr;
use std::time::Duration;

use shoalmq_core::event::Event;
use shoalmq_core::id::NodeId;
use shoalmq_gossip::{Effect, Event as News, Identity, Membership, Secret, Settings, Status};

use crate::cluster::Cluster;
use crate::host::Host;
use crate::plan::Meeting;
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND};

/// How often names are looked up again.
const SEEDS_EVERY: Micros = 5 * SECOND;

/// A membership that starts, with what its machine remembers.
pub(crate) fn new_membership(
    host: &mut Host,
    epoch: u32,
    node_timeout: Duration,
    seed: [u8; 32],
) -> Membership {
    if host.memory.epoch == 0 {
        host.memory.epoch = epoch;
    }
    let me = Identity {
        node: host.id,
        start: host.generation,
        renewal: 0,
        epoch: host.memory.epoch,
        store: host.store,
        bus: host.address,
    };
    let settings = Settings {
        secret: Some(Secret::new(b"simulated")),
        node_timeout,
        ..Settings::default()
    };
    let time = host.timeline;
    Membership::new(me, settings, host.memory.clone(), seed, time)
}

impl Cluster {
    /// A process begins to look for the others.
    pub(crate) fn join(&mut self, index: HostIndex) {
        for member in self.hosts[index].memory.members.clone() {
            self.feed(index, Event::PeerKnown(member.node));
            self.dial_soon(index, &member.node);
        }
        for (id, _) in self.hosts[index].memory.barred.clone() {
            let members = &self.hosts[index].memory.members;
            if members.iter().all(|member| member.node != id) {
                self.feed(index, Event::PeerForgotten(id));
            }
        }
        match self.plan.meeting {
            Meeting::Seeds => {
                let seeds = self.seed_addresses();
                self.gossip(index, News::Seeds(seeds));
            }
            Meeting::Meet if self.hosts[index].boots == 1 && index > 0 => {
                let first = self.hosts[0].address;
                self.gossip(index, News::Meet(first));
            }
            Meeting::Meet => self.arm_gossip(index),
        }
    }

    fn seed_addresses(&self) -> Vec<SocketAddr> {
        let hosts = self.hosts.iter().filter(|host| !host.removed);
        hosts.map(|host| host.address).collect()
    }

    /// Every node looks up the seeds.
    pub(crate) fn seeds(&mut self) {
        self.after(SEEDS_EVERY, Happening::Seeds);
        if self.plan.meeting == Meeting::Seeds {
            for index in 0..self.hosts.len() {
                let seeds = self.seed_addresses();
                self.gossip(index, News::Seeds(seeds));
            }
        }
    }

    /// Feeds one event to a membership that runs, and carries out what it asks for.
    pub(crate) fn gossip(&mut self, index: HostIndex, event: News) {
        let host = &mut self.hosts[index];
        let time = host.now(self.now).time;
        let paused = host.is_paused();
        let Some(process) = host.process.as_mut().filter(|_| !paused) else {
            return;
        };
        let mut effects = Vec::new();
        process.gossip.handle(time, event, &mut effects);
        for effect in effects {
            self.carry_out_gossip(index, effect);
        }
        self.arm_gossip(index);
    }

    fn carry_out_gossip(&mut self, index: HostIndex, effect: Effect) {
        if !matches!(effect, Effect::Send { .. } | Effect::Remember) {
            self.trace.gossip(self.now, index, &effect);
        }
        match effect {
            Effect::Send { to, bytes } => self.send_datagram(index, to, &bytes),
            Effect::Joined(identity) => {
                self.feed(index, Event::PeerKnown(identity.node));
                self.dial_soon(index, &identity.node);
            }
            Effect::Up(identity) => {
                self.judge(index, self.host_of(&identity.node));
                self.dial_soon(index, &identity.node);
            }
            Effect::Suspected(id) | Effect::Down(id) | Effect::Recovered(id) => {
                self.judge(index, self.host_of(&id));
            }
            Effect::Moved(identity) => {
                let other = self.host_of(&identity.node);
                let process = self.hosts[index].process.as_ref();
                let linked = process.and_then(|process| process.peers[other].generation);
                if linked.is_some_and(|linked| linked < identity.start) {
                    self.close_link(index, other);
                }
                self.dial_soon(index, &identity.node);
            }
            Effect::Forgotten(id) => {
                let other = self.host_of(&id);
                self.close_link(index, other);
                self.feed(index, Event::PeerForgotten(id));
            }
            Effect::Myself(_) => {}
            Effect::Remember => {
                if let Some(process) = &self.hosts[index].process {
                    self.hosts[index].memory = process.gossip.memory();
                }
            }
            Effect::Impostor { bus, start, store } => {
                let what = format!("n{index} meets itself at {bus}: start {start}, store {store}");
                self.checker.violate(None, what);
            }
        }
    }

    /// Tells the core whether to count on a peer, when that changed. A link that answers knows better than gossip; one
    /// that has been silent for most of the timeout makes gossip's word unnecessary. Who has no link to us cannot answer.
    pub(crate) fn judge(&mut self, index: HostIndex, other: HostIndex) {
        let id = self.hosts[other].id;
        let silent = self.network.silence(index, other, self.now);
        let timeout = self.plan.node_timeout;
        let answers = self.network.link(other, index).is_some();
        let Some(process) = &mut self.hosts[index].process else {
            return;
        };
        let Some(member) = process.gossip.member(id) else {
            return;
        };
        let failing = match silent {
            Some(_) if !answers => true,
            Some(silent) if silent < timeout / 3 => false,
            Some(silent) if silent > timeout * 2 / 3 => true,
            Some(_) | None => member.status != Status::Alive,
        };
        if std::mem::replace(&mut process.peers[other].failing, failing) != failing {
            self.feed(index, Event::PeerFailing(id, failing));
        }
    }

    /// Dials a member, unless somebody does, or the link is up.
    fn dial_soon(&mut self, index: HostIndex, id: &NodeId) {
        let other = self.host_of(id);
        let linked = self.network.link(index, other).is_some();
        let Some(process) = &mut self.hosts[index].process else {
            return;
        };
        let dialling = std::mem::replace(&mut process.peers[other].dialling, true);
        if !dialling && !linked {
            let boot = process.boot;
            self.after(MS, Happening::Dial(index, other, boot));
        }
    }

    pub(crate) fn knows(&self, from: HostIndex, to: HostIndex) -> bool {
        self.address_of(from, to).is_some()
    }

    /// Where a process believes that another node is.
    pub(crate) fn address_of(&self, from: HostIndex, to: HostIndex) -> Option<SocketAddr> {
        let process = self.hosts[from].process.as_ref()?;
        let member = process.gossip.member(self.hosts[to].id)?;
        Some(member.identity.bus)
    }

    /// Whether a process refuses another, for it was told to forget it.
    pub(crate) fn bars(&self, host: HostIndex, other: HostIndex) -> bool {
        let time = self.hosts[host].now(self.now).time;
        let process = self.hosts[host].process.as_ref();
        process.is_some_and(|process| process.gossip.is_barred(self.hosts[other].id, time))
    }

    /// What a handshake tells the memberships at both ends.
    pub(crate) fn introduce(&mut self, one: HostIndex, other: HostIndex) {
        for (index, from) in [(one, other), (other, one)] {
            if let Some(process) = &self.hosts[from].process {
                let identity = process.gossip.me();
                self.gossip(index, News::Seen(identity));
                self.tell_members(from, index);
            }
        }
    }

    /// Every process tells its peers whom it knows to live, over links that work.
    pub(crate) fn tell_all_members(&mut self) {
        self.after(SECOND, Happening::Members);
        for from in 0..self.hosts.len() {
            for to in 0..self.hosts.len() {
                let linked =
                    self.network.link(from, to).is_some() && !self.network.is_cut(from, to);
                if linked && !self.hosts[from].is_paused() {
                    self.tell_members(from, to);
                }
            }
        }
    }

    fn tell_members(&mut self, from: HostIndex, to: HostIndex) {
        let Some(process) = &self.hosts[from].process else {
            return;
        };
        let living = process.gossip.members();
        let living = living.filter(|member| member.status != Status::Down);
        let me = process.gossip.me();
        let members = living.map(|member| member.identity).chain([me]).collect();
        let from = me.node;
        self.gossip(to, News::Members { from, members });
    }

    /// A datagram arrives, if somebody listens at its address.
    pub(crate) fn datagram(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        if let Some(index) = self.hosts.iter().position(|host| host.address == to) {
            self.arrive(index, crate::host::Inbound::Datagram(bytes));
        }
    }

    pub(crate) fn gossip_tick(&mut self, index: HostIndex, boot: u32) {
        let host = &mut self.hosts[index];
        if host.boot() != Some(boot) || host.is_paused() {
            return;
        }
        let time = host.now(self.now).time;
        if let Some(process) = &mut host.process {
            process.gossip_armed = Micros::MAX;
            if process.gossip.deadline() > time {
                return self.arm_gossip(index);
            }
            self.gossip(index, News::Tick);
        }
    }

    /// Schedules the membership's next tick, if it is wanted sooner than the one that is.
    pub(crate) fn arm_gossip(&mut self, index: HostIndex) {
        let now = self.now;
        let Some(process) = &mut self.hosts[index].process else {
            return;
        };
        let at = process.when(process.gossip.deadline()).max(now + 1);
        if at < process.gossip_armed {
            process.gossip_armed = at;
            let boot = process.boot;
            self.at(at, Happening::GossipTick(index, boot));
        }
    }

    /// CLUSTER FORGET at one node. The operator tries again while it is away.
    pub(crate) fn forget_member(&mut self, index: HostIndex, forgotten: HostIndex) {
        if !self.hosts[index].serves() || self.hosts[index].is_paused() {
            return self.after(SECOND, Happening::Forget(index, forgotten));
        }
        let id = self.hosts[forgotten].id;
        self.gossip(index, News::Forget(id));
    }
}
