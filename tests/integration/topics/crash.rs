//! kill -9 and clean stops: with `appendfsync always` what TPUB answered is there, and a reader that carries its cursor gets
//! each entry once and in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::fixture::{DEADLINE, Launch, Node};
use crate::topics::{Entry, order, page, publish, publish_many, read, read_all, told};
use crate::wire::{Connection, encode};

const PUBLISHERS: usize = 4;
/// Commands in flight for each publisher.
const PIPELINE: usize = 8;
/// A round is killed once this many more entries were answered.
const ENTRIES_PER_ROUND: usize = 300;
const ROUNDS: usize = 5;

/// What the clients know.
#[derive(Default)]
struct Ledger {
    /// The body of each id that TPUB answered.
    answered: BTreeMap<(u64, u64), String>,
    /// Bodies sent whose answer never came: they may have been published or not.
    unanswered: BTreeSet<String>,
}

impl Ledger {
    /// What readers got is what was published: all that was answered, once, in order.
    #[track_caller]
    fn check(&self, entries: &[Entry]) {
        let ids: Vec<_> = entries.iter().map(|entry| order(&entry.id)).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "each id once, and in order");
        let bodies: BTreeSet<_> = entries.iter().map(|entry| &entry.body).collect();
        assert_eq!(bodies.len(), entries.len(), "each body once");
        for (id, entry) in ids.iter().zip(entries) {
            match self.answered.get(id) {
                Some(body) => assert_eq!(*body, entry.body),
                None => assert!(
                    self.unanswered.contains(&entry.body),
                    "nobody has sent {entry:?}"
                ),
            }
        }
        let ids: BTreeSet<_> = ids.into_iter().collect();
        let lost: Vec<_> = self
            .answered
            .iter()
            .filter(|(id, _)| !ids.contains(id))
            .collect();
        assert!(lost.is_empty(), "answered and lost: {lost:?}");
    }
}

/// What the clients of one round share.
struct Round<'a> {
    port: u16,
    number: usize,
    stop: &'a AtomicBool,
    ledger: &'a Mutex<Ledger>,
}

impl Round<'_> {
    /// Publishes until the node is gone.
    fn publish(&self, publisher: usize) -> std::io::Result<()> {
        let mut connection = Connection::try_open(self.port)?;
        let channel = format!("c.{publisher}");
        for batch in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let bodies: Vec<_> = (0..PIPELINE)
                .map(|n| format!("{}-{publisher}-{batch}-{n}", self.number))
                .collect();
            let ledger = || self.ledger.lock().expect("no client has panicked");
            ledger().unanswered.extend(bodies.iter().cloned());
            let commands = bodies.iter().map(|body| encode(&["TPUB", &channel, body]));
            connection.try_send_raw(&commands.collect::<Vec<_>>().concat())?;
            for body in bodies {
                let id = order(&connection.try_receive()?.text());
                let mut ledger = ledger();
                ledger.unanswered.remove(&body);
                assert!(
                    ledger.answered.insert(id, body).is_none(),
                    "an id was given twice"
                );
            }
        }
        Ok(())
    }

    /// Reads on from a cursor until the node is gone, and puts what it got behind what it has.
    fn read(&self, cursor: &mut String, entries: &mut Vec<Entry>) -> std::io::Result<()> {
        let mut connection = Connection::try_open(self.port)?;
        while !self.stop.load(Ordering::Relaxed) {
            let line = format!("TREAD FROM {cursor} COUNT 37 BLOCK 50 PATTERN c.*\r\n");
            connection.try_send_raw(line.as_bytes())?;
            let (next, more) = page(&connection.try_receive()?);
            *cursor = next;
            entries.extend(more);
        }
        Ok(())
    }

    /// The same by subscription.
    fn follow(&self, cursor: &mut String, entries: &mut Vec<Entry>) -> std::io::Result<()> {
        let mut connection = Connection::try_open(self.port)?;
        connection.try_send_raw(format!("TSUB FROM {cursor} PATTERN c.*\r\n").as_bytes())?;
        connection.try_receive()?;
        // Until the node is killed.
        loop {
            let told = told(&connection.try_receive()?);
            *cursor = told.cursor;
            entries.push(told.entry);
        }
    }
}

