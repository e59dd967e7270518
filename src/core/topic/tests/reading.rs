//! Readers: what each got, and what it should have.

use std::collections::BTreeSet;

use super::world::{Node, World, Written};
use crate::topic::{Case, Cursor, EndRecord, EntryId, Given, Look, Origin, Page, matches};

/// One who reads at any node, with what it got so far.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) at: usize,
    pub(super) pattern: &'static str,
    pub(super) cursor: Cursor,
    pub(super) got: BTreeSet<(Origin, u64)>,
    pub(super) told: BTreeSet<(Origin, u64)>,
    in_order: EntryId,
}

/// What one page brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) entries: Vec<(Origin, u64)>,
    pub(super) late: Vec<(Origin, u64)>,
    pub(super) lost: Vec<(Origin, (u64, u64))>,
}

impl Reader {
    /// One who begins at the oldest entry.
    pub(super) fn new(at: usize, pattern: &'static str) -> Reader {
        Reader {
            at,
            pattern,
            cursor: Cursor::default(),
            got: BTreeSet::new(),
            told: BTreeSet::new(),
            in_order: EntryId::ZERO,
        }
    }

    /// Goes on behind what both have passed.
    pub(super) fn merge(&mut self, other: &Reader) {
        self.cursor.merge(&other.cursor);
        self.got.extend(&other.got);
        self.told.extend(&other.told);
        self.in_order = self.in_order.max(other.in_order);
    }

    fn take(&mut self, given: &Given, got: &mut Got) -> Result<(), String> {
        match *given {
            Given::Entry {
                origin,
                number,
                id,
                late,
            } => {
                if !self.got.insert((origin, number)) {
                    return Err(format!("repeat of {origin} {number}"));
                }
                got.entries.push((origin, number));
                if late {
                    got.late.push((origin, number));
                } else if id <= self.in_order {
                    return Err(format!("{origin} {number} is out of order"));
                } else {
                    self.in_order = id;
                }
            }
            Given::Lost {
                origin, numbers, ..
            } => {
                got.lost.push((origin, numbers));
                for number in numbers.0..=numbers.1 {
                    if !self.told.insert((origin, number)) {
                        return Err(format!("loss of {origin} {number} told twice"));
                    }
                }
            }
        }
        Ok(())
    }
}

impl World {
    /// A reader's next page at a node, of at most `count` entries; its cursor goes as text.
    pub(super) fn try_read(
        &mut self,
        reader: usize,
        at: usize,
        count: usize,
    ) -> Result<Got, String> {
        let mut next = self.readers[reader].clone();
        let node = &self.nodes[at];
        let mut page = Page::open(&node.origins, node.order.stable(), next.cursor.clone());
        let mut got = Got::default();
        while got.entries.len() + got.lost.len() < count {
            let pattern = next.pattern;
            let Some(given) = page.next(|origin, number| self.look(at, pattern, origin, number))
            else {
                break;
            };
            if let Given::Entry { origin, number, .. } = given {
                let settled = self.settled.get(&origin).copied().unwrap_or(0);
                if number > settled {
                    return Err(format!("{origin} {number} is not settled"));
                }
            }
            let taken = next.take(&given, &mut got);
            taken.map_err(|what| format!("reader {reader} at {at}: {what}"))?;
        }
        let cursor = page.close(&node.origins);
        let text = cursor.to_string();
        next.cursor = Cursor::parse(text.as_bytes()).expect("a node wrote it");
        assert_eq!(next.cursor, cursor, "{text}");
        self.readers[reader] = next;
        Ok(got)
    }

    pub(super) fn read(&mut self, reader: usize, at: usize, count: usize) -> Got {
        self.try_read(reader, at, count)
            .unwrap_or_else(|what| panic!("{what}"))
    }

    /// What a place of a log holds at a node, for a reader of a pattern.
    fn look(&self, at: usize, pattern: &str, origin: Origin, number: u64) -> Look {
        let node = &self.nodes[at];
        let log = node.origins.log(origin).expect("a page reads what is here");
        assert!(log.held().contains(number), "{origin} {number} is here");
        match &self.written[&(origin, number)] {
            Written::Entry { .. } if log.freed().contains(number) => Look::Freed { to: number },
            Written::Entry { id, channel } => Look::Entry {
                id: *id,
                wanted: is_match(pattern, channel) && !self.is_flushed(at, *id, channel),
            },
            Written::End(_) => Look::Freed { to: number },
        }
    }

    pub(super) fn is_flushed(&self, at: usize, id: EntryId, channel: &str) -> bool {
        let mut marks = self.nodes[at].marks.iter();
        marks.any(|(pattern, mark)| id <= *mark && is_match(pattern, channel))
    }

    /// A flush at a node, up to its own clock: it takes nothing that comes later.
    pub(super) fn flush(&mut self, at: usize, pattern: &'static str) {
        let node = &mut self.nodes[at];
        let reading = node.clock.reading();
        node.marks.insert(pattern, reading);
        self.flushed.push((pattern, reading));
    }

