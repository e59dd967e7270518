//! A job stays where a client may take it, for a moment, unless a client waits for it elsewhere.

use std::time::Duration;

use crate::command::{Command, Reply, Wait};
use crate::event::Event;
use crate::id::{ClientId, Ticket};
use crate::limits;
use crate::message::Message;

use super::bench::get_job;
use super::federating::{Consumer, length, once, one, pause, traffic, work};
use super::shoal::Shoal;

/// How clients ask at the first node, and go.
#[derive(Debug, Clone, Copy)]
enum Asks {
    /// GETJOB NOHANG.
    Polls,
    /// GETJOB with a timeout, until that is over.
    Waits(u64),
    /// GETJOB, and then it hangs up.
    HangsUp,
}

const ASKS: [Asks; 7] = [
    Asks::Polls,
    Asks::Waits(1),
    Asks::Waits(10),
    Asks::Waits(11),
    Asks::Waits(20),
    Asks::Waits(3_000),
    Asks::HangsUp,
];

/// Waits at the first node for this long.
fn wait_ms(shoal: &mut Shoal, ms: u64) -> Ticket {
    let wait = Wait::AtMost(Duration::from_millis(ms));
    shoal.send(0, 1, Command::GetJob(get_job(&["q"], 1, wait)))
}

/// A client asks for a job where there is none, and all nodes hear that it is gone.
fn ask_in_vain(shoal: &mut Shoal, asks: Asks) {
    match asks {
        Asks::Polls => assert_eq!(shoal.get(0, "q", 1), []),
        Asks::Waits(ms) => {
            let ticket = wait_ms(shoal, ms);
            shoal.advance_ms(ms);
            assert_eq!(shoal.answer(0, ticket), Some(&Reply::NothingToDeliver));
        }
        Asks::HangsUp => {
            shoal.wait(0, 1, "q");
            shoal.advance_ms(40);
            shoal.feed(0, Event::Disconnected(ClientId(1)));
        }
    }
    shoal.advance_ms(1);
}

#[test]
fn a_new_job_stays_while_nobody_waits_elsewhere() {
    for asks in ASKS {
        for make in [one, once] {
            let mut shoal = Shoal::new(3);
            ask_in_vain(&mut shoal, asks);
            let id = shoal.add(1, make("q"));
            shoal.advance_ms(49);
            assert_eq!(length(&mut shoal, 1), 1, "{asks:?}");
            let taken = shoal.get(1, "q", 1);
            assert_eq!(taken[0].id, id, "{asks:?}");
            shoal.ack(1, id);
            shoal.advance(1);
            assert_eq!(shoal.node(1).counters().exported, 0, "{asks:?}");
        }
    }
}

#[test]
fn a_job_that_nobody_takes_goes_where_somebody_asked() {
    for asks in ASKS {
        let mut shoal = Shoal::new(2);
        ask_in_vain(&mut shoal, asks);
        shoal.add(1, one("q"));
        shoal.advance_ms(49);
        assert_eq!(shoal.node(1).counters().exported, 0, "{asks:?}");
        shoal.advance_ms(1);
        assert_eq!(shoal.node(1).counters().exported, 1, "{asks:?}");
        shoal.advance_ms(1);
        assert_eq!(length(&mut shoal, 0), 1, "{asks:?}");
    }
    // An at-most-once job goes to who polls, but not to nobody at all.
    for (asks, here) in [(Asks::Polls, 1), (Asks::HangsUp, 0)] {
        let mut shoal = Shoal::new(2);
        ask_in_vain(&mut shoal, asks);
        shoal.add(1, once("q"));
        shoal.advance_ms(51);
        assert_eq!(length(&mut shoal, 0), here, "{asks:?}");
    }
}

#[test]
fn each_job_stays_for_its_own_moment() {
    let mut shoal = Shoal::new(2);
    assert_eq!(shoal.get(0, "q", 20), []);
    shoal.advance_ms(1);
    for _ in 0..10 {
        shoal.add(1, one("q"));
        shoal.advance_ms(4);
    }
    // The first was added 40 ms ago. They arrive a millisecond after they left.
    for gone in 0..10 {
        let shown = [length(&mut shoal, 0), 10 - length(&mut shoal, 1)];
        assert_eq!(shown, [gone.max(2) - 2, gone.max(2) - 2], "{gone}");
        shoal.advance_ms(4);
    }
}

#[test]
fn a_job_that_comes_back_stays_for_a_moment_again() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(1, one("q"));
    shoal.advance(1);
    shoal.get(1, "q", 1);
    assert_eq!(shoal.get(0, "q", 1), []);
    shoal.advance_ms(5);
    shoal.count(1, Command::nack(vec![id]));
    shoal.advance_ms(49);
    assert_eq!(length(&mut shoal, 1), 1);
    shoal.advance_ms(2);
    assert_eq!(length(&mut shoal, 0), 1);
}

#[test]
fn who_waits_gets_a_new_job_at_once_whatever_was_before() {
    for asks in ASKS {
        for make in [one, once] {
            let mut shoal = Shoal::new(3);
            ask_in_vain(&mut shoal, asks);
            for round in 0..4 {
                let ticket = shoal.wait(0, 1, "q");
                // Sources are asked first, and the others a moment later.
                shoal.advance_ms(limits::DISCOVER_AFTER.as_millis() as u64 + 1);
                let seat = 1 + round % 2;
                let id = shoal.add(seat, make("q"));
                shoal.advance_ms(1);
                assert_eq!(shoal.got(0, ticket), Some(id), "{asks:?}, round {round}");
                shoal.ack(0, id);
                ask_in_vain(&mut shoal, asks);
            }
        }
    }
}

