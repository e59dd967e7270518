//! kill -9 under load, for every backend and every `appendfsync`: what a client was told holds, round after round, on one
//! folder.
//!
//! Producers note every id that they were answered, consumers every ACKJOB that was counted, both with the moment. After
//! each start, each id that was received and not acknowledged is still there with its body, and no acknowledged one is:
//! with `always` without exception, else but for what was answered within [`WINDOW`] before the kill, which is counted.
//! An ACKJOB that was sent but not answered may have happened or not. No job with RETRY 0 comes twice, ever. At the end
//! everything left is delivered.
//!
//! The long form: `cargo test --release --test integration -- --ignored --nocapture kill_loop`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::fixture::{DEADLINE, Launch, Node, within};
use crate::wire::{Connection, Job, Reply, jobs};

/// Rounds of the form that CI runs, and of the long one.
const ROUNDS: usize = 12;
const LONG: usize = 200;
const PRODUCERS: usize = 3;
const CONSUMERS: usize = 3;
/// With `always`, a round is killed once this many more jobs were answered; different in each round.
const JOBS_PER_ROUND: usize = 250;
/// Otherwise a round is killed after a time of at most this: longer than the window, so that older jobs are there to be
/// lost.
const ROUND_MAX: Duration = Duration::from_millis(2800);
/// Between two batches of a producer in such a round.
const PACE: Duration = Duration::from_millis(15);
/// Commands in flight per producer: the last of each batch is a job with RETRY 0.
const PIPELINE: usize = 8;
/// What the contract allows a crash to take: two seconds, and the time until the node looks whether they are over.
const WINDOW: Duration = Duration::from_millis(2250);

/// A job that ADDJOB answered.
struct Added {
    body: String,
    at: Instant,
}

/// What the clients know.
#[derive(Default)]
struct Ledger {
    /// Each id with a retry that ADDJOB answered.
    added: BTreeMap<String, Added>,
    /// Bodies sent whose answer never came: their ids are unknown, their deliveries fine.
    unanswered: BTreeSet<String>,
    delivered: BTreeSet<String>,
    /// Bodies with RETRY 0 that were delivered.
    delivered_once: BTreeSet<String>,
    /// ACKJOB was sent and not yet answered.
    ack_sent: BTreeSet<String>,
    /// When ACKJOB was answered.
    acked: BTreeMap<String, Instant>,
    /// What must not happen, and did.
    broken: Vec<String>,
    tally: Tally,
}

/// What kills took, within what is allowed.
#[derive(Default)]
struct Tally {
    answered: usize,
    acknowledged: usize,
    once: usize,
    lost: usize,
    revived: usize,
    /// How long before the kill the oldest of these was answered.
    oldest: Duration,
}

/// How a node is started, and how long it is tried.
#[derive(Clone, Copy)]
struct Trial {
    storage: &'static str,
    policy: &'static str,
    rounds: usize,
}

impl Trial {
    /// How long before a kill an answer may have been given that it takes back.
    fn window(self) -> Duration {
        match self.policy {
            "always" => Duration::ZERO,
            _ => WINDOW,
        }
    }
}

