//! Walks through the index that are after some channels: in chunks of many channels most records are passed without a look
//! at each.

use std::ops::RangeInclusive;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::{ChannelKey, Entries, EntryId, Indexed, Origin, Slot};

/// A channel, and the first and the last id of those of its entries that are wanted, if any are.
pub(crate) type Stretch = (ChannelKey, Option<(EntryId, EntryId)>);

/// This many records and names of channels that were looked at cost as much as one entry that is looked at by itself.
const GLANCES_A_LOOK: usize = 32;

/// What a page has found out about the chunks that it is in: one chunk of each log.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    of_logs: Vec<Run>,
    glances: usize,
}

/// Where a page is in a log.
#[derive(Debug)]
struct Run {
    origin: Origin,
    /// The first number of the chunk.
    chunk: u64,
    /// Whether each of the chunk's channels may have entries that are wanted.
    wanted: Vec<bool>,
    /// No record up to this number is wanted, from where it was last looked.
    to: u64,
}

impl Runs {
    /// How many entries could have been looked at instead.
    pub(crate) fn cost(&self) -> u64 {
        (self.glances / GLANCES_A_LOOK) as u64
    }

    fn of(&mut self, origin: Origin) -> &mut Run {
        let known = self.of_logs.iter().position(|run| run.origin == origin);
        let at = known.unwrap_or_else(|| {
            self.of_logs.push(Run {
                origin,
                chunk: 0,
                wanted: Vec::new(),
                to: 0,
            });
            self.of_logs.len() - 1
        });
        &mut self.of_logs[at]
    }
}

impl Entries {
    /// How far the records that nobody wants go on from an entry that is not wanted, within its chunk: the last number, and
    /// the id of that. `above` says above which id the entries of a channel are wanted, if they are. `runs` is of one walk, for
    /// which numbers rise in each log.
    pub(crate) fn run(
        &self,
        origin: Origin,
        number: u64,
        runs: &mut Runs,
        mut above: impl FnMut(ChannelKey) -> Option<EntryId>,
    ) -> Option<(u64, EntryId)> {
        let (chunk, at) = self.logs.get(&origin)?.place(number)?;
        let mut glances = 0;
        let run = runs.of(origin);
        if run.chunk != chunk.first {
            let last = chunk.last_id();
            let mut is_wanted = |&name| above(name).is_some_and(|above| above < last);
            run.chunk = chunk.first;
            run.to = 0;
            run.wanted.clear();
            run.wanted.extend(chunk.names.iter().map(&mut is_wanted));
            glances += 2 * chunk.names.len();
            if !run.wanted.contains(&true) {
                run.to = chunk.end() - 1;
            }
        }
        if run.to < number {
            // An end record is of no channel.
            let is_wanted = |&channel: &u16| run.wanted.get(usize::from(channel)) == Some(&true);
            let rest = chunk.channels.get(at..).unwrap_or_default();
            let length = rest.iter().position(is_wanted).unwrap_or(rest.len());
            run.to = (number + length as u64).checked_sub(1)?;
            glances += length;
        }
        let to = run.to;
        runs.glances += glances;
        (to >= number).then(|| (to, chunk.id((to - chunk.first) as usize)))
    }

    /// Visits the entries with numbers in a range.
    pub(crate) fn visit_numbers(
        &self,
        origin: Origin,
        numbers: RangeInclusive<u64>,
        mut visit: impl FnMut(&Indexed),
    ) {
        let Some(log) = self.logs.get(&origin) else {
            return;
        };
        let chunks = log.chunks.range(log.find(*numbers.start())..);
        for chunk in chunks.take_while(|chunk| chunk.first <= *numbers.end()) {
            let entries = chunk.numbered();
            let those = entries.filter(|(number, _)| numbers.contains(number));
            those.for_each(|(_, entry)| visit(&entry));
        }
    }

    /// Visits the entries of some channels, of each those in its stretch, with the place of that in `stretches`. It is one walk,
    /// log by log, each log from its end on.
    pub(crate) fn visit_stretches(
        &self,
        stretches: &[Stretch],
        mut visit: impl FnMut(usize, &Indexed),
    ) {
        let spans = stretches.iter().filter_map(|(_, span)| *span);
        let (first, last) = (spans.clone().map(|s| s.0).min(), spans.map(|s| s.1).max());
        let (Some(first), Some(last)) = (first, last) else {
            return;
        };
        let placed = stretches.iter().enumerate();
        let by_channel: HashMap<ChannelKey, (usize, EntryId, EntryId), FixedState> = placed
            .filter_map(|(place, &(key, span))| {
                span.map(|(first, last)| (key, (place, first, last)))
            })
            .collect();
        let mut of_names = Vec::new();
        for log in self.logs.values() {
            let end = log.chunks.partition_point(|chunk| chunk.base <= last);
            for chunk in log.chunks.range(..end).rev() {
                let (base, highest) = (chunk.base, chunk.last_id());
                if highest < first {
                    break;
                }
                of_names.clear();
                of_names.extend(chunk.names.iter().map(|name| {
                    let stretch = by_channel.get(name).copied();
                    stretch.filter(|&(_, first, last)| first <= highest && base <= last)
                }));
                if of_names.iter().all(Option::is_none) {
                    continue;
                }
                for (at, &channel) in chunk.channels.iter().enumerate().rev() {
                    if let Some(&Some((place, first, last))) = of_names.get(usize::from(channel))
                        && (first..=last).contains(&chunk.id(at))
                        && let Slot::Entry(entry) = chunk.slot(at)
                    {
                        visit(place, &entry);
                    }
                }
            }
        }
    }
}
