//! The server around the core: the only code with tasks, sockets and the clock.
//!
//! | module | holds |
//! |---|---|
//! | `driver` | the owner of the node |
//! | `clients` | from a connection that is taken in to the last reply that leaves |
//! | `start` | from the configuration to `ready`, and to the end of the process |
//! | `tasks` | what runs all the time: ticks, housekeeping, signals |
//! | `listen` | opening a door, for clients, other nodes or HTTP |
//! | `admin` | what never reaches the core: AUTH, INFO, CONFIG, CLIENT … |
//! | `persistence` | the log of jobs: reading it, writing it, switching it |
//! | `closing` | a stop: jobs handed over, clients let go, the log closed |
//! | `http` | health, metrics and the API over HTTP |
//! | `identity` | the data folder: its lock, the node's id |
//! | `cluster` | the other nodes: who they are, the links to them, gossip |
//! | `process` | this process: its figures, limits, panics, pid file and restart; what systemd is told |
//! | `clock`, `logging`, `stats`, `slowlog` | time and entropy; the log of events; figures |
//! | `metrics`, `readiness` | what Prometheus reads; whether the node should get clients |
//! | `reload` | SIGHUP: the configuration read again |

mod admin;
mod clients;
mod clock;
mod closing;
mod cluster;
mod driver;
mod http;
mod identity;
mod listen;
mod logging;
mod metrics;
mod persistence;
mod process;
mod readiness;
mod reading;
mod reload;
mod slowlog;
mod start;
mod stats;
mod tasks;
mod topics;

pub use start::run;
