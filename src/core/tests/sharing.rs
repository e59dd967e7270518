//! Settings that the whole cluster shares, by their first user: PAUSE … BCAST.

use super::bench::{Bench, job, job_with_retry, secs};
use super::shoal::Shoal;
use crate::command::{Command, Pause, PauseState, Refusal, Reply};
use crate::event::Event;
use crate::job::JobState;
use crate::message::Message;
use crate::record::Record;

const HOUR: i64 = 3_600_000;
const NONE: PauseState = PauseState {
    input: false,
    output: false,
};
const IN: PauseState = PauseState {
    input: true,
    ..NONE
};
const OUT: PauseState = PauseState {
    output: true,
    ..NONE
};
const ALL: PauseState = PauseState {
    input: true,
    output: true,
};

fn broadcast(state: PauseState) -> Command<'static> {
    Command::Pause(Pause {
        queue: b"q",
        set: Some(state),
        broadcast: true,
    })
}

fn pause(shoal: &mut Shoal, seat: usize, state: PauseState) {
    let reply = shoal.run(seat, broadcast(state));
    assert_eq!(reply, Reply::PauseState(state));
}

fn state(shoal: &mut Shoal, seat: usize) -> PauseState {
    let ask = Command::Pause(Pause {
        queue: b"q",
        set: None,
        broadcast: false,
    });
    match shoal.run(seat, ask) {
        Reply::PauseState(state) => state,
        other => panic!("{other:?} is no state"),
    }
}

fn states(shoal: &mut Shoal) -> Vec<PauseState> {
    let running = shoal.running();
    running.into_iter().map(|seat| state(shoal, seat)).collect()
}

fn sent(shoal: &mut Shoal) -> Vec<(usize, usize, Message)> {
    let of_settings = |(_, _, message): &(usize, usize, Message)| {
        matches!(
            message,
            Message::Settings(_) | Message::SettingsDigest { .. }
        )
    };
    shoal.sent.drain(..).filter(of_settings).collect()
}

#[test]
fn all_nodes_pause_and_a_later_write_wins_everywhere() {
    let mut shoal = Shoal::new(3);
    pause(&mut shoal, 0, IN);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [IN; 3]);
    pause(&mut shoal, 2, OUT);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [OUT; 3]);
    pause(&mut shoal, 1, NONE);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [NONE; 3]);
}

#[test]
fn a_node_that_was_away_learns_it() {
    let mut shoal = Shoal::new(3);
    shoal.kill(2);
    pause(&mut shoal, 0, ALL);
    shoal.advance_ms(10);
    shoal.start(2);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [ALL; 3]);
    // And that it is over.
    shoal.kill(0);
    pause(&mut shoal, 1, NONE);
    shoal.advance_ms(10);
    shoal.start(0);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [NONE; 3]);
}

#[test]
fn the_two_sides_of_a_cut_agree_again_when_it_is_mended() {
    let mut shoal = Shoal::new(4);
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        shoal.cut(a, b);
    }
    pause(&mut shoal, 0, IN);
    shoal.advance_ms(10);
    pause(&mut shoal, 3, OUT);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [IN, IN, OUT, OUT]);
    shoal.mend();
    shoal.advance_ms(20);
    assert_eq!(states(&mut shoal), [OUT; 4], "it was written later");
}

#[test]
fn it_reaches_nodes_that_the_writer_has_no_link_to() {
    let mut shoal = Shoal::new(4);
    for (a, b) in [(0, 2), (0, 3), (1, 3)] {
        shoal.cut(a, b);
    }
    pause(&mut shoal, 0, ALL);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [ALL; 4]);
}

#[test]
fn restarts_keep_it_whatever_the_log_has_dropped() {
    for clean in [true, false] {
        let mut shoal = Shoal::new(1);
        pause(&mut shoal, 0, ALL);
        for _ in 0..3 {
            shoal.roll(0);
        }
        let entries = |record: &Record| matches!(record, Record::Setting(_));
        let held = shoal.log(0).filter(|(_, record)| entries(record));
        assert_eq!(held.count(), 2, "the earlier segments are gone");
        if clean {
            shoal.stop(0);
        } else {
            shoal.kill(0);
        }
        shoal.start(0);
        assert_eq!(states(&mut shoal), [ALL]);
        pause(&mut shoal, 0, NONE);
        shoal.kill(0);
        shoal.start(0);
        assert_eq!(states(&mut shoal), [NONE]);
    }
}

#[test]
fn a_clock_that_is_an_hour_ahead_keeps_nobody_from_ending_a_pause() {
    let mut shoal = Shoal::new(3);
    shoal.set_clock(0, HOUR);
    pause(&mut shoal, 0, ALL);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [ALL; 3]);
    pause(&mut shoal, 1, NONE);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [NONE; 3]);
    // The node whose clock is behind goes first.
    pause(&mut shoal, 1, IN);
    shoal.advance_ms(10);
    pause(&mut shoal, 0, NONE);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [NONE; 3]);
}

