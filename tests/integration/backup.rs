//! BACKUP and `shoalmq storage backup`: what is in the copy, what it comes back as, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::fixture::{Ended, Launch, Node, binary, eventually, run};
use crate::wire::{error, int, jobs, simple};

#[track_caller]
pub(crate) fn back_up(node: &Node, directory: &Path, arguments: &[&str]) -> Ended {
    let mut command = binary();
    command
        .args(["storage", "backup", "-p", &node.port().to_string()])
        .args(arguments)
        .arg(directory);
    run(command, b"")
}

/// A node started on a copy of a backup, so that the backup itself stays as it is.
fn restored(backup: &Path, flags: &str) -> Node {
    let launch = Launch::new().flags(flags);
    let data = launch.data().to_owned();
    copy(backup, &data);
    launch.start()
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary folder");
    for entry in fs::read_dir(from).expect("a backup") {
        let entry = entry.expect("a backup");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a temporary file");
        }
    }
}

#[test]
fn a_backup_under_load_holds_all_that_was_answered_before() {
    for storage in ["sled", "log"] {
        back_up_under_load(storage);
    }
}

fn back_up_under_load(storage: &str) {
    let flags = format!("--storage {storage}");
    let node = Launch::new()
        .flags(&flags)
        .flags("--appendfsync everysec --storage-segment-size 8mb")
        .start();
    let (stop, added) = (AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    let backups = node.launch().folder().join("backups");
    fs::create_dir(&backups).expect("a temporary folder");
    let mut before = Vec::new();
    thread::scope(|scope| {
        for producer in 0..3 {
            let (node, stop, added) = (&node, &stop, &added);
            scope.spawn(move || {
                let mut client = node.connect();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let body = format!("{producer}-{number} {}", "x".repeat(number % 3000));
                    let id = client.add("q", &body, "RETRY 600");
                    if number % 3 == 0 {
                        assert_eq!(client.call(&format!("ACKJOB {id}")), int(1));
                    } else {
                        let mut added = added.lock().expect("no client has panicked");
                        added.insert(id, body);
                    }
                }
            });
        }
        let count = || added.lock().expect("no client has panicked").len();
        for number in 0..3 {
            let more = count() + 500;
            eventually("some load", || (count() >= more).then_some(()));
            before.push(added.lock().expect("no client has panicked").clone());
            let ended = back_up(&node, &backups.join(number.to_string()), &[]);
            assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
            assert!(ended.stdout.contains("records are in"), "{}", ended.stdout);
            assert_eq!(ended.stderr, "");
        }
        stop.store(true, Ordering::Relaxed);
    });
    for (number, before) in before.iter().enumerate() {
        let copy = restored(&backups.join(number.to_string()), &flags);
        let mut client = copy.connect();
        let scan = client.call("JSCAN BUSYLOOP REPLY all");
        let held: BTreeMap<_, _> = scan.items()[1]
            .items()
            .iter()
            .map(|job| (job.field("id").text(), job.field("body").text()))
            .collect();
        let all = added.lock().expect("no client has panicked");
        for (id, body) in before {
            assert_eq!(held.get(id), Some(body), "{id} of backup {number}");
        }
        // At most one of each producer was added, and not yet acknowledged, at that moment.
        let strangers = held.iter().filter(|(id, _)| !all.contains_key(*id));
        assert!(strangers.count() <= 3);
    }
    assert!(
        fs::read_dir(&backups).expect("the folder").count() == 3,
        "nothing is left beside the backups"
    );
}

