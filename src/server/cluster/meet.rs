//! CLUSTER MEET with a host name: its addresses are looked up, then each is asked who is there.
//!
//! The client waits for the look-up, and nobody else does.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use shoalmq_core::id::Ticket;

use super::address::find;
use crate::command::{Failure, ServerError};
use crate::config::{BindAddress, Config};
use crate::server::driver::Shared;
use shoalmq_resp::encode;

/// Looks the name up, meets the node there, and answers the client by mail. Does not wait.
pub(crate) fn meet_name(shared: &Arc<Shared>, ticket: Ticket, host: &str, port: u16, bus: u16) {
    tokio::spawn(meet(Arc::clone(shared), ticket, host.to_owned(), port, bus));
}

async fn meet(shared: Arc<Shared>, ticket: Ticket, host: String, port: u16, bus: u16) {
    let found = find(&host, bus).await;
    shared.act(|driver| {
        let usable = found.and_then(|found| usable(&driver.config, found));
        let mut line = Vec::new();
        match usable {
            Ok(addresses) => {
                for address in addresses {
                    driver.meet(address);
                }
                encode::simple(&mut line, b"OK");
            }
            Err(reason) => {
                let (host, reason) = (&host, &reason);
                Failure::from(ServerError::MeetName { host, port, reason }).encode(&mut line);
            }
        }
        driver.answer(ticket, &line);
    });
}

/// Those of the addresses that this node can talk to.
fn usable(config: &Config, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    let mut usable = found;
    usable.retain(|address| reaches(config, address.ip()));
    if usable.is_empty() {
        return Err(
            "no address of this name can be reached from where this node listens (bind)".to_owned(),
        );
    }
    Ok(usable)
}

/// Whether a node that listens on these addresses can talk to that one: not across families.
fn reaches(config: &Config, ip: IpAddr) -> bool {
    config.bind.iter().any(|bind| match bind {
        BindAddress::Ip(own) => own.is_ipv4() == ip.is_ipv4(),
        BindAddress::Every | BindAddress::Name(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_met_where_this_node_can_answer() {
        let config = |bind: &str| Config {
            bind: vec![BindAddress::Ip(bind.parse().expect("an address"))],
            ..Config::default()
        };
        let ip = |text: &str| text.parse().expect("an address");
        assert!(reaches(&config("127.0.0.1"), ip("10.0.0.1")));
        assert!(!reaches(&config("127.0.0.1"), ip("::1")));
        assert!(reaches(&config("::"), ip("::1")));
        let every = Config {
            bind: vec![BindAddress::Every],
            ..Config::default()
        };
        assert!(reaches(&every, ip("::1")) && reaches(&every, ip("127.0.0.1")));
        let found = vec![SocketAddr::new(ip("::1"), 1)];
        assert_eq!(usable(&every, found.clone()), Ok(found.clone()));
        let refused = usable(&config("127.0.0.1"), found).expect_err("another family");
        assert!(refused.contains("bind"), "{refused}");
    }
}
