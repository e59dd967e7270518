//! All nodes gone and back: who they are, whom they know, what they hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use shoalmq_core::record::Record;
use shoalmq_core::time::WallTime;
use shoalmq_storage::record::encode;
use shoalmq_storage::{StorageKind, Store, TornTail};

use crate::cluster::fixture::{Shoal, assert_each_once, drain, throughout, until};
use crate::fixture::eventually;
use crate::wire::{Connection, Reply, int, simple};

#[test]
fn jobs_outlive_the_kill_of_all_nodes() {
    for nodes in [3, 5] {
        let mut shoal = Shoal::with(nodes, "--appendfsync always");
        let ids: Vec<_> = (0..nodes).map(|node| shoal.id(node)).collect();
        let mut bodies = Vec::new();
        for n in 0..60 {
            let mut connection = shoal.connect(n % nodes);
            let body = format!("body-{n}");
            let id = connection.add("q", &body, &format!("REPLICATE {} RETRY 2", 1 + n % 3));
            if n % 6 == 5 {
                assert_eq!(connection.call(&format!("ACKJOB {id}")), int(1));
            } else {
                bodies.push(body);
            }
        }
        for node in &mut shoal.nodes {
            node.kill();
        }
        for node in &mut shoal.nodes {
            node.restart();
        }
        // Nobody introduces them again.
        shoal.wait_until_all_met();
        let again: Vec<_> = (0..nodes).map(|node| shoal.id(node)).collect();
        assert_eq!(ids, again);
        for node in 0..nodes {
            assert_eq!(
                shoal.cluster_info(node, "cluster_known_nodes"),
                nodes.to_string()
            );
        }
        let seen = drain(&shoal, "q", Duration::from_secs(4));
        assert_each_once(&seen, bodies);
        shoal.wait_until_empty();
    }
}

/// Makes the log of a stopped node end `hours` hours ago.
fn date_back(data: &Path, hours: u64) {
    let mut store = Store::open(StorageKind::Sled, data).expect("open the log");
    let mut last = None;
    let note = |_, record| {
        if let Record::Started { time, wall, .. }
        | Record::Mark { time, wall }
        | Record::Closed { time, wall } = record
        {
            last = Some((time, wall));
        }
    };
    let loaded = store.load(TornTail::Refuse, note, |_| {});
    let segment = loaded.expect("read the log").jobs.last_segment;
    let segment = segment.expect("records");
    let (time, wall) = last.expect("a start");
    let wall = WallTime(wall.0 - hours * 3_600_000);
    let mut frame = Vec::new();
    encode(&Record::Mark { time, wall }, &mut frame);
    let mut backend = store.into_backends().jobs;
    backend.append(segment + 1, &frame).expect("write the log");
    backend.sync().expect("sync the log");
}

#[test]
fn after_a_long_stop_a_peer_is_asked_for_the_time_before_jobs_expire() {
    let mut shoal = Shoal::with(2, "--appendfsync always");
    let short = shoal
        .connect(0)
        .add("q", "short", "TTL 7200 RETRY 600 REPLICATE 1");
    let long = shoal
        .connect(0)
        .add("q", "long", "TTL 86400 RETRY 600 REPLICATE 1");
    let data = shoal.nodes[0].launch().data().to_owned();
    let asked = "a peer is asked for the time";
    for peer_is_there in [true, false] {
        shoal.nodes[0].kill();
        if !peer_is_there {
            shoal.nodes[1].kill();
        }
        date_back(&data, 3);
        let before = shoal.nodes[0].log();
        let began = Instant::now();
        shoal.nodes[0].restart();
        let mut connection = shoal.connect(0);
        let ttl = throughout_loading(&mut connection, &format!("SHOW {long}"));
        let took = began.elapsed();
        assert!(!matches!(ttl, Reply::NilBulk), "the long job is there");
        // Both clocks say that it is three hours later.
        assert_eq!(
            connection.call(&format!("SHOW {short}")),
            Reply::NilBulk,
            "with a peer: {peer_is_there}"
        );
        let told = shoal.nodes[0].log().split_off(before.len());
        assert!(told.contains(asked), "{told}");
        assert_eq!(
            told.contains("no peer tells the time"),
            !peer_is_there,
            "{told}"
        );
        // 10 s are what a start waits when nobody is there.
        assert_eq!(took < Duration::from_secs(9), peer_is_there, "{took:?}");
    }
}

