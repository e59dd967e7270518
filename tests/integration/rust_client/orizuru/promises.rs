//! What Orizuru's README promises and its code does not keep.

use super::*;

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
