//! Bindings, between real nodes.

use super::bench::zero;
use super::cluster::{names, put, topic};
use crate::command::{AddJob, Command, Delivery, GetJob, Reply, Told, Wait};
use crate::event::Event;
use crate::extras::Tag;
use crate::meta::Meta;
use crate::refusal::Refusal;
use crate::tests::shoal::Shoal;
use crate::topic::{BindingView, Rule, Start, TopicCommand, TopicRefusal, TopicReply, WaitsFor};

fn bind_with(shoal: &mut Shoal, seat: usize, start: Start, add: AddJob<'_>) -> Result<(), Refusal> {
    let bind = TopicCommand::Bind {
        pattern: b"*",
        start,
        add,
    };
    match shoal.run(seat, topic(bind)) {
        Reply::Topic(reply) if *reply == TopicReply::Done => Ok(()),
        Reply::Refused(refusal) => Err(refusal),
        other => panic!("{other:?} answers no TBIND"),
    }
}

fn bind(shoal: &mut Shoal, seat: usize, start: Start) {
    bind_with(shoal, seat, start, AddJob::new(b"q", b"")).expect("it is bound");
}

fn unbind(shoal: &mut Shoal, seat: usize) -> u64 {
    let unbind = TopicCommand::Unbind {
        pattern: b"*",
        queue: b"q",
    };
    match shoal.run(seat, topic(unbind)) {
        Reply::Topic(reply) => match *reply {
            TopicReply::Count(count) => count,
            ref other => panic!("{other:?} answers no TUNBIND"),
        },
        other => panic!("{other:?} answers no TUNBIND"),
    }
}

fn views(shoal: &mut Shoal, seat: usize) -> Vec<BindingView> {
    match shoal.run(seat, topic(TopicCommand::Bindings)) {
        Reply::Topic(reply) => match *reply {
            TopicReply::Bindings(views) => views,
            ref other => panic!("{other:?} answers no TBINDINGS"),
        },
        other => panic!("{other:?} answers no TBINDINGS"),
    }
}

/// How far behind the binding is, and what it waits for.
fn view(shoal: &mut Shoal, seat: usize) -> (u64, Option<WaitsFor>) {
    match &views(shoal, seat)[..] {
        [view] => (view.behind, view.waits_for),
        other => panic!("{other:?} is not one binding"),
    }
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.body.as_bytes().to_vec()).expect("text")
}

/// Takes all jobs from the queue at a node, and acknowledges them.
fn drain(shoal: &mut Shoal, seat: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let taken = shoal.get(seat, "q", 100);
        if taken.is_empty() {
            return bodies;
        }
        for delivery in taken {
            shoal.ack(seat, delivery.id);
            bodies.push(text(&delivery));
        }
    }
}

/// Drains all nodes for some seconds: in order of the bodies.
fn drain_all(shoal: &mut Shoal, secs: u64) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..secs * 4 {
        for seat in shoal.running() {
            bodies.extend(drain(shoal, seat));
        }
        shoal.advance_ms(250);
    }
    bodies.sort_unstable();
    bodies
}

/// A clean stop, as `SHUTDOWN` makes it.
fn stop(shoal: &mut Shoal, seat: usize) {
    shoal.feed(seat, Event::HandOver);
    for _ in 0..500 {
        if shoal.node(seat).handing_over() == 0 {
            break;
        }
        shoal.advance_ms(10);
    }
    assert_eq!(shoal.node(seat).handing_over(), 0);
    shoal.stop(seat);
}

#[test]
fn each_entry_becomes_one_job_which_says_where_it_comes_from() {
    let mut shoal = Shoal::new(1);
    put(&mut shoal, 0, "before").expect("it is published");
    bind(&mut shoal, 0, Start::Now);
    let id = put(&mut shoal, 0, "0000").expect("it is published");
    for body in ["0001", "0002"] {
        put(&mut shoal, 0, body).expect("it is published");
    }
    shoal.advance_ms(5);
    let get = GetJob {
        queues: vec![b"q"],
        count: 1,
        wait: Wait::No,
        told: Told {
            meta: true,
            ..Told::default()
        },
    };
    let Reply::Delivered(taken, _) = shoal.run(0, Command::GetJob(get)) else {
        panic!("there are jobs");
    };
    assert_eq!(text(&taken[0]), "0000");
    let meta = Meta::decode(taken[0].extras.get(Tag::META).expect("it has META"));
    let id = id.to_string();
    let pairs: [(&[u8], &[u8]); 2] = [(b"shoal.channel", b"a"), (b"shoal.id", id.as_bytes())];
    assert_eq!(meta.pairs(), pairs);
    assert_eq!(drain(&mut shoal, 0), ["0001", "0002"]);
    assert_eq!(view(&mut shoal, 0), (0, None));
}

