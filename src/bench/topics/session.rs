//! A run: its phases, one after the other, and the flush at its end.

use super::args::{TopicPhase, TopicsArgs};
use super::entries::Entries;
use super::publish::Publishing;
use super::report::TopicReport;
use super::{live, replay};
use crate::bench::BenchError;
use crate::bench::cleaning::{Interrupts, Reason, SETTLE_PAUSE, SETTLE_TIMEOUT, call};
use crate::bench::cpu::Process;
use crate::bench::job::shown;
use crate::bench::phase::{Progress, Target, connections, watch_over};
use shoalmq_client::Connection;
use shoalmq_resp::Frame;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A run: each phase has new connections, except the one that asks questions.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) args: TopicsArgs,
    entries: Arc<Entries>,
    control: Connection,
    servers: Vec<Process>,
    interrupts: Interrupts,
    /// How many numbers the phases so far gave to entries.
    claimed: u64,
    /// How many entries were published.
    published: Arc<AtomicU64>,
}

impl Session {
    /// Connects, and finds the processes of the nodes.
    pub(super) async fn open(args: TopicsArgs) -> Result<Self, BenchError> {
        let mut control = args.node.connect().await?;
        let server = Process::chosen(args.server_pid, &args.node, &mut control).await?;
        let mut servers = Vec::from_iter(server);
        if args.read_at.is_some() {
            let node = args.read_node();
            let other = Process::serving(&node, &mut node.connect().await?).await?;
            servers.extend(other.filter(|other| !servers.contains(other)));
        }
        Ok(Self {
            entries: Arc::new(Entries::new(&args)),
            args,
            control,
            servers,
            interrupts: Interrupts::watch(),
            claimed: 0,
            published: Arc::new(AtomicU64::new(0)),
        })
    }

    pub(super) fn entries(&self) -> Arc<Entries> {
        Arc::clone(&self.entries)
    }

    pub(super) fn published(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.published)
    }

    /// How many entries were published.
    pub(super) fn published_count(&self) -> u64 {
        self.published.load(Relaxed)
    }

    /// How many numbers the phases so far gave to entries.
    pub(super) fn claimed(&self) -> u64 {
        self.claimed
    }

    /// Refuses to go on if there are entries in the channels.
    pub(super) async fn expect_unused(&mut self) -> Result<(), BenchError> {
        let pattern = self.entries.pattern();
        let reply = self.control.call(&["TLEN", pattern]).await?;
        match reply.as_integer() {
            Some(0) => Ok(()),
            Some(entries) => Err(BenchError::Entries {
                pattern: pattern.to_owned(),
                entries,
            }),
            None => Err(BenchError::Reply {
                command: "TLEN",
                reply: shown(&reply),
            }),
        }
    }

    /// Runs one phase to its end, or until Ctrl-C.
    pub(super) async fn run(&mut self, phase: TopicPhase) -> Result<TopicReport, BenchError> {
        let (publishers, readers) = self.connect(phase).await?;
        let count = self.args.readers.get() as u64;
        let cpu_before = self.cpu_time();
        let progress = match phase {
            TopicPhase::Publish => Progress::new(Target(self.args.entries.get())),
            TopicPhase::Live => Progress::read_by(count, Target(self.args.entries.get())),
            TopicPhase::Replay => Progress::read_by(count, Target(self.published_count())),
        };
        let (stop, stopped) = watch::channel(false);
        let mut workers = JoinSet::new();
        match phase {
            TopicPhase::Publish => {
                Publishing::new(self, &progress, None).spawn(&mut workers, publishers, &stopped);
            }
            TopicPhase::Live => {
                live::spawn(
                    &mut workers,
                    self,
                    (publishers, readers),
                    &progress,
                    &stopped,
                );
            }
            TopicPhase::Replay => replay::spawn(&mut workers, self, readers, &progress, &stopped),
        }
        if phase != TopicPhase::Replay {
            self.claimed += self.args.entries.get();
        }
        let name = phase.name();
        let (tally, interrupted) =
            watch_over(name, workers, &progress, &stop, &self.interrupts).await;
        let took = progress.took();
        let cpu = self.cpu_time().zip(cpu_before);
        let cpu = cpu.map(|(after, before)| after.saturating_sub(before));
        let report = TopicReport::new(&self.args, phase, tally, took, cpu);
        Ok(TopicReport {
            interrupted,
            ..report
        })
    }

    /// The connections of a phase: those that publish, and those that read.
    async fn connect(
        &self,
        phase: TopicPhase,
    ) -> Result<(Vec<Connection>, Vec<Connection>), BenchError> {
        let (args, read_node) = (&self.args, self.args.read_node());
        let (mut publishers, mut readers) = (Vec::new(), Vec::new());
        if phase != TopicPhase::Replay {
            publishers = connections(&args.node, args.connections.get()).await?;
        }
        if phase != TopicPhase::Publish {
            readers = connections(&read_node, args.readers.get()).await?;
        }
        if phase == TopicPhase::Live {
            for reader in &mut readers {
                live::subscribe(reader, &self.entries).await?;
            }
        }
        Ok((publishers, readers))
    }

    fn cpu_time(&self) -> Option<Duration> {
        if self.servers.is_empty() {
            return None;
        }
        self.servers.iter().map(|server| server.cpu_time()).sum()
    }

    /// Flushes the channels, unless it is interrupted again. Says how many entries that were, and whether any may be left;
    /// returns whether none is.
    pub(super) async fn clean_up(&self) -> bool {
        let mut flushed = 0;
        let cleaned = tokio::select! {
            cleaned = self.flush(&mut flushed) => cleaned,
            () = self.interrupts.more_than(1) => Err(Reason::Interrupted),
        };
        if flushed > 0 {
            eprintln!("shoalmq bench: flushed {flushed} entries that it published");
        }
        if let Err(reason) = &cleaned {
            let pattern = self.entries.pattern();
            eprintln!(
                "shoalmq bench: entries that it published may be left: {reason}; \
                 TFLUSH {pattern} BEFORE $ removes them"
            );
        }
        cleaned.is_ok()
    }

    async fn flush(&self, flushed: &mut u64) -> Result<(), Reason> {
        // The connection of the run may be what broke.
        let mut client = self.args.node.connect().await?;
        let pattern = self.entries.pattern();
        let began = Instant::now();
        loop {
            let went = count(&mut client, "TFLUSH", &["TFLUSH", pattern, "BEFORE", "$"]).await?;
            *flushed += went;
            if count(&mut client, "TLEN", &["TLEN", pattern]).await? == 0 {
                return Ok(());
            }
            if began.elapsed() > SETTLE_TIMEOUT {
                return Err(Reason::Held);
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }
}

/// Calls a command that answers with a number.
async fn count(
    client: &mut Connection,
    command: &'static str,
    words: &[&str],
) -> Result<u64, Reason> {
    let reply: Frame = call(client, words).await?;
    let number = reply.as_integer().and_then(|number| number.try_into().ok());
    number.ok_or_else(|| Reason::Reply {
        command,
        reply: shown(&reply),
    })
}
