//! ACKJOB, FASTACK and DELJOB in a cluster: forgetting a job everywhere.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::bench::{SETTINGS, job};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, JobScan, Reply, ScanReply};
use crate::event::Event;
use crate::id::{JobId, NodeId};
use crate::job::JobState;
use crate::limits;
use crate::message::{Copy, Message};
use crate::node::Settings;
use crate::record::Record;
use crate::telling::sizes;

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
            Message::DelJob(_) => "DELJOB",
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
    assert_eq!(shoal.count(0, Command::AckJob(ids)), 16);
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
fn an_ack_where_nobody_has_the_job_is_over_when_all_said_so() {
    let mut shoal = Shoal::new(3);
    shoal.cut(1, 2);
    let id = unknown_id(9);
    assert_eq!(shoal.ack(1, id), 0);
    let view = shoal.show(1, id).expect("a tombstone is shown");
    assert_eq!((view.queue, view.body), (None, None));
    assert_eq!(view.state, JobState::Acked);
    assert_eq!(view.holders, []);
    shoal.advance(SOON);
    assert_eq!(shoal.node(1).tombstone_count(), 1, "one did not answer");
    assert_eq!(shoal.node(1).job_count(), 0, "a tombstone is no job");
    let scan = Command::JobScan(JobScan {
        cursor: 0,
        count: None,
        queue: None,
        states: vec![],
        reply: ScanReply::All,
    });
    assert_eq!(shoal.run(1, scan), Reply::Jobs(0, vec![]));
    let confirmed = shoal.show(1, id).expect("it is still there").confirmed;
    assert_eq!(confirmed, [Shoal::id(0), Shoal::id(1)]);
    shoal.mend();
    shoal.advance_ms(10);
    assert_empty(&mut shoal, "all answered");
}

#[test]
fn a_lone_node_makes_no_tombstones() {
    let mut shoal = Shoal::new(1);
    assert_eq!(shoal.ack(0, unknown_id(1)), 0);
    assert_eq!(left(&shoal), 0);
    assert_eq!(shoal.node(0).used_memory(), 0);
}

#[test]
fn a_leaving_node_makes_no_tombstone_and_still_tells_the_holders() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(2));
    let (_, without) = sides(&mut shoal, id);
    shoal.feed(without[0], Event::Leaving(true));
    assert_eq!(shoal.ack(without[0], id), 0);
    assert_eq!(shoal.node(without[0]).tombstone_count(), 0);
    shoal.advance_ms(20);
    assert_empty(&mut shoal, "the holders collected");
}

#[test]
fn an_at_most_once_job_is_deleted_by_an_ack_elsewhere_without_a_tombstone() {
    let mut shoal = Shoal::new(3);
    let once = AddJob {
        replicate: Some(1),
        retry: Some(0),
        ..job("q")
    };
    let id = shoal.add(0, once);
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    assert_eq!(shoal.ack(2, id), 0);
    assert_eq!(shoal.node(2).tombstone_count(), 0);
    shoal.advance_ms(5);
    assert_empty(&mut shoal, "told once");
}

#[test]
fn a_holder_that_was_down_is_told_when_it_is_back_before_it_delivers() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(3));
    shoal.kill(2);
    shoal.advance(1);
    assert_eq!(shoal.ack(0, id), 1);
    shoal.advance(SOON);
    let states = shoal.states(id);
    assert_eq!(states[..2], [Some(JobState::Acked); 2]);
    let view = shoal.show(0, id).expect("it waits for the third node");
    assert_eq!(view.confirmed, [Shoal::id(0), Shoal::id(1)]);
    assert_eq!(view.holders.len(), 3);
    assert_eq!(view.body, None);
    assert_eq!(view.queue.expect("its name").as_bytes(), b"q");
    assert_eq!(view.next_requeue, None);
    shoal.advance(3600);
    assert_eq!(shoal.states(id)[0], Some(JobState::Acked));
    shoal.start(2);
    shoal.advance_ms(20);
    assert_empty(&mut shoal, "told");
    shoal.advance(600);
    assert_empty(&mut shoal, "later");
}

#[test]
fn telling_is_repeated_ever_more_rarely_and_ends_with_the_ttl() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(
        0,
        AddJob {
            ttl: 1200,
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
    assert_eq!(shoal.node(0).job_count(), 0);
    assert_eq!(shoal.node(0).counters().expired, 0, "it was acked");
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
            shoal.send(first, 1, Command::AckJob(vec![id]));
            shoal.send(second, 1, Command::AckJob(vec![id]));
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
    shoal.feed(0, Event::Message(Shoal::id(1), Message::DelJob(ids[0])));
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
fn forgetting_a_member_ends_a_tombstones_wait_for_it() {
    let mut shoal = Shoal::new(3);
    shoal.kill(2);
    shoal.advance_ms(10);
    shoal.ack(0, unknown_id(5));
    shoal.advance(SOON);
    assert_eq!(shoal.node(0).tombstone_count(), 1);
    shoal.feed(0, Event::PeerForgotten(Shoal::id(2)));
    assert_eq!(shoal.node(0).tombstone_count(), 0);
}

#[test]
fn a_holder_that_comes_back_empty_needs_not_be_told() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(3));
    shoal.kill(2);
    shoal.advance_ms(10);
    shoal.ack(0, id);
    shoal.advance(SOON);
    shoal.wipe(2);
    shoal.start(2);
    shoal.advance_ms(20);
    assert_empty(&mut shoal, "its copy is gone");
}

