//! The link to each member, as the owner of the node sees it: whether it is up, and what is put into it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoalmq_core::event::{Event, PeerUp};
use shoalmq_core::id::NodeId;
use shoalmq_core::message::Message;
use shoalmq_core::telling::WAIT_MICROS;
use shoalmq_storage::journal::Position;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tracing::{debug, info, warn};

use super::outbox::{NotSent, Outbox};
use super::{Cluster, Health, Member};
use crate::bus::codec::Notice;
use crate::bus::handshake::Hello;
use crate::server::clock;
use crate::server::driver::Driver;
use crate::server::reading::Access;

/// What may wait for a peer before it gets no more copies: half a second of a fast network. Twice that, and it is too slow
/// to be of use, while its memory is missing here. Less when the node itself has little.
const OUTBOX_BYTES: u64 = 64 << 20;
const OUTBOX_SHARE: u64 = 10;

/// A link that we dial, up or not.
#[derive(Debug)]
pub(super) struct Link {
    task: AbortHandle,
    /// Dial now: the peer is said to be back, or to have moved.
    pub(super) hurry: Arc<Notify>,
    /// Set while it is up.
    up: Option<Up>,
    /// The generation of the process that it last led to.
    last_start: Option<u64>,
    /// What the core was last told.
    failing: bool,
}

/// A link that is up.
#[derive(Debug)]
struct Up {
    outbox: Arc<Outbox>,
    /// Something waits that the task was not woken for.
    unwoken: bool,
    /// It failed, and the core is yet to be told.
    broken: bool,
    /// When the peer was last heard of.
    heard: Instant,
    number: u64,
    pinged: Option<u64>,
    pinged_at: Instant,
}