/// Publishes from several connections while readers read, and kills the node amid of it.
fn load_and_kill(
    node: &mut Node,
    number: usize,
    ledger: &Mutex<Ledger>,
    readers: &mut [(String, Vec<Entry>); 2],
) {
    let stop = AtomicBool::new(false);
    let round = Round {
        port: node.port(),
        number,
        stop: &stop,
        ledger,
    };
    let answered = || {
        ledger
            .lock()
            .expect("no client has panicked")
            .answered
            .len()
    };
    let wanted = answered() + ENTRIES_PER_ROUND + 41 * number;
    let [(cursor, entries), (follower_cursor, followed)] = readers;
    thread::scope(|scope| {
        let round = &round;
        for publisher in 0..PUBLISHERS {
            scope.spawn(move || round.publish(publisher));
        }
        scope.spawn(move || round.read(cursor, entries));
        scope.spawn(move || round.follow(follower_cursor, followed));
        let start = Instant::now();
        while answered() < wanted && start.elapsed() < DEADLINE {
            thread::yield_now();
        }
        node.kill();
        stop.store(true, Ordering::Relaxed);
    });
    assert!(answered() >= wanted, "too slow: {} entries", answered());
}

fn kill_loop(storage: &str) {
    let flags = format!("--storage {storage} --appendfsync always");
    let mut node = Launch::new().flags(&flags).start();
    let ledger = Mutex::new(Ledger::default());
    let mut readers = [(); 2].map(|()| ("0".to_owned(), Vec::new()));
    for number in 0..ROUNDS {
        load_and_kill(&mut node, number, &ledger, &mut readers);
        node.restart();
        let (_, all) = read_all(&mut node.connect(), "0", "c.*");
        ledger.lock().expect("no client has panicked").check(&all);
    }
    let ledger = ledger.into_inner().expect("no client has panicked");
    let mut client = node.connect();
    let (_, all) = read_all(&mut client, "0", "c.*");
    for (cursor, mut entries) in readers {
        assert!(!entries.is_empty());
        let (_, rest) = read_all(&mut client, &cursor, "c.*");
        entries.extend(rest);
        ledger.check(&entries);
        assert_eq!(entries, all, "readers and a replay agree");
    }
    assert!(ledger.answered.len() >= ROUNDS * ENTRIES_PER_ROUND);
}

#[test]
fn kills_take_nothing_from_topics_in_log() {
    kill_loop("log");
}

#[test]
fn kills_take_nothing_from_topics_in_sled() {
    kill_loop("sled");
}

#[test]
fn a_clean_restart_keeps_everything_whatever_the_policy() {
    for flags in [
        "--storage log --appendfsync no",
        "--storage sled --appendfsync everysec",
    ] {
        let mut node = Launch::new().flags(flags).start();
        let mut entries = Vec::new();
        let mut cursor = "0".to_owned();
        for round in 0..4 {
            let mut client = node.connect();
            publish_many(&mut client, &format!("c.{round}"), 200, 500);
            let (next, some) = read(&mut client, &format!("FROM {cursor} COUNT 150 PATTERN c.*"));
            cursor = next;
            entries.extend(some);
            node.restart_cleanly();
        }
        let mut client = node.connect();
        publish(&mut client, "c.5", "last");
        let (_, rest) = read_all(&mut client, &cursor, "c.*");
        entries.extend(rest);
        let (_, all) = read_all(&mut client, "0", "c.*");
        assert_eq!(all.len(), 801, "{flags}");
        assert_eq!(entries, all, "{flags}");
    }
}

/// After a clean stop a kill -9 follows before anything is published, and again.
#[test]
fn lives_without_entries_change_nothing() {
    let mut node = Launch::new().start();
    publish(&mut node.connect(), "c", "one");
    let (cursor, _) = read(&mut node.connect(), "FROM 0 PATTERN c");
    for round in 0..3 {
        node.restart_cleanly();
        node.restart_after_kill();
        let mut client = node.connect();
        let (_, nothing) = read(&mut client, &format!("FROM {cursor} PATTERN c"));
        assert!(nothing.is_empty(), "round {round}: {nothing:?}");
    }
    publish(&mut node.connect(), "c", "two");
    node.restart_cleanly();
    let (_, more) = read(&mut node.connect(), &format!("FROM {cursor} PATTERN c"));
    assert_eq!((more.len(), more[0].body.as_str()), (1, "two"));
}
