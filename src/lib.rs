//! ShoalMQ: a job queue that does not lose work, spoken to by any Redis or Disque client.

pub mod bench;
pub mod bus;
pub mod cli;
pub mod config;
pub mod probe;
pub mod server;
pub mod storage_tools;

pub use shoalmq_command as command;
