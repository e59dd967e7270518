//! What peers want of the queues of this node, and feeding them.
//!
//! A ready job goes at once to a peer where a client waits for it. To a peer where nobody waits it goes only when it has
//! been ready for a moment, for a client here may be about to take it.
//!
//! A queue that nobody here has a job of need not exist here: interest is kept by name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::effect::Effect;
use crate::id::{Guarantee, QueueName};
use crate::job::JobKey;
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::message::Message;
use crate::node::Node;
use crate::planted::Bug;
use crate::queue::QueueKey;
use crate::time::Time;

/// Numbers of jobs: what NEEDJOBS tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Need {
    /// Jobs of any kind.
    pub(super) count: u64,
    /// Of these, how many may be at-most-once jobs.
    pub(super) waiting: u64,
    /// Of these, how many go as soon as they are ready.
    pub(super) at_once: u64,
}

impl Need {
    /// What a peer said, within bounds.
    pub(crate) fn told(count: u32, waiting: u32, at_once: u32) -> Self {
        let bounded = |number| u64::from(number).min(limits::CREDIT);
        Need {
            count: bounded(count),
            waiting: bounded(waiting),
            at_once: bounded(at_once),
        }
    }

    /// This many jobs were sent.
    pub(super) fn meet(&mut self, jobs: u64) {
        self.count = self.count.saturating_sub(jobs);
        self.waiting = self.waiting.saturating_sub(jobs);
        self.at_once = self.at_once.saturating_sub(jobs);
    }
}

/// What one peer wants of one queue.
#[derive(Debug, Clone, Copy)]
struct Interest {
    need: Need,
    expires: Time,
    /// When it was last fed, in numbers of jobs: who was fed longest ago goes first.
    fed: u64,
}

/// What peers want of one queue.
#[derive(Debug)]
struct Wanted {
    peers: BTreeMap<PeerKey, Interest>,
    /// When they are fed next, if nothing happens before; [`Time::NEVER`] when nothing is known to be for them.
    feed_at: Time,
}

/// What peers want.
#[derive(Debug, Default)]
pub(crate) struct Interests {
    by_name: BTreeMap<QueueName, Wanted>,
    name_bytes: usize,
    /// Jobs shipped so far.
    shipped: u64,
    /// When peers are fed which queue: more follows than went at once, or a job has stayed here for long enough.
    agenda: BTreeSet<(Time, QueueName)>,
}

impl Interests {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Queues that peers want jobs of.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn name_bytes(&self) -> usize {
        self.name_bytes
    }

    /// Panics if what it says of itself does not hold.
    pub(super) fn check(&self) {
        let bytes: usize = self.by_name.keys().map(|name| name.as_bytes().len()).sum();
        assert_eq!(bytes, self.name_bytes, "names of interest are counted");
        let kept = self.by_name.values().all(|it| !it.peers.is_empty());
        assert!(kept, "interest is somebody's");
        let planned = self.by_name.iter().map(|(name, it)| (it.feed_at, name));
        let planned = planned.filter(|(when, _)| *when != Time::NEVER);
        let planned: BTreeSet<_> = planned.map(|(when, name)| (when, name.clone())).collect();
        assert_eq!(planned, self.agenda, "peers are fed when it is time");
    }

    /// When peers are to be fed next.
    pub(super) fn next(&self) -> Option<Time> {
        self.agenda.first().map(|&(when, _)| when)
    }

    /// The queues whose peers are to be fed now.
    pub(super) fn due(&mut self, now: Time) -> Vec<QueueName> {
        let mut due = Vec::new();
        while let Some((_, name)) = self.agenda.first().filter(|(when, _)| *when <= now) {
            let name = name.clone();
            self.plan(&name, Time::NEVER);
            due.push(name);
        }
        due
    }

    /// Sets when the peers of a queue are fed next.
    fn plan(&mut self, queue: &QueueName, when: Time) {
        let Some(wanted) = self.by_name.get_mut(queue) else {
            return;
        };
        let before = std::mem::replace(&mut wanted.feed_at, when);
        if before != when {
            self.agenda.remove(&(before, queue.clone()));
            if when != Time::NEVER {
                self.agenda.insert((when, queue.clone()));
            }
        }
    }

    /// Whether a job that has just become ready may go to a peer now. If not, it is looked at in time.
    fn may_go(&self, queue: &QueueName) -> bool {
        self.by_name.get(queue).is_some_and(|wanted| {
            let at_once = |interest: &Interest| interest.need.at_once > 0;
            wanted.feed_at == Time::NEVER || wanted.peers.values().any(at_once)
        })
    }