impl Link {
    pub(super) fn new(task: AbortHandle, hurry: Arc<Notify>) -> Self {
        Link {
            task,
            hurry,
            up: None,
            last_start: None,
            failing: false,
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cluster {
    /// Puts a message into the link to a peer, if that is up. The peer hears of it once the log is on disk up to `gate`.
    ///
    /// With `access` to bodies that the message lacks, these are read when it is its turn.
    pub(crate) fn send(
        &mut self,
        to: &NodeId,
        message: Message,
        gate: Position,
        max_memory: u64,
        access: Option<Access>,
    ) {
        let Some(up) = self.links.get_mut(to).and_then(|link| link.up.as_mut()) else {
            return;
        };
        if up.broken {
            return;
        }
        match up
            .outbox
            .send(message, gate, outbox_limit(max_memory), access)
        {
            Ok(()) => {
                self.messages_sent += 1;
                if !up.unwoken {
                    up.unwoken = true;
                    self.unwoken.push(*to);
                }
            }
            Err(NotSent::Behind) => self.copies_held_back += 1,
            Err(NotSent::Full) => {
                up.broken = true;
                self.broken.push(*to);
                self.outboxes_overflowed += 1;
                warn!(peer = %to, waiting = up.outbox.pending(), "the peer takes too little: the link restarts");
            }
            Err(NotSent::TooLong(length)) => {
                warn!(peer = %to, length, "a message that fits no frame was not sent");
            }
        }
    }

    /// Wakes the links that something was put into.
    pub(crate) fn wake(&mut self) {
        for id in self.unwoken.drain(..) {
            if let Some(up) = self.links.get_mut(&id).and_then(|link| link.up.as_mut()) {
                up.unwoken = false;
                up.outbox.arrived.notify_one();
            }
        }
    }

    pub(crate) fn take_broken(&mut self) -> Option<NodeId> {
        self.broken.pop()
    }

    /// Puts something of the links' own into all that are up.
    pub(super) fn tell_all(&self, notice: &Notice) {
        for up in self.links.values().filter_map(|link| link.up.as_ref()) {
            up.outbox.send_notice(notice);
        }
    }

    /// The task of this link sends a ping: returns its number, unless one is still unanswered.
    pub(super) fn ping(&mut self, id: &NodeId) -> Option<u64> {
        let up = self.links.get_mut(id)?.up.as_mut()?;
        if up.pinged.is_some() {
            return None;
        }
        up.number += 1;
        up.pinged = Some(up.number);
        up.pinged_at = Instant::now();
        if let Some(member) = self.members.get_mut(id) {
            member.ping_sent = clock::wall().0;
        }
        Some(up.number)
    }

    /// The peer at the other end of our link lives: it answered this ping, or is busy with what it got before.
    pub(super) fn heard(&mut self, id: &NodeId, number: u64) {
        let (Some(link), Some(member)) = (self.links.get_mut(id), self.members.get_mut(id)) else {
            return;
        };
        if let Some(up) = &mut link.up {
            up.heard = Instant::now();
            if up.pinged == Some(number) {
                let took = up.pinged_at.elapsed().as_micros() as u64;
                self.pings.add(&WAIT_MICROS, took);
                up.pinged = None;
                member.ping_sent = 0;
            }
            member.pong_received = clock::wall().0;
        }
    }

    /// Bytes that wait to be written to peers.
    pub(crate) fn unsent_bytes(&self) -> u64 {
        let ups = self.links.values().filter_map(|link| link.up.as_ref());
        ups.map(|up| up.outbox.pending() as u64).sum()
    }

    pub(super) fn is_current(&self, id: &NodeId, outbox: &Arc<Outbox>) -> bool {
        let up = self.links.get(id).and_then(|link| link.up.as_ref());
        up.is_some_and(|up| Arc::ptr_eq(&up.outbox, outbox))
    }

    /// The generation of the process that our link leads to, if it is up.
    pub(super) fn linked_start(&self, id: &NodeId) -> Option<u64> {
        let link = self.links.get(id)?;
        link.up.as_ref().and(link.last_start)
    }
}

/// How much may wait for one peer.
fn outbox_limit(max_memory: u64) -> usize {
    let share = match max_memory {
        0 => OUTBOX_BYTES,
        bytes => bytes / OUTBOX_SHARE,
    };
    share.min(OUTBOX_BYTES) as usize
}

impl Driver {
    /// Our link to a member is up. Returns what is to be written to it; none when it is a member no more.
    pub(super) fn link_up(&mut self, id: &NodeId, hello: &Hello) -> Option<Arc<Outbox>> {
        let zone = self.config.zone.clone();
        let (member, link) = (
            self.cluster.members.get_mut(id)?,
            self.cluster.links.get_mut(id)?,
        );
        member.meet(hello);
        if self.loading.is_some() {
            // The core that is to hear of it is not there yet.
            self.cluster.answer_time(hello);
            return None;
        }
        member.linked = true;
        let start = hello.claim.start;
        let restarted = link.last_start.is_some_and(|last| last != start);
        let outbox = Arc::new(Outbox::default());
        link.last_start = Some(start);
        link.up = Some(Up {
            outbox: Arc::clone(&outbox),
            unwoken: false,
            broken: false,
            heard: Instant::now(),
            number: 0,
            pinged: None,
            pinged_at: Instant::now(),
        });
        info!(peer = %id, address = %hello.claim.bus, start, store = %hello.claim.store, software = hello.profile.software, restarted, "link up");
        self.seen(&hello.claim);
        if let Some(state) = self.own_state() {
            outbox.send_notice(&Notice::Node(Box::new(state)));
        }
        self.feed(Event::PeerUp(PeerUp {
            id: *id,
            store: hello.claim.store,
            restarted,
            same_zone: hello.profile.zone == zone,
            zone: zone_number(&hello.profile.zone),
            features: hello.profile.features,
        }));
        self.judge(id);
        Some(outbox)
    }

    /// Our link to a peer is of no more use.
    pub(crate) fn link_down(&mut self, id: &NodeId) {
        let Some(link) = self.cluster.links.get_mut(id) else {
            return;
        };
        let Some(up) = link.up.take() else {
            return;
        };
        up.outbox.close();
        if let Some(member) = self.cluster.members.get_mut(id) {
            member.linked = false;
            member.ping_sent = 0;
        }
        info!(peer = %id, unsent = up.outbox.pending(), "link down");
        self.feed(Event::PeerDown(*id));
    }

    /// Looks how fresh each link is: ends those that were silent for too long, and tells the core whom not to count on.
    pub(crate) fn watch_links(&mut self) {
        let failing = self.health.refuses_jobs();
        if std::mem::replace(&mut self.cluster.log_failing, failing) != failing {
            self.feed(Event::LogFailing(failing));
        }
        let timeout = self.config.cluster_node_timeout;
        let now = Instant::now();
        let before = self.cluster.watched.replace(now);
        // When this process stood still, the silence is its own.
        let gap = before.map_or(Duration::ZERO, |before| now - before);
        let stood_still = gap > timeout / 3;
        let ids: Vec<NodeId> = self.cluster.links.keys().copied().collect();
        for id in ids {
            let Some(link) = self.cluster.links.get_mut(&id) else {
                continue;
            };
            if let Some(up) = &mut link.up {
                if stood_still {
                    up.heard += gap;
                }
                if now.saturating_duration_since(up.heard) > timeout {
                    debug!(peer = %id, ?timeout, "no pong");
                    self.link_down(&id);
                }
            }
            self.judge(&id);
        }
    }

    /// Tells the core whether to count on this peer, when that changed. A fresh link knows better than gossip; one that has
    /// been silent for most of the timeout makes gossip's word unnecessary. Who has no link to us cannot answer what it is
    /// asked, as long as that lasts.
    pub(super) fn judge(&mut self, id: &NodeId) {
        let timeout = self.config.cluster_node_timeout;
        let answers = self.cluster.inbound.contains_key(id);
        let (Some(link), Some(member)) =
            (self.cluster.links.get_mut(id), self.cluster.members.get(id))
        else {
            return;
        };
        let silent = link.up.as_ref().map(|up| up.heard.elapsed());
        let failing = match silent {
            Some(_) if !answers => true,
            Some(silent) if silent < timeout / 3 => false,
            Some(silent) if silent > timeout * 2 / 3 => true,
            Some(_) | None => member.health != Health::Alive,
        };
        if failing != link.failing {
            link.failing = failing;
            self.feed(Event::PeerFailing(*id, failing));
        }
    }
}

impl Member {
    /// Takes over what the node says of itself in a handshake.
    pub(super) fn meet(&mut self, hello: &Hello) {
        self.store = Some(hello.claim.store);
        self.adopt(&hello.profile);
    }
}

/// A number for a zone, by which this process tells zones apart.
fn zone_number(zone: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    zone.hash(&mut hasher);
    hasher.finish()
}
