//! What Orizuru's own integration tests show, test by test ([`consuming`], [`collecting`], and the rest here), and what its README promises
//! and its code does not keep ([`promises`]).
//!
//! A consumer of Orizuru has a list of messages in hand, and one of those that it did not acknowledge. Here a message is in hand as long
//! as its guard lives, a rejected one is a dead letter, and everything else is back in its queue.

mod collecting;
mod consuming;
mod promises;

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
    let known = shoal.explain(id).await.expect("an answer");
    known.expect("it is known").state
}

/// Pushes a mail, and takes it: it is in hand then, and not in its queue.
async fn push_and_take(shoal: &Shoal, consumer: &mut Consumer<Mail>) -> MessageGuard<Mail> {
    push(shoal, 42).await;
    let mail = take(consumer).await;
    assert_eq!(mail.number, 42);
    assert_eq!(state(shoal, mail.id()).await, "active");
    assert_eq!(len(shoal, "mails").await, 0);
    mail
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
async fn redrive(shoal: &Shoal) -> u64 {
    shoal.redrive("mails.dead").await.expect("a count")
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
