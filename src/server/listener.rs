//! Where clients connect: TCP addresses and a Unix socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tracing::{debug, warn};

use super::connection::Connection;
use super::driver::Shared;
use super::mailbox::Mailbox;
use super::session::{Peer, Session};
use crate::command::{Failure, ServerError};
use crate::config::{BindAddress, Config};
use crate::resp::Protocol as Resp;

/// Why a node cannot listen.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    #[error("listen on {address}: {source}; {}", way_out(source))]
    Tcp {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("listen on {name}: {source}; name an address of this machine with --bind")]
    Name { name: String, source: io::Error },
    #[error("listen on the unix socket {}: {source}; choose another with --unixsocket", path.display())]
    Unix { path: PathBuf, source: io::Error },
}

/// What an operator can do about it.
fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "is another node running? choose another with --port or --bind",
        io::ErrorKind::AddrNotAvailable => "name an address of this machine with --bind",
        io::ErrorKind::PermissionDenied => {
            "choose a port from 1024 on with --port, or run it with that right"
        }
        _ => "choose another with --port or --bind",
    }
}

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

pub(super) fn addresses(bind: &BindAddress) -> Result<Vec<IpAddr>, ListenError> {
    match bind {
        BindAddress::Every => Ok(vec![
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv6Addr::UNSPECIFIED.into(),
        ]),
        BindAddress::Ip(ip) => Ok(vec![*ip]),
        BindAddress::Name(name) => {
            let unknown = |source| ListenError::Name {
                name: name.clone(),
                source,
            };
            let found = (name.as_str(), 0).to_socket_addrs().map_err(unknown)?;
            Ok(found.map(|address| address.ip()).collect())
        }
    }
}

pub(super) fn listen(address: SocketAddr, backlog: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::from(backlog))?;
    TcpListener::from_std(socket.into())
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

/// From where a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// This machine.
    Here,
    /// Any other.
    Elsewhere,
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

/// Gives a connection its number, unless it may not come in. A node that has let its clients go takes no others, and has
/// nothing to say to them.
fn register(
    shared: &Shared,
    address: String,
    fd: RawFd,
    origin: Origin,
) -> Result<Session, Option<ServerError<'static>>> {
    let mut driver = shared.driver.lock();
    let driver = &mut *driver;
    if driver.is_closed {
        return Err(None);
    }
    driver.stats.connections += 1;
    let refusal = if driver.peers.len() >= driver.config.maxclients.get() as usize {
        Some(ServerError::TooManyClients)
    } else if origin == Origin::Elsewhere
        && driver.config.protected_mode
        && driver.config.requirepass.is_none()
    {
        Some(ServerError::Protected)
    } else {
        None
    };
    if let Some(refusal) = refusal {
        driver.stats.rejected += 1;
        return Err(Some(refusal));
    }
    let id = driver.next_client();
    let mailbox = Arc::new(Mailbox::default());
    let now = Instant::now();
    let peer = Peer {
        address,
        fd,
        name: Vec::new(),
        since: now,
        last_seen: now,
        last_command: "NULL",
        protocol: Resp::Resp2,
        unanswered: 0,
        monitor: false,
        unread_since: None,
        mailbox: Arc::clone(&mailbox),
    };
    driver.peers.insert(id, peer);
    Ok(Session::new(id, mailbox))
}
