//! What a node has to hear of its log after an event, and before the next.

use crate::event::Event;
use crate::id::JobId;
use crate::record::Location;
use crate::topic::Origin;

/// Where its records lie, what was read for it, up to where the log can be read, and which records of topics are on disk.
#[derive(Debug)]
pub struct Owed {
    pub(super) recorded: Vec<(JobId, Location)>,
    pub(super) entries: Vec<(Origin, u64, Location)>,
    pub(super) events: Vec<Event<'static>>,
    pub(super) readable: Option<Location>,
    pub(super) safe: Vec<(Origin, u64)>,
}

impl Owed {
    /// Tells all of it, in order.
    pub fn tell(self, mut tell: impl FnMut(Event<'_>)) {
        if !self.recorded.is_empty() {
            tell(Event::Recorded(&self.recorded));
        }
        if !self.entries.is_empty() {
            tell(Event::EntriesRecorded(&self.entries));
        }
        for event in self.events {
            tell(event);
        }
        if let Some(readable) = self.readable {
            tell(Event::Written(readable));
        }
        if !self.safe.is_empty() {
            tell(Event::TopicsSafe(&self.safe));
        }
    }
}
