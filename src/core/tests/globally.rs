//! Views of the whole cluster.

use std::collections::BTreeSet;

use crate::command::{
    AddJob, Answer, Command, Delivery, Detail, Gathered, PauseState, Question, QueueScan,
    QueueView, QueuesWanted, Reply, ScanReply,
};
use crate::event::Event;
use crate::id::{ClientId, JobId, NodeId, QueueName};

use super::bench::{job_with_retry, plain_stat};
use super::shoal::Shoal;

fn one(queue: &str) -> AddJob<'_> {
    AddJob {
        replicate: Some(1),
        ..job_with_retry(queue, 60)
    }
}

fn name(queue: &str) -> QueueName {
    QueueName::new(queue.as_bytes())
}

fn global(shoal: &mut Shoal, seat: usize, question: Question) -> (Answer, Vec<NodeId>) {
    match shoal.run(seat, Command::Global(question)) {
        Reply::Global(gathered) => (gathered.answer, gathered.missing),
        other => panic!("{other:?} is no global answer"),
    }
}

fn counted(count: u64, missing: Vec<NodeId>) -> Reply {
    let answer = Answer::Count(count);
    Reply::Global(Box::new(Gathered { answer, missing }))
}

fn length(shoal: &mut Shoal, seat: usize) -> (u64, Vec<NodeId>) {
    match global(shoal, seat, Question::QueueLength(name("q"))) {
        (Answer::Count(count), missing) => (count, missing),
        (other, _) => panic!("{other:?} is no count"),
    }
}

fn peek(shoal: &mut Shoal, seat: usize, count: i64) -> Vec<Delivery> {
    let queue = name("q");
    match global(
        shoal,
        seat,
        Question::QueuePeek {
            queue,
            count,
            is_meta: false,
        },
    ) {
        (Answer::Peeked(jobs, _), missing) => {
            assert_eq!(missing, []);
            jobs
        }
        (other, _) => panic!("{other:?} is no peek"),
    }
}

fn stat(shoal: &mut Shoal, seat: usize, queue: &str) -> Option<QueueView> {
    stat_in(shoal, seat, queue, Detail::Plain)
}

fn stat_in(shoal: &mut Shoal, seat: usize, queue: &str, detail: Detail) -> Option<QueueView> {
    let queue = name(queue);
    match global(shoal, seat, Question::QueueStat { queue, detail }) {
        (Answer::QueueStat(view), _) => view.map(|view| *view),
        (other, _) => panic!("{other:?} is no stat"),
    }
}

#[test]
fn figures_of_a_queue_are_added_up_over_all_nodes() {
    let mut shoal = Shoal::new(3);
    for (seat, queue) in [(0, "q"), (1, "q"), (1, "b"), (2, "q")] {
        shoal.add(seat, one(queue));
    }
    shoal.advance_ms(10);
    let named = |queue| Question::Queues(QueuesWanted::Named(vec![name(queue)]));
    let mut ask = |queue| match global(&mut shoal, 0, named(queue)) {
        (Answer::Queues(view), missing) => (view.queues, missing),
        (other, _) => panic!("{other:?} is no list"),
    };
    let (queues, missing) = ask("q");
    assert_eq!(missing, []);
    let told: Vec<_> = queues
        .iter()
        .map(|it| (&it.name, it.depths.ready))
        .collect();
    assert_eq!(told, [(&name("q"), 3)]);
    assert_eq!(ask("nobody knows it").0, []);
    shoal.kill(2);
    let (answer, missing) = global(&mut shoal, 0, named("q"));
    let Answer::Queues(view) = answer else {
        panic!("{answer:?} is no list");
    };
    assert_eq!(view.queues[0].depths.ready, 2);
    assert_eq!(missing, [Shoal::id(2)]);
}

fn scan(cursor: u64, count: Option<u64>, reply: ScanReply) -> Question {
    Question::JobScan {
        cursor,
        count,
        queue: Some(name("q")),
        states: Vec::new(),
        reply,
    }
}

/// Walks the whole cluster from a node.
fn walk(shoal: &mut Shoal, seat: usize, count: u64) -> (Vec<JobId>, Vec<NodeId>, usize) {
    let (mut ids, mut absent, mut cursor, mut calls) = (Vec::new(), Vec::new(), 0, 0);
    loop {
        let (answer, missing) = global(shoal, seat, scan(cursor, Some(count), ScanReply::Id));
        let Answer::JobIds(next, found) = answer else {
            panic!("{answer:?} is no scan");
        };
        calls += 1;
        ids.extend(found);
        absent.extend(missing);
        cursor = next;
        if cursor == 0 {
            return (ids, absent, calls);
        }
    }
}

