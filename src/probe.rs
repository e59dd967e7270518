//! `shoalmq health` and `shoalmq drain`: a node asked over HTTP, for images without curl.

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{ArgAction, ValueEnum};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::cli::LoginArgs;

/// The variable that names a node.
const URL: &str = "SHOALMQ_URL";
/// Without one, HTTP is answered this far above the port for clients.
const HTTP_OFFSET: u16 = 1000;
/// The usual port for clients.
const PORT: u16 = 7711;
/// More than any answer that is asked for here.
const ANSWER_BYTES: usize = 1 << 20;
/// Between two looks at a node that drains.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Which node is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct NodeArgs {
    /// Host name or address of the node [default: 127.0.0.1].
    #[arg(short = 'h', long)]
    host: Option<String>,
    /// Port of the node for clients: the question goes to the port 1000 above [default: 7711].
    #[arg(short = 'p', long, value_parser = clap::value_parser!(u16).range(..=i64::from(u16::MAX - HTTP_OFFSET)))]
    port: Option<u16>,
    /// Its `http-port` as a URL, where that is another. `SHOALMQ_URL` gives it when no option names the node.
    #[arg(long, conflicts_with_all = ["host", "port"])]
    url: Option<Uri>,
    /// How long an answer may take, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    answer_within: u64,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Ask a node how it is: the exit code is 0 when it is well, and 1 with the reasons when not.
#[derive(Debug, Clone, clap::Args)]
#[command(disable_help_flag = true)]
pub struct HealthArgs {
    /// What is asked.
    kind: Kind,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Has it read its log?
    Startup,
    /// Should clients be sent to it?
    Ready,
    /// Does it make progress?
    Live,
}

/// Let a node hand its queued jobs to others before it is stopped; it stays up, not ready, until SIGTERM, or until
/// CLUSTER LEAVING no undoes it.
#[derive(Debug, Clone, clap::Args)]
#[command(disable_help_flag = true)]
pub struct DrainArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// How long to wait until all jobs are handed over, in seconds; what is left stays on its disk.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    timeout: u64,
    #[command(flatten)]
    login: LoginArgs,
}

/// Why there is no answer.
#[derive(Debug, Error)]
enum ProbeError {
    #[error("the URL {0} must be http://HOST:PORT")]
    Url(String),
    #[error("connect to {url}: {source}")]
    Connect { url: Uri, source: std::io::Error },
    #[error("ask {url}: {source}")]
    Http { url: Uri, source: hyper::Error },
    #[error("the answer of {0} broke off, or is no answer of a node")]
    Answer(Uri),
    #[error("{0} did not answer in time")]
    Late(Uri),
}

/// An answer.
struct Answer {
    status: StatusCode,
    body: String,
}

/// Runs `shoalmq health`.
pub async fn health(args: HealthArgs) -> ExitCode {
    let kind = match args.kind {
        Kind::Startup => "startup",
        Kind::Ready => "ready",
        Kind::Live => "live",
    };
    match ask(&args.node, Method::GET, &format!("/healthz/{kind}"), None).await {
        Ok(answer) => {
            print!("{}", answer.body);
            ExitCode::from(u8::from(!answer.status.is_success()))
        }
        Err(error) => failed(&error),
    }
}

