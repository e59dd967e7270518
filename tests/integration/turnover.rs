//! What the log takes on disk while jobs come and go at full speed: at most twice what is live, and 256 MiB.
//!
//! One job is delayed throughout, so that the oldest segment always holds something live, and some deliveries end in a
//! NACK. Samples are taken all the time.
//!
//! The long forms turn over 20 GB for each backend, and 2 GB behind 600 MB that are live all the time:
//! `cargo test --release --test integration -- --ignored --nocapture turnover`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::fixture::{Launch, Node};
use crate::wire::{Connection, Reply, encode_words, jobs};

const BODY: usize = 4000;
const BATCH: usize = 64;
const PRODUCERS: usize = 3;
const CONSUMERS: usize = 3;
/// Jobs that may wait: what is live stays small, and what is dead is what is measured.
const BACKLOG: u64 = 20_000;
const ALLOWED: u64 = 256 << 20;
/// What a job takes in the log beside its body, at most.
const BESIDE: u64 = 200;

#[test]
fn the_log_in_sled_stays_small() {
    turn_over("sled", 0, 1 << 30);
}

#[test]
fn the_log_in_files_stays_small() {
    turn_over("log", 0, 1 << 30);
}

#[test]
#[ignore = "long: 20 GB for each backend"]
fn turnover_of_20_gb() {
    turn_over("sled", 0, 20_000_000_000);
    turn_over("log", 0, 20_000_000_000);
}

/// What is dead lies in the youngest segments, and the oldest go first.
#[test]
#[ignore = "long: 2 GB behind 600 MB for each backend"]
fn turnover_of_2_gb_behind_live_jobs() {
    turn_over("sled", 150_000, 2_000_000_000);
    turn_over("log", 150_000, 2_000_000_000);
}

/// Turns over `total` bytes while `delayed` jobs, and one more, are delayed.
fn turn_over(storage: &str, delayed: u64, total: u64) {
    let node = Launch::new().flag("--storage", storage).start();
    let late = node.connect().add("later", "still here", "DELAY 80000");
    add_delayed(&mut node.connect(), delayed);
    let (added, acknowledged) = (AtomicU64::new(0), AtomicU64::new(0));
    let ended = AtomicBool::new(false);
    let begun = Instant::now();
    let mut worst = (0, 0, 0);
    let mut samples = 0;
    thread::scope(|scope| {
        for _ in 0..PRODUCERS {
            scope.spawn(|| {
                produce(
                    &mut node.connect(),
                    total / BODY as u64,
                    &added,
                    &acknowledged,
                    &ended,
                );
            });
        }
        for _ in 0..CONSUMERS {
            scope.spawn(|| consume(&mut node.connect(), &acknowledged, &ended));
        }
        let mut client = node.connect();
        while acknowledged.load(Ordering::Relaxed) * BODY as u64 * 100 < total * 99 {
            let disk = disk_bytes(node.launch().data());
            let live = live_bytes(&mut client);
            samples += 1;
            worst = worst.max((disk.saturating_sub(2 * live), disk, live));
            thread::sleep(Duration::from_millis(50));
        }
        ended.store(true, Ordering::Relaxed);
    });
    let (above, disk, live) = worst;
    println!(
        "{storage}: {total} bytes in {:.1} s, {samples} samples, at worst {above} bytes above twice the live ones ({disk} on disk, {live} live)",
        begun.elapsed().as_secs_f64(),
    );
    assert!(
        above <= ALLOWED,
        "{disk} bytes on disk for {live} live ones\n{}",
        node.log()
    );
    assert!(samples > 5, "too quick to be looked at: {samples} samples");
    assert_delayed(&node, &late);
}

fn add_delayed(client: &mut Connection, count: u64) {
    let body = "y".repeat(BODY);
    let batch = encode_words(&format!("ADDJOB later {body} 0 DELAY 80000")).repeat(BATCH);
    for _ in 0..count / BATCH as u64 {
        client.send_raw(&batch);
        for _ in 0..BATCH {
            let reply = client.receive();
            assert!(matches!(reply, Reply::Simple(_)), "{reply:?}");
        }
    }
}

fn assert_delayed(node: &Node, late: &str) {
    let mut client = node.connect();
    assert_eq!(client.show(late).field("body").text(), "still here");
}

/// Adds jobs while not too many wait, until all producers together added `total`.
fn produce(
    client: &mut Connection,
    total: u64,
    added: &AtomicU64,
    acknowledged: &AtomicU64,
    ended: &AtomicBool,
) {
    let body = "x".repeat(BODY);
    let command = format!("ADDJOB turn {body} 0 RETRY 600");
    let batch = encode_words(&command).repeat(BATCH);
    while added.fetch_add(BATCH as u64, Ordering::Relaxed) < total {
        while added.load(Ordering::Relaxed) > acknowledged.load(Ordering::Relaxed) + BACKLOG {
            if ended.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        client.send_raw(&batch);
        for _ in 0..BATCH {
            let reply = client.receive();
            assert!(matches!(reply, Reply::Simple(_)), "{reply:?}");
        }
    }
}

/// Takes jobs; of each batch the first goes back.
fn consume(client: &mut Connection, acknowledged: &AtomicU64, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        let taken = client.call(&format!("GETJOB TIMEOUT 100 COUNT {BATCH} FROM turn"));
        if matches!(taken, Reply::NilArray) {
            continue;
        }
        let taken = jobs(&taken);
        let ids: Vec<&str> = taken.iter().map(|job| job.id.as_str()).collect();
        let (again, done) = ids.split_at(usize::from(ids.len() > 1));
        if !again.is_empty() {
            client.call(&format!("NACK {}", again[0]));
        }
        let count = client.call(&format!("ACKJOB {}", done.join(" "))).int();
        acknowledged.fetch_add(count.cast_unsigned(), Ordering::Relaxed);
    }
}

fn live_bytes(client: &mut Connection) -> u64 {
    let registered: u64 = client.info("registered_jobs").parse().expect("a number");
    registered * (BODY as u64 + BESIDE)
}

/// What all files below a folder take; those that go meanwhile take nothing.
fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = folder.read_dir() else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}
