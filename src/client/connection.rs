//! One connection, in the caller's hands: commands are buffered by [`Connection::send`], written by [`Connection::flush`], and answered
//! in order by [`Connection::receive`]. It neither reconnects nor repeats a command: only the caller knows whether that is safe.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use shoalmq_resp::{Frame, ReplyDecoder, ReplyError, encode};

/// Room made in the input buffer before each read, in bytes.
const READ_BYTES: usize = 16 << 10;
/// Room that the output buffer keeps between flushes, in bytes.
const KEPT_BYTES: usize = 1 << 20;

/// Why a connection is of no use, or was refused something it needs.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// Nobody could be reached there.
    #[error("connect to {address}: {source}")]
    Connect {
        /// Where: host and port.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The connection was not made in time.
    #[error("connect to {address}: no answer within {timeout:?}")]
    Timeout {
        /// Where: host and port.
        address: String,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server is there, but has said nothing for so long, though it was asked for something.
    #[error("the server has not answered for {0:?}")]
    Silent(Duration),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(#[from] io::Error),
    /// What the server sent is not RESP.
    #[error("the server does not speak RESP: {0}")]
    Reply(#[from] ReplyError),
    /// AUTH or HELLO was answered by an error: its text. The connection is still good.
    #[error("{0}")]
    Refused(String),
}

/// One connection to a node.
///
/// ```no_run
/// use std::time::Duration;
/// use shoalmq_client::Connection;
///
/// # async fn run() -> Result<(), shoalmq_client::ConnectionError> {
/// let mut connection = Connection::connect("127.0.0.1:7711", Duration::from_secs(2)).await?;
/// connection.send(&["ADDJOB", "mails", "to ada", "0"]);
/// connection.send(&["QLEN", "mails"]);
/// connection.flush().await?;
/// println!("{:?}, {:?}", connection.receive().await?, connection.receive().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    replies: ReplyDecoder,
    input: BytesMut,
    output: Vec<u8>,
    /// How much of `output` is written already.
    written: usize,
    /// The server will send nothing more; what it has sent may still wait in `input`.
    ended: bool,
}

impl Connection {
    /// Connects to `address`, a host and a port: `localhost:7711`, `[::1]:7711`.
    pub async fn connect(address: &str, timeout: Duration) -> Result<Self, ConnectionError> {
        let connected = tokio::time::timeout(timeout, TcpStream::connect(address)).await;
        let stream = connected
            .map_err(|_| ConnectionError::Timeout {
                address: address.to_owned(),
                timeout,
            })?
            .map_err(|source| ConnectionError::Connect {
                address: address.to_owned(),
                source,
            })?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            replies: ReplyDecoder::new(),
            input: BytesMut::new(),
            output: Vec::new(),
            written: 0,
            ended: false,
        })
    }

    /// Gives a password, with a user name where the server knows users.
    pub async fn authenticate(
        &mut self,
        user: Option<&str>,
        password: &str,
    ) -> Result<(), ConnectionError> {
        let reply = match user {
            Some(user) => self.call(&["AUTH", user, password]).await?,
            None => self.call(&["AUTH", password]).await?,
        };
        accepted(&reply)
    }

    /// Switches the connection to RESP3.
    pub async fn use_resp3(&mut self) -> Result<(), ConnectionError> {
        accepted(&self.call(&["HELLO", "3"]).await?)
    }

    /// Sends one command and waits for its reply, which may be an error of the server's.
    ///
    /// For use without replies outstanding: else it answers with the oldest of those.
    pub async fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Frame, ConnectionError> {
        self.send(args);
        let flushed = self.flush().await;
        // A server that turns a client away says why before it closes.
        match (self.receive().await, flushed) {
            (Err(_), Err(error)) => Err(error),
            (received, _) => received,
        }
    }

    /// Adds a command to those that the next flush writes.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        encode::command(&mut self.output, args);
    }

    /// Adds a command that is encoded already to those that the next write takes along.
    pub(crate) fn send_encoded(&mut self, command: &[u8]) {
        self.output.extend_from_slice(command);
    }

    /// Writes what was sent, and reads meanwhile, so that neither side waits for the other to read.
    ///
    /// Dropped half way, it loses nothing: the next flush goes on.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        while self.written < self.output.len() {
            self.advance().await?;
        }
        Ok(())
    }

    /// Waits for the next reply, and writes meanwhile what was sent and not yet flushed. Dropped half way, it loses nothing: the next
    /// call goes on.
    pub async fn receive(&mut self) -> Result<Frame, ConnectionError> {
        loop {
            if let Some(frame) = self.decoded()? {
                return Ok(frame);
            }
            if self.ended {
                return Err(ConnectionError::Closed);
            }
            self.advance().await?;
        }
    }

    /// Writes what was sent, and tells the server that nothing follows.
    pub(crate) async fn finish(&mut self) -> Result<(), ConnectionError> {
        self.flush().await?;
        Ok(self.stream.shutdown().await?)
    }

    /// Waits until something was written or read. There must be something to write, or the server may still send.
    async fn advance(&mut self) -> Result<(), ConnectionError> {
        self.input.reserve(READ_BYTES);
        let (mut reader, mut writer) = self.stream.split();
        let unwritten = self.output.get(self.written..).unwrap_or_default();
        tokio::select! {
            count = writer.write(unwritten), if !unwritten.is_empty() => self.written += count?,
            count = reader.read_buf(&mut self.input), if !self.ended => self.ended = count? == 0,
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.output.shrink_to(KEPT_BYTES);
            self.written = 0;
        }
        Ok(())
    }

    /// The next reply, if it has arrived.
    pub(crate) fn decoded(&mut self) -> Result<Option<Frame>, ConnectionError> {
        let mut rest = &self.input[..];
        let reply = self.replies.decode(&mut rest);
        let understood = self.input.len() - rest.len();
        self.input.advance(understood);
        Ok(reply?)
    }

    /// Whether the server has closed the connection, as far as is known without waiting.
    pub fn is_closed(&mut self) -> bool {
        while !self.ended {
            self.input.reserve(READ_BYTES);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(count) => self.ended = count == 0,
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
        true
    }
}

