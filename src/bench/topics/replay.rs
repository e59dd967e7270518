//! The phase that reads all that the run has published, in pages from the first entry on.

use super::entries::{Entries, Seen, not_plain};
use super::session::Session;
use crate::bench::job::unexpected;
use crate::bench::phase::{Progress, until_stopped};
use crate::bench::tally::Tally;
use shoalmq_client::{Connection, ConnectionError};
use shoalmq_resp::Frame;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a TREAD waits for an entry, in milliseconds.
const BLOCK_MS: &str = "100";
/// Entries that do not come for this long are missing.
const IDLE_TIMEOUT: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 10_000 });

/// A reader.
#[derive(Clone, Debug)]
struct Replay {
    entries: Arc<Entries>,
    progress: Arc<Progress>,
    /// How many numbers the run has given to entries.
    claimed: u64,
    /// How many entries it has published.
    published: u64,
    page: String,
}

/// Starts a worker per connection.
pub(super) fn spawn(
    workers: &mut JoinSet<Tally>,
    session: &Session,
    clients: Vec<Connection>,
    progress: &Arc<Progress>,
    stopped: &watch::Receiver<bool>,
) {
    let replay = Replay {
        entries: session.entries(),
        progress: Arc::clone(progress),
        claimed: session.claimed(),
        published: session.published_count(),
        page: session.args.page.to_string(),
    };
    for mut client in clients {
        let (replay, stopped) = (replay.clone(), stopped.clone());
        workers.spawn(async move {
            let mut tally = Tally::new();
            let work = replay.run(&mut client, &mut tally);
            let result = until_stopped(stopped, work).await;
            tally.ended(result)
        });
    }
}

impl Replay {
    async fn run(&self, client: &mut Connection, tally: &mut Tally) -> Result<(), ConnectionError> {
        let mut seen = Seen::new(&self.entries, &(0..self.claimed));
        let (mut cursor, mut newest) = (b"0".to_vec(), Instant::now());
        while seen.count() < self.published {
            let sent = Instant::now();
            let reply = client.call(&self.read(&cursor, true)).await?;
            tally.took(sent.elapsed());
            let before = seen.count();
            let Some(next) = take_page(&reply, &mut seen, tally) else {
                return Ok(());
            };
            let taken = seen.count() - before;
            tally.done += taken;
            self.progress.add_done(taken);
            if taken > 0 {
                newest = Instant::now();
            } else if newest.elapsed() > IDLE_TIMEOUT {
                tally.fail(format!(
                    "entries are missing: none came for {IDLE_TIMEOUT:?}"
                ));
                return Ok(());
            }
            cursor = next;
        }
        // What is behind the last entry came twice, or is of somebody else.
        let reply = client.call(&self.read(&cursor, false)).await?;
        take_page(&reply, &mut seen, tally);
        Ok(())
    }

    fn read<'a>(&'a self, cursor: &'a [u8], wait: bool) -> Vec<&'a [u8]> {
        let mut words: Vec<&[u8]> = vec![b"TREAD", b"FROM", cursor, b"COUNT", self.page.as_bytes()];
        if wait {
            words.extend([&b"BLOCK"[..], BLOCK_MS.as_bytes()]);
        }
        words.extend([b"PATTERN", self.entries.pattern().as_bytes()]);
        words
    }
}

/// Takes the entries of a page; the cursor behind it, unless the reply is no page.
fn take_page(reply: &Frame, seen: &mut Seen<'_>, tally: &mut Tally) -> Option<Vec<u8>> {
    let Some([Frame::Bulk(cursor), Frame::Array(told)]) = reply.as_array() else {
        tally.fail(unexpected("TREAD", reply));
        return None;
    };
    for one in told {
        let taken = match one.as_array() {
            Some([Frame::Bulk(id), Frame::Bulk(channel), Frame::Bulk(body)]) => {
                seen.take(id, channel, body).map(|_| ())
            }
            _ => Err(not_plain("TREAD", one)),
        };
        if let Err(error) = taken {
            tally.fail(error);
        }
    }
    Some(cursor.clone())
}
