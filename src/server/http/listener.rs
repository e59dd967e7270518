//! Where HTTP is served, and one connection of it.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

use super::auth::From;
use super::{Node, routes};
use crate::config::{BindAddress, Config, HttpPort};
use crate::server::listen::addresses;

/// How far `auto` is above the port for clients.
const BESIDE_CLIENTS: u16 = 1000;
/// The most connections at a time: a Prometheus or two, probes, people.
const CONNECTIONS: usize = 128;
/// How long a client has to send the head of a request, and an idle connection waits for the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection lasts: one that takes its answers slowly, or never, keeps no other out.
const LIMITS: Limits = Limits {
    requests: Duration::from_mins(1),
    answer: Duration::from_secs(10),
};
/// Room for the head of a request.
const HEAD_BYTES: usize = 16 << 10;
/// After an accept that failed, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection lasts.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// It takes requests for this long, and ends once the answer under way is out,
    requests: Duration,
    /// or this long after that.
    answer: Duration,
}

/// Why HTTP cannot be served.
#[derive(Debug, Error)]
pub(crate) enum HttpError {
    #[error(
        "listen on {address} for HTTP: {source}; choose another with --http-port or --http-bind, or none with --http-port 0"
    )]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("{0}; it is for HTTP: choose another address with --http-bind")]
    Address(#[from] crate::server::listen::ListenError),
}

/// The open doors for HTTP.
#[derive(Debug, Default)]
pub(crate) struct Http {
    listeners: Vec<TcpListener>,
    /// Why there are none, though nobody switched them off.
    missing: Option<String>,
}

impl Http {
    /// Opens what the configuration asks for. `clients` is the port for clients.
    pub(crate) fn open(config: &Config, clients: u16) -> Result<Self, HttpError> {
        let (port, wanted) = match config.http_port {
            HttpPort::Off => return Ok(Http::default()),
            HttpPort::Port(port) => (port.get(), true),
            HttpPort::Auto => {
                let Some(port) = clients.checked_add(BESIDE_CLIENTS) else {
                    let missing = "there is no port 1000 above that for clients".to_owned();
                    return Ok(Http {
                        missing: Some(missing),
                        ..Http::default()
                    });
                };
                (port, false)
            }
        };
        let bind = if config.http_bind.is_empty() {
            &config.bind
        } else {
            &config.http_bind
        };
        let mut http = Http::default();
        for bind in bind {
            for ip in addresses(bind)? {
                let address = SocketAddr::new(ip, port);
                match listen(address) {
                    Ok(listener) => http.listeners.push(listener),
                    // `*` means IPv6 only where the machine has it.
                    Err(error) if matches!(bind, BindAddress::Every) && ip.is_ipv6() => {
                        debug!(%error, "no IPv6 for HTTP");
                    }
                    Err(source) => {
                        let error = HttpError::Listen { address, source };
                        if wanted {
                            return Err(error);
                        }
                        http.listeners.clear();
                        http.missing = Some(error.to_string());
                        return Ok(http);
                    }
                }
            }
        }
        Ok(http)
    }

    /// Serves until the tasks are dropped.
    pub(crate) fn serve(self, shared: &Node) {
        if let Some(reason) = self.missing {
            warn!("no metrics and no health over HTTP: {reason}");
        }
        let routes = routes(shared);
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        for listener in self.listeners {
            if let Ok(address) = listener.local_addr() {
                info!(%address, "HTTP: health, metrics, API");
            }
            tokio::spawn(accept(listener, routes.clone(), Arc::clone(&permits)));
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = crate::server::listen::listen(address, 128)?;
    Ok(listener)
}

async fn accept(listener: TcpListener, routes: Router, permits: Arc<Semaphore>) {
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, from)) => {
                let routes = routes.clone();
                tokio::spawn(async move {
                    serve_one(stream, from, routes, LIMITS).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "accept a connection for HTTP");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, from: SocketAddr, routes: Router, limits: Limits) {
    let service = TowerToHyperService::new(routes.layer(Extension(From(from))));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let mut ended = tokio::time::timeout(limits.requests, served.as_mut()).await;
    if ended.is_err() {
        served.as_mut().graceful_shutdown();
        ended = tokio::time::timeout(limits.answer, served).await;
    }
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%from, %error, "a connection for HTTP ended"),
        Err(_) => debug!(%from, "a connection for HTTP was cut off: its answer took too long"),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);

    /// What a client reads until the connection ends, which takes requests for a moment.
    async fn answer(
        handler: impl Future<Output = &'static str> + Send + 'static,
        rest: Duration,
    ) -> String {
        let handler = std::sync::Mutex::new(Some(Box::pin(handler)));
        let handler = Arc::new(handler);
        let answer = async move || {
            let first = handler.lock().expect("nobody panics").take();
            first.expect("there is one request").await
        };
        let routes = Router::new().route("/", get(answer));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let mut client = TcpStream::connect(address).await.expect("it listens");
        let (stream, from) = listener.accept().await.expect("a client");
        let request = b"GET / HTTP/1.1\r\nHost: node\r\n\r\n";
        client.write_all(request).await.expect("it is read");
        let limits = Limits {
            requests: MOMENT,
            answer: rest,
        };
        tokio::spawn(serve_one(stream, from, routes, limits));
        let mut answer = String::new();
        // A connection that is cut off may be reset.
        let _ = client.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn a_connection_ends_behind_its_last_answer() {
        let slow = async {
            tokio::time::sleep(4 * MOMENT).await;
            "done"
        };
        let answer = answer(slow, Duration::from_secs(10)).await;
        assert!(answer.ends_with("done"), "{answer}");
    }

    #[tokio::test]
    async fn an_answer_that_takes_too_long_is_cut_off() {
        assert_eq!(answer(std::future::pending(), MOMENT).await, "");
    }
}
