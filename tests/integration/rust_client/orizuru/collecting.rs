//! Orizuru's tests of its collector. There is nothing to run in its place: dead letters are sent back, and the rest comes again.

use super::*;

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
