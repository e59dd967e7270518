//! How any door of the node is opened, for clients, other nodes or HTTP: the addresses of `bind`, and a port on each.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::config::BindAddress;

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

/// The addresses that a value of `bind` names.
pub(crate) fn addresses(bind: &BindAddress) -> Result<Vec<IpAddr>, ListenError> {
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

/// Opens a TCP port. `backlog` is how many connections may wait to be accepted.
pub(crate) fn listen(address: SocketAddr, backlog: u16) -> io::Result<TcpListener> {
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
