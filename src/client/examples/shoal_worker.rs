//! Adds jobs, and works on them until it is told to stop (SIGTERM, Ctrl-C).
//!
//! ```text
//! cargo run -p shoalmq-client --example shoal_worker 127.0.0.1:7711 produce 'a body' 'another body'
//! cargo run -p shoalmq-client --example shoal_worker 127.0.0.1:7711 work        # until it is stopped
//! cargo run -p shoalmq-client --example shoal_worker 127.0.0.1:7711 work 10     # ten jobs
//! ```
//!
//! A body `sleep 3` takes so many seconds, and one that begins with `fail` always fails.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoalmq_client::{Add, HandlerError, Job, Shoal, State, Worker};
use tokio::sync::mpsc;

#[derive(Debug, Serialize, Deserialize)]
struct Text {
    body: String,
}

impl Job for Text {
    const QUEUE: &'static str = "client-jobs";

    /// Handed out again after 60 s without a word of its worker; after the third failure it is a dead letter.
    fn options<'a>(&self, add: Add<'a>) -> Add<'a> {
        let second = Duration::from_secs(1);
        add.retry(60 * second)
            .max_deliver(3)
            .backoff(second, 5 * second)
    }
}

async fn handle(text: Text, State(done): State<mpsc::Sender<()>>) -> Result<(), HandlerError> {
    if let Some(seconds) = text.body.strip_prefix("sleep ") {
        tokio::time::sleep(Duration::from_secs(seconds.parse()?)).await;
    }
    if text.body.starts_with("fail") {
        Err(format!("{} as it was told to", text.body))?;
    }
    println!("worked on {}", text.body);
    // Nobody counts if it works until it is stopped.
    let _ = done.send(()).await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), HandlerError> {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, action, words @ ..] = &args[..] else {
        Err("usage: shoal_worker ADDRESS produce BODY... | ADDRESS work [COUNT]")?
    };
    let shoal = Shoal::connect([address.clone()]).await?;
    if action == "produce" {
        for body in words {
            let id = shoal.push(&Text { body: body.clone() }).await?;
            println!("added {id} {body}");
        }
        return Ok(());
    }
    let (done, mut each) = mpsc::channel(1);
    let worker = Worker::with_state(&shoal, done).job(handle);
    let report = match words.first() {
        None => {
            drop(each);
            worker.run().await?
        }
        Some(count) => {
            let count: usize = count.parse()?;
            let all = async {
                for _ in 0..count {
                    each.recv().await;
                }
            };
            worker.run_until(all).await?
        }
    };
    println!(
        "{} done, {} failed",
        report.counts.done(),
        report.counts.failed()
    );
    Ok(())
}
