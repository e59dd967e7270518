//! Pub/sub of the crate `redis`: its own connection for it in both protocols, and subscriptions of `ConnectionManager`.

use std::fmt::Display;

use futures_util::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection, PubSub};
use redis::{
    AsyncCommands, Client, FromRedisValue, Msg, ProtocolVersion, PushInfo, PushKind, Value,
};
use tokio::sync::mpsc::unbounded_channel;

use crate::checks::{Outcome, Protocol, check, equal};
use crate::connection_manager::{Manager, address};

/// Runs all checks of pub/sub in one protocol.
pub(crate) async fn run(protocol: Protocol) {
    check::<Manager>(protocol, "publish and subscribe", subscribe(protocol)).await;
    check::<Manager>(protocol, "messages come in order", order(protocol)).await;
    if protocol == Protocol::Resp3 {
        check::<Manager>(protocol, "a manager subscribes", manage(protocol)).await;
    }
}

async fn open(protocol: Protocol) -> Result<(MultiplexedConnection, PubSub), String> {
    let client = client(protocol)?;
    let publisher = client.get_multiplexed_async_connection().await;
    let listener = client.get_async_pubsub().await;
    Ok((publisher.map_err(text)?, listener.map_err(text)?))
}

fn client(protocol: Protocol) -> Result<Client, String> {
    let version = match protocol {
        Protocol::Resp2 => ProtocolVersion::RESP2,
        Protocol::Resp3 => ProtocolVersion::RESP3,
    };
    address(version).map_err(text)
}

async fn subscribe(protocol: Protocol) -> Outcome {
    let (mut publisher, mut listener) = open(protocol).await?;
    listener.subscribe("rs.news").await.map_err(text)?;
    listener.psubscribe("rs.*").await.map_err(text)?;
    equal(
        publish(&mut publisher, "rs.news", "a \0 body\r\n").await?,
        2,
    )?;
    equal(publish(&mut publisher, "rs.other", "x").await?, 1)?;
    equal(publish(&mut publisher, "unheard", "x").await?, 0)?;
    let news = ("rs.news".to_owned(), "a \0 body\r\n".to_owned());
    equal(next(&mut listener).await?, (None, news.clone()))?;
    let pattern = Some("rs.*".to_owned());
    equal(next(&mut listener).await?, (pattern.clone(), news))?;
    let other = ("rs.other".to_owned(), "x".to_owned());
    equal(next(&mut listener).await?, (pattern.clone(), other))?;
    listener.unsubscribe("rs.news").await.map_err(text)?;
    equal(publish(&mut publisher, "rs.news", "y").await?, 1)?;
    let news = ("rs.news".to_owned(), "y".to_owned());
    equal(next(&mut listener).await?, (pattern, news))?;
    listener.punsubscribe("rs.*").await.map_err(text)?;
    equal(publish(&mut publisher, "rs.news", "z").await?, 0)
}

async fn order(protocol: Protocol) -> Outcome {
    let (mut publisher, mut listener) = open(protocol).await?;
    listener.psubscribe("order.*").await.map_err(text)?;
    let mut pipeline = redis::pipe();
    for n in 0..500 {
        pipeline.publish(format!("order.{}", n % 3), n);
    }
    let told: Vec<i64> = pipeline.query_async(&mut publisher).await.map_err(text)?;
    equal(told, vec![1; 500])?;
    for n in 0..500 {
        equal(next(&mut listener).await?.1.1, n.to_string())?;
    }
    Ok(())
}

async fn manage(protocol: Protocol) -> Outcome {
    let (sender, mut told) = unbounded_channel();
    let config = ConnectionManagerConfig::new().set_push_sender(sender);
    let manager = ConnectionManager::new_with_config(client(protocol)?, config).await;
    let mut manager = manager.map_err(text)?;
    manager.subscribe("rs.managed").await.map_err(text)?;
    let count: i64 = manager.publish("rs.managed", "x").await.map_err(text)?;
    equal(count, 1)?;
    loop {
        let PushInfo { kind, data } = told.recv().await.ok_or("no more pushes")?;
        if kind == PushKind::Message {
            let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
            return equal(data, vec![bulk("rs.managed"), bulk("x")]);
        }
    }
}

async fn publish(
    publisher: &mut MultiplexedConnection,
    channel: &str,
    body: &str,
) -> Result<i64, String> {
    publisher.publish(channel, body).await.map_err(text)
}

/// The pattern of the next message, its channel and its body.
async fn next(listener: &mut PubSub) -> Result<(Option<String>, (String, String)), String> {
    let message: Msg = listener.on_message().next().await.ok_or("no message")?;
    let pattern = if message.from_pattern() {
        Some(value(message.get_pattern())?)
    } else {
        None
    };
    let channel = message.get_channel_name().to_owned();
    Ok((pattern, (channel, value(message.get_payload())?)))
}

fn value<T: FromRedisValue, E: Display>(value: Result<T, E>) -> Result<T, String> {
    value.map_err(text)
}

fn text(error: impl Display) -> String {
    error.to_string()
}
