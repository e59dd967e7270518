//! ACKJOB, FASTACK and DELJOB in a cluster: forgetting a job everywhere.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::bench::{SETTINGS, job};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, JobScan, Reply, ScanReply};
use crate::event::Event;
use crate::extras::Extras;
use crate::id::{JobId, NodeId};
use crate::job::JobState;
use crate::limits;
use crate::message::{Copy, Message};
use crate::node::Settings;
use crate::record::Record;
use crate::telling::sizes;

mod stores;
mod tombstones;
mod whatever_happens;

/// Longer than a round of telling, and than the patience of holders that leave the collection to others.
const SOON: u64 = 30;

/// A job on `replicate` nodes, with a retry that is over within [`SOON`].
fn copies(replicate: u16) -> AddJob<'static> {
    AddJob {
        replicate: Some(replicate),
        retry: Some(20),
        ..job("q")
    }
}

/// Jobs, acks and tombstones on all nodes that run.
fn left(shoal: &Shoal) -> usize {
    let tombstones = |seat| shoal.node(seat).tombstone_count();
    shoal.jobs() + shoal.running().into_iter().map(tombstones).sum::<usize>()
}

/// Nothing is left of any job, and nothing came back.
fn assert_empty(shoal: &mut Shoal, what: &str) {
    assert_eq!(left(shoal), 0, "{what}: something is left");
    for seat in shoal.running() {
        assert_eq!(shoal.get(seat, "q", 1), [], "{what}: a job came back");
        assert_eq!(shoal.node(seat).collecting_count(), 0, "{what}");
    }
}

/// Messages about acks since last asked, by kind and by sender and receiver.
fn acks_sent(shoal: &mut Shoal) -> BTreeMap<(&'static str, usize, usize), usize> {
    let mut counts = BTreeMap::new();
    for (from, to, message) in shoal.sent.drain(..) {
        let kind = match message {
            Message::SetAck { .. } => "SETACK",
            Message::GotAck { .. } => "GOTACK",
            Message::DelJob { .. } => "DELJOB",
            _ => continue,
        };
        *counts.entry((kind, from, to)).or_default() += 1;
    }
    counts
}

/// Who has a copy, and who has none.
fn sides(shoal: &mut Shoal, id: JobId) -> (Vec<usize>, Vec<usize>) {
    let states = shoal.states(id);
    (0..states.len()).partition(|&seat| states[seat].is_some())
}

fn copy(id: JobId, holders: &[usize]) -> Message {
    let mut holders: Vec<NodeId> = holders.iter().map(|&seat| Shoal::id(seat)).collect();
    holders.sort_unstable();
    Message::ReplJob(Box::new(Copy {
        id,
        retry: 3600,
        holders: holders.into(),
        ..Copy::sample()
    }))
}

fn unknown_id(number: u8) -> JobId {
    let mut bytes = [number; 24];
    bytes[22..].copy_from_slice(&[0, 11]);
    JobId::from_bytes(bytes)
}

#[test]
fn an_ack_at_any_node_deletes_a_job_everywhere() {
    for at in 0..4 {
        let mut shoal = Shoal::new(4);
        let id = shoal.add(0, copies(3));
        let known = shoal.states(id)[at].is_some();
        assert_eq!(shoal.ack(at, id), u64::from(known));
        assert_eq!(shoal.ack(at, id), 0, "it is acked already");
        shoal.advance_ms(20);
        assert_empty(&mut shoal, "at once");
        shoal.advance(600);
        assert_empty(&mut shoal, "later");
    }
}

#[test]
fn sixteen_acks_take_one_message_of_each_kind_per_job_and_peer() {
    let mut shoal = Shoal::new(3);
    let ids: Vec<JobId> = (0..16).map(|_| shoal.add(0, copies(3))).collect();
    shoal.sent.clear();
    assert_eq!(shoal.count(0, Command::ack(ids)), 16);
    shoal.advance(SOON);
    assert_empty(&mut shoal, "collected");
    let expected = [
        (("DELJOB", 0, 1), 16),
        (("DELJOB", 0, 2), 16),
        (("GOTACK", 1, 0), 16),
        (("GOTACK", 2, 0), 16),
        (("SETACK", 0, 1), 16),
        (("SETACK", 0, 2), 16),
    ];
    assert_eq!(acks_sent(&mut shoal), BTreeMap::from(expected));
}

