//! QCONFIG: policies that stand in for options of ADDJOB.

use std::sync::Arc;

use super::bench::{Bench, job, job_with_retry, secs};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, PauseState, QueueConfig, Refusal, Reply};
use crate::event::Event;
use crate::policy::{Policy, PolicySet};

const HOUR: i64 = 3_600_000;

fn change<'a>(pattern: &'a str, changes: &[(Policy, Option<&str>)]) -> Command<'a> {
    let owned = |&(policy, value): &(Policy, Option<&str>)| {
        (policy, value.map(|value| value.as_bytes().to_vec()))
    };
    Command::QueueConfig(QueueConfig::Change {
        pattern: pattern.as_bytes(),
        changes: changes.iter().map(owned).collect(),
    })
}

fn set(bench: &mut Bench, pattern: &str, policies: &[(Policy, &str)]) {
    let changes: Vec<_> = policies
        .iter()
        .map(|&(policy, value)| (policy, Some(value)))
        .collect();
    assert_eq!(bench.run(change(pattern, &changes)), Reply::Configured);
}

fn unset(bench: &mut Bench, pattern: &str, policy: Policy) {
    let reply = bench.run(change(pattern, &[(policy, None)]));
    assert_eq!(reply, Reply::Configured);
}

/// Retry, ttl, delay and replicate of a job that is added now.
fn terms(bench: &mut Bench, add: AddJob<'_>) -> (u32, u32, u32, u16) {
    let id = bench.add(add);
    let view = bench.show(id).expect("just added");
    (view.retry, view.ttl, view.delay, view.replicate)
}

fn plain(queue: &str) -> AddJob<'_> {
    AddJob {
        retry: None,
        replicate: None,
        ..job(queue)
    }
}

fn policies(reply: Reply) -> Vec<(Policy, String)> {
    let Reply::Policies(policies) = reply else {
        panic!("{reply:?} are no policies");
    };
    let text = |value: Arc<[u8]>| String::from_utf8_lossy(&value).into_owned();
    policies
        .into_iter()
        .map(|(policy, value)| (policy, text(value)))
        .collect()
}

fn of(bench: &mut Bench, pattern: &str) -> Vec<(Policy, String)> {
    policies(bench.run(Command::QueueConfig(QueueConfig::Of(pattern.as_bytes()))))
}

#[test]
fn a_policy_stands_in_for_an_option_and_the_option_wins() {
    let mut bench = Bench::new();
    assert_eq!(terms(&mut bench, plain("q")), (300, 86_400, 0, 1));
    let all = [
        (Policy::Retry, "7"),
        (Policy::Ttl, "100"),
        (Policy::Delay, "9"),
        (Policy::Replicate, "1"),
    ];
    set(&mut bench, "q", &all);
    assert_eq!(terms(&mut bench, plain("q")), (7, 100, 9, 1));
    assert_eq!(terms(&mut bench, plain("r")), (300, 86_400, 0, 1));
    let own = AddJob {
        retry: Some(1),
        ttl: Some(50),
        delay: Some(0),
        ..plain("q")
    };
    assert_eq!(terms(&mut bench, own), (1, 50, 0, 1));
    unset(&mut bench, "q", Policy::Retry);
    assert_eq!(terms(&mut bench, plain("q")).0, 10, "a tenth of the ttl");
}

#[test]
fn maxlen_bounds_the_queue() {
    let mut bench = Bench::new();
    set(&mut bench, "q", &[(Policy::MaxLen, "2")]);
    bench.add_many("q", 2);
    let refused = Refusal::ByPolicy(&Refusal::QueueTooLong, PolicySet::of(&[Policy::MaxLen]));
    assert_eq!(bench.try_add(job("q")), Err(refused));
    let longer = AddJob {
        max_len: Some(3),
        ..job("q")
    };
    bench.add(longer.clone());
    assert_eq!(bench.try_add(longer), Err(Refusal::QueueTooLong));
}

#[test]
fn of_each_policy_the_most_specific_pattern_wins() {
    let mut bench = Bench::new();
    set(
        &mut bench,
        "*",
        &[(Policy::Ttl, "1000"), (Policy::Retry, "1")],
    );
    set(&mut bench, "mail*", &[(Policy::Retry, "2")]);
    set(
        &mut bench,
        "mail.out*",
        &[(Policy::Retry, "3"), (Policy::Delay, "5")],
    );
    set(&mut bench, "mail.out", &[(Policy::Delay, "6")]);
    assert_eq!(terms(&mut bench, plain("x")), (1, 1000, 0, 1));
    assert_eq!(terms(&mut bench, plain("mail")), (2, 1000, 0, 1));
    assert_eq!(terms(&mut bench, plain("mail.out")), (3, 1000, 6, 1));
    assert_eq!(terms(&mut bench, plain("mail.out.x")), (3, 1000, 5, 1));
    unset(&mut bench, "mail.out*", Policy::Retry);
    assert_eq!(terms(&mut bench, plain("mail.out")), (2, 1000, 6, 1));
    // A pattern ends with its mark: a name that ends alike is a name for ADDJOB only.
    assert_eq!(terms(&mut bench, plain("mail.out*")), (2, 1000, 5, 1));
    assert_eq!(
        of(&mut bench, "mail.out"),
        [
            (Policy::Retry, "2".to_owned()),
            (Policy::Ttl, "1000".to_owned()),
            (Policy::Delay, "6".to_owned()),
        ]
    );
    assert_eq!(
        of(&mut bench, "mail*"),
        [(Policy::Retry, "2".to_owned())],
        "what is set on it"
    );
    assert_eq!(of(&mut bench, "ma*"), []);
}

