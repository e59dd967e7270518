use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};

use shoalmq_core::id::JobId;
use shoalmq_core::job::Body;
use shoalmq_core::record::JobRecord;
use shoalmq_core::topic::{Origin, OriginNode, TopicRecord};

use super::*;
use crate::backend::memory::Memory;
use crate::backend::{Sequence, Visit};
use crate::{Store, TornTail};

mod streams;

/// What was asked of the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Append(Segment),
    Sync,
    Retire(Segment),
}

/// What the backend is to do wrong.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    full_appends: u32,
    full_syncs: u32,
    broken_syncs: u32,
    broken_retires: u32,
}

/// A backend in memory that does as it is told.
#[derive(Clone, Default)]
struct Puppet {
    memory: Memory,
    calls: Arc<Mutex<Vec<Call>>>,
    orders: Arc<Mutex<Orders>>,
    /// Each append waits for a word here.
    gate: Arc<Mutex<Option<Receiver<()>>>>,
}

impl Puppet {
    fn gated(&self) -> Sender<()> {
        let (sender, receiver) = mpsc::channel();
        *self.gate.lock() = Some(receiver);
        sender
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    /// What a restart finds.
    fn records(&self) -> Vec<(Segment, Record)> {
        let mut records = Vec::new();
        let of_jobs = Streams {
            jobs: Box::new(self.memory.clone()) as Box<dyn Backend>,
            topics: Box::new(Memory::new()),
        };
        Store::of(of_jobs, Path::new("puppet"))
            .load(
                TornTail::Refuse,
                |at, record| records.push((at.segment, record)),
                |_| {},
            )
            .expect("the log is whole");
        records
    }

    /// The same, of a backend that holds topics.
    fn topic_records(&self) -> Vec<(Segment, Record)> {
        let mut records = Vec::new();
        let of_topics = Streams {
            jobs: Box::new(Memory::new()) as Box<dyn Backend>,
            topics: Box::new(self.memory.clone()),
        };
        Store::of(of_topics, Path::new("puppet"))
            .load(
                TornTail::Refuse,
                |at, record| records.push((at.segment, record)),
                |_| {},
            )
            .expect("the log is whole");
        records
    }

    fn order(
        &self,
        fails: impl Fn(&mut Orders) -> &mut u32,
        kind: io::ErrorKind,
    ) -> Result<(), Fault> {
        let mut orders = self.orders.lock();
        let left = fails(&mut orders);
        if *left == 0 {
            return Ok(());
        }
        *left -= 1;
        Err(Fault::from_io("test", Path::new("puppet"), kind.into()))
    }
}

impl Backend for Puppet {
    fn append(&mut self, segment: Segment, frame: &[u8]) -> Result<Sequence, Fault> {
        if let Some(gate) = &*self.gate.lock() {
            gate.recv().expect("the test goes on");
        }
        self.calls.lock().push(Call::Append(segment));
        self.order(
            |orders| &mut orders.full_appends,
            io::ErrorKind::StorageFull,
        )?;
        self.memory.append(segment, frame)
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.calls.lock().push(Call::Sync);
        self.order(|orders| &mut orders.full_syncs, io::ErrorKind::StorageFull)?;
        self.order(|orders| &mut orders.broken_syncs, io::ErrorKind::Other)?;
        self.memory.sync()
    }

    fn replay(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        self.memory.replay(visit)
    }

    fn cut(&mut self, segment: Segment, last: Sequence, keep: usize) -> Result<(), Fault> {
        self.memory.cut(segment, last, keep)
    }

    fn retire(&mut self, below: Segment) -> Result<(), Fault> {
        self.calls.lock().push(Call::Retire(below));
        self.order(|orders| &mut orders.broken_retires, io::ErrorKind::Other)?;
        self.memory.retire(below)
    }

    fn stats(&self) -> backend::Stats {
        self.memory.stats()
    }