#[test]
fn the_ack_of_a_job_that_is_nowhere_else_asks_nobody() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(1));
    shoal.sent.clear();
    assert_eq!(shoal.ack(0, id), 1);
    assert_eq!(left(&shoal), 0);
    shoal.advance(SOON);
    assert_eq!(acks_sent(&mut shoal), BTreeMap::new());
}

#[test]
fn telling_is_repeated_ever_more_rarely_and_ends_with_the_ttl() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(
        0,
        AddJob {
            ttl: Some(1200),
            ..copies(2)
        },
    );
    shoal.hang(1);
    shoal.sent.clear();
    shoal.ack(0, id);
    let mut times = vec![];
    for second in 0..1300 {
        let told = acks_sent(&mut shoal);
        if !told.is_empty() {
            assert_eq!(told, BTreeMap::from([(("SETACK", 0, 1), 1)]));
            times.push(second);
        }
        shoal.advance(1);
    }
    let waits: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(
        waits,
        [1, 2, 4, 8, 16, 32, 64, 128, 180, 180, 180, 180, 180]
    );
    shoal.advance(7 * 86_400);
    assert_eq!(
        shoal.node(0).job_count(),
        0,
        "no copy can be a dead letter now"
    );
    assert_eq!(shoal.node(0).total_tally().expired, 0, "it was acked");
}

#[test]
fn a_link_may_break_after_any_message_of_a_collection() {
    for away_secs in [0, 7] {
        for at in 0..4 {
            for (a, b) in [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)] {
                for parcels in 0..12 {
                    let mut shoal = Shoal::new(4);
                    let id = shoal.add(0, copies(3));
                    shoal.ack(at, id);
                    shoal.advance_parcels(parcels);
                    shoal.cut(a, b);
                    shoal.advance_ms(5 + away_secs * 1000);
                    shoal.mend();
                    shoal.advance(SOON);
                    let what = format!("acked at {at}, {a}-{b} cut after {parcels}");
                    assert_empty(&mut shoal, &what);
                }
            }
        }
    }
}

#[test]
fn any_node_may_crash_after_any_message_of_a_collection() {
    for at in 0..4 {
        for victim in 0..4 {
            for parcels in 0..12 {
                let mut shoal = Shoal::new(4);
                let id = shoal.add(0, copies(3));
                shoal.ack(at, id);
                shoal.advance_parcels(parcels);
                shoal.kill(victim);
                shoal.advance(8);
                shoal.start(victim);
                shoal.advance(SOON);
                let what = format!("acked at {at}, {victim} crashed after {parcels}");
                assert_empty(&mut shoal, &what);
            }
        }
    }
}

#[test]
fn two_nodes_may_be_told_of_an_ack_at_once() {
    for first in 0..4 {
        for second in 0..4 {
            let mut shoal = Shoal::new(4);
            let id = shoal.add(0, copies(3));
            shoal.send(first, 1, Command::ack(vec![id]));
            shoal.send(second, 1, Command::ack(vec![id]));
            shoal.advance_ms(20);
            assert_empty(&mut shoal, &format!("{first} and {second}"));
        }
    }
}

#[test]
fn holders_that_only_some_know_of_are_told_too() {
    for at in 0..5 {
        let mut shoal = Shoal::new(5);
        let id = unknown_id(77);
        // Lists of the same length, and none names all four.
        for (seat, holders) in [
            (0, [0, 1, 2]),
            (1, [0, 1, 3]),
            (2, [0, 2, 3]),
            (3, [1, 2, 3]),
        ] {
            let from = holders.into_iter().find(|&holder| holder != seat);
            let from = Shoal::id(from.expect("it has peers"));
            shoal.feed(seat, Event::Message(from, copy(id, &holders)));
        }
        shoal.advance_ms(5);
        assert_eq!(shoal.jobs(), 4);
        shoal.ack(at, id);
        shoal.advance_ms(20);
        assert_empty(&mut shoal, &format!("acked at {at}"));
    }
}

