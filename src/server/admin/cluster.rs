//! CLUSTER, and HELLO's list of nodes.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use shoalmq_core::event::Event;
use shoalmq_core::id::NodeId;

use super::{Answer, ok};
use crate::command::admin::{Cluster as Command, Reset};
use crate::command::{Failure, ServerError};
use crate::config::BUS_OFFSET;
use crate::server::clients::{Execution, Outcome};
use crate::server::cluster::{Cluster, Health, Member, meet_name};
use crate::server::driver::Driver;
use shoalmq_resp::encode;

/// HELLO's priorities of a node: smaller is better.
const PRIORITY_GOOD: u64 = 1;
const PRIORITY_NO_LINK: u64 = 5;
const PRIORITY_SUSPECT: u64 = 10;
const PRIORITY_GONE: u64 = 100;
/// How many nodes a client is told that asked for topics at a node that keeps none.
const TOPIC_NODES: usize = 3;

pub(super) fn run(execution: &mut Execution<'_>, command: &Command<'_>) -> Outcome {
    let answer = match *command {
        Command::MyId => my_id(execution),
        Command::Info => info(execution),
        Command::Nodes => nodes(execution),
        Command::Leaving(None) => is_leaving(execution),
        Command::Leaving(Some(leaving)) => {
            tracing::info!(leaving, "CLUSTER LEAVING");
            execution.driver.feed(Event::Leaving(leaving));
            ok(execution)
        }
        Command::Reset(how) => reset(execution, how),
        Command::Forget(id) => forget(execution, id),
        Command::Meet { host, port, bus } => match host.parse::<IpAddr>() {
            Ok(ip) => {
                execution.driver.meet(SocketAddr::new(ip, bus));
                ok(execution)
            }
            Err(_) => return meet_by_name(execution, host, port, bus),
        },
        // Every change of the members is written down as it happens.
        Command::SaveConfig => ok(execution),
    };
    if let Err(failure) = answer {
        failure.encode(execution.out);
    }
    Outcome::Done
}

fn my_id(execution: &mut Execution<'_>) -> Answer {
    encode::bulk(execution.out, &execution.driver.node.id().text());
    Ok(())
}

fn is_leaving(execution: &mut Execution<'_>) -> Answer {
    let leaving = execution.driver.node.is_leaving();
    encode::simple(execution.out, if leaving { b"yes" } else { b"no" });
    Ok(())
}

fn info(execution: &mut Execution<'_>) -> Answer {
    let driver = &*execution.driver;
    let cluster = &driver.cluster;
    let met = cluster.members.len() + 1;
    let mut text = String::new();
    let mut add = |name: &str, value: usize| {
        write!(text, "{name}:{value}\r\n").expect("a string takes all");
    };
    add("cluster_known_nodes", met + newcomers(cluster).count());
    add("cluster_reachable_nodes", cluster.reachable().count());
    add("cluster_size", met);
    add(
        "cluster_stats_messages_sent",
        cluster.messages_sent as usize,
    );
    add(
        "cluster_stats_messages_received",
        cluster.messages_received as usize,
    );
    add("cluster_leaving_jobs_left", driver.node.handing_over());
    encode::bulk(
        execution.out,
        format!("cluster_state:ok\r\n{text}").as_bytes(),
    );
    Ok(())
}

fn nodes(execution: &mut Execution<'_>) -> Answer {
    let driver = &*execution.driver;
    let mut text = String::new();
    let mut line = |id: NodeId, address: &str, flags: &str, times: (u64, u64), linked: bool| {
        let (ping_sent, pong_received) = times;
        let state = if linked { "connected" } else { "disconnected" };
        writeln!(
            text,
            "{id} {address} {flags} {ping_sent} {pong_received} {state}"
        )
        .expect("a string takes all");
    };
    let own = format!("{}:{}", driver.shown_ip(), driver.port);
    let leaving = driver.node.is_going();
    let flags = if leaving { "myself,leaving" } else { "myself" };
    line(driver.node.id(), &own, flags, (0, 0), true);
    for member in driver.cluster.members.values() {
        let (ip, port) = member.client_address();
        let times = (member.ping_sent, member.pong_received);
        let address = format!("{ip}:{port}");
        line(member.id, &address, &member.flags(), times, member.linked);
    }
    for bus in newcomers(&driver.cluster) {
        let address = format!("{}:{}", bus.ip(), client_port(bus));
        line(made_up_id(bus), &address, "handshake", (0, 0), false);
    }
    encode::bulk(execution.out, text.as_bytes());
    Ok(())
}

