//! How a node is configured: one table of directives, and one typed [`Config`] parsed from it once.
//!
//! The format is Disque's and Redis' own: a line is `directive value…`, `#` opens a comment line, values
//! may be quoted. A directive comes from a file, from `SHOALMQ_<DIRECTIVE>` in the environment, from a
//! flag `--directive value`, or from `CONFIG SET`; each of these overrides the one before. Whatever the
//! source, it goes through the same row of [`DIRECTIVES`], which is also what `CONFIG GET`,
//! `CONFIG REWRITE`, [`help()`] and [`example()`] are made of.
//!
//! | file | holds |
//! |---|---|
//! | `table.rs` | the directives: name, type, default, bounds, help; [`Config`] itself |
//! | `directive.rs` | what a row is; Disque's directives that mean nothing here |
//! | `value.rs`, `types.rs` | words to typed value and back; the types themselves |
//! | `seeds.rs` | names of other nodes |
//! | `units.rs` | sizes in bytes, spans of time |
//! | `words.rs` | a line to words and back: quotes and escapes |
//! | `load.rs`, `source.rs` | file, environment and flags into a [`Loaded`]; where they come from |
//! | `runtime.rs` | `CONFIG GET` and `CONFIG SET` |
//! | `rewrite.rs` | `CONFIG REWRITE` |
//! | `help.rs` | `--help`, and the commented default file |
//! | `memory.rs` | how much memory this process may use |
//!
//! Invariant: a `Config` made here satisfies every bound of its table, and rewriting it to its file and
//! loading that file gives an equal one.

mod directive;
mod error;
mod help;
mod load;
mod memory;
mod rewrite;
mod runtime;
pub mod secrets;
mod seeds;
mod source;
mod table;
mod types;
mod units;
mod value;
mod words;

#[cfg(test)]
mod tests;

pub use directive::{Change, Directive, Group, Standing};
pub(crate) use error::plain;
pub use error::{ConfigError, Place, RewriteError, SetError, SyntaxError, Warning};
pub use help::{example, help};
pub use load::Loaded;
pub use rewrite::rewritten;
pub use seeds::{BUS_OFFSET, Host, Seed, SeedPorts};
pub use source::{FileSource, Sources};
pub use table::{Config, DIRECTIVES};
pub use types::{
    AppendFsync, BindAddress, BufferLimit, HttpAuth, HttpPort, LogFormat, LogLevel,
    MaxmemoryPolicy, MemoryPolicy, Password, Storage, StorageOnCorrupt, SyslogFacility, UnixMode,
};
pub use units::{Off, Unit};
pub use value::Allowed;
