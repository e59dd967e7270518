//! What readers of old segments have open: a few handles, those that were used last.
//!
//! A handle may keep a removed file, so code that removes or replaces a segment takes its handle out first.

use std::collections::BTreeMap;
use std::sync::Arc;

use shoalmq_core::record::Segment;

/// Handles by segment.
#[derive(Debug)]
pub(super) struct Opened<T> {
    handles: BTreeMap<Segment, Used<T>>,
    most: usize,
    uses: u64,
}

#[derive(Debug)]
struct Used<T> {
    handle: Arc<T>,
    /// The use that was its last.
    last: u64,
}

impl<T> Opened<T> {
    /// None yet, and never more than `most`.
    pub(super) fn new(most: usize) -> Self {
        Opened {
            handles: BTreeMap::new(),
            most,
            uses: 0,
        }
    }

    /// The handle of a segment, which is used now.
    pub(super) fn get(&mut self, segment: Segment) -> Option<Arc<T>> {
        self.uses += 1;
        let used = self.handles.get_mut(&segment)?;
        used.last = self.uses;
        Some(Arc::clone(&used.handle))
    }

    /// Keeps a handle that is used now. Returns the one that it replaces, or that makes room for it.
    pub(super) fn insert(&mut self, segment: Segment, handle: Arc<T>) -> Option<Arc<T>> {
        self.uses += 1;
        let last = self.uses;
        let replaced = self.handles.insert(segment, Used { handle, last });
        if let Some(replaced) = replaced {
            return Some(replaced.handle);
        }
        let full = self.handles.len() > self.most;
        let unused = self.handles.iter().min_by_key(|(_, used)| used.last);
        let unused = unused.map(|(&segment, _)| segment).filter(|_| full)?;
        self.remove(unused)
    }

    pub(super) fn remove(&mut self, segment: Segment) -> Option<Arc<T>> {
        self.handles.remove(&segment).map(|used| used.handle)
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Arc<T>> + use<T> {
        let handles = std::mem::take(&mut self.handles);
        handles.into_values().map(|used| used.handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_not_used_for_longest_makes_room() {
        let mut opened = Opened::new(2);
        assert_eq!(opened.insert(1, Arc::new('a')), None);
        assert_eq!(opened.insert(2, Arc::new('b')), None);
        assert_eq!(opened.get(1), Some(Arc::new('a')));
        assert_eq!(opened.insert(3, Arc::new('c')), Some(Arc::new('b')));
        assert_eq!(opened.get(2), None);
        assert_eq!(opened.insert(3, Arc::new('d')), Some(Arc::new('c')));
        assert_eq!(opened.remove(1), Some(Arc::new('a')));
        assert_eq!(opened.take().map(|left| *left).collect::<String>(), "d");
        assert_eq!(opened.get(3), None);
    }
}
