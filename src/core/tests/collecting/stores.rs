//! Acks and holders that come back: with their log, or with an empty store.

use super::*;

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
fn an_ack_takes_the_place_of_the_job_in_the_log() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(0, copies(2));
    shoal.kill(1);
    shoal.advance_ms(10);
    shoal.roll(0);
    shoal.ack(0, id);
    let added = |(_, record): (_, &Record)| matches!(record, Record::Added(_));
    assert!(!shoal.log(0).any(added), "its segment has retired");
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
