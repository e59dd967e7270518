//! Topics over the Rust client: what is published is read once and in order, wherever the reader is and whatever happens to its node.

use std::time::Duration;

use shoalmq_client::{Error, Item, Options, Shoal, Start, Subscription};

use super::{Mail, address, kill_restart_and_stall, run, run_with_node, runtime};
use crate::fixture::Node;

async fn next(subscription: &mut Subscription) -> (String, String) {
    let item = subscription.next().await.expect("a node is there");
    let Item::Entry(entry) = item else {
        panic!("{item:?}")
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&entry.channel), text(&entry.body))
}

fn pair(channel: &str, body: &str) -> (String, String) {
    (channel.to_owned(), body.to_owned())
}

#[test]
fn entries_are_published_read_and_subscribed_to() {
    run_with_node(async |_, shoal| {
        let old = shoal.publish("orders.eu", "one").meta("from", "ada").await;
        let old = old.expect("it is published");
        let mut live = shoal.subscribe(["orders.*"]).await.expect("it begins");
        shoal
            .publish("orders.us", "two")
            .await
            .expect("it is published");
        shoal
            .publish("other", "three")
            .await
            .expect("it is published");
        assert_eq!(next(&mut live).await, pair("orders.us", "two"));
        let mut all = shoal
            .subscribe(["*"])
            .from(Start::Oldest)
            .await
            .expect("it begins");
        assert_eq!(next(&mut all).await, pair("orders.eu", "one"));
        assert_eq!(next(&mut all).await, pair("orders.us", "two"));
        let rest = shoal
            .read(["*"])
            .from(Start::Cursor(all.cursor().to_owned()))
            .await;
        let rest = rest.expect("a page");
        let [Item::Entry(entry)] = &rest.items[..] else {
            panic!("{rest:?}")
        };
        assert_eq!(&entry.body[..], b"three");
        let first = shoal.read(["orders.*"]).to(&old).await.expect("a page");
        let [Item::Entry(entry)] = &first.items[..] else {
            panic!("{first:?}")
        };
        assert_eq!(
            (&entry.id, entry.meta.get("from")),
            (&old, Some(&b"ada"[..]))
        );
        let again = shoal.read(["*"]).from(Start::Cursor(rest.cursor)).await;
        assert_eq!(again.expect("a page").items, []);
    });
}

#[test]
fn messages_and_keys_of_entries() {
    run_with_node(async |_, shoal| {
        let mail = Mail { number: 7 };
        let body = shoalmq_client::MessageEncodable::encode(&mail).expect("it is plain");
        let one = shoal
            .publish("c", body.clone())
            .unique("k")
            .await
            .expect("it is published");
        let same = shoal
            .publish("c", body)
            .unique("k")
            .await
            .expect("it is there");
        assert_eq!(one, same);
        let page = shoal.read(["c"]).await.expect("a page");
        let [Item::Entry(entry)] = &page.items[..] else {
            panic!("{page:?}")
        };
        assert_eq!(entry.decode::<Mail>().expect("a mail"), mail);
    });
}

#[test]
fn a_name_goes_on_behind_what_was_committed() {
    run_with_node(async |node, shoal| {
        for body in ["one", "two", "three"] {
            shoal.publish("c", body).await.expect("it is published");
        }
        let mut first = shoal.subscribe(["c"]).named("r").await.expect("it begins");
        assert_eq!(next(&mut first).await.1, "one");
        first.commit().await.expect("it is kept");
        assert_eq!(next(&mut first).await.1, "two");
        let mut second = shoal.subscribe(["c"]).named("r").await.expect("it begins");
        assert_eq!(next(&mut second).await.1, "two");
        // It goes on from a cursor after its connection is gone, and still knows its name.
        let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
        node.connect().call(&kill.join(" "));
        assert_eq!(next(&mut second).await.1, "three");
        second.commit().await.expect("it is kept");
        let set = shoal.raw(&["TCURSOR", "r", "SET", "0"], true).await;
        set.expect("it is set");
        let stale = second
            .commit()
            .await
            .expect_err("it was set to another place");
        assert_eq!(stale.code(), Some("STALE"));
    });
}

#[test]
fn what_a_subscription_cannot_have_is_told() {
    run_with_node(async |_, shoal| {
        let error = shoal
            .subscribe(["c"])
            .from(Start::Cursor("x".to_owned()))
            .await;
        assert!(
            matches!(&error, Err(Error::Refused(text)) if text.contains("'x'")),
            "{error:?}"
        );
        let nameless = shoal.subscribe(["c"]).await.expect("it begins");
        let error = nameless.commit().await.expect_err("it has no name");
        assert!(error.to_string().contains("without a name"), "{error}");
    });
}

/// A publisher and a subscriber, through kills, clean restarts and a stall.
#[test]
fn a_subscription_misses_nothing_and_repeats_nothing() {
    const ENTRIES: u32 = 2000;
    let mut node = Node::with("--appendonly yes --appendfsync always");
    let runtime = runtime();
    let options = Options::new([address(&node)]).answer_timeout(Duration::from_millis(500));
    let shoal = runtime.block_on(Shoal::connect_with(options));
    let shoal = shoal.expect("the node is there");
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let reads = runtime.spawn({
        let shoal = shoal.clone();
        async move {
            let mut entries = shoal.subscribe(["c"]).await.expect("it begins");
            begun.send(()).expect("somebody waits for it");
            let mut read = Vec::new();
            while read.len() < ENTRIES as usize {
                read.push(next(&mut entries).await.1);
            }
            let more = tokio::time::timeout(Duration::from_millis(500), entries.next()).await;
            assert!(more.is_err(), "nothing comes twice: {more:?}");
            read
        }
    });
    runtime.block_on(has_begun).expect("it begins");
    let publishes = runtime.spawn(async move {
        for number in 0..ENTRIES {
            let publish = shoal.publish("c", number.to_string());
            let published = publish.unique(format!("k{number}")).await;
            published.expect("it is published, sooner or later");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    kill_restart_and_stall(&mut node);
    run(async {
        publishes.await.expect("no panic");
        let wanted: Vec<String> = (0..ENTRIES).map(|number| number.to_string()).collect();
        assert_eq!(reads.await.expect("no panic"), wanted);
    });
}
