//! Readers of other kinds: those that read under a name, begin with LAST, or read with TO, and those that SUBSCRIBE. What
//! each of them does is drawn from dice of its own.

use shoalmq_core::topic::{Cursor, EntryId, Listen, Push, Start, Told, TopicPage};

use super::line::{Begin, Line};
use super::names::{Held, text_of};
use super::plan::{GLOBS, NAMES, PATTERNS, TopicPlan};
use super::readers::{Mode, Stage};
use super::{NameIndex, Reader, ReaderIndex, TopicAsk, TopicStep};
use crate::client::Step;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::host::Process;
use crate::schedule::{Happening, HostIndex, MS, SECOND};

/// How a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// From its own cursor.
    Plain,
    /// Under a name, now and then.
    Named(NameIndex),
    /// With LAST, now and then.
    Newest,
    /// With TO.
    Bounded,
    /// By SUBSCRIBE or PSUBSCRIBE.
    Listening(Listen),
}

/// Where a reader begins, if not at its cursor.
#[derive(Debug)]
pub(super) enum Jump {
    /// Under a name, of which the node knew this.
    Named(NameIndex, Option<(u64, Held)>),
    /// With this many of the newest entries; the node had shown these that match, from the oldest to the newest.
    Newest(u64, Vec<EntryId>),
}

/// The end of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct To {
    pub(super) id: EntryId,
    /// It is an entry that the node has shown, and that the reader wants and has not got.
    is_due: bool,
}

impl Jump {
    pub(super) fn start(&self) -> Start {
        match self {
            Jump::Named(name, _) => {
                let first = Start::Cursor(Box::default());
                Start::Named(text_of(*name).as_bytes().into(), Box::new(first))
            }
            Jump::Newest(count, _) => Start::Last(*count),
        }
    }
}

impl Reader {
    /// Its next page is to have all that there is.
    pub(super) fn takes_all(&self) -> bool {
        matches!(self.jump, Some(Jump::Newest(..))) || self.to.is_some_and(|to| to.is_due)
    }

    /// How its connection ends by command.
    pub(super) fn farewell(&self) -> TopicAsk {
        match self.manner {
            Manner::Listening(listen) => TopicAsk::Unsubscribe(listen),
            Manner::Plain | Manner::Named(_) | Manner::Newest | Manner::Bounded => {
                TopicAsk::Unfollow
            }
        }
    }

    /// In the end it must have got all. Who listens keeps no cursor: it must while it is connected.
    pub(super) fn is_due(&self) -> bool {
        let is_on = match &self.mode {
            Mode::Following(following) => following.stage == Stage::On,
            Mode::Idle | Mode::Reading => false,
        };
        is_on || !matches!(self.manner, Manner::Listening(_))
    }
}

impl Cluster {
    pub(super) fn begin_others(&mut self, plan: &TopicPlan) {
        let others = plan.others;
        let mut dice = Dice::new(self.plan.seed.wrapping_add(3 << 32));
        for _ in 0..others.names {
            self.begin_name(others.readers, others.rewind_every.is_some(), &mut dice);
        }
        for _ in 0..others.newest {
            let patterns = dice.pick(&PATTERNS);
            self.add_reader(Manner::Newest, patterns, &mut dice);
        }
        for _ in 0..others.bounded {
            let patterns = dice.pick(&PATTERNS);
            self.add_reader(Manner::Bounded, patterns, &mut dice);
        }
        for _ in 0..others.listeners {
            let listen = dice.pick(&[Listen::Channel, Listen::Pattern]);
            let names = match listen {
                Listen::Channel => dice.pick(&NAMES),
                Listen::Pattern => dice.pick(&GLOBS),
            };
            self.add_reader(Manner::Listening(listen), names, &mut dice);
        }
    }

