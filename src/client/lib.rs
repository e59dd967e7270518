//! A client for ShoalMQ: typed producers, workers and subscriptions that outlive their servers.
//!
//! Layers, each of use without the next:
//!
//! - [`Connection`] is one connection in the caller's hands: it neither reconnects nor repeats anything.
//! - [`Shoal`] is a handle to a cluster. Its commands are futures; many of them are in flight on one connection at a time. A link that
//!   breaks is made again, to any node that is known, and each command ends with its answer or a typed [`Error`].
//! - [`Producer`] and [`Consumer`] speak of messages of a serde type. A [`MessageGuard`] is a message that was handed out: it is
//!   acknowledged, given back, or sent to the dead letters, and a guard that is dropped gives its job back.
//! - [`Worker`] calls functions with the messages of queues. It ends when it is told to.
//! - [`Subscription`] reads the entries of topics, each once, in order.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use shoalmq_client::{Job, Shoal};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Mail {
//!     to: String,
//! }
//!
//! impl Job for Mail {
//!     const QUEUE: &'static str = "mails";
//! }
//!
//! async fn send(mail: Mail) {
//!     println!("to {}", mail.to);
//! }
//!
//! # async fn run() -> Result<(), shoalmq_client::Error> {
//! let shoal = Shoal::connect(["127.0.0.1:7711"]).await?;
//! shoal.push(&Mail { to: "ada@example.org".into() }).await?;
//! shoal.worker().job(send).run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Features: `json` (messages as JSON), `opentelemetry` (traces from producers to handlers), `tower` (layers around handlers), `testing`
//! (the core in the process, on time that stands still; a real node for tests).

mod connection;
mod consumer;
mod dialer;
mod error;
mod guard;
mod heartbeat;
mod id;
mod link;
mod message;
mod nodes;
mod options;
mod producer;
mod shoal;
#[cfg(feature = "testing")]
pub mod testing;
mod topics;
#[cfg(feature = "opentelemetry")]
mod tracing_context;
mod verbs;
mod worker;

pub use connection::{Connection, ConnectionError};
pub use consumer::{Consumer, Stopper};
pub use error::Error;
pub use guard::MessageGuard;
pub use id::JobId;
#[cfg(feature = "json")]
pub use message::Json;
pub use message::{DecodeError, EncodeError, MessageDecodable, MessageEncodable, Raw};
pub use options::Options;
pub use producer::{Job, Producer};
pub use shoal::Shoal;
pub use shoalmq_resp::Frame;
pub use topics::{Entry, Item, Page, Publish, Read, Start, Subscribe, Subscription};
pub use verbs::{
    Add, DeadLetter, Delivery, Ending, Explanation, Get, Meta, Nack, Receipt, Shown, Wait,
};
pub use worker::{
    BlockingHandler, Counts, Fail, FromJob, Handler, HandlerError, JobCx, Outcome, QueueOptions,
    Report, State, Worker,
};
#[cfg(feature = "tower")]
pub use worker::{JobRequest, JobService};

/// The examples of README.md.
#[cfg(doctest)]
#[doc = include_str!("README.md")]
struct Readme;
