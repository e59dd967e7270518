//! What Orizuru's own integration tests show, test by test, and after that what its README promises and its code does not keep.
//!
//! A consumer of Orizuru has a list of messages in hand, and one of those that it did not acknowledge. Here a message is in hand as long
//! as its guard lives, a rejected one is a dead letter, and everything else is back in its queue.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shoalmq_client::{Consumer, Error, Frame, JobId, MessageGuard, Options, Raw, Shoal};

use super::worker::until;
use super::{Mail, address, push, run, run_with_node, runtime, shoal, take};
use crate::fixture::Node;

async fn len(shoal: &Shoal, queue: &str) -> u64 {
    shoal.len(queue).await.expect("a count")
}

async fn push_all(shoal: &Shoal, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        push(shoal, number).await;
    }
}

/// Pushes a mail that comes again once it was not heard of for a second.
async fn push_impatient(shoal: &Shoal, number: u32) -> JobId {
    let producer = shoal.producer("mails");
    let add = producer.add(&Mail { number }).expect("it is plain");
    let added = add.retry(Duration::from_secs(1)).await;
    added.expect("it is added").id
}

/// Takes mails, acknowledges them, and returns their numbers and earlier deliveries.
async fn take_all(consumer: &mut Consumer<Mail>, count: usize) -> BTreeMap<u32, u64> {
    let mut taken = BTreeMap::new();
    while taken.len() < count {
        let mail = take(consumer).await;
        taken.insert(mail.number, mail.earlier_deliveries());
        assert!(mail.ack().await.expect("it is acknowledged"), "once");
    }
    taken
}

async fn ask(shoal: &Shoal, command: &[&str]) -> Frame {
    let answer = shoal.raw(command, true).await;
    answer.expect("an answer")
}

/// What the server says of a job: `queued`, `active`, `dead`, …
async fn state(shoal: &Shoal, id: JobId) -> String {
    let told = shoal.raw(&[&b"EXPLAIN"[..], id.as_ref()], true).await;
    let told = told.expect("an answer");
    let pairs = told.as_array().expect("a map").as_chunks::<2>().0;
    let state = pairs
        .iter()
        .find(|[name, _]| name.as_str() == Some("state"));
    let [_, state] = state.expect("each job has a state");
    state.as_str().expect("text").to_owned()
}

/// How many clients of this name are connected.
async fn clients(shoal: &Shoal, name: &str) -> usize {
    let list = ask(shoal, &["CLIENT", "LIST"]).await;
    let name = format!("name={name}");
    let lines = list.as_str().expect("text").lines();
    lines
        .filter(|line| line.split(' ').any(|field| field == name))
        .count()
}

