//! TSUB: what is there, and then what comes, over a connection of its own.

use std::future::IntoFuture;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use shoalmq_resp::Frame;
use tokio::time::Instant;

use super::{Item, Start};
use crate::connection::{Connection, ConnectionError, accepted};
use crate::dialer::Dialer;
use crate::error::{Broken, Error};
use crate::link::turns_away;
use crate::shoal::Shoal;
use crate::verbs::{Answer, unexpected};

/// TSUB.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use shoalmq_client::Start;
///
/// let live = shoal.subscribe(["orders.*"]).await?;
/// let newest = shoal.subscribe(["orders.*"]).from(Start::Last(100)).await?;
/// let billing = shoal.subscribe(["orders.*"]).named("billing").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is read until it is awaited"]
pub struct Subscribe<'a> {
    shoal: &'a Shoal,
    patterns: Vec<Vec<u8>>,
    start: Option<Start>,
    name: Option<Vec<u8>>,
}

impl<'a> Subscribe<'a> {
    pub(crate) fn new(shoal: &'a Shoal, patterns: Vec<Vec<u8>>) -> Self {
        Subscribe {
            shoal,
            patterns,
            start: None,
            name: None,
        }
    }

    /// Where to begin. Unless said: with what comes from now on; under a name, where its reader was, and at first with the oldest entry.
    pub fn from(mut self, start: Start) -> Self {
        self.start = Some(start);
        self
    }

    /// Reads under a name of 1 to 256 bytes, which the cluster keeps: the next reader of that name goes on behind what was committed
    /// ([`Subscription::commit`]). A start counts for the first use of a name alone.
    pub fn named(mut self, name: impl AsRef<[u8]>) -> Self {
        self.name = Some(name.as_ref().to_vec());
        self
    }
}

impl<'a> IntoFuture for Subscribe<'a> {
    type Output = Result<Subscription, Error>;
    type IntoFuture = Answer<'a, Subscription>;

    /// Connected: what is published from now on will be read, wherever it is published.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut subscription = Subscription {
                dialer: Dialer::new(self.shoal.options()),
                shoal: self.shoal.clone(),
                patterns: self.patterns,
                start: self.start,
                name: self.name,
                epoch: None,
                cursor: String::new(),
                connection: None,
            };
            let connecting = subscription.connect();
            let connected = tokio::time::timeout(self.shoal.options().patience, connecting).await;
            if let Ok(connected) = connected {
                return connected.map(|()| subscription);
            }
            let error = subscription.dialer.last_error().to_owned();
            Err(Error::Unreachable(error))
        })
    }
}

/// Reads all that is published on channels that match, in order, once. When its connection breaks it goes on at another node, exactly
/// where it was.
#[derive(Debug)]
pub struct Subscription {
    shoal: Shoal,
    dialer: Dialer,
    patterns: Vec<Vec<u8>>,
    /// Where it begins, until it has begun.
    start: Option<Start>,
    name: Option<Vec<u8>>,
    /// What a cursor that was handed out under the name ends with: from it TCOMMIT sees whether the name was set elsewhere since.
    epoch: Option<String>,
    /// Behind what was read; empty until it has begun.
    cursor: String,
    connection: Option<Connection>,
}