pub(super) fn hello_nodes(execution: &mut Execution<'_>) -> Answer {
    let (driver, out) = (&*execution.driver, &mut *execution.out);
    let members = &driver.cluster.members;
    encode::array(out, 3 + members.len());
    encode::integer(out, 1);
    encode::bulk(out, &driver.node.id().text());
    let mut node = |id: NodeId, ip: &str, port: u16, priority: u64| {
        encode::array(out, 4);
        encode::bulk(out, &id.text());
        encode::bulk(out, ip.as_bytes());
        encode::bulk_integer(out, u64::from(port));
        encode::bulk_integer(out, priority);
    };
    let own_priority = if driver.node.is_going() {
        PRIORITY_GONE
    } else {
        PRIORITY_GOOD
    };
    node(
        driver.node.id(),
        &driver.shown_ip(),
        driver.port,
        own_priority,
    );
    for member in members.values() {
        let (ip, port) = member.client_address();
        node(member.id, &ip.to_string(), port, member.priority());
    }
    Ok(())
}

fn forget(execution: &mut Execution<'_>, text: &[u8]) -> Answer {
    if text == execution.driver.node.id().text() {
        return Err(ServerError::ForgetSelf.into());
    }
    let known = NodeId::parse(text).is_some_and(|id| execution.driver.forget(id));
    if known {
        return ok(execution);
    }
    Failure::from(ServerError::UnknownNode(text)).encode(execution.out);
    Ok(())
}

/// The name is looked up first; the client is answered when that is done.
fn meet_by_name(execution: &mut Execution<'_>, host: &str, port: u16, bus: u16) -> Outcome {
    let ticket = execution.session.ticket();
    execution.driver.expect_answer(ticket);
    meet_name(execution.shared, ticket, host, port, bus);
    Outcome::Blocked(execution.place(ticket))
}

fn reset(execution: &mut Execution<'_>, how: Reset) -> Answer {
    let renamed = match how {
        Reset::Soft => None,
        Reset::Hard => match execution.driver.identity.renew() {
            Ok(id) => Some(id),
            Err(error) => {
                let line = format!("ERR Saving the new node id: {error}");
                Failure::from(ServerError::Verbatim(line.as_bytes())).encode(execution.out);
                return Ok(());
            }
        },
    };
    let driver = &mut *execution.driver;
    driver.feed(Event::Flush);
    driver.feed(Event::Leaving(false));
    driver.reset_members(renamed);
    if let Some(id) = renamed {
        driver.feed(Event::Renamed(id));
    }
    ok(execution)
}

/// Addresses of CLUSTER MEET that are not those of members.
fn newcomers(cluster: &Cluster) -> impl Iterator<Item = SocketAddr> + '_ {
    let is_member = |bus: &SocketAddr| cluster.members.values().any(|member| member.bus == *bus);
    let meeting = cluster.meeting.iter().copied();
    meeting.filter(move |bus| !is_member(bus))
}

/// The port for clients of a node that has the usual port for others; 0 when it cannot be told.
fn client_port(bus: SocketAddr) -> u16 {
    bus.port().saturating_sub(BUS_OFFSET)
}

/// An id to be shown until the node tells its own: the same one each time.
fn made_up_id(bus: SocketAddr) -> NodeId {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut bytes = [0; 20];
    for (part, chunk) in bytes.chunks_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        (part, bus).hash(&mut hasher);
        chunk.copy_from_slice(&hasher.finish().to_be_bytes()[..chunk.len()]);
    }
    NodeId::from_bytes(bytes)
}

impl Member {
    /// Where it takes clients, as far as it is known. Its address on the bus is one that works.
    fn client_address(&self) -> (IpAddr, u16) {
        match self.client {
            Some(client) if !client.ip().is_unspecified() => (client.ip(), client.port()),
            Some(client) => (self.bus.ip(), client.port()),
            None => (self.bus.ip(), client_port(self.bus)),
        }
    }

    fn flags(&self) -> String {
        let flags: Vec<&str> = [
            (self.health == Health::Suspect, "fail?"),
            (self.health == Health::Down, "fail"),
            (self.client_address().1 == 0, "noaddr"),
            (self.leaving, "leaving"),
        ]
        .into_iter()
        .filter_map(|(is, flag)| is.then_some(flag))
        .collect();
        if flags.is_empty() {
            "noflags".to_owned()
        } else {
            flags.join(",")
        }
    }

    fn priority(&self) -> u64 {
        match self.health {
            _ if self.leaving => PRIORITY_GONE,
            Health::Down => PRIORITY_GONE,
            Health::Suspect => PRIORITY_SUSPECT,
            Health::Alive if self.linked => PRIORITY_GOOD,
            Health::Alive => PRIORITY_NO_LINK,
        }
    }
}

