//! The Rust clients that connect again by themselves: fred, and `ConnectionManager` of the crate `redis`. Both protocols, jobs,
//! a blocking call, INFO, passwords, a restarted server, and pub/sub of `redis`. Prints a line for each check, for tests/clients/run.

mod checks;
mod connection_manager;
mod fred;
mod pubsub;

use checks::Protocol;

/// An answer, as far as the checks tell them apart.
#[derive(Debug, PartialEq)]
enum Answer {
    Nil,
    Integer(i64),
    Text(Vec<u8>),
    List(Vec<Answer>),
    /// A set, a map or something else that no job command answers.
    Other,
}

/// A client library under test.
trait Client: Sized {
    const NAME: &str;

    async fn connect(
        protocol: Protocol,
        port: u16,
        user: Option<&str>,
        password: Option<&str>,
    ) -> Result<Self, String>;

    /// Runs one command; errors as the library shows them.
    async fn call(&self, words: &[&str]) -> Result<Answer, String>;
}

#[tokio::main]
async fn main() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        checks::run::<fred::Fred>(protocol).await;
        checks::run::<connection_manager::Manager>(protocol).await;
        pubsub::run(protocol).await;
    }
}
