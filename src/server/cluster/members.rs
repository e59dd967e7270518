//! What membership tells, turned into links and into events for the core.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoalmq_core::event::Event;
use shoalmq_core::extras::{Extras, Features};
use shoalmq_core::id::NodeId;
use shoalmq_gossip::{Effect, Event as Gossip, Identity, Status};
use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::links::Link;
use super::{Cluster, Health, Member, dial};
use crate::bus::codec::{NodeState, Notice};
use crate::bus::handshake::Hello;
use crate::bus::{Claim, Profile};
use crate::server::clock;
use crate::server::driver::Driver;

/// How long gossip asks an address of CLUSTER MEET.
const MEETING: Duration = Duration::from_secs(15);
/// Wall clocks that differ by more than this are worth a warning: creation times order queues.
pub(super) const CLOCKS_APART_MS: u64 = 3_600_000;

impl Driver {
    /// CLUSTER MEET: asks who listens at this bus address, again and again for a while, and joins them.
    pub(crate) fn meet(&mut self, bus: SocketAddr) {
        self.find_own_address_for(bus);
        self.cluster.meeting.push(bus);
        self.cluster.meeting_until.push(Instant::now() + MEETING);
        self.gossip(Gossip::Meet(bus));
    }

    /// CLUSTER FORGET: the node is a member no more, here and, as far as they hear of it, at all others. False when it
    /// is not known.
    pub(crate) fn forget(&mut self, id: NodeId) -> bool {
        let known = self.cluster.members.contains_key(&id);
        if known {
            self.cluster.tell_all(&Notice::Forget(id));
            self.gossip(Gossip::Forget(id));
        }
        known
    }

    /// CLUSTER RESET: forgets all members. `renamed` is the new id of a hard one.
    pub(crate) fn reset_members(&mut self, renamed: Option<NodeId>) {
        self.cluster.meeting.clear();
        self.cluster.meeting_until.clear();
        self.gossip(renamed.map_or(Gossip::Reset, Gossip::Renamed));
    }

    /// Gives membership an event, and carries out what it asks for.
    pub(super) fn gossip(&mut self, event: Gossip) {
        let Some(running) = &mut self.cluster.running else {
            return;
        };
        let now = running.clock.now().time;
        let mut effects = Vec::new();
        running.membership.handle(now, event, &mut effects);
        running.arm();
        for effect in effects {
            self.carry_out_gossip(effect);
        }
    }

