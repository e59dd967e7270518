//! How two nodes prove to each other that they belong to one cluster, before either says anything of importance.
//!
//! ```text
//! greeting  46 bytes  magic "SHOAL" 5, oldest version 1, newest version 1, cluster 7, challenge 32
//!                     cluster: the first bytes of SHA-256 over the cluster's name
//! proof               length u16 LE, hello (postcard), HMAC-SHA256 32
//!
//! dialler: greeting d ────────► answerer: greeting a ────────► dialler: proof d ────────► answerer: proof a
//!
//! key       HMAC(secret, "shoalmq bus" name); without a secret the empty one
//! proof d   HMAC(key, "dialler" d a hello-d)
//! proof a   HMAC(key, "answerer" d a hello-d hello-a)
//! ```
//!
//! Both challenges are drawn for this handshake, so a recording proves nothing. The role is part of what is proven, so
//! neither does what the other side just said, sent back. A stranger that connects gets a greeting and no more: the
//! dialled side proves itself last, once the dialler has proven itself. Without a secret anybody who knows the name can
//! compute all this: that guards only against accidents, such as an address that another cluster had before.
//!
//! Nothing here is longer than [`INPUT_MAX`] bytes; how long it may take is the caller's to bound.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shoalmq_core::extras::{Extras, Features, Tag};

use super::{Claim, Profile, VERSIONS};

#[cfg(test)]
mod tests;

/// More than this is never read from a node that has not proven itself.
pub const INPUT_MAX: usize = 4096;
const MAGIC: &[u8; 5] = b"SHOAL";
const CLUSTER: usize = 7;
const CHALLENGE: usize = 32;
const GREETING: usize = MAGIC.len() + 2 + CLUSTER + CHALLENGE;
const SEAL: usize = 32;
const HELLO_MAX: usize = INPUT_MAX - GREETING - 2 - SEAL;

/// What a node says of itself when a link begins. The fields never change: what is added later is an extra.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Who it is.
    pub claim: Claim,
    /// How it is.
    pub profile: Profile,
    /// What else it says; nothing yet.
    pub extras: Extras,
}

/// Why the other end is not taken for a node of this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It does not speak this protocol at all.
    #[error("it does not speak the bus protocol")]
    Magic,
    /// It speaks versions of it that this node does not.
    #[error("it speaks versions {oldest} to {newest} of the bus protocol, this node {} to {}", VERSIONS.0, VERSIONS.1)]
    Version {
        /// The oldest that it speaks.
        oldest: u8,
        /// The newest.
        newest: u8,
    },
    /// It belongs to a cluster of another name.
    #[error("it belongs to a cluster of another name")]
    Cluster,
    /// It does not know the secret.
    #[error("it does not hold the cluster's secret")]
    Secret,
    /// It knows the secret, and still makes no sense.
    #[error("its hello makes no sense")]
    Malformed,
    /// Its hello holds a field that this node would have to understand: it is newer.
    #[error("its hello has field {0}, which this node would have to understand and does not know")]
    Extra(Tag),
    /// It says more than there is to say.
    #[error("its handshake is longer than any")]
    TooLong,
}

/// What a cluster's nodes have in common: made of name and secret.
#[derive(Clone)]
pub struct Key {
    cluster: [u8; CLUSTER],
    mac: Hmac<Sha256>,
}

impl Key {
    /// The key of the cluster with this name and secret; an empty secret is none.
    pub fn new(name: &[u8], secret: &[u8]) -> Self {
        let hmac = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
        let mut key = hmac(secret);
        key.update(b"shoalmq bus");
        key.update(name);
        let mut cluster = [0; CLUSTER];
        cluster.copy_from_slice(&Sha256::digest(name)[..CLUSTER]);
        Key {
            cluster,
            mac: hmac(&key.finalize().into_bytes()),
        }
    }

    fn greeting(&self, challenge: &[u8; CHALLENGE]) -> [u8; GREETING] {
        let mut greeting = [0; GREETING];
        let (head, tail) = greeting.split_at_mut(MAGIC.len() + 2);
        head[..MAGIC.len()].copy_from_slice(MAGIC);
        (head[MAGIC.len()], head[MAGIC.len() + 1]) = VERSIONS;
        tail[..CLUSTER].copy_from_slice(&self.cluster);
        tail[CLUSTER..].copy_from_slice(challenge);
        greeting
    }

    /// Reads a greeting. Returns the version to speak.
    fn check(&self, greeting: &[u8; GREETING]) -> Result<u8, Refused> {
        let (head, tail) = greeting.split_at(MAGIC.len() + 2);
        if !head.starts_with(MAGIC) {
            return Err(Refused::Magic);
        }
        let (oldest, newest) = (head[MAGIC.len()], head[MAGIC.len() + 1]);
        let version = newest.min(VERSIONS.1);
        if version < oldest.max(VERSIONS.0) {
            return Err(Refused::Version { oldest, newest });
        }
        if tail[..CLUSTER] != self.cluster {
            return Err(Refused::Cluster);
        }
        Ok(version)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Which end of the link this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Dialler,
    Answerer,
}

impl Role {
    fn label(self) -> &'static [u8] {
        match self {
            Role::Dialler => b"dialler",
            Role::Answerer => b"answerer",
        }
    }
}

