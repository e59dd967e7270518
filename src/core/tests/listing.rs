//! QLIST: the first queues of the cluster, whatever each node has of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::command::{
    AddJob, Answer, Command, PauseState, Question, QueueList, QueueOrder, QueuesWanted, Reply,
};
use crate::extras::{Extras, Tag};
use crate::id::NodeId;
use crate::message::Message;
use crate::telling::{QueueDepths, QueuesView, Recent};

use super::bench::{Bench, job_with_retry};
use super::shoal::Shoal;

const ALL: u64 = 1000;

fn list(order: QueueOrder, count: u64) -> QueueList {
    QueueList {
        pattern: None,
        order,
        count,
    }
}

fn view(reply: Reply) -> (QueuesView, Vec<NodeId>) {
    match reply {
        Reply::Global(gathered) => match gathered.answer {
            Answer::Queues(view) => (view, gathered.missing),
            other => panic!("{other:?} is no list"),
        },
        other => panic!("{other:?} is no list"),
    }
}

fn global(list: QueueList) -> Command<'static> {
    Command::Global(Question::Queues(QueuesWanted::First(list)))
}

fn ask(shoal: &mut Shoal, seat: usize, list: QueueList) -> (Vec<QueueDepths>, Vec<NodeId>) {
    let (view, missing) = view(shoal.run(seat, global(list)));
    (view.queues, missing)
}

fn ask_here(bench: &mut Bench, order: QueueOrder) -> Vec<QueueDepths> {
    view(bench.run(Command::QueueList(list(order, ALL))))
        .0
        .queues
}

fn names(queues: &[QueueDepths]) -> Vec<String> {
    let names = queues.iter().map(|queue| queue.name.as_bytes());
    names
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

fn one(queue: &str) -> AddJob<'_> {
    AddJob {
        replicate: Some(1),
        ..job_with_retry(queue, 60)
    }
}

fn add(shoal: &mut Shoal, seat: usize, queue: &str, count: usize) {
    for _ in 0..count {
        shoal.add(seat, one(queue));
    }
}

/// Numbers of ready jobs, by queue and seat.
type Jobs = BTreeMap<String, [u64; 3]>;

/// Each queue's sum.
fn expected(jobs: &Jobs, order: QueueOrder, count: usize) -> Vec<(String, u64)> {
    let sums = jobs
        .iter()
        .map(|(name, jobs)| (name.clone(), jobs.iter().sum()));
    let mut sums: Vec<(String, u64)> = sums.collect();
    if order == QueueOrder::Ready {
        sums.sort_by_key(|&(_, ready)| Reverse(ready));
    }
    sums.truncate(count);
    sums
}

#[test]
fn a_queue_that_is_first_on_no_node_may_be_the_longest() {
    let mut shoal = Shoal::new(3);
    for seat in 0..3 {
        for n in 0..7 {
            add(&mut shoal, seat, &format!("own-{seat}-{n}"), 5);
        }
        add(&mut shoal, seat, "spread", 2);
    }
    shoal.advance_ms(10);
    let (queues, missing) = ask(&mut shoal, 1, list(QueueOrder::Ready, 1));
    assert_eq!(missing, []);
    assert_eq!(names(&queues), ["spread"]);
    assert_eq!(queues[0].depths.ready, 6);
    let (queues, _) = ask(&mut shoal, 2, list(QueueOrder::Ready, 3));
    assert_eq!(names(&queues), ["spread", "own-0-0", "own-0-1"]);
}

#[test]
fn figures_are_those_of_all_nodes_even_if_one_would_not_name_the_queue() {
    let mut shoal = Shoal::new(3);
    for n in 0..8 {
        add(&mut shoal, 1, &format!("long-{n}"), 9);
    }
    add(&mut shoal, 0, "q", 30);
    add(&mut shoal, 1, "q", 1);
    shoal.get(1, "q", 1);
    shoal.wait(2, 7, "other");
    shoal.advance_ms(10);
    let (queues, _) = ask(&mut shoal, 2, list(QueueOrder::Ready, 1));
    assert_eq!(names(&queues), ["q"]);
    let depths = queues[0].depths;
    assert_eq!((depths.ready, depths.active), (30, 1));
}

#[test]
fn the_age_of_a_queue_is_that_of_its_oldest_job_on_any_node() {
    let mut shoal = Shoal::new(3);
    for (seat, queue) in [(0, "c"), (1, "a"), (2, "b"), (1, "c")] {
        add(&mut shoal, seat, queue, 1);
        shoal.advance(2);
    }
    let (queues, _) = ask(&mut shoal, 2, list(QueueOrder::Age, 2));
    assert_eq!(names(&queues), ["c", "a"]);
    let ages: Vec<u64> = queues.iter().map(|queue| queue.oldest.as_secs()).collect();
    assert_eq!(ages, [8, 6]);
    assert_eq!(queues[0].depths.ready, 2);
}

