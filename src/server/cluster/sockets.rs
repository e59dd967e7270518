//! Where other nodes reach this one: a TCP listener for links and a UDP socket for gossip, per address of `bind`.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tracing::debug;

use crate::config::{BindAddress, Config};
use crate::server::listen::addresses;

/// Why a node cannot listen for others.
#[derive(Debug, Error)]
#[error(
    "listen for other nodes on {address}/{transport}: {source}; choose another port with --cluster-port, or another address with --bind"
)]
pub(crate) struct BusError {
    address: SocketAddr,
    transport: &'static str,
    source: io::Error,
}

/// How often the node tries to get a port from the system for TCP that is free for UDP, too.
const TRIES: usize = 16;

/// The open doors for other nodes.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(super) links: Vec<TcpListener>,
    pub(super) gossip: Vec<UdpSocket>,
    /// Their port, also where the system chose it.
    pub(crate) port: u16,
}

impl Sockets {
    /// Opens the port that belongs to clients' port `port`, on all addresses of `bind`.
    pub(crate) fn open(
        config: &Config,
        port: u16,
    ) -> Result<Self, crate::server::start::StartError> {
        let mut ips = Vec::new();
        for bind in &config.bind {
            for ip in addresses(bind)? {
                ips.push((ip, matches!(bind, BindAddress::Every)));
            }
        }
        let derived = config.bus_port(port);
        let opened = match Sockets::open_at(&ips, derived) {
            // The system chose the port of clients: it may choose this one too.
            Err(error)
                if config.port == 0
                    && config.cluster_port == 0
                    && error.source.kind() == io::ErrorKind::AddrInUse =>
            {
                Sockets::open_at(&ips, 0)
            }
            opened => opened,
        };
        Ok(opened?)
    }

    fn open_at(ips: &[(IpAddr, bool)], port: u16) -> Result<Self, BusError> {
        let mut tries = if port == 0 { TRIES } else { 1 };
        loop {
            tries -= 1;
            match Sockets::try_open(ips, port) {
                Err(error) if tries > 0 && error.source.kind() == io::ErrorKind::AddrInUse => {}
                opened => return opened,
            }
        }
    }

    fn try_open(ips: &[(IpAddr, bool)], port: u16) -> Result<Self, BusError> {
        let mut sockets = Sockets {
            links: Vec::new(),
            gossip: Vec::new(),
            port,
        };
        for &(ip, any) in ips {
            let address = SocketAddr::new(ip, sockets.port);
            let listener = match listen(address) {
                Ok(listener) => listener,
                // `*` means IPv6 only where the machine has it.
                Err(error) if any && ip.is_ipv6() => {
                    debug!(%error, "no IPv6");
                    continue;
                }
                Err(source) => {
                    return Err(BusError {
                        address,
                        transport: "tcp",
                        source,
                    });
                }
            };
            let local = listener.local_addr();
            sockets.port = local.map_or(sockets.port, |local| local.port());
            sockets.links.push(listener);
            let address = SocketAddr::new(ip, sockets.port);
            let socket = datagrams(address).map_err(|source| BusError {
                address,
                transport: "udp",
                source,
            })?;
            sockets.gossip.push(socket);
        }
        Ok(sockets)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// As many nodes as there may be dial at once after a power cut, some of them twice.
const BACKLOG: i32 = 128;

fn datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