/// One side of a handshake: bytes in, bytes out.
#[derive(Debug)]
pub struct Handshake {
    role: Role,
    key: Key,
    own_greeting: [u8; GREETING],
    own_hello: Vec<u8>,
    /// The other side's greeting, and the version that both speak.
    greeted: Option<([u8; GREETING], u8)>,
}

/// A node that has proven to belong to this cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// What it says of itself.
    pub hello: Hello,
    /// The protocol version to speak.
    pub version: u8,
    hello_bytes: Vec<u8>,
}

impl Handshake {
    /// The dialling side. `challenge` is fresh entropy; `out` takes the first bytes to send.
    pub fn dial(key: &Key, challenge: [u8; CHALLENGE], hello: &Hello, out: &mut Vec<u8>) -> Self {
        let handshake = Handshake::new(Role::Dialler, key, challenge, hello);
        out.extend_from_slice(&handshake.own_greeting);
        handshake
    }

    /// The dialled side, which has nothing to say before it hears something.
    pub fn answer(key: &Key, challenge: [u8; CHALLENGE], hello: &Hello) -> Self {
        Handshake::new(Role::Answerer, key, challenge, hello)
    }

    fn new(role: Role, key: &Key, challenge: [u8; CHALLENGE], hello: &Hello) -> Self {
        let own_hello = postcard::to_stdvec(hello).expect("a vector takes anything");
        assert!(
            own_hello.len() <= HELLO_MAX,
            "host names and zones are bounded by the configuration"
        );
        Handshake {
            role,
            own_greeting: key.greeting(&challenge),
            key: key.clone(),
            own_hello,
            greeted: None,
        }
    }

    /// Takes what has come in, and appends to `out` what must be sent. Returns how many bytes it has read, and the other
    /// side once that has proven itself; a dialled side then still owes it [`Handshake::welcome`].
    pub fn advance(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<Proven>), Refused> {
        let Some((greeting, version)) = self.greeted else {
            // The first wrong byte decides: who speaks something else may never send as many.
            let head = input.len().min(MAGIC.len());
            if input[..head] != MAGIC[..head] {
                return Err(Refused::Magic);
            }
            let Some((greeting, _)) = input.split_first_chunk::<GREETING>() else {
                return Ok((0, None));
            };
            self.greeted = Some((*greeting, self.key.check(greeting)?));
            match self.role {
                Role::Dialler => out.extend_from_slice(&self.proof(None)),
                Role::Answerer => out.extend_from_slice(&self.own_greeting),
            }
            let (read, proven) = self.advance(&input[GREETING..], out)?;
            return Ok((GREETING + read, proven));
        };
        let Some((length, rest)) = input.split_first_chunk() else {
            return Ok((0, None));
        };
        let length = usize::from(u16::from_le_bytes(*length));
        if length > HELLO_MAX {
            return Err(Refused::TooLong);
        }
        let Some((hello, rest)) = rest.split_at_checked(length) else {
            return Ok((0, None));
        };
        let Some((seal, _)) = rest.split_first_chunk::<SEAL>() else {
            return Ok((0, None));
        };
        let mac = match self.role {
            Role::Dialler => self.mac(Role::Answerer, &greeting, &[&self.own_hello, hello]),
            Role::Answerer => self.mac(Role::Dialler, &greeting, &[hello]),
        };
        // In a time that does not tell how much of it was right.
        mac.verify_slice(seal).map_err(|_| Refused::Secret)?;
        let hello_bytes = hello.to_vec();
        let (hello, left) =
            postcard::take_from_bytes::<Hello>(hello).map_err(|_| Refused::Malformed)?;
        if !left.is_empty() {
            return Err(Refused::Malformed);
        }
        for extras in [&hello.extras, &hello.profile.extras] {
            if let Some(tag) = extras.unknown_to(Features::KNOWN) {
                return Err(Refused::Extra(tag));
            }
        }
        let proven = Proven {
            hello,
            version,
            hello_bytes,
        };
        Ok((2 + length + SEAL, Some(proven)))
    }

    /// What the dialled side sends last, to a node that it wants to hear.
    pub fn welcome(&self, dialler: &Proven) -> Vec<u8> {
        assert_eq!(
            self.role,
            Role::Answerer,
            "the dialling side proves itself first"
        );
        self.proof(Some(&dialler.hello_bytes))
    }

    fn proof(&self, dialler: Option<&[u8]>) -> Vec<u8> {
        let (greeting, _) = self.greeted.expect("a proof answers a challenge");
        let hellos = dialler.into_iter().chain([&self.own_hello[..]]);
        let mac = self.mac(self.role, &greeting, &hellos.collect::<Vec<_>>());
        let mut proof = (self.own_hello.len() as u16).to_le_bytes().to_vec();
        proof.extend_from_slice(&self.own_hello);
        proof.extend_from_slice(&mac.finalize().into_bytes());
        proof
    }

    /// What a side proves with: its role, both greetings, and the hellos that were said by then.
    fn mac(&self, role: Role, other: &[u8; GREETING], hellos: &[&[u8]]) -> Hmac<Sha256> {
        let (dialler, answerer) = match self.role {
            Role::Dialler => (&self.own_greeting, other),
            Role::Answerer => (other, &self.own_greeting),
        };
        let mut mac = self.key.mac.clone();
        mac.update(role.label());
        mac.update(dialler);
        mac.update(answerer);
        for hello in hellos {
            mac.update(&(hello.len() as u64).to_le_bytes());
            mac.update(hello);
        }
        mac
    }
}