#[test]
fn a_glob_selects_and_a_count_bounds() {
    let mut shoal = Shoal::new(3);
    for n in 0..12 {
        add(&mut shoal, n % 3, &format!("mail-{n:02}"), 1);
        add(&mut shoal, n % 3, &format!("other-{n:02}"), 2);
    }
    shoal.advance_ms(10);
    for order in [QueueOrder::Name, QueueOrder::Ready] {
        let wanted = QueueList {
            pattern: Some(b"mail-*"[..].into()),
            ..list(order, 8)
        };
        let (queues, _) = ask(&mut shoal, 0, wanted);
        let first: Vec<String> = (0..8).map(|n| format!("mail-{n:02}")).collect();
        assert_eq!(names(&queues), first);
    }
}

#[test]
fn who_is_away_is_named_and_the_others_are_listed() {
    let mut shoal = Shoal::new(3);
    for seat in 0..3 {
        for n in 0..7 {
            add(&mut shoal, seat, &format!("q{n}"), n + 1);
        }
    }
    shoal.kill(2);
    let (queues, missing) = ask(&mut shoal, 0, list(QueueOrder::Ready, 2));
    assert_eq!(missing, [Shoal::id(2)]);
    let told: Vec<u64> = queues.iter().map(|queue| queue.depths.ready).collect();
    assert_eq!(
        (names(&queues), told),
        (vec!["q6".into(), "q5".into()], vec![14, 12])
    );
}

#[test]
fn who_falls_silent_between_two_rounds_is_named() {
    let mut shoal = Shoal::new(3);
    for seat in 0..3 {
        for n in 0..20 {
            add(&mut shoal, seat, &format!("q{n:02}"), 1);
        }
    }
    shoal.advance_ms(10);
    shoal.sent.clear();
    let ticket = shoal.send(0, 1, global(list(QueueOrder::Name, 20)));
    let rounds = |shoal: &Shoal| {
        let asked = |message: &Message| matches!(message, Message::Ask { .. });
        let to_first = shoal
            .sent
            .iter()
            .filter(|(_, to, it)| *to == 1 && asked(it));
        to_first.count()
    };
    while rounds(&shoal) < 2 {
        shoal.advance_ms(1);
    }
    shoal.hang(1);
    shoal.advance_ms(1010);
    let reply = shoal
        .answer(0, ticket)
        .expect("it is not waited for")
        .clone();
    let (view, missing) = view(reply);
    assert_eq!(missing, [Shoal::id(1)]);
    assert_eq!(view.queues.len(), 20, "the others have them all");
}

#[test]
fn a_lone_node_lists_its_own_and_totals_are_of_all_queues() {
    let mut bench = Bench::new();
    for n in 0..9 {
        bench.add_many(&format!("q{n}"), n + 1);
    }
    let (told, missing) = view(bench.run(global(list(QueueOrder::Ready, 2))));
    assert_eq!(
        (names(&told.queues), missing),
        (vec!["q8".into(), "q7".into()], vec![])
    );
    assert_eq!(told.total.ready, 45);
    let here = view(bench.run(Command::QueueList(list(QueueOrder::Ready, 2)))).0;
    assert_eq!(here, told, "LOCAL is the same for a lone node");
}

#[test]
fn local_tells_of_this_node_alone() {
    let mut shoal = Shoal::new(2);
    add(&mut shoal, 0, "q", 1);
    add(&mut shoal, 1, "q", 2);
    add(&mut shoal, 1, "r", 2);
    let local = Command::QueueList(list(QueueOrder::Name, ALL));
    let (told, missing) = view(shoal.run(0, local));
    assert_eq!((names(&told.queues), missing), (vec!["q".into()], vec![]));
    assert_eq!(told.queues[0].depths.ready, 1);
}

#[test]
fn a_queue_is_told_of_with_all_its_figures() {
    let mut bench = Bench::new();
    bench.add_many("q", 3);
    bench.add(AddJob {
        delay: Some(100),
        ..job_with_retry("q", 60)
    });
    bench.take("q", 1);
    bench.pause("q", false, true);
    let ticket = bench.send(
        7,
        Command::GetJob(super::bench::get_job(
            &["q"],
            1,
            crate::command::Wait::Forever,
        )),
    );
    bench.advance(4);
    assert_eq!(bench.answer(ticket), None);
    let queue = ask_here(&mut bench, QueueOrder::Name).remove(0);
    let depths = queue.depths;
    assert_eq!((depths.ready, depths.active, depths.delayed), (2, 1, 1));
    assert_eq!(queue.oldest, Duration::from_secs(4));
    assert_eq!(queue.consumers, 1);
    let recent = Recent {
        jobs_in: 3,
        jobs_out: 1,
    };
    assert_eq!(queue.recent, recent);
    let pause = PauseState {
        input: false,
        output: true,
    };
    assert_eq!(queue.pause, pause);
}

