//! DEDUP: one job a key, through lost nodes, partitions, and whatever becomes of the job.

use std::time::Duration;

use super::bench::{Bench, SETTINGS, job};
use super::shoal::Shoal;
use super::waiting::fate_at;
use crate::command::{AddJob, Command, Receipt, Redrive, Refusal, Reply};
use crate::dedup::{Dedup, KeyNews};
use crate::event::Event;
use crate::id::{ClientId, JobId, QueueName, Ticket};
use crate::message::Message;
use crate::node::{Log, Settings, Sync};
use crate::outcome::{Fate, Outcome};

fn keyed(key: &'static str, window: u32) -> AddJob<'static> {
    AddJob {
        dedup: Some(Box::new(Dedup {
            key: key.as_bytes(),
            window,
        })),
        retry: Some(20),
        ttl: Some(600),
        ..job("q")
    }
}

fn copies(replicate: u16, timeout: u64) -> AddJob<'static> {
    AddJob {
        replicate: Some(replicate),
        timeout: Some(Duration::from_millis(timeout)),
        ..keyed("k", 0)
    }
}

/// What an add is answered: the new job, or the one that was there.
fn answer(reply: &Reply) -> Result<JobId, JobId> {
    match reply {
        Reply::Added(id) => Ok(*id),
        Reply::Existing(id) => Err(*id),
        other => panic!("{other:?} is no job"),
    }
}

fn add(bench: &mut Bench, key: &'static str, window: u32) -> Result<JobId, JobId> {
    answer(&bench.run(Command::AddJob(keyed(key, window))))
}

fn add_at(shoal: &mut Shoal, seat: usize) -> Result<JobId, JobId> {
    answer(&shoal.run(seat, Command::AddJob(keyed("k", 0))))
}

fn send(shoal: &mut Shoal, seat: usize, add: AddJob<'_>) -> Ticket {
    shoal.send(seat, 7, Command::AddJob(add))
}

fn duplicate(older: JobId) -> Fate {
    Fate::ended(Outcome::Duplicate, Some(older.as_bytes()))
}

fn seen(fate: Fate) -> Fate {
    match fate {
        Fate::Ended {
            outcome, result, ..
        } => Fate::ended(outcome, result.as_deref()),
        other => other,
    }
}

#[test]
fn adding_twice_makes_one_job_until_it_is_over() {
    let mut bench = Bench::new();
    let id = add(&mut bench, "k", 0).expect("the first");
    assert_eq!(add(&mut bench, "k", 0), Err(id));
    assert!(add(&mut bench, "other", 0).is_ok());
    let elsewhere = AddJob {
        queue: b"p",
        ..keyed("k", 0)
    };
    bench.add(elsewhere);
    assert_eq!(bench.take("q", 1), [id]);
    assert_eq!(add(&mut bench, "k", 0), Err(id), "it is out");
    assert_eq!(bench.nack(id), 1);
    assert_eq!(add(&mut bench, "k", 0), Err(id));
    assert_eq!(bench.ack(id), 1);
    let next = add(&mut bench, "k", 0).expect("the first is over");
    assert_ne!(next, id);
}

#[test]
fn a_window_holds_the_key_whatever_becomes_of_the_job() {
    for end in ["ack", "expire", "fast"] {
        let mut bench = Bench::new();
        let mut first = keyed("k", 60);
        first.ttl = Some(30);
        let id = bench.add(first);
        match end {
            "ack" => assert_eq!(bench.ack(id), 1),
            "fast" => assert_eq!(bench.count(Command::FastAck(vec![id])), 1),
            _ => bench.advance(31),
        }
        assert_eq!(add(&mut bench, "k", 0), Err(id), "{end}");
        bench.crash(Duration::from_secs(1));
        assert_eq!(add(&mut bench, "k", 0), Err(id), "{end}, after a crash");
        bench.advance(60);
        assert!(add(&mut bench, "k", 0).is_ok(), "{end}: the window is over");
    }
}