    /// Sets what a peer wants; returns whether that is more than nothing.
    fn set(&mut self, now: Time, peer: PeerKey, queue: &QueueName, need: Need) -> bool {
        if need.count == 0 {
            self.remove(queue, peer);
            return false;
        }
        if !self.by_name.contains_key(queue) {
            let bytes = self.name_bytes + queue.as_bytes().len();
            // Who is refused asks again with the next refresh.
            if self.by_name.len() >= limits::INTERESTS || bytes > limits::INTEREST_NAME_BYTES {
                return false;
            }
            self.name_bytes = bytes;
        }
        let wanted = self.by_name.entry(queue.clone()).or_insert(Wanted {
            peers: BTreeMap::new(),
            feed_at: Time::NEVER,
        });
        let fed = wanted.peers.get(&peer).map_or(0, |interest| interest.fed);
        let interest = Interest {
            need,
            expires: now + limits::INTEREST_EXPIRES,
            fed,
        };
        wanted.peers.insert(peer, interest);
        true
    }

    fn remove(&mut self, queue: &QueueName, peer: PeerKey) {
        if let Some(wanted) = self.by_name.get_mut(queue) {
            wanted.peers.remove(&peer);
            if wanted.peers.is_empty() {
                self.plan(queue, Time::NEVER);
                self.by_name.remove(queue);
                self.name_bytes -= queue.as_bytes().len();
            }
        }
    }

    /// Drops what holds no more.
    fn retain(&mut self, mut keep: impl FnMut(PeerKey, &Interest) -> bool) {
        let Interests {
            by_name,
            name_bytes,
            agenda,
            ..
        } = self;
        by_name.retain(|name, wanted| {
            wanted.peers.retain(|&peer, interest| keep(peer, interest));
            let kept = !wanted.peers.is_empty();
            if !kept {
                *name_bytes -= name.as_bytes().len();
                agenda.remove(&(wanted.feed_at, name.clone()));
            }
            kept
        });
    }

    pub(super) fn forget_peer(&mut self, peer: PeerKey) {
        self.retain(|other, _| other != peer);
    }

    pub(super) fn expire(&mut self, now: Time) {
        self.retain(|_, interest| interest.expires > now);
    }

    /// Peers where clients want jobs of this queue.
    pub(crate) fn peers_of(&self, queue: &QueueName) -> NodeSet {
        let wanted = self.by_name.get(queue);
        let peers = wanted.into_iter().flat_map(|wanted| wanted.peers.keys());
        peers.copied().fold(NodeSet::EMPTY, NodeSet::with)
    }

