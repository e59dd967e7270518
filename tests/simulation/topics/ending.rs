//! What readers are told, and what they must have got in the end.

use shoalmq_core::log::Position;
use shoalmq_core::topic::{Cursor, Entry, EntryId, Origin, Told};

use super::checker::{Clocks, Kept};
use super::line::{Begin, Line};
use super::{Reader, ReaderIndex};
use crate::checker::{Checker, Violation};
use crate::cluster::Cluster;
use crate::plan::Policy;
use crate::schedule::{HostIndex, MS, Micros, SECOND};

/// How long after all faults are over readers have all there is.
const READ_WITHIN: Micros = 10 * SECOND;
/// When those begin that read all there is, one at each node; and when they have it.
const REPLAYS: Micros = 5 * SECOND;
const REPLAYED: Micros = REPLAYS + READ_WITHIN;

/// The most bytes of a cursor, and how many of them for each member.
const CURSOR_BYTES: usize = 40;
const NAME_BYTES: usize = 30;
/// And for each life of which a crash took the end: who has read what was lost keeps its name.
const LOST_BYTES: usize = 20;

impl Checker {
    /// A reader is told something that a core gave out at some moment: (now, host, given).
    pub(super) fn topic_told(
        &mut self,
        at: (Micros, HostIndex, Micros),
        reader: ReaderIndex,
        line: &mut Line,
        told: &Told,
        synced: &[Position],
    ) {
        let (now, host, given) = at;
        let wrong = match told {
            Told::Entry(entry, late) => {
                self.topics.read += 1;
                self.topics.late += u64::from(*late);
                let wrong = self.wrong_with(host, given, line, entry, *late, synced);
                if !*late {
                    line.last = line.last.max(entry.id);
                    self.topics.shown(host, entry.id);
                }
                line.got.insert(entry.id);
                wrong
            }
            Told::Lost(_, count) => {
                self.topics.lost += count;
                line.lost += count;
                if self.topics.is_quiet && !self.topics.may_lose() {
                    Some("hears of a loss, without a fault")
                } else if *count > self.topics.record_count() {
                    Some("hears of a loss of more than there ever was")
                } else {
                    None
                }
            }
            Told::Unread(_) => Some("is told what was not read"),
        };
        if let Some(wrong) = wrong {
            let (now, given) = (now / MS, given / MS);
            let what = format!(
                "reader {reader} {wrong}, by n{host} at {given} ms, seen at {now} ms: {told:?}, behind {:?}",
                line.cursor
            );
            self.violate(None, what);
        }
    }

