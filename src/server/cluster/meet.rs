//! CLUSTER MEET with a host name: its addresses are looked up, then each is asked who is there.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::gossip::look_up;
use crate::config::{BindAddress, Config};
use crate::server::driver::Shared;

/// A name that is not known yet, as that of a node that just starts, is looked up again for so long.
const LOOKING: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(500);

/// Looks the name up, and meets who is there. Does not wait.
pub(crate) fn meet_name(shared: &Arc<Shared>, name: &str, bus: u16) {
    tokio::spawn(meet(Arc::clone(shared), name.to_owned(), bus));
}

async fn meet(shared: Arc<Shared>, name: String, bus: u16) {
    let until = Instant::now() + LOOKING;
    loop {
        let found = look_up(&name, bus).await;
        let met = shared.act(|driver| {
            let usable = |address: &&SocketAddr| reaches(&driver.config, address.ip());
            let usable: Vec<SocketAddr> = found.iter().filter(usable).copied().collect();
            for address in &usable {
                driver.meet(*address);
            }
            !usable.is_empty()
        });
        if met {
            return;
        }
        if Instant::now() >= until {
            warn!(
                name,
                "CLUSTER MEET: this name has no address that can be reached from here"
            );
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
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
    }
}
