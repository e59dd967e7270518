//! Topics on several nodes: what is published at any node is read at every one, once and in one order, and goes on through
//! kills, wiped disks, frozen nodes and restarts of all.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::fixture::{Shoal, until};
use crate::fixture::{Launch, Node, eventually};
use crate::topics::{Entry, numbered, order, publish, publish_many, read_all, told};
use crate::wire::{Connection, Reply, encode, error};

/// A reader that carries its cursor from node to node.
pub(super) struct Reader {
    pub(super) cursor: String,
    pub(super) entries: Vec<Entry>,
    pub(super) late: usize,
    pub(super) lost: usize,
}

impl Reader {
    pub(super) fn new() -> Self {
        Reader {
            cursor: "0".to_owned(),
            entries: Vec::new(),
            late: 0,
            lost: 0,
        }
    }

    /// One page. A node that still copies is asked again.
    #[track_caller]
    pub(super) fn read_page(&mut self, client: &mut Connection, pattern: &str) -> usize {
        let line = format!("TREAD FROM {} COUNT 500 PATTERN {pattern}", self.cursor);
        let mut reply = client.call(&line);
        while matches!(&reply, Reply::Error(text) if text.starts_with("LOADING ")) {
            reply = client.call(&line);
        }
        let [cursor, entries] = reply.items() else {
            panic!("a page is an array of 2, not {reply:?}");
        };
        self.cursor = cursor.text();
        for item in entries.items() {
            match item.items() {
                [_, Reply::NilBulk | Reply::Null, _, _, _] => self.lost += 1,
                [id, channel, body, rest @ ..] => {
                    self.late += rest.len();
                    self.entries.push(Entry {
                        id: id.text(),
                        channel: channel.text(),
                        body: body.text(),
                    });
                }
                other => panic!("no entry: {other:?}"),
            }
        }
        entries.items().len()
    }

    /// Reads to the end.
    #[track_caller]
    pub(super) fn read(&mut self, client: &mut Connection, pattern: &str) {
        while self.read_page(client, pattern) > 0 {}
    }

    pub(super) fn bodies(&self) -> BTreeSet<&str> {
        let bodies: BTreeSet<_> = self.entries.iter().map(|entry| &entry.body[..]).collect();
        assert_eq!(bodies.len(), self.entries.len(), "each entry once");
        bodies
    }

    fn is_in_order(&self) -> bool {
        let ids = self.entries.iter().map(|entry| order(&entry.id));
        ids.is_sorted_by(|a, b| a < b)
    }
}

fn names(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| numbered(n, 8)).collect()
}

#[test]
fn every_reader_gets_every_entry_in_one_order_at_any_node() {
    let shoal = Shoal::with(3, "--appendonly no");
    let mut clients = [0, 1, 2].map(|node| shoal.connect(node));
    let mut follower = shoal.connect(2);
    follower.call("TSUB FROM 0 PATTERN c.*");
    let mut wanderer = Reader::new();
    for (n, body) in names(0, 300).iter().enumerate() {
        publish(&mut clients[n % 3], &format!("c.{}", n % 7), body);
        if n % 10 == 0 {
            wanderer.read_page(&mut clients[(n / 10 + 1) % 3], "c.*");
        }
    }
    wanderer.read(&mut clients[0], "c.*");
    assert_eq!((wanderer.late, wanderer.lost), (0, 0));
    assert!(wanderer.is_in_order());
    let bodies: Vec<_> = wanderer.entries.iter().map(|e| e.body.clone()).collect();
    assert_eq!(bodies, names(0, 300), "published one after the other");
    for client in &mut clients {
        assert_eq!(read_all(client, "0", "c.*").1, wanderer.entries);
    }
    let got: Vec<Entry> = (0..300).map(|_| told(&follower.receive()).entry).collect();
    assert_eq!(got, wanderer.entries);
}

