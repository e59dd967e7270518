//! `shoalmq health` and `shoalmq drain`: a node asked over HTTP, for images without curl.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

/// Where a node with the usual port answers.
const URL: &str = "http://127.0.0.1:8711";
/// More than any answer that is asked for here.
const ANSWER_BYTES: usize = 1 << 20;
/// Between two looks at a node that drains.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Which node is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct NodeArgs {
    /// Its `http-port`, as a URL.
    #[arg(long, env = "SHOALMQ_URL", default_value = URL)]
    url: Uri,
    /// How long an answer may take, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    answer_within: u64,
}

/// Ask a node how it is: the exit code is 0 when it is well, and 1 with the reasons when not.
#[derive(Debug, Clone, clap::Args)]
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

/// Let a node hand its queued jobs to others before it is stopped; it stays up, not ready, until SIGTERM.
#[derive(Debug, Clone, clap::Args)]
pub struct DrainArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// How long to wait until all jobs are handed over, in seconds; what is left stays on its disk.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    timeout: u64,
    /// The password of `requirepass`; better in the environment than here.
    #[arg(long, env = "SHOALMQ_REQUIREPASS", hide_env_values = true)]
    password: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
enum ProbeError {
    #[error("--url {0} must be http://HOST:PORT")]
    Url(Uri),
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
    loop {
        let password = args.password.as_deref();
        let answer = match ask(&args.node, Method::POST, "/api/v1/drain", password).await {
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

async fn ask(
    node: &NodeArgs,
    method: Method,
    path: &str,
    password: Option<&str>,
) -> Result<Answer, ProbeError> {
    let within = Duration::from_secs(node.answer_within);
    let answer = tokio::time::timeout(within, exchange(&node.url, method, path, password)).await;
    answer.unwrap_or_else(|_| Err(ProbeError::Late(node.url.clone())))
}

async fn exchange(
    url: &Uri,
    method: Method,
    path: &str,
    password: Option<&str>,
) -> Result<Answer, ProbeError> {
    let wrong = || ProbeError::Url(url.clone());
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
    if let Some(password) = password {
        let pair = STANDARD.encode(format!("default:{password}"));
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