/// Fails if the server refused what it was asked.
pub(crate) fn accepted(reply: &Frame) -> Result<(), ConnectionError> {
    match reply.as_error() {
        Some(text) => {
            let text = String::from_utf8_lossy(text).into_owned();
            Err(ConnectionError::Refused(text))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A server that answers its one client with `answer`, whatever it says, and then closes; gives
    /// its address and, at the end, what the client said.
    async fn server(
        listens_for: usize,
        answer: Vec<u8>,
    ) -> (String, tokio::task::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket").to_string();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut heard = vec![0; listens_for];
            stream.read_exact(&mut heard).await.expect("a command");
            stream
                .write_all(&answer)
                .await
                .expect("a client that reads");
            heard
        });
        (address, task)
    }

    #[tokio::test]
    async fn pipelined_commands_are_answered_in_order() {
        let said = b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nQLEN\r\n$1\r\nq\r\n";
        let (address, task) = server(said.len(), b"+PONG\r\n:7\r\n".to_vec()).await;
        let mut client = Connection::connect(&address, SECOND)
            .await
            .expect("a server");
        client.send(&["PING"]);
        client.send(&["QLEN", "q"]);
        client.flush().await.expect("a connection");
        assert_eq!(task.await.expect("no panic"), said);
        let pong = client.receive().await.expect("a reply");
        assert_eq!(pong, Frame::Simple(b"PONG".to_vec()));
        assert_eq!(client.receive().await.expect("a reply"), Frame::Integer(7));
        assert!(matches!(
            client.receive().await,
            Err(ConnectionError::Closed)
        ));
        assert!(client.is_closed());
    }

    #[tokio::test]
    async fn a_refused_password_is_told_by_its_text() {
        let (address, _task) = server(26, b"-WRONGPASS no\r\n".to_vec()).await;
        let mut client = Connection::connect(&address, SECOND)
            .await
            .expect("a server");
        let refused = client.authenticate(None, "pass12").await;
        assert!(matches!(refused, Err(ConnectionError::Refused(text)) if text == "WRONGPASS no"));
    }

    #[tokio::test]
    async fn being_turned_away_is_an_answer() {
        let (address, task) = server(0, b"-ERR max number of clients reached\r\n".to_vec()).await;
        let mut client = Connection::connect(&address, SECOND)
            .await
            .expect("a server");
        task.await.expect("no panic");
        let reply = client.call(&["PING"]).await.expect("a reply");
        assert_eq!(
            reply.as_error(),
            Some(&b"ERR max number of clients reached"[..])
        );
    }

    #[tokio::test]
    async fn nobody_there_is_told_with_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket").to_string();
        drop(listener);
        let error = Connection::connect(&address, SECOND)
            .await
            .expect_err("nobody listens");
        assert!(error.to_string().contains(&address));
    }

    // Both directions far beyond what the sockets buffer: a client that only wrote would hang.
    #[tokio::test]
    async fn a_flush_reads_while_it_writes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket").to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let (mut reader, mut writer) = stream.split();
            tokio::io::copy(&mut reader, &mut writer)
                .await
                .expect("a client that reads");
        });
        let mut client = Connection::connect(&address, SECOND)
            .await
            .expect("a server");
        let body = vec![b'x'; 1 << 20];
        for _ in 0..32 {
            client.send(&[&body]);
        }
        client.flush().await.expect("a connection");
        for _ in 0..32 {
            let echoed = client.receive().await.expect("an echo");
            assert_eq!(echoed.as_array().map(<[Frame]>::len), Some(1));
        }
    }
}
