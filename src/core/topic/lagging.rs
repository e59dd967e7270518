//! How far the readers of named cursors are behind: measured name by name in the background, for the metrics.
//!
//! A pass over all names begins every five seconds. Each step does a bounded amount of work, and the next one follows after
//! a pause. For a name it first looks for the oldest entry that is not committed, as a page would. What cannot be told from
//! there is told by the channels, some in a step: whether an entry lies beyond what was looked at, and whether retention
//! took entries before the reader came to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::command::Told;
use super::id::EntryId;
use super::named::Named;
use super::reading::{Ended, Room};
use super::topics::Topics;
use super::wanted::Wanted;
use crate::agenda::Timer;
use crate::limits;
use crate::node::Node;
use crate::setting::SettingKind;
use crate::time::{Now, WallTime};

const KIND: SettingKind = SettingKind::TOPIC_CURSOR;

/// What was measured of a named cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// The age of the oldest entry that is not committed, zero if there is none. If the first ten thousand records behind
    /// the cursor are not for its reader, the age of the last of them.
    pub behind: Duration,
    /// Retention, or `topic-max-disk`, took entries that may not be committed.
    pub is_overtaken: bool,
}

/// Named cursors with what was measured of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lags {
    /// The first names in their order, as many as have series of their own.
    pub first: Vec<(Arc<[u8]>, Lag)>,
    /// The worst of the rest, if there is a rest.
    pub rest: Option<Lag>,
}

/// The measuring.
#[derive(Debug, Default)]
pub(super) struct Lagging {
    is_armed: bool,
    /// The name that was measured last in this pass.
    last: Option<Arc<[u8]>>,
    /// The name that is being measured.
    current: Option<Measuring>,
    known: BTreeMap<Arc<[u8]>, Lag>,
}

#[derive(Debug)]
struct Measuring {
    name: Arc<[u8]>,
    patterns: Vec<Arc<[u8]>>,
    committed: EntryId,
    oldest: Option<EntryId>,
    /// The log was looked at up to here, and what lies beyond is not known.
    looked: Option<EntryId>,
    is_overtaken: bool,
    /// The next channel; none once all is known.
    next: Option<u32>,
}

impl Node {
    /// There are named cursors to measure, from now on.
    pub(crate) fn arm_lagging(&mut self, now: Now) {
        if !self.topics.lagging.is_armed && self.shared.count_of(KIND) > 0 {
            self.topics.lagging.is_armed = true;
            let first = now.time + limits::LAGGING_EVERY;
            self.agenda.add_timer(first, Timer::Lagging);
        }
    }

    /// The next step.
    pub(crate) fn on_lagging(&mut self, now: Now) {
        self.topics.lagging.is_armed = false;
        if self.shared.count_of(KIND) == 0 || self.check_topics().is_err() {
            self.topics.lagging = Lagging::default();
            return;
        }
        let pause = if self.measure_some(now.wall) {
            limits::LAGGING_PAUSE
        } else {
            limits::LAGGING_EVERY
        };
        self.topics.lagging.is_armed = true;
        self.agenda.add_timer(now.time + pause, Timer::Lagging);
    }

    /// Returns whether the pass goes on.
    fn measure_some(&mut self, wall: WallTime) -> bool {
        // What is still being copied would look as if it had been read.
        if self.settings.topic_series == 0 || self.topics.cluster.loading.is_some() {
            return false;
        }
        let current = self.topics.lagging.current.take();
        let Some(mut current) = current.or_else(|| self.next_to_measure(wall)) else {
            self.end_measuring();
            return false;
        };
        self.topics.look_at_channels(&mut current);
        let lagging = &mut self.topics.lagging;
        if current.next.is_some() {
            lagging.current = Some(current);
        } else {
            lagging.last = Some(Arc::clone(&current.name));
            lagging
                .known
                .insert(current.name.clone(), current.lag(wall));
        }
        true
    }

    fn next_to_measure(&mut self, wall: WallTime) -> Option<Measuring> {
        self.topics.advance(wall);
        let last = self.topics.lagging.last.as_deref();
        let mut rest = self.shared.of_kind_after(KIND, last);
        let (name, named) = rest.find_map(|setting| {
            let named = Named::decode(setting.value.as_deref()?)?;
            Some((Arc::clone(&setting.name), named))
        })?;
        Some(self.topics.begin_measuring(name, named))
    }

    /// All names were measured: those that are no more go.
    fn end_measuring(&mut self) {
        let lagging = &mut self.topics.lagging;
        lagging.last = None;
        let shared = &self.shared;
        lagging
            .known
            .retain(|name, _| shared.value(KIND, name).is_some());
    }

    /// What was measured of named cursors.
    pub fn cursor_lags(&self) -> Lags {
        let known = &self.topics.lagging.known;
        let kept = known
            .iter()
            .filter(|(name, _)| self.shared.value(KIND, name).is_some());
        let mut lags = Lags::default();
        for (name, lag) in kept {
            if lags.first.len() < self.settings.topic_series as usize {
                lags.first.push((Arc::clone(name), *lag));
                continue;
            }
            let rest = lags.rest.get_or_insert_default();
            rest.behind = lag.behind.max(rest.behind);
            rest.is_overtaken |= lag.is_overtaken;
        }
        lags
    }
}

impl Topics {
    fn begin_measuring(&self, name: Arc<[u8]>, named: Named) -> Measuring {
        let committed = named.cursor.id();
        let mut wanted = Wanted::new(named.patterns.iter().map(|pattern| &**pattern));
        let room = Room {
            count: 1,
            bytes: u64::MAX,
            to: None,
            lost: EntryId::ZERO,
        };
        let mut oldest = None;
        let (reached, ended) =
            self.fill(
                named.cursor,
                &mut wanted,
                room,
                true,
                |told, _, _| match told {
                    Told::Entry(entry, _) => oldest = Some(entry.id),
                    Told::Unread(unread) => oldest = Some(unread.id),
                    Told::Lost(..) => {}
                },
            );
        let looked = (ended == Ended::Tired && oldest.is_none()).then(|| reached.id());
        let may_be_overtaken = self.channels.taken() > committed;
        Measuring {
            name,
            patterns: named.patterns,
            committed,
            oldest,
            looked,
            is_overtaken: false,
            next: (looked.is_some() || may_be_overtaken).then_some(0),
        }
    }

    /// Looks at some channels, if they have anything to tell.
    fn look_at_channels(&self, current: &mut Measuring) {
        let Some(from) = current.next else {
            return;
        };
        let mut wanted = Wanted::new(current.patterns.iter().map(|pattern| &**pattern));
        let some = self.channels.iter_from(from);
        let mut last = None;
        for (count, (key, channel)) in (1..).zip(some.take(limits::RETENTION_STEP)) {
            last = (count == limits::RETENTION_STEP).then_some(key);
            if wanted.above(&self.channels, key).is_none() {
                continue;
            }
            let (taken, _) = channel.taken();
            current.is_overtaken |= taken > current.committed;
            if let Some(looked) = current.looked
                && channel.entries() > 0
                && channel.newest() > looked
            {
                current.oldest = Some(looked);
            }
        }
        current.next = last.map(|key| key.number() + 1);
    }
}

impl Measuring {
    fn lag(&self, wall: WallTime) -> Lag {
        let age = |id: EntryId| Duration::from_millis(wall.0.saturating_sub(id.ms()));
        Lag {
            behind: self.oldest.map(age).unwrap_or_default(),
            is_overtaken: self.is_overtaken,
        }
    }
}
