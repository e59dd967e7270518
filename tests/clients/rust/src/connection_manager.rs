//! `ConnectionManager` of the crate `redis`.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client as Address, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, Value};

use crate::checks::{Protocol, port};
use crate::{Answer, Client};

/// Of each call: longer than any GETJOB here may block. The library's own default is half a second.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Manager(ConnectionManager);

impl Client for Manager {
    const NAME: &str = "redis::ConnectionManager";

    async fn connect(
        protocol: Protocol,
        port: u16,
        user: Option<&str>,
        password: Option<&str>,
    ) -> Result<Self, String> {
        let mut settings = RedisConnectionInfo::default().set_protocol(match protocol {
            Protocol::Resp2 => ProtocolVersion::RESP2,
            Protocol::Resp3 => ProtocolVersion::RESP3,
        });
        if let Some(user) = user {
            settings = settings.set_username(user);
        }
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        // A refused password is tried again too; more than once takes seconds.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let open = async {
            let address = ("127.0.0.1", port).into_connection_info()?;
            let address = Address::open(address.set_redis_settings(settings))?;
            ConnectionManager::new_with_config(address, config).await
        };
        open.await.map(Self).map_err(|error| error.to_string())
    }

    async fn call(&self, words: &[&str]) -> Result<Answer, String> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        let answer = command.query_async(&mut self.0.clone()).await;
        answer.map(read).map_err(|error| error.to_string())
    }
}

/// The server without a password.
pub(crate) fn address(version: ProtocolVersion) -> redis::RedisResult<Address> {
    let settings = RedisConnectionInfo::default().set_protocol(version);
    let address = ("127.0.0.1", port("SHOALMQ_PORT")).into_connection_info()?;
    Address::open(address.set_redis_settings(settings))
}

fn read(value: Value) -> Answer {
    match value {
        Value::Nil => Answer::Nil,
        Value::Int(value) => Answer::Integer(value),
        Value::BulkString(bytes) => Answer::Text(bytes),
        Value::SimpleString(text) => Answer::Text(text.into_bytes()),
        Value::Okay => Answer::Text(b"OK".to_vec()),
        Value::Array(values) => Answer::List(values.into_iter().map(read).collect()),
        _ => Answer::Other,
    }
}