/// What the clients of one round share.
struct Round<'a> {
    port: u16,
    number: usize,
    pace: Option<Duration>,
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
            let mut lines = String::new();
            for (n, body) in bodies.iter().enumerate() {
                let (queue, retry) = if n + 1 < PIPELINE {
                    ("q", 1)
                } else {
                    ("once", 0)
                };
                writeln!(lines, "ADDJOB {queue} {body} 0 RETRY {retry}\r")
                    .expect("a string takes all");
            }
            if connection.try_send_raw(lines.as_bytes()).is_err() {
                return;
            }
            for (n, body) in bodies.into_iter().enumerate() {
                let Ok(reply) = connection.try_receive() else {
                    return;
                };
                let (id, at) = (reply.simple_text().to_owned(), Instant::now());
                let mut ledger = self.ledger();
                ledger.tally.answered += 1;
                if n + 1 < PIPELINE {
                    ledger.unanswered.remove(&body);
                    let known = ledger.added.insert(id, Added { body, at });
                    assert!(known.is_none(), "an id was given twice");
                }
            }
            if let Some(pace) = self.pace {
                thread::sleep(pace);
            }
        }
    }

    /// Takes jobs and acknowledges two out of three of them, until the node is gone.
    fn consume(&self) {
        let Ok(mut connection) = Connection::try_open(self.port) else {
            return;
        };
        while !self.stop.load(Ordering::Relaxed) {
            if self
                .consume_some(&mut connection, 7, |n| n % 3 != 0)
                .is_err()
            {
                return;
            }
        }
    }

    fn consume_some(
        &self,
        connection: &mut Connection,
        count: usize,
        acks: impl Fn(usize) -> bool,
    ) -> std::io::Result<()> {
        let asked = Instant::now();
        let line = format!("GETJOB TIMEOUT 50 COUNT {count} FROM q once\r\n");
        connection.try_send_raw(line.as_bytes())?;
        let reply = connection.try_receive()?;
        if reply == Reply::NilArray {
            return Ok(());
        }
        let mut to_ack = Vec::new();
        for (n, job) in jobs(&reply).into_iter().enumerate() {
            let mut ledger = self.ledger();
            ledger.note_delivery(&job, asked);
            if acks(n) && job.queue == "q" {
                ledger.ack_sent.insert(job.id.clone());
                to_ack.push(job.id);
            }
        }
        let lines: Vec<_> = to_ack.iter().map(|id| format!("ACKJOB {id}\r\n")).collect();
        connection.try_send_raw(lines.concat().as_bytes())?;
        for id in to_ack {
            if connection.try_receive()?.int() == 1 {
                let mut ledger = self.ledger();
                ledger.ack_sent.remove(&id);
                ledger.acked.insert(id, Instant::now());
                ledger.tally.acknowledged += 1;
            }
        }
        Ok(())
    }
}

impl Ledger {
    fn note_delivery(&mut self, job: &Job, asked: Instant) {
        if job.queue == "once" {
            self.tally.once += 1;
            if !self.delivered_once.insert(job.body.clone()) {
                self.broken
                    .push(format!("{job:?} has RETRY 0 and came twice"));
            }
            return;
        }
        if self.acked.get(&job.id).is_some_and(|at| *at < asked) {
            self.broken
                .push(format!("{} was delivered after its ack", job.id));
        }
        match self.added.get(&job.id) {
            Some(added) => assert_eq!(added.body, job.body, "{} came with another body", job.id),
            // Delivered before its producer read the answer, or answered never.
            None => assert!(
                self.unanswered.contains(&job.body),
                "nobody has sent {job:?}"
            ),
        }
        self.delivered.insert(job.id.clone());
    }

    /// Compares what the restarted node holds with what the clients were told before the kill.
    fn check(&mut self, node: &Node, killed: Instant, window: Duration) {
        let mut client = node.connect();
        let scan = client.call("JSCAN BUSYLOOP REPLY all");
        let mut held = BTreeMap::new();
        for job in scan.items()[1].items() {
            if job.field("state").text() != "acked" {
                held.insert(job.field("id").text(), job.field("body").text());
            }
        }
        let age = |at: &Instant| killed.saturating_duration_since(*at);
        let revived: Vec<_> = self
            .acked
            .iter()
            .filter(|(id, _)| held.contains_key(*id))
            .map(|(id, at)| (id.clone(), age(at)))
            .collect();
        let settled = |id: &String| self.acked.contains_key(id) || self.ack_sent.contains(id);
        let lost: Vec<_> = self
            .added
            .iter()
            .filter(|(id, _)| !settled(id) && !held.contains_key(*id))
            .map(|(id, added)| (id.clone(), age(&added.at)))
            .collect();
        for (what, jobs) in [("came back", &revived), ("is lost", &lost)] {
            for (id, age) in jobs {
                self.tally.oldest = self.tally.oldest.max(*age);
                if window.is_zero() || *age > window {
                    let text = format!("{id} {what}, answered {age:?} before the kill");
                    self.broken.push(text);
                }
            }
        }
        // What the window took is as if it had never been answered.
        self.tally.revived += revived.len();
        self.tally.lost += lost.len();
        for (id, _) in revived {
            self.acked.remove(&id);
        }
        for (id, _) in lost {
            let added = self.added.remove(&id).expect("it is one of them");
            self.unanswered.insert(added.body);
        }
        for (id, body) in &held {
            match self.added.get(id) {
                Some(added) => assert_eq!(*body, added.body, "{id} has another body"),
                None => assert!(self.unanswered.contains(body), "nobody has sent {body:?}"),
            }
        }
    }
}

