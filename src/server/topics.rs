//! Topics, where they touch the world: what was recorded and is on disk, entries that are read back, and what
//! subscribers are told.
//!
//! What a connection is told goes into its mailbox. A connection that takes less than comes is reported to the core as slow,
//! and as ready once all that it was given has left. So a slow subscriber keeps its place in the log, and its mailbox stays
//! small.

use std::collections::VecDeque;
use std::sync::Arc;

use shoalmq_core::event::Event;
use shoalmq_core::id::ClientId;
use shoalmq_core::record::{Location, Segment, Stream};
use shoalmq_core::topic::{Entry, Origin, Push, Told, TopicRecord, Unread};
use shoalmq_storage::fetch::Unreadable;
use shoalmq_storage::journal::Writer;
use tracing::error;

use super::driver::{Driver, Shared};
use super::persistence::describe;
use super::reading::Access;

/// A connection is slow when it has not taken this many bytes.
const SLOW_BYTES: usize = 1 << 20;

/// What the server keeps of topics between two batches.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    /// Entries that were recorded, and where, since the core was last told.
    recorded: Vec<(Origin, u64, Location)>,
    /// Connections that took less than came.
    slow: Vec<ClientId>,
    /// Entries that the core wants to be read, and the way to them: one batch after the other.
    wanted: VecDeque<(Vec<Told>, Access)>,
}

impl Topics {
    /// A record of topics is about to be written.
    pub(crate) fn note(&mut self, record: &TopicRecord, writer: &Writer<'_>) {
        if let TopicRecord::Entry(entry) = record {
            let place = writer.location(Stream::Topics);
            self.recorded.push((entry.origin, entry.number, place));
        }
    }

    /// What was recorded is of another log.
    pub(crate) fn forget_recorded(&mut self) {
        self.recorded.clear();
    }
}

impl Driver {
    /// Ends a batch: the core hears where entries lie and what is on disk, and readers get what is new.
    pub(super) fn settle_topics(&mut self) {
        if !self.topics.recorded.is_empty() {
            let recorded = std::mem::take(&mut self.topics.recorded);
            self.feed(Event::EntriesRecorded(&recorded));
        }
        self.take_in_safe();
        while self.node.owes_readers() {
            self.feed(Event::Deliver);
        }
        for client in std::mem::take(&mut self.topics.slow) {
            self.feed(Event::ReaderSlow(client));
            self.await_reader(client);
        }
    }

    /// Tells the core which records of topics are on disk: readers get them from then on.
    pub(crate) fn take_in_safe(&mut self) {
        if self.gates.holds_topics() {
            let safe = self.gates.take_topics(self.released());
            if !safe.is_empty() {
                self.feed(Event::TopicsSafe(&safe));
            }
        }
    }

    /// Has entries read that the core records again or sends to others.
    pub(super) fn fetch_entries(&mut self, told: Vec<Told>) {
        let unread = told.iter().filter_map(Told::unread);
        let oldest = unread.map(|unread| unread.place.segment).min();
        let oldest = oldest.unwrap_or(Segment::MAX);
        let entries = self.entries.as_ref();
        let entries = entries.expect("without a log nothing is recorded again");
        let access = entries.access_from(oldest);
        self.topics.wanted.push_back((told, access));
        self.wants.notify_one();
    }

    /// Gives a connection what it subscribed to.
    pub(super) fn push(&mut self, id: ClientId, push: Push) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let access = push.told.unread().and_then(|unread| {
            let entries = self.entries.as_ref();
            entries.map(|entries| Arc::new(entries.access_from(unread.place.segment)))
        });
        let posted = client.mailbox.tell(push, client.protocol, access);
        self.stats.output_bytes.total += posted.bytes as u64;
        if posted.is_first {
            self.mailed.push(Arc::clone(&client.mailbox));
        }
        let waiting = client.mailbox.unread() + client.mailbox.buffers.output();
        if waiting > SLOW_BYTES && !self.topics.slow.contains(&id) {
            self.topics.slow.push(id);
        }
    }

    /// The core is to hear when this connection has taken what it was given.
    pub(super) fn await_reader(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get(&id)
            && client.mailbox.await_reader()
        {
            self.mailed.push(Arc::clone(&client.mailbox));
        }
    }
}

/// Reads what is in the log alone, at places of one access. What cannot be read is told as lost. Waits for the disk.
pub(crate) fn read<'a>(told: impl IntoIterator<Item = &'a mut Told>, access: &Access) {
    let mut unread: Vec<(Unread, &mut Told)> = told
        .into_iter()
        .filter_map(|told| Some((*told.unread()?, told)))
        .collect();
    unread.sort_unstable_by_key(|(unread, _)| unread.place);
    let places: Vec<Location> = unread.iter().map(|(unread, _)| unread.place).collect();
    let entries = access.read_entries(&places);
    for ((unread, told), entry) in unread.into_iter().zip(entries) {
        *told = complete(&unread, entry);
    }
}

fn complete(unread: &Unread, entry: Result<Arc<Entry>, Unreadable>) -> Told {
    let Unread {
        origin,
        number,
        id,
        late,
        ..
    } = *unread;
    let reason = match entry {
        Ok(entry) if (entry.origin, entry.number) == (origin, number) => {
            return Told::Entry(entry, late);
        }
        Ok(_) => "another one lies there".to_owned(),
        Err(why) => describe(&why),
    };
    error!(%origin, number, reason, "an entry of a topic cannot be read: readers are told that it is lost");
    Told::Lost(id.after(), 1)
}

/// Reads what the core wants of topics, if it wants anything.
pub(super) async fn read_wanted(shared: &Arc<Shared>) {
    loop {
        let wanted = shared.driver.lock().topics.wanted.pop_front();
        let Some((mut told, access)) = wanted else {
            return;
        };
        let told = tokio::task::spawn_blocking(move || {
            read(&mut told, &access);
            told
        });
        let told = told.await.expect("a panic ends the process");
        shared.act(|driver| driver.feed(Event::EntriesFetched(told)));
    }
}

/// Under `appendfsync always`: readers get what is on disk, as soon as it is.
pub(super) async fn follow_disk(shared: Arc<Shared>) {
    let mut released = shared.released.subscribe();
    while released.changed().await.is_ok() {
        let mut driver = shared.driver.lock();
        if driver.gates.holds_topics() {
            let sooner = driver.settle();
            drop(driver);
            if sooner {
                shared.tick_sooner.notify_one();
            }
        }
    }
}