/// Publishes from one node without waiting for each answer, while it is killed; returns what was answered.
fn publish_until_it_breaks(port: u16, round: usize) -> BTreeSet<String> {
    let mut answered = BTreeSet::new();
    let Ok(mut client) = Connection::try_open(port) else {
        return answered;
    };
    for n in 0.. {
        let body = format!("{round}-{n}");
        if client
            .try_send_raw(&encode(&["TPUB", &format!("c.{}", n % 5), &body]))
            .is_err()
        {
            break;
        }
        match client.try_receive() {
            Ok(Reply::Bulk(_)) => {
                answered.insert(body);
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    answered
}

fn kill_the_origin(flags: &str, rounds: usize) {
    let mut shoal = Shoal::with(3, flags);
    let mut answered = BTreeSet::new();
    let mut readers = [Reader::new(), Reader::new()];
    for round in 0..rounds {
        let victim = round % 3;
        let port = shoal.nodes[victim].port();
        thread::scope(|scope| {
            let publisher = scope.spawn(move || publish_until_it_breaks(port, round));
            let others = [(victim + 1) % 3, (victim + 2) % 3];
            for (reader, node) in readers.iter_mut().zip(others) {
                let mut client = shoal.connect(node);
                let before = reader.entries.len();
                until("readers get entries", || {
                    reader.read_page(&mut client, "c.*");
                    reader.entries.len() > before + 100
                });
            }
            shoal.nodes[victim].kill();
            let began = Instant::now();
            for (reader, node) in readers.iter_mut().zip(others) {
                reader.read(&mut shoal.connect(node), "c.*");
            }
            let took = began.elapsed();
            assert!(took < Duration::from_secs(5), "readers stood for {took:?}");
            answered.extend(publisher.join().expect("the publisher ends"));
        });
        shoal.restart(victim);
    }
    for (number, reader) in readers.iter_mut().enumerate() {
        let mut client = shoal.connect(number);
        until("all that was answered is read", || {
            reader.read(&mut client, "c.*");
            let bodies = reader.bodies();
            answered.iter().all(|body| bodies.contains(&body[..]))
        });
        assert_eq!(reader.lost, 0);
    }
    let mut replay = Reader::new();
    replay.read(&mut shoal.connect(2), "c.*");
    for reader in &mut readers {
        reader.read(&mut shoal.connect(2), "c.*");
        assert_eq!(reader.bodies(), replay.bodies(), "readers and a replay");
    }
}

#[test]
fn killing_the_node_that_publishes_loses_and_repeats_nothing_in_log() {
    kill_the_origin("--storage log --appendfsync always", 4);
}

#[test]
fn killing_the_node_that_publishes_loses_and_repeats_nothing_in_sled() {
    kill_the_origin("--storage sled --appendfsync always", 3);
}

#[test]
fn all_nodes_killed_at_once_keep_what_was_answered() {
    for storage in ["log", "sled"] {
        let mut shoal = Shoal::with(3, &format!("--storage {storage} --appendfsync always"));
        let mut reader = Reader::new();
        for round in 0..2 {
            for node in 0..3 {
                let channel = format!("c.{round}.{node}");
                publish_many(&mut shoal.connect(node), &channel, 200, 8);
            }
            reader.read_page(&mut shoal.connect(round), "c.*");
            for node in &mut shoal.nodes {
                node.kill();
            }
            for node in &mut shoal.nodes {
                node.restart();
            }
            shoal.wait_until_all_met();
        }
        let mut all = BTreeSet::new();
        for node in 0..3 {
            let mut replay = Reader::new();
            let mut client = shoal.connect(node);
            replay.read(&mut client, "c.*");
            reader.read(&mut client, "c.*");
            let ids: BTreeSet<_> = replay.entries.iter().map(|e| e.id.clone()).collect();
            assert_eq!(ids.len(), 1200, "{storage}, node {node}");
            all.extend(ids);
        }
        assert_eq!(all.len(), 1200, "{storage}");
        let ids: BTreeSet<_> = reader.entries.iter().map(|e| e.id.clone()).collect();
        assert_eq!((ids.len(), reader.entries.len()), (1200, 1200), "{storage}");
    }
}

#[test]
fn a_node_with_an_empty_disk_copies_everything_under_load() {
    let mut shoal = Shoal::with(3, "--storage log");
    publish_many(&mut shoal.connect(0), "c.old", 20_000, 100);
    let mut reader = Reader::new();
    reader.read_page(&mut shoal.connect(1), "c.*");
    shoal.kill(&[1]);
    let data = shoal.nodes[1].launch().data().to_owned();
    std::fs::remove_dir_all(&data).expect("its data go");
    std::fs::create_dir(&data).expect("an empty folder");
    shoal.nodes[1].restart();
    shoal.meet(shoal.nodes[1].port());
    publish_many(&mut shoal.connect(2), "c.new", 5_000, 100);
    let mut client = shoal.connect(1);
    until("the wiped node has all entries", || {
        let reply = client.call("TLEN c.*");
        reply == Reply::Int(25_000)
    });
    reader.read(&mut client, "c.*");
    assert_eq!((reader.entries.len(), reader.lost), (25_000, 0));
    let ids: BTreeSet<_> = reader.entries.iter().map(|e| &e.id).collect();
    assert_eq!(ids.len(), 25_000);
}

#[test]
fn a_frozen_node_holds_readers_up_for_a_bounded_time() {
    let shoal = Shoal::with(3, "--appendonly no");
    let mut reader = Reader::new();
    publish(&mut shoal.connect(0), "c", "before");
    shoal.nodes[2].freeze();
    let began = Instant::now();
    let reply = shoal.call(0, "TPUB c amid REPLICATE 2");
    assert!(matches!(reply, Reply::Bulk(_)), "{reply:?}");
    reader.read(&mut shoal.connect(1), "c");
    assert_eq!(reader.entries.len(), 2);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "readers stood for {took:?}");
    shoal.nodes[2].thaw();
    shoal.wait_until_all_met();
    publish(&mut shoal.connect(2), "c", "after");
    until("the reader goes on at the node that was frozen", || {
        reader.read(&mut shoal.connect(2), "c");
        reader.entries.len() == 3
    });
    assert_eq!((reader.bodies().len(), reader.lost), (3, 0));
}

#[test]
fn a_publisher_hears_whether_anything_was_published() {
    let mut shoal = Shoal::with(3, "--appendonly no");
    let reply = shoal.call(0, "TPUB c one REPLICATE 4 TIMEOUT 100");
    assert!(
        matches!(&reply, Reply::Error(text) if text.starts_with("NOREPL ")),
        "{reply:?}"
    );
    assert_eq!(shoal.call(1, "TLEN c"), Reply::Int(0));
    shoal.kill(&[1, 2]);
    let reply = shoal.call(0, "TPUB c two TIMEOUT 100");
    assert!(
        matches!(&reply, Reply::Error(text) if text.starts_with("NOREPL ")),
        "{reply:?}"
    );
    let reply = shoal.call(0, "TPUB c three REPLICATE 1");
    assert!(matches!(reply, Reply::Bulk(_)), "{reply:?}");
    assert_eq!(shoal.call(0, "TLEN c"), Reply::Int(1));
}

#[test]
fn a_node_that_keeps_no_topics_says_so_and_holds_nobody_up() {
    let mut shoal = Shoal::with(3, "--appendonly no");
    let other = Launch::new().flags("--appendonly no --topics no").start();
    let plain = "NOTOPICS This node keeps no topics (topics no): ask another";
    assert_eq!(other.connect().call("TLEN c"), error(plain));
    shoal.meet(other.port());
    let address = |node: &Node| format!("127.0.0.1:{}", node.port());
    let names = |expected: BTreeSet<String>| {
        eventually("the members that are there are named", || {
            let reply = other.connect().call("TLEN c");
            let named = reply.error_text().strip_prefix(plain)?;
            let named = named.strip_prefix(": ")?.split(", ");
            (named.map(str::to_owned).collect::<BTreeSet<_>>() == expected).then_some(reply)
        })
    };
    let refusal = names(shoal.nodes.iter().map(address).collect());
    for line in [
        "TPUB c x",
        "PUBLISH c x",
        "TREAD FROM 0 PATTERN c",
        "TSUB PATTERN c",
        "SUBSCRIBE c",
        "PSUBSCRIBE c",
        "PUBSUB NUMPAT",
        "TFLUSH c BEFORE $",
        "TRETAIN c MAXLEN 1",
        "TLEN c",
        "TSTAT c",
        "TSCAN 0",
        "TCOMMIT r 0-0@",
        "TCURSOR",
        "TBIND c q",
        "TUNBIND c q",
        "TBINDINGS",
    ] {
        assert_eq!(other.connect().call(line), refusal, "{line}");
    }
    let began = Instant::now();
    publish(&mut shoal.connect(0), "c", "one");
    let (_, entries) = read_all(&mut shoal.connect(1), "0", "c");
    assert_eq!(entries.len(), 1);
    assert!(began.elapsed() < Duration::from_millis(900));
    shoal.nodes[2].kill();
    names(shoal.nodes[..2].iter().map(address).collect());
}

#[test]
fn a_flush_at_one_node_takes_the_entries_at_all() {
    let shoal = Shoal::with(3, "--appendonly no");
    publish_many(&mut shoal.connect(0), "c.a", 100, 8);
    publish_many(&mut shoal.connect(1), "c.b", 100, 8);
    let mut reader = Reader::new();
    reader.read(&mut shoal.connect(2), "c.*");
    assert_eq!(reader.entries.len(), 200);
    assert_eq!(shoal.call(2, "TFLUSH c.a BEFORE $"), Reply::Int(100));
    for node in 0..3 {
        until("the flush is everywhere", || {
            shoal.call(node, "TLEN c.*") == Reply::Int(100)
        });
    }
    publish(&mut shoal.connect(0), "c.a", "after");
    reader.read(&mut shoal.connect(1), "c.*");
    assert_eq!((reader.entries.len(), reader.lost), (201, 0));
}