/// Loads the node until enough was answered, or for long enough, and kills it while the clients are at it.
fn load_and_kill(node: &mut Node, trial: Trial, number: usize, ledger: &Mutex<Ledger>) -> Instant {
    let stop = AtomicBool::new(false);
    let paced = trial.policy != "always";
    let round = Round {
        port: node.port(),
        number,
        pace: paced.then_some(PACE),
        stop: &stop,
        ledger,
    };
    let answered = || round.ledger().tally.answered;
    let wanted = answered() + JOBS_PER_ROUND + 37 * (number % 5);
    let lasts = ROUND_MAX.mul_f64((1.0 + (number % 7) as f64) / 7.0);
    let mut killed = Instant::now();
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let round = &round;
            scope.spawn(move || round.produce(producer));
        }
        for _ in 0..CONSUMERS {
            scope.spawn(|| round.consume());
        }
        let start = Instant::now();
        let enough = || {
            let wanted = if paced {
                wanted - JOBS_PER_ROUND
            } else {
                wanted
            };
            answered() >= wanted && (!paced || start.elapsed() >= lasts)
        };
        while !enough() && start.elapsed() < DEADLINE {
            thread::sleep(Duration::from_millis(1));
        }
        killed = Instant::now();
        node.kill();
        stop.store(true, Ordering::Relaxed);
    });
    let min = if paced {
        wanted - JOBS_PER_ROUND
    } else {
        wanted
    };
    assert!(answered() >= min, "too slow: {} jobs", answered());
    killed
}

/// Kills again and again, then takes everything that is left.
fn kill_loop(trial: Trial) {
    let Trial {
        storage,
        policy,
        rounds,
    } = trial;
    let flags = format!("--storage {storage} --appendfsync {policy}");
    let mut node = Launch::new().flags(&flags).start();
    let ledger = Mutex::new(Ledger::default());
    for round in 0..rounds {
        let killed = load_and_kill(&mut node, trial, round, &ledger);
        node.restart();
        let mut ledger = ledger.lock().expect("no client has panicked");
        ledger.check(&node, killed, trial.window());
        let broken = &ledger.broken;
        assert!(broken.is_empty(), "round {round}: {broken:#?}");
    }

    let stop = AtomicBool::new(false);
    let drain = Round {
        port: node.port(),
        number: rounds,
        pace: None,
        stop: &stop,
        ledger: &ledger,
    };
    let mut connection = node.connect();
    within(
        Duration::from_mins(2),
        "all jobs are delivered and acknowledged",
        || {
            drain
                .consume_some(&mut connection, 500, |_| true)
                .expect("the node serves");
            (connection.info("registered_jobs") == "0").then_some(())
        },
    );
    let ledger = ledger.into_inner().expect("no client has panicked");
    assert!(ledger.broken.is_empty(), "{:#?}", ledger.broken);
    let gone = |id: &String| ledger.delivered.contains(id) || ledger.ack_sent.contains(id);
    let undelivered: Vec<_> = ledger.added.keys().filter(|id| !gone(id)).collect();
    assert!(undelivered.is_empty(), "never delivered: {undelivered:?}");
    let tally = ledger.tally;
    let enough = if policy == "always" {
        JOBS_PER_ROUND
    } else {
        20
    };
    assert!(tally.answered >= rounds * enough && tally.acknowledged > rounds * 10);
    println!(
        "{storage} {policy}: {rounds} kills, {} jobs answered, {} acknowledged, {} deliveries with RETRY 0, none twice; \
         lost {}, back after their ack {}, the oldest answered {:?} before its kill",
        tally.answered, tally.acknowledged, tally.once, tally.lost, tally.revived, tally.oldest
    );
}

/// A test for CI and a long one for each backend and policy.
macro_rules! kill_loops {
    ($($short:ident $long:ident $storage:literal $policy:literal $rounds:expr;)*) => {$(
        #[test]
        fn $short() {
            kill_loop(Trial { storage: $storage, policy: $policy, rounds: $rounds });
        }

        #[test]
        #[ignore = "takes minutes"]
        fn $long() {
            kill_loop(Trial { storage: $storage, policy: $policy, rounds: LONG });
        }
    )*};
}

kill_loops! {
    kills_take_nothing_from_sled kill_loop_sled_always "sled" "always" ROUNDS;
    kills_take_a_second_from_sled kill_loop_sled_everysec "sled" "everysec" ROUNDS / 2;
    kills_take_two_seconds_from_sled kill_loop_sled_no "sled" "no" ROUNDS / 3;
    kills_take_nothing_from_log kill_loop_log_always "log" "always" ROUNDS;
    kills_take_a_moment_from_log kill_loop_log_everysec "log" "everysec" ROUNDS / 2;
    kills_take_no_more_from_log kill_loop_log_no "log" "no" ROUNDS / 3;
}
