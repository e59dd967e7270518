//! What a node has to hear of its log after an event, and before the next.

use crate::event::Event;
use crate::id::JobId;
use crate::record::Location;

/// Where its records lie, what was read for it, and up to where the log can be read.
#[derive(Debug)]
pub struct Owed {
    pub(super) recorded: Vec<(JobId, Location)>,
    pub(super) events: Vec<Event<'static>>,
    pub(super) readable: Option<Location>,
}

impl Owed {
    /// Tells all of it, in order.
    pub fn tell(self, mut tell: impl FnMut(Event<'_>)) {
        if !self.recorded.is_empty() {
            tell(Event::Recorded(&self.recorded));
        }
        for event in self.events {
            tell(event);
        }
        if let Some(readable) = self.readable {
            tell(Event::Written(readable));
        }
    }
}
