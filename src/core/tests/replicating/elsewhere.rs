//! Nodes that keep no copy themselves, and peers that take none: who leaves, or is short of memory.

use super::*;

/// Adds jobs at a node that keeps none, and looks for them elsewhere.
fn adds_go_elsewhere(shoal: &mut Shoal) {
    let id = shoal.add(0, copies("q", 2));
    shoal.advance_ms(5);
    assert_eq!(holding(shoal, id), [1, 2]);
    let queued = |state: &&Option<JobState>| **state == Some(JobState::Queued);
    assert_eq!(shoal.states(id).iter().filter(queued).count(), 1);
    let view = shoal.show(1, id).expect("it has a copy");
    assert_eq!(view.holders, [Shoal::id(1), Shoal::id(2)]);
    // The default: as many as there are nodes to take it.
    let id = shoal.add(0, job("q"));
    shoal.advance_ms(5);
    assert_eq!(holding(shoal, id), [1, 2]);
    let id = shoal.add(
        0,
        AddJob {
            replicate: Some(1),
            delay: Some(3),
            ..job_with_retry("once", 0)
        },
    );
    shoal.advance_ms(5);
    let [seat] = holding(shoal, id)[..] else {
        panic!("an at-most-once job has one holder");
    };
    shoal.advance(2);
    assert_eq!(shoal.get(seat, "once", 1).len(), 0, "it is delayed");
    shoal.advance(1);
    assert_eq!(shoal.get(seat, "once", 1).len(), 1);
    let ticket = shoal.send(
        0,
        1,
        Command::AddJob(AddJob {
            replication: Replication::Asynchronous,
            ..copies("async", 2)
        }),
    );
    let id = added(shoal, 0, ticket).expect("it is answered at once");
    shoal.advance_ms(5);
    assert_eq!(holding(shoal, id), [1, 2]);
    assert_eq!(shoal.node(0).job_count(), 0);
}

#[test]
fn a_leaving_node_adds_elsewhere() {
    let mut shoal = Shoal::new(3);
    shoal.feed(0, Event::Leaving(true));
    adds_go_elsewhere(&mut shoal);
    let refused = shoal.run(0, Command::AddJob(copies("q", 3)));
    assert_eq!(refused, Reply::Refused(Refusal::TooFewNodesLeaving));
}

#[test]
fn a_node_short_of_memory_adds_elsewhere() {
    let settings = Settings {
        max_memory: 10 << 20,
        ..SETTINGS
    };
    let mut shoal = Shoal::with(3, settings);
    shoal.feed(0, Event::ClientBuffers(8 << 20));
    adds_go_elsewhere(&mut shoal);
    let refused = shoal.run(0, Command::AddJob(copies("q", 3)));
    assert_eq!(refused, Reply::Refused(Refusal::TooFewNodesMemory));
}

#[test]
fn peers_hear_that_a_node_is_full_and_ask_others() {
    let settings = Settings {
        max_memory: 10 << 20,
        ..SETTINGS
    };
    let mut shoal = Shoal::with(4, settings);
    shoal.feed(1, Event::ClientBuffers(8 << 20));
    shoal.advance(2);
    for _ in 0..20 {
        let id = shoal.add(0, copies("q", 3));
        assert_eq!(holding(&mut shoal, id), [0, 2, 3]);
    }
    shoal.feed(1, Event::ClientBuffers(0));
    shoal.advance(2);
    let id = shoal.add(0, copies("q", 4));
    assert_eq!(holding(&mut shoal, id), [0, 1, 2, 3]);
}

#[test]
fn a_full_node_that_is_asked_all_the_same_is_made_up_for() {
    let settings = Settings {
        max_memory: 10 << 20,
        ..SETTINGS
    };
    let mut shoal = Shoal::with(3, settings);
    shoal.feed(1, Event::ClientBuffers(10 << 20));
    for _ in 0..10 {
        let ticket = shoal.send(0, 1, Command::AddJob(copies("q", 2)));
        shoal.advance_ms(60);
        let id = added(&shoal, 0, ticket).expect("the third node has room");
        assert_eq!(holding(&mut shoal, id), [0, 2]);
    }
}
