//! What can be seen of a world: enough to tell whether two histories have led to the same.
//!
//! Times are left out, but for whether they are over: the history decides when a node ticks. Stamps of registers are
//! replaced by their order.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::world::{Parcel, SEATS, World};
use crate::extras::{Extras, Tag};
use crate::id::{JobId, NodeId};
use crate::job::JobState;
use crate::message::Message;
use crate::moving::wait_told;
use crate::node::Node;
use crate::register::{Moved, Rank};
use crate::time::Time;

/// A job on a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Look {
    pub(super) state: JobLook,
    pub(super) rank: Option<Rank>,
    /// Nacks, additional deliveries, hand-outs.
    counters: (u32, u32, u32),
    holders: BTreeSet<NodeId>,
    /// Who is known to know of the ack.
    heard: BTreeSet<NodeId>,
}

/// Where it stands there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is read from the node as it is"
)]
pub(super) struct JobLook {
    is_queued: bool,
    is_acked: bool,
    place: String,
    pub(super) is_ours: bool,
    pub(super) is_announced: bool,
    ending: String,
    queue: Vec<u8>,
    is_due: bool,
    is_expired: bool,
}

impl Look {
    /// It waits there without the turn, and nobody was asked for it.
    pub(super) fn is_bystander(&self) -> bool {
        let JobLook {
            is_queued,
            is_acked,
            is_ours,
            is_announced,
            ..
        } = self.state;
        !(is_queued || is_acked || is_ours || is_announced)
    }

    pub(super) fn queue(&self) -> &[u8] {
        &self.state.queue
    }

    pub(super) fn is_queued(&self) -> bool {
        self.state.is_queued
    }
}

/// What a node has of the jobs.
pub(super) fn looks(world: &World, seat: usize) -> Vec<Option<Look>> {
    let now = Time::from_millis(world.time);
    let look = |(id, _): &(JobId, _)| look(world.node(seat), now, id);
    world.jobs.iter().map(look).collect()
}

fn look(node: &Node, now: Time, id: &JobId) -> Option<Look> {
    let key = node.jobs.find(id)?;
    let job = &node.jobs[key];
    let ids = |set: crate::members::NodeSet| set.iter().map(|peer| node.peers.get(peer).id);
    let queue = node.queue_of(id).map(|queue| queue.as_bytes().to_vec());
    let heard = node.collections.get(key).map(|it| ids(it.heard).collect());
    Some(Look {
        state: JobLook {
            is_queued: job.state() == JobState::Queued,
            is_acked: job.state() == JobState::Acked,
            place: format!("{:?}", job.place()),
            is_ours: job.is_ours(),
            is_announced: job.is_announced(),
            ending: format!("{:?}", job.ending),
            queue: queue.unwrap_or_default(),
            is_due: job.due <= now,
            is_expired: job.expires() <= now,
        },
        rank: node.register_of(key).map(|register| register.rank()),
        counters: (
            job.nacks,
            job.additional_deliveries,
            node.deliveries(key, false),
        ),
        holders: ids(job.holders).collect(),
        heard: heard.unwrap_or_default(),
    })
}

/// A message that the history delivers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MessageLook {
    kind: &'static str,
    between: (usize, usize),
    id: JobId,
    rank: Option<Rank>,
    /// Nacks, additional deliveries, hand-outs.
    counters: (u32, u32, Vec<u8>),
    is_wait: bool,
    holders: Vec<NodeId>,
}

fn message_look(parcel: &Parcel) -> MessageLook {
    let (kind, id, extras, counted, holders): (_, _, &Extras, _, _) = match &parcel.message {
        Message::Moved { id, extras } => ("moved", id, extras, (0, 0), Vec::new()),
        Message::WillQueue { id, extras } => ("will queue", id, extras, (0, 0), Vec::new()),
        Message::Working { id, extras, .. } => ("working", id, extras, (0, 0), Vec::new()),
        Message::Queued {
            id,
            nacks,
            additional_deliveries,
            extras,
        } => {
            let counted = (*nacks, *additional_deliveries);
            ("queued", id, extras, counted, Vec::new())
        }
        Message::SetAck {
            id,
            extras,
            holders,
            ..
        } => ("set ack", id, extras, (0, 0), holders.to_vec()),
        other => panic!("{other:?} arrives at once"),
    };
    let moved = Moved::of(extras);
    let deliveries = extras.get(Tag::DELIVERIES).unwrap_or_default().to_vec();
    let (nacks, additional) = moved
        .as_ref()
        .map_or(counted, |moved| (moved.nacks, moved.additional_deliveries));
    MessageLook {
        kind,
        between: (parcel.from, parcel.to),
        id: *id,
        rank: moved.map(|moved| moved.register.rank()),
        counters: (nacks, additional, deliveries),
        is_wait: wait_told(extras).is_some(),
        holders,
    }
}

/// Two worlds with the same fingerprint have, as far as can be seen, the same ends before them. `beside` is what else
/// counts: what the history may still do.
pub(super) fn fingerprint(world: &World, beside: &impl Hash) -> u64 {
    let mut nodes: Vec<Option<Vec<Option<Look>>>> = (0..SEATS)
        .map(|seat| world.is_running(seat).then(|| looks(world, seat)))
        .collect();
    let mut messages: Vec<MessageLook> = world.wire.iter().map(message_look).collect();
    let mut known: Vec<_> = world.jobs.iter().map(|(_, known)| known.clone()).collect();
    let mut ranks: Vec<&mut Rank> = Vec::new();
    let in_nodes = nodes.iter_mut().flatten().flatten().flatten();
    ranks.extend(in_nodes.filter_map(|look| look.rank.as_mut()));
    ranks.extend(messages.iter_mut().filter_map(|look| look.rank.as_mut()));
    ranks.extend(known.iter_mut().filter_map(|known| known.highest.as_mut()));
    let stamps: BTreeSet<u64> = ranks.iter().map(|rank| rank.2).collect();
    for rank in ranks {
        rank.2 = stamps.range(..rank.2).count() as u64;
    }
    messages.sort_by_cached_key(|look| {
        let mut hasher = DefaultHasher::new();
        look.hash(&mut hasher);
        hasher.finish()
    });
    let mut hasher = DefaultHasher::new();
    (nodes, messages, world.away).hash(&mut hasher);
    for known in known {
        (known.acked, known.handed_out, known.highest).hash(&mut hasher);
    }
    beside.hash(&mut hasher);
    hasher.finish()
}

/// How a message reads in the story of a history.
pub(super) fn told(parcel: &Parcel) -> String {
    let look = message_look(parcel);
    let (from, to) = look.between;
    let rank = look.rank.map(|rank| (rank.0, rank.1));
    format!("{} from {from} to {to} {rank:?}", look.kind)
}
