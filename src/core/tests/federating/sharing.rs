//! How many jobs go where: batches for fast clients, few for slow ones, and nobody starves.

use super::*;

#[test]
fn while_nothing_happens_only_refreshes_are_sent() {
    let mut shoal = Shoal::new(7);
    for client in 0..5 {
        shoal.wait(0, client, "q");
    }
    shoal.advance(1);
    shoal.sent.clear();
    shoal.advance(20);
    assert_eq!(
        traffic(&shoal),
        (60, 0, 0),
        "to six nodes every two seconds"
    );
}

#[test]
fn one_client_and_one_producer_take_few_messages_a_job() {
    for gap_ms in [1, 10, 500] {
        let mut shoal = Shoal::new(7);
        let mut consumers = [Consumer::new(0, 1, "q", 0)];
        work(&mut shoal, &mut consumers, 50);
        shoal.sent.clear();
        let mut ids = Vec::new();
        for _ in 0..100 {
            ids.push(shoal.add(3, one("q")));
            work(&mut shoal, &mut consumers, gap_ms);
        }
        work(&mut shoal, &mut consumers, 10);
        assert_eq!(consumers[0].got, ids, "in order");
        let (asked, sent, queued) = traffic(&shoal);
        let refreshes = 6 * (100 * gap_ms as usize / 2000 + 1);
        assert!(asked <= 110 + refreshes, "{asked} for 100 jobs");
        assert!(sent <= 100 && queued <= 100, "{sent}, {queued}");
        assert_eq!(redelivered(&shoal), 0);
    }
}

#[test]
fn a_fast_client_is_fed_in_batches() {
    let mut shoal = Shoal::new(7);
    let ids = add_many(&mut shoal, 3, 800);
    let mut consumers = [Consumer::new(0, 1, "q", 0)];
    work(&mut shoal, &mut consumers, 60);
    assert_eq!(consumers[0].got.len(), ids.len());
    assert!(consumers[0].got == ids, "in order");
    let (asked, sent, _) = traffic(&shoal);
    assert!(asked <= 40, "{asked} for 800 jobs");
    assert!(sent <= 40, "{sent} for 800 jobs");
}

#[test]
fn a_slow_client_does_not_hoard() {
    let mut shoal = Shoal::new(2);
    let ids = add_many(&mut shoal, 1, 200);
    for (work_ms, most) in [(50, 8), (150, 4), (1_000, 2)] {
        let mut consumers = [Consumer::new(0, 1, "q", work_ms)];
        let before = shoal.node(0).counters().imported;
        for _ in 0..40 {
            work(&mut shoal, &mut consumers, 50);
            let ahead = length(&mut shoal, 0);
            assert!(
                ahead <= most,
                "{ahead} wait for a client that takes {work_ms} ms"
            );
        }
        let done = consumers[0].got.len() as u64;
        assert!(done >= 2_000 / (work_ms + 10), "{done} done");
        assert!(shoal.node(0).counters().imported - before <= done + most);
        shoal.feed(0, Event::Disconnected(ClientId(1)));
        shoal.advance(2);
    }
    assert!(length(&mut shoal, 1) > 100 && ids.len() == 200);
}

#[test]
fn a_client_that_slows_down_gets_fewer_ahead() {
    let mut shoal = Shoal::new(2);
    add_many(&mut shoal, 1, 800);
    let mut consumers = [Consumer::new(0, 1, "q", 0)];
    while consumers[0].got.len() < 400 {
        work(&mut shoal, &mut consumers, 1);
    }
    consumers[0].work_ms = 100;
    work(&mut shoal, &mut consumers, 1_000);
    let before = shoal.node(0).counters().imported;
    work(&mut shoal, &mut consumers, 10_000);
    let more = shoal.node(0).counters().imported - before;
    assert!(
        more <= 200,
        "{more} came in 20 s for one that takes 10 a second"
    );
    // The jobs there move on to a node where a client waits.
    let mut others = [Consumer::new(1, 1, "q", 0)];
    work(&mut shoal, &mut others, 500);
    shoal.advance(3);
    let left = length(&mut shoal, 0) + length(&mut shoal, 1);
    assert_eq!(left, 0, "nothing is stranded");
}

#[test]
fn one_client_does_not_pull_jobs_from_everywhere_at_once() {
    let mut shoal = Shoal::new(7);
    for seat in 1..7 {
        add_many(&mut shoal, seat, 50);
    }
    let mut consumers = [Consumer::new(0, 1, "q", 20)];
    work(&mut shoal, &mut consumers, 300);
    assert!(
        shoal.node(0).counters().imported <= 6 + 16 + 4,
        "at first each gave one"
    );
    shoal.sent.clear();
    let before = consumers[0].got.len();
    work(&mut shoal, &mut consumers, 2_000);
    let done = consumers[0].got.len() - before;
    assert!(done >= 90, "{done} done");
    let (asked, sent, _) = traffic(&shoal);
    assert!(
        asked <= done + 12 && sent <= done,
        "{asked} and {sent} for {done} jobs"
    );
    work(&mut shoal, &mut consumers, 5_000);
    assert_eq!(consumers[0].got.len(), 300);
    assert_eq!(consumers[0].got.iter().collect::<BTreeSet<_>>().len(), 300);
}

