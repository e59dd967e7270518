//! Jobs find the nodes where clients wait, at once.

use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::fixture::{Shoal, until};
use crate::wire::{Reply, int, jobs};

const TRIES: usize = 200;
/// The promise: half of all deliveries within this,
const MEDIAN: Duration = Duration::from_millis(2);
/// and all but one in a hundred within that.
const TAIL: Duration = Duration::from_millis(10);
/// How long a ready job stays at its node while nobody waits elsewhere.
const STAYS: Duration = Duration::from_millis(50);

/// How much slower this machine is at the moment than an idle one, because other processes want its processors too:
/// runnable processes per processor, at least 1.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").expect("read the load");
    let running = text
        .split([' ', '/'])
        .nth(3)
        .expect("loadavg has five fields");
    let running: f64 = running.parse().expect("a number of processes");
    let processors = thread::available_parallelism().expect("count the processors");
    (running / processors.get() as f64).max(1.0)
}

/// How long deliveries to a consumer that waits on another node take, from just before ADDJOB is written until the
/// job was read, each after the consumer was seen to wait.
fn latencies(queue: impl Fn(usize) -> String) -> Vec<Duration> {
    let shoal = Shoal::start(3);
    let mut producer = shoal.connect(0);
    let mut watcher = shoal.connect(1);
    let mut consumer = shoal.connect(1);
    let mut taken = Vec::new();
    for n in 0..TRIES {
        let queue = queue(n);
        consumer.send(&format!("GETJOB FROM {queue}"));
        until("the consumer waits", || {
            watcher.info("blocked_clients") == "1"
        });
        let start = Instant::now();
        producer.send(&format!("ADDJOB {queue} body 0 REPLICATE 1"));
        let job = jobs(&consumer.receive()).remove(0);
        taken.push(start.elapsed());
        assert_eq!(producer.receive().simple_text(), job.id);
        assert_eq!(consumer.call(&format!("ACKJOB {}", job.id)), int(1));
    }
    shoal.wait_until_empty();
    taken.sort();
    taken
}

fn assert_quick(name: &str, queue: impl Fn(usize) -> String) {
    // Other tests run beside this one: a machine that was too busy is measured again, and in the end forgiven as much
    // as it was busy.
    for attempt in 1.. {
        let before = load();
        let taken = latencies(&queue);
        let slack = before.max(load());
        let (median, tail) = (taken[TRIES / 2], taken[TRIES * 99 / 100]);
        println!(
            "{name}: p50 {median:?}, p99 {tail:?}, max {:?}, load {slack:.1}",
            taken[TRIES - 1]
        );
        if median <= MEDIAN && tail <= TAIL {
            return;
        }
        if attempt == 3 {
            assert!(
                median <= MEDIAN.mul_f64(slack * 2.0),
                "p50 {median:?} at load {slack:.1}"
            );
            assert!(
                tail <= TAIL.mul_f64(slack * 4.0),
                "p99 {tail:?} at load {slack:.1}"
            );
            return;
        }
    }
}

#[test]
fn a_job_reaches_an_idle_consumer_elsewhere_in_milliseconds_on_a_cold_queue() {
    assert_quick("cold", |n| format!("queue-{n}"));
}

#[test]
fn a_job_reaches_an_idle_consumer_elsewhere_in_milliseconds_on_a_warm_queue() {
    assert_quick("warm", |_| "queue".to_owned());
}

#[test]
fn jobs_that_were_there_before_are_fetched() {
    let shoal = Shoal::start(3);
    for options in ["REPLICATE 3", "REPLICATE 1", "REPLICATE 1 RETRY 0"] {
        let id = shoal.connect(0).add("q", "body", options);
        let reply = shoal.call(2, "GETJOB TIMEOUT 15000 FROM q");
        assert_eq!(jobs(&reply)[0].id, id);
        shoal.call(2, &format!("ACKJOB {id}"));
        shoal.wait_until_empty();
    }
    // Polling finds them too, after a while.
    let id = shoal.connect(0).add("polled", "body", "REPLICATE 1");
    let mut connection = shoal.connect(1);
    until("polling finds it", || {
        let reply = connection.call("GETJOB NOHANG FROM polled");
        reply != Reply::NilArray && jobs(&reply)[0].id == id
    });
}

#[test]
fn a_job_stays_where_it_was_added_while_nobody_waits_elsewhere() {
    let shoal = Shoal::start(2);
    let (mut a, mut b) = (shoal.connect(0), shoal.connect(1));
    for asked in ["TIMEOUT 1", "NOHANG"] {
        let mut gone = 0;
        for n in 0..100 {
            let queue = format!("{}-{n}", asked.replace(' ', "-"));
            let reply = b.call(&format!("GETJOB {asked} FROM {queue}"));
            assert_eq!(reply, Reply::NilArray);
            let start = Instant::now();
            a.add(&queue, "x", "REPLICATE 1");
            let reply = a.call(&format!("GETJOB TIMEOUT 1 FROM {queue}"));
            // On a busy machine a command may take longer than a job stays.
            gone += usize::from(reply == Reply::NilArray && start.elapsed() < STAYS);
        }
        assert_eq!(gone, 0, "of 100 after GETJOB {asked} elsewhere");
    }
}

#[test]
fn a_client_that_polls_elsewhere_gets_all_jobs() {
    let shoal = Shoal::start(2);
    let (mut a, mut b) = (shoal.connect(0), shoal.connect(1));
    let mut left: Vec<String> = (0..200).map(|_| a.add("q", "x", "REPLICATE 1")).collect();
    until("polling finds them all", || {
        let reply = b.call("GETJOB NOHANG COUNT 10 FROM q");
        if reply != Reply::NilArray {
            for job in jobs(&reply) {
                b.call(&format!("ACKJOB {}", job.id));
                left.retain(|id| *id != job.id);
            }
        }
        left.is_empty()
    });
    shoal.wait_until_empty();
}

#[test]
fn jobs_go_on_when_the_consumer_that_they_came_for_has_left() {
    let shoal = Shoal::start(3);
    let mut first = shoal.connect(1);
    first.send("GETJOB FROM q");
    shoal.nodes[1].wait_for_blocked(1);
    shoal.nodes[1].freeze();
    // They are on their way to a node that stands still; its consumer leaves.
    let ids: Vec<_> = (0..5)
        .map(|n| {
            shoal
                .connect(0)
                .add("q", &format!("body-{n}"), "REPLICATE 1 RETRY 1")
        })
        .collect();
    drop(first);
    shoal.nodes[1].thaw();
    let mut second = shoal.connect(2);
    let mut left = ids;
    until("all come to the consumer that is left", || {
        let reply = second.call("GETJOB TIMEOUT 1000 COUNT 10 FROM q");
        if reply != Reply::NilArray {
            for job in jobs(&reply) {
                second.call(&format!("ACKJOB {}", job.id));
                left.retain(|id| *id != job.id);
            }
        }
        left.is_empty()
    });
    shoal.wait_until_empty();
}

#[test]
fn queues_paused_in_output_give_nothing_to_other_nodes() {
    let shoal = Shoal::start(3);
    let id = shoal.connect(0).add("q", "body", "REPLICATE 1");
    shoal.call(0, "PAUSE q out");
    let reply = shoal.call(1, "GETJOB TIMEOUT 300 FROM q");
    assert_eq!(reply, Reply::NilArray);
    let mut consumer = shoal.connect(1);
    consumer.send("GETJOB FROM q");
    shoal.nodes[1].wait_for_blocked(1);
    shoal.call(0, "PAUSE q none");
    assert_eq!(jobs(&consumer.receive())[0].id, id);
}
