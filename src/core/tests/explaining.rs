//! EXPLAIN: where a job is, why it is not being delivered, and what happens next.

use std::time::Duration;

use super::bench::{Bench, SETTINGS, get_job, job, job_with_retry, node_id};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Explained, Nack, Reply, Standing, Wait};
use crate::event::Event;
use crate::explaining::What;
use crate::extras::{Extras, Tag};
use crate::id::{ClientId, JobId, QueueName, Ticket};
use crate::limits;
use crate::log::Reload;
use crate::node::Node;
use crate::outcome::Outcome;

/// The client of a bench's `get`.
const CLIENT: u64 = 7;

fn of_reply(reply: &Reply) -> Option<Explained> {
    match reply {
        Reply::Explained(explained) => explained.as_deref().cloned(),
        other => panic!("{other:?} is no answer to EXPLAIN"),
    }
}

fn explain(bench: &mut Bench, id: JobId) -> Explained {
    let reply = bench.run(Command::Explain(Some(id)));
    of_reply(&reply).expect("it is known")
}

/// What a cluster says at one of its nodes, when all that can have answered.
fn ask(shoal: &mut Shoal, seat: usize, id: JobId) -> Option<Explained> {
    let ticket = shoal.send(seat, CLIENT, Command::Explain(Some(id)));
    shoal.advance_ms(limits::GATHER_WITHIN.as_millis() as u64);
    of_reply(shoal.answer(seat, ticket).expect("it is answered in time"))
}

fn ask_known(shoal: &mut Shoal, seat: usize, id: JobId) -> Explained {
    ask(shoal, seat, id).expect("it is known")
}

fn names(explained: &Explained) -> Vec<&str> {
    let events = explained.events.iter();
    events.map(|(_, it)| &*it.event).collect()
}

#[track_caller]
fn says(explained: &Explained, standing: Standing, why: &str) {
    assert_eq!(explained.standing, standing, "{}", explained.why);
    assert_eq!(explained.why, why);
}

fn take(bench: &mut Bench, queue: &str) -> JobId {
    let ticket = bench.wait(CLIENT, &[queue], Wait::No);
    bench.got(ticket).expect("there is one")[0]
}

/// The same at a node of a cluster.
fn take_at(shoal: &mut Shoal, seat: usize, queue: &str) -> Option<JobId> {
    let ticket = shoal.wait(seat, CLIENT, queue);
    shoal.got(seat, ticket)
}

fn copies(replicate: u16) -> AddJob<'static> {
    AddJob {
        replicate: Some(replicate),
        ..job_with_retry("q", 60)
    }
}

/// The eight digits by which sentences name a node.
fn node(seat: usize) -> String {
    Shoal::id(seat).maker().to_string()
}

fn own() -> String {
    node_id().maker().to_string()
}

#[test]
fn an_unknown_job_is_nil_and_so_is_an_id_that_no_node_made() {
    let mut bench = Bench::new();
    let id = JobId::from_bytes([3; 24]);
    assert_eq!(
        bench.run(Command::Explain(Some(id))),
        Reply::Explained(None)
    );
    assert_eq!(bench.run(Command::Explain(None)), Reply::Explained(None));
    let mut shoal = Shoal::new(2);
    assert_eq!(ask(&mut shoal, 0, id), None);
}

#[test]
fn a_ready_job_waits_for_a_client_behind_those_before_it() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 3);
    let told = explain(&mut bench, ids[2]);
    let nobody = "no client waits for the queue, here or at a node that can be reached: \
                  the next GETJOB that comes to it gets it";
    let why = format!(
        "It is ready in queue \"q\" at node {}, behind 2 other jobs; {nobody}.",
        own()
    );
    says(&told, Standing::Queued, &why);
    assert_eq!(
        told.queue.as_ref().map(QueueName::as_bytes),
        Some(&b"q"[..])
    );
    assert_eq!(names(&told), ["added", "queued"]);
    let (_, copy) = &told.copies[0];
    assert_eq!(
        (copy.has_turn, &*copy.next, copy.next_in),
        (true, "delivery", None)
    );
    assert_eq!(take(&mut bench, "q"), ids[0]);
    let told = explain(&mut bench, ids[1]);
    assert!(
        told.why
            .ends_with("first in line; clients took about 1 a second of its jobs here lately.")
    );
}

