//! The Rust client against real nodes: what is pushed is done once, through kills, restarts and a node that hangs.

mod orizuru;
mod soaks;
mod topics;
mod worker;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoalmq_client::testing::TestServer;
use shoalmq_client::{Consumer, Error, MessageGuard, Options, Raw, Shoal};
use tokio::runtime::Runtime;

use crate::fixture::{DEADLINE, Launch, Node};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Mail {
    number: u32,
}

fn address(node: &Node) -> String {
    format!("127.0.0.1:{}", node.port())
}

async fn shoal(node: &Node) -> Shoal {
    Shoal::connect([address(node)])
        .await
        .expect("the node is there")
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let builder = builder.worker_threads(2).enable_all();
    builder.build().expect("threads")
}

/// Runs a test, which may not take longer than anything here should.
fn run(test: impl Future<Output = ()>) {
    runtime().block_on(async {
        tokio::time::timeout(DEADLINE * 3, test)
            .await
            .expect("it ends in time");
    });
}

/// The same with a node of its own.
fn run_with_node(test: impl AsyncFnOnce(&Node, Shoal)) {
    let node = Node::start();
    run(async { test(&node, shoal(&node).await).await });
}

async fn push(shoal: &Shoal, number: u32) {
    let pushed = shoal.producer("mails").push(&Mail { number }).await;
    pushed.expect("it is added");
}

async fn take(consumer: &mut Consumer<Mail>) -> MessageGuard<Mail> {
    let message = consumer.next().await.expect("nobody stopped it");
    message.expect("it is a mail")
}

/// Kills it and restarts it cleanly in turns, with some time between, and lets it stand still once for 2 s.
fn kill_restart_and_stall(node: &mut Node) {
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(400));
        if round == 2 {
            node.freeze();
            std::thread::sleep(Duration::from_secs(2));
            node.thaw();
        } else if round % 2 == 0 {
            node.restart_after_kill();
        } else {
            node.restart_cleanly();
        }
    }
}

#[test]
fn what_is_pushed_is_handed_out_and_acknowledged() {
    run_with_node(async |_, shoal| {
        let producer = shoal.producer("mails");
        let mut consumer = shoal.consumer::<Mail>("mails").prefetch(10);
        for number in 0..100 {
            producer.push(&Mail { number }).await.expect("it is added");
        }
        for number in 0..100 {
            let mail = take(&mut consumer).await;
            assert_eq!(*mail, Mail { number });
            assert!(mail.ack().await.expect("it is acknowledged"), "once");
        }
        assert_eq!(shoal.len("mails").await.expect("a count"), 0);
    });
}

#[test]
fn many_adds_are_in_flight_on_one_connection() {
    run_with_node(async |_, shoal| {
        let tasks: Vec<_> = (0..1000)
            .map(|number| {
                let producer = shoal.producer("mails");
                tokio::spawn(async move { producer.push(&Mail { number }).await })
            })
            .collect();
        let mut ids = BTreeSet::new();
        for task in tasks {
            ids.insert(task.await.expect("no panic").expect("it is added"));
        }
        assert_eq!(ids.len(), 1000);
        assert_eq!(shoal.len("mails").await.expect("a count"), 1000);
        let clients = shoal.raw(&["CLIENT", "LIST"], true).await.expect("a list");
        let clients = clients.as_str().expect("text").lines().count();
        assert_eq!(clients, 1, "one connection, and none of a consumer");
    });
}

#[test]
fn a_test_server_is_killed_stopped_and_started_again() {
    run(async {
        let binary = env!("CARGO_BIN_EXE_shoalmq");
        let flags = ["--appendonly", "yes", "--appendfsync", "always"];
        let mut server = TestServer::start_binary(binary, flags)
            .await
            .expect("it starts");
        let shoal = server.connect().await.expect("the node is there");
        let add = async |body: &str| shoal.add("mails", body).id().await.expect("it is added");
        let one = add("one").await;
        server.kill().expect("it is killed");
        server.restart().await.expect("it starts again");
        let two = add("two").await;
        server.stop().await.expect("it stops");
        server.restart().await.expect("it starts again");
        for id in [one, two] {
            let known = shoal.explain(id).await.expect("an answer");
            assert!(known.is_some(), "{}", server.log());
        }
        let missing = TestServer::start_binary("/no/such/file", flags).await;
        let error = missing.expect_err("there is none").to_string();
        assert!(
            error.contains("/no/such/file") && error.contains("SHOALMQ"),
            "{error}"
        );
    });
}

#[test]
fn a_guard_that_is_dropped_gives_its_job_back() {
    run_with_node(async |_, shoal| {
        push(&shoal, 7).await;
        let mut consumer = shoal.consumer::<Mail>("mails");
        let first = take(&mut consumer).await;
        let id = first.id();
        drop(first);
        let again = take(&mut consumer).await;
        assert_eq!((again.id(), again.earlier_deliveries()), (id, 1));
        assert_eq!(consumer.given_back(), 1);
        again.ack().await.expect("it is acknowledged");
    });
}