    fn wrong_with(
        &self,
        host: HostIndex,
        given: Micros,
        line: &Line,
        entry: &Entry,
        late: bool,
        synced: &[Position],
    ) -> Option<&'static str> {
        let topics = &self.topics;
        let Some(kept) = topics.entries.get(&entry.id) else {
            return Some("gets what nobody published");
        };
        let terms = topics.terms(kept.publication);
        let is_on_disk = |(&host, &at): (&HostIndex, &Position)| at <= synced[host];
        if (kept.origin, kept.number) != (entry.origin, entry.number)
            || terms.body.as_bytes() != entry.body.as_bytes()
            || kept.channel.as_bytes() != &*entry.channel
        {
            Some("gets another entry under this id")
        } else if !line.wants(kept.channel) {
            Some("gets what it does not want")
        } else if line.got.contains(&entry.id) {
            Some("gets an entry twice")
        } else if !late && entry.id <= line.last {
            Some("gets an entry out of order")
        } else if !late && entry.id < line.floor {
            Some("gets what is not among the newest")
        } else if late && topics.is_quiet {
            Some("gets a late entry, without a fault")
        } else if topics.knows_flushed(host, given, entry.id, kept.channel) {
            Some("gets what this node has flushed")
        } else if self.policy == Policy::Always
            && !kept.copies.is_empty()
            && !kept.copies.iter().any(is_on_disk)
        {
            Some("gets what is on no disk")
        } else {
            None
        }
    }

    /// A reader's cursor is this from now on.
    pub(super) fn topic_cursor(
        &mut self,
        now: Micros,
        reader: ReaderIndex,
        line: &mut Line,
        text: &str,
        members: usize,
    ) {
        let before = line.parsed();
        let most = CURSOR_BYTES + NAME_BYTES * members + LOST_BYTES * self.topics.cut_short;
        let cursor = Cursor::parse(text.as_bytes());
        let wrong = match &cursor {
            Err(reason) => Some(format!("gets a cursor that is none: {reason}")),
            Ok(cursor) if before.is_some_and(|before| goes_back(&before, cursor)) => {
                Some("goes back".to_owned())
            }
            Ok(_) if text.len() > most => Some(format!("gets a cursor of {} bytes", text.len())),
            Ok(_) => None,
        };
        if let Some(wrong) = wrong {
            let what = format!(
                "at {} ms reader {reader} {wrong}: {text}, behind {:?}",
                now / MS,
                line.cursor
            );
            return self.violate(None, what);
        }
        if line.begun == 0 {
            line.begun = now;
        }
        line.cursor = Some(text.to_owned());
    }

    /// Whether a reader has all that it must have.
    fn check_line(&mut self, now: Micros, reader: ReaderIndex, line: &Line) {
        let topics = &self.topics;
        let cursor = line.parsed().unwrap_or_default();
        // A wiped node whose clock was set back begins a life below one that it does not remember.
        let is_below = |origin: Origin| {
            let mut names = cursor.cut().iter();
            topics.clocks == Clocks::Jump && names.any(|(other, _)| other.is_later_than(origin))
        };
        // Of what a rule took while a fault held it up, or before a node lost what it knew, a reader may hear nothing.
        let is_missed = |(id, kept): &(&EntryId, &Kept)| {
            let is_new =
                line.begin == Begin::Oldest || kept.recorded > line.begun || line.must.contains(id);
            let may_be_gone = topics.is_flushed(**id, kept.channel)
                || is_below(kept.origin)
                || topics.is_ruled(kept.channel) && (line.lost > 0 || !topics.is_quiet);
            let is_there = !kept.copies.is_empty();
            let is_read = line.got.contains(id) || line.may.contains(id);
            is_there && is_new && line.wants(kept.channel) && !may_be_gone && !is_read
        };
        let mut missed = topics.entries.iter().filter(is_missed);
        if let Some((id, kept)) = missed.next() {
            let more = missed.count();
            let what = format!(
                "at {} ms reader {reader} has not got {id}, nor {more} others: {kept:?}; it began with {:?} at {} ms, has {} and \
                 lost {}, and is at {:?}",
                now / MS,
                line.begin,
                line.begun / MS,
                line.got.len(),
                line.lost,
                line.cursor
            );
            self.violate(None, what);
        }
    }
}

/// Whether less has been passed than before.
pub(super) fn goes_back(before: &Cursor, cursor: &Cursor) -> bool {
    before.cut().iter().any(|(origin, passed)| {
        let mut now = cursor.cut().iter();
        let same = now.find(|(other, _)| *other == origin);
        match same {
            Some((_, now)) => now.records() < passed.records(),
            // It follows from the name of a later life.
            None => !cursor
                .cut()
                .iter()
                .any(|(other, _)| other.is_later_than(origin)),
        }
    })
}

impl Cluster {
    /// All is well since `late`. Returns whether everything that topics promise has been looked at.
    pub(crate) fn check_topics(&mut self, late: Micros) -> Result<bool, Violation> {
        if self.plan.topics.is_none() {
            return Ok(true);
        }
        if late >= REPLAYS && !self.topics.ends {
            self.topics.ends = true;
            for host in 0..self.hosts.len() {
                if !self.hosts[host].removed {
                    self.topics.readers.push(Reader::at(host));
                    self.go_after(self.topics.readers.len() - 1, MS);
                }
            }
        }
        // Readers of two clusters get the one's entries at the one, and may end at the other.
        if late >= READ_WITHIN && self.is_one() {
            for (index, reader) in self.topics.readers.iter().enumerate() {
                if reader.is_due() && (late >= REPLAYED || !reader.replays()) {
                    self.checker.check_line(self.now, index, &reader.line);
                }
            }
        }
        if late >= REPLAYED {
            self.checker.check_bound(self.now);
        }
        match self.checker.take_violation() {
            Some(violation) => Err(violation),
            None => Ok(late >= REPLAYED),
        }
    }
}
