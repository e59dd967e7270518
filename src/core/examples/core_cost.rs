//! What the core costs: CPU time per command, the longest stall while a node fills up, and memory per job.
//!
//! `cargo run --release -p shoalmq-core --example core_cost [-- JOBS off|on]`
//!
//! Each measurement is a process of its own, for a fresh heap. Times are of this thread on its CPU, so that other load
//! on the machine hardly shows.

#![allow(clippy::print_stdout, reason = "it reports to a person")]

use std::hint::black_box;
use std::time::Duration;

use shoalmq_core::command::{AddJob, Command, GetJob, Reply, Told, Wait};
use shoalmq_core::effect::Effect;
use shoalmq_core::event::Event;
use shoalmq_core::id::{ClientId, JobId, NodeId, Ticket};
use shoalmq_core::node::{Eviction, Log, Node, Settings};
use shoalmq_core::time::{Now, Time, WallTime};

const BODY: [u8; 100] = [b'x'; 100];
const WALL: u64 = 1_767_225_600_000;
/// Commands of one measurement.
const ROUND: u64 = 200_000;

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if let [_, jobs, log] = &args[..] {
        let log = if log == "on" { Log::On } else { Log::Off };
        measure(jobs.parse().expect("a number of jobs"), log);
        return Ok(());
    }
    println!("     jobs  log  ADDJOB GET+ACK    NACK (ns)  longest stall  bytes/job");
    for jobs in ["10000", "1000000", "5000000"] {
        for log in ["off", "on"] {
            std::process::Command::new(&args[0])
                .args([jobs, log])
                .status()?;
        }
    }
    Ok(())
}

fn measure(jobs: u64, log: Log) {
    let mut bench = Bench::new(log);
    let before = resident();
    let longest = bench.fill(jobs);
    let bytes = resident().saturating_sub(before) / jobs;
    let (mut add, mut take) = (0, 0);
    // At a constant length: as many come as go, oldest first.
    for _ in 0..ROUND / 1000 {
        add += timed(|| bench.add(1000));
        take += timed(|| bench.take_and_ack(1000));
    }
    let nack = bench.take_and_nack(ROUND);
    let each = |nanos: u64| nanos / ROUND;
    println!(
        "{jobs:>9} {:>4} {:>7} {:>7} {:>7} {:>14} us {bytes:>8}",
        if log == Log::On { "on" } else { "off" },
        each(add),
        each(take),
        each(nack),
        longest / 1000,
    );
}

/// Nanoseconds of CPU that `act` takes.
fn timed(act: impl FnOnce()) -> u64 {
    let before = cpu_nanos();
    act();
    cpu_nanos() - before
}

struct Bench {
    node: Node,
    now: Now,
    effects: Vec<Effect>,
    number: u64,
}

impl Bench {
    fn new(log: Log) -> Self {
        let settings = Settings {
            max_memory: 0,
            eviction: Eviction::Acks,
            log,
            ..Settings::default()
        };
        let now = Now {
            time: Time::from_millis(WALL),
            wall: WallTime(WALL),
        };
        let node = Node::new(NodeId::from_bytes([1; 20]), settings, now.time, [2; 32]);
        Bench {
            node,
            now,
            effects: Vec::new(),
            number: 0,
        }
    }

    fn send(&mut self, command: Command<'_>) -> Option<Reply> {
        self.number += 1;
        if self.number.is_multiple_of(1000) {
            self.now.time = self.now.time + Duration::from_millis(1);
            self.now.wall.0 += 1;
        }
        let ticket = Ticket {
            client: ClientId(1),
            number: self.number,
        };
        let event = Event::Command(ticket, command);
        self.node.handle(self.now, event, &mut self.effects);
        let mut answer = None;
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Reply(_, reply, _) => answer = Some(reply),
                Effect::Persist(record, _) => drop(black_box(record)),
                Effect::Send(..)
                | Effect::Retire(..)
                | Effect::Fetch(..)
                | Effect::Push(..)
                | Effect::FetchEntries(_)
                | Effect::AwaitReader(_) => {}
            }
        }
        answer
    }

    /// Adds jobs to an empty node. Returns the nanoseconds of the longest run of 64.
    fn fill(&mut self, count: u64) -> u64 {
        let runs = (0..count / 64).map(|_| timed(|| self.add(64)));
        let longest = runs.max().unwrap_or(0);
        self.add(count % 64);
        longest
    }

    // A profile tells these apart: they are not inlined.
    #[inline(never)]
    fn add(&mut self, count: u64) {
        let add = AddJob::new(b"queue", &BODY);
        for _ in 0..count {
            black_box(self.send(Command::AddJob(add.clone())));
        }
    }

    #[inline(never)]
    fn take(&mut self) -> JobId {
        let get = GetJob {
            queues: vec![b"queue"],
            count: 1,
            wait: Wait::No,
            told: Told::default(),
        };
        match self.send(Command::GetJob(get)) {
            Some(Reply::Delivered(taken, _)) => taken[0].id,
            other => panic!("{other:?}: the queue is full of jobs"),
        }
    }

    #[inline(never)]
    fn ack(&mut self, id: JobId) {
        black_box(self.send(Command::ack(vec![id])));
    }

    fn take_and_ack(&mut self, count: u64) {
        for _ in 0..count {
            let id = self.take();
            self.ack(id);
        }
    }

    /// Takes 1000 jobs, then gives them back, again and again: each NACK goes to the front of the queue.
    fn take_and_nack(&mut self, count: u64) -> u64 {
        let rounds = (0..count / 1000).map(|_| {
            let ids: Vec<JobId> = (0..1000).map(|_| self.take()).collect();
            timed(|| {
                for id in ids {
                    black_box(self.send(Command::nack(vec![id])));
                }
            })
        });
        rounds.sum()
    }
}

/// Bytes of memory that the process has in use.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|text| text.parse().ok());
    pages.unwrap_or(0_u64) * 4096
}

/// CPU time of this thread so far.
fn cpu_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
