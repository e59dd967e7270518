//! A client for ShoalMQ: typed producers and consumers that outlive their servers.
//!
//! Three layers, each of use without the next:
//!
//! - [`Connection`] is one connection in the caller's hands: it neither reconnects nor repeats anything.
//! - [`Shoal`] is a handle to a cluster. Its commands are futures; many of them are in flight on one connection at a time. A link that
//!   breaks is made again, to any node that is known, and each command ends with its answer or a typed [`Error`].
//! - [`Producer`] and [`Consumer`] speak of messages of a serde type. A [`MessageGuard`] is a message that was handed out: it is
//!   acknowledged, given back, or sent to the dead letters, and a guard that is dropped gives its job back.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use shoalmq_client::Shoal;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Mail {
//!     to: String,
//! }
//!
//! # async fn run() -> Result<(), shoalmq_client::Error> {
//! let shoal = Shoal::connect(["127.0.0.1:7711"]).await?;
//! let mails = shoal.producer::<Mail>("mails");
//! mails.push(&Mail { to: "ada@example.org".into() }).await?;
//!
//! let mut inbox = shoal.consumer::<Mail>("mails");
//! while let Some(mail) = inbox.next().await {
//!     let mail = mail?;
//!     println!("to {}", mail.to);
//!     mail.ack().await?;
//! }
//! # Ok(())
//! # }
//! ```

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
pub use verbs::{Add, DeadLetter, Delivery, Ending, Get, Meta, Nack, Receipt, Wait};
pub use worker::{
    BlockingHandler, Counts, Fail, FromJob, Handler, HandlerError, JobCx, Outcome, QueueOptions,
    Report, State, Worker,
};

/// The examples of README.md.
#[cfg(doctest)]
#[doc = include_str!("README.md")]
struct Readme;