/// What a command is answered once the node has read its log.
fn throughout_loading(connection: &mut Connection, command: &str) -> Reply {
    eventually("the log is read", || match connection.call(command) {
        Reply::Error(error) if error.starts_with("LOADING") => None,
        reply => Some(reply),
    })
}

#[test]
fn a_clean_stop_of_all_nodes_keeps_the_queues() {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    let mut bodies = Vec::new();
    for n in 0..30 {
        let body = format!("body-{n}");
        let options = ["REPLICATE 3 RETRY 1000", "REPLICATE 1 RETRY 0"][n % 2];
        shoal.connect(n % 3).add("q", &body, options);
        bodies.push(body);
    }
    for node in &mut shoal.nodes {
        assert!(node.terminate().success());
    }
    for node in &mut shoal.nodes {
        node.restart();
    }
    shoal.wait_until_all_met();
    // No retry comes within the test: each was queued somewhere at once.
    let seen = drain(&shoal, "q", Duration::from_secs(3));
    assert_each_once(&seen, bodies);
}

#[test]
fn a_node_that_lost_its_disk_is_filled_again() {
    let mut shoal = Shoal::with(3, "--appendonly no");
    let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 1000");
    // Jobs in memory only: this is another store, and its peers see that.
    shoal.nodes[2].kill();
    shoal.restart(2);
    until("the copy is replaced", || shoal.copies(&id) == 3);
    assert_eq!(shoal.nodes_where(&id, "queued"), [0]);
    assert_eq!(shoal.call(1, &format!("ACKJOB {id}")), int(1));
    shoal.wait_until_empty();
}

#[test]
fn copies_of_a_lost_node_are_made_anew_elsewhere() {
    let mut shoal = Shoal::with(4, "--appendonly no --heal-delay 1");
    let ids: Vec<_> = (0..30)
        .map(|n| {
            shoal
                .connect(0)
                .add("q", &format!("body-{n}"), "REPLICATE 3 RETRY 1000")
        })
        .collect();
    shoal.kill(&[1]);
    until("each has three copies again", || {
        ids.iter().all(|id| shoal.copies(id) >= 3)
    });
    for id in &ids {
        assert_eq!(shoal.nodes_where(id, "queued"), [0]);
    }
    let seen = drain(&shoal, "q", Duration::from_millis(500));
    assert_each_once(&seen, (0..30).map(|n| format!("body-{n}")));
}

#[test]
fn a_forgotten_member_stays_away_and_its_acks_do_not_wait() {
    let mut shoal = Shoal::start(3);
    let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 1000");
    let gone = shoal.id(2);
    shoal.kill(&[2]);
    assert_eq!(shoal.call(0, &format!("ACKJOB {id}")), int(1));
    throughout(
        Duration::from_millis(300),
        "the ack waits for the third",
        || shoal.copies(&id) > 0,
    );
    assert_eq!(
        shoal.call(0, &format!("CLUSTER FORGET {gone}")),
        simple("OK")
    );
    shoal.wait_until_empty();
    until("both know two nodes", || {
        (0..2).all(|node| shoal.cluster_info(node, "cluster_known_nodes") == "2")
    });
    // It is barred for a while, though it remembers the others.
    shoal.nodes[2].restart();
    throughout(Duration::from_secs(2), "it stays away", || {
        (0..2).all(|node| shoal.cluster_info(node, "cluster_known_nodes") == "2")
    });
    let unknown = shoal.call(0, &format!("CLUSTER FORGET {}", "a".repeat(40)));
    assert_eq!(
        unknown.error_text(),
        format!("ERR Unknown node {}", "a".repeat(40))
    );
    let own = shoal.call(0, &format!("CLUSTER FORGET {}", shoal.id(0)));
    assert_eq!(
        own.error_text(),
        "ERR I tried hard but I can't forget myself..."
    );
}