/// How often the node was told this command.
async fn calls(shoal: &Shoal, command: &str) -> u64 {
    let info = ask(shoal, &["INFO", "commandstats"]).await;
    let start = format!("cmdstat_{command}:calls=");
    let text = info.as_str().expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    let calls = line.and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

/// Sends the dead letters back where they came from, and returns how many there were: what is left of Orizuru's collector.
async fn redrive(shoal: &Shoal) -> i64 {
    let redriven = ask(shoal, &["REDRIVE", "mails.dead"]).await;
    redriven.as_integer().expect("a count")
}

/// `tests/consumer.rs`: `decodes_job`. Its bytes, which are fields without names, are read as well.
#[test]
fn a_message_is_decoded() {
    run_with_node(async |_, shoal| {
        let mut consumer = shoal.consumer::<Mail>("mails");
        push(&shoal, 42).await;
        let as_orizuru_encodes = [0x91, 42];
        let added = shoal.add("mails", as_orizuru_encodes).await;
        added.expect("it is added");
        for _ in 0..2 {
            let mail = take(&mut consumer).await;
            assert_eq!(mail.number, 42);
            mail.ack().await.expect("it is acknowledged");
        }
    });
}

/// `tests/consumer.rs`: `unacked_to_unack_queue`.
#[test]
fn an_unacknowledged_message_leaves_the_hand_and_comes_again() {
    run_with_node(async |_, shoal| {
        push(&shoal, 42).await;
        let mut consumer = shoal.consumer::<Mail>("mails");
        let mail = take(&mut consumer).await;
        let id = mail.id();
        assert_eq!(mail.number, 42);
        assert_eq!(state(&shoal, id).await, "active");
        assert_eq!(len(&shoal, "mails").await, 0);
        drop(mail);
        until(async || len(&shoal, "mails").await == 1).await;
        assert_eq!(state(&shoal, id).await, "queued");
        let again = take(&mut consumer).await;
        assert_eq!((again.id(), again.earlier_deliveries()), (id, 1));
    });
}

/// `tests/consumer.rs`: `rejected_to_unack_queue`, and `does_not_drop_unacked` of its first version.
#[test]
fn a_rejected_message_leaves_the_hand_and_is_a_dead_letter() {
    run_with_node(async |_, shoal| {
        push(&shoal, 42).await;
        let mut consumer = shoal.consumer::<Mail>("mails");
        let mail = take(&mut consumer).await;
        let id = mail.id();
        assert_eq!(mail.number, 42);
        assert_eq!(state(&shoal, id).await, "active");
        assert!(mail.reject("no such street").await.expect("it is buried"));
        assert_eq!(state(&shoal, id).await, "dead");
        let lengths = (len(&shoal, "mails").await, len(&shoal, "mails.dead").await);
        assert_eq!(lengths, (0, 1));
        assert_eq!(consumer.given_back(), 0, "it was not given back as well");
    });
}

/// `tests/consumer.rs`: `acked_are_released`.
#[test]
fn an_acknowledged_message_is_gone() {
    run_with_node(async |_, shoal| {
        push(&shoal, 42).await;
        let mut consumer = shoal.consumer::<Mail>("mails");
        let mail = take(&mut consumer).await;
        let id = mail.id();
        assert!(mail.ack().await.expect("it is acknowledged"), "once");
        assert_eq!(state(&shoal, id).await, "acked");
        let lengths = (len(&shoal, "mails").await, len(&shoal, "mails.dead").await);
        assert_eq!(lengths, (0, 0));
        assert_eq!(shoal.ack([id]).await.expect("a count"), 0, "not twice");
    });
}

/// `tests/consumer.rs`: `can_be_stopped`. There the message in hand counts as not acknowledged, and nobody reads that list.
#[test]
fn a_consumer_that_is_stopped_leaves_the_rest_in_the_queue() {
    run_with_node(async |_, shoal| {
        push_all(&shoal, 1..=3).await;
        assert_eq!(len(&shoal, "mails").await, 3);
        let mut consumer = shoal.consumer::<Mail>("mails");
        let stopper = consumer.stopper();
        let mut in_hand = Vec::new();
        while let Some(mail) = consumer.next().await {
            in_hand.push(mail.expect("it is a mail"));
            stopper.stop();
        }
        assert_eq!((in_hand.len(), len(&shoal, "mails").await), (1, 2));
        assert!(consumer.next().await.is_none(), "it stays stopped");
        drop(in_hand);
        until(async || len(&shoal, "mails").await == 3).await;
    });
}

/// `tests/consumer.rs`: `no_heartbeat`. A consumer asks every 2 s, so it was there for a while when it asked twice.
#[test]
fn nothing_is_said_for_a_consumer_with_empty_hands() {
    run_with_node(async |node, shoal| {
        let mut consumer = shoal.consumer::<Mail>("mails");
        let waits = tokio::spawn(async move { consumer.next().await.is_none() });
        node.wait_for_blocked(1);
        until(async || calls(&shoal, "getjob").await >= 2).await;
        assert_eq!(calls(&shoal, "working").await, 0);
        assert!(!waits.is_finished());
    });
}

/// `tests/consumer.rs`: `one_heartbeat`. Here it is of the message, and nobody has to call for it.
#[test]
fn a_message_in_hand_is_spoken_of() {
    run_with_node(async |_, shoal| {
        let id = push_impatient(&shoal, 1).await;
        let mut consumer = shoal.consumer::<Mail>("mails");
        let mail = take(&mut consumer).await;
        until(async || calls(&shoal, "working").await > 0).await;
        assert_eq!(state(&shoal, id).await, "active");
        assert!(!mail.is_lost());
        mail.ack().await.expect("it is acknowledged");
    });
}

/// `tests/consumer.rs`: `multiple_heartbeat`. A third of its retry is between two of them, so seven take longer than the retry, twice.
#[test]
fn a_message_in_hand_is_spoken_of_again_and_again() {
    run_with_node(async |_, shoal| {
        let id = push_impatient(&shoal, 1).await;
        let mut consumer = shoal.consumer::<Mail>("mails");
        let mail = take(&mut consumer).await;
        let taken = Instant::now();
        until(async || calls(&shoal, "working").await >= 7).await;
        assert!(taken.elapsed() > Duration::from_secs(2));
        assert_eq!(state(&shoal, id).await, "active");
        let others = shoal.get(["mails"]).await.expect("an answer");
        assert_eq!(others, [], "nobody else gets it");
        assert!(mail.ack().await.expect("it is acknowledged"), "still ours");
    });
}

/// `tests/consumer.rs`: `register`. Its connection is the registration.
#[test]
fn a_consumer_is_known_until_it_is_gone() {
    run_with_node(async |node, shoal| {
        let options = Options::new([address(node)]).name("consumer-1");
        let named = Shoal::connect_with(options).await;
        let named = named.expect("the node is there");
        assert_eq!(clients(&shoal, "consumer-1").await, 1, "the handle");
        let mut consumer = named.consumer::<Mail>("mails");
        let waits = tokio::spawn(async move { consumer.next().await.is_none() });
        node.wait_for_blocked(1);
        assert_eq!(clients(&shoal, "consumer-1").await, 2);
        waits.abort();
        until(async || clients(&shoal, "consumer-1").await == 1).await;
        drop(named);
        until(async || clients(&shoal, "consumer-1").await == 0).await;
    });
}

/// `tests/gc.rs`: `collect_one_runs_with_no_jobs`.
#[test]
fn there_is_nothing_to_send_back_where_nothing_was_rejected() {
    run_with_node(async |_, shoal| {
        assert_eq!(redrive(&shoal).await, 0);
        push(&shoal, 1).await;
        assert_eq!(redrive(&shoal).await, 0);
        assert_eq!(len(&shoal, "mails").await, 1);
    });
}

/// `tests/gc.rs`: `collect_one_runs_with_some_jobs`. Its README says "returns them to the source queue", and so it is here.
#[test]
fn rejected_messages_are_sent_back_to_their_queue() {
    run_with_node(async |_, shoal| {
        push_all(&shoal, 0..3).await;
        let mut consumer = shoal.consumer::<Mail>("mails");
        for _ in 0..3 {
            let mail = take(&mut consumer).await;
            assert!(mail.reject("not today").await.expect("it is buried"));
        }
        assert_eq!(len(&shoal, "mails.dead").await, 3);
        assert_eq!(redrive(&shoal).await, 3);
        assert_eq!(redrive(&shoal).await, 0);
        let taken = take_all(&mut consumer, 3).await;
        let wanted = (0..3).map(|number| (number, 0)).collect();
        assert_eq!(taken, wanted, "they begin again");
    });
}

/// `tests/gc.rs`: `collect_noop_with_no_consumers`. Waiting for its end is over after one and a half retries.
#[test]
fn a_message_that_nobody_took_is_left_alone() {
    run_with_node(async |_, shoal| {
        let id = push_impatient(&shoal, 1).await;
        let end = shoal.wait([id]).timeout(Duration::from_millis(1500)).await;
        end.expect("an answer");
        assert_eq!(state(&shoal, id).await, "queued");
        assert_eq!(redrive(&shoal).await, 0);
        let mail = take(&mut shoal.consumer::<Mail>("mails")).await;
        assert_eq!((mail.id(), mail.earlier_deliveries()), (id, 0));
        mail.ack().await.expect("it is acknowledged");
    });
}

/// `tests/gc.rs`: `collect_runs_with_a_consumer_and_no_jobs`.
#[test]
fn sending_nothing_back_does_not_wake_a_consumer() {
    run_with_node(async |node, shoal| {
        let mut consumer = shoal.consumer::<Mail>("mails");
        let waits = tokio::spawn(async move { take(&mut consumer).await.number });
        node.wait_for_blocked(1);
        assert_eq!(redrive(&shoal).await, 0);
        node.wait_for_blocked(1);
        assert!(!waits.is_finished());
        push(&shoal, 7).await;
        assert_eq!(waits.await.expect("no panic"), 7);
    });
}

/// `tests/gc.rs`: `collect_runs_with_a_consumer_and_some_jobs`. The worker that took them says nothing any more, and nobody collects them.
#[test]
fn orphaned_messages_come_again_by_themselves() {
    run_with_node(async |_, shoal| {
        for number in 0..6 {
            push_impatient(&shoal, number).await;
        }
        let taken = shoal.get(["mails"]).count(6).await;
        assert_eq!(taken.expect("an answer").len(), 6);
        let taken = take_all(&mut shoal.consumer("mails"), 6).await;
        let wanted = (0..6).map(|number| (number, 1)).collect();
        assert_eq!(taken, wanted, "each a second time");
    });
}

/// `tests/producer.rs`: `producer_can_enqueue`.
#[test]
fn what_a_producer_pushes_a_consumer_gets() {
    run_with_node(async |_, shoal| {
        let producer = shoal.producer("mails");
        let mut consumer = shoal.consumer::<Mail>("mails");
        assert_eq!(len(&shoal, "mails").await, 0);
        let pushed = producer.push(&Mail { number: 53 }).await;
        let id = pushed.expect("it is added");
        assert_eq!(len(&shoal, "mails").await, 1);
        let mail = take(&mut consumer).await;
        assert_eq!((mail.id(), mail.number), (id, 53));
        mail.ack().await.expect("it is acknowledged");
    });
}

/// `tests/all.rs`: `mixed_one_consumer`. Its collector finds the same seven, six of them rejected and one that nobody spoke of.
#[test]
fn acknowledged_rejected_and_left_messages_of_one_consumer() {
    run_with_node(async |node, shoal| {
        let options = Options::new([address(node)]).name("consumer-1");
        let named = Shoal::connect_with(options).await;
        let named = named.expect("the node is there");
        push_all(&shoal, 0..15).await;
        let mut consumer = named.consumer::<Mail>("mails");
        let stopper = consumer.stopper();
        while let Some(mail) = consumer.next().await {
            let mail = mail.expect("it is a mail");
            match mail.number {
                0..=7 => assert!(mail.ack().await.expect("it is acknowledged")),
                8..=13 => assert!(mail.reject("no").await.expect("it is buried")),
                _ => stopper.stop(),
            }
        }
        assert!(consumer.next().await.is_none());
        assert_eq!(consumer.given_back(), 1);
        until(async || len(&shoal, "mails").await == 1).await;
        assert_eq!(redrive(&shoal).await, 6);
        assert_eq!(redrive(&shoal).await, 0);
        assert_eq!(len(&shoal, "mails").await, 7);
        drop((consumer, named));
        until(async || clients(&shoal, "consumer-1").await == 0).await;
        let taken = take_all(&mut shoal.consumer("mails"), 7).await;
        assert!(taken.keys().copied().eq(8..15), "{taken:?}");
    });
}

/// `src/message.rs`: `cant_decode_if_not_msgpack`. There its bytes stay in the list of its consumer for ever.
#[test]
fn what_cannot_be_decoded_is_kept_where_it_can_be_read() {
    run_with_node(async |_, shoal| {
        let added = shoal.add("mails", [1, 2, 3]).await;
        let id = added.expect("it is added").id;
        let mut consumer = shoal.consumer::<Mail>("mails");
        let Some(Err(Error::Decode(error))) = consumer.next().await else {
            panic!("it is no mail")
        };
        let mut dead = shoal.consumer::<Raw>("mails.dead");
        let letter = dead.next().await.expect("nobody stopped it");
        let letter = letter.expect("bytes");
        assert_eq!((letter.id(), &letter.0[..]), (id, &[1, 2, 3][..]));
        let how = letter.dead().expect("it died");
        assert_eq!(String::from_utf8_lossy(&how.text), error.to_string());
    });
}

/// Orizuru's example programs, the one that pushes and the one that works. Changed are the `use` line, the address, and what being async
/// asks for; what is done is acknowledged, since it comes again otherwise.
#[test]
fn orizurus_example_runs() {
    use shoalmq_client::Shoal;

    #[derive(Deserialize, Serialize, Debug)]
    struct Job {
        id: u64,
    }

    async fn produce(node: String) -> Result<(), Error> {
        let shoal = Shoal::connect([node]).await?;
        let q = shoal.producer("orizuru-example");
        for i in 0..3 {
            println!("Pushing job {i}");
            q.push(&Job { id: i }).await?;
        }
        Ok(())
    }

    async fn work(node: String, last: u64) -> Result<Vec<u64>, Error> {
        let shoal = Shoal::connect([node]).await?;
        let mut worker = shoal.consumer::<Job>("orizuru-example");
        let stopper = worker.stopper();
        let mut done = Vec::new();
        while let Some(task) = worker.next().await {
            if task.is_err() {
                continue;
            }
            let task = task?;
            println!("Task: {:?}", *task);
            done.push(task.id);
            if task.id == last {
                stopper.stop();
            }
            task.ack().await?;
        }
        Ok(done)
    }

    let node = Node::start();
    run(async {
        produce(address(&node)).await.expect("they are added");
        let done = work(address(&node), 2).await;
        assert_eq!(done.expect("they are done"), [0, 1, 2]);
        assert_eq!(len(&shoal(&node).await, "orizuru-example").await, 0);
    });
}

/// Promised: many consumers, and each message goes to only one of them.
#[test]
fn each_message_goes_to_one_of_many_consumers() {
    const MAILS: u32 = 200;
    run_with_node(async |_, shoal| {
        let (sender, mut taken) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..4 {
            let mut consumer = shoal.consumer::<Mail>("mails");
            let sender = sender.clone();
            tokio::spawn(async move {
                loop {
                    let mail = take(&mut consumer).await;
                    let number = mail.number;
                    assert!(mail.ack().await.expect("it is acknowledged"), "once");
                    if sender.send(number).is_err() {
                        return;
                    }
                }
            });
        }
        push_all(&shoal, 0..MAILS).await;
        let mut numbers = Vec::new();
        while numbers.len() < MAILS as usize {
            numbers.push(taken.recv().await.expect("somebody works"));
        }
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..MAILS), "each once");
        assert!(taken.try_recv().is_err(), "and no other");
    });
}

