//! A real server on real sockets: every promise to clients, and what survives a restart.
//!
//! Each test starts a node of its own; `fixture` is the node, `wire` the connection, the rest a file per topic.

mod admin;
mod backup;
mod bad_input;
mod bench;
mod blocking;
mod cli;
mod clients;
mod cluster;
mod cluster_commands;
mod config;
mod crash;
mod disk_full;
mod errors;
mod fixture;
mod http;
mod jobs;
mod links;
mod local;
mod memory;
mod persistence;
mod protocol;
mod queues;
mod rust_client;
mod spilling;
mod storage_tools;
mod topics;
mod turnover;
mod wire;
