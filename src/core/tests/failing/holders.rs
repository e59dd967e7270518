//! The same among holders: who hears of a death, who waits, and what a crash or a purge leaves.

use super::*;

#[test]
fn all_holders_hear_of_a_dead_letter_and_one_that_was_away_when_it_speaks() {
    let mut shoal = Shoal::new(3);
    let id = buried_behind_a_cut(&mut shoal);
    shoal.advance_ms(50);
    for seat in [0, 1] {
        assert_eq!(shoal.queue_of(seat, id), Some(&b"q.dead"[..]));
    }
    assert_eq!(shoal.queue_of(2, id), Some(&b"q"[..]));
    // The holder that is cut off queues its copy where it was.
    shoal.advance(12);
    let states = shoal.states(id);
    assert_eq!(states[2], Some(JobState::Queued));
    shoal.mend();
    shoal.advance(3);
    assert_eq!(shoal.queued(id).len(), 1, "one has it queued");
    for seat in 0..3 {
        assert_eq!(shoal.queue_of(seat, id), Some(&b"q.dead"[..]));
    }
}

#[test]
fn an_ack_beats_a_dead_letter_and_a_redrive() {
    let mut shoal = Shoal::new(3);
    let id = buried_behind_a_cut(&mut shoal);
    assert_eq!(shoal.ack(2, id), 1);
    shoal.advance_ms(100);
    let redrive = Command::Global(Question::Redrive(redrive("q.dead")));
    let ticket = shoal.send(0, 9, redrive);
    shoal.advance_ms(500);
    assert_eq!(shoal.answer(0, ticket), Some(&Reply::Count(1)));
    shoal.mend();
    shoal.advance(5);
    assert_eq!(shoal.states(id), [None, None, None]);
}

#[test]
fn a_backoff_is_not_cut_short_by_another_holder() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(
        0,
        AddJob {
            replicate: Some(3),
            ..job_with_retry("q", 1)
        },
    );
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    shoal.nack_for(0, id, 30);
    shoal.advance_ms(20);
    shoal.kill(0);
    shoal.kill(1);
    shoal.start(1);
    for _ in 0..29 {
        shoal.advance(1);
        assert!(
            shoal.states(id)[1..]
                .iter()
                .all(|state| *state == Some(JobState::Active))
        );
    }
    shoal.advance(4);
    assert_eq!(
        shoal.queued(id).len(),
        1,
        "it is queued once its wait is over"
    );
}

#[test]
fn an_expiry_is_buried_by_one_holder() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(
        0,
        AddJob {
            ttl: Some(30),
            ..limited_copies(5, 9)
        },
    );
    shoal.advance(40);
    let buried: u64 = (0..3)
        .map(|seat| shoal.node(seat).total_tally().buried.iter().sum::<u64>())
        .sum();
    assert_eq!(buried, 1);
    for seat in 0..3 {
        assert_eq!(shoal.queue_of(seat, id), Some(&b"q.dead"[..]));
    }
    shoal.kill(0);
    shoal.advance(30);
    assert!(
        shoal.states(id)[1..].contains(&Some(JobState::Queued)),
        "it is delivered elsewhere"
    );
}

#[test]
fn a_purge_of_dead_letters_reaches_the_copy_that_missed_the_burial() {
    let mut shoal = Shoal::new(3);
    let id = buried_behind_a_cut(&mut shoal);
    shoal.advance_ms(50);
    let ticket = shoal.send(0, 9, Command::PurgeQueue(b"q.dead"));
    shoal.advance(1);
    assert_eq!(shoal.answer(0, ticket), Some(&Reply::Count(1)));
    shoal.mend();
    shoal.advance(3);
    assert_eq!(shoal.states(id), [None, None, None]);
}

#[test]
fn a_holder_that_speaks_of_fewer_hand_outs_does_not_take_the_turn_of_a_job_that_is_out() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(
        0,
        AddJob {
            replicate: Some(3),
            retry: Some(60),
            extras: Extras::new([(Tag::MAX_DELIVER, &2_u16.to_le_bytes()[..])]),
            ..job("q")
        },
    );
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    shoal.sent.clear();
    let queued = Message::Queued {
        id,
        nacks: 0,
        additional_deliveries: 0,
        extras: Extras::NONE,
    };
    shoal.feed(0, Event::Message(Shoal::id(1), queued));
    let told = |(from, to, message): &(usize, usize, Message)| {
        (*from, *to) == (0, 1) && matches!(message, Message::Working { .. })
    };
    assert!(
        shoal.sent.iter().any(told),
        "the sender hears that it is out"
    );
    assert_eq!(
        shoal.count(0, Command::nack(vec![id])),
        1,
        "and it still is"
    );
    assert_eq!(shoal.queued(id), [0]);
}

/// A job waited at a holder that was then alone, and buried it: the record of the burial must not say that it waits for ever.
/// (Simulation seed 2033.)
#[test]
fn a_dead_letter_that_had_waited_is_delivered_after_a_crash() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(
        2,
        AddJob {
            replicate: Some(3),
            ttl: Some(8),
            ..limited("q", 3, 9)
        },
    );
    assert_eq!(shoal.get(2, "q", 1).len(), 1);
    shoal.nack_for(2, id, 2);
    shoal.advance_ms(10);
    shoal.kill(2);
    shoal.cut(0, 1);
    shoal.run(
        0,
        Command::Pause(crate::command::Pause {
            queue: b"q",
            set: Some(crate::command::PauseState {
                input: false,
                output: true,
            }),
            broadcast: false,
        }),
    );
    shoal.advance(20);
    assert_eq!(shoal.queue_of(0, id), Some(&b"q.dead"[..]));
    shoal.kill(0);
    shoal.start(0);
    shoal.advance(60);
    let got = shoal.get(0, "q.dead", 1);
    assert_eq!(got.iter().map(|it| it.id).collect::<Vec<_>>(), [id]);
}

#[test]
fn older_news_of_another_holder_do_not_cut_a_wait_short() {
    let older_wait = [&1000_u64.to_le_bytes()[..], &0_u32.to_le_bytes()[..]].concat();
    let older = [Extras::NONE, Extras::new([(Tag::WAITS, &older_wait[..])])];
    for extras in older {
        let mut shoal = Shoal::new(2);
        let id = shoal.add(
            0,
            AddJob {
                replicate: Some(2),
                retry: Some(1),
                ..job("q")
            },
        );
        assert_eq!(shoal.get(0, "q", 1).len(), 1);
        shoal.nack_for(0, id, 8);
        let for_ms = 1000;
        let message = Message::Working { id, for_ms, extras };
        shoal.feed(0, Event::Message(Shoal::id(1), message));
        shoal.advance(7);
        assert!(shoal.queued(id).is_empty(), "it is to wait");
        shoal.advance(3);
        assert_eq!(shoal.queued(id), [0]);
    }
}
