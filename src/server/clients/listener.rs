//! Where clients connect: TCP addresses and a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tracing::{debug, warn};

use super::connection::Connection;
use super::registry::{Origin, register};
use crate::command::Failure;
use crate::config::{BindAddress, Config};
use crate::server::driver::Shared;
use crate::server::listen::{ListenError, addresses, listen};

/// The open doors of a node.
#[derive(Debug)]
pub(crate) struct Listeners {
    tcp: Vec<TcpListener>,
    unix: Option<(UnixListener, PathBuf)>,
    /// The TCP port, also where the system chose it.
    pub(crate) port: u16,
}

impl Listeners {
    /// Opens all that the configuration names.
    pub(crate) fn open(config: &Config) -> Result<Self, ListenError> {
        let mut listeners = Listeners {
            tcp: Vec::new(),
            unix: None,
            port: config.port,
        };
        for bind in &config.bind {
            for ip in addresses(bind)? {
                let address = SocketAddr::new(ip, listeners.port);
                match listen(address, config.tcp_backlog) {
                    Ok(listener) => {
                        listeners.port = listener
                            .local_addr()
                            .map_or(listeners.port, |local| local.port());
                        listeners.tcp.push(listener);
                    }
                    // `*` means IPv6 only where the machine has it.
                    Err(error) if matches!(bind, BindAddress::Every) && ip.is_ipv6() => {
                        debug!(%error, "no IPv6");
                    }
                    Err(source) => return Err(ListenError::Tcp { address, source }),
                }
            }
        }
        if let Some(path) = &config.unixsocket {
            let unix = listen_unix(config).map_err(|source| ListenError::Unix {
                path: path.clone(),
                source,
            })?;
            listeners.unix = Some((unix, path.clone()));
        }
        Ok(listeners)
    }

    /// The addresses that are listened on, for the log.
    pub(crate) fn describe(&self) -> String {
        let tcp = self
            .tcp
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .map(|a| a.to_string());
        let unix = self.unix.iter().map(|(_, path)| path.display().to_string());
        tcp.chain(unix).collect::<Vec<_>>().join(", ")
    }

    /// Takes connections until the tasks are dropped.
    pub(crate) fn serve(self, shared: &Arc<Shared>) {
        for listener in self.tcp {
            tokio::spawn(accept_tcp(Arc::clone(shared), listener));
        }
        if let Some((listener, path)) = self.unix {
            tokio::spawn(accept_unix(Arc::clone(shared), listener, path));
        }
    }
}

fn listen_unix(config: &Config) -> io::Result<UnixListener> {
    let path = config
        .unixsocket
        .as_deref()
        .expect("only called when there is one");
    // The socket of a node that was killed is in the way; one that answers is another node's.
    if path.exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    if let Some(mode) = config.unixsocketperm {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode.bits()))?;
    }
    Ok(listener)
}

/// Accepting fails when files run out: a moment later there may be some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

async fn accept_tcp(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                tokio::spawn(welcome_tcp(Arc::clone(&shared), stream, address));
            }
            Err(error) => {
                warn!(%error, "cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept_unix(shared: Arc<Shared>, listener: UnixListener, path: PathBuf) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let address = format!("{}:0", path.display());
                let fd = stream.as_raw_fd();
                tokio::spawn(welcome(
                    Arc::clone(&shared),
                    stream,
                    address,
                    fd,
                    Origin::Here,
                ));
            }
            Err(error) => {
                warn!(%error, "cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn welcome_tcp(shared: Arc<Shared>, stream: TcpStream, address: SocketAddr) {
    let keepalive = shared.driver.lock().config.tcp_keepalive;
    if let Err(error) = prepare(&stream, keepalive) {
        debug!(%address, %error, "the connection is gone");
        return;
    }
    let origin = if address.ip().to_canonical().is_loopback() {
        Origin::Here
    } else {
        Origin::Elsewhere
    };
    let fd = stream.as_raw_fd();
    welcome(shared, stream, address.to_string(), fd, origin).await;
}

fn prepare(stream: &TcpStream, keepalive: Option<Duration>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match keepalive {
        Some(time) => SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(time)),
        None => Ok(()),
    }
}

async fn welcome<S>(shared: Arc<Shared>, mut stream: S, address: String, fd: RawFd, origin: Origin)
where
    S: AsyncRead + AsyncWrite + AsFd + Unpin,
{
    let session = match register(&shared, address, fd, origin) {
        Ok(session) => session,
        Err(refused) => {
            let mut line = Vec::new();
            if let Some(refused) = refused {
                Failure::Server(refused).encode(&mut line);
            }
            // The connection ends either way.
            let _ = stream.write_all(&line).await;
            let _ = stream.shutdown().await;
            return;
        }
    };
    Connection::new(shared, session, stream).serve().await;
}