    /// A node frees the first records of a log.
    pub(super) fn free(&mut self, at: usize, origin: Origin, records: u64) {
        if records == 0 {
            return;
        }
        self.nodes[at].origins.free(origin, 1..=records);
        self.removed
            .extend((1..=records).map(|number| (origin, number)));
    }

    /// Reads at random nodes until nothing comes any more; then nothing may be missing.
    pub(super) fn read_to_the_end(&mut self, reader: usize) -> Result<(), String> {
        let mut idle = 0;
        while idle < 8 {
            let at = self.below(self.nodes.len());
            if self.nodes[at].is_dead {
                continue;
            }
            let got = self.try_read(reader, at, 50)?;
            let is_idle = got.entries.is_empty() && got.lost.is_empty();
            idle = if is_idle { idle + 1 } else { 0 };
        }
        let missing = self.missing(reader);
        if !missing.is_empty() {
            let cut = self.readers[reader].cursor.cut();
            let about = missing.first().map(|place| self.explain(place.0));
            return Err(format!(
                "gap of reader {reader}: {missing:?}, cut {cut:?}, {about:#?}"
            ));
        }
        Ok(())
    }

    /// What the nodes know of an origin, for a failure.
    fn explain(&self, origin: Origin) -> Vec<String> {
        let mut lines = Vec::new();
        for node in &self.nodes {
            let log = node.origins.log(origin);
            let log = log.map(|log| (log.prefix(), log.settled(), log.known(), log.lost().clone()));
            lines.push(format!(
                "{}: (held, settled, known, lost) {log:?}",
                node.life
            ));
        }
        for (log, number, row) in logs_with_rows(&self.nodes[0]) {
            for ended in row.ended().iter().filter(|ended| ended.origin == origin) {
                lines.push(format!("in {log} {number}: {:?} {ended:?}", row.id()));
            }
        }
        lines
    }

    /// Entries that some node holds and the reader did not get, and losses that it was not told.
    pub(super) fn missing(&self, reader: usize) -> BTreeSet<(Origin, u64, &'static str)> {
        let reader = &self.readers[reader];
        let mut missing = BTreeSet::new();
        let alive = || self.nodes.iter().filter(|node| !node.is_dead);
        for (place, written) in &self.written {
            let (origin, number) = *place;
            let is_held = alive().any(|node| {
                node.origins
                    .log(origin)
                    .is_some_and(|log| log.held().contains(number) && !log.lost().contains(number))
            });
            if let Written::Entry { channel, .. } = written
                && is_held
                && is_match(reader.pattern, channel)
                && !self.removed.contains(place)
                && !self.was_flushed(written)
                && !reader.got.contains(place)
            {
                missing.insert((origin, number, "entry"));
            }
        }
        for node in alive() {
            let ends = node.origins.ends();
            for (origin, log) in node.origins.logs() {
                let lost = log.lost().iter().flatten();
                let untold = |number: &u64| {
                    let place = (origin, *number);
                    let was_entry = matches!(self.written[&place], Written::Entry { .. });
                    let was_freed =
                        self.removed.contains(&place) || self.was_flushed(&self.written[&place]);
                    let was_given = reader.got.contains(&place) || reader.told.contains(&place);
                    was_entry && !was_freed && !was_given && !self.is_sealed(place)
                };
                missing.extend(
                    lost.filter(untold)
                        .map(|number| (origin, number, "given up")),
                );
                // Rows of which the record itself is lost say nothing to readers.
                let rows = ends.rows(origin, 1).filter(|(at, _)| *at <= log.settled());
                for ended in rows.flat_map(|(_, row)| row.ended()) {
                    let held = alive().map(|node| node.origins.prefix(ended.origin)).max();
                    let untold = (held.unwrap_or(0) + 1..=ended.known)
                        .map(|number| (ended.origin, number))
                        .filter(|place| !self.is_sealed(*place) && !reader.told.contains(place))
                        .map(|(origin, number)| (origin, number, "known"));
                    missing.extend(untold);
                }
            }
        }
        missing
    }

    fn is_sealed(&self, (origin, number): (Origin, u64)) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.any(|node| node.origins.ends().floor(origin).records() >= number)
    }

    /// Whether any mark ever took an entry, one that was written later included.
    fn was_flushed(&self, written: &Written) -> bool {
        self.flushed.iter().any(|(pattern, mark)| match written {
            Written::Entry { id, channel } => id <= mark && is_match(pattern, channel),
            Written::End(_) => false,
        })
    }
}

fn logs_with_rows(node: &Node) -> impl Iterator<Item = (Origin, u64, &EndRecord)> {
    node.origins.logs().flat_map(|(origin, _)| {
        let rows = node.origins.ends().rows(origin, 1);
        rows.map(move |(number, row)| (origin, number, row))
    })
}

pub(super) fn is_match(pattern: &str, channel: &str) -> bool {
    matches(pattern.as_bytes(), channel.as_bytes(), Case::Exact)
}
