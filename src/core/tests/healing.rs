//! Lost copies are replaced.

use super::bench::{SETTINGS, job, job_with_retry};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Replication, Reply};
use crate::event::{Event, PeerUp};
use crate::extras::Features;
use crate::id::{JobId, StoreId};
use crate::message::Message;
use crate::node::Settings;

/// Heals after a minute.
const DELAY_MS: u64 = 60_000;

/// A job with three copies that is not queued again while a test runs.
fn lasting(queue: &str) -> AddJob<'_> {
    AddJob {
        replicate: Some(3),
        ..job_with_retry(queue, 3600)
    }
}

/// Adds a job at seat 0 of a shoal; returns it, the seats of its other holders, and those without a copy.
fn spread(shoal: &mut Shoal, seats: usize) -> (JobId, Vec<usize>, Vec<usize>) {
    let id = shoal.add(0, lasting("q"));
    let states = shoal.states(id);
    let has = |&seat: &usize| states[seat].is_some();
    let holders: Vec<usize> = (1..seats).filter(has).collect();
    let others = (1..seats).filter(|seat| !has(seat)).collect();
    assert_eq!(holders.len(), 2);
    (id, holders, others)
}

fn copies(shoal: &mut Shoal, id: JobId) -> usize {
    shoal.states(id).iter().flatten().count()
}

/// Who sent REPLJOB since last cleared, to whom.
fn sent_copies(shoal: &Shoal) -> Vec<(usize, usize)> {
    let copies = shoal.sent.iter();
    let copies = copies.filter(|(_, _, message)| matches!(message, Message::ReplJob(_)));
    copies.map(|&(from, to, _)| (from, to)).collect()
}

#[test]
fn a_holder_that_stays_away_is_replaced_by_exactly_one_new_copy() {
    let mut shoal = Shoal::new(5);
    let (id, holders, others) = spread(&mut shoal, 5);
    shoal.kill(holders[1]);
    shoal.sent.clear();
    shoal.advance_ms(DELAY_MS - 100);
    assert_eq!(sent_copies(&shoal), [], "it may come back");
    assert_eq!(copies(&mut shoal, id), 2);
    shoal.advance_ms(1100);
    assert_eq!(copies(&mut shoal, id), 3);
    let sent = sent_copies(&shoal);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, 0, "the holder with the lowest id makes it");
    assert!(others.contains(&sent[0].1));
    assert_eq!(shoal.node(0).counters().healed, 1);
    assert_eq!(shoal.node(0).under_replicated(), 0);
    shoal.advance(600);
    assert_eq!(sent_copies(&shoal).len(), 1, "nobody makes another one");
    assert_eq!(shoal.node(holders[0]).under_replicated(), 0);
    shoal.start(holders[1]);
    shoal.advance(600);
    assert_eq!(sent_copies(&shoal).len(), 1);
    assert_eq!(copies(&mut shoal, id), 4, "its copy is left alone");
}

#[test]
fn a_holder_that_lacks_the_job_does_not_keep_the_next_one_from_healing_it() {
    let mut shoal = Shoal::new(5);
    let (id, holders, _) = spread(&mut shoal, 5);
    // Seat 0 ranks first, and has it no more.
    assert_eq!(shoal.count(0, Command::DelJob(vec![id])), 1);
    shoal.kill(holders[1]);
    shoal.sent.clear();
    shoal.advance_ms(DELAY_MS + 4_000);
    assert_eq!(sent_copies(&shoal), []);
    shoal.advance_ms(2_000);
    let sent = sent_copies(&shoal);
    assert_eq!(sent.len(), 2, "one for the lost, one for the lacking");
    assert!(sent.iter().all(|&(from, _)| from == holders[0]));
    assert!(sent.contains(&(holders[0], 0)));
    assert_eq!(copies(&mut shoal, id), 3);
}

#[test]
fn a_store_that_comes_back_empty_is_healed_at_once() {
    let mut shoal = Shoal::new(3);
    let (id, holders, _) = spread(&mut shoal, 3);
    shoal.kill(holders[0]);
    shoal.wipe(holders[0]);
    shoal.advance(1);
    shoal.start(holders[0]);
    shoal.advance_ms(500);
    assert_eq!(copies(&mut shoal, id), 3);
    assert_eq!(shoal.node(0).counters().healed, 1);
    for seat in [0, holders[1]] {
        let peers = &shoal.node(seat).peers;
        assert!(peers.gone().is_empty(), "its slot is free again");
        assert_eq!(peers.keys().count(), 2);
    }
    let everybody: Vec<_> = (0..3).map(Shoal::id).collect();
    for seat in 0..3 {
        assert_eq!(
            shoal.show(seat, id).map(|view| view.holders),
            Some(everybody.clone())
        );
    }
}