/// Runs `shoalmq drain`: 0 once all is handed over, or the node is gone; 1 when jobs are left, or it refuses.
pub async fn drain(args: DrainArgs) -> ExitCode {
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let user = args.login.user.as_deref().unwrap_or("default");
    let login = args
        .login
        .password()
        .map(|password| format!("{user}:{password}"));
    loop {
        let answer = match ask(&args.node, Method::POST, "/api/v1/drain", login.clone()).await {
            Ok(answer) => answer,
            // It stopped already: nothing is left to do.
            Err(error @ ProbeError::Connect { .. }) => {
                eprintln!("shoalmq: {error}: there is no node to drain");
                return ExitCode::SUCCESS;
            }
            Err(error) => return failed(&error),
        };
        let told: Option<serde_json::Value> = serde_json::from_str(&answer.body).ok();
        let left = told.and_then(|told| told["remaining_jobs"].as_u64());
        match left {
            Some(0) if answer.status.is_success() => {
                println!("drained");
                return ExitCode::SUCCESS;
            }
            Some(left) if answer.status.is_success() => {
                if Instant::now() >= deadline {
                    eprintln!(
                        "shoalmq: {left} jobs are not handed over yet; they stay on the node's disk"
                    );
                    return ExitCode::FAILURE;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            _ => {
                eprintln!("shoalmq: {}: {}", answer.status, answer.body.trim_end());
                return ExitCode::FAILURE;
            }
        }
    }
}

fn failed(error: &ProbeError) -> ExitCode {
    eprintln!("shoalmq: {error}");
    ExitCode::FAILURE
}

impl NodeArgs {
    /// Where the node answers.
    fn url(&self) -> Result<Uri, ProbeError> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let is_named = self.host.is_some() || self.port.is_some();
        let text = match std::env::var(URL) {
            Ok(url) if !is_named && !url.is_empty() => url,
            _ => {
                let host = self.host.as_deref().unwrap_or("127.0.0.1");
                let host = match host.parse() {
                    Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
                    _ => host.to_owned(),
                };
                let port = self.port.unwrap_or(PORT) + HTTP_OFFSET;
                format!("http://{host}:{port}")
            }
        };
        text.parse().map_err(|_| ProbeError::Url(text))
    }
}

/// Asks; `login` is a user and a password, with a colon between them.
async fn ask(
    node: &NodeArgs,
    method: Method,
    path: &str,
    login: Option<String>,
) -> Result<Answer, ProbeError> {
    let url = node.url()?;
    let within = Duration::from_secs(node.answer_within);
    let answer = tokio::time::timeout(within, exchange(&url, method, path, login)).await;
    answer.unwrap_or(Err(ProbeError::Late(url)))
}

async fn exchange(
    url: &Uri,
    method: Method,
    path: &str,
    login: Option<String>,
) -> Result<Answer, ProbeError> {
    let wrong = || ProbeError::Url(url.to_string());
    if url.scheme_str() != Some("http") {
        return Err(wrong());
    }
    let host = url.host().ok_or_else(wrong)?;
    let port = url.port_u16().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port)).await;
    let stream = stream.map_err(|source| ProbeError::Connect {
        url: url.clone(),
        source,
    })?;
    let http = |source| ProbeError::Http {
        url: url.clone(),
        source,
    };
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(http)?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, format!("{host}:{port}"));
    if let Some(login) = login {
        let pair = STANDARD.encode(login);
        request = request.header(header::AUTHORIZATION, format!("Basic {pair}"));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|_| wrong())?;
    let response = sender.send_request(request).await.map_err(http)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES);
    let body = body.collect().await;
    connection.abort();
    let body = body.map_err(|_| ProbeError::Answer(url.clone()))?;
    Ok(Answer {
        status,
        body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(disable_help_flag = true)]
    struct Program {
        #[command(flatten)]
        node: NodeArgs,
    }

    fn url(line: &str) -> Result<String, String> {
        let words = std::iter::once("health").chain(line.split_whitespace());
        let program = Program::try_parse_from(words).map_err(|error| error.to_string())?;
        let url = program.node.url().map_err(|error| error.to_string())?;
        Ok(url.to_string())
    }

    #[test]
    fn a_node_is_named_by_its_port_for_clients_or_by_a_url() {
        for (line, expected) in [
            ("", "http://127.0.0.1:8711/"),
            ("-p 7712", "http://127.0.0.1:8712/"),
            ("-h ::1", "http://[::1]:8711/"),
            ("--host mq-0 --port 1", "http://mq-0:1001/"),
            ("--url http://mq-0:80", "http://mq-0:80/"),
        ] {
            assert_eq!(url(line).as_deref(), Ok(expected), "{line}");
        }
        for wrong in ["-p 65000", "-p x", "-p 1 --url http://mq-0:80"] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