#[test]
fn a_peer_that_comes_back_empty_stays_known_as_such_after_a_restart() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(3));
    shoal.kill(2);
    shoal.advance_ms(10);
    shoal.kill(1);
    shoal.advance_ms(10);
    shoal.ack(0, id);
    shoal.wipe(2);
    shoal.start(2);
    shoal.advance_ms(20);
    shoal.kill(2);
    shoal.kill(0);
    shoal.start(0);
    // Node 2 is away, but what it once held is gone all the same.
    let view = shoal.show(0, id).expect("node 1 has not heard");
    assert_eq!(view.holders, [Shoal::id(0), Shoal::id(1)]);
    shoal.start(1);
    shoal.start(2);
    shoal.advance(SOON);
    assert_empty(&mut shoal, "all have heard");
}

#[test]
fn an_ack_reaches_a_copy_that_came_to_a_new_store_by_way_of_others() {
    let mut shoal = Shoal::new(3);
    shoal.cut(0, 2);
    shoal.kill(2);
    shoal.wipe(2);
    shoal.start(2);
    shoal.advance_ms(20);
    // Node 0 has not heard that the store is another one.
    let id = shoal.add(1, copies(3));
    let view = shoal.show(0, id).expect("it has a copy");
    assert_eq!(view.holders, [Shoal::id(0), Shoal::id(1), Shoal::id(2)]);
    shoal.cut(1, 2);
    shoal.ack(0, id);
    shoal.advance(SOON);
    assert_ne!(shoal.states(id)[2], None);
    shoal.kill(1);
    shoal.mend();
    shoal.advance_ms(20);
    assert_eq!(
        shoal.states(id)[2],
        None,
        "node 0 told it of the ack, and then to forget"
    );
    shoal.start(1);
    shoal.advance(SOON);
    assert_empty(&mut shoal, "all have heard");
}

#[test]
fn a_tombstone_survives_a_crash_and_a_rewrite() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(2));
    let (with, without) = sides(&mut shoal, id);
    for &seat in &with {
        shoal.kill(seat);
    }
    shoal.advance_ms(10);
    let at = without[0];
    shoal.ack(at, id);
    for _ in 0..2 {
        shoal.roll(at);
        shoal.feed(at, Event::Rewrite);
        shoal.advance(1);
        shoal.kill(at);
        shoal.start(at);
        shoal.advance(SOON);
        assert_eq!(shoal.node(at).tombstone_count(), 1);
    }
    for &seat in &with {
        shoal.start(seat);
    }
    shoal.advance(SOON);
    assert_empty(&mut shoal, "the holders heard");
}

#[test]
fn a_tombstone_lives_as_long_as_its_job_can() {
    let mut shoal = Shoal::new(2);
    shoal.kill(1);
    shoal.advance_ms(10);
    shoal.ack(0, unknown_id(1));
    shoal.advance(13 * 60 - 1);
    assert_eq!(shoal.node(0).tombstone_count(), 1);
    shoal.kill(0);
    shoal.start(0);
    assert_eq!(shoal.node(0).tombstone_count(), 1);
    shoal.advance(2);
    assert_eq!(shoal.node(0).tombstone_count(), 0);
    assert_eq!(shoal.node(0).counters().expired, 0, "it is no job");
}

#[test]
fn tombstones_are_bounded_and_the_oldest_goes_first() {
    let bound = 5;
    let settings = Settings {
        max_memory: (16 * sizes::TOMBSTONE_BYTES * bound) as u64,
        ..SETTINGS
    };
    let mut shoal = Shoal::with(2, settings);
    shoal.kill(1);
    shoal.advance_ms(10);
    for number in 1..=8 {
        shoal.ack(0, unknown_id(number));
    }
    assert_eq!(shoal.node(0).tombstone_count(), bound);
    assert_eq!(shoal.node(0).counters().tombstones_dropped, 3);
    let kept: Vec<bool> = (1..=8)
        .map(|number| shoal.show(0, unknown_id(number)).is_some())
        .collect();
    assert_eq!(kept, [false, false, false, true, true, true, true, true]);
    shoal.kill(0);
    shoal.start(0);
    assert_eq!(shoal.node(0).tombstone_count(), bound, "that is in the log");
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
    shoal.count(0, Command::AckJob(acked.clone()));
    shoal.ack(0, unknown_id(1));
    let bytes = |shoal: &Shoal| shoal.node(0).used_memory();
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
fn an_ack_takes_the_place_of_the_job_in_the_log() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(0, copies(2));
    shoal.kill(1);
    shoal.advance_ms(10);
    shoal.roll(0);
    shoal.ack(0, id);
    let added = |(_, record): &(_, Record)| matches!(record, Record::Added(_));
    assert!(!shoal.log(0).iter().any(added), "its segment has retired");
    shoal.kill(0);
    shoal.start(0);
    let view = shoal.show(0, id).expect("it waits for the other node");
    assert_eq!(view.state, JobState::Acked);
    assert_eq!(view.queue.expect("its name").as_bytes(), b"q");
    shoal.stop(0);
    shoal.start(0);
    shoal.start(1);
    shoal.advance(SOON);
    assert_empty(&mut shoal, "both heard");
}

