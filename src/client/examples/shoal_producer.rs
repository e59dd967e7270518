//! Adds jobs: plain ones, ones with options, many at a time.
//!
//! ```text
//! cargo run -p shoalmq-client --example shoal_producer 127.0.0.1:7711
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoalmq_client::{Error, Job, Shoal};

#[derive(Debug, Serialize, Deserialize)]
struct Mail {
    to: String,
}

/// A type with a queue of its own; its jobs have the usual attempts and waits.
impl Job for Mail {
    const QUEUE: &'static str = "mails";
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1);
    let shoal = Shoal::connect([address.unwrap_or_else(|| "127.0.0.1:7711".to_owned())]).await?;
    let mail = |to: &str| Mail { to: to.to_owned() };

    let id = shoal.push(&mail("ada@example.org")).await?;
    println!("added {id}");

    let producer = shoal.producer::<Mail>("mails");
    let add = producer.add(&mail("bob@example.org"))?;
    let receipt = add.delay(Duration::from_mins(1)).max_deliver(5).await?;
    println!(
        "added {}, on {} nodes, for a minute from now",
        receipt.id, receipt.copies
    );

    // Twice the same key, and one job.
    for _ in 0..2 {
        let add = producer.add(&mail("cleo@example.org"))?;
        let receipt = add.unique("welcome-cleo", Duration::from_hours(1)).await?;
        println!("{} was there before: {}", receipt.id, receipt.is_existing);
    }

    // All of them are on their way at the same time, over one connection.
    let adds = (0..1000).map(|number| {
        let producer = producer.clone();
        tokio::spawn(async move {
            let to = format!("reader-{number}@example.org");
            producer.push(&Mail { to }).await
        })
    });
    let adds: Vec<_> = adds.collect();
    for add in adds {
        add.await.expect("no panic")?;
    }
    println!("added 1000 more; {} are ready", shoal.len("mails").await?);
    Ok(())
}