#[test]
fn a_binding_is_made_once_and_ends_once() {
    let mut shoal = Shoal::new(1);
    bind(&mut shoal, 0, Start::Now);
    bind(&mut shoal, 0, zero());
    let other = AddJob {
        delay: Some(5),
        ..AddJob::new(b"q", b"")
    };
    let refused = bind_with(&mut shoal, 0, Start::Now, other);
    assert_eq!(refused, Err(TopicRefusal::BoundOtherwise.into()));
    let once = AddJob {
        retry: Some(0),
        ..AddJob::new(b"p", b"")
    };
    let refused = bind_with(&mut shoal, 0, Start::Now, once);
    assert_eq!(refused, Err(TopicRefusal::BoundOnce.into()));
    assert_eq!(views(&mut shoal, 0).len(), 1);
    assert_eq!((unbind(&mut shoal, 0), unbind(&mut shoal, 0)), (1, 0));
    put(&mut shoal, 0, "0000").expect("it is published");
    shoal.advance(1);
    assert_eq!(drain(&mut shoal, 0), Vec::<String>::new());
    bind(&mut shoal, 0, zero());
    shoal.advance(1);
    assert_eq!(drain(&mut shoal, 0), ["0000"], "another binding, from 0");
    unbind(&mut shoal, 0);
    bind(&mut shoal, 0, zero());
    shoal.advance(1);
    assert_eq!(
        drain(&mut shoal, 0),
        ["0000"],
        "other jobs of the same entry"
    );
}

#[test]
fn a_full_queue_holds_its_binding_and_retention_does_not_overtake_it() {
    let mut shoal = Shoal::new(1);
    let add = AddJob {
        max_len: Some(10),
        ..AddJob::new(b"q", b"")
    };
    bind_with(&mut shoal, 0, zero(), add).expect("it is bound");
    let rule = TopicCommand::SetRule {
        pattern: b"*",
        rule: Rule {
            entries: Some(1),
            ..Rule::default()
        },
    };
    shoal.run(0, topic(rule));
    for name in names(700) {
        put(&mut shoal, 0, &name).expect("it is published");
    }
    shoal.advance(3);
    let (behind, waits_for) = view(&mut shoal, 0);
    assert_eq!(waits_for, Some(WaitsFor::Room));
    assert!(behind >= 690 - 512, "{behind}");
    assert_eq!(drain_all(&mut shoal, 60), names(700));
    assert_eq!(view(&mut shoal, 0), (0, None));
    shoal.advance(2);
    let length = shoal.run(0, topic(TopicCommand::Length(b"*")));
    let one = Reply::Topic(Box::new(TopicReply::Count(1)));
    assert_eq!(length, one, "what was made is taken");
}

#[test]
fn nothing_is_made_twice_over_a_clean_restart() {
    let mut shoal = Shoal::new(1);
    bind(&mut shoal, 0, Start::Now);
    let mut bodies = Vec::new();
    for round in 0..4 {
        for name in &names(8)[round * 2..round * 2 + 2] {
            put(&mut shoal, 0, name).expect("it is published");
        }
        bodies.extend(drain(&mut shoal, 0));
        stop(&mut shoal, 0);
        // Longer than the ids of jobs are remembered.
        shoal.advance(1000);
        shoal.start(0);
        shoal.advance(3);
    }
    bodies.extend(drain_all(&mut shoal, 1));
    assert_eq!(bodies, names(8));
}

#[test]
fn all_members_publish_and_each_entry_becomes_one_job() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    bind(&mut shoal, 1, Start::Now);
    shoal.advance_ms(50);
    for (number, name) in names(60).iter().enumerate() {
        put(&mut shoal, number % 3, name).expect("three nodes are there");
    }
    assert_eq!(drain_all(&mut shoal, 2), names(60));
    for seat in 0..3 {
        assert_eq!(view(&mut shoal, seat), (0, None));
    }
}

