//! Many queues, consumers on random nodes: every job once.
//!
//! The long form, 500 thousand jobs: `cargo test --release --test integration -- --ignored --nocapture spreading`.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::fixture::Shoal;
use crate::fixture::Node;
use crate::wire::{Connection, Reply, encode, jobs};

const NODES: usize = 7;
const QUEUES: usize = 200;
const PRODUCERS: usize = 4;
/// Commands in flight per producer.
const PIPELINE: usize = 50;
/// Jobs that wait to be delivered at any time: what is measured is moving, not piling up.
const BACKLOG: usize = 10_000;

/// A small generator with a fixed seed: which nodes and queues meet is random, and the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound
    }
}

/// What producers and consumers share.
struct Run {
    ports: Vec<u16>,
    jobs: usize,
    added: AtomicUsize,
    seen: Mutex<HashSet<String>>,
    delivered: AtomicUsize,
    twice: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Run {
    /// Adds its share of the jobs, to random queues at random nodes.
    fn produce(&self, producer: usize) {
        let mut dice = Dice(0x5eed + producer as u64);
        let mut connections: Vec<_> = self
            .ports
            .iter()
            .map(|port| Connection::open(*port))
            .collect();
        let share = self.jobs / PRODUCERS;
        let mut n = 0;
        while n < share {
            while self.added.load(Ordering::Relaxed)
                > self.delivered.load(Ordering::Relaxed) + BACKLOG
            {
                thread::sleep(Duration::from_millis(2));
            }
            let connection = &mut connections[dice.below(NODES)];
            let count = PIPELINE.min(share - n);
            let mut bytes = Vec::new();
            for _ in 0..count {
                let queue = format!("queue-{}", dice.below(QUEUES));
                bytes.extend(encode(&[
                    "ADDJOB",
                    &queue,
                    &format!("{producer}-{n}"),
                    "0",
                    "RETRY",
                    "3600",
                ]));
                n += 1;
            }
            connection.send_raw(&bytes);
            for _ in 0..count {
                connection.receive().simple_text();
                self.added.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Serves some queues at one node until all is delivered.
    fn consume(&self, node: usize, queues: &[usize]) {
        let names: Vec<_> = queues
            .iter()
            .map(|queue| format!("queue-{queue}"))
            .collect();
        let mut connection = Connection::open(self.ports[node]);
        let ask = format!("GETJOB TIMEOUT 200 COUNT 50 FROM {}", names.join(" "));
        while !self.over.load(Ordering::Relaxed) {
            let reply = connection.call(&ask);
            if reply == Reply::NilArray {
                continue;
            }
            let jobs = jobs(&reply);
            let ids: Vec<_> = jobs.iter().map(|job| job.id.as_str()).collect();
            let acked = connection.call(&format!("ACKJOB {}", ids.join(" ")));
            assert!(acked.int() >= 0);
            let mut seen = self.seen.lock().expect("no consumer panics");
            for job in jobs {
                if !seen.insert(job.body) {
                    self.twice.lock().expect("no consumer panics").push(job.id);
                }
            }
            self.delivered.store(seen.len(), Ordering::Relaxed);
        }
    }
}

fn spread(jobs: usize, patience: Duration) {
    let shoal = Shoal::start(NODES);
    let run = Run {
        ports: shoal.nodes.iter().map(Node::port).collect(),
        jobs,
        added: AtomicUsize::new(0),
        seen: Mutex::default(),
        delivered: AtomicUsize::new(0),
        twice: Mutex::default(),
        over: AtomicBool::new(false),
    };
    // Each queue is served by one or two consumers, each at a random node; each consumer serves ten queues.
    let mut dice = Dice(0x5ea);
    let consumers: Vec<(usize, Vec<usize>)> = (0..QUEUES / 10)
        .flat_map(|tenth| {
            let queues: Vec<_> = (tenth * 10..tenth * 10 + 10).collect();
            let count = 1 + tenth % 2;
            (0..count)
                .map(|_| (dice.below(NODES), queues.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    let start = Instant::now();
    thread::scope(|scope| {
        for (node, queues) in &consumers {
            let run = &run;
            scope.spawn(move || run.consume(*node, queues));
        }
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let run = &run;
                scope.spawn(move || run.produce(producer))
            })
            .collect();
        for producer in producers {
            producer.join().expect("no producer panics");
        }
        while run.delivered.load(Ordering::Relaxed) < jobs && start.elapsed() < patience {
            thread::sleep(Duration::from_millis(5));
        }
        let took = start.elapsed();
        println!(
            "{jobs} jobs in {took:?}: {:.0} a second",
            jobs as f64 / took.as_secs_f64()
        );
        run.over.store(true, Ordering::Relaxed);
    });
    let twice = run.twice.into_inner().expect("no consumer panics");
    assert_eq!(twice, Vec::<String>::new(), "delivered twice");
    assert_eq!(
        run.seen.into_inner().expect("no consumer panics").len(),
        jobs
    );
    shoal.wait_until_empty();
}

#[test]
fn every_job_is_delivered_once() {
    spread(20_000, Duration::from_mins(1));
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn every_one_of_half_a_million_jobs_is_delivered_once() {
    spread(500_000, Duration::from_mins(20));
}