#[test]
fn a_copy_that_comes_after_the_ack_is_not_taken() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(3));
    shoal.ack(0, id);
    shoal.advance_ms(20);
    for seat in 0..3 {
        let from = (seat + 1) % 3;
        shoal.sent.clear();
        let message = copy(id, &[0, 1, 2]);
        shoal.feed(seat, Event::Message(Shoal::id(from), message));
        assert_eq!(shoal.node(seat).job_count(), 0);
        let answer = shoal.sent.pop_front();
        let ack = Message::SetAck {
            id,
            holders: [].into(),
            withdrawn: false,
            extras: Extras::NONE,
        };
        assert_eq!(answer, Some((seat, from, ack)));
    }
    shoal.advance(1000);
    let message = copy(id, &[1, 2]);
    shoal.feed(2, Event::Message(Shoal::id(1), message));
    assert_eq!(shoal.node(2).job_count(), 1, "it was forgotten by now");
}

#[test]
fn deljob_of_a_client_is_local_and_forgets_the_job_but_not_that_it_may_come() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(0, copies(2));
    assert_eq!(shoal.count(1, Command::DelJob(vec![id])), 1);
    assert_eq!(shoal.states(id), [Some(JobState::Queued), None]);
    shoal.feed(1, Event::Message(Shoal::id(0), copy(id, &[0, 1])));
    assert_eq!(shoal.node(1).job_count(), 1);
}

#[test]
fn fastack_deletes_a_job_everywhere_with_one_message_to_each() {
    for at in 0..4 {
        let mut shoal = Shoal::new(4);
        let id = shoal.add(0, copies(3));
        shoal.sent.clear();
        let (with, _) = sides(&mut shoal, id);
        let known = u64::from(with.contains(&at));
        assert_eq!(shoal.count(at, Command::FastAck(vec![id])), known);
        shoal.advance_ms(5);
        assert_empty(&mut shoal, "told");
        let sent = acks_sent(&mut shoal);
        let to: Vec<usize> = sent.keys().map(|&(_, _, to)| to).collect();
        let expected: Vec<usize> = (0..4)
            .filter(|&seat| seat != at && (known == 0 || with.contains(&seat)))
            .collect();
        assert_eq!(to, expected);
        assert!(
            sent.iter()
                .all(|(&(kind, ..), &count)| kind == "DELJOB" && count == 1)
        );
        let late = copy(id, &[0, 1, 2]);
        shoal.feed(at, Event::Message(Shoal::id((at + 1) % 4), late));
        assert_eq!(shoal.node(at).job_count(), 0, "a late copy is not taken");
    }
}

#[test]
fn a_job_whose_producer_still_waits_can_be_deleted_by_another_node() {
    let mut shoal = Shoal::new(2);
    shoal.hang(1);
    let ticket = shoal.send(0, 1, Command::AddJob(copies(2)));
    let scan = Command::JobScan(JobScan {
        cursor: 0,
        count: None,
        queue: None,
        states: vec![],
        reply: ScanReply::Id,
    });
    let Reply::JobIds(0, ids) = shoal.run(0, scan) else {
        panic!("one job is here");
    };
    let delete = Message::DelJob {
        id: ids[0],
        extras: Extras::NONE,
    };
    shoal.feed(0, Event::Message(Shoal::id(1), delete));
    assert!(matches!(shoal.answer(0, ticket), Some(Reply::Refused(_))));
    assert_eq!(shoal.node(0).job_count(), 0);
}

#[test]
fn forgetting_a_holder_ends_the_wait_for_it() {
    for count in [3, 4] {
        let mut shoal = Shoal::new(count);
        let id = shoal.add(0, copies(3));
        let (with, _) = sides(&mut shoal, id);
        let victim = with[2];
        shoal.kill(victim);
        shoal.advance_ms(10);
        // Acked on a holder in the first round, by way of a tombstone in the second.
        let at = (0..count).rfind(|&seat| seat != victim);
        shoal.ack(at.expect("others run"), id);
        shoal.advance(SOON);
        assert!(left(&shoal) > 0, "the dead holder may come back");
        for seat in shoal.running() {
            shoal.feed(seat, Event::PeerForgotten(Shoal::id(victim)));
        }
        shoal.advance_ms(20);
        assert_empty(&mut shoal, "nobody is left to wait for");
    }
}