/// Promised: jobs outlive the crash of their worker. In Orizuru they stay in the list of the one that is gone.
#[test]
fn what_a_dead_worker_had_in_hand_comes_again() {
    let node = Node::start();
    let gone = runtime();
    let in_hand: MessageGuard<Mail> = gone.block_on(async {
        let shoal = shoal(&node).await;
        push_impatient(&shoal, 1).await;
        take(&mut shoal.consumer("mails")).await
    });
    // All its tasks end where they are, and nothing is said of the job any more.
    gone.shutdown_background();
    run(async {
        let shoal = shoal(&node).await;
        let mail = take(&mut shoal.consumer::<Mail>("mails")).await;
        assert_eq!(calls(&shoal, "nack").await, 0, "nobody gave it back");
        let told = (mail.id(), mail.earlier_deliveries());
        assert_eq!(told, (in_hand.id(), 1));
        assert!(mail.ack().await.expect("it is acknowledged"), "once");
        assert!(matches!(in_hand.ack().await, Err(Error::Gone)));
    });
}

/// Promised: what is not collected is a dead letter. In Orizuru no program is told where, why, or how often it was tried.
#[test]
fn a_dead_letter_is_read_with_its_reason() {
    run_with_node(async |_, shoal| {
        push(&shoal, 1).await;
        let mut consumer = shoal.consumer::<Mail>("mails");
        drop(take(&mut consumer).await);
        let mail = take(&mut consumer).await;
        let id = mail.id();
        mail.reject("no such street").await.expect("it is buried");
        let letter = take(&mut shoal.consumer::<Mail>("mails.dead")).await;
        assert_eq!((letter.id(), letter.number), (id, 1));
        let dead = letter.dead().expect("it died");
        assert_eq!(dead.from, "mails");
        assert_eq!(
            (&dead.reason[..], &dead.text[..]),
            (&b"nack"[..], &b"no such street"[..])
        );
        assert_eq!(dead.deliveries, 2);
        assert!(letter.ack().await.expect("it is acknowledged"));
        assert_eq!(redrive(&shoal).await, 0);
    });
}

