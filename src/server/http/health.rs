//! Probes. None of them looks at other nodes: one node alone serves, and a dead peer is no reason to restart this one.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use shoalmq_storage::journal::Journal;

use super::Node;
use crate::server::driver::{Driver, Shared};

/// A probe waits no longer for the lock.
const LOCKED: Duration = Duration::from_secs(1);
/// The lock is held for milliseconds; a process that holds it for this long makes no progress.
const LOCKED_LONG: Duration = Duration::from_secs(10);
/// The same for the task that looks after clients and buffers ten times a second.
const IDLE_LONG: Duration = Duration::from_secs(30);
/// A disk may stall; a write that lasts this long, with no error, does not come back.
const STALLED_LONG: Duration = Duration::from_mins(2);

/// The log is read, and clients are served.
pub(super) async fn startup(State(shared): State<Node>) -> Response {
    look(shared, |driver| {
        let loading = driver.loading.map(|loading| {
            let percent = loading.share() * 100.0;
            format!("loading: {percent:.0} % of the job log are read")
        });
        Vec::from_iter(loading)
    })
    .await
}

/// Clients should be sent here.
pub(super) async fn ready(State(shared): State<Node>) -> Response {
    look(shared, |driver| {
        let reasons = driver.not_ready().into_iter();
        reasons.map(str::to_owned).collect()
    })
    .await
}

/// Answers with what is wrong; a node that is locked for long is not well either.
async fn look(
    shared: Node,
    reasons: impl FnOnce(&Driver) -> Vec<String> + Send + 'static,
) -> Response {
    let looked = tokio::task::spawn_blocking(move || {
        let driver = shared.driver.try_lock_for(LOCKED);
        driver.map_or_else(|| vec!["busy".to_owned()], |driver| reasons(&driver))
    });
    let stops = || vec!["the node stops".to_owned()];
    answer(&looked.await.unwrap_or_else(|_| stops()))
}

/// The process makes progress.
pub(super) async fn live(State(shared): State<Node>) -> Response {
    let looked = tokio::task::spawn_blocking(move || stuck(&shared)).await;
    match looked {
        Ok(reasons) => answer(&reasons),
        // The runtime ends, and with it the process.
        Err(_) => answer::<&str>(&[]),
    }
}

fn stuck(shared: &Shared) -> Vec<&'static str> {
    let Some(driver) = shared.driver.try_lock_for(LOCKED_LONG) else {
        return vec!["the node is locked for 10 s"];
    };
    let loading = driver.loading.is_some();
    let journal = driver.log.journal();
    let stalled = journal
        .and_then(Journal::waiting_since)
        .is_some_and(|since| since.elapsed() > STALLED_LONG);
    let reasons = [
        (
            !loading && driver.stats.sampled().elapsed() > IDLE_LONG,
            "nothing was looked after for 30 s",
        ),
        (
            stalled && !driver.health.refuses_jobs(),
            "the job log takes nothing for 2 min",
        ),
    ];
    let hold = reasons.into_iter().filter(|(holds, _)| *holds);
    hold.map(|(_, reason)| reason).collect()
}

fn answer<T: AsRef<str>>(reasons: &[T]) -> Response {
    if reasons.is_empty() {
        return "ok\n".into_response();
    }
    let lines = reasons
        .iter()
        .map(|reason| format!("{}\n", reason.as_ref()));
    (StatusCode::SERVICE_UNAVAILABLE, lines.collect::<String>()).into_response()
}
