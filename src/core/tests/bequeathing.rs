//! What goes with a node that leaves, and what stays: the ends that it alone keeps, and the waits of jobs that were given back.

use super::bench::job;
use super::ending::acked;
use super::shoal::Shoal;
use super::waiting::fate_at;
use crate::command::{AddJob, Command, Reply};
use crate::dedup::Dedup;
use crate::event::Event;
use crate::extras::{Extras, Tag};
use crate::id::JobId;

/// A job on one node alone.
fn alone() -> AddJob<'static> {
    AddJob {
        replicate: Some(1),
        retry: Some(20),
        ttl: Some(3600),
        ..job("q")
    }
}

/// The node leaves, as CLUSTER LEAVING and a stop behind it do.
fn leave(shoal: &mut Shoal, seat: usize) {
    shoal.feed(seat, Event::Leaving(true));
    shoal.advance(10);
    assert_eq!(shoal.node(seat).handing_over(), 0, "it may go");
    shoal.kill(seat);
}

fn done(shoal: &mut Shoal, seat: usize, id: JobId) {
    assert_eq!(shoal.count(seat, Command::AckJob(vec![id], Some(b"42"))), 1);
}

#[test]
fn an_end_that_a_leaving_node_alone_keeps_goes_to_another_one() {
    let mut shoal = Shoal::new(3);
    let keep = 100_u32.to_le_bytes();
    let id = shoal.add(
        0,
        AddJob {
            extras: Extras::new([(Tag::KEEP, &keep[..])]),
            ..alone()
        },
    );
    done(&mut shoal, 0, id);
    leave(&mut shoal, 0);
    let keepers = |shoal: &Shoal| [1, 2].map(|seat| shoal.node(seat).kept_count());
    assert_eq!(keepers(&shoal).iter().sum::<usize>(), 1);
    for seat in [1, 2] {
        assert_eq!(fate_at(&mut shoal, seat, id), acked(Some(b"42")));
    }
    let heir = if keepers(&shoal)[0] == 1 { 1 } else { 2 };
    shoal.kill(heir);
    shoal.start(heir);
    shoal.advance(5);
    assert_eq!(fate_at(&mut shoal, 3 - heir, id), acked(Some(b"42")));
    shoal.advance(100);
    assert_eq!(keepers(&shoal), [0, 0], "its time is up");
    assert_eq!(fate_at(&mut shoal, heir, id), acked(None));
}

#[test]
fn an_end_that_another_holder_keeps_stays_where_it_is() {
    let mut shoal = Shoal::new(3);
    let keep = 100_u32.to_le_bytes();
    let two = AddJob {
        extras: Extras::new([(Tag::KEEP, &keep[..])]),
        replicate: Some(2),
        ..alone()
    };
    let id = shoal.add(0, two);
    done(&mut shoal, 0, id);
    shoal.advance(1);
    leave(&mut shoal, 0);
    let kept: usize = [1, 2]
        .map(|seat| shoal.node(seat).kept_count())
        .iter()
        .sum();
    assert_eq!(kept, 1);
}

#[test]
fn a_key_holds_for_its_window_though_the_node_that_knew_it_left() {
    let mut shoal = Shoal::new(3);
    let keyed = || AddJob {
        dedup: Some(Box::new(Dedup {
            key: b"k",
            window: 100,
        })),
        ..alone()
    };
    let id = shoal.add(0, keyed());
    done(&mut shoal, 0, id);
    leave(&mut shoal, 0);
    for seat in [1, 2] {
        assert_eq!(
            shoal.run(seat, Command::AddJob(keyed())),
            Reply::Existing(id)
        );
    }
    shoal.advance(100);
    let other = shoal.run(1, Command::AddJob(keyed()));
    assert!(matches!(other, Reply::Added(_)), "{other:?}");
}

#[test]
fn a_wait_goes_with_the_copy_that_a_leaving_node_makes() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, alone());
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    shoal.nack_for(0, id, 200);
    leave(&mut shoal, 0);
    shoal.advance(180);
    for seat in [1, 2] {
        assert_eq!(shoal.get(seat, "q", 1), [], "it waits");
    }
    shoal.advance(40);
    let got: Vec<JobId> = [1, 2]
        .into_iter()
        .flat_map(|seat| shoal.get(seat, "q", 1))
        .map(|it| it.id)
        .collect();
    assert_eq!(got, [id]);
}

/// It is another node's turn, which is away, and the copy that it makes is not confirmed. (Simulation seed 4886.)
#[test]
fn a_stop_does_not_cut_the_wait_of_a_job_short() {
    let mut shoal = Shoal::new(3);
    let add = AddJob {
        replicate: Some(2),
        retry: Some(1),
        ..alone()
    };
    let id = shoal.add(0, add);
    let states = shoal.states(id);
    let is_held = |&seat: &usize| states[seat].is_some();
    let holder = [1, 2].into_iter().find(is_held).expect("one has a copy");
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    shoal.nack_for(0, id, 200);
    shoal.advance(1);
    shoal.kill(0);
    shoal.advance(1);
    shoal.hang(3 - holder);
    shoal.feed(holder, Event::HandOver);
    shoal.advance_ms(50);
    assert_eq!(
        shoal.node(holder).handing_over(),
        1,
        "nobody has said that it has the copy"
    );
    shoal.stop(holder);
    shoal.start(holder);
    shoal.advance(150);
    assert_eq!(shoal.get(holder, "q", 1), [], "it waits");
}
