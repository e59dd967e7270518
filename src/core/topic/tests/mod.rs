//! The rules of the room, held against histories.
//!
//! `world` is a cluster without a network: its nodes run the real code, and a history says what happens. It knows every
//! record that was ever written and everything that each reader got, and so finds gaps, repeats and losses told twice.
//! `random` draws histories, `histories` has those that broke earlier drafts, each by name, and `planted` proves that the
//! random ones find broken rules.

mod bench;
mod binding;
mod cluster;
mod crowded;
mod figures;
mod histories;
mod keeping;
mod lagging;
mod names;
mod naming;
mod planted;
mod random;
mod reading;
mod serving;
mod world;
