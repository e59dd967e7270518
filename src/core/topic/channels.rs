//! The channels of which a node holds entries, and what is counted of each.
//!
//! A channel has a floor: what has an id at or below it is there no more for readers, because it was flushed or because
//! retention took it. So both cost the same whatever they take. Entries are counted in *blocks* of neighbouring ids, so that
//! a new floor is counted without a walk over all entries of the channel.
//!
//! A channel of which retention took entries stays when the last one is gone, so that readers hear of it; until there is no room
//! for new ones.
//!
//! Invariant: a channel is here while the index of entries names it, and its figures are the sums of its blocks.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use super::id::EntryId;
use super::record::ENTRY_BYTES;

/// A block takes this many entries, more only if they come late.
const BLOCK_ENTRIES: u32 = 256;

/// A channel, as the index of entries names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChannelKey(pub(super) u32);

/// Neighbouring entries of a channel: those with ids from `first` on, up to the next block.
#[derive(Debug, Clone, Copy)]
struct Block {
    first: EntryId,
    entries: u32,
    bytes: u64,
}

/// A channel, and what is counted of it.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    name: Arc<[u8]>,
    /// Places in the index that name it, those of invisible entries included.
    places: u64,
    /// Entries that readers may get, and the bytes of their channels, bodies and extras.
    entries: u64,
    bytes: u64,
    newest: EntryId,
    flushed: EntryId,
    taken: EntryId,
    /// How many entries retention took, ever.
    taken_entries: u64,
    /// How many entries clients of this node published.
    published: u64,
    blocks: VecDeque<Block>,
}