#[test]
fn what_cannot_be_decoded_or_done_is_a_dead_letter() {
    run_with_node(async |_, shoal| {
        shoal.add("mails", "no mail").await.expect("it is added");
        push(&shoal, 1).await;
        let mut consumer = shoal.consumer::<Mail>("mails");
        let error = consumer.next().await.expect("nobody stopped it");
        assert!(matches!(error, Err(Error::Decode(_))), "{error:?}");
        let mail = take(&mut consumer).await;
        assert!(
            mail.reject("nobody lives there")
                .await
                .expect("it is buried")
        );
        let dead = shoal.raw(&["QPEEK", "mails.dead", "2"], true).await;
        let dead = format!("{:?}", dead.expect("two dead letters"));
        assert_eq!(shoal.len("mails.dead").await.expect("a count"), 2, "{dead}");
        let mut dead = shoal.consumer::<Raw>("mails.dead");
        let first = dead
            .next()
            .await
            .expect("nobody stopped it")
            .expect("bytes");
        assert_eq!(&first.0[..], b"no mail");
        first.ack().await.expect("it is acknowledged");
    });
}

#[test]
fn a_message_is_tried_again_or_sent_on() {
    run_with_node(async |_, shoal| {
        push(&shoal, 1).await;
        let mut consumer = shoal.consumer::<Mail>("mails");
        let mail = take(&mut consumer).await;
        assert!(
            mail.retry_in(Duration::from_secs(1))
                .await
                .expect("it waits")
        );
        assert_eq!(shoal.len("mails").await.expect("a count"), 0, "it waits");
        let mail = take(&mut consumer).await;
        assert!(mail.push("letters").await.expect("it goes there"));
        let mut other = shoal.consumer::<Mail>("letters");
        let mail = take(&mut other).await;
        assert_eq!(mail.queue(), b"letters");
        mail.ack().await.expect("it is acknowledged");
    });
}

/// Its retry is 1 s, and it is in hand for 3 s.
#[test]
fn a_message_in_hand_is_not_handed_out_again() {
    run_with_node(async |_, shoal| {
        let producer = shoal.producer("mails");
        let add = producer.add(&Mail { number: 1 }).expect("it is plain");
        add.retry(Duration::from_secs(1))
            .await
            .expect("it is added");
        let mut consumer = shoal.consumer::<Mail>("mails");
        let mail = take(&mut consumer).await;
        let mut other = shoal.consumer::<Mail>("mails");
        let second = tokio::time::timeout(Duration::from_secs(3), other.next()).await;
        assert!(second.is_err(), "{second:?}");
        assert!(!mail.is_lost());
        assert!(mail.ack().await.expect("it is acknowledged"));
    });
}

#[test]
fn stopping_wakes_a_consumer_and_gives_back_what_it_took() {
    run_with_node(async |node, shoal| {
        for number in 0..3 {
            push(&shoal, number).await;
        }
        let mut consumer = shoal.consumer::<Mail>("mails").prefetch(3);
        let mail = take(&mut consumer).await;
        consumer.stopper().stop();
        assert!(consumer.next().await.is_none());
        mail.ack().await.expect("it is acknowledged");
        let mut other = shoal.consumer::<Mail>("mails");
        for _ in 0..2 {
            take(&mut other)
                .await
                .ack()
                .await
                .expect("it is acknowledged");
        }
        let stopper = other.stopper();
        let waits = tokio::spawn(async move { other.next().await.is_none() });
        node.wait_for_blocked(1);
        stopper.stop();
        assert!(waits.await.expect("no panic"), "it waited, and was woken");
    });
}

/// Its GETJOB still waits at the node, which hands the job out to it.
#[test]
fn a_job_that_comes_for_nobody_is_given_back() {
    run_with_node(async |node, shoal| {
        let mut gone = shoal.consumer::<Mail>("mails");
        let waits = tokio::time::timeout(Duration::from_millis(300), gone.next()).await;
        assert!(waits.is_err(), "there is nothing");
        node.wait_for_blocked(1);
        let producer = shoal.producer("mails");
        producer
            .push(&Mail { number: 1 })
            .await
            .expect("it is added");
        let mut other = shoal.consumer::<Mail>("mails");
        let mail = take(&mut other).await;
        assert_eq!(mail.earlier_deliveries(), 1, "the other one had it first");
        mail.ack().await.expect("it is acknowledged");
    });
}