#[test]
fn many_jobs_before_it_are_not_counted() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", limits::AHEAD_COUNTED + 1);
    let last = *ids.last().expect("there are many");
    let told = explain(&mut bench, last);
    assert!(
        told.why.contains("behind more than 1000 other jobs"),
        "{}",
        told.why
    );
}

#[test]
fn a_queue_that_is_paused_in_output_hands_nothing_out() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    bench.pause("q", false, true);
    let told = explain(&mut bench, id);
    assert_eq!(told.standing, Standing::Queued);
    let begin = format!("Queue \"q\" is paused in output at node {}", own());
    assert!(told.why.starts_with(&begin), "{}", told.why);
}

#[test]
fn a_job_that_a_client_has_names_it_and_says_when_it_comes_back() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 60));
    assert_eq!(take(&mut bench, "q"), id);
    let since = bench.wall;
    bench.advance(5);
    let told = explain(&mut bench, id);
    let why = format!(
        "Client 7 got it at node {} 5 s ago; it goes back into queue \"q\" in 55 s, unless it is acknowledged before.",
        own()
    );
    says(&told, Standing::Active, &why);
    let (_, held) = told.held_by.as_ref().expect("somebody has it");
    assert_eq!((held.client, held.since_ms), (ClientId(CLIENT), since));
    let (_, copy) = &told.copies[0];
    assert_eq!(
        (&*copy.next, copy.next_in),
        ("retry", Some(Duration::from_secs(55)))
    );
    assert_eq!(names(&told), ["added", "queued", "handed out"]);
    bench.run(Command::Working(Some(id), Some(b"half")));
    let told = explain(&mut bench, id);
    assert!(told.held_by.is_some(), "WORKING changes nothing of that");
    assert_eq!(told.progress.as_deref(), Some(&b"half"[..]));
    bench.advance(60);
    let told = explain(&mut bench, id);
    assert_eq!((told.standing, told.held_by), (Standing::Queued, None));
}

#[test]
fn who_has_a_job_is_not_known_when_too_much_happened_since() {
    let now = Bench::new().now();
    let mut node = Node::new(node_id(), SETTINGS, now.time, [1; 32]);
    let ticket = Ticket {
        client: ClientId(CLIENT),
        number: 1,
    };
    let add = Command::AddJob(job_with_retry("q", 60));
    let get = Command::GetJob(get_job(&["q"], 1, Wait::No));
    for command in [add, get] {
        node.handle(now, Event::Command(ticket, command), &mut Vec::new());
    }
    let id = node.jobs.iter().map(|(_, job)| job.id).next();
    let id = id.expect("it is there");
    assert_eq!(node.report(now.time, &id).events.len(), 3);
    let other = JobId::from_bytes([9; 24]);
    for _ in 0..limits::HAPPENINGS {
        node.happened(other, What::Asked);
    }
    let report = node.report(now.time, &id);
    assert_eq!((report.events.len(), &report.held_by), (0, &None));
    let end = "does not remember to whom; it goes back into queue \"q\" in 1 min, unless it is acknowledged before.";
    assert!(report.why.ends_with(end), "{}", report.why);
    let bytes = node.used_memory() - node.used_by_load();
    assert_eq!(bytes, 48 * limits::HAPPENINGS as u64);
    let told = node.report(now.time, &other).events.len();
    assert_eq!(told, limits::EVENTS_TOLD);
}

#[test]
fn a_job_without_a_retry_never_comes_back() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        ttl: Some(100),
        ..job_with_retry("q", 0)
    });
    take(&mut bench, "q");
    let told = explain(&mut bench, id);
    let why = format!(
        "Client 7 got it at node {} 0 ms ago; with RETRY 0 nobody gets it again, and it is forgotten in 1 min 40 s.",
        own()
    );
    says(&told, Standing::Active, &why);
    assert_eq!(told.copies[0].1.next, "expiry");
}