impl ChannelKey {
    /// Its place in a walk over all channels.
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// All channels, by key and by name.
#[derive(Debug)]
pub(crate) struct Channels {
    all: Vec<Option<Channel>>,
    free: Vec<u32>,
    by_name: HashMap<Arc<[u8]>, ChannelKey, FixedState>,
    /// How many of them the index names.
    open: usize,
    /// How many of them have entries that readers may get, and how many entries these are.
    visible: usize,
    entries: u64,
    /// About what the records of these entries take.
    live_bytes: u64,
    /// The highest id that retention took of any channel.
    taken: EntryId,
    /// What the names and the blocks take.
    memory: usize,
}

/// What a channel takes beside its name, its blocks left out.
const CHANNEL_BYTES: usize = size_of::<Option<Channel>>() + 40;

impl Channels {
    /// No channels. `seed` keys the table, so that clients cannot choose names that collide.
    pub(crate) fn new(seed: u64) -> Self {
        Channels {
            all: Vec::new(),
            free: Vec::new(),
            by_name: HashMap::with_hasher(FixedState::with_seed(seed)),
            open: 0,
            visible: 0,
            entries: 0,
            live_bytes: 0,
            taken: EntryId::ZERO,
            memory: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// How many of them have entries.
    pub(crate) fn with_entries(&self) -> usize {
        self.open
    }

    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<ChannelKey> {
        self.by_name.get(name).copied()
    }

    /// A channel; none once all its entries are freed, while a chunk of the index may still name it.
    pub(crate) fn known(&self, key: ChannelKey) -> Option<&Channel> {
        self.all.get(key.0 as usize)?.as_ref()
    }

    pub(crate) fn get(&self, key: ChannelKey) -> &Channel {
        let channel = self.all[key.0 as usize].as_ref();
        channel.expect("the index names channels that are here")
    }

    fn get_mut(&mut self, key: ChannelKey) -> &mut Channel {
        let channel = self.all[key.0 as usize].as_mut();
        channel.expect("the index names channels that are here")
    }

    /// All channels, in order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ChannelKey, &Channel)> {
        let keyed = (0..).map(ChannelKey).zip(&self.all);
        keyed.filter_map(|(key, channel)| Some((key, channel.as_ref()?)))
    }

    /// The channels from a key on: how a scan goes on.
    pub(crate) fn iter_from(&self, from: u32) -> impl Iterator<Item = (ChannelKey, &Channel)> {
        let rest = self.all.iter().skip(from as usize);
        let keyed = (from..).map(ChannelKey).zip(rest);
        keyed.filter_map(|(key, channel)| Some((key, channel.as_ref()?)))
    }

    /// The channel of this name, made if there is none; `flushed` is where a flush took it, then.
    pub(crate) fn open(
        &mut self,
        name: &Arc<[u8]>,
        flushed: impl FnOnce() -> EntryId,
    ) -> ChannelKey {
        if let Some(key) = self.find(name) {
            return key;
        }
        let channel = Channel {
            name: Arc::clone(name),
            places: 0,
            entries: 0,
            bytes: 0,
            newest: EntryId::ZERO,
            flushed: flushed(),
            taken: EntryId::ZERO,
            taken_entries: 0,
            published: 0,
            blocks: VecDeque::new(),
        };
        self.memory += CHANNEL_BYTES + name.len();
        let key = if let Some(free) = self.free.pop() {
            self.all[free as usize] = Some(channel);
            ChannelKey(free)
        } else {
            self.all.push(Some(channel));
            let key = u32::try_from(self.all.len() - 1);
            ChannelKey(key.expect("channels have a bound"))
        };
        self.by_name.insert(Arc::clone(name), key);
        key
    }

    /// An entry of a channel is held.
    pub(crate) fn add(&mut self, key: ChannelKey, id: EntryId, bytes: u64) {
        let channel = self.get_mut(key);
        channel.places += 1;
        let is_first = channel.places == 1;
        channel.newest = channel.newest.max(id);
        let is_live = id > channel.floor();
        let is_block = is_live && channel.count(id, bytes);
        let is_visible = is_live && channel.entries == 1;
        self.memory += usize::from(is_block) * size_of::<Block>();
        self.visible += usize::from(is_visible);
        self.entries += u64::from(is_live);
        self.live_bytes += if is_live { ENTRY_BYTES + bytes } else { 0 };
        self.open += usize::from(is_first);
    }

    /// An entry of a channel is held no more; it is below the floor.
    pub(crate) fn remove(&mut self, key: ChannelKey) {
        let channel = self.get_mut(key);
        channel.places -= 1;
        if channel.places == 0 {
            let is_told_of = channel.taken > EntryId::ZERO;
            self.open -= 1;
            if !is_told_of {
                self.close(key);
            }
        }
    }

    /// Channels that only tell of what retention took go, to make room.
    pub(crate) fn drop_empty(&mut self) {
        let empty = self.iter().filter(|(_, channel)| channel.places == 0);
        let empty: Vec<ChannelKey> = empty.map(|(key, _)| key).collect();
        for key in empty {
            self.close(key);
        }
    }

    fn close(&mut self, key: ChannelKey) {
        let channel = self.get(key);
        let name = Arc::clone(&channel.name);
        let blocks = channel.blocks.len() * size_of::<Block>();
        self.memory -= CHANNEL_BYTES + name.len() + blocks;
        self.by_name.remove(&name);
        self.all[key.0 as usize] = None;
        self.free.push(key.0);
    }

    /// About what the records of all entries take that readers may get.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// How many channels have entries that readers may get.
    pub(crate) fn visible(&self) -> usize {
        self.visible
    }

    /// How many entries these are.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// The bytes of their channels, bodies and extras.
    pub(crate) fn bytes(&self) -> u64 {
        self.live_bytes - ENTRY_BYTES * self.entries
    }

    /// A client published an entry to a channel.
    pub(crate) fn count_published(&mut self, key: ChannelKey) {
        self.get_mut(key).published += 1;
    }

    /// The highest id that retention took of any channel.
    pub(crate) fn taken(&self) -> EntryId {
        self.taken
    }

    /// From which id on the entries of a channel have to be counted one by one before its floor is raised to `to`: those of the
    /// block that goes on behind it. None if there is no such block.
    pub(crate) fn uncounted(&self, key: ChannelKey, to: EntryId) -> Option<EntryId> {
        let channel = self.get(key);
        if to <= channel.floor() || channel.entries == 0 {
            return None;
        }
        let next = channel.blocks.partition_point(|block| block.first <= to);
        let first = channel.blocks.get(next.checked_sub(1)?)?.first;
        let next = channel.blocks.get(next);
        let end = next.map_or(channel.newest, |next| next.first.before());
        (to < end).then(|| first.max(channel.floor().after()))
    }

    /// Raises the floor of a channel. `uncounted` is how many entries there are from [`Self::uncounted`] up to `to`, and their
    /// bytes. Returns how many entries are there no more.
    pub(crate) fn raise(
        &mut self,
        key: ChannelKey,
        why: Floor,
        to: EntryId,
        uncounted: (u64, u64),
    ) -> u64 {
        let channel = self.get_mut(key);
        let floor = channel.floor();
        let former = match why {
            Floor::Flushed => &mut channel.flushed,
            Floor::Taken => &mut channel.taken,
        };
        *former = to.max(*former);
        if to <= floor || channel.entries == 0 {
            return 0;
        }
        let (before, blocks) = (channel.entries, channel.blocks.len());
        let bytes_before = channel.bytes;
        while let Some(&block) = channel.blocks.front() {
            let next = channel.blocks.get(1).map(|next| next.first);
            if block.first > to {
                break;
            }
            if next.is_some_and(|next| next.before() <= to)
                || next.is_none() && channel.newest <= to
            {
                channel.blocks.pop_front();
                channel.entries -= u64::from(block.entries);
                channel.bytes -= block.bytes;
                continue;
            }
            let (entries, bytes) = uncounted;
            let front = channel.blocks.front_mut().expect("it was just there");
            front.first = to.after();
            front.entries -= entries as u32;
            front.bytes -= bytes;
            channel.entries -= entries;
            channel.bytes -= bytes;
            break;
        }
        let gone = before - channel.entries;
        let left = channel.blocks.len();
        if why == Floor::Taken {
            channel.taken_entries += gone;
            self.taken = to.max(self.taken);
        }
        let channel = self.get(key);
        let (bytes, is_empty) = (bytes_before - channel.bytes, channel.entries == 0);
        self.visible -= usize::from(is_empty);
        self.entries -= gone;
        self.live_bytes -= ENTRY_BYTES * gone + bytes;
        self.memory -= (blocks - left) * size_of::<Block>();
        gone
    }
}

/// Why entries are there no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    /// A flush: a wish, nobody is told.
    Flushed,
    /// Retention: readers who have not come so far hear of the loss.
    Taken,
}

impl Channel {
    pub(crate) fn name(&self) -> &Arc<[u8]> {
        &self.name
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many entries clients of this node published.
    pub(crate) fn published(&self) -> u64 {
        self.published
    }

    /// The highest id that it ever had here.
    pub(crate) fn newest(&self) -> EntryId {
        self.newest
    }

    /// Entries with ids at or below this are there no more.
    pub(crate) fn floor(&self) -> EntryId {
        self.flushed.max(self.taken)
    }

    /// Entries with ids at or below this were flushed.
    pub(crate) fn flushed(&self) -> EntryId {
        self.flushed
    }

    /// Up to which id retention took entries, and how many it took, ever.
    pub(crate) fn taken(&self) -> (EntryId, u64) {
        (self.taken, self.taken_entries)
    }

    /// The id that the entry has at least that has `behind` entries behind it: all entries with lower ids have more.
    pub(crate) fn id_behind(&self, behind: u64) -> EntryId {
        let mut left = behind;
        for block in self.blocks.iter().rev() {
            let entries = u64::from(block.entries);
            if entries > left {
                return block.first;
            }
            left -= entries;
        }
        EntryId::ZERO
    }

    /// The last id and the bytes of each block, oldest first.
    pub(crate) fn block_ends(&self) -> impl Iterator<Item = (EntryId, u64)> + '_ {
        let later = self.blocks.iter().skip(1).map(|block| block.first.before());
        let ends = later.chain([self.newest]);
        self.blocks
            .iter()
            .zip(ends)
            .map(|(block, end)| (end, block.bytes))
    }

