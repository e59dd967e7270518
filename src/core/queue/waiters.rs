//! Clients that wait for a job, in the order in which they began to wait.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::Told;
use crate::id::{ClientId, Ticket};
use crate::limits;
use crate::queue::queues::QueueKey;
use crate::time::Time;

/// One wait. Rises, so that the lowest of a queue has waited longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaiterId(u64);

/// A GETJOB that found nothing and may wait.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) ticket: Ticket,
    /// The queues it waits for, each once, in the client's order.
    pub(crate) queues: Vec<QueueKey>,
    pub(crate) count: u64,
    pub(crate) told: Told,
    /// At first there was time for a job to come from another node.
    pub(crate) patient: bool,
    /// When it gives up; [`Time::NEVER`] when it does not.
    pub(crate) until: Time,
}

/// All waiting clients.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next: u64,
    by_id: BTreeMap<WaiterId, Waiter>,
    by_client: BTreeSet<(ClientId, WaiterId)>,
}

impl Waiters {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The id of a wait that begins now.
    pub(crate) fn next_id(&mut self) -> WaiterId {
        self.next += 1;
        WaiterId(self.next)
    }

    pub(crate) fn insert(&mut self, id: WaiterId, waiter: Waiter) {
        self.by_client.insert((waiter.ticket.client, id));
        self.by_id.insert(id, waiter);
    }

    pub(crate) fn remove(&mut self, id: WaiterId) -> Waiter {
        let waiter = self
            .by_id
            .remove(&id)
            .expect("a waiter's id names a waiter");
        self.by_client.remove(&(waiter.ticket.client, id));
        waiter
    }

    /// A wait of this client, if it has one.
    pub(crate) fn of_client(&self, client: ClientId) -> Option<WaiterId> {
        let mut waits = self
            .by_client
            .range((client, WaiterId(0))..=(client, WaiterId(u64::MAX)));
        waits.next().map(|&(_, id)| id)
    }

    /// Whether it still waits.
    pub(crate) fn holds(&self, id: WaiterId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Until when at least one of these has time for a job to come from another node, as far as that is easily known: it may
    /// be longer, if it is later than now.
    pub(crate) fn patient_until(&self, now: Time, ids: &BTreeSet<WaiterId>) -> Time {
        let ends = ids.iter().map(|id| match self.by_id[id].until {
            Time::NEVER => Time::NEVER,
            until => until - limits::BRIEF_WAIT,
        });
        let mut patient = ends.filter(|&end| end > now);
        patient.next().unwrap_or(Time::ZERO)
    }

    /// The one that has waited longest.
    pub(crate) fn first(&self) -> Option<WaiterId> {
        self.by_id.first_key_value().map(|(&id, _)| id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WaiterId, &Waiter)> {
        self.by_id.iter().map(|(&id, waiter)| (id, waiter))
    }
}