/// Promised: acknowledged messages are removed. Orizuru removes any that has the same bytes.
#[test]
fn equal_messages_are_told_apart() {
    run_with_node(async |_, shoal| {
        push_all(&shoal, [7, 7, 7]).await;
        let mut consumer = shoal.consumer::<Mail>("mails");
        let first = take(&mut consumer).await;
        let second = take(&mut consumer).await;
        let third = take(&mut consumer).await;
        let (id, acked, sent) = (first.id(), second.id(), third.id());
        assert!(second.ack().await.expect("it is acknowledged"));
        assert!(third.push("letters").await.expect("it goes there"));
        assert_eq!(state(&shoal, id).await, "active", "it is still in hand");
        assert_eq!(state(&shoal, acked).await, "acked");
        drop(first);
        let again = take(&mut consumer).await;
        assert_eq!((again.id(), again.earlier_deliveries()), (id, 1));
        assert!(again.ack().await.expect("it is acknowledged"));
        let letter = take(&mut shoal.consumer::<Mail>("letters")).await;
        assert_eq!(letter.id(), sent);
        assert!(letter.ack().await.expect("it is acknowledged"));
    });
}

/// Promised: `push` moves a message in one step, "to implement retries". In Orizuru the one that comes again knows nothing of the first.
#[test]
fn a_message_that_is_sent_on_stays_the_job_that_it_is() {
    run_with_node(async |_, shoal| {
        let producer = shoal.producer("mails");
        let add = producer.add(&Mail { number: 1 }).expect("it is plain");
        let id = add.meta("from", "ada").await.expect("it is added").id;
        let mail = take(&mut shoal.consumer::<Mail>("mails")).await;
        assert!(mail.push("letters").await.expect("it goes there"));
        let letter = take(&mut shoal.consumer::<Mail>("letters")).await;
        assert_eq!((letter.id(), letter.queue()), (id, &b"letters"[..]));
        assert_eq!(letter.meta().get("from"), Some(&b"ada"[..]));
        assert_eq!(letter.earlier_deliveries(), 1);
        assert!(letter.ack().await.expect("it is acknowledged"));
        assert_eq!(len(&shoal, "mails").await, 0);
    });
}

