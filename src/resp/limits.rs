//! How much of anything either side may send. What is beyond is refused before room is made for it.

/// Most arguments of a command.
pub const ARGUMENTS_MAX: usize = 1 << 20;
/// Longest argument in bytes.
pub const BULK_MAX: usize = 512 << 20;
/// Longest inline command or length line in bytes, counted up to its line ending.
pub const LINE_MAX: usize = 64 << 10;
/// Longest command in bytes: Disque's limit of the query buffer.
pub const COMMAND_MAX: usize = 1 << 30;
/// Most commands of a batch, so that one client's pipeline cannot keep the core to itself.
pub const BATCH_COMMANDS: usize = 1024;
/// A batch ends with the command that reaches this many bytes.
pub const BATCH_BYTES: usize = 1 << 20;

/// Deepest nesting of lists in a reply.
pub const DEPTH_MAX: usize = 64;
/// Most elements of a list in a reply, a map's keys and values counted singly.
pub const AGGREGATE_MAX: usize = 1 << 27;
