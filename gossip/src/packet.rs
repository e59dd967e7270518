//! Packets: what two nodes say to each other over UDP, sealed so that no stranger can say it.
//!
//! ```text
//! magic  version  cluster name       kind  body        seal
//! 0xA7   1        8 bytes, SHA-256   1     postcard    16 bytes, HMAC-SHA256 of all before
//! ```
//!
//! The key of the seal is made of secret and name. Without a secret it is made of the name alone, and guards against
//! accidents only: an address that another cluster had before. Opening checks from the cheap to the dear, and never
//! panics, whatever comes.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shoalmq_core::id::NodeId;

use crate::{Identity, Reason, Settings};

const MAGIC: u8 = 0xa7;
const VERSION: u8 = 1;
const NAME: usize = 8;
const SEAL: usize = 16;
const HEAD: usize = 2 + NAME + 1;
/// The longest packet: passes every network that carries 1500 bytes, tunnels included.
pub(crate) const LONGEST: usize = 1400;
/// What of it foca may fill: room is left for head, seal and a sequence of at most ten bytes.
pub(crate) const LONGEST_FOCA: usize = LONGEST - HEAD - SEAL - 10;

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    /// "Who are you?"
    Who(Who),
    /// "It is me", to who asked, and maybe "and you?".
    IAm(IAm),
    /// A message of foca.
    Swim {
        /// Counts these packets since the sender's process started.
        sequence: u64,
        /// Foca's own encoding: sender and receiver are in it.
        data: Vec<u8>,
    },
    /// "Another process has your id, and a newer claim to it."
    Outranked(Identity),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Who {
    pub(crate) sender: Identity,
    /// Drawn for this question.
    pub(crate) nonce: u64,
    pub(crate) whom: Whom,
}

/// Who is asked to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Whom {
    /// Any node at that address: CLUSTER MEET and `cluster-join`.
    Anyone,
    /// This node, unless it was reset since.
    Only(NodeId, u32),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IAm {
    pub(crate) sender: Identity,
    /// The sender's next sequence number: what is below it was sent before.
    pub(crate) sequence: u64,
    /// The nonce of the question.
    pub(crate) echo: u64,
    /// A question in return.
    pub(crate) counter: Option<u64>,
}

/// Seals packets and opens them.
pub(crate) struct Envelope {
    name: [u8; NAME],
    key: Hmac<Sha256>,
}

impl Envelope {
    pub(crate) fn new(settings: &Settings) -> Self {
        let hash: [u8; 32] = Sha256::digest(settings.cluster_name.as_bytes()).into();
        let mut name = [0; NAME];
        name.copy_from_slice(&hash[..NAME]);
        let secret = settings.secret.as_ref().map_or(&[][..], |s| s.as_bytes());
        let mut key = keyed(secret);
        key.update(b"shoalmq gossip");
        key.update(&hash);
        let key = keyed(&key.finalize().into_bytes());
        Envelope { name, key }
    }

    pub(crate) fn seal(&self, packet: &Packet) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LONGEST);
        bytes.extend([MAGIC, VERSION]);
        bytes.extend(self.name);
        let bytes = match packet {
            Packet::Who(who) => body(bytes, Kind::Who, who),
            Packet::IAm(i_am) => body(bytes, Kind::IAm, i_am),
            Packet::Swim { sequence, data } => {
                let mut bytes = body(bytes, Kind::Swim, sequence);
                bytes.extend(data);
                bytes
            }
            Packet::Outranked(winner) => body(bytes, Kind::Outranked, winner),
        };
        let mut bytes = bytes;
        let seal = self
            .key
            .clone()
            .chain_update(&bytes)
            .finalize()
            .into_bytes();
        bytes.extend(&seal[..SEAL]);
        assert!(bytes.len() <= LONGEST, "a packet of {} bytes", bytes.len());
        bytes
    }

    pub(crate) fn open(&self, bytes: &[u8]) -> Result<Packet, Reason> {
        if bytes.len() > LONGEST {
            return Err(Reason::Oversize);
        }
        if !bytes.starts_with(&[MAGIC, VERSION]) {
            return Err(Reason::Version);
        }
        let (sealed, seal) = bytes
            .split_last_chunk::<SEAL>()
            .filter(|(sealed, _)| sealed.len() >= HEAD)
            .ok_or(Reason::Malformed)?;
        if sealed[2..HEAD - 1] != self.name {
            return Err(Reason::Cluster);
        }
        // In constant time.
        let key = self.key.clone().chain_update(sealed);
        key.verify_truncated_left(seal).map_err(|_| Reason::Seal)?;
        read(sealed[HEAD - 1], &sealed[HEAD..]).ok_or(Reason::Malformed)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Who = 1,
    IAm = 2,
    Swim = 3,
    Outranked = 4,
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn body(mut bytes: Vec<u8>, kind: Kind, body: &impl Serialize) -> Vec<u8> {
    bytes.push(kind as u8);
    postcard::to_extend(body, bytes).expect("a vector takes all")
}

fn read(kind: u8, body: &[u8]) -> Option<Packet> {
    match kind {
        1 => whole(body).map(Packet::Who),
        2 => whole(body).map(Packet::IAm),
        3 => {
            let (sequence, data) = postcard::take_from_bytes(body).ok()?;
            let data = data.to_vec();
            Some(Packet::Swim { sequence, data })
        }
        4 => whole(body).map(Packet::Outranked),
        _ => None,
    }
}

fn whole<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(body).ok()?;
    rest.is_empty().then_some(value)
}

#[cfg(test)]
mod tests;
