//! Every node stopped and started in turn, under load: nothing is lost, refused or delivered twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::fixture::{Shoal, drain};
use crate::fixture::Node;
use crate::wire::{Connection, Reply, jobs};

const PRODUCERS: usize = 3;
const CONSUMERS: usize = 3;
/// Jobs that are answered between two restarts, at least.
const JOBS_BETWEEN: usize = 200;

#[derive(Default)]
struct Ledger {
    /// The bodies of jobs that a producer was given an id of.
    answered: BTreeSet<String>,
    delivered: BTreeMap<String, usize>,
    /// Errors that clients were answered.
    refused: Vec<String>,
    broken_connections: usize,
}

struct Load<'a> {
    ports: &'a [u16],
    stop: &'a AtomicBool,
    added: &'a AtomicUsize,
    ledger: &'a Mutex<Ledger>,
}

impl Load<'_> {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no client panics")
    }

    /// A connection to this node, or to the next one that takes it, as clients do.
    fn connect(&self, node: &mut usize) -> Connection {
        loop {
            if let Ok(connection) = Connection::try_open(self.ports[*node % self.ports.len()]) {
                return connection;
            }
            *node += 1;
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Does something on a connection again and again; moves on to another node when it breaks.
    fn keep(&self, mut node: usize, mut turn: impl FnMut(&mut Connection) -> io::Result<()>) {
        let mut connection = self.connect(&mut node);
        while !self.stop.load(Ordering::Relaxed) {
            if turn(&mut connection).is_err() {
                self.ledger().broken_connections += 1;
                node += 1;
                connection = self.connect(&mut node);
            }
        }
    }

    fn produce(&self, producer: usize) {
        let mut n = 0;
        self.keep(producer, |connection| {
            n += 1;
            let body = format!("{producer}-{n}");
            let copies = if n % 2 == 0 { " REPLICATE 2" } else { "" };
            let add = format!("ADDJOB q {body} 5000 RETRY 5{copies}\r\n");
            connection.try_send_raw(add.as_bytes())?;
            match connection.try_receive()? {
                Reply::Error(text) => self.ledger().refused.push(format!("ADDJOB: {text}")),
                reply => {
                    reply.simple_text();
                    self.ledger().answered.insert(body);
                    self.added.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        });
    }

    /// A worker that acknowledges at the next node what its connection took along.
    fn consume(&self, consumer: usize) {
        let mut done: Vec<String> = Vec::new();
        self.keep(consumer, |connection| {
            acknowledge(connection, &mut done)?;
            connection.try_send_raw(b"GETJOB TIMEOUT 100 COUNT 5 FROM q\r\n")?;
            let jobs = match connection.try_receive()? {
                Reply::NilArray => return Ok(()),
                Reply::Error(text) => {
                    self.ledger().refused.push(format!("GETJOB: {text}"));
                    return Ok(());
                }
                reply => jobs(&reply),
            };
            for job in jobs {
                *self.ledger().delivered.entry(job.body).or_default() += 1;
                done.push(job.id);
            }
            acknowledge(connection, &mut done)
        });
        let mut node = consumer;
        while acknowledge(&mut self.connect(&mut node), &mut done).is_err() {
            node += 1;
        }
    }
}

/// Acknowledges these jobs, and forgets them once the node has answered.
fn acknowledge(connection: &mut Connection, done: &mut Vec<String>) -> io::Result<()> {
    if !done.is_empty() {
        connection.try_send_raw(format!("ACKJOB {}\r\n", done.join(" ")).as_bytes())?;
        connection.try_receive()?.int();
        done.clear();
    }
    Ok(())
}

#[test]
fn a_rolling_restart_under_load_loses_refuses_and_repeats_nothing() {
    for nodes in [3, 5] {
        let mut shoal = Shoal::with(nodes, "--appendfsync everysec");
        let ports: Vec<_> = shoal.nodes.iter().map(Node::port).collect();
        let (stop, added) = (AtomicBool::new(false), AtomicUsize::new(0));
        let ledger = Mutex::new(Ledger::default());
        let load = Load {
            ports: &ports,
            stop: &stop,
            added: &added,
            ledger: &ledger,
        };
        thread::scope(|scope| {
            for producer in 0..PRODUCERS {
                let load = &load;
                scope.spawn(move || load.produce(producer));
            }
            for consumer in 0..CONSUMERS {
                let load = &load;
                scope.spawn(move || load.consume(consumer));
            }
            for node in 0..nodes {
                wait_for_jobs(&added);
                assert!(shoal.nodes[node].terminate().success());
                wait_for_jobs(&added);
                // Clients find it as soon as it listens: its links come up under their eyes.
                shoal.nodes[node].restart();
            }
            wait_for_jobs(&added);
            stop.store(true, Ordering::Relaxed);
        });
        let mut ledger = ledger.into_inner().expect("no client panics");
        // Longer than the retry: what a broken connection took along comes again.
        for (body, count) in drain(&shoal, "q", Duration::from_secs(7)) {
            *ledger.delivered.entry(body).or_default() += count;
        }
        let twice = ledger
            .delivered
            .values()
            .filter(|count| **count > 1)
            .count();
        println!(
            "{} jobs, {} connections broken, {twice} delivered twice",
            ledger.answered.len(),
            ledger.broken_connections
        );
        assert_eq!(ledger.refused, Vec::<String>::new());
        assert_eq!(twice, 0, "jobs delivered twice");
        let lost: Vec<_> = ledger
            .answered
            .iter()
            .filter(|body| !ledger.delivered.contains_key(*body))
            .collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        // Only connections that were open to the node that stopped break: a client has one.
        assert!(
            ledger.broken_connections <= nodes * (PRODUCERS + CONSUMERS),
            "{} connections broke",
            ledger.broken_connections
        );
        shoal.wait_until_empty();
    }
}

/// Waits until some more jobs were answered: the load goes on whatever happens.
#[track_caller]
fn wait_for_jobs(added: &AtomicUsize) {
    let wanted = added.load(Ordering::Relaxed) + JOBS_BETWEEN;
    let start = Instant::now();
    while added.load(Ordering::Relaxed) < wanted {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "no more jobs are answered"
        );
        thread::sleep(Duration::from_millis(2));
    }
}