#[test]
fn a_key_is_free_once_its_job_is_cancelled_or_purged() {
    let mut bench = Bench::new();
    let id = add(&mut bench, "k", 60).expect("the first");
    assert_eq!(bench.count(Command::EndJob(vec![id])), 1);
    let id = add(&mut bench, "k", 60).expect("the first was cancelled");
    bench.send(7, Command::PurgeQueue(b"q"));
    bench.advance(1);
    let next = add(&mut bench, "k", 60).expect("it was purged");
    assert_ne!(next, id);
}

#[test]
fn a_key_outlives_a_crash_and_a_restart() {
    let mut bench = Bench::new();
    let id = add(&mut bench, "k", 0).expect("the first");
    bench.crash(Duration::from_secs(1));
    assert_eq!(add(&mut bench, "k", 0), Err(id));
    bench.restart(Duration::from_secs(1));
    assert_eq!(add(&mut bench, "k", 0), Err(id));
}

#[test]
fn a_dead_letter_holds_its_key_while_the_window_runs_and_a_redriven_one_has_none() {
    let mut bench = Bench::new();
    let id = add(&mut bench, "k", 60).expect("the first");
    bench.run(Command::Nack(crate::command::Nack {
        ids: vec![id],
        is_dead: true,
        ..Default::default()
    }));
    assert_eq!(add(&mut bench, "k", 0), Err(id));
    bench.advance(61);
    let second = add(&mut bench, "k", 0).expect("the window is over");
    let redrive = Redrive {
        queue: QueueName::new(b"q.dead"),
        count: None,
        to: None,
        ids: Vec::new(),
    };
    bench.send(
        7,
        Command::Global(crate::command::Question::Redrive(redrive)),
    );
    bench.advance(1);
    assert_eq!(bench.len("q"), 2, "both are there");
    assert_eq!(bench.ack(second), 1);
    assert!(add(&mut bench, "k", 0).is_ok(), "a redriven job has no key");
}

#[test]
fn a_key_that_goes_to_another_queue_stays_that_of_the_first() {
    let mut bench = Bench::new();
    let id = add(&mut bench, "k", 0).expect("the first");
    bench.run(Command::Nack(crate::command::Nack {
        ids: vec![id],
        to: Some(b"p"),
        ..Default::default()
    }));
    assert_eq!(bench.len("p"), 1);
    assert_eq!(add(&mut bench, "k", 0), Err(id));
}

#[test]
fn a_paused_or_full_queue_still_tells_which_job_has_the_key() {
    let mut bench = Bench::new();
    let id = add(&mut bench, "k", 0).expect("the first");
    bench.pause("q", true, false);
    assert_eq!(add(&mut bench, "k", 0), Err(id));
    let full = AddJob {
        max_len: Some(1),
        ..keyed("k", 0)
    };
    assert_eq!(answer(&bench.run(Command::AddJob(full))), Err(id));
}

#[test]
fn twenty_producers_at_five_nodes_make_one_job() {
    for round in 0..20 {
        let mut shoal = Shoal::new(5);
        let tickets: Vec<(usize, Ticket)> = (0..20)
            .map(|number| {
                let seat = (number + round) % 5;
                let command = Command::AddJob(keyed("k", 0));
                (seat, shoal.send(seat, 100 + number as u64, command))
            })
            .collect();
        shoal.advance_ms(200);
        let answers: Vec<_> = tickets
            .iter()
            .map(|&(seat, ticket)| answer(shoal.answer(seat, ticket).expect("it is answered")))
            .collect();
        let added: Vec<JobId> = answers.iter().filter_map(|it| it.ok()).collect();
        assert_eq!(added.len(), 1, "{answers:?}");
        assert!(
            answers
                .iter()
                .all(|it| *it == Ok(added[0]) || *it == Err(added[0]))
        );
    }
}