    pub(super) fn add_reader(
        &mut self,
        manner: Manner,
        patterns: &'static [&'static str],
        dice: &mut Dice,
    ) {
        let index = self.topics.readers.len();
        self.topics.readers.push(Reader {
            manner,
            dice: Some(dice.fork()),
            ..Reader::new(Begin::Oldest, patterns)
        });
        let at = crate::workload::WARM_UP + dice.below(8 * SECOND);
        self.at(at, Happening::Client(Step::Topic(TopicStep::Go(index))));
    }

    /// A reader of another kind goes on.
    pub(super) fn other_goes(&mut self, index: ReaderIndex, host: HostIndex) {
        let reader = &mut self.topics.readers[index];
        (reader.jump, reader.to) = (None, None);
        match reader.manner {
            Manner::Named(name) => self.named_goes(index, host, name),
            Manner::Newest => self.newest_goes(index, host),
            Manner::Bounded => {
                self.topics.readers[index].to = self.some_end(index, host);
                self.read(index, host);
            }
            Manner::Listening(_) => self.listen(index, host),
            Manner::Plain => self.read(index, host),
        }
    }

    /// A reader goes on by TREAD or TSUB.
    pub(super) fn go_on(&mut self, index: ReaderIndex, host: HostIndex) {
        if self.dice_of(index).percent(40) {
            self.follow(index, host);
        } else {
            self.read(index, host);
        }
    }

    fn newest_goes(&mut self, index: ReaderIndex, host: HostIndex) {
        let dice = self.dice_of(index);
        let (begins, count) = (dice.percent(30), dice.pick(&[1, 2, 5, 20, 200]));
        let is_new = self.topics.readers[index].line.cursor.is_none();
        if is_new || begins && !self.workload.peace {
            let shown = self.checker.topics.shown_to(host, index, &self.topics);
            self.topics.readers[index].jump = Some(Jump::Newest(count, shown));
        }
        self.go_on(index, host);
    }

    /// An end for the next page: an entry that is due, any entry, or a moment to come.
    fn some_end(&mut self, index: ReaderIndex, host: HostIndex) -> Option<To> {
        if self.workload.peace {
            return None;
        }
        let dice = self.dice_of(index);
        let (choice, number, later) = (dice.below(10), dice.next(), dice.below(800));
        let mut shown = self.checker.topics.shown_to(host, index, &self.topics);
        let newest = shown.last().copied();
        let got = &self.topics.readers[index].line.got;
        shown.retain(|id| !got.contains(id));
        let nth = (number as usize).checked_rem(shown.len().min(50));
        let (id, is_due) = match nth {
            Some(nth) if choice < 5 => (shown[nth], true),
            _ if choice < 7 => (self.checker.topics.some_id(number)?, false),
            _ if choice < 9 => (EntryId::new(newest?.ms() + later, 0), false),
            _ => return None,
        };
        Some(To { id, is_due })
    }

    /// A reader is answered, and is at this cursor, or will be behind what it is told now.
    pub(super) fn land(
        &mut self,
        host: HostIndex,
        index: ReaderIndex,
        cursor: &Cursor,
    ) -> Option<Jump> {
        let reader = &mut self.topics.readers[index];
        match reader.jump.take()? {
            Jump::Named(name, known) => {
                let line = self
                    .checker
                    .begins_at_name(self.now, host, name, known, cursor.epoch());
                self.topics.readers[index].line = line;
                None
            }
            Jump::Newest(count, shown) => {
                let patterns = reader.line.patterns;
                reader.line = self.checker.topics.newest(count, &shown, patterns);
                Some(Jump::Newest(count, shown))
            }
        }
    }

    /// A reader has got a page.
    pub(super) fn check_page(
        &mut self,
        host: HostIndex,
        index: ReaderIndex,
        page: &TopicPage,
        jump: Option<&Jump>,
    ) {
        // What a crash took of all logs may have been passed: who passed it waits until all nodes have said what they have.
        let is_new = |process: &Process| self.now < process.started + 3 * SECOND / 2;
        let mut hosts = self.hosts.iter().filter(|host| !host.removed);
        let may_wait = self.checker.topics.cut_short > 0
            && hosts.any(|host| host.process.as_ref().is_none_or(is_new));
        let reader = &mut self.topics.readers[index];
        let to = reader.to.take();
        let topics = &self.checker.topics;
        let line = &reader.line;
        let is_missing = |id: &&EntryId| !line.got.contains(id) && !topics.is_gone(**id);
        let beyond = |to: &To| {
            let is_beyond = |told: &&Told| match told {
                Told::Entry(entry, _) => entry.id > to.id,
                Told::Lost(..) | Told::Unread(_) => false,
            };
            page.told.iter().any(|told| is_beyond(&told))
        };
        let wrong = if to.as_ref().is_some_and(beyond) {
            Some("what lies behind its end".to_owned())
        } else if may_wait {
            None
        } else if let Some(To { id, is_due: true }) = to
            && is_missing(&&id)
        {
            Some(format!("no {id}, which n{host} has shown"))
        } else if jump.is_some() {
            let missing = line.must.iter().find(is_missing);
            missing.map(|id| format!("no {id}, which is among the newest"))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let (now, to) = (self.now / MS, to.map(|to| to.id));
            let what = format!(
                "at {now} ms reader {index} gets {wrong}, TO {to:?} or by {jump:?}, by n{host}: {page:?}"
            );
            self.checker.violate(None, what);
        }
    }

    /// Whether what a connection was given has a cursor.
    pub(super) fn is_for(&mut self, index: ReaderIndex, push: &Push) -> bool {
        match self.topics.readers[index].manner {
            Manner::Listening(listen) => {
                self.check_listened(index, listen, push);
                false
            }
            Manner::Plain | Manner::Named(_) | Manner::Newest | Manner::Bounded => true,
        }
    }

    /// What a reader does behind a page. Returns how much later it reads the next one.
    pub(super) fn after_reading(&mut self, index: ReaderIndex) -> u64 {
        self.commit_sometimes(index);
        self.pause_between_pages(index)
    }
}