#[test]
fn a_delayed_job_says_until_when() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        delay: Some(100),
        ..job("q")
    });
    let why = format!(
        "Its DELAY is not over: node {} puts it into queue \"q\" in 1 min 40 s.",
        own()
    );
    let told = explain(&mut bench, id);
    says(&told, Standing::Delayed, &why);
    assert_eq!(names(&told), ["added", "delayed"]);
    assert_eq!(
        told.events[1].1.detail,
        format!("until {}", bench.wall + 100_000)
    );
    assert_eq!(told.copies[0].1.next, "delivery after delay");
}

#[test]
fn a_job_that_was_given_back_waits() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    take(&mut bench, "q");
    bench.run(Command::Nack(Nack {
        ids: vec![id],
        delay: Some(30),
        ..Nack::default()
    }));
    let why = format!(
        "A client gave it back with NACK: by the DELAY of that NACK, it waits at node {}, and goes back into queue \"q\" in 30 s.",
        own()
    );
    let told = explain(&mut bench, id);
    says(&told, Standing::Delayed, &why);
    assert_eq!(
        (told.held_by, &*told.copies[0].1.next),
        (None, "delivery after wait")
    );
}

#[test]
fn a_queue_that_takes_no_jobs_keeps_a_job_out() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 10));
    take(&mut bench, "q");
    bench.pause("q", true, false);
    bench.advance(10);
    let told = explain(&mut bench, id);
    assert_eq!((told.standing, &told.held_by), (Standing::Active, &None));
    let why = format!(
        "It was to go back, but queue \"q\" is paused in input at node {}; it goes back into queue \"q\" in 10 s, unless it is \
         acknowledged before.",
        own()
    );
    says(&told, Standing::Active, &why);
}

#[test]
fn a_dead_letter_says_why_it_died_and_what_redrive_does() {
    let mut bench = Bench::new();
    let limited = AddJob {
        extras: Extras::new([(Tag::MAX_DELIVER, &1_u16.to_le_bytes()[..])]),
        ..job_with_retry("q", 10)
    };
    let id = bench.add(limited);
    take(&mut bench, "q");
    let told = explain(&mut bench, id);
    assert!(
        told.why.contains("becomes a dead letter in 10 s"),
        "{}",
        told.why
    );
    bench.run(Command::Nack(Nack {
        ids: vec![id],
        reason: Some(b"no\nroute"),
        ..Nack::default()
    }));
    bench.advance(3);
    let told = explain(&mut bench, id);
    says(
        &told,
        Standing::Dead,
        "It became a dead letter 3 s ago, and waits in queue \"q.dead\": it was handed out once, as often as MAXDELIVER allows (\"no \
         route\"). REDRIVE sends it back to queue \"q\", with its full TTL and its counters at 0; else it is deleted in 6 d 23 h.",
    );
    assert_eq!(told.copies[0].1.standing, Standing::Dead);
    assert_eq!(told.copies[0].1.rank.map(|rank| rank.0), Some(1));
    assert_eq!(names(&told)[3..], ["buried"]);
}

#[test]
fn a_job_from_the_log_waits_for_its_retry() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 60));
    bench.start(Duration::from_secs(1), Reload::Active);
    let told = explain(&mut bench, id);
    let why = format!(
        "Node {} read it from its log when it started, and cannot know which client had it: it goes back into queue \"q\" in 1 min, \
         unless it is acknowledged before or another node has it.",
        own()
    );
    says(&told, Standing::Active, &why);
    assert_eq!(told.copies[0].1.standing, Standing::Restored);
    assert_eq!(names(&told), ["restored"]);
}

