//! Publishing: a phase of its own, and half of the phase `live`.

use super::entries::Entries;
use super::session::Session;
use crate::bench::phase::{Progress, until_answered};
use crate::bench::tally::Tally;
use shoalmq_client::{Connection, ConnectionError};
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// What all publishers of a phase share.
#[derive(Clone, Debug)]
pub(super) struct Publishing {
    entries: Arc<Entries>,
    progress: Arc<Progress>,
    /// How many entries the run has published.
    published: Arc<AtomicU64>,
    /// The number of the phase's first entry.
    first: u64,
    pipeline: u64,
    rate: Option<NonZeroU32>,
    room: Option<Room>,
}

/// Room for entries that are on their way: a publisher takes one place for each reader of an entry, and a reader that gets the
/// entry gives its place back.
#[derive(Clone, Debug)]
pub(super) struct Room {
    pub(super) places: Arc<Semaphore>,
    pub(super) readers: u32,
}

impl Publishing {
    pub(super) fn new(session: &Session, progress: &Arc<Progress>, room: Option<Room>) -> Self {
        Self {
            entries: session.entries(),
            progress: Arc::clone(progress),
            published: session.published(),
            first: session.claimed(),
            pipeline: session.args.pipeline.get() as u64,
            rate: session.args.rate,
            room,
        }
    }

    /// Starts a worker per connection.
    pub(super) fn spawn(
        &self,
        workers: &mut JoinSet<Tally>,
        clients: Vec<Connection>,
        stopped: &watch::Receiver<bool>,
    ) {
        for mut client in clients {
            let (publishing, stopped) = (self.clone(), stopped.clone());
            workers.spawn(async move {
                let mut tally = Tally::new();
                let work = publishing.run(&mut client, &mut tally);
                let result = until_answered(stopped, work).await;
                tally.ended(result)
            });
        }
    }

    async fn run(&self, client: &mut Connection, tally: &mut Tally) -> Result<(), ConnectionError> {
        let mut body = Vec::new();
        loop {
            let batch = self.progress.claim(self.pipeline);
            if batch.is_empty() || !self.take_room(&batch).await {
                return Ok(());
            }
            self.wait_until_due(&batch).await;
            let sent = Instant::now();
            let stamp = (sent - self.progress.start).as_micros() as u64;
            for number in batch.clone() {
                let number = self.first + number;
                self.entries.publish(number, stamp, client, &mut body);
            }
            client.flush().await?;
            for _ in batch {
                let reply = client.receive().await?;
                self.take_answer(Entries::published(&reply), sent, tally);
            }
        }
    }

    /// Waits until all of a batch may be on their way; tells whether the phase goes on.
    async fn take_room(&self, batch: &Range<u64>) -> bool {
        let Some(Room { places, readers }) = &self.room else {
            return true;
        };
        let count = (batch.end - batch.start) as u32 * readers;
        match places.acquire_many(count).await {
            Ok(taken) => {
                taken.forget();
                true
            }
            Err(_) => false,
        }
    }

    async fn wait_until_due(&self, batch: &Range<u64>) {
        if let Some(rate) = self.rate {
            let after = Duration::from_secs(batch.start) / rate.get();
            tokio::time::sleep_until((self.progress.start + after).into()).await;
        }
    }

    fn take_answer(&self, answer: Result<(), String>, sent: Instant, tally: &mut Tally) {
        let published = answer.is_ok();
        if let Err(error) = answer {
            tally.fail(error);
        } else {
            self.published.fetch_add(1, Relaxed);
        }
        match &self.room {
            None => {
                tally.took(sent.elapsed());
                tally.done += u64::from(published);
                self.progress.add_done(1);
            }
            Some(_) if published => {}
            // It will not come, so it is done with.
            Some(Room { places, readers }) => {
                places.add_permits(*readers as usize);
                self.progress.add_done(u64::from(*readers));
            }
        }
    }
}
