//! The network: a stream from each node to each other, datagrams, and what cuts them.
//!
//! Messages of a stream keep their order, and wait while the way is cut (TCP sends them again when it heals), until the
//! sender closes the link for lack of answers: then any suffix of what is under way is lost. What was sent over an older
//! link never arrives after a newer one was made.

use std::collections::VecDeque;
use std::net::SocketAddr;

use shoalmq_core::event::{Event, PeerUp};
use shoalmq_core::extras::Features;
use shoalmq_core::message::Message;

use crate::cluster::Cluster;
use crate::host::Inbound;
use crate::schedule::{Happening, HostIndex, MS, Micros};

/// How often nodes look whether their links answer.
pub(crate) const KEEP_ALIVE_EVERY: Micros = 200 * MS;
/// How much later than usual a message may come.
pub(crate) const LATE: Micros = 100 * MS;

/// All ways between nodes.
#[derive(Debug)]
pub(crate) struct Network {
    ways: Vec<Vec<Way>>,
    incarnations: u64,
}

/// The way from one node to another.
#[derive(Debug, Default)]
struct Way {
    /// How many faults cut it.
    cuts: u32,
    link: Link,
}

/// A link that its sender dialled, and what is under way on it.
#[derive(Debug, Default)]
struct Link {
    /// The sender believes that it is up.
    open: bool,
    incarnation: u64,
    receiver_boot: u32,
    under_way: VecDeque<(Micros, Message)>,
    /// Since when nothing has come back over it.
    silent_since: Option<Micros>,
}

impl Network {
    pub(crate) fn new(hosts: usize) -> Self {
        let ways = |_| (0..hosts).map(|_| Way::default()).collect();
        Network {
            ways: (0..hosts).map(ways).collect(),
            incarnations: 0,
        }
    }

    pub(crate) fn is_cut(&self, from: HostIndex, to: HostIndex) -> bool {
        self.ways[from][to].cuts > 0
    }

    pub(crate) fn is_open_both_ways(&self, one: HostIndex, other: HostIndex) -> bool {
        !self.is_cut(one, other) && !self.is_cut(other, one)
    }

    /// The incarnation of the link that is up, if there is one.
    pub(crate) fn link(&self, from: HostIndex, to: HostIndex) -> Option<u64> {
        let link = &self.ways[from][to].link;
        link.open.then_some(link.incarnation)
    }
}

impl Network {
    /// How long nothing has come back over a link that is up.
    pub(crate) fn silence(&self, from: HostIndex, to: HostIndex, now: Micros) -> Option<Micros> {
        let link = &self.ways[from][to].link;
        let silence = link.silent_since.map_or(0, |since| now - since);
        link.open.then_some(silence)
    }
}

impl Cluster {
    /// Cuts or mends one direction.
    pub(crate) fn set_cut(&mut self, from: HostIndex, to: HostIndex, cut: bool) {
        let way = &mut self.network.ways[from][to];
        if cut {
            way.cuts += 1;
            return;
        }
        way.cuts -= 1;
        if way.cuts == 0 {
            // TCP tries again after ever longer waits.
            let again = self.network_dice.between(1, 300) * MS;
            self.after(again, Happening::Pump(from, to));
        }
    }

    /// How long something takes from one node to another.
    fn latency(&mut self) -> Micros {
        let dice = &mut self.network_dice;
        let late = if dice.percent(1) { dice.below(LATE) } else { 0 };
        self.plan.latency + dice.below(self.plan.jitter + 1) + late
    }

    /// Puts a message on the link that it was meant for, if that is still up.
    pub(crate) fn send(
        &mut self,
        from: HostIndex,
        to: HostIndex,
        incarnation: u64,
        message: Message,
    ) {
        if self.network.link(from, to) != Some(incarnation) {
            return;
        }
        let arrives = self.now + self.latency();
        let under_way = &mut self.network.ways[from][to].link.under_way;
        let last = under_way.back().map_or(0, |&(at, _)| at);
        let first = under_way.is_empty();
        under_way.push_back((arrives.max(last), message));
        if first {
            self.at(arrives.max(last), Happening::Pump(from, to));
        }
    }

