//! A small blocking RESP client that hides nothing: the type of every reply can be seen, and raw bytes can be sent.
//!
//! On purpose not the client of the product: what is tested here must not check itself.

use std::fmt;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Longer than any answer may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a node that leaves or stops tells clients that wait.
pub(crate) const LEAVING: &str =
    "LEAVING This node is leaving the cluster, please connect to a different one";

/// One reply, by its type on the wire.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `+text`
    Simple(String),
    /// `-text`
    Error(String),
    /// `:n`
    Int(i64),
    /// `$n`
    Bulk(Vec<u8>),
    /// `$-1`
    NilBulk,
    /// `*-1`
    NilArray,
    /// `*n`
    Array(Vec<Reply>),
    /// `%n`, RESP3
    Map(Vec<(Reply, Reply)>),
    /// `~n`, RESP3
    Set(Vec<Reply>),
    /// `>n`, RESP3
    Push(Vec<Reply>),
    /// `_`, RESP3
    Null,
}

pub(crate) fn simple(text: &str) -> Reply {
    Reply::Simple(text.to_owned())
}

pub(crate) fn error(text: &str) -> Reply {
    Reply::Error(text.to_owned())
}

pub(crate) fn int(value: i64) -> Reply {
    Reply::Int(value)
}

/// An integer reply of a count that is known here.
pub(crate) fn count(value: usize) -> Reply {
    Reply::Int(i64::try_from(value).expect("counts are small"))
}

pub(crate) fn bulk(bytes: impl AsRef<[u8]>) -> Reply {
    Reply::Bulk(bytes.as_ref().to_vec())
}

pub(crate) fn array(items: impl IntoIterator<Item = Reply>) -> Reply {
    Reply::Array(items.into_iter().collect())
}

/// The answer to a wrong count of arguments.
pub(crate) fn wrong_arity(command: &str) -> Reply {
    error(&format!(
        "ERR wrong number of arguments for '{command}' command"
    ))
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(f, "+{text}"),
            Self::Error(text) => write!(f, "-{text}"),
            Self::Int(value) => write!(f, ":{value}"),
            Self::Bulk(bytes) if bytes.len() > 400 => write!(f, "<{} bytes>", bytes.len()),
            Self::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::NilBulk => f.write_str("$-1"),
            Self::NilArray => f.write_str("*-1"),
            Self::Array(items) | Self::Set(items) => f.debug_list().entries(items).finish(),
            Self::Push(items) => {
                f.write_str(">")?;
                f.debug_list().entries(items).finish()
            }
            Self::Map(pairs) => f
                .debug_map()
                .entries(pairs.iter().map(|(key, value)| (key, value)))
                .finish(),
            Self::Null => f.write_str("_"),
        }
    }
}

impl Reply {
    #[track_caller]
    pub(crate) fn int(&self) -> i64 {
        match self {
            Self::Int(value) => *value,
            other => panic!("expected an integer, got {other:?}"),
        }
    }

    /// The bytes of a bulk.
    #[track_caller]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bulk(bytes) => bytes,
            other => panic!("expected a bulk, got {other:?}"),
        }
    }

    /// The text of a bulk.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The text of a simple string.
    #[track_caller]
    pub(crate) fn simple_text(&self) -> &str {
        match self {
            Self::Simple(text) => text,
            other => panic!("expected a simple string, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn error_text(&self) -> &str {
        match self {
            Self::Error(text) => text,
            other => panic!("expected an error, got {other:?}"),
        }
    }

    /// Whether it is an error that says this, with or without the way out behind it.
    #[track_caller]
    pub(crate) fn refuses(&self, text: &str) -> bool {
        let rest = self.error_text().strip_prefix(text);
        let leads = [" near '", ": ", " did you mean ", " try ", ", try "];
        rest.is_some_and(|rest| rest.is_empty() || leads.iter().any(|lead| rest.starts_with(lead)))
    }

    #[track_caller]
    pub(crate) fn items(&self) -> &[Reply] {
        match self {
            Self::Array(items) => items,
            other => panic!("expected an array, got {other:?}"),
        }
    }

    /// The value behind a name, in a flat array of names and values or in a map.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> &Reply {
        let found = match self {
            Self::Array(items) => items
                .chunks(2)
                .find(|pair| pair[0] == bulk(name))
                .map(|pair| &pair[1]),
            Self::Map(pairs) => pairs
                .iter()
                .find(|(key, _)| *key == bulk(name))
                .map(|(_, value)| value),
            other => panic!("expected fields, got {other:?}"),
        };
        found.unwrap_or_else(|| panic!("no field {name} in {self:?}"))
    }
}