/// Each may be handed out once. A consumer that took them and showed them to nobody gives them back, and they are no dead letters.
#[test]
fn what_nobody_has_seen_is_no_attempt() {
    run_with_node(async |node, shoal| {
        let producer = shoal.producer("mails");
        let push = async |number| {
            let add = producer.add(&Mail { number }).expect("it is plain");
            add.max_deliver(1).await.expect("it is added");
        };
        let mut first = shoal.consumer::<Mail>("mails");
        let waits = tokio::time::timeout(Duration::from_millis(300), first.next()).await;
        assert!(waits.is_err(), "there is nothing");
        node.wait_for_blocked(1);
        push(1).await;
        let mail = take(&mut first).await;
        mail.ack().await.expect("it is acknowledged");

        for number in 2..5 {
            push(number).await;
        }
        let mut many = shoal.consumer::<Mail>("mails").prefetch(3);
        let mail = take(&mut many).await;
        many.stop();
        assert!(many.next().await.is_none());
        mail.ack().await.expect("it is acknowledged");
        for _ in 0..2 {
            let mail = take(&mut first).await;
            mail.ack().await.expect("it is acknowledged");
        }
        assert_eq!(shoal.len("mails.dead").await.expect("a count"), 0);
    });
}

#[test]
fn a_wrong_password_and_nobody_there_are_told() {
    let node = Launch::new().password("right").start();
    run(async {
        let wrong = Options::new([address(&node)]).password("wrong");
        let denied = Shoal::connect_with(wrong).await;
        assert!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");
        let right = Options::new([address(&node)])
            .password("right")
            .name("mailer");
        let shoal = Shoal::connect_with(right).await.expect("it is let in");
        let name = shoal.raw(&["CLIENT", "GETNAME"], true).await;
        assert_eq!(name.expect("a name").as_str(), Some("mailer"));
        let nobody = Options::new(["127.0.0.1:1"]).patience(Duration::from_millis(300));
        let error = Shoal::connect_with(nobody).await;
        assert!(matches!(error, Err(Error::Unreachable(_))), "{error:?}");
    });
}

#[test]
fn an_add_whose_answer_is_lost_is_unknown_unless_it_has_a_key() {
    let node = Node::start();
    run(async {
        let options = Options::new([address(&node)]).answer_timeout(Duration::from_millis(200));
        let shoal = Shoal::connect_with(options)
            .await
            .expect("the node is there");
        node.freeze();
        let plain = shoal
            .add("mails", "plain")
            .timeout(Duration::from_millis(1))
            .id()
            .await;
        assert!(matches!(plain, Err(Error::Unknown)), "{plain:?}");
        let keyed = {
            let shoal = shoal.clone();
            tokio::spawn(async move { shoal.add("keyed", "keyed").unique_per_call().await })
        };
        // It is sent more than once before anybody answers.
        tokio::time::sleep(Duration::from_millis(700)).await;
        node.thaw();
        keyed.await.expect("no panic").expect("it is added");
        assert_eq!(shoal.len("keyed").await.expect("a count"), 1);
    });
}

#[test]
fn a_consumer_goes_on_through_kills_and_restarts() {
    const JOBS: u32 = 600;
    let mut node = Node::with("--appendonly yes --appendfsync always");
    let addresses = [address(&node)];
    let runtime = runtime();
    let shoal = runtime
        .block_on(Shoal::connect(addresses))
        .expect("the node is there");
    let pushes = {
        let producer = shoal.producer("mails");
        runtime.spawn(async move {
            for number in 0..JOBS {
                let add = producer.add(&Mail { number }).expect("it is plain");
                let add = add.retry(Duration::from_secs(1));
                add.unique_per_call()
                    .await
                    .expect("it is added, sooner or later");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    let works = {
        let mut consumer = shoal.consumer::<Mail>("mails").prefetch(5);
        runtime.spawn(async move {
            let mut done = BTreeSet::new();
            while done.len() < JOBS as usize {
                let mail = take(&mut consumer).await;
                let number = mail.number;
                mail.ack()
                    .await
                    .expect("it is acknowledged, sooner or later");
                done.insert(number);
            }
            done
        })
    };
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(400));
        if round % 2 == 0 {
            node.restart_after_kill();
        } else {
            node.restart_cleanly();
        }
    }
    run(async {
        pushes.await.expect("no panic");
        assert_eq!(works.await.expect("no panic"), (0..JOBS).collect());
    });
}

/// It knows the others from the one that leaves.
#[test]
fn a_leaving_node_sends_its_clients_to_others() {
    let cluster = crate::cluster::fixture::Shoal::start(3);
    run(async {
        let first = address(&cluster.nodes[0]);
        let shoal = Shoal::connect([first]).await.expect("the node is there");
        let producer = shoal.producer("mails");
        producer
            .push(&Mail { number: 1 })
            .await
            .expect("it is added");
        let mut consumer = shoal.consumer::<Mail>("mails");
        take(&mut consumer)
            .await
            .ack()
            .await
            .expect("it is acknowledged");
        let leaves = shoal.raw(&["CLUSTER", "LEAVING", "yes"], true).await;
        leaves.expect("it leaves");
        producer
            .push(&Mail { number: 2 })
            .await
            .expect("the other one takes it");
        assert_eq!(*take(&mut consumer).await, Mail { number: 2 });
    });
}
