//! What the core costs: time per command, the longest single command, and memory per job.
//!
//! `cargo run --release -p shoalmq-core --example core_cost [-- JOBS...]`

#![allow(clippy::print_stdout, reason = "it reports to a person")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use shoalmq_core::command::{
    AddJob, Command, Counters, DEFAULT_TTL, GetJob, Replication, Reply, Wait,
};
use shoalmq_core::effect::Effect;
use shoalmq_core::event::Event;
use shoalmq_core::id::{ClientId, JobId, NodeId, Ticket};
use shoalmq_core::node::{Eviction, Log, Node, Settings};
use shoalmq_core::time::{Now, Time, WallTime};

const BODY: [u8; 100] = [b'x'; 100];
const WALL: u64 = 1_767_225_600_000;
/// Commands of one measurement.
const ROUND: u64 = 200_000;

fn main() {
    let sizes: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![10_000, 1_000_000, 5_000_000]
    } else {
        sizes
    };
    println!("   queued log   ADDJOB GET+ACK   NACK (ns)  longest ADDJOB  bytes/job");
    for queued in sizes {
        for log in [Log::Off, Log::On] {
            measure(queued, log);
        }
    }
}

fn measure(queued: u64, log: Log) {
    let mut bench = Bench::new(log);
    let before = resident();
    let filled = bench.add(queued);
    let bytes = (resident().saturating_sub(before)) / queued;
    // At a constant length: as many come as go, oldest first.
    let (mut add, mut take) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUND / 1000 {
        add += bench.add(1000).total;
        take += bench.take_and_ack(1000);
    }
    let nack = bench.take_and_nack(ROUND);
    let each = |total: Duration| total.as_nanos() as u64 / ROUND;
    println!(
        "{queued:>9} {:<3} {:>8} {:>7} {:>6} {:>15?} {bytes:>10}",
        if log == Log::On { "on" } else { "off" },
        each(add),
        each(take),
        each(nack),
        filled.longest,
    );
}

struct Bench {
    node: Node,
    now: Now,
    effects: Vec<Effect>,
    number: u64,
}

struct Spent {
    total: Duration,
    longest: Duration,
}

impl Bench {
    fn new(log: Log) -> Self {
        let settings = Settings {
            max_memory: 0,
            eviction: Eviction::Acks,
            log,
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
                Effect::Reply(_, reply) => answer = Some(reply),
                Effect::Persist(record) => drop(black_box(record)),
                Effect::Retire(_) => {}
            }
        }
        answer
    }

    fn add(&mut self, count: u64) -> Spent {
        let add = AddJob {
            queue: b"queue",
            body: &BODY,
            timeout: None,
            replicate: None,
            delay: 0,
            retry: None,
            ttl: DEFAULT_TTL,
            max_len: None,
            replication: Replication::Synchronous,
        };
        let began = Instant::now();
        let (mut last, mut longest) = (began, Duration::ZERO);
        for nth in 1..=count {
            black_box(self.send(Command::AddJob(add.clone())));
            if nth % 16 == 0 {
                let now = Instant::now();
                longest = longest.max(now - last);
                last = now;
            }
        }
        Spent {
            total: began.elapsed(),
            longest,
        }
    }

    fn take(&mut self) -> JobId {
        let get = GetJob {
            queues: vec![b"queue"],
            count: 1,
            wait: Wait::No,
            counters: Counters::Without,
        };
        match self.send(Command::GetJob(get)) {
            Some(Reply::Delivered(taken, _)) => taken[0].id,
            other => panic!("{other:?}: the queue is full of jobs"),
        }
    }

    fn take_and_ack(&mut self, count: u64) -> Duration {
        let began = Instant::now();
        for _ in 0..count {
            let id = self.take();
            black_box(self.send(Command::AckJob(vec![id])));
        }
        began.elapsed()
    }

    /// Takes 100 jobs, then gives them back: each NACK goes in front of the queue.
    fn take_and_nack(&mut self, count: u64) -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..count / 100 {
            let ids: Vec<JobId> = (0..100).map(|_| self.take()).collect();
            let began = Instant::now();
            for id in ids {
                black_box(self.send(Command::Nack(vec![id])));
            }
            total += began.elapsed();
        }
        total
    }
}

/// Bytes of memory that the process has in use.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|text| text.parse().ok());
    pages.unwrap_or(0_u64) * 4096
}
