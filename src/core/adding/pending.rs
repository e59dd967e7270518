//! Jobs that wait for copies, and who is answered when these are there (`replication`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::adding::admission::Home;
use crate::id::{ClientId, Ticket};
use crate::job::JobKey;
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::telling::{COPY_MILLIS, Histogram};
use crate::time::Time;

/// Who added a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Producer {
    /// A client, which waits for the answer.
    Client(Ticket),
    /// The same, of a job with a key of DEDUP: the number of the add.
    Keyed(Ticket, u64),
    /// A client that was answered at once (ASYNC on a node that keeps no copy).
    Answered,
    /// A binding of topics. It waits as long as it takes, and is told this number.
    Binding(u64),
}

impl Producer {
    /// Whom to answer.
    fn ticket(self) -> Option<Ticket> {
        match self {
            Producer::Client(ticket) | Producer::Keyed(ticket, _) => Some(ticket),
            Producer::Answered | Producer::Binding(_) => None,
        }
    }
}

/// A job that waits for copies.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) producer: Producer,
    /// RECEIPT: who has the job is told, too.
    pub(super) wants_receipt: bool,
    /// Holders that have a copy.
    pub(crate) confirmed: NodeSet,
    /// How many confirmed holders are enough.
    pub(crate) wanted: u16,
    /// How far `wanted` may fall when candidates go away.
    pub(super) floor: u16,
    pub(crate) home: Home,
    /// When the producer gives up.
    pub(crate) deadline: Time,
}

/// Jobs whose producers wait for copies.
#[derive(Debug, Default)]
pub(crate) struct Replications {
    by_job: BTreeMap<JobKey, Pending>,
    by_client: BTreeSet<(ClientId, JobKey)>,
    /// Producers of jobs that went away while they waited; answered before the event is over.
    abandoned: Vec<Producer>,
    /// How long a confirmation takes.
    pub(super) usual: Median,
    /// How long it took until there were enough, in milliseconds.
    pub(crate) times: Histogram<{ COPY_MILLIS.len() }>,
}

impl Replications {
    pub(crate) fn get(&self, key: JobKey) -> Option<&Pending> {
        self.by_job.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: JobKey) -> Option<&mut Pending> {
        self.by_job.get_mut(&key)
    }

    /// That of a job which waits.
    pub(super) fn of(&self, key: JobKey) -> &Pending {
        self.get(key)
            .expect("somebody looks after a job that waits")
    }

    /// A job that this client waits for, if there is one.
    pub(super) fn of_client(&self, client: ClientId) -> Option<JobKey> {
        let own = (client, JobKey(0))..=(client, JobKey::NONE);
        self.by_client.range(own).next().map(|&(_, key)| key)
    }

    /// Clients that wait for copies.
    pub(crate) fn clients(&self) -> usize {
        let mut last = None;
        let clients = self.by_client.iter().map(|&(client, _)| client);
        clients
            .filter(|&client| last.replace(client) != Some(client))
            .count()
    }

    /// Who added the jobs that wait for copies: for the checks.
    pub(crate) fn producers(&self) -> impl Iterator<Item = Producer> + '_ {
        self.by_job.values().map(|pending| pending.producer)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = JobKey> {
        self.by_job.keys().copied()
    }

    /// Whether producers are to be told that their jobs are gone.
    pub(super) fn has_abandoned(&self) -> bool {
        !self.abandoned.is_empty()
    }

    /// Producers to be told that their jobs are gone.
    pub(super) fn take_abandoned(&mut self) -> Vec<Producer> {
        std::mem::take(&mut self.abandoned)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_job.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (JobKey, &Pending)> {
        self.by_job.iter().map(|(&key, pending)| (key, pending))
    }

    pub(super) fn insert(&mut self, key: JobKey, pending: Pending) {
        let ticket = pending.producer.ticket();
        self.by_client
            .extend(ticket.map(|ticket| (ticket.client, key)));
        self.by_job.insert(key, pending);
    }

    pub(super) fn remove(&mut self, key: JobKey) -> Option<Pending> {
        let pending = self.by_job.remove(&key)?;
        if let Some(ticket) = pending.producer.ticket() {
            self.by_client.remove(&(ticket.client, key));
        }
        Some(pending)
    }

    /// The job is gone, or acked: nothing waits for copies of it any more.
    pub(crate) fn abandon(&mut self, key: JobKey) {
        let pending = self.remove(key);
        self.abandoned.extend(pending.map(|it| it.producer));
    }

    /// As [`Replications::abandon`], of all jobs.
    pub(crate) fn abandon_all(&mut self) {
        let producers = self.by_job.values().map(|pending| pending.producer);
        self.abandoned.extend(producers);
        self.by_job.clear();
        self.by_client.clear();
    }

    /// What a peer held is gone.
    pub(crate) fn forget_peer(&mut self, peer: PeerKey) {
        for pending in self.by_job.values_mut() {
            pending.confirmed.remove(peer);
        }
    }

    /// Whether the job of a client at this key is known as its: for the checks.
    pub(super) fn is_consistent(&self) -> bool {
        let producers = self.by_job.values().map(|pending| pending.producer);
        let tickets = producers.filter_map(Producer::ticket);
        self.abandoned.is_empty() && tickets.count() == self.by_client.len()
    }

    /// How long to wait for confirmations before one more node is asked.
    pub(super) fn patience(&self) -> Duration {
        limits::ASK_MORE_AFTER.max(self.usual.value() * limits::ASK_MORE_MEDIANS)
    }
}

/// A running estimate of a median: a step up or down with each sample, as large as a sixteenth of the estimate.
#[derive(Debug, Default)]
pub(crate) struct Median(Duration);

impl Median {
    pub(super) fn add(&mut self, sample: Duration) {
        let step = (self.0 / 16).max(Duration::from_micros(100));
        self.0 = if sample > self.0 {
            self.0 + step
        } else {
            self.0.saturating_sub(step)
        };
    }

    fn value(&self) -> Duration {
        self.0
    }
}
