//! What each client library has to do.

use std::fmt::Debug;
use std::time::Duration;
use std::{env, future::Future};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Answer, Client};

/// Longer than anything may take here.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Protocol {
    Resp2,
    Resp3,
}

pub(crate) type Outcome = Result<(), String>;

/// Runs all checks of a library in one protocol.
pub(crate) async fn run<C: Client>(protocol: Protocol) {
    check::<C>(protocol, "add get ack", add_get_ack::<C>(protocol)).await;
    check::<C>(protocol, "blocking get", blocking_get::<C>(protocol)).await;
    check::<C>(protocol, "info and command", introspection::<C>(protocol)).await;
    check::<C>(protocol, "errors keep their code", errors::<C>(protocol)).await;
    check::<C>(protocol, "passwords", passwords::<C>(protocol)).await;
    check::<C>(protocol, "finds a restarted server", restart::<C>(protocol)).await;
}

pub(crate) async fn check<C: Client>(
    protocol: Protocol,
    name: &str,
    outcome: impl Future<Output = Outcome>,
) {
    let outcome = timeout(PATIENCE, outcome)
        .await
        .unwrap_or_else(|_| Err(format!("not done in {PATIENCE:?}")));
    match outcome {
        Ok(()) => println!("ok {}, {protocol:?}: {name}", C::NAME),
        Err(reason) => println!("not ok {}, {protocol:?}: {name}\n    {reason}", C::NAME),
    }
}

async fn add_get_ack<C: Client>(protocol: Protocol) -> Outcome {
    let client = open::<C>(protocol).await?;
    let id = add(&client, "q", "a \0 body\r\n", "60").await?;
    equal(id.len(), 40)?;
    let jobs = client.call(&["GETJOB", "FROM", "q"]).await?;
    equal(jobs, delivery("q", &id, "a \0 body\r\n"))?;
    equal(client.call(&["ACKJOB", &id]).await?, Answer::Integer(1))?;
    equal(client.call(&["SHOW", &id]).await?, Answer::Nil)?;
    equal(
        client.call(&["GETJOB", "NOHANG", "FROM", "q"]).await?,
        Answer::Nil,
    )
}

async fn blocking_get<C: Client>(protocol: Protocol) -> Outcome {
    let waiting = open::<C>(protocol).await?;
    let other = open::<C>(protocol).await?;
    let add_to_the_waiting = async {
        while !info(&other, "clients").await?.contains("blocked_clients:1") {}
        add(&other, "wait", "body", "60").await
    };
    let get = waiting.call(&["GETJOB", "TIMEOUT", "5000", "FROM", "wait"]);
    let (jobs, id) = tokio::join!(get, add_to_the_waiting);
    let id = id?;
    equal(jobs?, delivery("wait", &id, "body"))?;
    equal(other.call(&["ACKJOB", &id]).await?, Answer::Integer(1))
}

async fn introspection<C: Client>(protocol: Protocol) -> Outcome {
    let client = open::<C>(protocol).await?;
    let replication = info(&client, "replication").await?;
    holds(&replication, "\r\nrole:master\r\n")?;
    holds(&info(&client, "server").await?, "\r\nredis_version:")?;
    let Answer::List(rows) = client.call(&["COMMAND", "INFO", "config"]).await? else {
        return Err("COMMAND answers no list".to_owned());
    };
    match &rows[..] {
        [Answer::List(row)] => equal(row.len(), 10),
        _ => Err(format!("{rows:?} is not one row")),
    }
}

async fn errors<C: Client>(protocol: Protocol) -> Outcome {
    let client = open::<C>(protocol).await?;
    match client.call(&["SHOW", "x"]).await {
        Ok(answer) => Err(format!("a bad id is answered by {answer:?}")),
        Err(error) => holds(&error, "BADID"),
    }
}

async fn passwords<C: Client>(protocol: Protocol) -> Outcome {
    let port = port("SHOALMQ_AUTH_PORT");
    let password = variable("SHOALMQ_PASSWORD");
    for user in [None, Some("default")] {
        let known = C::connect(protocol, port, user, Some(&password)).await?;
        equal(known.call(&["PING"]).await?, text("PONG"))?;
    }
    for (user, password) in [
        (None, None),
        (None, Some("wrong")),
        (Some("bob"), Some(&*password)),
    ] {
        // Without a password a library may connect, and is refused its first command.
        let refused = match C::connect(protocol, port, user, password).await {
            Ok(stranger) => stranger.call(&["PING"]).await.err(),
            Err(refused) => Some(refused),
        };
        if refused.is_none() {
            return Err(format!("{user:?} with {password:?} is let in"));
        }
    }
    Ok(())
}

async fn restart<C: Client>(protocol: Protocol) -> Outcome {
    let client = open::<C>(protocol).await?;
    // With a short retry, for an answer may be lost on the way.
    let id = add(&client, "kept", "body", "1").await?;
    restart_server().await.map_err(|error| error.to_string())?;
    let jobs = loop {
        match client
            .call(&["GETJOB", "TIMEOUT", "1000", "FROM", "kept"])
            .await
        {
            Ok(Answer::Nil) | Err(_) => tokio::task::yield_now().await,
            Ok(jobs) => break jobs,
        }
    };
    equal(jobs, delivery("kept", &id, "body"))?;
    equal(client.call(&["ACKJOB", &id]).await?, Answer::Integer(1))
}

/// Not by the client, which might send the command again to the server that is back.
async fn restart_server() -> std::io::Result<()> {
    let mut connection = TcpStream::connect(("127.0.0.1", port("SHOALMQ_PORT"))).await?;
    connection.write_all(b"DEBUG RESTART\r\n").await?;
    connection.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

async fn open<C: Client>(protocol: Protocol) -> Result<C, String> {
    C::connect(protocol, port("SHOALMQ_PORT"), None, None).await
}

async fn add<C: Client>(
    client: &C,
    queue: &str,
    body: &str,
    retry: &str,
) -> Result<String, String> {
    match client
        .call(&["ADDJOB", queue, body, "0", "RETRY", retry])
        .await?
    {
        Answer::Text(id) => String::from_utf8(id).map_err(|error| error.to_string()),
        other => Err(format!("ADDJOB answers {other:?}")),
    }
}

async fn info<C: Client>(client: &C, section: &str) -> Result<String, String> {
    match client.call(&["INFO", section]).await? {
        Answer::Text(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        other => Err(format!("INFO answers {other:?}")),
    }
}

fn delivery(queue: &str, id: &str, body: &str) -> Answer {
    Answer::List(vec![Answer::List(vec![text(queue), text(id), text(body)])])
}

fn text(text: &str) -> Answer {
    Answer::Text(text.as_bytes().to_vec())
}

pub(crate) fn equal<T: PartialEq + Debug>(found: T, expected: T) -> Outcome {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{found:?} is not {expected:?}"))
    }
}

fn holds(text: &str, part: &str) -> Outcome {
    if text.contains(part) {
        Ok(())
    } else {
        Err(format!("no {part:?} in {text:?}"))
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is set by tests/clients/run"))
}

pub(crate) fn port(name: &str) -> u16 {
    variable(name).parse().expect("a port")
}
