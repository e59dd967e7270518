//! Membership: the state machine with its two doors, `handle` and `deadline`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use foca::State;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use shoalmq_core::id::NodeId;
use shoalmq_core::time::Time;

use crate::config::Timing;
use crate::inquiry::Inquiries;
use crate::member::{ADDRESSES_MAX, Known, Status};
use crate::packet::{Envelope, Packet};
use crate::search::Search;
use crate::swim::{Swim, Update};
use crate::{Effect, Event, Identity, Member, Memory, Reason, Remembered, Settings, Stats};

/// Members besides this node: every node keeps a link to every other, and a job knows its holders by name.
pub const MEMBERS_MAX: usize = 64;
/// How long a forgotten node stays away: time enough to FORGET it everywhere.
pub const BAR: Duration = Duration::from_mins(1);
/// Nodes that are barred at once; beyond, the one that would return first may return now.
pub const BARRED_MAX: usize = 4 * MEMBERS_MAX;

/// Who is in the cluster, as one node knows it.
pub struct Membership {
    pub(crate) settings: Settings,
    pub(crate) envelope: Envelope,
    pub(crate) swim: Swim,
    /// All others that are or were members; whom foca knows is among them.
    pub(crate) known: BTreeMap<NodeId, Known>,
    barred: BTreeMap<NodeId, Time>,
    pub(crate) inquiries: Inquiries,
    pub(crate) search: Search,
    /// The number of the next message of foca.
    pub(crate) sequence: u64,
    pub(crate) rng: StdRng,
    pub(crate) stats: Stats,
    pub(crate) is_silent: bool,
}