/// Promised: `stop` ends a consumer. Orizuru's looks only before it waits, and it waits for ever.
#[test]
fn stopping_wakes_a_consumer_that_waits() {
    run_with_node(async |node, shoal| {
        let mut consumer = shoal.consumer::<Mail>("mails");
        let stopper = consumer.stopper();
        let waits = tokio::spawn(async move { consumer.next().await.is_none() });
        node.wait_for_blocked(1);
        stopper.stop();
        assert!(waits.await.expect("no panic"), "it waited, and was woken");
        push(&shoal, 1).await;
        until(async || len(&shoal, "mails").await == 1).await;
        let mail = take(&mut shoal.consumer::<Mail>("mails")).await;
        mail.ack().await.expect("it is acknowledged");
    });
}

/// Promised: reliable. Orizuru's connection is never made again, and each call fails from then on.
#[test]
fn a_restart_of_the_server_is_only_a_wait() {
    let mut node = Node::with("--appendonly yes --appendfsync always");
    let runtime = runtime();
    let shoal = runtime.block_on(shoal(&node));
    let mut consumer = shoal.consumer::<Mail>("mails");
    let in_hand = runtime.block_on(async {
        push_impatient(&shoal, 1).await;
        push_impatient(&shoal, 2).await;
        take(&mut consumer).await
    });
    node.restart_after_kill();
    runtime.block_on(async {
        assert!(in_hand.ack().await.expect("it is acknowledged"), "once");
        let taken = take_all(&mut consumer, 1).await;
        assert!(taken.into_keys().eq([2]), "it was on the disk");
    });
    let waits = runtime.spawn(async move { take(&mut consumer).await.number });
    node.wait_for_blocked(1);
    node.restart_cleanly();
    run(async {
        let producer = shoal.producer("mails");
        let add = producer.add(&Mail { number: 3 }).expect("it is plain");
        add.unique_per_call().await.expect("it is added");
        assert_eq!(waits.await.expect("no panic"), 3);
    });
}