    /// Delivers what has arrived.
    pub(crate) fn pump(&mut self, from: HostIndex, to: HostIndex) {
        let now = self.now;
        loop {
            let way = &mut self.network.ways[from][to];
            let receiver = self.hosts[to].boot();
            if receiver != Some(way.link.receiver_boot) {
                way.link.under_way.clear();
                return;
            }
            match way.link.under_way.front() {
                Some(&(at, _)) if at > now => return self.at(at, Happening::Pump(from, to)),
                Some(_) if way.cuts == 0 => {}
                Some(_) | None => return,
            }
            if let Some((_, message)) = way.link.under_way.pop_front() {
                let from = self.hosts[from].id;
                self.arrive(to, Inbound::Message(from, Box::new(message)));
            }
        }
    }

    /// A node dials another, unless the link is up or makes no sense.
    pub(crate) fn dial(&mut self, from: HostIndex, to: HostIndex, boot: u32) {
        let host = &self.hosts[from];
        if host.boot() != Some(boot) || self.network.link(from, to).is_some() {
            return;
        }
        if host.is_paused() {
            return self.after(500 * MS, Happening::Dial(from, to, boot));
        }
        let reached = self.address_of(from, to) == Some(self.hosts[to].address)
            && self.network.is_open_both_ways(from, to)
            && !self.hosts[to].is_paused();
        match self.hosts[to].boot().filter(|_| reached) {
            Some(there) => {
                let round_trip = self.latency() + self.latency();
                self.after(round_trip, Happening::Handshake(from, to, boot, there));
            }
            None => self.dial_later(from, to, boot),
        }
    }

    fn dial_later(&mut self, from: HostIndex, to: HostIndex, boot: u32) {
        if self.knows(from, to) {
            let wait = self.network_dice.between(100, 700) * MS;
            self.after(wait, Happening::Dial(from, to, boot));
        } else if let Some(process) = &mut self.hosts[from].process {
            process.peers[to].dialling = false;
        }
    }

    /// Both ends know each other: the link is up.
    pub(crate) fn handshake(&mut self, from: HostIndex, to: HostIndex, boot: u32, there: u32) {
        let same = self.hosts[from].boot() == Some(boot) && self.hosts[to].boot() == Some(there);
        let paused = self.hosts[from].is_paused() || self.hosts[to].is_paused();
        if self.hosts[from].boot() != Some(boot) {
            return;
        }
        let open = self.network.is_open_both_ways(from, to);
        let members = self.knows(from, to) && self.knows(to, from);
        if !same || paused || !open || !members || self.bars(to, from) {
            return self.dial_later(from, to, boot);
        }
        self.network.incarnations += 1;
        self.network.ways[from][to].link = Link {
            open: true,
            incarnation: self.network.incarnations,
            receiver_boot: there,
            under_way: VecDeque::new(),
            silent_since: None,
        };
        let (one, other) = (&self.hosts[from], &self.hosts[to]);
        let (id, store, same_zone) = (other.id, other.store, one.zone == other.zone);
        let zone = other.zone;
        let generation = other.generation;
        let Some(process) = &mut self.hosts[from].process else {
            return;
        };
        let peer = &mut process.peers[to];
        let before = peer.generation.replace(generation);
        peer.dialling = false;
        let up = PeerUp {
            features: Features::KNOWN,
            id,
            store,
            restarted: before.is_some_and(|before| before != generation),
            same_zone,
            zone,
        };
        self.feed(from, Event::PeerUp(up));
        self.introduce(from, to);
        self.judge(from, to);
        self.judge(to, from);
    }