    fn carry_out_gossip(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, bytes } => {
                if let Some(running) = &self.cluster.running {
                    running.send(to, &bytes);
                }
            }
            Effect::Joined(identity) => self.join(&identity),
            Effect::Up(identity) => {
                self.cluster.has_met(identity.bus);
                self.note_health(identity.node, Health::Alive);
                self.cluster.hurry(&identity.node);
            }
            Effect::Recovered(node) => self.note_health(node, Health::Alive),
            Effect::Suspected(node) => self.note_health(node, Health::Suspect),
            Effect::Down(node) => self.note_health(node, Health::Down),
            Effect::Moved(identity) => self.note_move(&identity),
            Effect::Forgotten(node) => self.leave_behind(node),
            Effect::Myself(_) => {}
            Effect::Remember => {
                if let Some(running) = &self.cluster.running {
                    running.remember();
                }
            }
            Effect::Impostor { bus, start, store } => {
                error!(id = %self.identity.id, %bus, start, %store, "another process runs with this node's id and was started later, as a copy of its data folder would be: stopping, for only one of the two may go on");
                std::process::exit(1);
            }
        }
    }

    /// A node is a member from now on.
    pub(super) fn join(&mut self, identity: &Identity) {
        let id = identity.node;
        let Some(shared) = self
            .cluster
            .running
            .as_ref()
            .and_then(|running| running.shared.upgrade())
        else {
            return;
        };
        info!(peer = %id, address = %identity.bus, "member");
        let hurry = Arc::new(Notify::new());
        let task = tokio::spawn(dial::keep_linked(shared, id, Arc::clone(&hurry)));
        self.cluster.members.insert(id, Member::new(identity));
        self.cluster
            .links
            .insert(id, Link::new(task.abort_handle(), hurry));
        self.feed(Event::PeerKnown(id));
    }

    fn note_health(&mut self, id: NodeId, health: Health) {
        let Some(member) = self.cluster.members.get_mut(&id) else {
            return;
        };
        if member.health != health {
            info!(peer = %id, before = ?member.health, now = ?health, linked = member.linked, "health");
            member.health = health;
        }
        self.judge(&id);
    }

    fn note_move(&mut self, identity: &Identity) {
        let id = identity.node;
        let Some(member) = self.cluster.members.get_mut(&id) else {
            return;
        };
        if member.bus != identity.bus {
            info!(peer = %id, from = %member.bus, to = %identity.bus, "member moved");
            member.bus = identity.bus;
        }
        self.end_links_before(&id, identity.start);
        self.cluster.hurry(&id);
    }

    /// Links of processes of this node that were started before `start` are dead.
    pub(super) fn end_links_before(&mut self, id: &NodeId, start: u64) {
        if self
            .cluster
            .linked_start(id)
            .is_some_and(|linked| linked < start)
        {
            self.link_down(id);
        }
        if self
            .cluster
            .inbound
            .get(id)
            .is_some_and(|inbound| inbound.start < start)
        {
            self.cluster.inbound.remove(id);
            self.judge(id);
        }
    }

    /// A member is none any more.
    fn leave_behind(&mut self, id: NodeId) {
        info!(peer = %id, "member forgotten");
        self.link_down(&id);
        self.cluster.links.remove(&id);
        self.cluster.inbound.remove(&id);
        self.cluster.members.remove(&id);
        self.feed(Event::PeerForgotten(id));
    }

    /// A handshake told who a node is by now.
    pub(super) fn seen(&mut self, claim: &Claim) {
        self.gossip(Gossip::Seen(identity(claim)));
    }

    /// A peer tells how it is, and whom it knows.
    pub(super) fn note_state(&mut self, from: NodeId, state: &NodeState) {
        if let Some(member) = self.cluster.members.get_mut(&from) {
            member.adopt(&state.profile);
        }
        let members = state.members.iter().map(identity).collect();
        self.gossip(Gossip::Members { from, members });
    }

    /// A member was told to forget another one, and passes it on.
    pub(super) fn note_forget(&mut self, from: NodeId, id: NodeId) {
        if id != self.node.id() {
            info!(%from, %id, "told to forget a node");
            self.gossip(Gossip::Forget(id));
        }
    }

    /// What this node says at the start of each link.
    pub(super) fn own_hello(&self) -> Option<Hello> {
        let running = self.cluster.running.as_ref()?;
        Some(Hello {
            claim: claim(&running.membership.me()),
            profile: self.own_profile(),
            extras: Extras::NONE,
        })
    }

    /// What this node tells all the time.
    pub(super) fn own_state(&self) -> Option<NodeState> {
        let running = self.cluster.running.as_ref()?;
        let members = running.membership.members();
        Some(NodeState {
            profile: self.own_profile(),
            members: members.map(|member| claim(&member.identity)).collect(),
            extras: Extras::NONE,
        })
    }

    fn own_profile(&self) -> Profile {
        let ip = self.own_ip();
        Profile {
            client: SocketAddr::new(ip, self.port),
            name: self.own_name(),
            zone: self.config.zone.clone(),
            software: env!("CARGO_PKG_VERSION").to_owned(),
            leaving: self.node.is_going(),
            wall_ms: clock::wall().0,
            features: if self.config.topics {
                Features::KNOWN
            } else {
                Features::KNOWN.without(Features::TOPICS)
            },
            extras: Extras::NONE,
        }
    }

    /// What is done for the cluster once a second.
    pub(super) fn tell_peers(&mut self) {
        let now = Instant::now();
        let until = std::mem::take(&mut self.cluster.meeting_until);
        let keep: Vec<bool> = until.iter().map(|until| *until > now).collect();
        self.cluster.meeting_until = until.into_iter().filter(|until| *until > now).collect();
        let mut keep = keep.into_iter();
        self.cluster
            .meeting
            .retain(|_| keep.next().unwrap_or(false));
        if let Some(state) = self.own_state() {
            self.cluster.tell_all(&Notice::Node(Box::new(state)));
        }
        self.feed(Event::LogFailing(self.health.refuses_jobs()));
    }

    /// The core was replaced by one that knows nobody: tells it all again.
    pub(crate) fn introduce_members(&mut self) {
        let known = self.cluster.members.keys();
        let ids: Vec<NodeId> = known.chain(&self.cluster.recalled).copied().collect();
        for id in ids {
            self.feed(Event::PeerKnown(id));
            // What is on its way belongs to the former one.
            self.link_down(&id);
            self.cluster.hurry(&id);
        }
        self.forget_barred();
    }

    /// The log may have lost that they were forgotten: acks would wait for them for ever.
    pub(super) fn forget_barred(&mut self) {
        let Some(running) = &self.cluster.running else {
            return;
        };
        for (id, _) in running.membership.memory().barred {
            if !self.cluster.members.contains_key(&id) {
                self.feed(Event::PeerForgotten(id));
            }
        }
    }
}