#[test]
fn a_forgotten_holder_is_replaced_at_once_and_its_slot_is_free() {
    let mut shoal = Shoal::new(4);
    let (id, holders, others) = spread(&mut shoal, 4);
    shoal.kill(holders[0]);
    shoal.advance(1);
    shoal.sent.clear();
    for seat in [0, holders[1], others[0]] {
        shoal.feed(seat, Event::PeerForgotten(Shoal::id(holders[0])));
    }
    shoal.advance_ms(500);
    assert_eq!(sent_copies(&shoal), [(0, others[0])]);
    assert_eq!(copies(&mut shoal, id), 3);
    for seat in [0, holders[1], others[0]] {
        let peers = &shoal.node(seat).peers;
        assert!(peers.gone().is_empty());
        assert_eq!(peers.keys().count(), 2);
        let view = shoal.show(seat, id).expect("it has a copy");
        assert!(!view.holders.contains(&Shoal::id(holders[0])));
    }
}

#[test]
fn a_cluster_that_shrinks_wants_no_more_copies_than_it_has_nodes() {
    let mut shoal = Shoal::new(3);
    let (_, holders, _) = spread(&mut shoal, 3);
    shoal.kill(holders[0]);
    shoal.advance(100);
    assert_eq!(shoal.node(0).under_replicated(), 1);
    for seat in [0, holders[1]] {
        shoal.feed(seat, Event::PeerForgotten(Shoal::id(holders[0])));
    }
    shoal.advance(120);
    assert_eq!(shoal.node(0).under_replicated(), 0);
}

#[test]
fn a_short_flap_heals_nothing() {
    let mut shoal = Shoal::new(5);
    let (id, holders, _) = spread(&mut shoal, 5);
    shoal.sent.clear();
    for _ in 0..20 {
        shoal.cut(0, holders[0]);
        shoal.advance(30);
        shoal.mend();
        shoal.advance(1);
    }
    assert_eq!(sent_copies(&shoal), []);
    assert_eq!(copies(&mut shoal, id), 3);
}

#[test]
fn a_job_accepted_with_too_few_copies_is_healed_when_a_node_comes() {
    let mut shoal = Shoal::new(3);
    shoal.kill(2);
    shoal.advance_ms(10);
    let id = shoal.add(0, job_with_retry("q", 3600));
    assert_eq!(copies(&mut shoal, id), 2);
    assert_eq!(shoal.show(0, id).map(|view| view.replicate), Some(3));
    assert_eq!(shoal.node(0).under_replicated(), 1);
    shoal.advance(10);
    shoal.start(2);
    shoal.advance_ms(1_300);
    assert_eq!(copies(&mut shoal, id), 3);
    assert_eq!(shoal.node(0).under_replicated(), 0);
    shoal.advance(10);
    assert_eq!(shoal.node(1).under_replicated(), 0);
}

#[test]
fn an_asynchronous_job_gets_its_copies_though_the_first_message_is_lost() {
    let mut shoal = Shoal::new(2);
    let add = AddJob {
        replicate: Some(2),
        replication: Replication::Asynchronous,
        ..job_with_retry("q", 3600)
    };
    let ticket = shoal.send(0, 1, Command::AddJob(add));
    let Some(&Reply::Added(id)) = shoal.answer(0, ticket) else {
        panic!("it is answered at once");
    };
    assert_eq!(shoal.node(0).under_replicated(), 0, "it may still come");
    shoal.cut(0, 1);
    shoal.advance(120);
    assert_eq!(copies(&mut shoal, id), 1);
    assert_eq!(shoal.node(0).under_replicated(), 1);
    shoal.mend();
    shoal.advance(2);
    assert_eq!(copies(&mut shoal, id), 2);
    assert_eq!(shoal.node(0).under_replicated(), 0);
}

#[test]
fn asynchronous_producers_leave_no_job_short_while_copies_are_confirmed_in_time() {
    let mut shoal = Shoal::new(3);
    for _ in 0..200 {
        let add = AddJob {
            replication: Replication::Asynchronous,
            ..lasting("q")
        };
        shoal.send(0, 1, Command::AddJob(add));
        assert_eq!(shoal.node(0).under_replicated(), 0);
        assert!(shoal.node(0).healing_left() > 0, "it is watched");
        shoal.advance_ms(1);
    }
    shoal.advance_ms(10);
    assert_eq!(shoal.node(0).healing_left(), 0);
    assert_eq!(shoal.node(0).counters().healed, 0);
    // One that is over before its copies are confirmed is not counted either.
    let add = AddJob {
        replication: Replication::Asynchronous,
        ..lasting("q")
    };
    let ticket = shoal.send(0, 1, Command::AddJob(add));
    let Some(&Reply::Added(id)) = shoal.answer(0, ticket) else {
        panic!("it is answered at once");
    };
    shoal.ack(0, id);
    assert_eq!(shoal.node(0).under_replicated(), 0);
}

