//! What a plain node says of itself, for tests: each names the fields that it is about, and takes the rest from here.
//!
//! Public but hidden, not behind a feature: integration tests and fuzz targets link this library as it ships. Nothing
//! in the library calls these functions, so the linker leaves them out of the binary.

use std::net::SocketAddr;

use shoalmq_core::extras::{Extras, Features};
use shoalmq_core::id::{NodeId, StoreId};

use super::handshake::Hello;
use super::{Claim, Profile};

impl Claim {
    /// A node in its third life, at 10.0.0.`number`.
    #[doc(hidden)]
    pub fn sample(number: u8) -> Self {
        Claim {
            node: NodeId::from_bytes([number; 20]),
            start: 3,
            renewal: 0,
            epoch: 7,
            store: StoreId(u64::from(number)),
            bus: SocketAddr::from(([10, 0, 0, number], 17711)),
        }
    }
}

impl Profile {
    /// A node that stays, and has neither name nor zone.
    #[doc(hidden)]
    pub fn sample() -> Self {
        Profile {
            client: SocketAddr::from(([10, 0, 0, 1], 7711)),
            name: None,
            zone: String::new(),
            software: "1.2.3".to_owned(),
            leaving: false,
            wall_ms: 1_780_000_000_000,
            features: Features::KNOWN,
            extras: Extras::NONE,
        }
    }
}

impl Hello {
    /// The node of [`Claim::sample`].
    #[doc(hidden)]
    pub fn sample(number: u8) -> Self {
        Hello {
            claim: Claim::sample(number),
            profile: Profile::sample(),
            extras: Extras::NONE,
        }
    }
}