#[test]
fn a_client_that_got_a_job_counts_as_waiting_for_a_moment_only() {
    for (after_ms, goes) in [(40, 1), (60, 0)] {
        let mut shoal = Shoal::new(3);
        let ticket = shoal.wait(0, 1, "q");
        shoal.advance_ms(10);
        let first = shoal.add(1, one("q"));
        shoal.advance_ms(1);
        assert_eq!(shoal.got(0, ticket), Some(first));
        shoal.advance_ms(after_ms);
        shoal.add(2, one("q"));
        shoal.advance_ms(1);
        assert_eq!(length(&mut shoal, 0), goes, "after {after_ms} ms");
    }
}

#[test]
fn peers_hear_in_time_that_a_wait_is_about_to_end() {
    for (before_ms, goes) in [(12, 1), (8, 0)] {
        let mut shoal = Shoal::new(2);
        let ticket = wait_ms(&mut shoal, 1_000);
        shoal.advance_ms(1_000 - before_ms);
        let id = shoal.add(1, one("q"));
        shoal.advance_ms(before_ms);
        assert_eq!(shoal.node(1).counters().exported, goes, "{before_ms} ms");
        if goes == 1 {
            assert_eq!(shoal.got(0, ticket), Some(id));
        }
    }
    // But another one may go on to wait.
    let mut shoal = Shoal::new(2);
    wait_ms(&mut shoal, 1_000);
    wait_ms(&mut shoal, 1_100);
    shoal.wait(0, 2, "q");
    for end_ms in [1_000, 100] {
        shoal.advance_ms(end_ms - 5);
        shoal.sent.clear();
        shoal.advance_ms(5);
        assert!(shoal.sent.is_empty(), "peers hear nothing new");
    }
    shoal.add(1, one("q"));
    assert_eq!(shoal.node(1).counters().exported, 1);
}

#[test]
fn one_of_two_clients_that_wait_is_enough() {
    let mut shoal = Shoal::new(2);
    let ticket = shoal.wait(0, 7, "q");
    ask_in_vain(&mut shoal, Asks::Waits(20));
    ask_in_vain(&mut shoal, Asks::Polls);
    let id = shoal.add(1, one("q"));
    shoal.advance_ms(1);
    assert_eq!(shoal.got(0, ticket), Some(id));
}

#[test]
fn a_client_that_polls_alone_gets_all_that_is_added_elsewhere() {
    for make in [one, once] {
        let mut shoal = Shoal::new(3);
        let (mut added, mut got) = (Vec::new(), Vec::new());
        for step in 0..2_000 {
            if step % 10 == 0 {
                added.push(shoal.add(1, make("q")));
            }
            if step % 7 == 0 {
                got.extend(shoal.get(0, "q", 1).into_iter().map(|it| it.id));
            }
            shoal.advance_ms(1);
            let behind = added.len() - got.len();
            assert!(behind <= 10, "{behind} behind after {step} ms");
        }
    }
}

#[test]
fn a_fast_client_is_fed_new_jobs_ahead_of_its_need() {
    // New jobs come as fast as it takes them, and there and back is twice as long. What it misses while the look-ahead
    // adapts stays behind; were new jobs held back, that would be more than fifty.
    let mut shoal = Shoal::new(3);
    let mut consumers = [Consumer::new(0, 1, "q", 1)];
    let mut added = Vec::new();
    for step in 0..1_000 {
        added.push(shoal.add(1, one("q")));
        work(&mut shoal, &mut consumers, 1);
        let behind = added.len() - consumers[0].got.len();
        assert!(behind < 45, "{behind} behind after {step}");
    }
    assert!(added.starts_with(&consumers[0].got), "in order");
}

#[test]
fn clients_that_ask_in_a_loop_cost_few_messages() {
    // A wait this short is a poll.
    for (timeout_ms, most) in [(2, 30), (100, 6 * 2 * 10 + 12)] {
        let mut shoal = Shoal::new(7);
        ask_in_vain(&mut shoal, Asks::Waits(timeout_ms));
        shoal.sent.clear();
        for _ in 0..1_000 / timeout_ms {
            let ticket = wait_ms(&mut shoal, timeout_ms);
            shoal.advance_ms(timeout_ms);
            assert!(shoal.answer(0, ticket).is_some());
        }
        let (asked, _, _) = traffic(&shoal);
        assert!(asked <= most, "{asked} with {timeout_ms} ms");
    }
}

#[test]
fn a_job_that_stays_costs_nothing_while_it_does() {
    let mut shoal = Shoal::new(2);
    assert_eq!(shoal.get(0, "q", 1), []);
    shoal.advance_ms(5);
    shoal.add(1, one("q"));
    shoal.sent.clear();
    shoal.advance_ms(49);
    assert!(shoal.sent.is_empty(), "nothing is asked or sent");
    shoal.advance_ms(1);
    let ours = |(from, _, message): &(usize, usize, Message)| {
        *from == 1 && matches!(message, Message::YourJobs(_))
    };
    assert_eq!(shoal.sent.iter().filter(|sent| ours(sent)).count(), 1);
}

#[test]
fn what_was_ready_for_long_goes_as_soon_as_its_queue_gives_again() {
    let mut shoal = Shoal::new(2);
    pause(&mut shoal, 1, "q", false, true);
    shoal.add(1, one("q"));
    assert_eq!(shoal.get(0, "q", 1), []);
    shoal.advance_ms(100);
    assert_eq!(length(&mut shoal, 0), 0);
    pause(&mut shoal, 1, "q", false, false);
    shoal.advance_ms(1);
    assert_eq!(length(&mut shoal, 0), 1);
}
