//! How a node stops: its clients are let go, its jobs go to other nodes, its log is closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shoalmq_core::event::Event;
use tracing::{error, info, warn};

use super::driver::{Driver, Shared, Stop};
use super::persistence;
use super::start::Failed;

/// Between two looks at how many jobs a node that stops still has to hand over: far below a human's patience.
const HAND_OVER_LOOK: Duration = Duration::from_millis(5);

/// How long a node that stops waits, at most, until its last words are on their way to its clients and peers.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How long closing the log may take after the time for jobs and clients. Kubernetes and systemd give a node 20 s more
/// than `shutdown-timeout`: the rest is for the process to end.
const CLOSE_LOG: Duration = Duration::from_secs(12);

/// Stops in order: no more commands, jobs to other nodes, then the log.
pub(super) async fn close(shared: &Arc<Shared>, asked: Stop) -> Result<Stop, Failed> {
    info!("node stops");
    let (timeout, complete) = {
        let mut driver = shared.driver.lock();
        let complete = driver.loading.is_none();
        if complete {
            begin_hand_over(shared, &mut driver);
        }
        driver.is_closed = true;
        for client in driver.clients.values() {
            client.mailbox.close();
        }
        (driver.config.shutdown_timeout, complete)
    };
    let start = Instant::now();
    if complete {
        // Part of the time is kept for the clients.
        hand_over(shared, start + timeout * 9 / 10).await;
    }
    for client in shared.driver.lock().clients.values() {
        client.mailbox.kill();
    }
    // Each gives back the jobs that its client has not seen.
    if tokio::time::timeout_at((start + timeout).into(), all_left(shared))
        .await
        .is_err()
    {
        warn!("clients are still connected: the log is closed without them");
    }
    let shared = Arc::clone(shared);
    let closed = tokio::task::spawn_blocking(move || {
        shared.driver.lock().leave_cluster();
        if complete {
            shared.driver.lock().close_log()
        } else {
            Ok(())
        }
    });
    let end = start + timeout + CLOSE_LOG;
    let Ok(closed) = tokio::time::timeout_at(end.into(), closed).await else {
        error!("the disk takes nothing: the job log was not closed, as after a crash");
        return Err(Failed);
    };
    match closed.expect("a panic ends the process") {
        Ok(()) => {
            info!("bye");
            Ok(asked)
        }
        Err(fault) => {
            error!(
                fault = persistence::describe(fault.as_ref()),
                "the job log was not closed cleanly"
            );
            Err(Failed)
        }
    }
}

/// Begins to hand queued jobs to other nodes, and closes the connections that wait for jobs; a second call changes nothing.
/// Returns the number of jobs left.
pub(super) fn drain(shared: &Shared) -> usize {
    let mut driver = shared.driver.lock();
    begin_hand_over(shared, &mut driver);
    driver.node.handing_over()
}

/// Undoes a drain, and CLUSTER LEAVING yes with it. Returns false, and changes nothing, when the node stops already.
pub(super) fn stay(shared: &Shared) -> bool {
    let mut driver = shared.driver.lock();
    if driver.is_closed {
        return false;
    }
    if driver.node.is_going() {
        info!("the node stays: no more jobs are handed over");
        driver.feed(Event::Leaving(false));
        driver.settle();
    }
    true
}

fn begin_hand_over(shared: &Shared, driver: &mut Driver) {
    if !driver.node.is_about_to_stop() {
        driver.feed(Event::HandOver);
        driver.settle();
        shared.tick_sooner.notify_one();
    }
}

/// Hands what is queued here to other nodes, if there are any, and lets the last replies leave.
async fn hand_over(shared: &Shared, deadline: Instant) {
    let left = || shared.driver.lock().node.handing_over();
    let mut still = left();
    if still > 0 {
        info!(jobs = still, "handing jobs over to other nodes");
    }
    while still > 0 && Instant::now() < deadline {
        tokio::time::sleep(HAND_OVER_LOOK).await;
        still = left();
    }
    if still > 0 {
        warn!(
            jobs = still,
            "not all jobs were handed over in time: they are kept here, for the next start"
        );
    }
    let has_last_words = || {
        let driver = shared.driver.lock();
        driver.has_unsent() || driver.cluster.unsent_bytes() > 0
    };
    let deadline = deadline.min(Instant::now() + LAST_WORDS);
    while has_last_words() && Instant::now() < deadline {
        tokio::time::sleep(HAND_OVER_LOOK).await;
    }
}

/// Waits until no client is connected.
async fn all_left(shared: &Shared) {
    loop {
        let left = shared.client_left.notified();
        if shared.driver.lock().clients.is_empty() {
            return;
        }
        left.await;
    }
}
