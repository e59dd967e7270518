//! Nodes that come back as the others do not expect them: forgotten while they lived, older than what they published, or
//! from a copy of their disk. Every reader gets each entry once.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use crate::backup::{back_up, copy};
use crate::cluster::fixture::{Shoal, until};
use crate::fixture::{Launch, Node, within};
use crate::topics::cluster::Reader;
use crate::topics::publish_many;
use crate::wire::{Connection, Reply, simple};

/// A forgotten node is barred for a minute, and then found again.
const BACK: Duration = Duration::from_secs(100);

/// Publishes with as many copies as the options ask for; returns the bodies.
#[track_caller]
fn publish_some(client: &mut Connection, round: &str, options: &str) -> BTreeSet<String> {
    let bodies = (0..50).map(|n| format!("{round}-{n}"));
    let bodies: BTreeSet<_> = bodies.collect();
    for body in &bodies {
        let reply = client.call(&format!("TPUB c.{round} {body} {options}"));
        assert!(matches!(reply, Reply::Bulk(_)), "{round}: {reply:?}");
    }
    bodies
}

/// A reader gets exactly these bodies, at each of these nodes in turn, and then a replay does at every node.
#[track_caller]
fn all_get(shoal: &Shoal, readers: &mut [Reader], expected: &BTreeSet<String>) {
    for reader in readers.iter_mut() {
        for node in shoal.running() {
            let mut client = shoal.connect(node);
            until("the reader gets all", || {
                reader.read(&mut client, "c.*");
                reader.bodies().len() >= expected.len()
            });
        }
    }
    for node in shoal.running() {
        let mut replay = Reader::new();
        let mut client = shoal.connect(node);
        until("a replay gets all", || {
            replay.read(&mut client, "c.*");
            replay.bodies().len() >= expected.len()
        });
        let expected: BTreeSet<_> = expected.iter().map(String::as_str).collect();
        assert!(replay.bodies() == expected, "a replay at node {node}");
        assert_eq!(replay.lost, 0, "a replay at node {node}");
        for reader in readers.iter() {
            assert!(reader.bodies() == expected, "a reader");
        }
    }
}

#[test]
fn a_node_that_was_forgotten_while_it_lived_brings_what_it_published() {
    let shoal = Shoal::with(3, "--storage log");
    let mut all = BTreeSet::new();
    for node in 0..3 {
        all.extend(publish_some(
            &mut shoal.connect(node),
            &format!("before.{node}"),
            "",
        ));
    }
    let mut readers = [Reader::new(), Reader::new(), Reader::new()];
    for (node, reader) in readers.iter_mut().enumerate() {
        reader.read_page(&mut shoal.connect(node), "c.*");
    }
    let forgotten = shoal.id(2);
    let reply = shoal.call(0, &format!("CLUSTER FORGET {forgotten}"));
    assert_eq!(reply, simple("OK"));
    for node in 0..2 {
        shoal.wait_for_reachable(node, 1);
    }
    for round in 0..3 {
        for node in 0..3 {
            let (name, options) = (format!("apart.{round}.{node}"), "REPLICATE 1");
            all.extend(publish_some(&mut shoal.connect(node), &name, options));
        }
        for (node, reader) in readers.iter_mut().enumerate() {
            reader.read_page(&mut shoal.connect(node), "c.*");
        }
    }
    within(BACK, "the forgotten node is a member again", || {
        shoal.meet(shoal.nodes[2].port());
        let known = (0..3).all(|node| shoal.cluster_info(node, "cluster_reachable_nodes") == "2");
        known.then_some(())
    });
    for node in 0..3 {
        all.extend(publish_some(
            &mut shoal.connect(node),
            &format!("after.{node}"),
            "",
        ));
    }
    readers.rotate_left(1);
    all_get(&shoal, &mut readers, &all);
    assert!(readers.iter().all(|reader| reader.lost == 0));
}

/// The node's folder is replaced by another one, which is older.
fn replace_data(node: &mut Node, with: &std::path::Path) {
    let data = node.launch().data().to_owned();
    fs::remove_dir_all(&data).expect("its data go");
    copy(with, &data);
}

