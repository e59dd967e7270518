//! How fast one producer and one consumer are, against a node that runs: 100-byte messages, many in flight.
//!
//! ```text
//! cargo run --release -p shoalmq-client --example throughput 127.0.0.1:7711 1000000
//! ```

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shoalmq_client::{Error, MessageGuard, Shoal};
use tokio::sync::mpsc;

/// Messages that are pushed, or acknowledged, at a time.
const IN_FLIGHT: usize = 512;
const PREFETCH: u32 = 512;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mail {
    number: u64,
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:7711".to_owned());
    let count: u64 = args
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(200_000);
    let shoal = Shoal::connect([address]).await?;
    told("produced", count, produce(&shoal, count).await?);
    told(
        "consumed and acknowledged",
        count,
        consume(&shoal, count).await?,
    );
    Ok(())
}

fn told(what: &str, count: u64, took: Duration) {
    println!("{what}: {:.0} a second", count as f64 / took.as_secs_f64());
}

async fn produce(shoal: &Shoal, count: u64) -> Result<Duration, Error> {
    let began = Instant::now();
    let tasks: Vec<_> = (0..IN_FLIGHT as u64)
        .map(|first| {
            let producer = shoal.producer::<Mail>("throughput");
            tokio::spawn(async move {
                for number in (first..count).step_by(IN_FLIGHT) {
                    let text = "x".repeat(80);
                    producer.push(&Mail { number, text }).await?;
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic")?;
    }
    Ok(began.elapsed())
}

async fn consume(shoal: &Shoal, count: u64) -> Result<Duration, Error> {
    let began = Instant::now();
    let mut consumer = shoal.consumer::<Mail>("throughput").prefetch(PREFETCH);
    let (mails, workers): (Vec<_>, Vec<_>) = (0..IN_FLIGHT)
        .map(|_| {
            let (sender, mut mails) = mpsc::channel::<MessageGuard<Mail>>(1);
            let worker = tokio::spawn(async move {
                while let Some(mail) = mails.recv().await {
                    mail.ack().await?;
                }
                Ok::<_, Error>(())
            });
            (sender, worker)
        })
        .unzip();
    for number in 0..count as usize {
        let mail = consumer.next().await.expect("nobody stops it")?;
        let worker = &mails[number % IN_FLIGHT];
        worker.send(mail).await.map_err(|_| Error::Gone)?;
    }
    drop(mails);
    for worker in workers {
        worker.await.expect("no panic")?;
    }
    Ok(began.elapsed())
}
