//! The keys of DEDUP that came lately, and the ids of their entries.

use std::collections::VecDeque;

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use super::id::EntryId;
use crate::limits;

/// A channel and a key: the length of the channel first, so that no two pairs are alike.
type Key = Box<[u8]>;

/// About what a key takes: two copies of some 40 bytes, and its places in the table and the queue.
const KEY_BYTES: usize = 160;

/// Keys by channel, in order of their entries.
#[derive(Debug)]
pub(crate) struct Keys {
    ids: HashMap<Key, EntryId, FixedState>,
    order: VecDeque<(EntryId, Key)>,
}

impl Keys {
    /// No keys. `seed` keys the table.
    pub(crate) fn new(seed: u64) -> Self {
        Keys {
            ids: HashMap::with_hasher(FixedState::with_seed(seed)),
            order: VecDeque::new(),
        }
    }

    /// The entry of a channel that came with this key, if it is no older than this, in unix milliseconds. Older ones go.
    pub(crate) fn find(&mut self, channel: &[u8], key: &[u8], since: u64) -> Option<EntryId> {
        self.forget(since);
        self.ids.get(&joined(channel, key)).copied()
    }

    /// An entry came with this key.
    pub(crate) fn add(&mut self, channel: &[u8], key: &[u8], id: EntryId) {
        let joined = joined(channel, key);
        let newest = self.ids.entry(joined.clone()).or_insert(id);
        *newest = id.max(*newest);
        self.order.push_back((id, joined));
    }

    /// What they take in memory, about.
    pub(crate) fn memory(&self) -> usize {
        self.order.len() * KEY_BYTES
    }

    /// Whether there is no room for another one.
    pub(crate) fn is_full(&self) -> bool {
        self.order.len() >= limits::TOPIC_KEYS
    }

    /// Keys of entries that are older than this go.
    pub(crate) fn forget(&mut self, since: u64) {
        while let Some((id, _)) = self.order.front()
            && id.ms() < since
        {
            let (id, key) = self.order.pop_front().expect("it was just there");
            if self.ids.get(&key) == Some(&id) {
                self.ids.remove(&key);
            }
        }
    }
}

fn joined(channel: &[u8], key: &[u8]) -> Key {
    let length = (channel.len() as u32).to_le_bytes();
    [&length[..], channel, key].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_for_its_channel_and_for_its_time() {
        let mut keys = Keys::new(1);
        keys.add(b"a", b"bk", EntryId::new(100, 0));
        assert_eq!(keys.find(b"a", b"bk", 100), Some(EntryId::new(100, 0)));
        assert_eq!(keys.find(b"ab", b"k", 100), None);
        assert_eq!(keys.find(b"a", b"bk", 101), None);
        assert!(keys.order.is_empty() && keys.ids.is_empty());
    }

    #[test]
    fn a_key_that_came_again_counts_from_the_later_entry() {
        let mut keys = Keys::new(1);
        for ms in [100, 200] {
            keys.add(b"a", b"k", EntryId::new(ms, 0));
        }
        assert_eq!(keys.find(b"a", b"k", 150), Some(EntryId::new(200, 0)));
    }
}
