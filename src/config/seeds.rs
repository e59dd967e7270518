//! Names of other nodes: where to find them at the start, and where they find this one.

use super::types::{is_host_name, pieces};
use super::units::digits;
use super::value::{Allowed, Setting, single};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The bus listens so far above the port for clients, unless it is told otherwise.
pub const BUS_OFFSET: u16 = 10_000;

/// An address, or a name that has some.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name, to be looked up by who needs it.
    Name(String),
}

impl Host {
    /// An IP address or a host name, in lower case.
    pub fn parse(word: &str) -> Option<Self> {
        let ip = word.parse().ok().map(Self::Ip);
        ip.or_else(|| is_host_name(word).then(|| Self::Name(word.to_ascii_lowercase())))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// `cluster-announce-host`: none is `""`.
impl Setting for Option<Host> {
    fn parse(words: &[String], _: &Allowed) -> Option<Self> {
        match single(words)? {
            "" => Some(None),
            word => Host::parse(word).map(Some),
        }
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        vec![self.as_ref().map_or_else(String::new, Host::to_string)]
    }
}

/// A node to join, or a name behind which some are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seed {
    /// Where it is.
    pub host: Host,
    /// Its ports; `None` stands for those of this node.
    pub ports: Option<SeedPorts>,
}

/// Where a seed listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SeedPorts {
    /// For clients.
    pub client: u16,
    /// For other nodes.
    pub bus: u16,
}

impl SeedPorts {
    /// Those of a node with this port for clients, when it uses the usual one for the bus.
    pub fn of_client(client: u16) -> Option<Self> {
        let bus = client
            .checked_add(BUS_OFFSET)
            .filter(|bus| *bus > BUS_OFFSET)?;
        Some(Self { client, bus })
    }

    /// `port` or `port@bus`.
    pub fn parse(word: &str) -> Option<Self> {
        let port = |word: &str| {
            let port = digits(word).and_then(|port| u16::try_from(port).ok());
            port.filter(|port| *port > 0)
        };
        match word.split_once('@') {
            None => Self::of_client(port(word)?),
            Some((client, bus)) => Some(Self {
                client: port(client)?,
                bus: port(bus)?,
            }),
        }
    }
}

impl Seed {
    /// `host`, `host:port` or `host:port@bus`; an IPv6 address with a port stands in `[…]`.
    fn parse(word: &str) -> Option<Self> {
        if let Some(host) = Host::parse(word) {
            return Some(Self { host, ports: None });
        }
        let (host, ports) = word.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => {
                let ip: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
                Host::Ip(ip.into())
            }
            // The last group of an IPv6 address must not pass for a port.
            None => Host::parse(host).filter(|_| !host.contains(':'))?,
        };
        Some(Self {
            host,
            ports: Some(SeedPorts::parse(ports)?),
        })
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ports) = self.ports else {
            return self.host.fmt(f);
        };
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            host => host.fmt(f)?,
        }
        write!(f, ":{}", ports.client)?;
        if SeedPorts::of_client(ports.client) == Some(ports) {
            Ok(())
        } else {
            write!(f, "@{}", ports.bus)
        }
    }
}

const SEEDS_MAX: usize = 64;

impl Setting for Vec<Seed> {
    fn parse(words: &[String], _: &Allowed) -> Option<Self> {
        if words.is_empty() {
            return None;
        }
        let seeds: Option<Self> = pieces(words).map(Seed::parse).collect();
        seeds.filter(|seeds| seeds.len() <= SEEDS_MAX)
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        if self.is_empty() {
            return vec![String::new()];
        }
        self.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(words: &[&str]) -> Option<Vec<Seed>> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Vec::<Seed>::parse(&words, &Allowed::Seeds)
    }

    #[test]
    fn a_seed_is_a_host_with_or_without_ports() {
        let words = [
            "10.0.0.1:7711",
            "a.example:7711@9000",
            "shoal.svc",
            "::1",
            "[fe80::1]:7711",
        ];
        let parsed = seeds(&words).expect("valid");
        assert_eq!(
            parsed.iter().map(Seed::to_string).collect::<Vec<_>>(),
            words
        );
        assert_eq!(parsed[0].ports, SeedPorts::of_client(7711));
        assert_eq!(
            parsed[1].ports,
            Some(SeedPorts {
                client: 7711,
                bus: 9000
            })
        );
        assert_eq!(parsed[2].ports, None);
    }

    #[test]
    fn seeds_come_in_one_word_or_in_several() {
        let several = seeds(&["a:1", "b:2"]);
        assert_eq!(several, seeds(&["a:1 b:2"]));
        assert_eq!(several.map(|seeds| seeds.len()), Some(2));
        assert_eq!(seeds(&[""]), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_seed_is_refused() {
        for word in [
            "a:",
            "a:0",
            "a:55536",
            "a:70000@1",
            "a:1@0",
            "a:1@",
            "a@1",
            ":1",
            "fe80::1:7711@1",
            "[a]:1",
            "[::1]",
            "300.1.1.1:1",
            "a:+1",
        ] {
            assert_eq!(seeds(&[word]), None, "{word}");
        }
        assert_eq!(seeds(&[]), None);
        assert!(seeds(&["a:60000@1"]).is_some());
        assert_eq!(seeds(&[&"a ".repeat(65)]), None);
    }
}
