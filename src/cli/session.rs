//! A connection that comes back: kept while it lasts, and opened again when the next command needs it.

use std::time::Duration;

use crate::config::secrets;
use shoalmq_client::{Connection, ConnectionError};
use shoalmq_resp::{Frame, UnbalancedQuotes, Words};

/// Where to connect, and what to say first.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: String,
    pub(super) timeout: Duration,
    pub(super) credentials: Option<Credentials>,
    pub(super) resp3: bool,
}

/// What AUTH is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Option<String>,
    pub(super) password: String,
}

/// Commands to one node, over one connection at a time.
#[derive(Debug)]
pub(super) struct Session {
    target: Target,
    client: Option<Connection>,
}

impl Session {
    /// A session that has not connected yet.
    pub(super) fn new(target: Target) -> Self {
        Session {
            target,
            client: None,
        }
    }

    /// Where it connects to.
    pub(super) fn address(&self) -> &str {
        &self.target.address
    }

    /// Whether there is a connection, as far as is known.
    pub(super) fn is_connected(&mut self) -> bool {
        if self.client.as_mut().is_some_and(Connection::is_closed) {
            self.client = None;
        }
        self.client.is_some()
    }

    /// Drops the connection, and with it a command that waits for its reply.
    pub(super) fn disconnect(&mut self) {
        self.client = None;
    }

    /// Connects if there is no connection. A password or protocol that is refused is only told: the
    /// commands that follow show whether that matters.
    pub(super) async fn connect(&mut self) -> Result<&mut Connection, ConnectionError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.greet().await?,
        };
        Ok(self.client.insert(client))
    }

    /// Runs one command. `None` means that the connection was closed because the command asks for
    /// that. Reconnects if the connection was closed before anything was sent; after that, never.
    pub(super) async fn execute(
        &mut self,
        words: &[Vec<u8>],
    ) -> Result<Option<Frame>, ConnectionError> {
        self.is_connected();
        let reply = self.connect().await?.call(words).await;
        match reply {
            Ok(reply) => {
                if let Some(given) = credentials_in(words).filter(|_| reply.as_error().is_none()) {
                    self.target.credentials = Some(given);
                }
                Ok(Some(reply))
            }
            Err(error) => {
                self.disconnect();
                match error {
                    ConnectionError::Closed if is(words, b"SHUTDOWN") => Ok(None),
                    error => Err(error),
                }
            }
        }
    }

    /// Waits for what comes unasked, from a connection that monitors.
    pub(super) async fn receive(&mut self) -> Result<Frame, ConnectionError> {
        let received = match &mut self.client {
            Some(client) => client.receive().await,
            None => Err(ConnectionError::Closed),
        };
        if received.is_err() {
            self.disconnect();
        }
        received
    }

    async fn greet(&self) -> Result<Connection, ConnectionError> {
        let mut client = Connection::connect(&self.target.address, self.target.timeout).await?;
        if let Some(Credentials { user, password }) = &self.target.credentials {
            told("AUTH", client.authenticate(user.as_deref(), password).await)?;
        }
        if self.target.resp3 {
            told("HELLO 3", client.use_resp3().await)?;
        }
        Ok(client)
    }
}

fn told(command: &str, done: Result<(), ConnectionError>) -> Result<(), ConnectionError> {
    match done {
        Err(ConnectionError::Refused(text)) => {
            eprintln!("shoalmq cli: {command}: {text}");
            Ok(())
        }
        done => done,
    }
}

/// The words of a line, quotes and escapes understood.
pub(super) fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let mut walk = Words::new(line);
    let mut words = Vec::new();
    loop {
        let mut word = Vec::new();
        if !walk.next_into(&mut word)? {
            return Ok(words);
        }
        words.push(word);
    }
}

/// Whether what follows the reply is a stream.
pub(super) fn is_monitor(words: &[Vec<u8>]) -> bool {
    is(words, b"MONITOR")
}

/// Whether the command shows a secret that no history may keep.
pub(super) fn is_secret(words: &[Vec<u8>]) -> bool {
    secrets::begin(words).is_some()
}

/// What an AUTH command gives, to be given again on the next connection.
fn credentials_in(words: &[Vec<u8>]) -> Option<Credentials> {
    if !is(words, b"AUTH") {
        return None;
    }
    let text = |word: &Vec<u8>| String::from_utf8(word.clone()).ok();
    match words {
        [_, password] => Some(Credentials {
            user: None,
            password: text(password)?,
        }),
        [_, user, password] => Some(Credentials {
            user: Some(text(user)?),
            password: text(password)?,
        }),
        _ => None,
    }
}

fn is(words: &[Vec<u8>], name: &[u8]) -> bool {
    words
        .first()
        .is_some_and(|word| word.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        split(line.as_bytes()).expect("balanced quotes")
    }

    #[test]
    fn a_line_is_split_as_the_server_would_but_keeps_empty_words() {
        assert_eq!(
            words(r#"ADDJOB q "a b\n" '' "#),
            [
                b"ADDJOB".to_vec(),
                b"q".to_vec(),
                b"a b\n".to_vec(),
                Vec::new()
            ]
        );
        assert!(split(b"ADDJOB \"q").is_err());
    }

    #[test]
    fn secrets_are_known() {
        for line in [
            "auth x",
            "HELLO 3 AUTH u p",
            "config set requirepass x",
            "CONFIG SET cluster-secret x",
            "AUHT x",
        ] {
            assert!(is_secret(&words(line)), "{line}");
        }
        for line in ["ADDJOB auth x 0", "HELLO", "CONFIG GET dir", ""] {
            assert!(!is_secret(&words(line)), "{line}");
        }
    }

    #[test]
    fn what_auth_was_given_is_kept_for_the_next_connection() {
        let named = |user: Option<&str>| {
            Some(Credentials {
                user: user.map(str::to_owned),
                password: "p".to_owned(),
            })
        };
        assert_eq!(credentials_in(&words("auth p")), named(None));
        assert_eq!(credentials_in(&words("AUTH u p")), named(Some("u")));
        assert_eq!(credentials_in(&words("AUTH")), None);
        assert_eq!(credentials_in(&words("PING p")), None);
    }
}