#[test]
fn a_job_that_is_over_says_how_when_and_where() {
    let mut bench = Bench::new();
    let acked = bench.add(job("q"));
    bench.ack(acked);
    bench.advance(2);
    let why = format!(
        "It is over: a client acknowledged it at node {} 2 s ago.",
        own()
    );
    says(
        &explain(&mut bench, acked),
        Standing::Ended(Outcome::Acked),
        &why,
    );
    let gone = bench.add(job("q"));
    bench.run(Command::DelJob(vec![gone]));
    let why = format!(
        "It is over: a client deleted it at node {} 0 ms ago.",
        own()
    );
    says(
        &explain(&mut bench, gone),
        Standing::Ended(Outcome::Deleted),
        &why,
    );
    let short = bench.add(AddJob {
        ttl: Some(3),
        ..job("q")
    });
    bench.advance(4);
    let told = explain(&mut bench, short);
    assert_eq!(told.standing, Standing::Ended(Outcome::Expired));
    assert!(told.copies.is_empty() && told.queue.is_none());
    assert_eq!(names(&told), ["added", "queued", "expired"]);
}

#[test]
fn any_node_explains_a_job_of_another_one() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(2));
    let told = ask_known(&mut shoal, 2, id);
    assert_eq!((told.standing, told.copies.len()), (Standing::Queued, 2));
    assert!(
        told.why.contains(&format!("at node {}", node(0))),
        "{}",
        told.why
    );
    assert!(told.missing.is_empty());
    let (copy_at, copy) = told
        .copies
        .iter()
        .find(|(_, copy)| !copy.has_turn)
        .expect("one is no more than a copy");
    assert_eq!(
        (copy.standing, &*copy.next),
        (Standing::Copy, "ask the holders")
    );
    assert!(copy.next_in.is_some());
    let taken = told.events.iter().find(|(at, _)| at == copy_at);
    assert_eq!(taken.map(|(_, it)| &*it.event), Some("copy taken"));
    let held = take_at(&mut shoal, 1, "q");
    shoal.advance_ms(50);
    assert!(held.is_none() || held == Some(id));
    let told = ask_known(&mut shoal, 2, id);
    assert_eq!(told.standing, Standing::Active);
    assert_eq!(
        told.held_by.map(|(at, held)| (at, held.client)),
        Some((Shoal::id(1), ClientId(CLIENT)))
    );
    assert_eq!(shoal.ack(2, id), 0);
    shoal.advance_ms(100);
    for seat in 0..3 {
        let told = ask_known(&mut shoal, seat, id);
        assert_eq!(
            (told.standing, &told.held_by),
            (Standing::Ended(Outcome::Acked), &None)
        );
    }
}

#[test]
fn events_of_all_nodes_come_in_the_order_of_time() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(3));
    shoal.advance_ms(100);
    shoal.wait(1, CLIENT, "q");
    shoal.advance_ms(100);
    let told = ask_known(&mut shoal, 2, id);
    let order: Vec<_> = told.events.iter().map(|(at, it)| (it.at_ms, *at)).collect();
    assert!(order.is_sorted());
    let all = names(&told);
    for name in [
        "added",
        "copy taken",
        "replicated",
        "queued",
        "shipped",
        "arrived",
        "handed out",
    ] {
        assert!(all.contains(&name), "{name} is not among {all:?}");
    }
}

/// A job at the first node.
fn first_job(shoal: &Shoal) -> JobId {
    let mut jobs = shoal.node(0).jobs.iter().map(|(_, job)| job.id);
    jobs.next().expect("it waits")
}

/// What the first node says once it waits for no member any more.
fn explained_late(shoal: &mut Shoal, id: JobId) -> Explained {
    let ticket = shoal.send(0, CLIENT, Command::Explain(Some(id)));
    shoal.advance_ms(1000);
    let reply = shoal.answer(0, ticket).expect("it is answered in time");
    of_reply(reply).expect("it is known")
}

#[test]
fn a_job_that_waits_for_copies_says_who_lacks_one() {
    let mut shoal = Shoal::new(3);
    shoal.hang(1);
    shoal.hang(2);
    shoal.send(
        0,
        1,
        Command::AddJob(AddJob {
            timeout: Some(Duration::from_secs(20)),
            ..copies(3)
        }),
    );
    shoal.advance_ms(100);
    let id = first_job(&shoal);
    let told = explained_late(&mut shoal, id);
    assert_eq!(told.standing, Standing::WaitReplicas);
    let nodes = format!("nodes {}, {}", node(1), node(2));
    let begin = format!(
        "Its producer waits for copies: 0 of 2 other nodes have confirmed one, {nodes} not yet; more are asked in"
    );
    assert!(told.why.starts_with(&begin), "{}", told.why);
    assert_eq!(told.missing, [Shoal::id(1), Shoal::id(2)]);
}