impl Cluster {
    /// Other nodes that may be asked for copies.
    pub(super) fn reachable(&self) -> impl Iterator<Item = &Member> {
        let reachable =
            |member: &&Member| member.linked && member.health == Health::Alive && !member.leaving;
        self.members.values().filter(reachable)
    }

    /// Where clients find nodes that keep topics, separated by commas: at most three that can be reached.
    pub(in crate::server) fn topic_addresses(&self) -> String {
        let members = self.reachable().filter(|member| member.keeps_topics);
        let addresses = members.map(Member::client_address);
        let known = addresses.filter(|&(_, port)| port != 0);
        let shown = known.map(|(ip, port)| SocketAddr::new(ip, port).to_string());
        shown.take(TOPIC_NODES).collect::<Vec<_>>().join(", ")
    }
}

impl Driver {
    /// Its own address as clients are shown it: empty while it has met nobody, and nobody told it.
    fn shown_ip(&self) -> String {
        let told = self.config.cluster_announce_host.is_some();
        let address = self.cluster.own_address;
        let shown = address.filter(|_| told || !self.cluster.members.is_empty());
        shown.map_or_else(String::new, |address| address.ip().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> Member {
        Member {
            id: NodeId::from_bytes([1; 20]),
            bus: "127.0.0.1:17711".parse().expect("an address"),
            client: Some("0.0.0.0:7000".parse().expect("an address")),
            name: None,
            store: None,
            zone: String::new(),
            keeps_topics: false,
            leaving: false,
            health: Health::Alive,
            linked: true,
            ping_sent: 0,
            pong_received: 0,
            skew_ms: 0,
            software: String::new(),
        }
    }

    #[test]
    fn flags_and_priority_follow_health_link_and_leaving() {
        let good = member();
        assert_eq!((good.flags().as_str(), good.priority()), ("noflags", 1));
        let unlinked = Member {
            linked: false,
            ..member()
        };
        let shown = (unlinked.flags(), unlinked.priority());
        assert_eq!(shown, ("noflags".to_owned(), 5));
        let suspect = Member {
            health: Health::Suspect,
            ..member()
        };
        assert_eq!(
            (suspect.flags().as_str(), suspect.priority()),
            ("fail?", 10)
        );
        let gone = Member {
            health: Health::Down,
            leaving: true,
            ..member()
        };
        assert_eq!(
            (gone.flags().as_str(), gone.priority()),
            ("fail,leaving", 100)
        );
        let nowhere = Member {
            client: None,
            bus: "127.0.0.1:900".parse().expect("an address"),
            ..member()
        };
        assert_eq!(nowhere.flags(), "noaddr");
    }

    #[test]
    fn clients_are_shown_where_a_member_takes_them() {
        let ip = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(member().client_address(), (ip, 7000));
        let silent = Member {
            client: None,
            ..member()
        };
        assert_eq!(silent.client_address(), (ip, 7711));
    }

    #[test]
    fn at_most_three_nodes_with_topics_that_can_be_reached_are_told() {
        let mut cluster = Cluster::default();
        let mut add = |number: u8, change: fn(&mut Member)| {
            let mut member = Member {
                id: NodeId::from_bytes([number; 20]),
                client: Some(SocketAddr::from(([10, 0, 0, number], 7711))),
                keeps_topics: true,
                ..member()
            };
            change(&mut member);
            cluster.members.insert(member.id, member);
        };
        add(1, |member| member.keeps_topics = false);
        add(2, |member| member.health = Health::Down);
        add(3, |member| member.linked = false);
        add(4, |member| member.leaving = true);
        add(5, |_| {});
        add(6, |member| {
            member.client = None;
            member.bus = "127.0.0.1:900".parse().expect("an address");
        });
        add(7, |member| {
            member.client = Some("[fd00::7]:7711".parse().expect("an address"));
        });
        add(8, |_| {});
        add(9, |_| {});
        assert_eq!(
            cluster.topic_addresses(),
            "10.0.0.5:7711, [fd00::7]:7711, 10.0.0.8:7711"
        );
        assert_eq!(Cluster::default().topic_addresses(), "");
    }

    #[test]
    fn a_newcomer_is_shown_under_one_made_up_id() {
        let bus = |port| SocketAddr::from(([10, 0, 0, 1], port));
        assert_eq!(made_up_id(bus(1)), made_up_id(bus(1)));
        assert_ne!(made_up_id(bus(1)), made_up_id(bus(2)));
    }
}
