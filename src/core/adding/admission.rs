//! What can refuse an ADDJOB, and how many copies its job gets.
//!
//! REPLICATE is strict: that number of copies, or a refusal. Without it the node's default is an *aim*: the job is
//! accepted with as many copies as there are nodes to take them, though not with fewer than the floor, and healed up to
//! the aim later. A node that is short of memory, leaving or stopping keeps no copy itself.
//!
//! A member that cannot be reached counts for a while (`limits::EXPECTED_BACK`), as do all known members after this
//! node's start: a restart takes seconds, and a producer that offers to wait is not refused because of one. Copies go
//! to reachable members alone, so such a job waits for one of them to come back, or for its producer's timeout.

use crate::adding::terms::Terms;
use crate::command::{DEFAULT_TTL, Refusal};
use crate::limits;
use crate::members::NodeSet;
use crate::node::{MemoryLevel, Node};
use crate::queue::QueueKey;

/// Who keeps the copies of a new job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// This node has one, and queues it.
    Here,
    /// Only other nodes: one of them queues it (external replication).
    Elsewhere,
}

/// The times of a job, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// That it lives.
    pub(super) ttl: u32,
    /// Before its first queueing.
    pub(super) delay: u32,
    /// Until a requeue.
    pub(super) retry: u32,
}

/// What an accepted job is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Its queue, if a job had its name before.
    pub(super) queue: Option<QueueKey>,
    pub(super) times: Times,
    /// Copies that it is to have in the end.
    pub(super) replicate: u16,
    /// Copies on other nodes before the producer is answered.
    pub(super) wanted: u16,
    /// How far that may fall when nodes go away meanwhile.
    pub(super) floor: u16,
    pub(super) home: Home,
}

impl Node {
    /// Checks all that can refuse a job which only these peers know how to keep, in Disque's order.
    pub(super) fn admit(
        &self,
        queue: &[u8],
        terms: &Terms,
        knowing: NodeSet,
    ) -> Result<Plan, Refusal> {
        let ttl = terms.ttl.unwrap_or(DEFAULT_TTL);
        let delay = terms.delay.unwrap_or(0);
        let retry = terms.retry.unwrap_or_else(|| default_retry(ttl));
        let default = self.settings.default_replicate;
        let aim = default.min(self.peers.cluster_size());
        if retry == 0 && terms.replicate.unwrap_or(aim) > 1 {
            return Err(Refusal::RetryZeroNeedsOneReplica);
        }
        if retry == 0 && terms.needs_retry {
            return Err(Refusal::NeedsRetry);
        }
        if delay >= ttl {
            return Err(Refusal::DelayBeyondTtl);
        }
        let times = Times { ttl, delay, retry };
        let mut plan = match terms.replicate {
            Some(replicate) => self.plan_copies(times, replicate, knowing)?,
            None => self.plan_aim(times, aim, knowing)?,
        };
        plan.queue = self.queues.find(queue);
        let Some(queue) = plan.queue.map(|key| &self.queues[key]) else {
            return Ok(plan);
        };
        if terms.max_len.is_some_and(|max_len| queue.len >= max_len) {
            return Err(Refusal::QueueTooLong);
        }
        if queue.pause.input {
            return Err(Refusal::QueuePaused);
        }
        Ok(plan)
    }

    /// Exactly this many copies, at nodes that know what they get.
    fn plan_copies(&self, times: Times, replicate: u16, knowing: NodeSet) -> Result<Plan, Refusal> {
        let home = self.home();
        let wanted = elsewhere(replicate, home);
        self.check_reach(wanted, replicate, self.peers.expected().and(knowing).len())?;
        Ok(Plan {
            queue: None,
            times,
            replicate,
            wanted,
            floor: wanted,
            home,
        })
    }

    /// As many copies as nodes take, up to `aim`.
    fn plan_aim(&self, times: Times, aim: u16, knowing: NodeSet) -> Result<Plan, Refusal> {
        let home = self.home();
        let least = self.settings.min_replicate.min(aim);
        let floor = elsewhere(least, home);
        let expected = self.peers.expected_takers().and(knowing);
        self.check_reach(floor, least, expected.len())?;
        let takers = self.peers.takers().and(knowing).len().max(floor);
        Ok(Plan {
            queue: None,
            times,
            replicate: aim,
            wanted: elsewhere(aim, home).min(takers),
            floor,
            home,
        })
    }

    /// Whether this many other nodes can be had for this many copies.
    fn check_reach(&self, others: u16, copies: u16, expected: u16) -> Result<(), Refusal> {
        if others <= expected {
            Ok(())
        } else if copies - 1 > expected {
            Err(Refusal::TooFewNodes)
        } else if self.is_going() {
            Err(Refusal::TooFewNodesLeaving)
        } else {
            Err(Refusal::TooFewNodesMemory)
        }
    }

    fn home(&self) -> Home {
        if self.is_going() || self.memory_level() >= MemoryLevel::External {
            Home::Elsewhere
        } else {
            Home::Here
        }
    }
}

/// How many of the copies lie on other nodes.
fn elsewhere(copies: u16, home: Home) -> u16 {
    match home {
        Home::Here => copies - 1,
        Home::Elsewhere => copies,
    }
}

/// A tenth of the ttl, within bounds, in seconds.
pub(crate) fn default_retry(ttl: u32) -> u32 {
    (ttl / 10).clamp(limits::DEFAULT_RETRY_MIN, limits::DEFAULT_RETRY_MAX)
}