/// A job as GETJOB and QPEEK give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) queue: String,
    pub(crate) id: String,
    pub(crate) body: String,
}

/// The jobs of a GETJOB or QPEEK answer, checked to be arrays of exactly three bulks.
#[track_caller]
pub(crate) fn jobs(reply: &Reply) -> Vec<Job> {
    let job = |item: &Reply| match item.items() {
        [queue, id, body] => Job {
            queue: queue.text(),
            id: id.text(),
            body: body.text(),
        },
        other => panic!("a job is an array of 3, not {other:?}"),
    };
    reply.items().iter().map(job).collect()
}

/// The bodies of a GETJOB or QPEEK answer.
#[track_caller]
pub(crate) fn bodies(reply: &Reply) -> Vec<String> {
    jobs(reply).into_iter().map(|job| job.body).collect()
}

/// A command as an array of bulks.
pub(crate) fn encode<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The same for words separated by spaces.
pub(crate) fn encode_words(command: &str) -> Vec<u8> {
    encode(&command.split_whitespace().collect::<Vec<_>>())
}

/// One connection to a node.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    #[track_caller]
    pub(crate) fn open(port: u16) -> Self {
        Self::try_open(port).unwrap_or_else(|error| panic!("connect to port {port}: {error}"))
    }

    pub(crate) fn try_open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            reader: BufReader::new(stream),
        })
    }

    /// `127.0.0.1:port` as the server sees this connection.
    pub(crate) fn address(&self) -> String {
        self.reader
            .get_ref()
            .local_addr()
            .expect("a connected socket has an address")
            .to_string()
    }

    /// A second handle on the socket, to write from another thread.
    pub(crate) fn writer(&self) -> TcpStream {
        self.reader
            .get_ref()
            .try_clone()
            .expect("duplicate a socket")
    }

    #[track_caller]
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes)
            .unwrap_or_else(|error| panic!("send: {error}"));
    }

    pub(crate) fn try_send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    #[track_caller]
    pub(crate) fn send(&mut self, command: &str) {
        self.send_raw(&encode_words(command));
    }

    /// Sends words and waits for the answer.
    #[track_caller]
    pub(crate) fn call(&mut self, command: &str) -> Reply {
        self.send(command);
        self.receive()
    }

    /// Sends arguments that may hold any bytes, and waits for the answer.
    #[track_caller]
    pub(crate) fn call_arguments<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Reply {
        self.send_raw(&encode(arguments));
        self.receive()
    }

    #[track_caller]
    pub(crate) fn receive(&mut self) -> Reply {
        self.try_receive()
            .unwrap_or_else(|error| panic!("receive: {error}"))
    }

    /// The next reply, or the error of a connection that is gone.
    pub(crate) fn try_receive(&mut self) -> std::io::Result<Reply> {
        let line = self.line()?;
        let (kind, rest) = line.split_at(1);
        let number = || {
            rest.parse::<i64>()
                .unwrap_or_else(|_| panic!("a number in {line:?}"))
        };
        let length = || usize::try_from(number()).map_err(|_| ErrorKind::InvalidData);
        Ok(match (kind, rest) {
            ("+", _) => Reply::Simple(rest.to_owned()),
            ("-", _) => Reply::Error(rest.to_owned()),
            (":", _) => Reply::Int(number()),
            ("_", "") => Reply::Null,
            ("$", "-1") => Reply::NilBulk,
            ("*", "-1") => Reply::NilArray,
            ("$", _) => Reply::Bulk(self.body(length()?)?),
            ("*", _) => Reply::Array(self.try_receive_all(number())?),
            ("~", _) => Reply::Set(self.try_receive_all(number())?),
            (">", _) => Reply::Push(self.try_receive_all(number())?),
            ("%", _) => Reply::Map(
                (0..number())
                    .map(|_| Ok((self.try_receive()?, self.try_receive()?)))
                    .collect::<std::io::Result<_>>()?,
            ),
            _ => panic!("no reply starts like {line:?}"),
        })
    }

    fn try_receive_all(&mut self, count: i64) -> std::io::Result<Vec<Reply>> {
        (0..count).map(|_| self.try_receive()).collect()
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        assert!(
            line.ends_with(b"\r\n") && line.len() > 2,
            "a reply line ends in CRLF: {}",
            line.escape_ascii()
        );
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn body(&mut self, length: usize) -> std::io::Result<Vec<u8>> {
        let mut body = vec![0; length + 2];
        self.reader.read_exact(&mut body)?;
        assert!(body.ends_with(b"\r\n"), "a bulk ends in CRLF");
        body.truncate(length);
        Ok(body)
    }

    /// The next bytes as they are, this many.
    #[track_caller]
    pub(crate) fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        if let Err(error) = self.reader.read_exact(&mut bytes) {
            panic!(
                "receive {count} bytes: {error}; so far {}",
                bytes.escape_ascii()
            );
        }
        bytes
    }

    /// The next reply if one begins within `patience`.
    pub(crate) fn receive_within(&mut self, patience: Duration) -> Option<Reply> {
        self.set_read_timeout(patience);
        let begun = match self.reader.fill_buf() {
            Ok([]) => panic!("the server closed the connection"),
            Ok(_) => true,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                false
            }
            Err(error) => panic!("receive: {error}"),
        };
        self.set_read_timeout(PATIENCE);
        begun.then(|| self.receive())
    }

    fn set_read_timeout(&self, timeout: Duration) {
        self.reader
            .get_ref()
            .set_read_timeout(Some(timeout))
            .expect("set a read timeout");
    }

    /// Asserts that nothing more is answered for a while. Only the absence of something is worth such a wait.
    #[track_caller]
    pub(crate) fn assert_silent(&mut self) {
        let answer = self.receive_within(Duration::from_millis(80));
        assert!(answer.is_none(), "expected no answer, got {answer:?}");
    }

    /// All bytes until the server closes the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.reader.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            // What the server had not read when it closed comes back as a reset.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
            Err(error) => panic!(
                "the server did not close: {error}; so far {}",
                bytes.escape_ascii()
            ),
        }
    }

    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        let rest = self.rest();
        assert!(
            rest.is_empty(),
            "expected a close, got {}",
            rest.escape_ascii()
        );
    }

    /// Says that nothing more will be sent, and goes on listening.
    pub(crate) fn finish_sending(&self) {
        self.reader
            .get_ref()
            .shutdown(Shutdown::Write)
            .expect("shut down the sending side");
    }

    /// ADDJOB with options as words; the id that it answers.
    #[track_caller]
    pub(crate) fn add(&mut self, queue: &str, body: &str, options: &str) -> String {
        let mut arguments = vec!["ADDJOB", queue, body, "0"];
        arguments.extend(options.split_whitespace());
        self.call_arguments(&arguments).simple_text().to_owned()
    }

    /// One ready job of a queue, taken.
    #[track_caller]
    pub(crate) fn take(&mut self, queue: &str) -> Job {
        let reply = self.call(&format!("GETJOB NOHANG FROM {queue}"));
        let mut jobs = jobs(&reply);
        assert_eq!(jobs.len(), 1, "one job was asked for: {jobs:?}");
        jobs.remove(0)
    }

    /// The fields of SHOW.
    #[track_caller]
    pub(crate) fn show(&mut self, id: &str) -> Reply {
        let reply = self.call(&format!("SHOW {id}"));
        assert_eq!(
            reply.items().len(),
            30,
            "SHOW answers 30 elements: {reply:?}"
        );
        reply
    }

    /// The state of a job that is known.
    #[track_caller]
    pub(crate) fn state(&mut self, id: &str) -> String {
        self.show(id).field("state").text()
    }

    #[track_caller]
    pub(crate) fn length(&mut self, queue: &str) -> i64 {
        self.call(&format!("QLEN {queue}")).int()
    }

    /// A field of INFO as text.
    #[track_caller]
    pub(crate) fn info(&mut self, field: &str) -> String {
        let text = self.call("INFO all").text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in INFO all"))
            .to_owned()
    }
}
