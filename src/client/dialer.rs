//! Makes connections to some node of the cluster, with the password and the name of the client.

use std::time::Duration;

use shoalmq_resp::Frame;
use tokio::time::Instant;

use crate::connection::{Connection, ConnectionError, accepted};
use crate::error::Broken;
use crate::nodes::Nodes;
use crate::options::Options;

/// What knows the nodes, and what went wrong with them.
#[derive(Debug)]
pub(crate) struct Dialer {
    options: Options,
    nodes: Nodes,
    /// A password that was right may be about to change.
    was_let_in: bool,
    denied_since: Option<Instant>,
    last_error: String,
}

impl Dialer {
    pub(crate) fn new(options: &Options) -> Self {
        Dialer {
            options: options.clone(),
            nodes: Nodes::new(options.seeds.clone()),
            was_let_in: false,
            denied_since: None,
            last_error: "there is none".to_owned(),
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn world(&self) -> Option<crate::testing::World> {
        self.options.world.clone()
    }

    pub(crate) fn answer_timeout(&self) -> Duration {
        self.options.answer_timeout
    }

    /// Where to try next, and how long to wait before.
    pub(crate) fn next(&mut self) -> Option<(String, Duration)> {
        self.nodes.next()
    }

    /// Connects there, and learns of the other nodes.
    pub(crate) async fn dial(&mut self, address: &str) -> Result<Connection, Broken> {
        let timeout = self.options.connect_timeout;
        let mut connection = Connection::connect(address, timeout).await?;
        let greeting = self.greet(&mut connection);
        match tokio::time::timeout(timeout, greeting).await {
            Ok(Ok(hello)) => {
                self.nodes.learn(&hello);
                (self.was_let_in, self.denied_since) = (true, None);
                Ok(connection)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Broken::Connection(ConnectionError::Timeout {
                address: address.to_owned(),
                timeout,
            })),
        }
    }

    async fn greet(&self, connection: &mut Connection) -> Result<Frame, ConnectionError> {
        if let Some(password) = &self.options.password {
            let password = password.read()?;
            connection
                .authenticate(self.options.user.as_deref(), &password)
                .await?;
        }
        if let Some(name) = &self.options.name {
            let reply = connection.call(&["CLIENT", "SETNAME", name]).await?;
            accepted(&reply)?;
        }
        let hello = connection.call(&["HELLO"]).await?;
        accepted(&hello)?;
        Ok(hello)
    }

    /// A node answered a command: the pauses begin with the shortest one again.
    pub(crate) fn note_answered(&mut self) {
        self.nodes.answered();
    }

    /// The node sends its clients to others.
    pub(crate) fn note_turned_away(&mut self, address: &str) {
        tracing::info!(address, "the node sends its clients to others");
        self.last_error = format!("{address} sends its clients to others");
    }

    /// There is no connection. Returns why, if it is not to be tried again: the client is refused, and was not let in lately.
    pub(crate) fn note_broken(&mut self, address: &str, broken: Broken) -> Option<String> {
        match broken {
            Broken::Connection(error) => {
                tracing::warn!(address, %error, "no link");
                self.last_error = error.to_string();
                None
            }
            Broken::Denied(text) => {
                tracing::warn!(address, text, "the server refuses this client");
                let since = *self.denied_since.get_or_insert_with(Instant::now);
                let is_over = !self.was_let_in || since.elapsed() >= self.options.patience;
                self.last_error.clone_from(&text);
                is_over.then_some(text)
            }
        }
    }

    pub(crate) fn last_error(&self) -> &str {
        &self.last_error
    }
}
