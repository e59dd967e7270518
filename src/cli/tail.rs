//! `shoalmq cli tail`: entries of topics as they come, a line each, until Ctrl-C.
//!
//! It keeps the cursor behind the last entry that it printed. When the connection breaks, it connects again and goes on from
//! there, so it prints each entry once.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::date::utc;
use super::format;
use super::session::Session;
use super::{Args, CliError};
use shoalmq_client::ConnectionError;
use shoalmq_resp::Frame;

const USAGE: &str = "usage: shoalmq cli tail PATTERN... [--from START]";

/// How long it waits before it connects again.
const PAUSE: Duration = Duration::from_millis(500);

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    patterns: Vec<Vec<u8>>,
    from: Vec<u8>,
}

/// How an entry is printed.
#[derive(Debug, Clone, Copy)]
enum Style {
    /// Time, channel, id and body, safe for a terminal.
    Line,
    /// The same, with the bytes as they are.
    Raw,
    /// An object.
    Json,
}

/// A subscription that outlives its connection.
struct Tail {
    session: Session,
    patterns: Vec<Vec<u8>>,
    /// Where it goes on.
    from: Vec<u8>,
    style: Style,
}

/// Prints entries until Ctrl-C, which is success.
pub(super) async fn run(args: Args) -> Result<ExitCode, CliError> {
    let style = match (args.json, args.raw) {
        (true, _) => Style::Json,
        (false, true) => Style::Raw,
        (false, false) => Style::Line,
    };
    let session = Session::new(args.target());
    let words = args.command.into_iter().skip(1).map(OsString::into_vec);
    let Some(Wanted { patterns, from }) = Wanted::parse(words) else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::FAILURE);
    };
    let mut tail = Tail {
        session,
        patterns,
        from,
        style,
    };
    tokio::select! {
        ended = tail.follow() => match ended {
            Ok(never) => match never {},
            // The program that read the lines has gone.
            Err(CliError::Terminal(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error),
        },
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(ExitCode::SUCCESS)
}

impl Wanted {
    /// Patterns, and `--from` with a start anywhere between them.
    fn parse(words: impl Iterator<Item = Vec<u8>>) -> Option<Self> {
        let (mut patterns, mut from) = (Vec::new(), None);
        let mut words = words;
        while let Some(word) = words.next() {
            let start = if word == b"--from" {
                Some(words.next()?)
            } else {
                word.strip_prefix(b"--from=").map(<[u8]>::to_vec)
            };
            match start {
                Some(_) if from.is_some() => return None,
                Some(start) => from = Some(start),
                None => patterns.push(word),
            }
        }
        (!patterns.is_empty()).then(|| Wanted {
            patterns,
            from: from.unwrap_or_else(|| b"$".to_vec()),
        })
    }
}

impl Tail {
    /// Never ends by itself, but for an error.
    async fn follow(&mut self) -> Result<Infallible, CliError> {
        self.subscribe().await?;
        loop {
            match self.session.receive().await {
                Ok(frame) => self.take(&frame)?,
                Err(error) if is_passing(&error) => {
                    eprintln!("shoalmq cli: {error}: connecting again");
                    self.come_back().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn subscribe(&mut self) -> Result<(), ConnectionError> {
        let mut words = vec![b"TSUB".to_vec(), b"FROM".to_vec(), self.from.clone()];
        words.push(b"PATTERN".to_vec());
        words.extend(self.patterns.iter().cloned());
        let reply = self.session.execute(&words).await?;
        let reply = reply.ok_or(ConnectionError::Closed)?;
        if let Some(error) = reply.as_error() {
            return Err(ConnectionError::Refused(
                String::from_utf8_lossy(error).into_owned(),
            ));
        }
        if let Some([_, _, cursor]) = reply.as_array() {
            self.go_on_from(cursor);
        }
        Ok(())
    }

    async fn come_back(&mut self) -> Result<(), ConnectionError> {
        loop {
            tokio::time::sleep(PAUSE).await;
            match self.subscribe().await {
                Err(error) if is_passing(&error) => self.session.disconnect(),
                done => return done,
            }
        }
    }

    /// Prints an entry or a loss.
    fn take(&mut self, frame: &Frame) -> io::Result<()> {
        let Some([kind, _, channel, id, cursor, body, rest @ ..]) = frame.as_array() else {
            return Ok(());
        };
        if kind.as_bytes() != Some(b"tmessage") {
            return Ok(());
        }
        let id = String::from_utf8_lossy(id.as_bytes().unwrap_or_default()).into_owned();
        match (channel.as_bytes(), body.as_bytes(), rest) {
            (Some(channel), Some(body), _) => {
                let mut line = line(self.style, channel, &id, body);
                line.push(b'\n');
                let mut stdout = io::stdout().lock();
                stdout.write_all(&line)?;
                stdout.flush()?;
            }
            (_, _, [_, Frame::Integer(count), ..]) => {
                eprintln!("shoalmq cli: up to {count} entries before {id} are lost");
            }
            _ => {}
        }
        self.go_on_from(cursor);
        Ok(())
    }

    fn go_on_from(&mut self, cursor: &Frame) {
        if let Some(cursor) = cursor.as_bytes() {
            self.from = cursor.to_vec();
        }
    }
}

/// Whether it is worth another try: the node may be back soon.
fn is_passing(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::Connect { .. }
        | ConnectionError::Timeout { .. }
        | ConnectionError::Closed
        | ConnectionError::Silent(_)
        | ConnectionError::Lost(_) => true,
        ConnectionError::Refused(text) => text.starts_with("LOADING"),
        ConnectionError::Reply(_) => false,
    }
}

/// An entry, without a newline at its end.
fn line(style: Style, channel: &[u8], id: &str, body: &[u8]) -> Vec<u8> {
    let time = time_of(id);
    match style {
        Style::Line => {
            let [channel, body] = [channel, body].map(format::plain);
            format!("{time} {channel} {id} {body}").into_bytes()
        }
        Style::Raw => {
            let head = [time.as_bytes(), channel, id.as_bytes()].join(&b' ');
            [&head[..], body].join(&b' ')
        }
        Style::Json => {
            let [channel, body] = [channel, body].map(String::from_utf8_lossy);
            let entry = json!({ "time": time, "channel": channel, "id": id, "body": body });
            entry.to_string().into_bytes()
        }
    }
}

/// The time in an id, as UTC.
fn time_of(id: &str) -> String {
    let ms = id.split('-').next().and_then(|ms| ms.parse::<u64>().ok());
    let (date, time) = utc(ms.unwrap_or_default());
    format!("{date}T{time}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(line: &str) -> Option<Wanted> {
        Wanted::parse(line.split_whitespace().map(|word| word.as_bytes().to_vec()))
    }

    #[test]
    fn patterns_and_a_start_stand_in_any_order() {
        let both = |line| wanted(line).map(|w| (w.patterns.len(), w.from));
        assert_eq!(both("a.*"), Some((1, b"$".to_vec())));
        assert_eq!(both("a.* --from 0 b"), Some((2, b"0".to_vec())));
        assert_eq!(both("--from=7-1 a"), Some((1, b"7-1".to_vec())));
        for wrong in ["", "--from 0", "a --from", "a --from 0 --from 1"] {
            assert_eq!(wanted(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_has_time_channel_id_and_body() {
        let id = "1709164800007-12";
        let text = |style| String::from_utf8_lossy(&line(style, b"a", id, b"x\ny")).into_owned();
        let head = "2024-02-29T00:00:00.007Z a 1709164800007-12";
        assert_eq!(text(Style::Line), format!("{head} x\\ny"));
        assert_eq!(text(Style::Raw), format!("{head} x\ny"));
        assert!(text(Style::Json).contains(r#""body":"x\ny""#));
    }
}
