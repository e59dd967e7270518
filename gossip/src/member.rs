//! Members as this node knows them, and which of their packets are new.

use std::net::SocketAddr;

use shoalmq_core::time::Time;

use crate::Identity;

/// How a member seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It answers.
    Alive,
    /// It did not answer somebody of late. To be treated as alive.
    Suspect,
    /// It is taken for dead, left, or was not found yet since this process started.
    Down,
}

/// A member, as [`Membership::members`](crate::Membership::members) tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its newest claim that is known here.
    pub identity: Identity,
    /// How it seems to be.
    pub status: Status,
    /// Since when.
    pub since: Time,
}

/// Addresses kept per member: it may come back to one that it had.
pub(crate) const ADDRESSES_MAX: usize = 3;

/// What is kept of a member.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) identity: Identity,
    pub(crate) status: Status,
    pub(crate) since: Time,
    /// The newest first; at most [`ADDRESSES_MAX`], at least one.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Set once it has proven itself to this process.
    pub(crate) window: Option<Window>,
}

impl Known {
    pub(crate) fn new(identity: Identity, now: Time) -> Self {
        Known {
            identity,
            status: Status::Down,
            since: now,
            addresses: vec![identity.bus],
            window: None,
        }
    }

    /// Takes a newer claim, and tells whether more than its renewal changed.
    pub(crate) fn becomes(&mut self, identity: Identity) -> bool {
        let renewal = identity.renewal;
        let moved = Identity {
            renewal,
            ..self.identity
        } != identity;
        self.identity = identity;
        self.addresses.retain(|address| *address != identity.bus);
        self.addresses.insert(0, identity.bus);
        self.addresses.truncate(ADDRESSES_MAX);
        moved
    }

    /// Whether it is to be looked for.
    pub(crate) fn is_missing(&self) -> bool {
        self.status == Status::Down
    }

    /// Whether the process of this start has answered this one.
    pub(crate) fn has_proven(&self, start: u64) -> bool {
        self.window
            .as_ref()
            .is_some_and(|window| window.start == start)
    }
}

/// Which sequence numbers of one process of a member were seen: each passes once, in any order within 64.
#[derive(Debug)]
pub(crate) struct Window {
    /// Whose numbers these are: they restart with each start.
    pub(crate) start: u64,
    /// One above the greatest that was seen.
    next: u64,
    /// Bit `i` is set when `next - 1 - i` was seen, or may not pass.
    seen: u64,
}

impl Window {
    /// All below `next` was sent before this node asked, and does not pass.
    pub(crate) fn new(start: u64, next: u64) -> Self {
        let seen = u64::MAX;
        Window { start, next, seen }
    }

    /// Whether a packet is new; it is not when asked again.
    pub(crate) fn admit(&mut self, sequence: u64) -> bool {
        let Some(back) = (self.next.checked_sub(1)).and_then(|last| last.checked_sub(sequence))
        else {
            // The greatest so far. `u64::MAX` is never reached: a process counts by ones.
            let Some(next) = sequence.checked_add(1) else {
                return false;
            };
            let by = u32::try_from(next - self.next).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(by).unwrap_or(0) | 1;
            self.next = next;
            return true;
        };
        let Some(bit) = u32::try_from(back)
            .ok()
            .and_then(|back| 1_u64.checked_shl(back))
        else {
            return false;
        };
        let is_new = self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sequence_number_passes_once_in_any_order() {
        let mut window = Window::new(1, 100);
        assert!(!window.admit(99), "sent before the proof");
        assert!(window.admit(102));
        assert!(window.admit(100));
        assert!(window.admit(101));
        for old in [0, 99, 100, 101, 102] {
            assert!(!window.admit(old), "{old}");
        }
        assert!(window.admit(300));
        assert!(window.admit(300 - 63));
        assert!(!window.admit(300 - 64), "too old to tell");
        assert!(!window.admit(u64::MAX));
    }

    #[test]
    fn a_window_may_start_at_nothing() {
        let mut window = Window::new(1, 0);
        assert!(window.admit(0));
        assert!(!window.admit(0));
        assert!(window.admit(1));
    }
}
