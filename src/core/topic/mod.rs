//! Topics: durable channels with rising ids, the same on every node, without a leader.
mod cursor;
mod cut;
mod ending;
mod ends;
mod glob;
mod haves;
mod id;
mod log;
mod order;
mod origin;
mod origins;
mod page;
mod planted;
mod spans;
#[cfg(test)]
mod tests;

pub use cursor::{Cursor, InvalidCursor, NAMES_MAX};
pub use cut::{Cut, Passed};
pub use ends::{EndRecord, Ended, Ends};
pub use glob::{Case, is_literal, literal_prefix, matches};
pub use haves::Haves;
pub use id::{AHEAD_MAX_MS, Clock, ClockAhead, EntryId, is_wrong};
pub use log::{Fork, OriginLog};
pub use order::{Closed, Order};
pub use origin::{Origin, OriginNode};
pub use origins::Origins;
pub use page::{Given, Look, Page};
pub use planted::Bug;
pub use spans::Spans;