#[test]
fn traffic_is_that_of_ten_seconds() {
    let mut bench = Bench::new();
    bench.add_many("q", 25);
    bench.take("q", 5);
    let per_second = |bench: &mut Bench| {
        let recent = ask_here(bench, QueueOrder::Name)[0].recent;
        (recent.in_per_second(), recent.out_per_second())
    };
    assert_eq!(per_second(&mut bench), (3, 1), "rounded up");
    bench.advance(9);
    assert_eq!(per_second(&mut bench), (3, 1));
    bench.advance(1);
    assert_eq!(per_second(&mut bench), (0, 0));
    bench.add_many("q", 1);
    assert_eq!(per_second(&mut bench), (1, 0));
}

#[test]
fn a_job_that_goes_from_node_to_node_enters_its_queue_once() {
    let mut shoal = Shoal::new(2);
    shoal.wait(1, 7, "q");
    shoal.advance_ms(50);
    shoal.add(0, one("q"));
    shoal.advance_ms(200);
    let (queues, _) = ask(&mut shoal, 0, list(QueueOrder::Name, ALL));
    let recent = Recent {
        jobs_in: 1,
        jobs_out: 1,
    };
    assert_eq!(queues[0].recent, recent);
}

#[test]
fn dead_letters_are_told_of_in_their_queue() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        extras: Extras::new([(Tag::DEAD_QUEUE, &b"graves"[..])]),
        ..job_with_retry("q", 60)
    });
    bench.take("q", 1);
    let nack = crate::command::Nack {
        ids: vec![id],
        is_dead: true,
        ..crate::command::Nack::default()
    };
    bench.run(Command::Nack(nack));
    let queues = ask_here(&mut bench, QueueOrder::Name);
    let told: Vec<_> = queues
        .iter()
        .map(|queue| (queue.depths.ready, queue.depths.dead))
        .collect();
    assert_eq!(names(&queues), ["graves", "q"]);
    assert_eq!(told, [(1, 1), (0, 0)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A node of a test tells of few queues at a time, so that lists take every way there is.
    #[test]
    fn lists_are_those_of_the_whole_cluster(
        jobs in prop::collection::vec(prop::array::uniform3(0_u64..5), 1..24),
        skew in prop::bool::ANY,
        count in 1_usize..16,
    ) {
        let mut shoal = Shoal::new(3);
        let mut all = Jobs::new();
        for (n, mut counts) in jobs.into_iter().enumerate() {
            if skew {
                // Few long queues, and many short ones.
                counts = counts.map(|count| if count < 4 { count / 3 } else { count * 3 });
            }
            let name = format!("q{:02}", n * 7 % 24);
            for (seat, &jobs) in counts.iter().enumerate() {
                add(&mut shoal, seat, &name, jobs as usize);
            }
            if counts.iter().any(|&jobs| jobs > 0) {
                all.insert(name, counts);
            }
        }
        shoal.advance_ms(10);
        for order in [QueueOrder::Name, QueueOrder::Ready, QueueOrder::Age] {
            let (told, _) = view(shoal.run(1, global(list(order, count as u64))));
            let found = told.queues.iter();
            let found: Vec<_> = found
                .map(|it| (String::from_utf8_lossy(it.name.as_bytes()).into_owned(), it.depths.ready))
                .collect();
            if order == QueueOrder::Age {
                let ages: Vec<_> = told.queues.iter().map(|queue| queue.oldest).collect();
                prop_assert!(ages.is_sorted_by(|one, next| one >= next), "{ages:?}");
                prop_assert_eq!(found.len(), count.min(all.len()));
                for (name, ready) in found {
                    prop_assert_eq!(ready, all[&name].iter().sum::<u64>());
                }
                continue;
            }
            let ranks = |list: &[(String, u64)]| list.iter().map(|it| it.1).collect::<Vec<_>>();
            let expected = expected(&all, order, count);
            prop_assert_eq!(ranks(&found), ranks(&expected), "{:?}", order);
            if order == QueueOrder::Name {
                prop_assert_eq!(found, expected);
            }
            let total: u64 = all.values().flatten().sum();
            prop_assert_eq!(told.total.ready, total);
        }
    }
}