#[test]
fn another_member_takes_over_from_a_dead_one() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    let add = AddJob {
        retry: Some(2),
        ..AddJob::new(b"q", b"")
    };
    bind_with(&mut shoal, 2, Start::Now, add).expect("it is bound");
    shoal.advance_ms(50);
    let (mut bodies, mut count) = (Vec::new(), 0);
    for maker in [2, 0, 1, 0] {
        for seat in 0..3 {
            put(&mut shoal, seat, &names(99)[count]).expect("three nodes are there");
            count += 1;
        }
        shoal.kill(maker);
        for seat in shoal.running() {
            put(&mut shoal, seat, &names(99)[count]).expect("two nodes are there");
            count += 1;
        }
        bodies.extend(drain_all(&mut shoal, 4));
        shoal.start(maker);
        shoal.advance(4);
    }
    bodies.extend(drain_all(&mut shoal, 4));
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies, names(count));
}

#[test]
fn rolling_clean_restarts_make_nothing_twice() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    bind(&mut shoal, 0, Start::Now);
    shoal.advance_ms(50);
    let (mut bodies, mut count) = (Vec::new(), 0);
    for round in 0..6 {
        let seat = round % 3;
        for other in 0..3 {
            put(&mut shoal, other, &names(99)[count]).expect("three nodes are there");
            count += 1;
        }
        stop(&mut shoal, seat);
        for other in shoal.running() {
            put(&mut shoal, other, &names(99)[count]).expect("two nodes are there");
            count += 1;
        }
        bodies.extend(drain_all(&mut shoal, 3));
        // Longer than the ids of jobs are remembered.
        shoal.advance(1000);
        shoal.start(seat);
        shoal.advance(3);
    }
    bodies.extend(drain_all(&mut shoal, 3));
    bodies.sort_unstable();
    assert_eq!(bodies, names(count));
}

#[test]
fn both_sides_of_a_partition_bind_alike_and_one_binding_stays() {
    let mut shoal = Shoal::new(4);
    shoal.advance(3);
    for (one, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        shoal.cut(one, other);
    }
    shoal.advance(3);
    bind(&mut shoal, 3, Start::Now);
    shoal.advance(1);
    bind(&mut shoal, 0, Start::Now);
    shoal.advance(1);
    for (seat, body) in [(0, "0000"), (1, "0001"), (2, "0002"), (3, "0003")] {
        put(&mut shoal, seat, body).expect("two nodes are there");
    }
    let mut bodies = drain_all(&mut shoal, 2);
    assert_eq!(bodies, names(4), "either side makes jobs");
    shoal.mend();
    shoal.advance(5);
    for (seat, body) in [(0, "0004"), (3, "0005")] {
        put(&mut shoal, seat, body).expect("four nodes are there");
    }
    bodies.extend(drain_all(&mut shoal, 4));
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies, names(6));
    for seat in 0..4 {
        assert_eq!(view(&mut shoal, seat), (0, None));
    }
}

/// `DEBUG FLUSHALL`.
#[test]
fn a_flush_of_all_jobs_leaves_topics_and_what_they_wait_for_alone() {
    let mut shoal = Shoal::new(1);
    let rule = TopicCommand::SetRule {
        pattern: b"*",
        rule: Rule {
            entries: Some(2),
            ..Rule::default()
        },
    };
    shoal.run(0, topic(rule));
    let add = AddJob {
        max_len: Some(1),
        ..AddJob::new(b"q", b"")
    };
    bind_with(&mut shoal, 0, zero(), add).expect("it is bound");
    for name in names(5) {
        put(&mut shoal, 0, &name).expect("it is published");
    }
    shoal.advance(1);
    assert_eq!(view(&mut shoal, 0).1, Some(WaitsFor::Room));
    shoal.feed(0, Event::Flush);
    assert_eq!(drain_all(&mut shoal, 3), names(5)[1..]);
    shoal.advance(2);
    let length = shoal.run(0, topic(TopicCommand::Length(b"*")));
    let two = Reply::Topic(Box::new(TopicReply::Count(2)));
    assert_eq!(length, two, "the rule still holds");
}