#[test]
fn an_add_that_got_norepl_and_is_sent_again_is_done_once() {
    let mut shoal = Shoal::new(3);
    // Both others have copies, and their confirmations are lost.
    shoal.cut(0, 1);
    let ticket = send(&mut shoal, 0, copies(3, 2000));
    shoal.advance(3);
    let refused = Reply::Refused(Refusal::ReplicationTimeout);
    assert_eq!(shoal.answer(0, ticket), Some(&refused));
    shoal.mend();
    shoal.advance(1);
    let id = answer(&shoal.run(2, Command::AddJob(copies(3, 2000)))).expect("nothing was added");
    shoal.advance(60);
    let got: Vec<JobId> = (0..3)
        .flat_map(|seat| shoal.get(seat, "q", 9))
        .map(|job| job.id)
        .collect();
    assert_eq!(got, [id], "one job, once");
}

#[test]
fn a_copy_of_an_add_that_may_be_withdrawn_does_not_answer_for_its_key() {
    let mut shoal = Shoal::new(4);
    // Node 1 gets the copy, then nobody can reach node 0, which withdraws.
    let ticket = send(&mut shoal, 0, copies(4, 1500));
    shoal.advance_ms(1);
    for other in 1..4 {
        shoal.cut(0, other);
    }
    shoal.advance(2);
    let refused = Reply::Refused(Refusal::ReplicationTimeout);
    assert_eq!(shoal.answer(0, ticket), Some(&refused));
    // Its retry is over: who has a copy queues it, and still does not know whether it was added.
    shoal.advance(30);
    let second = answer(&shoal.run(1, Command::AddJob(copies(2, 2000))));
    let second = second.expect("nobody knows that the first was added");
    shoal.mend();
    shoal.advance(5);
    assert_eq!(
        answer(&shoal.run(0, Command::AddJob(copies(2, 2000)))),
        Err(second)
    );
    let left: Vec<JobId> = (0..4)
        .flat_map(|seat| shoal.get(seat, "q", 9))
        .map(|job| job.id)
        .collect();
    assert!(left.contains(&second));
}

#[test]
fn two_sides_of_a_partition_have_one_job_each_until_they_meet() {
    let mut shoal = Shoal::new(4);
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        shoal.cut(a, b);
    }
    shoal.advance(1);
    let first = answer(&shoal.run(0, Command::AddJob(copies(2, 1000)))).expect("on one side");
    shoal.advance(1);
    let second = answer(&shoal.run(2, Command::AddJob(copies(2, 1000)))).expect("on the other");
    shoal.advance(5);
    shoal.mend();
    shoal.advance(3);
    for seat in 0..4 {
        let told = fate_at(&mut shoal, seat, second);
        assert_eq!(seen(told), duplicate(first), "{seat}");
    }
    let left: Vec<JobId> = (0..4)
        .flat_map(|seat| shoal.get(seat, "q", 9))
        .map(|job| job.id)
        .collect();
    assert_eq!(left, [first]);
    assert_eq!(shoal.ack(0, first), 1);
    shoal.advance(1);
    assert!(add_at(&mut shoal, 3).is_ok());
}

#[test]
fn an_older_job_that_was_acked_while_a_holder_was_away_ends_no_younger_one() {
    let mut shoal = Shoal::new(4);
    let first = answer(&shoal.run(0, Command::AddJob(copies(4, 1000)))).expect("all have it");
    shoal.advance(1);
    for other in 0..3 {
        shoal.cut(3, other);
    }
    shoal.advance(1);
    shoal.ack(0, first);
    shoal.advance(1);
    let second =
        answer(&shoal.run(1, Command::AddJob(copies(2, 1000)))).expect("the first is over");
    shoal.advance(1);
    shoal.mend();
    shoal.advance(5);
    assert_eq!(add_at(&mut shoal, 3), Err(second), "it is still there");
}

#[test]
fn while_a_member_is_away_no_job_ends_as_a_duplicate() {
    let mut shoal = Shoal::new(5);
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        shoal.cut(a, b);
    }
    for other in 0..4 {
        shoal.cut(4, other);
    }
    shoal.advance(1);
    let first = answer(&shoal.run(0, Command::AddJob(copies(2, 1000)))).expect("on one side");
    shoal.advance(1);
    let second = answer(&shoal.run(2, Command::AddJob(copies(2, 1000)))).expect("on the other");
    shoal.kill(4);
    shoal.mend();
    shoal.advance(5);
    assert_eq!(
        shoal.states(second).iter().flatten().count(),
        2,
        "it may be needed"
    );
    shoal.start(4);
    shoal.advance(5);
    assert_eq!(seen(fate_at(&mut shoal, 1, second)), duplicate(first));
}