/// Promised: executions are retried. Orizuru counts no attempts, so what never works is tried for ever.
#[test]
fn attempts_are_counted_and_come_to_an_end() {
    run_with_node(async |_, shoal| {
        let producer = shoal.producer("mails");
        let add = producer.add(&Mail { number: 1 }).expect("it is plain");
        let id = add.max_deliver(3).await.expect("it is added").id;
        let mut consumer = shoal.consumer::<Mail>("mails");
        for earlier in 0..3 {
            let mail = take(&mut consumer).await;
            assert_eq!((mail.id(), mail.earlier_deliveries()), (id, earlier));
        }
        let letter = take(&mut shoal.consumer::<Mail>("mails.dead")).await;
        let dead = letter.dead().expect("it died");
        assert_eq!((&dead.reason[..], dead.deliveries), (&b"deliveries"[..], 3));
        assert!(letter.ack().await.expect("it is acknowledged"));
        assert_eq!(len(&shoal, "mails").await, 0);
    });
}

/// Orizuru has no delay, neither for a new message nor for one that failed.
#[test]
fn a_delay_holds_a_message_back() {
    const DELAY: Duration = Duration::from_secs(1);
    run_with_node(async |_, shoal| {
        let mut consumer = shoal.consumer::<Mail>("mails");
        let mut begun = Instant::now();
        let producer = shoal.producer("mails");
        let add = producer.add(&Mail { number: 1 }).expect("it is plain");
        add.delay(DELAY).await.expect("it is added");
        for earlier in 0..2 {
            assert_eq!(len(&shoal, "mails").await, 0);
            let mail = take(&mut consumer).await;
            assert!(begun.elapsed() >= DELAY, "{:?}", begun.elapsed());
            assert_eq!(mail.earlier_deliveries(), earlier);
            begun = Instant::now();
            assert!(mail.retry_in(DELAY).await.expect("it waits"));
        }
        let mail = take(&mut consumer).await;
        assert!(begun.elapsed() >= DELAY, "{:?}", begun.elapsed());
        assert!(mail.ack().await.expect("it is acknowledged"));
    });
}

/// Promised: flexible. Orizuru's fields have no names, so an old message is not read as a type that has one field more.
#[test]
fn an_old_message_is_read_as_a_newer_type() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Newer {
        #[serde(default)]
        copies: u32,
        number: u32,
    }

    run_with_node(async |_, shoal| {
        push(&shoal, 7).await;
        let mut consumer = shoal.consumer::<Newer>("mails");
        let newer = consumer.next().await.expect("nobody stopped it");
        let newer = newer.expect("it is a mail");
        let wanted = Newer {
            copies: 0,
            number: 7,
        };
        assert_eq!(*newer, wanted);
        assert!(newer.ack().await.expect("it is acknowledged"));
    });
}
