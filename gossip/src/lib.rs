//! Who is in the cluster, and who of them lives: SWIM, as a state machine without sockets, clock or tasks.
//!
//! The shell feeds a [`Membership`] events (packets, ticks, commands) and carries out the effects. What is told is
//! advice for routing and for the choice of replicas: a member that is DOWN may live, so nothing is ever deleted
//! for it.
//!
//! # How a node joins
//!
//! ```text
//! A                                                  B
//! who (nonce a) ───────────────────────────────────► A is not proven here: ask in return
//! B has proven itself  ◄──────────────────────────── I am B (echo a, nonce b)
//! I am A (echo b) ─────────────────────────────────► A has proven itself
//! announce ────────────────────────────────────────► feed: the members that B knows
//! ```
//!
//! Each side takes the other for a member only once it has answered a nonce drawn for it. Members heard of from
//! others are asked the same way, so that gossip brings names, never members. Afterwards foca runs SWIM between
//! them: probes, suspicion, and news that ride on both.
//!
//! While a known member is not up, it is asked again and again at the addresses that it had, and so are the seeds:
//! foca itself falls silent for good once it has lost everybody.
//!
//! # Why a recording is harmless
//!
//! Packets are sealed with a key made of the cluster's name and secret, so all that a stranger can do is to
//! replay them, to damage them, or to hold them back.
//!
//! - *Who*: is answered to the address that stands in it, never to the one that it came from; there nobody
//!   waits for that nonce. It makes nobody a member: that takes an answer to the nonce in return.
//! - *I am*: counts only while its nonce waits, for 3 s and once.
//! - *Messages of foca*: carry a number that each receiver lets pass once ([`Member`]s prove themselves again at
//!   each start, which restarts the numbers). They are meant for one identity, which changes at every start, move,
//!   renewal and RESET. So a recording can keep neither the dead alive nor the forgotten in.
//! - *Outranked*: repeats that a newer process with this node's id was there, which stays true.
//! - FORGET and RESET are never in a packet.
//!
//! An address is taken only from a sealed identity, never from a datagram's source, so that who replays is
//! never taken for who spoke.
//!
//! # RESET
//!
//! A node that is reset draws a new epoch. It answers those who ask for any node at its address (CLUSTER MEET,
//! `cluster-join`), and those who ask for the node of that epoch. Former members know only the old epoch, and foca's
//! messages for the old one are dropped.

mod config;
mod event;
mod identity;
mod inquiry;
mod member;
mod membership;
mod memory;
mod packet;
mod receive;
mod search;
mod stats;
mod swim;
#[cfg(test)]
mod tests;

pub use config::{Secret, Settings};
pub use event::{Effect, Event};
pub use identity::Identity;
pub use member::{Member, Status};
pub use membership::{BAR, BARRED_MAX, MEMBERS_MAX, Membership};
pub use memory::{Damaged, Memory, Remembered};
pub use stats::{Reason, Stats};
