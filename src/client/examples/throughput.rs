//! How fast one producer and one worker are, against a node that runs: 100-byte messages, many in flight. Also tells how much CPU of
//! this process a job takes.
//!
//! ```text
//! cargo run --release -p shoalmq-client --example throughput 127.0.0.1:7711 1000000
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shoalmq_client::{Error, Shoal, State, Worker};
use tokio::sync::Notify;

/// Messages that are pushed, or worked on, at a time.
const IN_FLIGHT: usize = 512;

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
    let idle = cpu();
    let took = produce(&shoal, count).await?;
    let produced = cpu();
    told("produced", count, took, produced.saturating_sub(idle));
    let took = work(&shoal, count).await?;
    told("worked on", count, took, cpu().saturating_sub(produced));
    Ok(())
}

fn told(what: &str, count: u64, took: Duration, cpu: Duration) {
    let rate = count as f64 / took.as_secs_f64();
    let each = cpu.as_micros() as f64 / count as f64;
    println!("{what}: {rate:.0} a second, {each:.1} us of CPU each");
}

/// The CPU time of this process so far, as Linux tells it: in hundredths of a second.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = behind_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
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

/// How many are still to be done, and who waits for the last.
#[derive(Clone)]
struct Left(Arc<(AtomicU64, Notify)>);

async fn take(_: Mail, State(Left(left)): State<Left>) {
    if left.0.fetch_sub(1, Ordering::Relaxed) == 1 {
        left.1.notify_one();
    }
}

async fn work(shoal: &Shoal, count: u64) -> Result<Duration, Error> {
    let began = Instant::now();
    let left = Left(Arc::new((AtomicU64::new(count), Notify::new())));
    let worker = Worker::with_state(shoal, left.clone()).on("throughput", take);
    let worker = worker.concurrency(IN_FLIGHT);
    let report = worker.run_until(left.0.1.notified()).await?;
    assert_eq!(report.counts.done(), count, "all are acknowledged");
    Ok(began.elapsed())
}