impl Cluster {
    /// Dials this member now instead of later.
    fn hurry(&self, id: &NodeId) {
        if let Some(link) = self.links.get(id) {
            link.hurry.notify_one();
        }
    }

    fn has_met(&mut self, bus: SocketAddr) {
        while let Some(at) = self.meeting.iter().position(|meeting| *meeting == bus) {
            self.meeting.remove(at);
            self.meeting_until.remove(at);
        }
    }
}

impl Member {
    fn new(identity: &Identity) -> Self {
        Member {
            id: identity.node,
            bus: identity.bus,
            client: None,
            name: None,
            store: Some(identity.store),
            zone: String::new(),
            keeps_topics: false,
            leaving: false,
            health: Health::Down,
            linked: false,
            ping_sent: 0,
            pong_received: 0,
            skew_ms: 0,
            software: String::new(),
        }
    }

    /// Takes over what the node says of itself.
    pub(super) fn adopt(&mut self, profile: &Profile) {
        let wall = clock::wall().0;
        self.skew_ms = profile
            .wall_ms
            .cast_signed()
            .saturating_sub(wall.cast_signed());
        self.software.clone_from(&profile.software);
        if self.client.is_none() && profile.wall_ms.abs_diff(wall) > CLOCKS_APART_MS {
            warn!(peer = %self.id, here_ms = wall, there_ms = profile.wall_ms, "wall clocks differ by more than an hour");
        }
        if !profile.client.ip().is_unspecified() {
            self.client = Some(profile.client);
        }
        self.name.clone_from(&profile.name);
        self.zone.clone_from(&profile.zone);
        self.keeps_topics = profile.features.knows(Features::TOPICS);
        self.leaving = profile.leaving;
    }
}

impl From<Status> for Health {
    fn from(status: Status) -> Self {
        match status {
            Status::Alive => Health::Alive,
            Status::Suspect => Health::Suspect,
            Status::Down => Health::Down,
        }
    }
}

fn claim(identity: &Identity) -> Claim {
    let Identity {
        node,
        start,
        renewal,
        epoch,
        store,
        bus,
    } = *identity;
    Claim {
        node,
        start,
        renewal,
        epoch,
        store,
        bus,
    }
}

fn identity(claim: &Claim) -> Identity {
    let Claim {
        node,
        start,
        renewal,
        epoch,
        store,
        bus,
    } = *claim;
    Identity {
        node,
        start,
        renewal,
        epoch,
        store,
        bus,
    }
}
