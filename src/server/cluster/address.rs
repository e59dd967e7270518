//! Where this node is, and where others are to be looked for: names that are looked up again and again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use shoalmq_gossip::{Event as Gossip, Memory};
use tokio::net::lookup_host;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::Health;
use crate::config::{BindAddress, Config, Host, Seed};
use crate::server::driver::{Driver, Shared};

/// Between two looks at the names of seeds: while no member is to be seen, and while only some are missing.
const SEEDS_ALONE: Duration = Duration::from_secs(1);
const SEEDS_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at `cluster-announce-host`.
const OWN_NAME_EVERY: Duration = Duration::from_secs(10);
/// A name server that takes longer is asked again.
const LOOKUP: Duration = Duration::from_secs(5);
/// Addresses that nobody has, for asking the system by which way a packet would leave: none is sent.
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// How this node's own address is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Own {
    /// It is given.
    Fixed(IpAddr),
    /// It is what this name has; others are told the name when they may use it.
    Name(String),
    /// It is where packets to the others leave from.
    Route,
}

impl Own {
    pub(super) fn of(config: &Config) -> Self {
        match (&config.cluster_announce_host, &config.bind[..]) {
            (Some(Host::Ip(ip)), _) => Own::Fixed(*ip),
            (Some(Host::Name(name)), _) | (None, [BindAddress::Name(name)]) => {
                Own::Name(name.clone())
            }
            (None, [BindAddress::Ip(ip)]) if !ip.is_unspecified() => Own::Fixed(*ip),
            (None, _) => Own::Route,
        }
    }
}

impl Driver {
    /// The address that others reach this node at.
    pub(super) fn own_ip(&self) -> IpAddr {
        let address = self.cluster.own_address;
        address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
    }

    /// The name that others may use for it.
    pub(super) fn own_name(&self) -> Option<String> {
        match &self.config.cluster_announce_host {
            Some(Host::Name(name)) => Some(name.clone()),
            Some(Host::Ip(_)) | None => None,
        }
    }

    /// A node that does not know by which address others reach it, and knows nobody, is reached by the one that its
    /// packets to `bus` leave from.
    pub(super) fn find_own_address_for(&mut self, bus: SocketAddr) {
        let finds_out = self
            .cluster
            .running
            .as_ref()
            .is_some_and(|running| running.own == Own::Route);
        if finds_out
            && self.cluster.members.is_empty()
            && let Some(ip) = route_to(bus)
        {
            self.change_own_ip(ip);
        }
    }

    /// Whether this node is alone, or misses somebody.
    fn is_looking(&self) -> bool {
        let mut members = self.cluster.members.values();
        members.len() == 0 || members.any(|member| member.health == Health::Down)
    }

    /// Whether no member is there, be it that none is known.
    fn sees_nobody(&self) -> bool {
        let mut members = self.cluster.members.values();
        members.all(|member| member.health == Health::Down)
    }

    /// This is where seeds are by now.
    fn look_at(&mut self, seeds: Vec<SocketAddr>) {
        if let Some(first) = seeds.first() {
            self.find_own_address_for(*first);
            self.gossip(Gossip::Seeds(seeds));
        }
    }

    fn change_own_ip(&mut self, ip: IpAddr) {
        let Some(port) = self
            .cluster
            .running
            .as_ref()
            .map(|running| running.bus_port)
        else {
            return;
        };
        if ip != self.own_ip() {
            info!(%ip, "this node's own address");
            self.note_own_ip(ip);
            self.gossip(Gossip::AddressKnown(SocketAddr::new(ip, port)));
        }
    }

    pub(super) fn note_own_ip(&mut self, ip: IpAddr) {
        self.cluster.own_address = (!ip.is_unspecified()).then(|| SocketAddr::new(ip, self.port));
    }
}

/// Looks up the names of seeds, and again and again while somebody is missing.
pub(super) async fn look_for_seeds(shared: Arc<Shared>, seeds: Vec<Seed>, port: u16) {
    loop {
        if shared.driver.lock().is_looking() {
            let addresses = resolve(&seeds, port).await;
            shared.act(|driver| driver.look_at(addresses));
        }
        let alone = shared.driver.lock().sees_nobody();
        tokio::time::sleep(if alone { SEEDS_ALONE } else { SEEDS_EVERY }).await;
    }
}

/// The bus addresses of seeds; `port` is that of those which name none.
async fn resolve(seeds: &[Seed], port: u16) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for seed in seeds {
        let port = seed.ports.map_or(port, |ports| ports.bus);
        match &seed.host {
            Host::Ip(ip) => found.push(SocketAddr::new(*ip, port)),
            Host::Name(name) => found.extend(look_up(name, port).await),
        }
    }
    found
}

async fn look_up(name: &str, port: u16) -> Vec<SocketAddr> {
    let found = find(name, port).await;
    found.unwrap_or_else(|reason| {
        debug!(name, reason, "not found");
        Vec::new()
    })
}

/// The addresses of a name, or why there are none.
pub(super) async fn find(name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match timeout(LOOKUP, lookup_host((name, port))).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(error)) => {
            let text = error.to_string();
            let cause = text.rsplit(": ").next().unwrap_or_default();
            Err(format!("the name does not resolve: {cause}"))
        }
        Err(_) => Err("the name server does not answer".to_owned()),
    }
}

/// Looks up this node's own name, and again and again, for its address may change.
pub(super) async fn look_for_own_name(shared: Arc<Shared>, name: String) {
    let mut known = true;
    loop {
        let found = look_up(&name, 0).await;
        let before = std::mem::replace(&mut known, !found.is_empty());
        if before && !known {
            warn!(
                name,
                "this node's own name is not found: other nodes cannot be told where it is"
            );
        }
        shared.act(|driver| {
            let own = driver.own_ip();
            if let Some(first) = found.first()
                && !found.iter().any(|address| address.ip() == own)
            {
                driver.change_own_ip(first.ip());
            }
        });
        let pause = if known { OWN_NAME_EVERY } else { SEEDS_ALONE };
        tokio::time::sleep(pause).await;
    }
}

/// The address that others reach this node at, as far as it is known without asking anybody.
pub(super) fn first_ip(own: &Own, memory: &Memory) -> IpAddr {
    match own {
        Own::Fixed(ip) => *ip,
        Own::Name(_) => Ipv4Addr::UNSPECIFIED.into(),
        Own::Route => {
            let remembered = memory.members.iter().flat_map(|member| &member.addresses);
            let anywhere = ANYWHERE.map(|ip| SocketAddr::new(ip, 9));
            let mut ways = remembered.chain(&anywhere);
            ways.find_map(|to| route_to(*to))
                .unwrap_or(Ipv4Addr::LOCALHOST.into())
        }
    }
}

/// The own address that packets to `to` leave from. Sends none.
fn route_to(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
