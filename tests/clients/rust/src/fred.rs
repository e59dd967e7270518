//! The crate `fred`.

use fred::prelude::{Builder, ClientLike, Config, ReconnectPolicy, Server, ServerConfig, Value};
use fred::types::{ClusterHash, CustomCommand, RespVersion};

use crate::checks::Protocol;
use crate::{Answer, Client};

pub(crate) struct Fred(fred::clients::Client);

impl Client for Fred {
    const NAME: &str = "fred";

    async fn connect(
        protocol: Protocol,
        port: u16,
        user: Option<&str>,
        password: Option<&str>,
    ) -> Result<Self, String> {
        let config = Config {
            server: ServerConfig::Centralized {
                server: Server::new("127.0.0.1", port),
            },
            version: match protocol {
                Protocol::Resp2 => RespVersion::RESP2,
                Protocol::Resp3 => RespVersion::RESP3,
            },
            username: user.map(str::to_owned),
            password: password.map(|password| match protocol {
                Protocol::Resp2 => password.to_owned(),
                // fred sends HELLO as an inline command and quotes nothing: a space would end the password.
                Protocol::Resp3 => format!("\"{password}\""),
            }),
            ..Config::default()
        };
        let client = Builder::from_config(config)
            .set_policy(ReconnectPolicy::new_constant(0, 100))
            .build()
            .map_err(|error| error.to_string())?;
        client.init().await.map_err(|error| error.to_string())?;
        Ok(Self(client))
    }

    async fn call(&self, words: &[&str]) -> Result<Answer, String> {
        let [name, arguments @ ..] = words else {
            return Err("no command".to_owned());
        };
        let command =
            CustomCommand::new((*name).to_owned(), ClusterHash::Random, *name == "GETJOB");
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        let answer: Result<Value, _> = self.0.custom::<Value, String>(command, arguments).await;
        answer.map(read).map_err(|error| error.to_string())
    }
}

fn read(value: Value) -> Answer {
    match value {
        Value::Null => Answer::Nil,
        Value::Integer(value) => Answer::Integer(value),
        Value::String(text) => Answer::Text(text.as_bytes().to_vec()),
        Value::Bytes(bytes) => Answer::Text(bytes.to_vec()),
        Value::Array(values) => Answer::List(values.into_iter().map(read).collect()),
        _ => Answer::Other,
    }
}
