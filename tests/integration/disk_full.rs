//! A full disk: adds are refused, all else goes on, and nothing that was answered is lost.
//!
//! The disk is a small file system in memory, which takes the right to mount: without it the test says so and is over.

use crate::fixture::{Launch, eventually};
use crate::wire::{Connection, Reply, count, int, simple};
use std::path::PathBuf;
use std::process::Command;

/// A file system of a given size, gone with this.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&folder).expect("make the mount point");
        let disk = Disk(folder);
        disk.run(&["mount", "-t", "tmpfs", "-o", size, "tmpfs"])
            .then_some(disk)
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,{size}");
        assert!(self.run(&["mount", "-o", &options]), "remount");
    }

    fn run(&self, command: &[&str]) -> bool {
        let ended = Command::new(command[0])
            .args(&command[1..])
            .arg(&self.0)
            .output();
        ended.is_ok_and(|ended| ended.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the node may still be ending. Where nothing was mounted there is nothing to undo.
        self.run(&["umount", "-l"]);
    }
}

#[test]
fn a_full_disk_refuses_adds_and_nothing_else_and_loses_nothing_on_sled() {
    a_full_disk_refuses_adds_and_nothing_else_and_loses_nothing("sled");
}

#[test]
fn a_full_disk_refuses_adds_and_nothing_else_and_loses_nothing_on_log() {
    a_full_disk_refuses_adds_and_nothing_else_and_loses_nothing("log");
}

fn a_full_disk_refuses_adds_and_nothing_else_and_loses_nothing(storage: &str) {
    let launch = Launch::new();
    let folder = launch.folder().join("disk");
    let Some(disk) = Disk::mount(folder.clone(), "size=24m") else {
        eprintln!("skipped: mounting a file system is not permitted here");
        return;
    };
    let mut node = launch
        .in_data(&folder)
        .flags("--appendonly yes --appendfsync everysec --disk-reserve 1")
        .flag("--storage", storage)
        .start();
    let mut client = node.connect();
    let body = "x".repeat(10_000);
    let mut ids = Vec::new();
    let mut add = |ids: &mut Vec<String>| {
        match client.call_arguments(&["ADDJOB", "q", &body, "0", "RETRY", "1"]) {
            Reply::Simple(id) => ids.push(id),
            refused => return Some(refused.error_text().to_owned()),
        }
        assert!(ids.len() < 10_000, "100 MB fit into 24");
        None
    };
    while add(&mut ids).is_none() {}
    // The look at the free space may come a moment before a write fails, and refuses adds by itself.
    let refusal = eventually("a write fails", || {
        add(&mut ids).filter(|refusal| !refusal.contains("disk-reserve"))
    });
    assert!(
        refusal.starts_with("MISCONF Errors writing to the AOF file: ")
            && refusal.contains("the disk is full: No space left on device"),
        "{refusal}"
    );
    for command in ["NACK", "ENQUEUE"] {
        let answer = client.call(command);
        assert!(answer.error_text().starts_with("MISCONF "), "{command}");
    }
    assert_eq!(client.call("PING"), simple("PONG"));
    assert_eq!(client.length("q"), count(ids.len()).int());
    let taken = client.take("q").id;
    assert_eq!(taken, ids.remove(0));
    assert_eq!(client.call(&format!("ACKJOB {taken}")), int(1));
    assert_eq!(client.info("aof_last_write_status"), "err");

    disk.grow("size=96m");
    let added = eventually("adds are taken again", || {
        match client.call("ADDJOB q more 0 RETRY 1") {
            Reply::Simple(id) => Some(id),
            _ => None,
        }
    });
    assert_eq!(client.info("aof_last_write_status"), "ok");
    ids.push(added);
    // A fault ends with a sync: what was answered before it is on disk now, but the last job may not be.
    eventually("the log is on disk", || {
        (client.info("aof_pending_bio_fsync") == "0").then_some(())
    });
    drop(client);
    node.restart_after_kill();
    let mut client = node.connect();
    for id in &ids {
        client.show(id);
    }
    assert_eq!(client.call(&format!("SHOW {taken}")), Reply::NilBulk);
    // The folder goes with the node, and cannot while something is mounted in it.
    node.kill();
    drop(disk);
}

/// Adds jobs of 10 kB until one is refused. Returns the ids, and the refusal.
fn fill(client: &mut Connection, ids: &mut Vec<String>) -> String {
    let body = "x".repeat(10_000);
    let before = ids.len();
    loop {
        match client.call_arguments(&["ADDJOB", "q", &body, "0", "RETRY", "1"]) {
            Reply::Simple(id) => ids.push(id),
            refused => return refused.error_text().to_owned(),
        }
        assert!(ids.len() < before + 10_000, "100 MB fit into 48");
    }
}

#[test]
fn adds_stop_at_the_reserve_and_go_on_when_jobs_are_acknowledged_on_sled() {
    adds_stop_at_the_reserve_and_go_on_when_jobs_are_acknowledged("sled");
}

#[test]
fn adds_stop_at_the_reserve_and_go_on_when_jobs_are_acknowledged_on_log() {
    adds_stop_at_the_reserve_and_go_on_when_jobs_are_acknowledged("log");
}

fn adds_stop_at_the_reserve_and_go_on_when_jobs_are_acknowledged(storage: &str) {
    let launch = Launch::new();
    let folder = launch.folder().join("disk");
    let Some(disk) = Disk::mount(folder.clone(), "size=48m") else {
        eprintln!("skipped: mounting a file system is not permitted here");
        return;
    };
    let mut node = launch
        .in_data(&folder)
        .flags("--appendonly yes --appendfsync everysec")
        .flag("--storage", storage)
        .start();
    let mut client = node.connect();
    // Without compaction, it would hold the whole log for ever.
    let oldest = match client.call("ADDJOB late job 0 DELAY 80000") {
        Reply::Simple(id) => id,
        refused => panic!("{refused:?}"),
    };
    let mut ids = Vec::new();
    for round in 0..4 {
        let refusal = fill(&mut client, &mut ids);
        assert!(
            refusal.starts_with("MISCONF No job is taken: the disk has "),
            "{round}: {refusal}"
        );
        assert_eq!(client.info("aof_last_write_status"), "ok", "{round}");
        let taken = client.take("q").id;
        assert_eq!(client.call(&format!("NACK {taken}")), int(1));
        for id in ids.drain(..) {
            assert_eq!(client.call(&format!("ACKJOB {id}")), int(1));
        }
        let added = eventually("adds are taken again", || {
            match client.call("ADDJOB q more 0 RETRY 1") {
                Reply::Simple(id) => Some(id),
                _ => None,
            }
        });
        ids.push(added);
    }
    eventually("the log is on disk", || {
        (client.info("aof_pending_bio_fsync") == "0").then_some(())
    });
    drop(client);
    node.restart_after_kill();
    let mut client = node.connect();
    for id in ids.iter().chain([&oldest]) {
        client.show(id);
    }
    assert_eq!(client.info("registered_jobs"), (ids.len() + 1).to_string());
    node.kill();
    drop(disk);
}
