//! Adds jobs, and works on them until it is told to stop (SIGTERM, Ctrl-C).
//!
//! ```text
//! cargo run -p shoalmq-client --example shoal_worker 127.0.0.1:7711 produce 'a body' 'another body'
//! cargo run -p shoalmq-client --example shoal_worker 127.0.0.1:7711 work        # until it is stopped
//! cargo run -p shoalmq-client --example shoal_worker 127.0.0.1:7711 work 10     # ten jobs
//! ```
//!
//! A body `sleep 3` takes 3 seconds, and one that begins with `fail` always fails.

use std::time::Duration;

use shoalmq_client::{HandlerError, Raw, Shoal, State, Worker};
use tokio::sync::mpsc;

const QUEUE: &str = "client-jobs";

/// What a job is to do is its body as it is: other languages add jobs to this queue, too.
async fn handle(Raw(body): Raw, State(done): State<mpsc::Sender<()>>) -> Result<(), HandlerError> {
    let body = std::str::from_utf8(&body)?;
    if let ["sleep", seconds, ..] = body.split(' ').collect::<Vec<_>>()[..] {
        tokio::time::sleep(Duration::from_secs(seconds.parse()?)).await;
    }
    if body.starts_with("fail") {
        Err(format!("cannot {body}"))?;
    }
    println!("worked on {body}");
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
            // Handed out again after 60 s without a word of its worker; after the third failure it is a dead letter.
            let second = Duration::from_secs(1);
            let add = shoal.add(QUEUE, body.as_str()).retry(60 * second);
            let id = add.max_deliver(3).backoff(second, 60 * second).id().await?;
            println!("added {id} {body}");
        }
        return Ok(());
    }
    let (done, mut each) = mpsc::channel(1);
    let worker = Worker::with_state(&shoal, done).on(QUEUE, handle);
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
