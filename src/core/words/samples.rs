//! One plain value of each noun that the tests of several crates build: a test names the fields it is about, and takes
//! the rest from here with struct update syntax. So a new field of a noun is one new line here.
//!
//! Compiled for the core's own tests, and for other crates' with the feature `samples`, which only dev-dependencies
//! switch on. The property tests of the codecs do not use samples: they must draw every field.

use std::sync::Arc;

use crate::command::Delivery;
use crate::extras::{Extras, Tag};
use crate::id::{JobId, NodeId, QueueName};
use crate::job::Body;
use crate::message::Copy;
use crate::record::{AckRecord, CountRecord, JobRecord, MoveRecord, Standing};
use crate::register::Register;
use crate::setting::{Setting, SettingKind};
use crate::time::Time;
use crate::topic::{Entry, EntryId, Origin, OriginNode};

/// The id of every sample: the id of a job with a retry, as its last bit is set.
fn id() -> JobId {
    JobId::from_bytes([1; 24])
}

impl JobRecord {
    /// A job that nobody else holds: queue `q`, body `body`, a retry of 300 seconds, a ttl of a day.
    pub fn sample() -> Self {
        JobRecord {
            id: id(),
            queue: QueueName::new(b"q"),
            body: Body::new(b"body"),
            created: 1,
            added: Time::ZERO,
            ttl: 86_400,
            delay: 0,
            retry: 300,
            replicate: 1,
            nacks: 0,
            additional_deliveries: 0,
            holders: [].into(),
            extras: Extras::NONE,
        }
    }
}

impl AckRecord {
    /// A tombstone.
    pub fn sample() -> Self {
        AckRecord {
            id: id(),
            queue: None,
            expires: Time::ZERO,
            unheard: [].into(),
            withdrawn: false,
            extras: Extras::NONE,
        }
    }
}

impl Standing {
    /// A job that was in its queue.
    pub fn sample() -> Self {
        Standing {
            id: id(),
            queued: true,
            turn: true,
            requeue: None,
            nacks: 0,
            additional_deliveries: 0,
            extras: Extras::NONE,
        }
    }
}

impl MoveRecord {
    /// A job that was moved to queue `q` once.
    pub fn sample() -> Self {
        let register = Register::sample().encode();
        MoveRecord {
            id: id(),
            queue: QueueName::new(b"q"),
            added: Time::ZERO,
            ttl: 86_400,
            nacks: 0,
            additional_deliveries: 0,
            extras: Extras::new([(Tag::REGISTER, &register[..])]),
        }
    }
}

impl CountRecord {
    /// A job that was never handed out.
    pub fn sample() -> Self {
        CountRecord {
            id: id(),
            nacks: 0,
            additional_deliveries: 0,
            turn: true,
            extras: Extras::NONE,
        }
    }
}

impl Register {
    /// The first move of a job, which is no dead letter.
    pub fn sample() -> Self {
        Register {
            version: 1,
            dead: None,
            stamp: 2,
            node: NodeId::from_bytes([1; 20]),
            start: 1,
            created: 1,
            entered: 2,
            entered_by: (NodeId::from_bytes([1; 20]).maker(), 1),
            priority: 0,
            is_keyless: false,
        }
    }
}

impl Copy {
    /// A job of which three copies are wanted, added just now: queue `q`, body `body`, a retry of 300 seconds, a ttl of
    /// a day.
    pub fn sample() -> Self {
        Copy {
            id: id(),
            queue: QueueName::new(b"q"),
            body: Body::new(b"body"),
            created: 1,
            age_ms: 0,
            ttl: 86_400,
            delay: 0,
            retry: 300,
            replicate: 3,
            nacks: 0,
            additional_deliveries: 0,
            moves: 0,
            holders: [].into(),
            extras: Extras::NONE,
        }
    }
}

impl Delivery {
    /// A job that is delivered for the first time: queue `q`, body `body`.
    pub fn sample() -> Self {
        Delivery {
            queue: QueueName::new(b"q"),
            id: id(),
            entered: 1,
            priority: 0,
            body: Body::new(b"body"),
            nacks: 0,
            additional_deliveries: 0,
            deliveries: 1,
            extras: Extras::NONE,
        }
    }
}

impl Entry {
    /// The first record of a life: channel `c`, body `body`.
    pub fn sample() -> Self {
        Entry {
            origin: Origin::new(OriginNode::new(1), 1),
            number: 1,
            id: EntryId::new(1, 0),
            channel: Arc::from(&b"c"[..]),
            body: Body::new(b"body"),
            extras: Extras::NONE,
        }
    }
}

impl Setting {
    /// Queue `q` takes no new jobs.
    pub fn sample() -> Self {
        Setting {
            kind: SettingKind::PAUSE_IN,
            name: Arc::from(&b"q"[..]),
            value: Some(Arc::from(&b"yes"[..])),
            version: 1,
            node: NodeId::from_bytes([1; 20]),
        }
    }
}
