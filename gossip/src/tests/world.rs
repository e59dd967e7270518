//! Memberships on a network of our own: one thread, virtual time, one seed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use shoalmq_core::id::{NodeId, StoreId};
use shoalmq_core::time::Time;

use crate::{Effect, Event, Identity, Membership, Memory, Secret, Settings, Status};

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn address(at: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, at as u8 + 1], 17_711))
}

pub(super) fn node(at: usize) -> NodeId {
    NodeId::from_bytes([at as u8 + 1; 20])
}

pub(super) fn identity(at: usize, start: u64) -> Identity {
    Identity {
        node: node(at),
        start,
        renewal: 0,
        epoch: 100 + at as u32,
        store: StoreId(at as u64),
        bus: address(at),
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        secret: Some(Secret::new(b"swordfish")),
        ..Settings::default()
    }
}

/// One process, or where one was.
pub(super) struct Node {
    pub(super) membership: Membership,
    pub(super) is_running: bool,
    /// Stopped: what comes waits in the socket.
    is_paused: bool,
    waiting: Vec<Vec<u8>>,
    pub(super) effects: Vec<(Time, Effect)>,
}

pub(super) struct World {
    pub(super) now: Time,
    pub(super) nodes: Vec<Node>,
    flying: BTreeMap<(Time, u64), (SocketAddr, Vec<u8>)>,
    sent: u64,
    rng: StdRng,
    /// Packets lost, in percent.
    pub(super) loss: u32,
    /// Which side of a partition each node is on.
    pub(super) sides: Vec<u8>,
    /// All that was ever sent.
    pub(super) recording: Vec<(SocketAddr, Vec<u8>)>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        World {
            now: Time::from_millis(1_000_000),
            nodes: Vec::new(),
            flying: BTreeMap::new(),
            sent: 0,
            rng: StdRng::seed_from_u64(seed),
            loss: 0,
            sides: Vec::new(),
            recording: Vec::new(),
        }
    }

    /// `count` nodes that know nobody.
    pub(super) fn of(count: usize, seed: u64) -> Self {
        let mut world = World::new(seed);
        for at in 0..count {
            world.start(identity(at, 1), settings(), Memory::default());
        }
        world
    }

    /// `count` nodes that know each other.
    pub(super) fn joined(count: usize, seed: u64) -> Self {
        let mut world = World::of(count, seed);
        for at in 1..count {
            world.event(at, Event::Seeds(vec![address(0)]));
        }
        let all: Vec<usize> = (0..count).collect();
        world.until(secs(10), |world| world.know_each_other(&all));
        // From now on they have but each other.
        for at in 1..count {
            world.event(at, Event::Seeds(Vec::new()));
        }
        world
    }

    pub(super) fn start(&mut self, me: Identity, settings: Settings, memory: Memory) -> usize {
        let membership = Membership::new(me, settings, memory, self.rng.random(), self.now);
        self.nodes.push(Node {
            membership,
            is_running: true,
            is_paused: false,
            waiting: Vec::new(),
            effects: Vec::new(),
        });
        self.sides.push(0);
        self.nodes.len() - 1
    }

    /// A new process in the place of an old one.
    pub(super) fn restart(&mut self, at: usize, me: Identity, memory: Memory) {
        let seed = self.rng.random();
        let node = &mut self.nodes[at];
        node.membership = Membership::new(me, settings(), memory, seed, self.now);
        node.is_running = true;
    }

    pub(super) fn kill(&mut self, at: usize) {
        self.nodes[at].is_running = false;
    }

    pub(super) fn pause(&mut self, at: usize) {
        self.nodes[at].is_paused = true;
    }

    pub(super) fn resume(&mut self, at: usize) {
        self.nodes[at].is_paused = false;
        for bytes in std::mem::take(&mut self.nodes[at].waiting) {
            self.event(at, Event::Packet(bytes));
        }
    }

    pub(super) fn event(&mut self, at: usize, event: Event) {
        let mut effects = Vec::new();
        let from = self.sides[at];
        let node = &mut self.nodes[at];
        node.membership.handle(self.now, event, &mut effects);
        assert!(
            node.membership.deadline() > self.now || effects.len() < 10_000,
            "no tick is wanted at once"
        );
        for effect in effects {
            if let Effect::Send { to, bytes } = &effect {
                self.send(from, *to, bytes.clone());
            }
            self.nodes[at].effects.push((self.now, effect));
        }
    }

    fn send(&mut self, from: u8, to: SocketAddr, bytes: Vec<u8>) {
        assert!(bytes.len() <= 1400, "{} bytes", bytes.len());
        self.recording.push((to, bytes.clone()));
        let is_cut = self
            .at(to)
            .is_some_and(|receiver| self.sides[receiver] != from);
        if is_cut || self.rng.random_range(0..100) < self.loss {
            return;
        }
        self.inject(to, bytes);
    }

    /// A datagram that arrives within a millisecond.
    pub(super) fn inject(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        let at = self.now + ms(self.rng.random_range(0..=1));
        self.sent += 1;
        self.flying.insert((at, self.sent), (to, bytes));
    }

    /// Who listens at an address.
    fn at(&self, address: SocketAddr) -> Option<usize> {
        self.nodes
            .iter()
            .position(|node| node.is_running && node.membership.me().bus == address)
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until something holds, and tells how much did.
    #[track_caller]
    pub(super) fn until(&mut self, within: Duration, holds: impl Fn(&World) -> bool) -> Duration {
        let start = self.now;
        let end = start + within;
        while !holds(self) {
            assert!(self.step(end), "not within {within:?}: {}", self.describe());
        }
        self.now.since(start)
    }

    /// Whether anything happened before `end`.
    fn step(&mut self, end: Time) -> bool {
        let active = |node: &&Node| node.is_running && !node.is_paused;
        let deadlines = self.nodes.iter().filter(active);
        let tick = deadlines.map(|node| node.membership.deadline()).min();
        let tick = tick.unwrap_or(Time::NEVER);
        let packet = self.flying.first_key_value();
        let packet = packet.map_or(Time::NEVER, |((at, _), _)| *at);
        let next = tick.min(packet);
        if next > end {
            return false;
        }
        self.now = self.now.max(next);
        if packet <= tick {
            let (_, (to, bytes)) = self.flying.pop_first().expect("one flies");
            if let Some(at) = self.at(to) {
                if self.nodes[at].is_paused {
                    self.nodes[at].waiting.push(bytes);
                } else {
                    self.event(at, Event::Packet(bytes));
                }
            }
            return true;
        }
        let due = |node: &Node| active(&node) && node.membership.deadline() <= self.now;
        let at = self.nodes.iter().position(due).expect("one is due");
        self.event(at, Event::Tick);
        true
    }

    /// What `at` thinks of `of`.
    pub(super) fn status(&self, at: usize, of: usize) -> Option<Status> {
        let of = self.nodes[of].membership.me().node;
        self.nodes[at]
            .membership
            .member(of)
            .map(|member| member.status)
    }

    pub(super) fn know_each_other(&self, nodes: &[usize]) -> bool {
        nodes.iter().all(|&at| {
            let others = nodes.iter().filter(|&&of| of != at);
            others
                .copied()
                .all(|of| self.status(at, of) == Some(Status::Alive))
        })
    }

    pub(super) fn told(&self, at: usize, wanted: impl Fn(&Effect) -> bool) -> usize {
        let effects = self.nodes[at].effects.iter();
        effects.filter(|(_, effect)| wanted(effect)).count()
    }

    fn describe(&self) -> String {
        let nodes = self.nodes.iter().filter(|node| node.is_running);
        let describe = |node: &Node| {
            let members: Vec<_> = node
                .membership
                .members()
                .map(|member| (member.identity.node.as_bytes()[0] - 1, member.status))
                .collect();
            format!(
                "\n{:?} {members:?} {:?}",
                node.membership.me().bus,
                node.membership.stats()
            )
        };
        nodes.map(describe).collect()
    }
}