#[test]
fn what_a_crashed_node_confirmed_last_is_offered_again() {
    let mut shoal = Shoal::new(2);
    let add = || AddJob {
        replicate: Some(2),
        ..job_with_retry("q", 3600)
    };
    let old = shoal.add(0, add());
    shoal.advance(3);
    let lost: Vec<JobId> = (0..3).map(|_| shoal.add(0, add())).collect();
    shoal.kill(1);
    // What it wrote last was not on its disk.
    for &id in &lost {
        shoal.lose_records(1, id);
    }
    shoal.start(1);
    shoal.sent.clear();
    shoal.advance(1);
    assert_eq!(sent_copies(&shoal), [(0, 1); 3]);
    for id in lost.into_iter().chain([old]) {
        assert_eq!(copies(&mut shoal, id), 2);
    }
}

/// Two nodes, and a job that both have.
fn on_both() -> (Shoal, JobId) {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(
        0,
        AddJob {
            replicate: Some(2),
            ..job_with_retry("q", 3600)
        },
    );
    (shoal, id)
}

#[test]
fn a_node_that_crashed_gets_its_own_new_jobs_back() {
    let (mut shoal, id) = on_both();
    shoal.kill(0);
    shoal.lose_records(0, id);
    shoal.start(0);
    shoal.advance(1);
    assert_eq!(copies(&mut shoal, id), 2);
}

/// The node that crashed has no link yet to the one that asks it what it has. (Simulation seed 4801.)
#[test]
fn what_a_node_lacks_after_a_crash_is_asked_again_when_it_can_answer() {
    let (mut shoal, id) = on_both();
    shoal.kill(1);
    shoal.lose_records(1, id);
    shoal.start(1);
    for _ in 0..3000 {
        shoal.feed(1, Event::PeerDown(Shoal::id(0)));
        shoal.advance_ms(1);
    }
    assert_eq!(copies(&mut shoal, id), 1);
    let up = PeerUp {
        id: Shoal::id(0),
        store: StoreId(1),
        restarted: false,
        same_zone: false,
        zone: 0,
        features: Features::KNOWN,
    };
    shoal.feed(1, Event::PeerUp(up));
    shoal.advance(1);
    assert_eq!(copies(&mut shoal, id), 2);
}

#[test]
fn healing_of_many_jobs_is_bounded_in_rate_and_ends() {
    let mut shoal = Shoal::with(
        4,
        Settings {
            heal_delay: std::time::Duration::from_secs(1),
            ..SETTINGS
        },
    );
    let ids: Vec<JobId> = (0..300).map(|_| shoal.add(0, lasting("q"))).collect();
    let held = shoal.node(1).job_count();
    assert!(held > 120);
    shoal.kill(1);
    shoal.advance_ms(1_005);
    let healed = shoal.node(0).counters().healed;
    assert!(
        healed > 0 && healed < held as u64,
        "a part at a time: {healed}"
    );
    shoal.advance(10);
    assert_eq!(shoal.node(0).counters().healed, held as u64);
    for id in ids {
        assert_eq!(copies(&mut shoal, id), 3);
    }
}

#[test]
fn jobs_that_are_over_are_not_counted_as_short() {
    let mut shoal = Shoal::new(3);
    let (id, holders, _) = spread(&mut shoal, 3);
    shoal.kill(holders[0]);
    shoal.advance(100);
    assert_eq!(shoal.node(0).under_replicated(), 1);
    shoal.ack(0, id);
    assert_eq!(shoal.node(0).under_replicated(), 0);
}

#[test]
fn a_job_without_other_copies_is_left_alone() {
    let mut shoal = Shoal::new(3);
    shoal.add(
        0,
        AddJob {
            replicate: Some(1),
            ..job("q")
        },
    );
    shoal.kill(2);
    shoal.sent.clear();
    shoal.advance(100);
    assert_eq!(sent_copies(&shoal), []);
    assert_eq!(shoal.node(0).under_replicated(), 0);
}

#[test]
fn a_node_that_was_cut_off_for_long_makes_no_copies_on_its_return() {
    let mut shoal = Shoal::new(5);
    let (id, _, _) = spread(&mut shoal, 5);
    for seat in 1..5 {
        shoal.cut(0, seat);
    }
    shoal.sent.clear();
    shoal.advance(70);
    let made = sent_copies(&shoal).len();
    assert_eq!(made, 1, "the others could not know");
    shoal.mend();
    shoal.advance(200);
    assert_eq!(sent_copies(&shoal).len(), made);
    assert_eq!(copies(&mut shoal, id), 4);
    assert_eq!(shoal.node(0).under_replicated(), 0);
}