impl Membership {
    /// The membership of a node that starts: alone, but for what it remembers.
    ///
    /// `me` must have a higher start than ever before, and the epoch of `memory`, or a random one when there is
    /// none. While its address is unspecified, nothing is sent: see [`Event::AddressKnown`]. `seed` must be drawn
    /// from the system's entropy: nonces come from it. Remembered members are DOWN until they answer.
    pub fn new(
        me: Identity,
        settings: Settings,
        memory: Memory,
        seed: [u8; 32],
        now: Time,
    ) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let timing = Timing::new(settings.node_timeout);
        let swim = Swim::new(me, timing, StdRng::from_seed(rng.random()));
        let members = memory
            .members
            .into_iter()
            .filter(|member| member.node != me.node && !member.addresses.is_empty())
            .take(MEMBERS_MAX);
        let barred = memory.barred.into_iter().take(BARRED_MAX);
        Membership {
            envelope: Envelope::new(&settings),
            settings,
            swim,
            known: members
                .map(|member| (member.node, recalled(member, now)))
                .collect(),
            barred: barred.filter(|(_, until)| *until > now).collect(),
            inquiries: Inquiries::default(),
            search: Search::new(now),
            sequence: 0,
            rng,
            stats: Stats::default(),
            is_silent: false,
        }
    }

    /// Applies one event as of `now`, and appends what must be done about it to `effects`.
    pub fn handle(&mut self, now: Time, event: Event, effects: &mut Vec<Effect>) {
        if self.is_silent {
            return;
        }
        let before = self.swim.me();
        match event {
            Event::Packet(bytes) => self.on_packet(now, &bytes, effects),
            Event::Tick => self.on_tick(now, effects),
            Event::Meet(address) => self.on_meet(now, address, effects),
            Event::Seeds(addresses) => self.on_seeds(now, &addresses, effects),
            Event::Members { from, members } => self.on_members(now, from, &members, effects),
            Event::Seen(identity) => self.on_seen(now, identity, effects),
            Event::Forget(node) => self.on_forget(now, node, effects),
            Event::Reset => self.on_reset(now, before.node, effects),
            Event::Renamed(node) => self.on_reset(now, node, effects),
            Event::Configured(settings) => self.on_configured(settings),
            Event::AddressKnown(bus) => self.on_address_known(now, bus, effects),
            Event::Leave => self.on_leave(now, effects),
        }
        self.send_swim(effects);
        self.compare(now, effects);
        let me = self.swim.me();
        if me != before {
            effects.push(Effect::Myself(me));
        }
    }

    /// When the next [`Event::Tick`] is wanted; an earlier or later one does no harm.
    pub fn deadline(&self) -> Time {
        if self.is_silent {
            return Time::NEVER;
        }
        self.swim.deadline().min(self.search.deadline())
    }

    /// This node's own identity, for handshakes.
    pub fn me(&self) -> Identity {
        self.swim.me()
    }

    /// All other members, dead ones too, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        self.known.values().map(|known| Member {
            identity: known.identity,
            status: known.status,
            since: known.since,
        })
    }

    /// One member.
    pub fn member(&self, node: NodeId) -> Option<Member> {
        let known = self.known.get(&node)?;
        Some(Member {
            identity: known.identity,
            status: known.status,
            since: known.since,
        })
    }

    /// Whether a node was forgotten less than [`BAR`] ago, and must not come in over a link either.
    pub fn is_barred(&self, node: NodeId, now: Time) -> bool {
        self.barred.get(&node).is_some_and(|until| *until > now)
    }

    /// What to write to disk whenever [`Effect::Remember`] asks for it.
    pub fn memory(&self) -> Memory {
        let members = self.known.values().map(|known| Remembered {
            node: known.identity.node,
            store: known.identity.store,
            start: known.identity.start,
            epoch: known.identity.epoch,
            addresses: known.addresses.clone(),
        });
        Memory {
            epoch: self.me().epoch,
            members: members.collect(),
            barred: self
                .barred
                .iter()
                .map(|(node, until)| (*node, *until))
                .collect(),
        }
    }

    /// Counters since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn on_tick(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.swim.tick(now);
        self.search_when_due(now, effects);
    }

    fn on_members(
        &mut self,
        now: Time,
        from: NodeId,
        members: &[Identity],
        effects: &mut Vec<Effect>,
    ) {
        if !self.known.contains_key(&from) {
            return;
        }
        for identity in members {
            if self.is_mine(now, identity, effects) || self.is_barred(identity.node, now) {
                continue;
            }
            let known = self.known.get(&identity.node);
            let is_news = known.is_none_or(|known| {
                known.identity.start < identity.start || known.window.is_none()
            });
            if is_news {
                self.challenge(now, identity, effects);
            }
        }
    }

    fn on_seen(&mut self, now: Time, identity: Identity, effects: &mut Vec<Effect>) {
        if self.is_mine(now, &identity, effects) || self.is_barred(identity.node, now) {
            return;
        }
        let Some(known) = self.known.get(&identity.node) else {
            return;
        };
        if known.status == Status::Down || identity.start > known.identity.start {
            self.challenge(now, &identity, effects);
        }
    }

    fn on_forget(&mut self, now: Time, node: NodeId, effects: &mut Vec<Effect>) {
        if node == self.me().node {
            return;
        }
        self.barred.retain(|_, until| *until > now);
        if self.barred.len() == BARRED_MAX
            && let Some(first) = self.barred.iter().min_by_key(|(_, until)| **until)
        {
            let first = *first.0;
            self.barred.remove(&first);
        }
        self.barred.insert(node, now + BAR);
        self.inquiries.forget(node);
        self.swim.forget(now, node);
        if self.known.remove(&node).is_some() {
            effects.push(Effect::Forgotten(node));
        }
        effects.push(Effect::Remember);
    }

    fn on_reset(&mut self, now: Time, node: NodeId, effects: &mut Vec<Effect>) {
        // The others learn at once that they lost a member.
        self.swim.leave(now);
        self.send_swim(effects);
        let before = self.me();
        let me = Identity {
            node,
            epoch: self.rng.random(),
            ..before.renewed().unwrap_or(before)
        };
        let timing = Timing::new(self.settings.node_timeout);
        self.swim = Swim::new(me, timing, StdRng::from_seed(self.rng.random()));
        effects.extend(self.known.keys().copied().map(Effect::Forgotten));
        self.known.clear();
        self.barred.clear();
        self.inquiries = Inquiries::default();
        self.search = Search::new(now);
        effects.push(Effect::Remember);
    }

    fn on_configured(&mut self, settings: Settings) {
        self.envelope = Envelope::new(&settings);
        self.swim.configure(Timing::new(settings.node_timeout));
        self.settings = settings;
    }

    fn on_address_known(&mut self, now: Time, bus: SocketAddr, effects: &mut Vec<Effect>) {
        let me = self.me();
        if bus == me.bus {
            return;
        }
        if let Some(renewed) = me.renewed() {
            self.swim.become_identity(now, Identity { bus, ..renewed });
            self.search.hurry(now);
            self.search_when_due(now, effects);
        }
    }

    fn on_leave(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.swim.leave(now);
        self.send_swim(effects);
        self.is_silent = true;
    }

    /// Sends what foca wants sent.
    pub(crate) fn send_swim(&mut self, effects: &mut Vec<Effect>) {
        for (to, data) in self.swim.take_sends() {
            let sequence = self.sequence;
            self.sequence += 1;
            self.send(to.bus, &Packet::Swim { sequence, data }, effects);
        }
    }

    pub(crate) fn send(&mut self, to: SocketAddr, packet: &Packet, effects: &mut Vec<Effect>) {
        if self.is_silent || !can_be_reached(self.me().bus) || !can_be_reached(to) {
            return;
        }
        let bytes = self.envelope.seal(packet);
        self.stats.packets_out += 1;
        self.stats.bytes_out += bytes.len() as u64;
        effects.push(Effect::Send { to, bytes });
    }

    pub(crate) fn drop_for(&mut self, reason: Reason) {
        self.stats.drop_for(reason);
    }

    /// Takes over what foca knows by now, and tells what changed.
    fn compare(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.is_silent {
            return;
        }
        for update in self.swim.members() {
            if let Some(known) = self.known.get_mut(&update.id().node) {
                take_over(known, update, now, effects);
            }
        }
    }
}

/// Whether an address can be sent to.
pub(crate) fn can_be_reached(address: SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

fn recalled(member: Remembered, now: Time) -> Known {
    let mut addresses = member.addresses;
    addresses.truncate(ADDRESSES_MAX);
    let identity = Identity {
        node: member.node,
        start: member.start,
        renewal: 0,
        epoch: member.epoch,
        store: member.store,
        bus: addresses[0],
    };
    Known {
        addresses,
        ..Known::new(identity, now)
    }
}

fn take_over(known: &mut Known, update: &Update, now: Time, effects: &mut Vec<Effect>) {
    let identity = *update.id();
    if identity != known.identity && known.becomes(identity) {
        effects.push(Effect::Moved(identity));
        effects.push(Effect::Remember);
    }
    let status = match update.state() {
        State::Alive => Status::Alive,
        State::Suspect => Status::Suspect,
        State::Down => Status::Down,
    };
    let before = std::mem::replace(&mut known.status, status);
    if status == before {
        return;
    }
    known.since = now;
    if before == Status::Down {
        effects.push(Effect::Up(identity));
    }
    effects.extend(match status {
        Status::Suspect => Some(Effect::Suspected(identity.node)),
        Status::Alive if before == Status::Suspect => Some(Effect::Recovered(identity.node)),
        Status::Alive => None,
        Status::Down => Some(Effect::Down(identity.node)),
    });
}