#[test]
fn all_patterns_are_told_in_order() {
    let mut bench = Bench::new();
    set(
        &mut bench,
        "b",
        &[(Policy::PauseIn, "yes"), (Policy::Ttl, "5")],
    );
    set(&mut bench, "a*", &[(Policy::Retry, "1")]);
    set(&mut bench, "gone", &[(Policy::Retry, "1")]);
    unset(&mut bench, "gone", Policy::Retry);
    let bytes = |text: &str| -> Arc<[u8]> { text.as_bytes().into() };
    assert_eq!(
        bench.run(Command::QueueConfig(QueueConfig::All)),
        Reply::AllPolicies(vec![
            (bytes("a*"), vec![(Policy::Retry, bytes("1"))]),
            (
                bytes("b"),
                vec![(Policy::Ttl, bytes("5")), (Policy::PauseIn, bytes("yes"))]
            ),
        ])
    );
}

#[test]
fn a_policy_that_makes_an_add_impossible_is_named() {
    let mut bench = Bench::new();
    let by =
        |refusal, policies: &[Policy]| Err(Refusal::ByPolicy(refusal, PolicySet::of(policies)));
    set(&mut bench, "q", &[(Policy::Ttl, "10")]);
    let delayed = AddJob {
        delay: Some(10),
        ..plain("q")
    };
    let beyond = &Refusal::DelayBeyondTtl;
    assert_eq!(bench.try_add(delayed.clone()), by(beyond, &[Policy::Ttl]));
    set(&mut bench, "q", &[(Policy::Delay, "20")]);
    assert_eq!(
        bench.try_add(plain("q")),
        by(beyond, &[Policy::Ttl, Policy::Delay])
    );
    let own = AddJob {
        ttl: Some(5),
        ..delayed
    };
    assert_eq!(bench.try_add(own), Err(Refusal::DelayBeyondTtl));
    set(&mut bench, "r", &[(Policy::Replicate, "3")]);
    assert_eq!(
        bench.try_add(plain("r")),
        by(&Refusal::TooFewNodes, &[Policy::Replicate])
    );
    let once = AddJob {
        retry: Some(0),
        ..plain("r")
    };
    assert_eq!(
        bench.try_add(once.clone()),
        by(&Refusal::RetryZeroNeedsOneReplica, &[Policy::Replicate])
    );
    set(&mut bench, "r", &[(Policy::Retry, "0")]);
    let own = AddJob {
        retry: None,
        replicate: Some(2),
        ..once
    };
    assert_eq!(
        bench.try_add(own),
        by(&Refusal::RetryZeroNeedsOneReplica, &[Policy::Retry])
    );
    // A retry that lasts longer than the job is no reason to refuse it.
    set(&mut bench, "s", &[(Policy::Ttl, "5")]);
    assert!(bench.try_add(job_with_retry("s", 60)).is_ok());
}

#[test]
fn policies_survive_crash_and_restart() {
    let mut bench = Bench::new();
    set(&mut bench, "q*", &[(Policy::Retry, "7")]);
    bench.crash(secs(1));
    assert_eq!(terms(&mut bench, plain("q1")).0, 7);
    bench.restart(secs(1));
    assert_eq!(terms(&mut bench, plain("q1")).0, 7);
    unset(&mut bench, "q*", Policy::Retry);
    bench.crash(secs(1));
    assert_eq!(terms(&mut bench, plain("q1")).0, 300);
}

#[test]
fn pauses_are_policies_of_queues() {
    let mut bench = Bench::new();
    set(&mut bench, "q", &[(Policy::PauseIn, "yes")]);
    assert_eq!(bench.try_add(job("q")), Err(Refusal::QueuePaused));
    set(
        &mut bench,
        "q",
        &[(Policy::PauseIn, "no"), (Policy::PauseOut, "yes")],
    );
    let paused = bench.stat("q").map(|view| view.pause);
    let out = PauseState {
        input: false,
        output: true,
    };
    assert_eq!(paused, Some(out));
    unset(&mut bench, "q", Policy::PauseOut);
    let id = bench.add(job("q"));
    assert_eq!(bench.take("q", 2), [id]);
}

#[test]
fn a_node_that_was_away_adds_by_the_policies_of_the_others() {
    let mut shoal = Shoal::new(3);
    shoal.set_clock(0, HOUR);
    shoal.kill(2);
    let changes = [(Policy::Retry, Some("9")), (Policy::Replicate, Some("1"))];
    assert_eq!(shoal.run(0, change("q*", &changes)), Reply::Configured);
    shoal.advance_ms(10);
    // Its clock is behind that of the node that wrote last.
    let change_one = change("q*", &[(Policy::Retry, Some("8"))]);
    assert_eq!(shoal.run(1, change_one), Reply::Configured);
    shoal.start(2);
    shoal.advance_ms(20);
    for seat in 0..3 {
        let id = shoal.add(seat, plain("q1"));
        let view = shoal.show(seat, id).expect("just added");
        assert_eq!((view.retry, view.replicate), (8, 1), "node {seat}");
    }
}

#[test]
fn a_flushed_node_has_no_policies() {
    let mut bench = Bench::new();
    set(&mut bench, "q", &[(Policy::Retry, "7")]);
    bench.feed(Event::Flush);
    assert_eq!(terms(&mut bench, plain("q")).0, 300);
    assert_eq!(of(&mut bench, "q"), []);
}