#[test]
fn a_backup_is_the_log_of_a_node_that_crashed_in_a_store_of_its_own() {
    let mut node = Launch::new().start();
    let mut client = node.connect();
    client.add("once", "taken", "RETRY 0");
    client.add("once", "waiting", "RETRY 0");
    let id = client.add("q", "again", "RETRY 1");
    let queued = client.add("q", "later", "RETRY 600");
    client.take("once");
    assert_eq!(client.take("q").id, id);
    // A clean stop before: what it recorded must not count in the copy.
    node.restart_cleanly();
    let mut client = node.connect();
    assert_eq!(client.take("once").body, "waiting");
    let backup = node.launch().folder().join("backup");
    assert_eq!(
        client.call(&format!("BACKUP {}", backup.display())),
        simple("Background backup started")
    );
    eventually("the backup is complete", || {
        (client.info("backup_in_progress") == "0").then_some(())
    });
    assert_eq!(client.info("backup_last_status"), "ok");
    let conf = |folder: &Path| fs::read_to_string(folder.join("node.conf")).expect("a node.conf");
    assert!(conf(node.launch().data()).contains("store "));
    let (text, original) = (conf(&backup), conf(node.launch().data()));
    assert!(!text.contains("store "), "{text}");
    assert_eq!(text.lines().next(), original.lines().next(), "the same id");

    let mut copy = restored(&backup, "");
    let mut client = copy.connect();
    assert_eq!(client.call("QLEN once"), int(0));
    assert_eq!(
        client.call("GETJOB NOHANG FROM once"),
        crate::wire::Reply::NilArray
    );
    let again = jobs(&client.call("GETJOB TIMEOUT 10000 FROM q"));
    assert_eq!(again[0].id, id, "queued again once its retry is over");
    let store = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("store "));
        line.map(str::to_owned).expect("a store")
    };
    let restored_conf = conf(copy.launch().data());
    assert_ne!(store(&restored_conf), store(&original));
    copy.kill();

    let copy = restored(&backup, "--aof-enqueue-jobs-once yes");
    let mut client = copy.connect();
    assert_eq!(client.call("QLEN once"), int(0));
    assert_eq!(client.call("QLEN q"), int(2));
    let ids: Vec<_> = jobs(&client.call("GETJOB COUNT 2 FROM q"))
        .into_iter()
        .map(|job| job.id)
        .collect();
    assert_eq!(ids, [id, queued]);
}

#[test]
fn a_directory_that_cannot_take_a_backup_is_refused() {
    let node = Launch::new().start();
    let mut client = node.connect();
    client.add("q", "body", "");
    let folder = node.launch().folder();
    fs::create_dir(folder.join("full")).expect("a temporary folder");
    fs::write(folder.join("full/file"), "mine").expect("a temporary file");
    fs::create_dir(folder.join("empty")).expect("a temporary folder");
    let refusal =
        |reason: &str| error(&format!("ERR The directory cannot take a backup: {reason}"));
    for (name, reason) in [
        ("relative/path".to_owned(), "not an absolute path"),
        (folder.join("full").display().to_string(), "not empty"),
        (
            folder.join("full/file").display().to_string(),
            "there is something that is no readable folder",
        ),
        (
            folder.join("no/where").display().to_string(),
            "the folder that it would be in does not exist",
        ),
        ("/".to_owned(), "not the name of a folder"),
    ] {
        assert_eq!(
            client.call(&format!("BACKUP {name}")),
            refusal(reason),
            "{name}"
        );
    }
    let ended = back_up(&node, &folder.join("full"), &[]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(
        ended.stderr,
        "shoalmq storage backup: ERR The directory cannot take a backup: not empty\n"
    );
    assert_eq!(
        fs::read(folder.join("full/file")).expect("it is there"),
        b"mine"
    );
    let ended = back_up(&node, &folder.join("empty"), &[]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(folder.join("empty/node.conf").exists());
}

#[test]
fn only_a_client_with_the_password_of_a_node_with_a_log_gets_a_backup() {
    let node = Launch::new().password("secret").start();
    let backup = node.launch().folder().join("backup");
    let ended = back_up(&node, &backup, &[]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("NOAUTH"), "{}", ended.stderr);
    let ended = back_up(&node, &backup, &["--password", "wrong"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(!backup.exists());
    let ended = back_up(&node, &backup, &["--password", "secret"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let memory = Node::start();
    let ended = back_up(&memory, &node.launch().folder().join("none"), &[]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.stderr.contains("no job log on disk"),
        "{}",
        ended.stderr
    );
}
