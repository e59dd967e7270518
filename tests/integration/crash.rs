//! kill -9 under load with `appendfsync always`: what a client was told holds, round after round, on one folder.
//!
//! Producers note every id that they were answered, consumers every ACKJOB that was counted. After each start, each id
//! that was received and not acknowledged is still there with its body, and no acknowledged one is. An ACKJOB that was
//! sent but not answered may have happened or not. At the end everything left is delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::fixture::{DEADLINE, Launch, Node, within};
use crate::wire::{Connection, Reply, jobs};

const ROUNDS: usize = 12;
const PRODUCERS: usize = 3;
const CONSUMERS: usize = 3;
/// A round is killed once so many more jobs were answered; different in each round.
const JOBS_PER_ROUND: usize = 250;
/// Commands in flight per producer.
const PIPELINE: usize = 8;

/// What the clients know.
#[derive(Default)]
struct Ledger {
    /// Each id that ADDJOB answered, with its body.
    added: BTreeMap<String, String>,
    /// Bodies sent whose answer never came: their ids are unknown, their deliveries fine.
    unanswered: BTreeSet<String>,
    delivered: BTreeSet<String>,
    /// ACKJOB was sent and not yet answered.
    ack_sent: BTreeSet<String>,
    acked: BTreeSet<String>,
    /// Ids that were delivered after their ACKJOB was answered.
    back_from_the_dead: Vec<String>,
}

/// What the clients of one round share.
struct Round<'a> {
    port: u16,
    number: usize,
    stop: &'a AtomicBool,
    ledger: &'a Mutex<Ledger>,
}

impl Round<'_> {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no client has panicked")
    }

    /// Adds jobs, some at a time in flight, until the node is gone.
    fn produce(&self, producer: usize) {
        let Ok(mut connection) = Connection::try_open(self.port) else {
            return;
        };
        for batch in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let bodies: Vec<_> = (0..PIPELINE)
                .map(|n| format!("{}-{producer}-{batch}-{n}", self.number))
                .collect();
            self.ledger().unanswered.extend(bodies.iter().cloned());
            let lines: Vec<_> = bodies
                .iter()
                .map(|body| format!("ADDJOB q {body} 0 RETRY 1\r\n"))
                .collect();
            if connection.try_send_raw(lines.concat().as_bytes()).is_err() {
                return;
            }
            for body in bodies {
                let Ok(reply) = connection.try_receive() else {
                    return;
                };
                let id = reply.simple_text().to_owned();
                let mut ledger = self.ledger();
                ledger.unanswered.remove(&body);
                let known = ledger.added.insert(id, body);
                assert!(known.is_none(), "an id was given twice");
            }
        }
    }

    /// Takes jobs and acknowledges two out of three of them, until the node is gone.
    fn consume(&self) {
        let Ok(mut connection) = Connection::try_open(self.port) else {
            return;
        };
        while !self.stop.load(Ordering::Relaxed) {
            if self.consume_some(&mut connection, |n| n % 3 != 0).is_err() {
                return;
            }
        }
    }

    fn consume_some(
        &self,
        connection: &mut Connection,
        acks: impl Fn(usize) -> bool,
    ) -> std::io::Result<()> {
        let acked_before = self.ledger().acked.clone();
        connection.try_send_raw(b"GETJOB TIMEOUT 50 COUNT 7 FROM q\r\n")?;
        let reply = connection.try_receive()?;
        if reply == Reply::NilArray {
            return Ok(());
        }
        for (n, job) in jobs(&reply).into_iter().enumerate() {
            {
                let mut ledger = self.ledger();
                if acked_before.contains(&job.id) {
                    ledger.back_from_the_dead.push(job.id.clone());
                }
                match ledger.added.get(&job.id) {
                    Some(body) => assert_eq!(*body, job.body, "{} came with another body", job.id),
                    // Delivered before its producer read the answer, or answered never.
                    None => assert!(
                        ledger.unanswered.contains(&job.body),
                        "nobody has sent {job:?}"
                    ),
                }
                ledger.delivered.insert(job.id.clone());
                if !acks(n) {
                    continue;
                }
                ledger.ack_sent.insert(job.id.clone());
            }
            connection.try_send_raw(format!("ACKJOB {}\r\n", job.id).as_bytes())?;
            let counted = connection.try_receive()?.int();
            if counted == 1 {
                let mut ledger = self.ledger();
                ledger.ack_sent.remove(&job.id);
                ledger.acked.insert(job.id);
            }
        }
        Ok(())
    }
}

