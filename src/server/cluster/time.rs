//! A start after a long time: before jobs expire for it, a peer is asked whether that much time has passed.
//!
//! A machine may come up with a wall clock that is days ahead, until its time daemon sets it right. Only the time from
//! the last record to the start is taken from that clock; what is too much of it would expire jobs that nobody had the
//! time to take.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::gossip::{MembersError, knows_others};
use super::members::CLOCKS_APART_MS;
use super::{Cluster, Sockets, open};
use crate::bus::handshake::Hello;
use crate::server::clock;
use crate::server::driver::Shared;

/// A stop that was shorter is taken for what our clock says: it cannot be wrong by more than this.
pub(crate) const LONG_STOP: Duration = Duration::from_millis(CLOCKS_APART_MS);
/// How long a start waits for a peer.
const PATIENCE: Duration = Duration::from_secs(10);

/// By how many milliseconds our wall clock is to be corrected, for a start after [`LONG_STOP`]. Opens the doors for other
/// nodes if there may be any, and waits until one was met, for 10 s at the longest.
pub(crate) async fn peers_time(
    shared: &Arc<Shared>,
    sockets: &mut Option<Sockets>,
) -> Result<i64, MembersError> {
    let config = shared.driver.lock().config.clone();
    if !knows_others(&config)? {
        return Ok(0);
    }
    let (asked, answer) = oneshot::channel();
    shared.driver.lock().cluster.time_asked = Some(asked);
    if let Some(sockets) = sockets.take() {
        info!("the log is old: a peer is asked for the time before jobs expire");
        open(shared, sockets)?;
    }
    let Ok(Ok(ahead_ms)) = timeout(PATIENCE, answer).await else {
        warn!(waited = ?PATIENCE, "no peer tells the time: jobs expire by the clock of this machine");
        return Ok(0);
    };
    let correction = correction(ahead_ms);
    if correction != 0 {
        warn!(
            ahead_ms = -correction,
            "the wall clock of this machine is ahead of a peer's by more than an hour: jobs expire by the peer's"
        );
    }
    Ok(correction)
}

/// What a peer's clock that is so far ahead of ours corrects it by: a later one never, for it would only expire more.
fn correction(ahead_ms: i64) -> i64 {
    if ahead_ms < -CLOCKS_APART_MS.cast_signed() {
        ahead_ms
    } else {
        0
    }
}

impl Cluster {
    /// A peer told its time.
    pub(super) fn answer_time(&mut self, hello: &Hello) {
        let theirs = hello.profile.wall_ms.cast_signed();
        let ahead = theirs.saturating_sub(clock::wall().0.cast_signed());
        if let Some(asked) = self.time_asked.take()
            && asked.send(ahead).is_err()
        {
            debug!("a peer tells the time after the start has given up waiting");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_that_is_far_behind_corrects_ours() {
        let hour = 3_600_000;
        for (ahead, expected) in [
            (0, 0),
            (-hour, 0),
            (-hour - 1, -hour - 1),
            (hour * 5, 0),
            (i64::MIN, i64::MIN),
        ] {
            assert_eq!(correction(ahead), expected, "{ahead}");
        }
    }
}
