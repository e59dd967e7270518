//! A producer and a worker with the crate `redis`. Both go on after a restart of the node.
//!
//! ```text
//! cargo run --example worker 127.0.0.1:7711 produce 'a body' 'another body'
//! cargo run --example worker 127.0.0.1:7711 work        # until it is stopped
//! cargo run --example worker 127.0.0.1:7711 work 10     # ten jobs
//! ```

use std::thread;
use std::time::Duration;

use redis::{Client, Cmd, Connection, FromRedisValue, RedisError, RedisResult, cmd};

/// How long GETJOB waits for a job, and ADDJOB for its copies: both must be shorter than [`ANSWER`].
const GETJOB_MS: u64 = 2000;
const ADDJOB_MS: u64 = 3000;
/// A node that does not answer for this long is gone, whatever its connection says.
const ANSWER: Duration = Duration::from_secs(5);

/// Queue, id and body.
type Job = (String, String, String);

/// A node, and a connection that is made again when it breaks.
struct Shoal {
    client: Client,
    connection: Option<Connection>,
}

impl Shoal {
    /// Sends a command until it is answered: a node that stops closes the connection, and is back soon, or another is.
    ///
    /// An answer may be lost with its connection, so that an ADDJOB is done twice. Here that is a job more, no job less.
    fn call<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        let mut pause = Duration::from_millis(100);
        loop {
            let error = match self.attempt(command) {
                Err(error) if may_pass(&error) => error,
                answer => return answer,
            };
            eprintln!("connection: {error}");
            self.connection = None;
            thread::sleep(pause);
            pause = (2 * pause).min(Duration::from_secs(5));
        }
    }

    fn attempt<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let connection = self.client.get_connection_with_timeout(ANSWER)?;
                connection.set_read_timeout(Some(ANSWER))?;
                none.insert(connection)
            }
        };
        command.query(connection)
    }
}

/// Whether the connection broke, or the node has just started and still reads its log.
fn may_pass(error: &RedisError) -> bool {
    error.is_io_error() || error.code() == Some("LOADING")
}

/// Your work. An error gives the job back at once; a crash gives it back when its RETRY has passed.
fn handle(body: &str) -> Result<(), String> {
    if body.is_empty() {
        return Err("there is nothing to do".to_owned());
    }
    println!("worked on {body}");
    Ok(())
}

fn produce(shoal: &mut Shoal, bodies: &[String]) -> RedisResult<()> {
    for body in bodies {
        let mut add = cmd("ADDJOB");
        // Deliver it again after 60 s without an acknowledgement.
        add.arg("rust-jobs").arg(body).arg(ADDJOB_MS);
        let job: String = shoal.call(add.arg("RETRY").arg(60))?;
        println!("added {job} {body}");
    }
    Ok(())
}

fn work(shoal: &mut Shoal, mut count: u64) -> RedisResult<()> {
    let mut get = cmd("GETJOB");
    get.arg("TIMEOUT").arg(GETJOB_MS);
    get.arg("FROM").arg("rust-jobs");
    while count > 0 {
        let jobs: Option<Vec<Job>> = shoal.call(&get)?;
        for (_queue, job, body) in jobs.unwrap_or_default() {
            match handle(&body) {
                Ok(()) => {
                    shoal.call::<()>(cmd("ACKJOB").arg(job))?;
                    count -= 1;
                }
                Err(error) => {
                    eprintln!("failed: {error}");
                    shoal.call::<()>(cmd("NACK").arg(job))?;
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
    let mut shoal = Shoal {
        client: Client::open(format!("redis://{address}"))?,
        connection: None,
    };
    if action == "produce" {
        produce(&mut shoal, rest)
    } else {
        work(
            &mut shoal,
            rest.first()
                .and_then(|count| count.parse().ok())
                .unwrap_or(u64::MAX),
        )
    }
}
