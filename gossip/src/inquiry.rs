//! Questions that wait for an answer: a node that answers one proves that it lives now, and holds the secret.

use std::net::SocketAddr;
use std::time::Duration;

use shoalmq_core::id::NodeId;
use shoalmq_core::time::Time;

use crate::packet::Whom;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(3);
/// Questions kept: a search asks at most 64 members at 3 addresses and 64 seeds at once, every second or so; the rest are
/// those in return.
const INQUIRIES_MAX: usize = 1024;

/// Why it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// CLUSTER MEET.
    Meet(SocketAddr),
    /// `cluster-join`.
    Seed(SocketAddr),
    /// A member that is not up.
    Search,
    /// Somebody asked first, was heard of, or spoke unproven.
    Return,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Inquiry {
    pub(crate) nonce: u64,
    pub(crate) whom: Whom,
    pub(crate) origin: Origin,
    pub(crate) asked: Time,
}

/// The questions that wait, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Inquiries(Vec<Inquiry>);

impl Inquiries {
    pub(crate) fn add(&mut self, inquiry: Inquiry) {
        self.expire(inquiry.asked);
        if self.0.len() == INQUIRIES_MAX {
            self.0.remove(0);
        }
        self.0.push(inquiry);
    }

    /// Takes out what this nonce answers.
    pub(crate) fn take(&mut self, now: Time, nonce: u64) -> Option<Inquiry> {
        self.expire(now);
        let at = self.0.iter().position(|inquiry| inquiry.nonce == nonce)?;
        Some(self.0.remove(at))
    }

    /// What this very node was last asked.
    pub(crate) fn last(&self, whom: Whom) -> Option<&Inquiry> {
        self.0.iter().rev().find(|inquiry| inquiry.whom == whom)
    }

    pub(crate) fn forget(&mut self, node: NodeId) {
        self.0
            .retain(|inquiry| !matches!(inquiry.whom, Whom::Only(whom, _) if whom == node));
    }

    fn expire(&mut self, now: Time) {
        let is_old = |inquiry: &Inquiry| now.since(inquiry.asked) > PATIENCE;
        let old = self.0.iter().take_while(|inquiry| is_old(inquiry)).count();
        self.0.drain(..old);
    }
}
