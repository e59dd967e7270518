//! Looking for others: seeds, nodes to meet, and members that are not up.
//!
//! It never ends while somebody is missing, and stays cheap: a few small packets every second at first, every four
//! seconds later on.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use shoalmq_core::id::NodeId;
use shoalmq_core::time::Time;

use crate::inquiry::{Inquiry, Origin};
use crate::membership::{MEMBERS_MAX, can_be_reached};
use crate::packet::{Packet, Who, Whom};
use crate::{Effect, Identity, Membership};

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// Seeds kept: as many as there may be members.
const SEEDS_MAX: usize = MEMBERS_MAX;
/// Nodes to meet at once: an operator names them one by one.
const MEETS_MAX: usize = 64;
const MEET_TRIES: u32 = 10;
/// After the first try to meet; it grows by as much with each.
const MEET_PAUSE: Duration = Duration::from_millis(300);

/// Whom this node is looking for, besides its members.
pub(crate) struct Search {
    seeds: Vec<Seed>,
    meets: Vec<Meet>,
    next: Time,
    pause: Duration,
}

struct Seed {
    address: SocketAddr,
    /// Who was found there.
    found: Option<NodeId>,
}

struct Meet {
    address: SocketAddr,
    /// How often it was asked.
    tries: u32,
    next: Time,
}

impl Search {
    pub(crate) fn new(now: Time) -> Self {
        Search {
            seeds: Vec::new(),
            meets: Vec::new(),
            next: now,
            pause: PAUSE_MIN,
        }
    }

    pub(crate) fn deadline(&self) -> Time {
        let meets = self.meets.iter().map(|meet| meet.next);
        meets.min().unwrap_or(Time::NEVER).min(self.next)
    }

    pub(crate) fn hurry(&mut self, now: Time) {
        self.next = now;
        self.pause = PAUSE_MIN;
        for meet in &mut self.meets {
            meet.next = now;
        }
    }

    /// Somebody answered.
    pub(crate) fn answered(&mut self, origin: Origin, node: NodeId) {
        match origin {
            Origin::Meet(address) => self.meets.retain(|meet| meet.address != address),
            Origin::Seed(address) => {
                let seeds = self.seeds.iter_mut();
                for seed in seeds.filter(|seed| seed.address == address) {
                    seed.found = Some(node);
                }
            }
            Origin::Search | Origin::Return => {}
        }
    }
}

impl Membership {
    pub(crate) fn on_meet(&mut self, now: Time, address: SocketAddr, effects: &mut Vec<Effect>) {
        let meets = &mut self.search.meets;
        meets.retain(|meet| meet.address != address);
        if meets.len() == MEETS_MAX {
            meets.remove(0);
        }
        meets.push(Meet {
            address,
            tries: 0,
            next: now,
        });
        self.meet(now, effects);
    }

    pub(crate) fn on_seeds(
        &mut self,
        now: Time,
        addresses: &[SocketAddr],
        effects: &mut Vec<Effect>,
    ) {
        let before = std::mem::take(&mut self.search.seeds);
        for &address in addresses.iter().take(SEEDS_MAX) {
            let old = before.iter().find(|seed| seed.address == address);
            if old.is_none() {
                self.search.hurry(now);
            }
            let found = old.and_then(|seed| seed.found);
            self.search.seeds.push(Seed { address, found });
        }
        self.search_when_due(now, effects);
    }

    pub(crate) fn search_when_due(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.meet(now, effects);
        if now < self.search.next {
            return;
        }
        let is_looking = self.look(now, effects);
        self.search.pause = if is_looking {
            (self.search.pause * 3 / 2).min(PAUSE_MAX)
        } else {
            PAUSE_MIN
        };
        // Up to a quarter more or less: nodes that lost each other do not all ask at once.
        let percent = self.rng.random_range(75..=125);
        self.search.next = now + self.search.pause * percent / 100;
    }

    /// Asks for all who are missing, and tells whether there was anybody to ask for.
    fn look(&mut self, now: Time, effects: &mut Vec<Effect>) -> bool {
        let mut asks = Vec::new();
        for known in self.known.values().filter(|known| known.is_missing()) {
            let Identity { node, epoch, .. } = known.identity;
            let addresses = known.addresses.iter();
            asks.extend(addresses.map(|to| (*to, Whom::Only(node, epoch), Origin::Search)));
        }
        for seed in &self.search.seeds {
            if !self.is_up(seed.found) && seed.address != self.me().bus {
                asks.push((seed.address, Whom::Anyone, Origin::Seed(seed.address)));
            }
        }
        for (to, whom, origin) in &asks {
            self.ask(now, *to, *whom, *origin, effects);
        }
        !asks.is_empty()
    }

    fn is_up(&self, node: Option<NodeId>) -> bool {
        node.is_some_and(|node| {
            let known = self.known.get(&node);
            node == self.me().node || known.is_some_and(|known| !known.is_missing())
        })
    }

    fn meet(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let mut due = Vec::new();
        // Without an address to answer to, nothing is asked, and no try is spent.
        let can_ask = can_be_reached(self.me().bus);
        self.search
            .meets
            .retain(|meet| meet.tries < MEET_TRIES || meet.next > now);
        for meet in &mut self.search.meets {
            if meet.next <= now {
                meet.tries += u32::from(can_ask);
                meet.next = now + MEET_PAUSE * meet.tries.max(1);
                due.push(meet.address);
            }
        }
        for address in due {
            self.ask(now, address, Whom::Anyone, Origin::Meet(address), effects);
        }
    }

    pub(crate) fn ask(
        &mut self,
        now: Time,
        to: SocketAddr,
        whom: Whom,
        origin: Origin,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_silent || !can_be_reached(self.me().bus) {
            return;
        }
        let nonce = self.rng.random();
        self.inquiries.add(Inquiry {
            nonce,
            whom,
            origin,
            asked: now,
        });
        let sender = self.me();
        let who = Who {
            sender,
            nonce,
            whom,
        };
        self.send(to, &Packet::Who(who), effects);
    }
}