#[test]
fn pressure_evicts_what_is_missed_least_first() {
    let settings = Settings {
        max_memory: 1 << 20,
        ..SETTINGS
    };
    let mut shoal = Shoal::with(2, settings);
    let acked: Vec<JobId> = (0..3).map(|_| shoal.add(0, copies(2))).collect();
    let waiting = shoal.add(0, copies(2));
    let once = AddJob {
        replicate: Some(1),
        retry: Some(0),
        ..job("once")
    };
    let once = shoal.add(0, once);
    shoal.get(0, "once", 1);
    shoal.kill(1);
    shoal.advance_ms(10);
    shoal.count(0, Command::ack(acked.clone()));
    shoal.ack(0, unknown_id(1));
    let bytes = |shoal: &Shoal| shoal.node(0).used_by_load();
    let mut gone = vec![];
    let limit = (1 << 20) * 95 / 100 + 1;
    for _ in 0..6 {
        shoal.feed(0, Event::ClientBuffers(0));
        let clients = limit - bytes(&shoal);
        shoal.feed(0, Event::ClientBuffers(clients));
        shoal.feed(0, Event::MemoryPressure);
        let all = acked.iter().chain([&waiting, &once]).copied();
        let now: Vec<JobId> = all
            .chain([unknown_id(1)])
            .filter(|&id| shoal.show(0, id).is_none() && !gone.contains(&id))
            .collect();
        gone.extend(now);
    }
    assert_eq!(gone, [once, unknown_id(1), acked[0], acked[1], acked[2]]);
    assert_eq!(shoal.node(0).counters().evicted, 5);
    shoal.kill(0);
    shoal.start(0);
    assert_eq!(shoal.node(0).job_count(), 1, "evictions are in the log");
}

#[test]
fn very_many_acks_are_told_a_few_at_a_time() {
    let mut shoal = Shoal::new(2);
    let count = 3 * limits::ACKS_PER_STEP + 1;
    let ids: Vec<JobId> = (0..count)
        .map(|number| {
            let mut bytes = [1; 24];
            bytes[4..8].copy_from_slice(&(number as u32).to_be_bytes());
            JobId::from_bytes(bytes)
        })
        .collect();
    shoal.kill(1);
    shoal.advance_ms(10);
    shoal.count(0, Command::ack(ids));
    // Let the retries be far apart, so that what is sent next is owed to the link.
    shoal.advance(100);
    shoal.sent.clear();
    shoal.start(1);
    shoal.advance_ms(1);
    assert_eq!(
        acks_sent(&mut shoal).get(&("SETACK", 0, 1)),
        Some(&limits::ACKS_PER_STEP)
    );
    shoal.advance_ms(100);
    assert_eq!(left(&shoal), 0);
}

#[test]
fn a_flush_forgets_acks_and_tombstones_but_not_that_jobs_are_over() {
    let mut shoal = Shoal::new(2);
    let [id, done] = [shoal.add(0, copies(2)), shoal.add(0, copies(2))];
    shoal.ack(0, done);
    shoal.advance_ms(20);
    shoal.kill(1);
    shoal.advance_ms(10);
    shoal.ack(0, id);
    shoal.ack(0, unknown_id(1));
    shoal.feed(0, Event::Flush);
    assert_eq!(left(&shoal), 0);
    shoal.start(1);
    shoal.advance_ms(10);
    shoal.feed(0, Event::Message(Shoal::id(1), copy(done, &[0, 1])));
    assert_eq!(shoal.states(done)[0], None);
    // The other node's copy is as it was: FLUSHALL is local.
    assert_eq!(shoal.states(id)[1], Some(JobState::Active));
}

#[test]
fn what_is_remembered_of_jobs_that_are_over_takes_memory_for_a_while() {
    let mut shoal = Shoal::new(2);
    let ids: Vec<JobId> = (0..100).map(|_| shoal.add(0, copies(2))).collect();
    shoal.count(0, Command::ack(ids));
    shoal.advance_ms(20);
    let queue = shoal.node(0).used_by_load() - (100 * sizes::FORGOTTEN_BYTES) as u64;
    assert!(queue < 1000);
    shoal.advance(299);
    assert!(shoal.node(0).used_by_load() >= (100 * sizes::FORGOTTEN_BYTES) as u64);
    shoal.advance(301);
    assert_eq!(shoal.node(0).used_by_load(), 0);
}