/// Three nodes with 1, 2 and 3 jobs, added by turns.
fn filled() -> (Shoal, Vec<JobId>) {
    let mut shoal = Shoal::new(3);
    let mut ids = Vec::new();
    for seat in [0, 1, 2, 1, 2, 2] {
        ids.push(shoal.add(seat, one("q")));
        shoal.advance_ms(2);
    }
    (shoal, ids)
}

#[test]
fn lengths_add_up() {
    let (mut shoal, _) = filled();
    for seat in 0..3 {
        assert_eq!(length(&mut shoal, seat), (6, vec![]));
    }
    assert_eq!(
        Shoal::new(1).run(0, Command::Global(Question::QueueLength(name("q")))),
        counted(0, vec![]),
        "a lone node is the whole cluster"
    );
}

#[test]
fn who_is_away_is_named() {
    let (mut shoal, _) = filled();
    shoal.kill(2);
    shoal.advance_ms(5);
    assert_eq!(length(&mut shoal, 0), (3, vec![Shoal::id(2)]));
    assert_eq!(length(&mut shoal, 1), (3, vec![Shoal::id(2)]));
}

#[test]
fn who_breaks_off_is_named() {
    let (mut shoal, _) = filled();
    let ticket = shoal.send(0, 1, Command::Global(Question::QueueLength(name("q"))));
    shoal.cut(0, 1);
    shoal.advance_ms(5);
    let answer = counted(4, vec![Shoal::id(1)]);
    assert_eq!(shoal.answer(0, ticket), Some(&answer));
}

#[test]
fn who_is_silent_is_named_after_a_second() {
    let (mut shoal, _) = filled();
    shoal.hang(1);
    let ticket = shoal.send(0, 1, Command::Global(Question::QueueLength(name("q"))));
    shoal.advance_ms(990);
    assert_eq!(shoal.answer(0, ticket), None);
    shoal.advance_ms(20);
    let answer = counted(4, vec![Shoal::id(1)]);
    assert_eq!(shoal.answer(0, ticket), Some(&answer));
    shoal.wake(1);
    shoal.advance_ms(100);
    assert_eq!(
        length(&mut shoal, 0),
        (6, vec![]),
        "a late answer is none to the next question"
    );
}

#[test]
fn a_flush_leaves_no_question_open() {
    let (mut shoal, _) = filled();
    shoal.hang(1);
    let ticket = shoal.send(0, 1, Command::Global(Question::QueueLength(name("q"))));
    shoal.feed(0, Event::Flush);
    shoal.advance_ms(1_010);
    assert!(shoal.answer(0, ticket).is_some());
}

#[test]
fn nobody_is_answered_who_is_gone() {
    let (mut shoal, _) = filled();
    let ticket = shoal.send(0, 7, Command::Global(Question::QueueLength(name("q"))));
    shoal.feed(0, Event::Disconnected(ClientId(7)));
    shoal.advance(3);
    assert_eq!(shoal.answer(0, ticket), None);
}

#[test]
fn too_many_questions_are_answered_by_this_node_alone() {
    let (mut shoal, _) = filled();
    shoal.hang(1);
    shoal.hang(2);
    for _ in 0..crate::limits::GATHERINGS {
        shoal.send(0, 1, Command::Global(Question::QueueLength(name("q"))));
    }
    let missing = vec![Shoal::id(1), Shoal::id(2)];
    assert_eq!(length(&mut shoal, 0), (1, missing));
    shoal.advance_ms(1_100);
    shoal.wake(1);
    shoal.wake(2);
    shoal.advance_ms(100);
    assert_eq!(length(&mut shoal, 0), (6, vec![]));
}

#[test]
fn a_peek_merges_by_creation_from_either_end() {
    let (mut shoal, ids) = filled();
    let peeked = |shoal: &mut Shoal, count| -> Vec<JobId> {
        peek(shoal, 0, count).iter().map(|job| job.id).collect()
    };
    assert_eq!(peeked(&mut shoal, 100), ids);
    assert_eq!(peeked(&mut shoal, 4), ids[..4]);
    let mut newest = ids.clone();
    newest.reverse();
    assert_eq!(peeked(&mut shoal, -100), newest);
    assert_eq!(peeked(&mut shoal, -2), newest[..2]);
    assert_eq!(peeked(&mut shoal, 0), []);
    assert_eq!(peeked(&mut shoal, i64::MIN), newest);
}