#[test]
fn a_node_that_was_down_hears_which_jobs_count() {
    let mut shoal = Shoal::new(3);
    // The word that the job counts is lost.
    let ticket = send(&mut shoal, 0, copies(3, 1000));
    while shoal.answer(0, ticket).is_none() {
        shoal.advance_ms(1);
    }
    let id = answer(shoal.answer(0, ticket).expect("just now")).expect("added");
    shoal.cut(0, 1);
    shoal.cut(0, 2);
    shoal.advance(1);
    shoal.mend();
    shoal.advance(2);
    shoal.kill(0);
    shoal.advance(1);
    assert_eq!(add_at(&mut shoal, 1), Err(id));
    assert_eq!(add_at(&mut shoal, 2), Err(id));
}

#[test]
fn the_next_add_of_a_key_goes_on_when_the_first_one_s_client_or_node_is_gone() {
    let mut shoal = Shoal::new(4);
    for gone in ["client", "node"] {
        let stuck = AddJob {
            timeout: None,
            replicate: Some(5),
            ..keyed("k", 0)
        };
        // It is refused at once: five nodes are more than there are. Its claim is free again.
        assert!(matches!(
            shoal.run(0, Command::AddJob(stuck)),
            Reply::Refused(Refusal::TooFewNodes)
        ));
        // It may only be restarting.
        shoal.kill(3);
        shoal.advance_ms(10);
        let ticket = send(
            &mut shoal,
            0,
            AddJob {
                timeout: None,
                ..copies(4, 0)
            },
        );
        shoal.advance_ms(500);
        assert_eq!(shoal.answer(0, ticket), None, "it waits for a fourth copy");
        let second = send(&mut shoal, 1, copies(2, 9000));
        shoal.advance_ms(500);
        assert_eq!(shoal.answer(1, second), None, "one after the other");
        if gone == "client" {
            shoal.feed(0, Event::Disconnected(ClientId(7)));
        } else {
            shoal.kill(0);
        }
        shoal.advance(1);
        let reply = shoal.answer(1, second).expect("the first is gone").clone();
        let id = answer(&reply).expect("a new job");
        shoal.ack(1, id);
        shoal.start(3);
        shoal.advance(2);
    }
}

#[test]
fn a_keyed_add_that_cannot_go_on_within_its_time_is_refused() {
    let mut shoal = Shoal::new(2);
    shoal.hang(1);
    for timeout in [500, 2999, 3000, 12_345] {
        let ticket = send(&mut shoal, 0, copies(1, timeout));
        shoal.advance_ms(timeout - 1);
        assert_eq!(shoal.answer(0, ticket), None);
        shoal.advance_ms(2);
        let refused = Reply::Refused(Refusal::ReplicationTimeout);
        assert_eq!(shoal.answer(0, ticket), Some(&refused));
    }
}

#[test]
fn a_job_that_other_nodes_keep_alone_counts_at_once() {
    let mut shoal = Shoal::new(3);
    shoal.feed(0, Event::Leaving(true));
    shoal.advance_ms(50);
    let id = answer(&shoal.run(0, Command::AddJob(copies(2, 1000)))).expect("the first");
    for seat in [1, 2, 0] {
        assert_eq!(add_at(&mut shoal, seat), Err(id), "{seat}");
    }
}

#[test]
fn a_receipt_tells_who_has_the_job() {
    let mut bench = Bench::with(Settings {
        log: Log::On,
        sync: Sync::First,
        ..SETTINGS
    });
    let add = AddJob {
        wants_receipt: true,
        ..keyed("k", 0)
    };
    let Reply::Receipt(receipt) = bench.run(Command::AddJob(add.clone())) else {
        panic!("it is no receipt");
    };
    let Receipt {
        id,
        is_existing,
        copies,
        on_disk,
        zones,
    } = receipt;
    assert_eq!((is_existing, copies, on_disk, zones), (false, 1, 1, 1));
    let again = bench.run(Command::AddJob(add));
    assert_eq!(again, Reply::Receipt(Receipt::existing(id)));
    let mut shoal = Shoal::new(3);
    let add = AddJob {
        wants_receipt: true,
        ..copies_of_three()
    };
    let Reply::Receipt(receipt) = shoal.run(0, Command::AddJob(add)) else {
        panic!("it is no receipt");
    };
    assert_eq!((receipt.copies, receipt.on_disk, receipt.zones), (3, 0, 2));
}