#[test]
fn a_pause_without_bcast_holds_until_the_next_bcast_or_restart() {
    let mut shoal = Shoal::new(2);
    let alone = |shoal: &mut Shoal| {
        let pause = Command::Pause(Pause {
            queue: b"q",
            set: Some(OUT),
            broadcast: false,
        });
        assert_eq!(shoal.run(0, pause), Reply::PauseState(OUT));
        shoal.advance_ms(10);
    };
    pause(&mut shoal, 1, IN);
    shoal.advance_ms(10);
    alone(&mut shoal);
    assert_eq!(states(&mut shoal), [OUT, IN]);
    // A link that comes up brings nothing new.
    shoal.cut(0, 1);
    shoal.advance_ms(10);
    shoal.mend();
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [OUT, IN]);
    pause(&mut shoal, 1, NONE);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [NONE, NONE]);
    alone(&mut shoal);
    pause(&mut shoal, 1, IN);
    shoal.advance_ms(10);
    alone(&mut shoal);
    shoal.kill(0);
    shoal.start(0);
    assert_eq!(states(&mut shoal), [IN, IN]);
}

#[test]
fn nodes_that_know_the_same_compare_digests_and_send_nothing_else() {
    let mut shoal = Shoal::new(2);
    pause(&mut shoal, 0, IN);
    shoal.advance_ms(10);
    shoal.cut(0, 1);
    shoal.advance_ms(10);
    sent(&mut shoal);
    shoal.mend();
    shoal.advance_ms(10);
    let sent = sent(&mut shoal);
    let is_digest = |(_, _, message): &(usize, usize, Message)| {
        matches!(message, Message::SettingsDigest { answer: false, .. })
    };
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent.iter().all(is_digest), "{sent:?}");
}

#[test]
fn many_settings_travel_in_messages_of_bounded_size() {
    let mut shoal = Shoal::new(2);
    shoal.cut(0, 1);
    for number in 0..1000 {
        let queue = format!("queue-{number}");
        let pause = Command::Pause(Pause {
            queue: queue.as_bytes(),
            set: Some(IN),
            broadcast: true,
        });
        shoal.run(0, pause);
    }
    sent(&mut shoal);
    shoal.mend();
    shoal.advance_ms(10);
    let sent = sent(&mut shoal);
    let batches = sent.iter().filter_map(|(_, _, message)| match message {
        Message::Settings(batch) => Some(batch.len()),
        _ => None,
    });
    let batches: Vec<usize> = batches.collect();
    assert!(batches.iter().all(|&entries| entries < 500), "{batches:?}");
    let digest = |shoal: &Shoal, seat| shoal.node(seat).settings_digest();
    assert_eq!(digest(&shoal, 0), digest(&shoal, 1));
    assert_eq!(shoal.node(1).queue_count(), 1000);
}

#[test]
fn a_pause_that_ends_makes_no_queue_where_there_is_none() {
    let mut shoal = Shoal::new(2);
    pause(&mut shoal, 0, NONE);
    shoal.advance_ms(10);
    assert_eq!(shoal.node(1).queue_count(), 0);
}

#[test]
fn what_stood_in_a_paused_queue_at_a_clean_stop_stands_there_again() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 10));
    let once = bench.add(job_with_retry("q", 0));
    bench.run(broadcast(IN));
    bench.restart(secs(5));
    assert_eq!(bench.try_add(job("q")), Err(Refusal::QueuePaused));
    assert_eq!(
        (bench.state(id), bench.state(once)),
        (JobState::Queued, JobState::Queued)
    );
    assert_eq!(bench.take("q", 3), [id, once]);
}

#[test]
fn a_flushed_node_has_no_settings_but_those_of_its_peers() {
    let mut bench = Bench::new();
    bench.run(broadcast(ALL));
    bench.feed(Event::Flush);
    assert_eq!(bench.node().used_by_load(), 0);
    bench.crash(secs(0));
    assert_eq!(bench.stat("q"), None);
    let mut shoal = Shoal::new(2);
    pause(&mut shoal, 0, ALL);
    shoal.advance_ms(10);
    shoal.feed(0, Event::Flush);
    shoal.advance_ms(10);
    assert_eq!(states(&mut shoal), [ALL; 2]);
}

#[test]
fn a_removed_entry_goes_after_thirty_days() {
    let mut bench = Bench::new();
    bench.run(broadcast(NONE));
    bench.crash(secs(29 * 86_400));
    assert_ne!(bench.node().settings_digest(), 0);
    bench.crash(secs(2 * 86_400));
    assert_eq!(bench.node().settings_digest(), 0);
}
