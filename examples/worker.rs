//! A producer and a worker with the crate `redis`.
//!
//! ```text
//! cargo run --example worker 127.0.0.1:7711 produce 'a body' 'another body'
//! cargo run --example worker 127.0.0.1:7711 work        # until it is stopped
//! cargo run --example worker 127.0.0.1:7711 work 10     # ten jobs
//! ```

use redis::{Client, Connection, RedisResult, cmd};

/// Queue, id and body.
type Job = (String, String, String);

/// Your work. An error gives the job back at once; a crash gives it back when its RETRY has passed.
fn handle(body: &str) -> Result<(), String> {
    if body.is_empty() {
        return Err("there is nothing to do".to_owned());
    }
    println!("worked on {body}");
    Ok(())
}

fn produce(connection: &mut Connection, bodies: &[String]) -> RedisResult<()> {
    for body in bodies {
        // Wait at most 5 s for the copies; deliver again after 60 s without an acknowledgement.
        let job: String = cmd("ADDJOB")
            .arg("rust-jobs")
            .arg(body)
            .arg(5000)
            .arg("RETRY")
            .arg(60)
            .query(connection)?;
        println!("added {job} {body}");
    }
    Ok(())
}

fn work(connection: &mut Connection, mut count: u64) -> RedisResult<()> {
    while count > 0 {
        let jobs: Option<Vec<Job>> = cmd("GETJOB")
            .arg("TIMEOUT")
            .arg(2000)
            .arg("FROM")
            .arg("rust-jobs")
            .query(connection)?;
        for (_queue, job, body) in jobs.unwrap_or_default() {
            match handle(&body) {
                Ok(()) => {
                    cmd("ACKJOB").arg(job).exec(connection)?;
                    count -= 1;
                }
                Err(error) => {
                    eprintln!("failed: {error}");
                    cmd("NACK").arg(job).exec(connection)?;
                }
            }
        }
    }
    Ok(())
}

fn main() -> RedisResult<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, action, rest @ ..] = &arguments[..] else {
        eprintln!("usage: worker HOST:PORT produce BODY... | work [COUNT]");
        std::process::exit(2);
    };
    let mut connection = Client::open(format!("redis://{address}"))?.get_connection()?;
    if action == "produce" {
        produce(&mut connection, rest)
    } else {
        work(
            &mut connection,
            rest.first()
                .and_then(|count| count.parse().ok())
                .unwrap_or(u64::MAX),
        )
    }
}
