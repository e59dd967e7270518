//! The parts of the server that take bytes from outside, compiled by themselves: a fuzz target that took the whole package
//! would first build a server, its storage and its HTTP, and instrument all of it.

// The package uses more of these modules than the targets do.
#![allow(dead_code, unused_imports, missing_docs)]

#[path = "../../src/bus/mod.rs"]
pub mod bus;
#[path = "../../src/config/mod.rs"]
pub mod config;
pub use shoalmq_resp as resp;
