//! Deleting what a run added, however it ended: at its end, after an error, after Ctrl-C.
//!
//! The queues of a run hold nothing when it starts, so all that is in them afterwards was added by it. The jobs are
//! acknowledged, for that deletes them on every node.

use super::BenchError;
use super::job::shown;
use super::phase::Session;
use shoalmq_client::{Connection, ConnectionError};
use shoalmq_resp::Frame;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long one command may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the nodes get to hear of acknowledgements.
pub(super) const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often it is looked whether they have.
pub(super) const SETTLE_PAUSE: Duration = Duration::from_millis(50);

/// What QSTAT FULL counts: jobs that may be handed out on some node.
const HELD: [&str; 4] = ["len", "active", "delayed", "restored"];

/// Why jobs may be left.
#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    #[error(transparent)]
    Client(#[from] ConnectionError),
    #[error("no answer within {CALL_TIMEOUT:?}")]
    Late,
    #[error("{command}: unexpected reply: {reply}")]
    Reply {
        command: &'static str,
        reply: String,
    },
    #[error("these nodes did not answer: {0}")]
    Missing(String),
    #[error("some are held after {SETTLE_TIMEOUT:?}")]
    Held,
    #[error("interrupted")]
    Interrupted,
}

impl Session {
    /// Refuses to go on if the queues hold any job, on any node.
    pub(super) async fn expect_unused(&mut self) -> Result<(), BenchError> {
        for queue in self.jobs().queues() {
            let began = Instant::now();
            loop {
                let reply = self
                    .control
                    .call(&["QSTAT", queue, "FULL", "GLOBAL"])
                    .await?;
                let figures = reply.as_array().and_then(<[Frame]>::first);
                let counted = |names: &[&str]| -> Option<i64> {
                    let figures = figures?;
                    names.iter().map(|name| figure(figures, name)).sum()
                };
                let (Some(jobs), Some(copies)) = (counted(&HELD), counted(&["copies"])) else {
                    return Err(BenchError::Reply {
                        command: "QSTAT",
                        reply: shown(&reply),
                    });
                };
                if jobs + copies == 0 {
                    break;
                }
                // Copies alone may be those of an earlier run: their nodes are about to hear that the jobs are done.
                if jobs > 0 || began.elapsed() > SETTLE_TIMEOUT {
                    return Err(BenchError::Backlog {
                        queue: queue.clone(),
                        jobs: jobs + copies,
                    });
                }
                tokio::time::sleep(SETTLE_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Deletes what is in the queues, unless it is interrupted again. Says how many jobs that were, and whether any may be
    /// left; returns whether none is.
    pub(super) async fn clean_up(&self) -> bool {
        let mut deleted = 0;
        let cleaned = tokio::select! {
            cleaned = self.delete_all(&mut deleted) => cleaned,
            () = self.interrupts.more_than(1) => Err(Reason::Interrupted),
        };
        if deleted > 0 {
            eprintln!("shoalmq bench: deleted {deleted} of the jobs that it added");
        }
        if let Err(reason) = &cleaned {
            let jobs = self.jobs();
            let queues = jobs.queues();
            let shown = queues.first().map_or("", String::as_str);
            let more = match queues.len() {
                0 | 1 => String::new(),
                count => format!(" and {} other queues", count - 1),
            };
            eprintln!(
                "shoalmq bench: jobs that it added may be left in queue {shown}{more}: {reason}"
            );
        }
        cleaned.is_ok()
    }

    async fn delete_all(&self, deleted: &mut u64) -> Result<(), Reason> {
        // The connection of the run may be what broke.
        let mut client = self.args.node.connect().await?;
        let mut missing = BTreeSet::new();
        for queue in self.jobs().queues() {
            let began = Instant::now();
            while !delete_pass(&mut client, queue, deleted, &mut missing).await? {
                if began.elapsed() > SETTLE_TIMEOUT {
                    return Err(Reason::Held);
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<String> = missing.into_iter().collect();
        Err(Reason::Missing(missing.join(" ")))
    }
}

/// Acknowledges the jobs of a queue, on whatever node they are; tells whether there were none.
async fn delete_pass(
    client: &mut Connection,
    queue: &str,
    deleted: &mut u64,
    missing: &mut BTreeSet<String>,
) -> Result<bool, Reason> {
    let (mut cursor, mut none) = ("0".to_owned(), true);
    loop {
        let mut words = vec!["JSCAN", &cursor, "COUNT", "1000", "QUEUE", queue];
        words.extend(["STATE", "wait-repl", "STATE", "active", "STATE", "queued"]);
        words.push("GLOBAL");
        let reply = call(client, &words).await?;
        let (next, ids, absent) = page(&reply)?;
        missing.extend(absent.iter().filter_map(Frame::as_str).map(str::to_owned));
        let mut words: Vec<&[u8]> = vec![b"ACKJOB"];
        words.extend(ids.iter().filter_map(Frame::as_bytes));
        if words.len() > 1 {
            none = false;
            let acked = call(client, &words).await?;
            let known = acked.as_integer().ok_or_else(|| Reason::Reply {
                command: "ACKJOB",
                reply: shown(&acked),
            })?;
            *deleted += u64::try_from(known).unwrap_or(0);
        }
        if next == "0" {
            break;
        }
        cursor = next;
    }
    if !none {
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
    Ok(none)
}

/// An answer to JSCAN GLOBAL: the next cursor, the ids of jobs, and those of the nodes that did not answer.
fn page(reply: &Frame) -> Result<(String, &[Frame], &[Frame]), Reason> {
    let parts = reply.as_array().and_then(|parts| match parts {
        [found, missing] => Some((found.as_array()?, missing.as_array()?)),
        _ => None,
    });
    match parts {
        Some(([Frame::Bulk(cursor), Frame::Array(ids)], missing)) => {
            Ok((String::from_utf8_lossy(cursor).into_owned(), ids, missing))
        }
        _ => Err(Reason::Reply {
            command: "JSCAN",
            reply: shown(reply),
        }),
    }
}

pub(super) async fn call<W: AsRef<[u8]>>(
    client: &mut Connection,
    words: &[W],
) -> Result<Frame, Reason> {
    let reply = tokio::time::timeout(CALL_TIMEOUT, client.call(words)).await;
    Ok(reply.map_err(|_| Reason::Late)??)
}

/// A number in an answer to QSTAT; 0 if it is nil.
fn figure(figures: &Frame, name: &str) -> Option<i64> {
    if figures.is_nil() {
        return Some(0);
    }
    let mut pairs = figures.as_array()?.chunks_exact(2);
    let found = pairs.find(|pair| pair[0].as_str() == Some(name))?;
    found[1].as_integer()
}

/// How often somebody has asked the run to stop.
#[derive(Clone, Debug)]
pub(super) struct Interrupts(watch::Receiver<u32>);

impl Interrupts {
    /// Waits until somebody has asked to stop more often than this.
    pub(super) async fn more_than(&self, times: u32) {
        let mut asked = self.0.clone();
        if asked.wait_for(|asked| *asked > times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Counts Ctrl-C and SIGTERM from now on; the third ends the process, whatever it waits for.
    pub(super) fn watch() -> Self {
        let listen = |kind| signal(kind).expect("a signal can be listened for");
        let mut interrupt = listen(SignalKind::interrupt());
        let mut terminate = listen(SignalKind::terminate());
        let (count, asked) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                count.send_modify(|count| *count += 1);
                if *count.borrow() > 2 {
                    std::process::exit(1);
                }
            }
        });
        Interrupts(asked)
    }
}
