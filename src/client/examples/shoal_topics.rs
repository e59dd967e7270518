//! Publishes entries, follows channels by a pattern, and goes on from where a named reader was.
//!
//! ```text
//! cargo run -p shoalmq-client --example shoal_topics 127.0.0.1:7711
//! ```

use shoalmq_client::{Error, Item, Shoal, Start};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1);
    let shoal = Shoal::connect([address.unwrap_or_else(|| "127.0.0.1:7711".to_owned())]).await?;

    let mut orders = shoal.subscribe(["orders.*"]).await?;
    for (channel, body) in [
        ("orders.eu", "tea"),
        ("orders.us", "coffee"),
        ("orders.eu", "milk"),
    ] {
        let id = shoal.publish(channel, body).await?;
        println!("published {id}");
    }
    for _ in 0..3 {
        if let Item::Entry(entry) = orders.next().await? {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            println!("live: {} on {}", text(&entry.body), text(&entry.channel));
        }
    }

    // The cluster keeps how far the reader `billing` has come: run this again, and it goes on there.
    let mut billing = shoal.subscribe(["orders.*"]).named("billing").await?;
    for _ in 0..2 {
        let item = billing.next().await?;
        println!("billing: {:?}", item.entry().map(|entry| &entry.body));
    }
    billing.commit().await?;

    // A page of what is kept, from the beginning.
    let page = shoal
        .read(["orders.*"])
        .from(Start::Oldest)
        .count(2)
        .await?;
    println!(
        "replayed {} entries; more behind {}",
        page.items.len(),
        page.cursor
    );
    Ok(())
}
