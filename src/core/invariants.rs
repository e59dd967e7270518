//! What holds between any two events. Checked after each one in tests and in simulation; each room knows its own part.

use crate::node::Node;
use crate::{
    acking, adding, deduplicating, federating, healing, job, log, members, moving, queue, settings,
    telling,
};

/// Walks over everything that the node holds.
///
/// # Panics
/// When something does not hold.
pub fn check(node: &Node) {
    job::check(node);
    queue::check(node);
    adding::check(node);
    acking::check(node);
    deduplicating::check(node);
    federating::check(node);
    healing::check(node);
    members::check(node);
    moving::check(node);
    log::check(node);
    settings::check(node);
    telling::check(node);
}