#[test]
fn a_job_that_two_nodes_have_queued_is_seen_once() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(
        0,
        AddJob {
            replicate: Some(2),
            ..job_with_retry("q", 60)
        },
    );
    shoal.cut(0, 1);
    shoal.advance_ms(5);
    assert_eq!(shoal.count(1, Command::Enqueue(vec![id])), 1);
    let ticket = {
        shoal.mend();
        // The links are up at 1 ms; the nodes have not told each other what they have queued.
        shoal.advance_ms(1);
        let queue = name("q");
        shoal.send(
            0,
            1,
            Command::Global(Question::QueuePeek {
                queue,
                count: 9,
                is_meta: false,
            }),
        )
    };
    shoal.advance_ms(10);
    let Some(Reply::Global(gathered)) = shoal.answer(0, ticket) else {
        panic!("it is answered");
    };
    let Answer::Peeked(jobs, _) = &gathered.answer else {
        panic!("{gathered:?} has no jobs");
    };
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
}

#[test]
fn figures_add_up() {
    let (mut shoal, _) = filled();
    assert_eq!(stat(&mut shoal, 0, "unknown"), None);
    shoal.get(2, "q", 2);
    shoal.advance(3);
    shoal.get(0, "q", 1);
    shoal.wait(1, 5, "elsewhere");
    shoal.wait(2, 6, "elsewhere");
    let pause = crate::command::Pause {
        queue: b"q",
        set: Some(PauseState {
            input: true,
            output: false,
        }),
        broadcast: false,
    };
    shoal.run(1, Command::Pause(pause));
    let view = stat(&mut shoal, 0, "q").expect("it is known");
    assert_eq!((view.len, view.jobs_in, view.jobs_out), (3, 6, 3));
    assert!(view.pause.input && !view.pause.output);
    assert!(view.age.as_millis() >= 3_010 && view.idle.as_millis() < 100);
    let view = stat(&mut shoal, 0, "elsewhere").expect("nodes 1 and 2 know it");
    assert_eq!((view.len, view.blocked), (0, 2));
    let mut local = |seat| shoal.run(seat, plain_stat("elsewhere"));
    assert_eq!(
        local(0),
        Reply::QueueStat(None),
        "a question makes no queue"
    );
}

#[test]
fn waiting_jobs_add_up_and_copies_need_no_queue() {
    let mut shoal = Shoal::new(3);
    let all = AddJob {
        replicate: Some(3),
        ..job_with_retry("q", 60)
    };
    shoal.add(1, all.clone());
    shoal.add(1, all.clone());
    shoal.add(
        1,
        AddJob {
            delay: Some(9),
            ..all
        },
    );
    shoal.advance_ms(100);
    shoal.get(1, "q", 1);
    shoal.advance(2);
    for seat in 0..3 {
        let view = stat_in(&mut shoal, seat, "q", Detail::Full).expect("it is known");
        let full = view.full.expect("it was asked for");
        let depths = full.depths;
        assert_eq!((view.len, depths.ready, depths.active), (1, 1, 1));
        assert_eq!((depths.delayed, depths.copies), (1, 6));
        assert_eq!((depths.restored, full.restored_within), (0, None));
        let plain = stat(&mut shoal, seat, "q").expect("node 1 knows it");
        assert_eq!(plain.full, None);
        assert_eq!(
            (view.jobs_in, view.jobs_out, view.idle.as_secs()),
            (2, 1, 2)
        );
        assert_eq!((plain.len, plain.jobs_in, plain.jobs_out), (1, 2, 1));
        assert!(view.age.as_millis() >= 2_100, "{:?}", view.age);
    }
    let mut here = |seat, detail| match shoal.run(
        seat,
        Command::QueueStat {
            queue: b"q",
            detail,
        },
    ) {
        Reply::QueueStat(view) => view,
        other => panic!("{other:?} is no stat"),
    };
    assert_eq!(here(0, Detail::Plain), None, "it only has copies");
    let view = here(0, Detail::Full).expect("copies count");
    assert_eq!(view.full.map(|full| full.depths.copies), Some(3));
}