impl Subscription {
    /// Waits for the next entry, and for a node, for as long as it takes. An error is one that waiting does not mend. It may be dropped
    /// half way: nothing is lost.
    pub async fn next(&mut self) -> Result<Item, Error> {
        loop {
            let patience = self.dialer.answer_timeout();
            let Some(connection) = &mut self.connection else {
                self.connect().await?;
                continue;
            };
            match listen(connection, patience).await {
                Ok(frame) => {
                    if let Some(item) = self.read(frame)? {
                        return Ok(item);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a subscription goes on at another node");
                    self.connection = None;
                }
            }
        }
    }

    /// Behind the entry that was returned last: what goes on from there ([`Start::Cursor`]) misses nothing and repeats nothing.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The same as a stream: each item with the cursor behind it. It ends with an error that waiting does not mend.
    pub fn into_stream(self) -> impl Stream<Item = Result<(Item, String), Error>> + Send {
        stream::unfold(Some(self), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(item) => Some((Ok((item, reader.cursor.clone())), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// All that was returned so far counts as read: the next reader of this name goes on behind it. Returns once as many nodes know as
    /// an entry has copies. `STALE` ([`Error::code`]): the name was set to another place meanwhile.
    pub async fn commit(&self) -> Result<(), Error> {
        let Some(name) = &self.name else {
            return Err(Error::Refused(
                "ERR a subscription without a name commits nothing".to_owned(),
            ));
        };
        let args: [&[u8]; 3] = [b"TCOMMIT", name, self.cursor.as_bytes()];
        self.shoal.raw(&args, true).await.map(drop)
    }

    /// Connects, to one node after the other, until one of them serves.
    async fn connect(&mut self) -> Result<(), Error> {
        loop {
            let Some((address, pause)) = self.dialer.next() else {
                return Err(Error::Unreachable("no address was given".to_owned()));
            };
            tokio::time::sleep(pause).await;
            let begun = match self.dialer.dial(&address).await {
                Ok(connection) => self.begin(connection).await,
                Err(broken) => Err(broken),
            };
            match begun {
                Ok(()) => {
                    self.dialer.note_answered();
                    return Ok(());
                }
                Err(Broken::Connection(ConnectionError::Refused(text))) => {
                    // A node without topics takes commands about jobs.
                    if !turns_away(text.as_bytes()) && !text.starts_with("NOTOPICS ") {
                        return Err(Error::Refused(text));
                    }
                    self.dialer.note_turned_away(&address);
                }
                Err(broken) => {
                    if let Some(text) = self.dialer.note_broken(&address, broken) {
                        return Err(Error::Denied(text));
                    }
                }
            }
        }
    }

    async fn begin(&mut self, mut connection: Connection) -> Result<(), Broken> {
        let mut args = vec![b"TSUB".to_vec()];
        if self.cursor.is_empty() {
            args.extend(self.start.iter().flat_map(Start::options));
            if let Some(name) = &self.name {
                args.extend([b"AS".to_vec(), name.clone()]);
            }
        } else {
            args.extend(Start::Cursor(self.cursor.clone()).options());
        }
        args.extend([b"WITHMETA".to_vec(), b"PATTERN".to_vec()]);
        args.extend(self.patterns.iter().cloned());
        let patience = self.dialer.answer_timeout();
        let answered = tokio::time::timeout(patience, connection.call(&args)).await;
        let answer = answered.map_err(|_| ConnectionError::Silent(patience))??;
        accepted(&answer)?;
        let cursor = answer.as_array().and_then(|parts| parts.get(2)?.as_str());
        let cursor = cursor.ok_or(ConnectionError::Closed)?;
        if self.cursor.is_empty() {
            let epoch = cursor.split_once('~').map(|(_, epoch)| format!("~{epoch}"));
            (self.cursor, self.epoch) = (cursor.to_owned(), epoch);
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// What a node sent: an entry with its cursor, or the answer to PING.
    fn read(&mut self, frame: Frame) -> Result<Option<Item>, Error> {
        let (Frame::Array(parts) | Frame::Push(parts)) = frame else {
            return Err(unexpected(&frame));
        };
        if parts.first().and_then(Frame::as_str) == Some("pong") {
            return Ok(None);
        }
        match <[Frame; 8]>::try_from(parts) {
            Ok([_, _, channel, id, Frame::Bulk(cursor), body, mark, more]) => {
                let item = Item::read([id, channel, body, mark, more])?;
                self.cursor = String::from_utf8_lossy(&cursor).into_owned();
                // One that went on from a cursor gets cursors that say nothing of its name.
                if let (Some(epoch), false) = (&self.epoch, self.cursor.contains('~')) {
                    self.cursor.push_str(epoch);
                }
                Ok(Some(item))
            }
            Ok(parts) => Err(unexpected(&Frame::Array(parts.into()))),
            Err(parts) => Err(unexpected(&Frame::Array(parts))),
        }
    }
}

/// Waits for what comes, and asks from time to time whether the node is still there.
async fn listen(connection: &mut Connection, patience: Duration) -> Result<Frame, ConnectionError> {
    if let Ok(received) = tokio::time::timeout(patience / 2, connection.receive()).await {
        return received;
    }
    connection.send(&["PING"]);
    let asked = Instant::now();
    tokio::time::timeout_at(asked + patience, connection.receive())
        .await
        .map_err(|_| ConnectionError::Silent(patience))?
}