impl super::checker::Ledger {
    /// What a node has shown in order since it started, of what a reader wants, and what is not gone.
    fn shown_to(
        &self,
        host: HostIndex,
        index: ReaderIndex,
        clients: &super::Clients,
    ) -> Vec<EntryId> {
        let line = &clients.readers[index].line;
        let shown = self.shown.get(&host).into_iter().flatten();
        let is_wanted = |id: &&EntryId| self.is_wanted(**id, line) && !self.is_gone(**id);
        shown.filter(is_wanted).copied().collect()
    }

    fn is_wanted(&self, id: EntryId, line: &Line) -> bool {
        let kept = self.entries.get(&id);
        kept.is_some_and(|kept| line.wants(kept.channel))
    }

    /// Whether somebody flushed it, or a rule may have taken it.
    fn is_gone(&self, id: EntryId) -> bool {
        let kept = self.entries.get(&id);
        kept.is_none_or(|kept| self.is_flushed(id, kept.channel) || self.is_ruled(kept.channel))
    }

    /// The line of a reader that begins with the newest entries, where a node had shown these.
    fn newest(&self, count: u64, shown: &[EntryId], patterns: &'static [&'static str]) -> Line {
        let mut line = Line::new(Begin::Now, patterns);
        let count = count as usize;
        let shown: Vec<EntryId> = shown
            .iter()
            .copied()
            .filter(|id| !self.is_gone(*id))
            .collect();
        if let Some(first) = shown.len().checked_sub(count) {
            line.floor = shown[first];
        }
        let wanted = self.entries.keys().rev();
        let wanted = wanted.filter(|id| self.is_wanted(**id, &line));
        let newest: Vec<EntryId> = wanted.take(count).copied().collect();
        if let Some(oldest) = newest.last() {
            line.must = shown.into_iter().filter(|id| id >= oldest).collect();
        }
        line
    }
}