    /// How many entries lie in blocks that begin at or behind this id.
    pub(crate) fn entries_from(&self, first: EntryId) -> u64 {
        let blocks = self.blocks.iter().rev();
        let later = blocks.take_while(|block| block.first >= first);
        later.map(|block| u64::from(block.entries)).sum()
    }

    /// The first and the last id that its first block spans.
    pub(crate) fn first_span(&self) -> Option<(EntryId, EntryId)> {
        let first = self.blocks.front()?.first;
        Some(self.span_of(first))
    }

    /// The first and the last id that the block with this id spans.
    pub(crate) fn span_of(&self, id: EntryId) -> (EntryId, EntryId) {
        let next = self.blocks.partition_point(|block| block.first <= id);
        let first = next.checked_sub(1).map_or(id, |at| self.blocks[at].first);
        let last = self
            .blocks
            .get(next)
            .map_or(EntryId::MAX, |b| b.first.before());
        (first, last)
    }

    /// Counts an entry. Returns whether a block was begun for it.
    fn count(&mut self, id: EntryId, bytes: u64) -> bool {
        self.entries += 1;
        self.bytes += bytes;
        let at = self.blocks.partition_point(|block| block.first <= id);
        let is_last = at == self.blocks.len();
        // A late entry begins no block, or entries above it would lie in the block before. One that comes before all others
        // goes to the first block.
        let is_late = !is_last || id < self.newest;
        if let Some(block) = self.blocks.get_mut(at.saturating_sub(1))
            && (block.entries < BLOCK_ENTRIES || is_late)
        {
            block.first = block.first.min(id);
            block.entries += 1;
            block.bytes += bytes;
            return false;
        }
        self.blocks.push_back(Block {
            first: id,
            entries: 1,
            bytes,
        });
        true
    }
}