#[test]
fn without_the_node_that_has_the_turn_the_holders_say_what_they_will_do() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(2));
    shoal.advance_ms(100);
    let told = ask_known(&mut shoal, 0, id);
    let holder = told
        .copies
        .iter()
        .find(|(_, copy)| !copy.has_turn)
        .map(|(at, _)| *at);
    shoal.kill(0);
    shoal.advance_ms(100);
    let told = ask_known(&mut shoal, 2, id);
    assert_eq!((told.standing, &told.held_by), (Standing::Active, &None));
    assert_eq!(told.missing, [Shoal::id(0)]);
    let holder = holder.expect("it has a copy").maker();
    let begin = format!(
        "No node that answered has the turn to deliver it, and node {} did not answer; node {holder}, which has a copy, asks the \
         other holders in",
        node(0)
    );
    assert!(told.why.starts_with(&begin), "{}", told.why);
}

#[test]
fn the_highest_register_says_where_a_job_is() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(3));
    shoal.advance_ms(100);
    shoal.cut(0, 1);
    shoal.cut(0, 2);
    // The others queue it when its retry is over, and bury it, of which node 0 does not hear.
    shoal.advance(70);
    let nack = |id| {
        Command::Nack(Nack {
            ids: vec![id],
            is_dead: true,
            ..Nack::default()
        })
    };
    assert_eq!(shoal.count(1, nack(id)), 1);
    shoal.advance_ms(100);
    let told = ask_known(&mut shoal, 2, id);
    assert_eq!(
        (told.standing, &told.missing[..]),
        (Standing::Dead, &[Shoal::id(0)][..])
    );
    let told = ask_known(&mut shoal, 0, id);
    assert_eq!(told.standing, Standing::Queued, "it knows no better");
    shoal.mend();
    shoal.advance(5);
    let told = ask_known(&mut shoal, 0, id);
    assert_eq!((told.standing, told.missing.len()), (Standing::Dead, 0));
    assert_eq!(
        told.queue.as_ref().map(QueueName::as_bytes),
        Some(&b"q.dead"[..])
    );
}

#[test]
fn a_job_that_is_deleted_at_one_node_alone_is_not_over() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(0, copies(2));
    assert_eq!(shoal.count(1, Command::DelJob(vec![id])), 1);
    assert_eq!(ask_known(&mut shoal, 1, id).standing, Standing::Queued);
    assert_eq!(shoal.count(0, Command::EndJob(vec![id])), 1);
    shoal.advance_ms(100);
    assert_eq!(
        ask_known(&mut shoal, 1, id).standing,
        Standing::Ended(Outcome::Deleted)
    );
}

#[test]
fn a_withdrawn_job_says_so() {
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    shoal.send(
        0,
        1,
        Command::AddJob(AddJob {
            timeout: Some(Duration::from_millis(200)),
            ..copies(3)
        }),
    );
    shoal.advance_ms(10);
    let id = first_job(&shoal);
    shoal.cut(0, 2);
    shoal.advance_ms(300);
    let told = explained_late(&mut shoal, id);
    assert_eq!(told.standing, Standing::Withdrawn, "{}", told.why);
}

#[test]
fn a_client_that_is_gone_is_not_answered() {
    let mut shoal = Shoal::new(2);
    shoal.hang(1);
    let id = JobId::from_bytes([3; 24]);
    let ticket = shoal.send(0, CLIENT, Command::Explain(Some(id)));
    shoal.feed(0, Event::Disconnected(ClientId(CLIENT)));
    shoal.advance_ms(2000);
    assert!(shoal.answer(0, ticket).is_none());
}
