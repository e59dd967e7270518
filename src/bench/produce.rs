//! The phase that adds jobs.

use super::job::Jobs;
use super::phase::{Progress, Session, until_answered};
use super::tally::Tally;
use shoalmq_client::{Connection, ConnectionError};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Starts a worker per connection.
pub(super) fn spawn(
    workers: &mut JoinSet<Tally>,
    session: &Session,
    clients: Vec<Connection>,
    progress: &Arc<Progress>,
    stopped: &watch::Receiver<bool>,
) {
    let pipeline = session.args.pipeline.get() as u64;
    for mut client in clients {
        let (jobs, progress, stopped) = (session.jobs(), Arc::clone(progress), stopped.clone());
        workers.spawn(async move {
            let mut tally = Tally::new();
            let work = produce(&mut client, pipeline, &jobs, &progress, &mut tally);
            let result = until_answered(stopped, work).await;
            tally.ended(result)
        });
    }
}

async fn produce(
    client: &mut Connection,
    pipeline: u64,
    jobs: &Jobs,
    progress: &Progress,
    tally: &mut Tally,
) -> Result<(), ConnectionError> {
    let mut words = Vec::new();
    loop {
        let batch = progress.claim(pipeline);
        if batch.is_empty() {
            return Ok(());
        }
        let sent = Instant::now();
        for number in batch.clone() {
            jobs.add(number, jobs.body(), &mut words);
            client.send(&words);
        }
        client.flush().await?;
        for _ in batch {
            let reply = client.receive().await?;
            tally.took(sent.elapsed());
            progress.add_done(1);
            match Jobs::added(&reply) {
                Ok(()) => tally.done += 1,
                Err(error) => tally.fail(error),
            }
        }
    }
}