#[test]
fn a_reset_node_knows_nobody_and_can_be_met_again() {
    for how in ["SOFT", "HARD"] {
        let shoal = Shoal::start(3);
        let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 1000");
        let before = shoal.id(2);
        let mut connection = shoal.connect(2);
        assert_eq!(
            connection.call(&format!("CLUSTER RESET {how}")),
            simple("OK")
        );
        assert_eq!(shoal.cluster_info(2, "cluster_known_nodes"), "1");
        assert_eq!(connection.call(&format!("SHOW {id}")), Reply::NilBulk);
        assert_eq!(connection.info("registered_queues"), "0");
        assert_eq!(shoal.id(2) == before, how == "SOFT");
        // Nobody draws it back in.
        throughout(Duration::from_secs(1), "it stays alone", || {
            shoal.cluster_info(2, "cluster_known_nodes") == "1"
        });
        // What the others hold is theirs.
        assert_eq!(shoal.nodes_where(&id, "queued"), [0]);
        shoal.meet(shoal.nodes[2].port());
        shoal.wait_until_all_met();
        let id = connection.add("q", "body", "REPLICATE 3");
        assert_eq!(shoal.nodes_where(&id, "queued"), [2]);
    }
}

/// The files that hold the log of a stopped node, the largest first.
fn log_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of the node");
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(log_files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort_by_key(|file| std::cmp::Reverse(fs::metadata(file).map_or(0, |meta| meta.len())));
    files
}

#[test]
fn a_node_whose_log_is_damaged_refuses_to_start_or_starts_empty_and_is_filled_again() {
    for storage in ["sled", "log"] {
        let flags = format!("--storage {storage} --appendfsync always --heal-delay 1");
        let mut shoal = Shoal::with(2, &flags);
        let mut connection = shoal.connect(0);
        let ids: Vec<String> = (0..50)
            .map(|n| {
                let body = format!("body-{n} {}", "x".repeat(2000));
                connection.add("q", &body, "REPLICATE 2 RETRY 600")
            })
            .collect();
        let data = shoal.nodes[0].launch().data().to_owned();
        shoal.nodes[0].kill();
        let file = log_files(&data.join(storage)).remove(0);
        let mut bytes = fs::read(&file).expect("a file of the log");
        for byte in bytes.iter_mut().skip(8000).step_by(512) {
            *byte ^= 0x55;
        }
        fs::write(&file, bytes).expect("a file of the log");
        let refused = shoal.nodes[0].launch().clone().run();
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
        assert!(!data.join(format!("{storage}.corrupt")).exists());
        shoal.nodes[0].restart_with("--storage-on-corrupt set-aside");
        shoal.wait_until_all_met();
        let log = shoal.nodes[0].log();
        assert!(
            log.contains("the job log is damaged and set aside"),
            "{log}"
        );
        let entries = fs::read_dir(&data).expect("a folder of the node");
        let prefix = format!("{storage}.corrupt-");
        let aside = entries.filter(|entry| {
            let name = entry.as_ref().expect("an entry").file_name();
            name.to_string_lossy().starts_with(&prefix)
        });
        assert_eq!(aside.count(), 1);
        until("both nodes hold all jobs again", || {
            ids.iter().all(|id| shoal.copies(id) == 2)
        });
        shoal.nodes[0].kill();
        shoal.nodes[0].restart_with("");
        shoal.wait_until_all_met();
        assert!(ids.iter().all(|id| shoal.copies(id) == 2));
    }
}