#[test]
fn a_scan_of_queues_meets_those_of_all_nodes() {
    let mut shoal = Shoal::new(3);
    for (seat, queue) in [(0, "a"), (0, "b"), (1, "b"), (2, "c"), (2, "b")] {
        shoal.add(seat, one(queue));
    }
    shoal.advance_ms(10);
    let mut scan = QueueScan {
        cursor: 0,
        count: None,
        min_len: None,
        max_len: None,
        import_rate: None,
    };
    let mut step = |scan: &QueueScan| {
        let (answer, missing) = global(&mut shoal, 1, Question::QueueScan(scan.clone()));
        assert_eq!(missing, []);
        match answer {
            Answer::QueueNames(next, mut names) => {
                names.sort_unstable();
                (next, names)
            }
            other => panic!("{other:?} is no scan of queues"),
        }
    };
    let all = [name("a"), name("b"), name("c")];
    assert_eq!(step(&scan), (0, all.to_vec()), "each is named once");
    scan.count = Some(1);
    let mut met = BTreeSet::new();
    loop {
        let (next, names) = step(&scan);
        met.extend(names);
        scan.cursor = next;
        if next == 0 {
            break;
        }
    }
    assert_eq!(met, BTreeSet::from(all));
    scan = QueueScan {
        count: None,
        min_len: Some(2),
        ..scan
    };
    assert_eq!(step(&scan), (0, vec![]), "no node has two");
}

#[test]
fn a_scan_walks_every_node() {
    let (mut shoal, ids) = filled();
    let all: BTreeSet<JobId> = ids.iter().copied().collect();
    for seat in 0..3 {
        for count in [1, 2, 100] {
            let (found, missing, _) = walk(&mut shoal, seat, count);
            assert_eq!(found.len(), 6);
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all);
            assert_eq!(missing, []);
        }
    }
    shoal.kill(1);
    shoal.advance_ms(5);
    let (found, missing, _) = walk(&mut shoal, 0, 100);
    assert_eq!((found.len(), missing), (4, vec![Shoal::id(1)]));
    let (answer, _) = global(&mut shoal, 0, scan(u64::MAX, Some(1), ScanReply::Id));
    assert_eq!(
        answer,
        Answer::JobIds(0, vec![]),
        "no node has such a place"
    );
}

#[test]
fn a_scan_passes_over_a_node_that_falls_silent() {
    let (mut shoal, _) = filled();
    shoal.hang(1);
    let cursor = 1 << 32;
    let ticket = shoal.send(0, 1, Command::Global(scan(cursor, Some(10), ScanReply::Id)));
    shoal.advance_ms(1_100);
    let Some(Reply::Global(gathered)) = shoal.answer(0, ticket) else {
        panic!("it is answered");
    };
    let Answer::JobIds(next, ids) = &gathered.answer else {
        panic!("{gathered:?} has no ids");
    };
    assert_eq!((*next, ids.len()), (0, 3));
    assert_eq!(gathered.missing, [Shoal::id(1)]);
}

#[test]
fn a_busy_loop_scans_all_at_once() {
    let mut shoal = Shoal::new(3);
    for number in 0..300 {
        shoal.add(number % 3, one("q"));
    }
    let (answer, _) = global(&mut shoal, 1, scan(0, None, ScanReply::Id));
    let Answer::JobIds(0, ids) = answer else {
        panic!("{answer:?} is not all");
    };
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 300);
    let (answer, _) = global(&mut shoal, 1, scan(0, None, ScanReply::All));
    let Answer::Jobs(0, jobs) = answer else {
        panic!("{answer:?} is not all");
    };
    assert_eq!(jobs.len(), 300);
}

#[test]
fn answers_are_bounded_in_bytes() {
    let mut shoal = Shoal::new(2);
    let body = vec![b'x'; 1 << 20];
    for _ in 0..20 {
        shoal.add(
            1,
            AddJob {
                body: &body,
                ..one("q")
            },
        );
    }
    assert_eq!(peek(&mut shoal, 0, 100).len(), 4);
    let (answer, _) = global(&mut shoal, 0, scan(1 << 32, Some(100), ScanReply::All));
    let Answer::Jobs(next, jobs) = answer else {
        panic!("{answer:?} is no scan");
    };
    assert_eq!((next, jobs.len()), (1 << 32 | 4, 4));
}
