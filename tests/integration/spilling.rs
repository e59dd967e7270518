//! More jobs than memory holds: their bodies are read back from the log.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use crate::fixture::{Launch, Node, eventually, within};
use crate::wire::{Connection, Reply, jobs};
use std::time::Duration;

const JOBS: usize = 20_000;
const LIMIT: u64 = 8 << 20;
const BATCH: usize = 100;

/// 4 KiB that no other job has.
fn body(number: usize) -> String {
    format!("{number:08}").repeat(512)
}

/// How a node of this backend is launched.
fn flags(storage: &str) -> String {
    format!("--storage {storage} --maxmemory 8mb")
}

fn figure(client: &mut Connection, name: &str) -> u64 {
    client.info(name).parse().expect("a number")
}

fn filled(storage: &str) -> Node {
    let node = Launch::new().flags(&flags(storage)).start();
    let mut client = node.connect();
    for number in 0..JOBS {
        client.add("q", &body(number), "RETRY 600");
    }
    assert!(figure(&mut client, "used_memory") < LIMIT);
    assert!(figure(&mut client, "spilled_jobs") > JOBS as u64 / 2);
    node
}

/// Takes all jobs from this number on, in order, and acknowledges them.
fn take_all(client: &mut Connection, from: usize, to: usize) {
    let mut next = from;
    while next < to {
        let command = format!("GETJOB NOHANG COUNT {BATCH} FROM q");
        let taken = within(Duration::from_mins(1), "jobs", || {
            match client.call(&command) {
                Reply::NilArray => None,
                reply => Some(jobs(&reply)),
            }
        });
        let mut ack = "ACKJOB".to_owned();
        for job in taken {
            assert_eq!(job.body, body(next), "job {next}");
            ack = ack + " " + &job.id;
            next += 1;
        }
        client.call(&ack);
    }
    assert_eq!(next, to);
}

#[test]
fn jobs_that_memory_does_not_hold_are_taken_and_delivered_in_order() {
    delivers_in_order("sled");
    delivers_in_order("log");
}

fn delivers_in_order(storage: &str) {
    let node = filled(storage);
    take_all(&mut node.connect(), 0, JOBS);
    let mut client = node.connect();
    assert_eq!(figure(&mut client, "spilled_jobs"), 0);
    assert_eq!(figure(&mut client, "unreadable_bodies"), 0);
}

#[test]
fn they_outlive_a_restart_and_a_crash_in_sled() {
    outlive_a_restart_and_a_crash("sled");
}

#[test]
fn they_outlive_a_restart_and_a_crash_in_the_log() {
    outlive_a_restart_and_a_crash("log");
}

fn outlive_a_restart_and_a_crash(storage: &str) {
    let mut node = filled(storage);
    let mut client = node.connect();
    take_all(&mut client, 0, JOBS / 4);
    node.restart_cleanly();
    let mut client = node.connect();
    assert!(figure(&mut client, "used_memory") < LIMIT);
    take_all(&mut client, JOBS / 4, JOBS / 2);
    node.kill();
    node.restart_with(&(flags(storage) + " --aof-enqueue-jobs-once yes"));
    let mut client = node.connect();
    assert!(figure(&mut client, "used_memory") < LIMIT);
    let left = eventually("the queue", || match client.call("QLEN q").int() {
        0 => None,
        left => usize::try_from(left).ok(),
    });
    // The acks of the last moment may be lost.
    assert!((JOBS / 2..JOBS / 2 + 10_000).contains(&left), "{left}");
    take_all(&mut client, JOBS - left, JOBS);
}

#[test]
fn looking_at_jobs_reads_their_bodies_too() {
    let node = filled("log");
    let mut client = node.connect();
    let newest = jobs(&client.call("QPEEK q -3"));
    let bodies: Vec<String> = newest.iter().map(|job| job.body.clone()).collect();
    assert_eq!(bodies, [JOBS - 1, JOBS - 2, JOBS - 3].map(body));
    assert_eq!(
        client.show(&newest[0].id).field("body").text(),
        body(JOBS - 1)
    );
    let refused = client.call("CONFIG SET appendonly no");
    assert!(
        refused.error_text().contains("in the log alone"),
        "{refused:?}"
    );
}