#[test]
fn the_stores_of_peers_are_known_after_their_segments_retired() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(0, copies(2));
    for _ in 0..3 {
        shoal.roll(0);
        shoal.feed(0, Event::Rewrite);
        shoal.advance(1);
    }
    shoal.kill(1);
    shoal.advance_ms(10);
    shoal.ack(0, id);
    shoal.kill(0);
    shoal.wipe(1);
    shoal.start(0);
    shoal.start(1);
    shoal.advance(SOON);
    assert_empty(&mut shoal, "the store that held the copy is gone");
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
    shoal.count(0, Command::AckJob(ids));
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
    shoal.count(0, Command::AckJob(ids));
    shoal.advance_ms(20);
    let queue = shoal.node(0).used_memory() - (100 * sizes::FORGOTTEN_BYTES) as u64;
    assert!(queue < 1000);
    shoal.advance(299);
    assert!(shoal.node(0).used_memory() >= (100 * sizes::FORGOTTEN_BYTES) as u64);
    shoal.advance(301);
    assert_eq!(shoal.node(0).used_memory(), 0);
}

/// Something that happens to some nodes.
#[derive(Debug, Clone)]
enum Happening {
    Add(usize, u16),
    /// Acks the job that was added as the nth.
    Ack(usize, prop::sample::Index),
    Kill(usize),
    Start(usize),
    Cut(usize, usize),
    Mend,
    Advance(u64),
}

fn happenings() -> impl Strategy<Value = Happening> {
    let seat = 0..5_usize;
    prop_oneof![
        3 => (seat.clone(), 1..4_u16).prop_map(|(seat, copies)| Happening::Add(seat, copies)),
        4 => (seat.clone(), any::<prop::sample::Index>()).prop_map(|(seat, nth)| Happening::Ack(seat, nth)),
        1 => seat.clone().prop_map(Happening::Kill),
        2 => seat.clone().prop_map(Happening::Start),
        1 => (seat.clone(), seat).prop_map(|(a, b)| Happening::Cut(a, b)),
        1 => Just(Happening::Mend),
        4 => prop_oneof![0..3_u64, 0..9000_u64].prop_map(Happening::Advance),
    ]
}

/// Takes and acks all that is left until nothing is delivered for longer than any retry.
fn drain(shoal: &mut Shoal, retry: u64) {
    let mut quiet = 0;
    while quiet <= retry {
        shoal.advance(1);
        quiet += 1;
        for seat in shoal.running() {
            for delivery in shoal.get(seat, "q", 100) {
                shoal.send(seat, 1, Command::AckJob(vec![delivery.id]));
                quiet = 0;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_happens_acked_jobs_vanish_everywhere(
        nodes in 3..6_usize,
        happenings in prop::collection::vec(happenings(), 1..60),
    ) {
        let retry = 20;
        let mut shoal = Shoal::new(nodes);
        let mut added = vec![];
        for happening in happenings {
            let running = shoal.running();
            let runs = |seat: usize| running.contains(&(seat % nodes));
            match happening {
                Happening::Add(seat, copies) if runs(seat) => {
                    let add = AddJob { replicate: Some(copies), retry: Some(retry), ..job("q") };
                    added.push((seat % nodes, shoal.send(seat % nodes, 1, Command::AddJob(add))));
                }
                Happening::Ack(seat, nth) if runs(seat) && !added.is_empty() => {
                    let (adder, ticket) = added[nth.index(added.len())];
                    if let Some(&Reply::Added(id)) = shoal.answer(adder, ticket) {
                        shoal.send(seat % nodes, 1, Command::AckJob(vec![id]));
                    }
                }
                Happening::Kill(seat) if runs(seat) => shoal.kill(seat % nodes),
                Happening::Start(seat) if !runs(seat) => shoal.start(seat % nodes),
                Happening::Cut(a, b) if a % nodes != b % nodes => shoal.cut(a % nodes, b % nodes),
                Happening::Mend => shoal.mend(),
                Happening::Advance(ms) => shoal.advance_ms(ms),
                Happening::Add(..)
                | Happening::Ack(..)
                | Happening::Kill(_)
                | Happening::Start(_)
                | Happening::Cut(..) => {}
            }
        }
        shoal.mend();
        for seat in 0..nodes {
            if !shoal.running().contains(&seat) {
                shoal.start(seat);
            }
        }
        drain(&mut shoal, 2 * u64::from(retry));
        prop_assert_eq!(left(&shoal), 0);
    }
}