fn a_restored_node(storage: &str) {
    let flags = format!("--storage {storage} --appendfsync always");
    let mut shoal = Shoal::with(3, &flags);
    let mut all = publish_some(&mut shoal.connect(1), "one", "");
    let mut readers = [Reader::new(), Reader::new()];
    readers[0].read(&mut shoal.connect(1), "c.*");
    let backup = shoal.nodes[1].launch().folder().join("backup");
    let ended = back_up(&shoal.nodes[1], &backup, &[]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    all.extend(publish_some(&mut shoal.connect(1), "two", ""));
    readers[1].read(&mut shoal.connect(1), "c.*");
    for round in 0..2 {
        shoal.kill(&[1]);
        replace_data(&mut shoal.nodes[1], &backup);
        shoal.nodes[1].restart();
        let started = Instant::now();
        // A backup knows no other nodes.
        shoal.meet(shoal.nodes[1].port());
        shoal.wait_until_all_met();
        // At once, while it may still copy what it has lost.
        for node in [1, 0, 2] {
            let name = format!("restored.{round}.{node}");
            all.extend(publish_some(&mut shoal.connect(node), &name, ""));
        }
        all_get(&shoal, &mut readers, &all);
        assert!(readers.iter().all(|reader| reader.lost == 0), "{storage}");
        // The start of a restored node is the second in which it starts, and no two are the same.
        let second = Duration::from_secs(1);
        until("the next second", || started.elapsed() > second);
    }
}

#[test]
fn a_node_from_a_backup_goes_on_behind_what_it_had_published_in_log() {
    a_restored_node("log");
}

#[test]
fn a_node_from_a_backup_goes_on_behind_what_it_had_published_in_sled() {
    a_restored_node("sled");
}

/// What only the lost disk held is gone. Readers that had it go on, and get all that is published later.
#[test]
fn readers_who_saw_more_than_a_restored_node_has_go_on() {
    let mut shoal = Shoal::with(3, "--storage log --appendfsync always");
    let before = publish_some(&mut shoal.connect(1), "before", "");
    let backup = shoal.nodes[1].launch().folder().join("backup");
    let ended = back_up(&shoal.nodes[1], &backup, &[]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    shoal.kill(&[0, 2]);
    let alone = publish_some(&mut shoal.connect(1), "alone", "REPLICATE 1");
    let mut reader = Reader::new();
    let mut client = shoal.connect(1);
    until("the reader gets what is there alone", || {
        reader.read(&mut client, "c.*");
        reader.bodies().len() == before.len() + alone.len()
    });
    drop(client);
    shoal.nodes[1].kill();
    replace_data(&mut shoal.nodes[1], &backup);
    for node in &mut shoal.nodes {
        node.restart();
    }
    shoal.meet(shoal.nodes[1].port());
    shoal.wait_until_all_met();
    let mut after = BTreeSet::new();
    for node in 0..3 {
        let name = format!("after.{node}");
        after.extend(publish_some(&mut shoal.connect(node), &name, ""));
    }
    let there: BTreeSet<_> = before.union(&after).cloned().collect();
    all_get(&shoal, &mut [Reader::new()], &there);
    let all: BTreeSet<&str> = there.union(&alone).map(String::as_str).collect();
    for node in 0..3 {
        let mut client = shoal.connect(node);
        until("the reader who saw more gets the rest", || {
            reader.read(&mut client, "c.*");
            reader.bodies().len() >= all.len()
        });
        assert!(reader.bodies() == all);
    }
}

/// A snapshot of a volume is older than what its node published since, and has its identity in all.
#[test]
fn a_node_on_a_copied_volume_never_uses_a_number_again() {
    let mut shoal = Shoal::with(3, "--storage log --appendfsync always");
    let mut all = publish_some(&mut shoal.connect(1), "one", "");
    shoal.kill(&[1]);
    let folder = shoal.nodes[1].launch().folder().to_owned();
    copy(shoal.nodes[1].launch().data(), &folder.join("volume"));
    let mut readers = [Reader::new(), Reader::new()];
    for round in 0..3 {
        // It lives on, and then the copy comes in its place.
        shoal.restart(1);
        let name = format!("original.{round}");
        all.extend(publish_some(&mut shoal.connect(1), &name, ""));
        readers[0].read(&mut shoal.connect(1), "c.*");
        // At once: the copy may begin its life in the second in which the other one began.
        shoal.nodes[1].kill();
        replace_data(&mut shoal.nodes[1], &folder.join("volume"));
        shoal.restart(1);
        let name = format!("copy.{round}");
        all.extend(publish_some(&mut shoal.connect(1), &name, ""));
        all_get(&shoal, &mut readers, &all);
        shoal.kill(&[1]);
    }
    assert!(readers.iter().all(|reader| reader.lost == 0));
    let logs = shoal.nodes.iter().map(Node::log);
    assert!(logs.into_iter().all(|log| !log.contains("refused")));
}

/// Of two processes with one identity the later one goes on.
#[test]
fn a_copied_volume_that_is_started_beside_its_node_takes_its_place() {
    let mut shoal = Shoal::with(3, "--storage log --appendfsync always");
    let mut all = publish_some(&mut shoal.connect(1), "one", "");
    shoal.kill(&[1]);
    let volume = shoal.nodes[1].launch().folder().join("volume");
    copy(shoal.nodes[1].launch().data(), &volume);
    shoal.restart(1);
    all.extend(publish_some(&mut shoal.connect(1), "original", ""));
    let mut readers = [Reader::new(), Reader::new()];
    readers[0].read_page(&mut shoal.connect(1), "c.*");
    let beside = Launch::new()
        .flags("--storage log --appendfsync always")
        .in_data(&volume)
        .start();
    assert_eq!(shoal.nodes[1].wait_for_end().code(), Some(1));
    shoal.nodes[1] = beside;
    shoal.wait_until_all_met();
    all.extend(publish_some(&mut shoal.connect(1), "copy", ""));
    all_get(&shoal, &mut readers, &all);
    // What was published in many batches meanwhile is there, too.
    publish_many(&mut shoal.connect(0), "c.many", 500, 8);
    let mut replay = Reader::new();
    replay.read(&mut shoal.connect(1), "c.*");
    assert_eq!((replay.bodies().len(), replay.lost), (all.len() + 500, 0));
}