    fn reader(&self) -> Option<Arc<dyn backend::Reader>> {
        self.memory.reader()
    }
}

/// A journal whose stream of topics stays empty.
fn start(puppet: &Puppet, policy: Policy) -> (Journal, Receiver<Progress>) {
    start_both(puppet, &Puppet::default(), policy)
}

fn start_both(jobs: &Puppet, topics: &Puppet, policy: Policy) -> (Journal, Receiver<Progress>) {
    let (sender, receiver) = mpsc::channel();
    let options = Options {
        after: Position(0),
        policy,
        segment_bytes: 1000,
    };
    let on_progress = Box::new(move |progress| {
        // A test that ended before its journal does not listen any more.
        let _ = sender.send(progress);
    });
    let backends = Streams {
        jobs: Box::new(jobs.clone()) as Box<dyn Backend>,
        topics: Box::new(topics.clone()),
    };
    let segments = Streams { jobs: 1, topics: 1 };
    let journal = Journal::start(backends, segments, options, on_progress).expect("a thread");
    (journal, receiver)
}

fn record(number: u8) -> Record {
    Record::Deleted(JobId::from_bytes([number; 24]))
}

fn big(bytes: usize) -> Record {
    Record::Added(Box::new(JobRecord {
        body: Body::new(&vec![b'x'; bytes]),
        ..JobRecord::sample()
    }))
}

fn wait_for(progress: &Receiver<Progress>, wanted: impl Fn(&Progress) -> bool) -> Progress {
    loop {
        let next = progress
            .recv_timeout(Duration::from_secs(20))
            .expect("the daemon goes on");
        if wanted(&next) {
            return next;
        }
    }
}

#[test]
fn all_records_are_there_in_order_after_a_stop() {
    for policy in [Policy::Always, Policy::EverySecond, Policy::No] {
        let puppet = Puppet::default();
        let (journal, _progress) = start(&puppet, policy);
        let mut expected = Vec::new();
        let mut segment = 1;
        for number in 0..200 {
            let mut writer = journal.writer();
            for _ in 0..10 {
                writer.push(&record(number));
                expected.push((segment, record(number)));
            }
            drop(writer);
            if journal.load().segment_is_full.jobs {
                segment = journal.roll(Stream::Jobs);
            }
        }
        assert_eq!(journal.position(), Position(2000));
        journal.stop().expect("nothing is wrong");
        assert!(segment > 50, "rolled to {segment} only");
        assert_eq!(puppet.records(), expected);
        assert_eq!(puppet.calls().last(), Some(&Call::Sync));
        assert_eq!(journal.progress().synced, Position(2000));
        assert_eq!(journal.stats().pending_bytes, 0);
    }
}

#[test]
fn always_tells_of_nothing_that_is_not_synced() {
    let puppet = Puppet::default();
    let (journal, progress) = start(&puppet, Policy::Always);
    for number in 0..50 {
        let position = journal.append(&record(number));
        let told = wait_for(&progress, |told| told.written >= position);
        assert_eq!(told.synced, told.written);
    }
}

#[test]
fn every_second_writes_soon_and_syncs_within_a_second_or_so() {
    let puppet = Puppet::default();
    let (journal, progress) = start(&puppet, Policy::EverySecond);
    let began = Instant::now();
    let position = journal.append(&record(1));
    let told = wait_for(&progress, |told| told.written == position);
    assert_eq!(told.synced, Position(0));
    assert!(journal.waiting_since().is_some_and(|since| since >= began));
    wait_for(&progress, |told| told.synced == position);
    assert!(began.elapsed() >= Duration::from_millis(900));
    assert_eq!(journal.waiting_since(), None);
}

#[test]
fn no_syncs_too_but_later() {
    let puppet = Puppet::default();
    let (journal, progress) = start(&puppet, Policy::No);
    let began = Instant::now();
    let position = journal.append(&record(1));
    let told = wait_for(&progress, |told| told.written == position);
    assert_eq!(told.synced, Position(0));
    assert!(journal.waiting_since().is_some_and(|since| since >= began));
    wait_for(&progress, |told| told.synced == position);
    assert!(began.elapsed() >= Duration::from_millis(1400));
    assert_eq!(journal.waiting_since(), None);
    assert_eq!(puppet.calls(), [Call::Append(1), Call::Sync]);
}

#[test]
fn nothing_is_synced_while_nothing_is_unsynced() {
    let puppet = Puppet::default();
    let (journal, progress) = start(&puppet, Policy::No);
    for number in 0..2 {
        let position = journal.append(&record(number));
        wait_for(&progress, |told| told.synced == position);
    }
    let expected = [Call::Append(1), Call::Sync, Call::Append(1), Call::Sync];
    assert_eq!(puppet.calls(), expected);
    journal.stop().expect("nothing is wrong");
    assert_eq!(puppet.calls(), expected);
}

#[test]
fn a_flush_syncs_whatever_the_policy() {
    let puppet = Puppet::default();
    let (journal, _progress) = start(&puppet, Policy::No);
    let position = journal.append(&record(1));
    journal.flush(position).expect("nothing is wrong");
    assert_eq!(puppet.calls(), [Call::Append(1), Call::Sync]);
    journal.sync_now().expect("there is nothing to sync");
    assert_eq!(puppet.calls(), [Call::Append(1), Call::Sync]);
}

#[test]
fn a_new_policy_applies_to_what_is_written_already() {
    let puppet = Puppet::default();
    let (journal, progress) = start(&puppet, Policy::No);
    let position = journal.append(&record(1));
    wait_for(&progress, |told| told.written == position);
    journal.set_policy(Policy::Always);
    wait_for(&progress, |told| told.synced == position);
}

#[test]
fn what_queues_up_during_a_commit_is_the_next_one() {
    let puppet = Puppet::default();
    let gate = puppet.gated();
    let (journal, progress) = start(&puppet, Policy::Always);
    let first = journal.append(&record(0));
    gate.send(()).expect("the daemon waits for it");
    wait_for(&progress, |told| told.synced == first);
    journal.append(&record(1));
    for number in 2..100 {
        journal.append(&record(number));
    }
    for _ in 0..3 {
        gate.send(()).expect("the daemon waits for it");
    }
    journal.sync_now().expect("nothing is wrong");
    assert!(journal.stats().frames <= 3, "{:?}", journal.stats());
    drop(gate);
    *puppet.gate.lock() = None;
}

#[test]
fn frames_end_at_their_size_and_with_their_segment() {
    let puppet = Puppet::default();
    let gate = puppet.gated();
    let (journal, _progress) = start(&puppet, Policy::No);
    let mut writer = journal.writer();
    for _ in 0..4 {
        writer.push(&big(FRAME_BYTES / 2));
    }
    writer.push(&big(3 * FRAME_BYTES));
    writer.push(&record(1));
    drop(writer);
    assert_eq!(journal.roll(Stream::Jobs), 2);
    journal.append(&record(2));
    for _ in 0..5 {
        gate.send(()).expect("the daemon waits for it");
    }
    journal.stop().expect("nothing is wrong");
    let mut frames = Vec::new();
    puppet
        .memory
        .clone()
        .replay(&mut |segment, _, frame| {
            frames.push((segment, frame.len() / (FRAME_BYTES / 2)));
            Ok(())
        })
        .expect("memory has no faults");
    assert_eq!(frames, [(1, 2), (1, 2), (1, 6), (1, 0), (2, 0)]);
}

#[test]
fn a_full_disk_keeps_the_records_until_there_is_space() {
    let puppet = Puppet::default();
    puppet.orders.lock().full_appends = 2;
    let (journal, progress) = start(&puppet, Policy::EverySecond);
    let first = journal.append(&record(1));
    let told = wait_for(&progress, |told| told.fault.is_some());
    assert!(told.fault.is_some_and(|fault| fault.is_full()) && !told.fatal);
    assert!(!journal.stats().last_write_ok);
    assert!(journal.flush(first).is_err());
    let second = journal.append(&record(2));
    let told = wait_for(&progress, |told| told.fault.is_none());
    assert!(told.synced >= first);
    assert!(journal.stats().last_write_ok);
    journal.flush(second).expect("there is space again");
    assert_eq!(puppet.records(), [(1, record(1)), (1, record(2))]);
}

#[test]
fn a_sync_without_space_is_tried_again() {
    let puppet = Puppet::default();
    puppet.orders.lock().full_syncs = 1;
    let (journal, progress) = start(&puppet, Policy::Always);
    let position = journal.append(&record(1));
    let told = wait_for(&progress, |told| told.fault.is_some());
    assert!(!told.fatal);
    let told = wait_for(&progress, |told| told.synced == position);
    assert!(told.fault.is_none());
}

#[test]
fn a_failed_sync_ends_all_writing() {
    let puppet = Puppet::default();
    puppet.orders.lock().broken_syncs = 1;
    let (journal, progress) = start(&puppet, Policy::Always);
    journal.append(&record(1));
    let told = wait_for(&progress, |told| told.fault.is_some());
    assert!(told.fatal);
    assert_eq!(told.synced, Position(0));
    let later = journal.append(&record(2));
    assert!(journal.flush(later).is_err());
    assert!(journal.stop().is_err());
    assert_eq!(puppet.calls(), [Call::Append(1), Call::Sync]);
}

#[test]
fn a_stop_does_not_wait_for_space() {
    let puppet = Puppet::default();
    puppet.orders.lock().full_appends = u32::MAX;
    let (journal, progress) = start(&puppet, Policy::EverySecond);
    journal.append(&record(1));
    wait_for(&progress, |told| told.fault.is_some());
    assert!(journal.stop().is_err_and(|fault| fault.is_full()));
    assert!(journal.stop().is_ok(), "a second stop has nothing to do");
}

#[test]
fn a_stop_tries_at_once_what_failed_before() {
    let puppet = Puppet::default();
    puppet.orders.lock().full_appends = 1;
    let (journal, progress) = start(&puppet, Policy::No);
    journal.append(&record(1));
    wait_for(&progress, |told| told.fault.is_some());
    journal.stop().expect("there is space again");
    assert_eq!(puppet.records(), [(1, record(1))]);
}

#[test]
fn segments_are_retired_after_what_was_appended_before_is_synced() {
    let puppet = Puppet::default();
    puppet.orders.lock().broken_retires = 1;
    let (journal, progress) = start(&puppet, Policy::No);
    journal.append(&record(1));
    assert_eq!(journal.roll(Stream::Jobs), 2);
    journal.append(&record(2));
    journal.retire(Stream::Jobs, 2);
    wait_for(&progress, |told| told.fault.is_some());
    wait_for(&progress, |told| told.fault.is_none());
    assert_eq!(
        puppet.calls(),
        [
            Call::Append(1),
            Call::Sync,
            Call::Append(2),
            Call::Sync,
            Call::Retire(2),
            Call::Retire(2),
        ]
    );
    assert_eq!(puppet.records(), [(2, record(2))]);
}

#[test]
fn segments_are_retired_in_their_time_however_many_follow() {
    let puppet = Puppet::default();
    // An append takes what was sent while it was under way, and no earlier.
    let (gate, receiver) = mpsc::sync_channel(0);
    *puppet.gate.lock() = Some(receiver);
    let (journal, _progress) = start(&puppet, Policy::No);
    journal.append(&record(1));
    gate.send(()).expect("the daemon waits for it");
    journal.roll(Stream::Jobs);
    let mut writer = journal.writer();
    writer.push(&big(FRAME_BYTES));
    writer.push(&record(2));
    drop(writer);
    journal.retire(Stream::Jobs, 2);
    gate.send(()).expect("the daemon waits for it");
    journal.roll(Stream::Jobs);
    journal.append(&record(3));
    journal.retire(Stream::Jobs, 3);
    gate.send(()).expect("the daemon waits for it");
    gate.send(()).expect("the daemon waits for it");
    journal.stop().expect("nothing is wrong");
    assert_eq!(
        puppet.calls(),
        [
            Call::Append(1),
            Call::Sync,
            Call::Append(2),
            Call::Append(2),
            Call::Sync,
            Call::Retire(2),
            Call::Append(3),
            Call::Sync,
            Call::Retire(3),
        ]
    );
}

#[test]
fn a_segment_begins_once_all_before_it_is_on_disk() {
    let puppet = Puppet::default();
    puppet.orders.lock().broken_syncs = 1;
    let (journal, progress) = start(&puppet, Policy::No);
    journal.append(&record(1));
    journal.roll(Stream::Jobs);
    journal.append(&record(2));
    wait_for(&progress, |told| told.fatal);
    assert_eq!(puppet.calls(), [Call::Append(1), Call::Sync]);
}

#[test]
fn while_no_write_succeeds_the_written_is_synced_and_space_is_freed() {
    let puppet = Puppet::default();
    let (journal, progress) = start(&puppet, Policy::No);
    journal.append(&record(1));
    journal.roll(Stream::Jobs);
    let second = journal.append(&record(2));
    wait_for(&progress, |told| told.written == second);
    // What is given up now goes when the backup is over.
    journal.hold();
    journal.retire(Stream::Jobs, 2);
    puppet.orders.lock().full_appends = u32::MAX;
    journal.append(&record(3));
    // The policy would let it wait for longer.
    let told = wait_for(&progress, |told| told.synced == second);
    assert!(told.fault.is_some());
    journal.release();
    let began = Instant::now();
    while !puppet.calls().contains(&Call::Retire(2)) {
        assert!(began.elapsed() < Duration::from_secs(20), "it is dropped");
        // Each attempt to write is told.
        wait_for(&progress, |told| told.fault.is_some() && !told.fatal);
    }
    puppet.orders.lock().full_appends = 0;
    wait_for(&progress, |told| told.fault.is_none());
    assert_eq!(puppet.records(), [(2, record(2)), (2, record(3))]);
}

#[test]
fn a_retirement_that_fails_does_not_hold_up_writes() {
    let puppet = Puppet::default();
    puppet.orders.lock().broken_retires = u32::MAX;
    let (journal, progress) = start(&puppet, Policy::No);
    journal.append(&record(1));
    journal.roll(Stream::Jobs);
    journal.append(&record(2));
    journal.retire(Stream::Jobs, 2);
    wait_for(&progress, |told| told.fault.is_some());
    let later = journal.append(&record(3));
    let told = wait_for(&progress, |told| told.synced == later);
    assert!(told.fault.is_some() && !told.fatal, "it is not forgotten");
    puppet.orders.lock().broken_retires = 0;
    wait_for(&progress, |told| told.fault.is_none());
    puppet.orders.lock().broken_retires = u32::MAX;
    journal.retire(Stream::Jobs, 3);
    journal.append(&record(4));
    assert!(journal.stop().is_err(), "it says what is left to do");
    let left = [record(2), record(3), record(4)].map(|record| (2, record));
    assert_eq!(puppet.records(), left, "all is written at a stop");
}

#[test]
fn dropping_the_last_handle_stops_the_journal() {
    let puppet = Puppet::default();
    let (journal, _progress) = start(&puppet, Policy::No);
    let other = journal.clone();
    journal.append(&record(1));
    drop(journal);
    other.append(&record(2));
    drop(other);
    assert_eq!(puppet.records(), [(1, record(1)), (1, record(2))]);
}