/// The files of the oldest segments that sled has, all of them closed.
fn closed_databases(node: &Node) -> Vec<PathBuf> {
    let entries = fs::read_dir(node.launch().data().join("sled")).expect("sled's folder");
    let folders = entries.map(|entry| entry.expect("an entry").path());
    let mut databases: Vec<_> = folders
        .map(|folder| folder.join("db"))
        .filter(|database| database.is_file())
        .collect();
    databases.sort();
    databases.pop();
    databases
}

#[test]
fn a_segment_that_is_damaged_while_the_node_runs_costs_its_bodies_alone() {
    let node = Launch::new()
        .flags(&flags("sled"))
        .flags("--loglevel debug")
        .start();
    let mut client = node.connect();
    for number in 0..JOBS {
        client.add("q", &body(number), "RETRY 600");
    }
    let databases = closed_databases(&node);
    assert!(databases.len() >= 3, "{databases:?}");
    // On such a begin sled panics.
    let folder = databases[1].parent().expect("it lies in a folder");
    for entry in fs::read_dir(folder).expect("sled's folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("it has a name").to_string_lossy();
        if name.starts_with("snap.") {
            fs::remove_file(&path).expect("sled's file");
        }
    }
    let database = File::options().write(true).open(&databases[1]);
    let mut database = database.expect("sled's file");
    database.write_all(&[0; 4096]).expect("sled's file");
    let (mut next, mut missing) = (0, 0);
    while next < JOBS {
        let reply = client.call(&format!("GETJOB NOHANG COUNT {BATCH} FROM q"));
        if reply == Reply::NilArray {
            break;
        }
        for job in jobs(&reply) {
            let number: usize = job.body[..8].parse().expect("a number");
            assert_eq!(job.body, body(number));
            assert!(number >= next, "{number} after {next}");
            missing += number - next;
            next = number + 1;
        }
    }
    missing += JOBS - next;
    assert!(missing > 0 && missing < JOBS / 2, "{missing}");
    assert_eq!(figure(&mut client, "unreadable_bodies"), missing as u64);
    let log = node.log();
    assert!(log.contains("the storage engine gave up on its files"));
    assert!(log.contains("the body of a job cannot be read: the job is set aside"));
}

#[test]
fn jobs_that_cannot_be_read_for_now_let_the_others_pass_and_come_later() {
    let node = filled("log");
    let mut client = node.connect();
    // A folder in its place: the system refuses to open it.
    let file = node.launch().data().join("log/000000000002.log");
    let away = node.launch().folder().join("away");
    fs::rename(&file, &away).expect("a file of the log");
    fs::create_dir(&file).expect("a folder in its place");
    let command = format!("GETJOB NOHANG COUNT {BATCH} FROM q");
    let mut numbers = Vec::new();
    let mut take = |client: &mut Connection| {
        let reply = client.call(&command);
        if reply != Reply::NilArray {
            for job in jobs(&reply) {
                let number: usize = job.body[..8].parse().expect("a number");
                assert_eq!(job.body, body(number));
                numbers.push(number);
            }
        }
        numbers.len()
    };
    // Nothing behind the segment waits for it.
    let refused = within(Duration::from_mins(1), "all that can be read", || {
        let before = take(&mut client);
        (take(&mut client) == before).then_some(JOBS - before)
    });
    assert!(refused > 1000 && refused < JOBS / 2, "{refused}");
    assert_eq!(figure(&mut client, "unreadable_bodies"), 0);
    fs::remove_dir(&file).expect("the folder in its place");
    fs::rename(&away, &file).expect("a file of the log");
    within(Duration::from_mins(1), "the rest", || {
        (take(&mut client) == JOBS).then_some(())
    });
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..JOBS), "each comes once");
    assert!(node.log().contains("bodies cannot be read now"));
}
