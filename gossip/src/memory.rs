//! What survives a restart, as text: who the members are, and who is barred.
//!
//! ```text
//! epoch 0badcafe
//! member <node, 40 hex> <store, 16 hex> <start> <epoch, 8 hex> <address>[,<address>…]
//! barred <node, 40 hex> <until, ms of the node's own timeline>
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use shoalmq_core::id::{NodeId, StoreId};
use shoalmq_core::time::Time;

/// What a membership remembers: the text of the file `members.conf`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// This node's own epoch: [`Identity::epoch`](crate::Identity::epoch) at the next start.
    pub epoch: u32,
    /// Its members, in order of node id.
    pub members: Vec<Remembered>,
    /// Who was forgotten of late, and until when it stays away.
    pub barred: Vec<(NodeId, Time)>,
}

/// A member to look for after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Which node.
    pub node: NodeId,
    /// The store that it had: with another one its copies are gone.
    pub store: StoreId,
    /// Its last known generation.
    pub start: u64,
    /// Its epoch: it no longer answers after a RESET of its own.
    pub epoch: u32,
    /// Where its bus was, the newest first; at most three, at least one.
    pub addresses: Vec<SocketAddr>,
}

/// A line of the members file that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("members file, line {line}: not a known entry")]
pub struct Damaged {
    /// Which line: the first one is 1.
    pub line: usize,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "epoch {:08x}", self.epoch)?;
        for member in &self.members {
            let Remembered {
                node,
                store,
                start,
                epoch,
                addresses,
            } = member;
            let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
            let addresses = addresses.join(",");
            writeln!(f, "member {node} {store} {start} {epoch:08x} {addresses}")?;
        }
        for (node, until) in &self.barred {
            writeln!(f, "barred {node} {}", until.as_millis())?;
        }
        Ok(())
    }
}

impl FromStr for Memory {
    type Err = Damaged;

    /// Reads what [`Display`](fmt::Display) wrote. Empty lines are skipped.
    fn from_str(text: &str) -> Result<Self, Damaged> {
        let mut memory = Memory::default();
        for (at, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            memory.take(&words).ok_or(Damaged { line: at + 1 })?;
        }
        Ok(memory)
    }
}

impl Memory {
    fn take(&mut self, words: &[&str]) -> Option<()> {
        match words {
            [] => {}
            ["epoch", epoch] => self.epoch = hex32(epoch)?,
            ["member", node, store, start, epoch, addresses] => {
                let addresses: Option<Vec<_>> = addresses
                    .split(',')
                    .map(|address| address.parse().ok())
                    .collect();
                self.members.push(Remembered {
                    node: NodeId::parse(node.as_bytes())?,
                    store: StoreId(hex(store, 16)?),
                    start: start.parse().ok()?,
                    epoch: hex32(epoch)?,
                    addresses: addresses?,
                });
            }
            ["barred", node, until] => {
                let until = Time::from_millis(until.parse().ok()?);
                self.barred.push((NodeId::parse(node.as_bytes())?, until));
            }
            _ => return None,
        }
        Some(())
    }
}

fn hex32(word: &str) -> Option<u32> {
    u32::try_from(hex(word, 8)?).ok()
}

fn hex(word: &str, digits: usize) -> Option<u64> {
    let is_hex = word.len() == digits && word.bytes().all(|c| c.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(word, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn remembered() -> impl Strategy<Value = Remembered> {
        let addresses = prop::collection::vec(any::<SocketAddr>(), 1..=3);
        let rest = (any::<[u8; 20]>(), any::<u64>(), any::<u64>(), any::<u32>());
        (rest, addresses).prop_map(|((node, store, start, epoch), addresses)| Remembered {
            node: NodeId::from_bytes(node),
            store: StoreId(store),
            start,
            epoch,
            addresses: addresses.into_iter().map(plain).collect(),
        })
    }

    /// Without flow and scope, which no bus address has.
    fn plain(address: SocketAddr) -> SocketAddr {
        SocketAddr::new(address.ip(), address.port())
    }

    fn memory() -> impl Strategy<Value = Memory> {
        let barred = (any::<[u8; 20]>(), any::<u64>())
            .prop_map(|(node, until)| (NodeId::from_bytes(node), Time::from_millis(until)));
        (
            any::<u32>(),
            prop::collection::vec(remembered(), 0..4),
            prop::collection::vec(barred, 0..4),
        )
            .prop_map(|(epoch, members, barred)| Memory {
                epoch,
                members,
                barred,
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(memory in memory()) {
            prop_assert_eq!(memory.to_string().parse(), Ok(memory));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Memory>();
        }
    }

    #[test]
    fn a_damaged_line_is_named() {
        let node = "ab".repeat(20);
        let good = format!("epoch 00000001\n\nbarred {node} 5\n");
        assert!(good.parse::<Memory>().is_ok());
        for bad in [
            "epoch 1",
            "epoch +0000001",
            "member",
            &format!("member {node} 0000000000000001 5 00000001 nowhere"),
            &format!("member {node} 0000000000000001 x 00000001 1.2.3.4:5"),
            &format!("barred {node}"),
            "???",
        ] {
            let text = format!("{good}{bad}\n");
            assert_eq!(text.parse::<Memory>(), Err(Damaged { line: 4 }), "{bad}");
        }
    }
}