fn copies_of_three() -> AddJob<'static> {
    AddJob {
        replicate: Some(3),
        ..job("q")
    }
}

#[test]
fn many_adds_of_one_key_that_wait_for_a_node_go_on_when_it_is_gone() {
    let mut shoal = Shoal::new(2);
    shoal.hang(1);
    let tickets: Vec<Ticket> = (0..3000)
        .map(|number| shoal.send(0, number, Command::AddJob(copies(1, 60_000))))
        .collect();
    shoal.advance_ms(10);
    assert!(
        tickets
            .iter()
            .all(|&ticket| shoal.answer(0, ticket).is_none())
    );
    shoal.kill(1);
    shoal.advance(1);
    let answers = tickets.iter().map(|&ticket| {
        let reply = shoal.answer(0, ticket).expect("nobody else is asked");
        answer(reply)
    });
    assert_eq!(answers.flatten().count(), 1);
}

#[test]
fn many_jobs_on_two_sides_end_as_duplicates_with_few_questions() {
    const KEYS: usize = 300;
    let names: Vec<String> = (0..KEYS).map(|number| format!("k{number}")).collect();
    let mut shoal = Shoal::new(4);
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        shoal.cut(a, b);
    }
    shoal.advance(1);
    for seat in [0, 2] {
        for name in &names {
            let dedup = Dedup {
                key: name.as_bytes(),
                window: 0,
            };
            let add = AddJob {
                dedup: Some(Box::new(dedup)),
                ..copies(2, 1000)
            };
            answer(&shoal.run(seat, Command::AddJob(add))).expect("one on each side");
        }
        shoal.advance(1);
    }
    shoal.sent.clear();
    shoal.mend();
    shoal.advance(5);
    let left: usize = (0..4).map(|seat| shoal.get(seat, "q", 1000).len()).sum();
    assert_eq!(left, KEYS);
    // Both holders of each younger job ask three nodes, some of them once more.
    let looks = shoal.sent.iter().filter(|(_, _, message)| {
        matches!(message, Message::Key(news) if matches!(**news, KeyNews::Look(..)))
    });
    assert!(looks.count() <= 20 * KEYS, "it asks again and again");
}

#[test]
fn what_a_member_that_is_not_the_arbiter_any_more_grants_does_not_count() {
    let mut shoal = Shoal::new(3);
    shoal.hang(1);
    shoal.hang(2);
    // Some of these keys have another node as their arbiter.
    for key in ["a", "b", "c", "d", "e", "f"] {
        send(&mut shoal, 0, keyed(key, 0));
    }
    shoal.advance_ms(1);
    let mut claims = shoal
        .sent
        .iter()
        .filter_map(|(from, to, message)| match message {
            Message::Key(news) if *from == 0 => match **news {
                KeyNews::Claim(number, _) => Some((*to, number)),
                _ => None,
            },
            _ => None,
        });
    let asked = claims.next_back();
    shoal.sent.clear();
    let (arbiter, number) = asked.expect("another node is the arbiter of one of them");
    let other = 3 - arbiter;
    let granted = Message::Key(Box::new(KeyNews::Granted(number)));
    shoal.feed(0, Event::Message(Shoal::id(other), granted.clone()));
    let has_looked = |shoal: &Shoal| {
        shoal.sent.iter().any(|(_, _, message)| {
            matches!(message, Message::Key(news) if matches!(**news, KeyNews::Look(..)))
        })
    };
    assert!(!has_looked(&shoal));
    shoal.feed(0, Event::Message(Shoal::id(arbiter), granted));
    assert!(has_looked(&shoal));
}