#[test]
fn what_came_for_a_client_that_left_goes_on() {
    let mut shoal = Shoal::new(7);
    shoal.wait(0, 1, "q");
    shoal.advance_ms(10);
    // All of them answer the interest of one client.
    let ids: BTreeSet<JobId> = (1..7).map(|seat| shoal.add(seat, one("q"))).collect();
    shoal.advance_ms(2);
    assert_eq!(length(&mut shoal, 0), 5);
    shoal.feed(0, Event::Disconnected(ClientId(1)));
    let mut consumers = [Consumer::new(4, 1, "q", 0)];
    work(&mut shoal, &mut consumers, 300);
    let got: BTreeSet<JobId> = consumers[0].got.iter().copied().collect();
    assert_eq!((got.len(), got.is_subset(&ids)), (5, true));
    assert_eq!(redelivered(&shoal), 0);
}

#[test]
fn a_job_that_goes_around_comes_to_rest() {
    // Everybody polls, a moment after the others have taken the job's place from under them.
    for make in [one, once] {
        for gap_ms in [300, 1_500, 4_000] {
            let mut shoal = Shoal::new(2);
            let id = shoal.add(0, make("q"));
            let mut got = None;
            for round in 0..12 {
                let seat = 1 - round % 2;
                let taken = shoal.get(seat, "q", 1);
                got = got.or(taken.first().map(|it| it.id));
                shoal.advance_ms(gap_ms);
            }
            assert_eq!(got, Some(id), "polled every {gap_ms} ms");
        }
    }
}

#[test]
fn two_consumers_share_fairly() {
    let mut shoal = Shoal::new(3);
    add_many(&mut shoal, 2, 500);
    let mut consumers = [Consumer::new(0, 1, "q", 2), Consumer::new(1, 1, "q", 2)];
    work(&mut shoal, &mut consumers, 500);
    let done = consumers.map(|consumer| consumer.got.len());
    assert!(done.iter().sum::<usize>() > 300, "{done:?}");
    assert!(done[0].abs_diff(done[1]) <= 30, "{done:?}");
}

#[test]
fn a_client_here_is_not_starved_by_those_elsewhere() {
    let mut shoal = Shoal::new(3);
    let mut consumers = [
        Consumer::new(0, 1, "q", 5),
        Consumer::new(1, 1, "q", 0),
        Consumer::new(2, 1, "q", 0),
    ];
    let mut added = 0;
    for _ in 0..500 {
        shoal.add(0, one("q"));
        added += 1;
        work(&mut shoal, &mut consumers, 1);
    }
    work(&mut shoal, &mut consumers, 300);
    let done = consumers.map(|consumer| consumer.got.len());
    assert_eq!(done.iter().sum::<usize>(), added);
    assert!(done[0] >= 80, "{done:?}: it could do a hundred");
}

#[test]
fn consumers_anywhere_get_each_job_of_many_queues_once() {
    let mut random = StdRng::seed_from_u64(7);
    let mut shoal = Shoal::new(7);
    let queues: Vec<String> = (0..200).map(|number| format!("queue-{number}")).collect();
    let mut consumers: Vec<Consumer> = Vec::new();
    for (number, queue) in queues.iter().enumerate() {
        for _ in 0..random.random_range(1..3) {
            let work_ms = [0, 1, 20][random.random_range(0..3)];
            let seat = random.random_range(0..7);
            consumers.push(Consumer::new(seat, 1000 + number as u64, queue, work_ms));
        }
    }
    for (client, consumer) in consumers.iter_mut().enumerate() {
        consumer.client = client as u64;
    }
    let mut ids = BTreeSet::new();
    for _ in 0..100 {
        for _ in 0..20 {
            let queue = &queues[random.random_range(0..200)];
            let kind = random.random_range(0..4);
            let add = match kind {
                0 => once(queue),
                1 => AddJob {
                    replicate: Some(3),
                    ..one(queue)
                },
                _ => one(queue),
            };
            ids.insert(shoal.add(random.random_range(0..7), add));
        }
        work(&mut shoal, &mut consumers, 2);
        shoal.sent.clear();
    }
    work(&mut shoal, &mut consumers, 800);
    let got: Vec<JobId> = consumers.iter().flat_map(|it| it.got.clone()).collect();
    let mut counts: BTreeMap<JobId, usize> = BTreeMap::new();
    for id in &got {
        *counts.entry(*id).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count == 1), "none twice");
    assert_eq!(counts.len(), ids.len(), "all");
    assert_eq!(redelivered(&shoal), 0);
}
