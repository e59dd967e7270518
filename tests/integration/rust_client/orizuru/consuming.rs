//! Orizuru's tests of a consumer: messages in hand, acknowledged, rejected or left, and heartbeats.

use super::*;

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
        let mut consumer = shoal.consumer::<Mail>("mails");
        let mail = push_and_take(&shoal, &mut consumer).await;
        let id = mail.id();
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
        let mut consumer = shoal.consumer::<Mail>("mails");
        let mail = push_and_take(&shoal, &mut consumer).await;
        let id = mail.id();
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