    /// Queues that this peer wants jobs of.
    pub(super) fn of_peer(&self, peer: PeerKey) -> Vec<QueueName> {
        let wanted = self.by_name.iter();
        wanted
            .filter(|(_, it)| it.peers.contains_key(&peer))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

/// Jobs on their way out, for one peer.
#[derive(Debug, Default)]
struct Load {
    jobs: Vec<JobKey>,
    bytes: usize,
}

/// What goes out now, and when there may be more.
#[derive(Debug)]
struct Shipment {
    loads: BTreeMap<PeerKey, Load>,
    /// When the first job that must stay for a moment may go.
    next: Time,
}

impl Load {
    fn is_full(&self) -> bool {
        self.jobs.len() >= limits::SHIP_JOBS || self.bytes >= limits::SHIP_BYTES
    }
}

impl Node {
    pub(crate) fn on_need_jobs(
        &mut self,
        now: Time,
        from: PeerKey,
        queue: &QueueName,
        need: Need,
        effects: &mut Vec<Effect>,
    ) {
        if self.federation.interests.set(now, from, queue, need) {
            self.sweep_federation(now);
            self.feed_by_name(now, queue, effects);
        }
    }

    /// As [`Node::feed_peers`], if the queue is known; whatever was planned.
    pub(super) fn feed_by_name(&mut self, now: Time, name: &QueueName, effects: &mut Vec<Effect>) {
        self.federation.interests.plan(name, Time::NEVER);
        if let Some(queue) = self.queues.find(name.as_bytes()) {
            self.feed_peers(now, queue, effects);
        }
    }

    /// Whether anybody, here or elsewhere, may take what comes into the queue.
    pub(crate) fn is_wanted(&self, queue: QueueKey) -> bool {
        !self.queues[queue].waiters.is_empty() || !self.federation.interests.is_empty()
    }

    /// Ships ready jobs that no client here waits for to the peers that want them.
    pub(crate) fn feed_peers(&mut self, now: Time, queue: QueueKey, effects: &mut Vec<Effect>) {
        let ready = &self.queues[queue];
        if self.federation.interests.is_empty() || ready.len == 0 || ready.pause.output {
            return;
        }
        let name = ready.name.clone();
        if !self.federation.interests.may_go(&name) {
            return;
        }
        let Shipment { loads, mut next } = self.load(now, queue, &name);
        for (peer, load) in loads {
            if load.is_full() {
                next = next.min(now + limits::SHIP_PAUSE);
            }
            let jobs: Vec<_> = load
                .jobs
                .into_iter()
                .map(|key| self.ship(now, key, peer, effects))
                .collect();
            self.send(peer, Message::YourJobs(jobs), effects);
        }
        self.federation.interests.plan(&name, next);
        self.set_federation_timer();
    }

    /// Chooses what goes where: oldest jobs first, each to the peer that was fed longest ago.
    fn load(&mut self, now: Time, queue: QueueKey, name: &QueueName) -> Shipment {
        let (mut loads, mut next) = (BTreeMap::<PeerKey, Load>::new(), Time::NEVER);
        let mut keep = self.federation.reserve(now, name);
        let asked_here = self.federation.wants(name);
        let stay = if self.has(Bug::NoStay) {
            Duration::ZERO
        } else {
            limits::STAYS_READY
        };
        let takers = self.peers.up().and(self.peers.staying());
        let interests = &mut self.federation.interests;
        let Some(Wanted { peers, .. }) = interests.by_name.get_mut(name) else {
            return Shipment { loads, next };
        };
        let mut open = NodeSet::EMPTY;
        let mut looks = limits::SHIP_LOOKS;
        for (&peer, interest) in peers.iter() {
            if interest.need.count > 0 && interest.expires > now && takers.contains(peer) {
                open.insert(peer);
                looks += interest.need.count as usize;
            }
        }
        for key in self.queues[queue].oldest(&self.jobs).take(looks) {
            if open.is_empty() {
                break;
            }
            let job = &self.jobs[key];
            if self.queues.mark_takes(job, || self.jobs.extras(key)) {
                continue;
            }
            if job.moves > 0 && keep > 0 {
                keep -= 1;
                continue;
            }
            // What went around in vain stays where clients ask now and then: else two that poll by turns never see it.
            let tired = job.moves >= limits::MOVES;
            if tired && asked_here {
                continue;
            }
            // A job that nothing queues again, or that is tired, goes only to a client that waits.
            let now_only = tired || job.guarantee() == Guarantee::AtMostOnce;
            let stays = stay.saturating_sub(job.in_state_for(now));
            let fits = |peer: &PeerKey| {
                let need = peers[peer].need;
                (!now_only || need.waiting > 0) && (stays.is_zero() || need.at_once > 0)
            };
            let knowing = open.and(self.peers.knowing(&self.jobs.extras(key)));
            let Some(peer) = knowing
                .iter()
                .filter(fits)
                .min_by_key(|peer| peers[peer].fed)
            else {
                if !stays.is_zero() {
                    next = next.min(now + stays);
                }
                continue;
            };
            let interest = peers.get_mut(&peer).expect("it was just found");
            interests.shipped += 1;
            interest.fed = interests.shipped;
            interest.need.meet(1);
            let load = loads.entry(peer).or_default();
            load.jobs.push(key);
            load.bytes += job.body.len();
            if load.is_full() || interest.need.count == 0 {
                open.remove(peer);
            }
        }
        Shipment { loads, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interest_is_bounded_in_names_and_bytes() {
        let mut interests = Interests::default();
        let mut peers = crate::members::Peers::default();
        let peer = peers.find_or_add(&crate::id::NodeId::from_bytes([1; 20]));
        let peer = peer.expect("there is a slot");
        let mut want = |name: &[u8], count| {
            let name = QueueName::new(name);
            let need = Need::told(count, count, count);
            let wanted = interests.set(Time::ZERO, peer, &name, need);
            interests.check();
            (wanted, interests.len(), interests.name_bytes())
        };
        let most = limits::INTEREST_NAME_BYTES;
        assert_eq!(want(&vec![1; most], u32::MAX), (true, 1, most));
        assert_eq!(want(b"more", 1), (false, 1, most));
        assert_eq!(want(&vec![1; most], 0), (false, 0, 0));
        let names = u32::try_from(limits::INTERESTS).expect("not that many");
        for number in 0..=names {
            let name = QueueName::new(&number.to_le_bytes());
            let wanted = interests.set(Time::ZERO, peer, &name, Need::told(1, 1, 1));
            assert_eq!(wanted, number < names);
        }
        interests.expire(Time::ZERO + limits::INTEREST_EXPIRES);
        interests.check();
        assert!(interests.is_empty());
    }
}
