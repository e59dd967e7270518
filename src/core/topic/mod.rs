//! Topics: durable channels with rising ids, the same on every node, without a leader.
//!
//! A node that publishes does so in *lives*: after each start it is a new [`Origin`], with a log of its own for all channels.
//! The numbers of a log name one record for ever, and the [`EntryId`]s rise with them. Every member copies every log
//! ([`OriginLog`], [`Origins`]); a record that enough members have is settled ([`Haves`]), and only settled records are read.
//!
//! A reader's position is a [`Cut`]: for each origin, how many records of its log have been passed. As text it is a
//! [`Cursor`], which is valid at every node and for every pattern. A node fills a [`Page`] behind a cursor and hands the
//! next cursor out. Whether a reader misses an entry or gets one twice depends on the numbers in cuts and on end records
//! alone, never on a clock or on who seems to be alive. [`Order`] only says in which order entries come.
//!
//! A life that is over is ended by an *end record* in a later log: it gives how far the log is read, and how far it is
//! known to have gone; the difference is told to readers as lost. All end records that a node knows are in the table
//! [`Ends`]. They also keep cursors short: a name that follows from the rest of the cut is left out, so a cursor has about
//! one name a member, however often the members restart.
//!
//! | rule of the protocol | kept in |
//! |---|---|
//! | 1 a page ends where its cursor says, 5 end records wait for what they end, 6 what a node does not know it does not touch | `page` |
//! | 2 an unnamed origin is unread, unless a later one is named; 8 cuts merge by the larger number | `cut`, `ends` |
//! | 3 who writes end records and when, 7 which names a cut needs | `ending` |
//! | 4 an ended origin is read as far as its end records say | `page`, `ends` |
//! | ids rise, wrong clocks do not spread | `id` |
//! | a number has one record, a copied machine is found out | `log` |
//! | the stable id, members set aside | `order` |
//! | a flush takes what is below its mark, and nothing to come | `marks` |
//! | of retention rules the longest pattern wins | `retention` |
//! | patterns that do not match cost a publish nothing | `subscriptions` |
//!
//! That half holds no bodies and does no I/O: who fills a page says what lies at each place. The other half carries out the
//! commands at one node, and touches the log, the settings and the agenda:
//!
//! | | |
//! |---|---|
//! | `topics` | all that a node holds of topics |
//! | `channels`, `entries`, `keys` | what is counted of a channel; where each entry is, and the newest ones; keys of DEDUP |
//! | `publishing` | TPUB, PUBLISH |
//! | `reading`, `live`, `readers`, `following` | TREAD; one walk for all live readers; who reads; TSUB, SUBSCRIBE and their like |
//! | `naming`, `named` | TREAD AS, TSUB AS, TCOMMIT, TCURSOR; what is kept of a name, and how two values merge |
//! | `binding` | TBIND and its like: the cluster makes jobs of entries |
//! | `lagging` | how far the readers of names are behind |
//! | `flushing`, `retaining`, `looking` | TFLUSH; TRETAIN; TLEN, TSTAT, TSCAN |
//! | `restoring`, `compacting` | the log of topics: the way back from it, and its size |
//! | `cluster` | copies, the order and the ends of lives between nodes |

mod binding;
mod channels;
mod cluster;
mod command;
mod compacting;
mod cursor;
mod cut;
mod ending;
mod ends;
mod entries;
mod figures;
mod flushing;
mod following;
mod glob;
mod haves;
mod id;
mod keys;
mod lagging;
mod live;
mod log;
mod looking;
mod marks;
mod named;
mod naming;
mod order;
mod origin;
mod origins;
mod page;
mod planted;
mod publishing;
mod readers;
mod reading;
mod record;
mod restoring;
mod retaining;
mod retention;
mod spans;
mod subscriptions;
#[cfg(test)]
mod tests;
mod topics;
mod wanted;

pub use binding::{BindingView, WaitsFor};
pub use cluster::{Greeting, Have, Head, TopicMessage, TopicNews};
pub use command::{
    Addressee, Before, CHANNEL_MAX, CURSOR_NAME_MAX, ChannelView, DEDUP_MAX, Follow, Listen,
    Misread, NamedView, PATTERN_MAX, PATTERNS_MAX, Page as TopicPage, Publish, Push, READ_MAX,
    Read, Start, Told, TopicCommand, TopicRefusal, TopicReply, Unread,
};
pub use cursor::{Cursor, InvalidCursor, NAMES_MAX};
pub use cut::{Cut, Passed};
pub use ends::{EndRecord, Ended, Ends};
pub use figures::{ChannelFigures, MemberFigures, Scan, TopicFigures};
pub use glob::{Case, is_literal, literal_prefix, matches};
pub use haves::Haves;
pub use id::{AHEAD_MAX_MS, Clock, ClockAhead, EntryId, is_wrong};
pub use lagging::{Lag, Lags};
pub use log::{Fork, OriginLog};
pub use marks::Marks;
pub use order::{Closed, Order};
pub use origin::{Origin, OriginNode};
pub use origins::Origins;
pub use page::{Given, Look, Page};
pub use planted::Bug;
pub use record::{Entry, TopicRecord};
pub use retention::{Rule, Rules};
pub use spans::Spans;
pub use subscriptions::{SubscriptionId, Subscriptions};

pub(crate) use binding::merge_values as merge_bindings;
pub(crate) use named::merge_values as merge_named_cursors;
#[cfg(test)]
pub(crate) use named::sample as sample_named_cursor;
pub(crate) use readers::ReaderId;
pub(crate) use topics::Topics;