/// Loads the node until enough was answered, and kills it while the clients are at it.
fn load_and_kill(node: &mut Node, number: usize, ledger: &Mutex<Ledger>) {
    let stop = AtomicBool::new(false);
    let round = Round {
        port: node.port(),
        number,
        stop: &stop,
        ledger,
    };
    let answered = || round.ledger().added.len();
    let wanted = answered() + JOBS_PER_ROUND + 37 * (number % 5);
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let round = &round;
            scope.spawn(move || round.produce(producer));
        }
        for _ in 0..CONSUMERS {
            scope.spawn(|| round.consume());
        }
        let start = Instant::now();
        while answered() < wanted && start.elapsed() < DEADLINE {
            thread::sleep(Duration::from_millis(1));
        }
        node.kill();
        stop.store(true, Ordering::Relaxed);
    });
    assert!(
        answered() >= wanted,
        "too slow: {} of {wanted} jobs were answered",
        answered()
    );
}

/// Compares what the restarted node holds with what the clients were told.
fn check(node: &Node, ledger: &Ledger, round: usize) {
    let mut client = node.connect();
    let scan = client.call("JSCAN BUSYLOOP REPLY all");
    let mut held = BTreeMap::new();
    for job in scan.items()[1].items() {
        let acked = job.field("state").text() == "acked";
        if !acked {
            held.insert(job.field("id").text(), job.field("body").text());
        }
    }
    let revived: Vec<_> = ledger
        .acked
        .iter()
        .filter(|id| held.contains_key(*id))
        .collect();
    assert!(
        revived.is_empty(),
        "round {round}: acknowledged jobs came back: {revived:?}"
    );
    let settled = |id: &String| ledger.acked.contains(id) || ledger.ack_sent.contains(id);
    let lost: Vec<_> = ledger
        .added
        .keys()
        .filter(|id| !settled(id) && !held.contains_key(*id))
        .collect();
    assert!(
        lost.is_empty(),
        "round {round}: {} of {} jobs are lost: {lost:?}",
        lost.len(),
        ledger.added.len()
    );
    for (id, body) in &held {
        match ledger.added.get(id) {
            Some(expected) => assert_eq!(body, expected, "round {round}: {id} has another body"),
            None => assert!(
                ledger.unanswered.contains(body),
                "round {round}: nobody has sent {body:?}"
            ),
        }
    }
}

#[test]
fn kill_under_load_loses_no_job_and_revives_none() {
    let mut node = Launch::new().flags("--appendfsync always").start();
    let ledger = Mutex::new(Ledger::default());
    for round in 0..ROUNDS {
        load_and_kill(&mut node, round, &ledger);
        node.restart();
        let ledger = ledger.lock().expect("no client has panicked");
        check(&node, &ledger, round);
        assert!(
            ledger.back_from_the_dead.is_empty(),
            "round {round}: {:?}",
            ledger.back_from_the_dead
        );
    }

    let stop = AtomicBool::new(false);
    let drain = Round {
        port: node.port(),
        number: ROUNDS,
        stop: &stop,
        ledger: &ledger,
    };
    let mut connection = node.connect();
    within(
        Duration::from_secs(30),
        "all jobs are delivered and acknowledged",
        || {
            drain
                .consume_some(&mut connection, |_| true)
                .expect("the node serves");
            (connection.info("registered_jobs") == "0").then_some(())
        },
    );
    let ledger = ledger.into_inner().expect("no client has panicked");
    assert!(
        ledger.back_from_the_dead.is_empty(),
        "{:?}",
        ledger.back_from_the_dead
    );
    let gone = |id: &String| ledger.delivered.contains(id) || ledger.ack_sent.contains(id);
    let undelivered: Vec<_> = ledger.added.keys().filter(|id| !gone(id)).collect();
    assert!(undelivered.is_empty(), "never delivered: {undelivered:?}");
    assert!(ledger.added.len() >= ROUNDS * JOBS_PER_ROUND && ledger.acked.len() > ROUNDS * 20);
    println!(
        "{ROUNDS} kills: {} jobs answered, {} acknowledged, {} answers cut off",
        ledger.added.len(),
        ledger.acked.len(),
        ledger.unanswered.len()
    );
}
