//! What the nodes count adds up: each job has ended once, at one node, or counts once as one that waits or is out.

use super::bench::job;
use super::shoal::Shoal;
use crate::command::{AddJob, Command};
use crate::id::JobId;
use crate::telling::{Depths, Tally};

fn copies(replicate: u16) -> AddJob<'static> {
    AddJob {
        replicate: Some(replicate),
        ..job("q")
    }
}

/// What all nodes count together.
fn sums(shoal: &Shoal) -> (Tally, Depths) {
    let (mut all, mut live) = (Tally::default(), Depths::default());
    for seat in shoal.running() {
        all.merge(&shoal.node(seat).total_tally());
        live.merge(&shoal.node(seat).total_depths());
    }
    (all, live)
}

/// Of four nodes, three hold each job, and one of them hands it out: the end is told at each of the four.
#[test]
fn an_end_is_counted_once_wherever_it_is_told() {
    type End = fn(Vec<JobId>) -> Command<'static>;
    let ends: [(&str, End); 3] = [
        ("ACKJOB", Command::ack),
        ("FASTACK", Command::FastAck),
        ("DELJOB GLOBAL", Command::EndJob),
    ];
    for (name, end) in ends {
        for seat in 0..4 {
            for is_out in [false, true] {
                let what = format!("{name} at node {seat}, handed out: {is_out}");
                let mut shoal = Shoal::new(4);
                let id = shoal.add(
                    0,
                    AddJob {
                        ttl: Some(3600),
                        ..copies(3)
                    },
                );
                if is_out {
                    assert_eq!(shoal.get(0, "q", 1).len(), 1, "{what}");
                }
                let (all, live) = sums(&shoal);
                assert_eq!((all.added, live.ready + live.active), (1, 1), "{what}");
                shoal.run(seat, end(vec![id]));
                shoal.advance(1);
                let (all, live) = sums(&shoal);
                assert_eq!(all.acked + all.deleted, 1, "{what}: {all:?}");
                assert_eq!(live, Depths::default(), "{what}");
                // Told again, it ends nothing.
                shoal.run((seat + 1) % 4, end(vec![id]));
                shoal.advance(1);
                let (all, _) = sums(&shoal);
                assert_eq!(all.acked + all.deleted, 1, "{what}, again: {all:?}");
            }
        }
    }
}

#[test]
fn an_expiry_is_counted_at_one_holder() {
    let mut shoal = Shoal::new(4);
    shoal.add(
        0,
        AddJob {
            ttl: Some(5),
            ..copies(3)
        },
    );
    shoal.advance(10);
    let (all, live) = sums(&shoal);
    assert_eq!((all.added, all.expired), (1, 1));
    assert_eq!(live, Depths::default());
}

#[test]
fn a_purge_is_counted_once() {
    let mut shoal = Shoal::new(4);
    for _ in 0..5 {
        shoal.add(0, copies(3));
    }
    shoal.get(0, "q", 2);
    shoal.run(3, Command::PurgeQueue(b"q"));
    shoal.advance(5);
    let (all, live) = sums(&shoal);
    assert_eq!((all.added, all.deleted), (5, 5));
    assert_eq!(live, Depths::default());
}