    /// The other end of a link told that it is gone.
    pub(crate) fn reset(&mut self, from: HostIndex, to: HostIndex, incarnation: u64) {
        if self.network.link(from, to) != Some(incarnation) {
            return;
        }
        if self.hosts[from].is_paused() {
            return self.after(300 * MS, Happening::Reset(from, to, incarnation));
        }
        self.close_link(from, to);
    }

    /// The sender closes its link. Any suffix of what is under way is lost.
    pub(crate) fn close_link(&mut self, from: HostIndex, to: HostIndex) {
        if self.network.link(from, to).is_none() {
            return;
        }
        self.lose_suffix(from, to);
        let id = self.hosts[to].id;
        let Some(process) = &mut self.hosts[from].process else {
            return;
        };
        process.peers[to].dialling = true;
        let boot = process.boot;
        self.feed(from, Event::PeerDown(id));
        self.judge(to, from);
        self.dial_later(from, to, boot);
    }

    fn lose_suffix(&mut self, from: HostIndex, to: HostIndex) {
        let cut = self.network.is_cut(from, to);
        let link = &mut self.network.ways[from][to].link;
        link.open = false;
        let under_way = link.under_way.len() as u64;
        let kept = if cut {
            0
        } else {
            self.network_dice.below(under_way + 1)
        };
        link.under_way.truncate(kept as usize);
    }

    /// The process is gone: its links too, and those to it break when the others hear of it.
    pub(crate) fn drop_links_of(&mut self, gone: HostIndex) {
        for other in 0..self.hosts.len() {
            if self.network.link(gone, other).is_some() {
                self.lose_suffix(gone, other);
            }
            let incarnation = self.network.link(other, gone);
            if let Some(incarnation) = incarnation.filter(|_| !self.network.is_cut(gone, other)) {
                let latency = self.latency();
                self.after(latency, Happening::Reset(other, gone, incarnation));
            }
        }
    }

    /// Every node looks whether its links answer, and closes those that do not.
    pub(crate) fn keep_alive(&mut self) {
        for from in 0..self.hosts.len() {
            for to in 0..self.hosts.len() {
                self.keep_link_alive(from, to);
                if from != to && !self.hosts[from].is_paused() {
                    self.judge(from, to);
                }
            }
        }
        self.note_calm();
        self.note_links();
        self.after(KEEP_ALIVE_EVERY, Happening::KeepAlive);
    }

    fn keep_link_alive(&mut self, from: HostIndex, to: HostIndex) {
        if self.network.link(from, to).is_none()
            || self.hosts[from].boot().is_none()
            || self.hosts[from].is_paused()
        {
            return;
        }
        let both_ways = self.network.is_open_both_ways(from, to);
        let there = self.hosts[to].boot();
        let link = &mut self.network.ways[from][to].link;
        if there != Some(link.receiver_boot) && both_ways {
            return self.close_link(from, to);
        }
        if both_ways && !self.hosts[to].is_paused() {
            link.silent_since = None;
            return;
        }
        let since = *link.silent_since.get_or_insert(self.now);
        if self.now - since > self.plan.node_timeout {
            self.close_link(from, to);
        }
    }

    /// Sends a datagram: it may be lost, come late, or twice.
    pub(crate) fn send_datagram(&mut self, from: HostIndex, to: SocketAddr, bytes: &[u8]) {
        let copies = 1 + u64::from(self.network_dice.percent(self.plan.duplicated));
        for _ in 0..copies {
            let lost = self.network_dice.percent(self.plan.loss);
            let latency = self.latency() + self.network_dice.below(2 * self.plan.jitter + 1);
            let receiver = self.hosts.iter().position(|host| host.address == to);
            let Some(receiver) = receiver.filter(|_| !lost) else {
                continue;
            };
            if !self.network.is_cut(from, receiver) {
                self.after(latency, Happening::Datagram(to, bytes.to_vec()));
            }
        }
    }
}
