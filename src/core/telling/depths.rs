//! How many jobs queues have, and what goes in and out, for scalers and people: of this node, or added up over all.

use std::cmp::Reverse;
use std::time::Duration;

use crate::command::{PauseState, QueueList, QueuesWanted};
use crate::id::QueueName;
use crate::limits;
use crate::node::Node;
use crate::queue::{Queue, QueueKey};
use crate::telling::answers;
use crate::telling::rate::Recent;
use crate::telling::shares::Depths;
use crate::time::Time;
use crate::topic::{Case, matches};

/// What the node tells about a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepths {
    /// Its name.
    pub name: QueueName,
    /// Its jobs.
    pub depths: Depths,
    /// For how long the job that is delivered next has been due; the longest such time of several nodes.
    pub oldest: Duration,
    /// In how long the last of the restored jobs is queued again, at the latest; none when there are none.
    pub restored_within: Option<Duration>,
    /// Clients that wait for its jobs.
    pub consumers: u64,
    /// What went in and out lately.
    pub recent: Recent,
    /// What it refuses, on any node.
    pub pause: PauseState,
}

/// What the node tells about its queues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueuesView {
    /// In the order that was asked for; those that were asked for by name in the order of their names.
    pub queues: Vec<QueueDepths>,
    /// The jobs of all queues; of none when some were asked for by name.
    pub total: Depths,
    /// The node has more of the queues that were asked for than fit into one message.
    pub more: bool,
}

impl QueueDepths {
    /// A queue that nobody knows.
    pub fn empty(name: QueueName) -> Self {
        QueueDepths {
            name,
            depths: Depths::default(),
            oldest: Duration::ZERO,
            restored_within: None,
            consumers: 0,
            recent: Recent::default(),
            pause: PauseState::default(),
        }
    }

    /// Adds what another node tells of the queue.
    pub(super) fn merge(&mut self, other: &QueueDepths) {
        self.depths.merge(&other.depths);
        self.oldest = self.oldest.max(other.oldest);
        self.restored_within = self.restored_within.max(other.restored_within);
        self.consumers = self.consumers.saturating_add(other.consumers);
        self.recent.merge(other.recent);
        self.pause = self.pause.and(other.pause);
    }
}

impl PauseState {
    /// What one of both refuses.
    pub(super) fn and(self, other: PauseState) -> PauseState {
        PauseState {
            input: self.input || other.input,
            output: self.output || other.output,
        }
    }
}

impl QueuesView {
    /// Adds what another node tells of queues that were asked for by name.
    pub(super) fn merge(&mut self, other: QueuesView) {
        self.total.merge(&other.total);
        for queue in other.queues {
            match self.find(&queue.name) {
                Ok(place) => self.queues[place].merge(&queue),
                Err(place) => self.queues.insert(place, queue),
            }
        }
    }

    fn find(&self, name: &QueueName) -> Result<usize, usize> {
        let name = name.as_bytes();
        self.queues
            .binary_search_by(|queue| queue.name.as_bytes().cmp(name))
    }
}

/// A queue that may be in the answer: its place in the order (the lowest comes first), and where it lies.
type Candidate<'a> = (Reverse<u64>, &'a [u8], QueueKey);

impl Node {
    /// The first queues of a list, those that are known here.
    pub fn list_queues(&self, now: Time, list: &QueueList) -> QueuesView {
        let candidates = self.candidates(now, list).collect();
        let most = limits::count_of(list.count);
        let (chosen, _) = first_of(candidates, most);
        QueuesView {
            queues: self.tell_queues(now, &chosen),
            total: self.total_depths(),
            more: false,
        }
    }

    /// What this node knows of one queue, if it knows it.
    pub fn find_queue(&self, now: Time, name: &[u8]) -> Option<QueueDepths> {
        let key = self.queues.find(name)?;
        Some(self.tell_queue(now, key))
    }

    /// The queues that were asked for, as many as fit into one message.
    pub(super) fn some_queues(&self, now: Time, wanted: &QueuesWanted) -> QueuesView {
        let most = limits::ANSWER_QUEUES;
        let (mut chosen, mut more) = match wanted {
            QueuesWanted::First(list) => {
                let candidates = self.candidates(now, list).collect();
                first_of(candidates, most.min(limits::count_of(list.count)))
            }
            QueuesWanted::Page { list, least, after } => {
                let after = after.as_ref().map(QueueName::as_bytes);
                let all = self.candidates(now, list);
                let behind = all.filter(|&(Reverse(rank), name, _)| {
                    rank >= *least && after.is_none_or(|after| name > after)
                });
                let by_name = behind.map(|(_, name, key)| (Reverse(0), name, key));
                first_of(by_name.collect(), most.min(limits::count_of(list.count)))
            }
            QueuesWanted::Named(names) => {
                let names = names.iter().take(most);
                let known = names.filter_map(|name| self.find_queue(now, name.as_bytes()));
                let mut queues: Vec<_> = known.collect();
                queues.sort_unstable_by(|one, other| one.name.cmp(&other.name));
                queues.dedup_by(|one, other| one.name == other.name);
                return QueuesView {
                    queues,
                    ..QueuesView::default()
                };
            }
        };
        let fitting = self.fitting(&chosen);
        more |= fitting < chosen.len();
        chosen.truncate(fitting);
        QueuesView {
            queues: self.tell_queues(now, &chosen),
            total: self.total_depths(),
            more,
        }
    }

    /// The queues that a list may have: those that clients see here, and those of which this node only has copies.
    fn candidates(&self, now: Time, list: &QueueList) -> impl Iterator<Item = Candidate<'_>> {
        let keys = (0..self.queues.end()).map(QueueKey);
        let known = keys.filter_map(|key| Some((key, self.queues.get(key)?)));
        let shown = known.filter(|(_, queue)| {
            let name = queue.name.as_bytes();
            let pattern = list.pattern.as_ref();
            queue.is_listed() && pattern.is_none_or(|pattern| matches(pattern, name, Case::Exact))
        });
        shown.map(move |(key, queue)| {
            let age = || self.age_of(now, key);
            let rank = list.order.rank_of(queue.depths.ready, age);
            (Reverse(rank), queue.name.as_bytes(), key)
        })
    }

    /// How many of these queues fit into one message; at least one.
    fn fitting(&self, keys: &[QueueKey]) -> usize {
        let names = keys.iter().map(|&key| &self.queues[key].name);
        answers::fitting(names.map(answers::queue_answer))
    }

    fn tell_queues(&self, now: Time, keys: &[QueueKey]) -> Vec<QueueDepths> {
        keys.iter().map(|&key| self.tell_queue(now, key)).collect()
    }

    fn tell_queue(&self, now: Time, key: QueueKey) -> QueueDepths {
        let queue = &self.queues[key];
        QueueDepths {
            name: queue.name.clone(),
            depths: queue.depths,
            oldest: self.age_of(now, key),
            restored_within: queue.restored_within(now),
            consumers: queue.waiters.len() as u64,
            recent: queue.recent(now),
            pause: queue.pause,
        }
    }
}

impl Queue {
    /// Whether a list has it.
    fn is_listed(&self) -> bool {
        self.open || self.depths.copies > 0
    }
}

/// The first `count` in order, and whether there are more. Only these are sorted.
fn first_of(mut candidates: Vec<Candidate<'_>>, count: usize) -> (Vec<QueueKey>, bool) {
    let more = candidates.len() > count;
    if more {
        candidates.select_nth_unstable(count);
        candidates.truncate(count);
    }
    candidates.sort_unstable();
    (candidates.iter().map(|&(.., key)| key).collect(), more)
}
