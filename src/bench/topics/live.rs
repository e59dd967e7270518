//! The phase that publishes entries while readers follow their channels.

use super::entries::{Entries, Seen, not_plain};
use super::publish::{Publishing, Room};
use super::session::Session;
use crate::bench::BenchError;
use crate::bench::job::{shown, unexpected};
use crate::bench::phase::{Progress, until_stopped};
use crate::bench::tally::Tally;
use shoalmq_client::{Connection, ConnectionError};
use shoalmq_resp::Frame;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How long a reader waits for an entry before it looks whether the phase is over.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Entries that were published and do not come for this long are missing.
const IDLE_TIMEOUT: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 10_000 });

/// What all readers share.
#[derive(Clone, Debug)]
struct Following {
    entries: Arc<Entries>,
    progress: Arc<Progress>,
    places: Arc<Semaphore>,
    numbers: Range<u64>,
}

/// Subscribes a reader: entries that are published from now on come to it.
pub(super) async fn subscribe(
    client: &mut Connection,
    entries: &Entries,
) -> Result<(), BenchError> {
    let words = ["TSUB", "FROM", "$", "PATTERN", entries.pattern()];
    let reply = client.call(&words).await?;
    let kind = reply.as_array().and_then(<[Frame]>::first);
    if kind.and_then(Frame::as_str) == Some("tsubscribe") {
        return Ok(());
    }
    Err(BenchError::Reply {
        command: "TSUB",
        reply: shown(&reply),
    })
}

/// Starts a worker per connection. The readers are subscribed.
pub(super) fn spawn(
    workers: &mut JoinSet<Tally>,
    session: &Session,
    (publishers, readers): (Vec<Connection>, Vec<Connection>),
    progress: &Arc<Progress>,
    stopped: &watch::Receiver<bool>,
) {
    let room = Room {
        places: Arc::new(Semaphore::new(
            publishers.len() * session.args.pipeline.get() * readers.len(),
        )),
        readers: readers.len() as u32,
    };
    let following = Following {
        entries: session.entries(),
        progress: Arc::clone(progress),
        places: Arc::clone(&room.places),
        numbers: session.claimed()..session.claimed() + session.args.entries.get(),
    };
    for mut client in readers {
        let (following, stopped) = (following.clone(), stopped.clone());
        workers.spawn(async move {
            let mut tally = Tally::new();
            let work = following.run(&mut client, &mut tally);
            let result = until_stopped(stopped, work).await;
            if !following.progress.is_complete() {
                // It failed, or everyone stops: else publishers may wait for ever for this one to make room.
                following.places.close();
            }
            tally.ended(result)
        });
    }
    Publishing::new(session, progress, Some(room)).spawn(workers, publishers, stopped);
}

impl Following {
    async fn run(&self, client: &mut Connection, tally: &mut Tally) -> Result<(), ConnectionError> {
        let mut seen = Seen::new(&self.entries, &self.numbers);
        let mut newest = Instant::now();
        while !self.progress.is_complete() {
            // A wait that is given up loses nothing.
            if let Ok(pushed) = tokio::time::timeout(LOOK_INTERVAL, client.receive()).await {
                self.take(&pushed?, &mut seen, tally);
                newest = Instant::now();
            } else if newest.elapsed() > IDLE_TIMEOUT {
                tally.fail(format!(
                    "entries are missing: none came for {IDLE_TIMEOUT:?}"
                ));
                self.places.close();
                return Ok(());
            }
        }
        self.unsubscribe(client, &mut seen, tally).await
    }

    fn take(&self, pushed: &Frame, seen: &mut Seen<'_>, tally: &mut Tally) {
        let before = seen.count();
        match pushed.as_array() {
            Some(
                [
                    Frame::Bulk(kind),
                    _,
                    Frame::Bulk(channel),
                    Frame::Bulk(id),
                    _,
                    Frame::Bulk(body),
                ],
            ) if kind == b"tmessage" => match seen.take(id, channel, body) {
                Ok(stamp) => {
                    let now = self.progress.start.elapsed();
                    tally.took(now.saturating_sub(Duration::from_micros(stamp)));
                }
                Err(error) => tally.fail(error),
            },
            _ => tally.fail(not_plain("TSUB", pushed)),
        }
        let taken = seen.count() - before;
        tally.done += taken;
        self.places.add_permits(taken as usize);
        self.progress.add_done(taken);
    }

    /// Ends the subscription: what still comes before that came twice.
    async fn unsubscribe(
        &self,
        client: &mut Connection,
        seen: &mut Seen<'_>,
        tally: &mut Tally,
    ) -> Result<(), ConnectionError> {
        client.send(&["TUNSUB"]);
        client.flush().await?;
        loop {
            let frame = client.receive().await?;
            let kind = frame.as_array().and_then(<[Frame]>::first);
            match kind.and_then(Frame::as_str) {
                Some("tunsubscribe") => return Ok(()),
                Some("tmessage") => self.take(&frame, seen, tally),
                _ => {
                    tally.fail(unexpected("TUNSUB", &frame));
                    return Ok(());
                }
            }
        }
    }
}
