//! The nouns: what goes into a node, what comes out, and the names of things in between.
//!
//! An [`event::Event`] is all that can happen to a node; an [`effect::Effect`] is all that it can want. A client's
//! wish is a [`command::Command`] and ends in a [`command::Reply`]; nodes tell each other [`message::Message`]s; what
//! must outlive the process is a [`record::Record`]; what the cluster shares is a
//! [`setting::Setting`], and a [`policy`] is one that stands in for an option of ADDJOB. [`extras::Extras`] are the optional fields of a
//! job, of its records and of messages about it; an [`outcome::Outcome`] is how it ended. Ids ([`id`]) and moments ([`time`]) are distinct types, so that one is never taken for another.
//!
//! Nothing here decides anything: the rooms do. Other crates (`command`, `bus`, `storage`) turn these nouns into bytes
//! and back.

pub mod command;
pub mod dedup;
pub mod effect;
pub mod event;
pub mod extras;
pub mod id;
pub mod message;
pub mod meta;
pub mod outcome;
pub mod policy;
pub mod record;
pub mod refusal;
pub mod register;
#[cfg(any(test, feature = "samples"))]
mod samples;
pub mod setting;
pub mod stamp;
pub mod time;
