//! Readers of named cursors. They read under the name at any node, or from the cursor that TCURSOR tells them, and commit
//! now and then, at the same node or another. Somebody sets a name elsewhere.

use shoalmq_core::command::Refusal;
use shoalmq_core::topic::{NamedView, Start};

use super::line::{Begin, Line};
use super::names::text_of;
use super::plan::PATTERNS;
use super::readers::Mode;
use super::starting::{Jump, Manner};
use super::{CommitIndex, NameIndex, ReaderIndex, TopicAsk, TopicPurpose, TopicStep};
use crate::client::Step;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::schedule::{Happening, HostIndex, MS, SECOND};

/// How often somebody sets a name where nobody does, for the chance of its readers.
const NEVER: u64 = 1000 * SECOND;

impl Cluster {
    /// A name with its readers.
    pub(super) fn begin_name(&mut self, readers: usize, rewinds: bool, dice: &mut Dice) {
        let name = self.checker.topics.names.len();
        let patterns = dice.pick(&PATTERNS);
        self.checker
            .topics
            .names
            .push(super::names::Name::new(patterns));
        for _ in 0..readers {
            self.add_reader(Manner::Named(name), patterns, dice);
        }
        if rewinds {
            let at = crate::workload::WARM_UP + dice.below(8 * SECOND);
            self.at(at, Happening::Client(Step::Topic(TopicStep::Rewind(name))));
        }
    }

    /// The reader goes on where it is, or begins again where the name is.
    pub(super) fn named_goes(&mut self, index: ReaderIndex, host: HostIndex, name: NameIndex) {
        let is_new = self.topics.readers[index].line.cursor.is_none();
        let ends = self.topics.ends;
        let choice = self.dice_of(index).below(4);
        let known = self.checker.topics.names[name].at(host);
        let reader = &mut self.topics.readers[index];
        if !is_new && (ends || choice == 2) {
            return self.go_on(index, host);
        }
        reader.jump = Some(Jump::Named(name, known));
        if choice < 3 {
            return self.go_on(index, host);
        }
        reader.mode = Mode::Reading;
        let ask = TopicAsk::Look(text_of(name));
        let ticket = self.ask_topic(host, TopicPurpose::Look(index), ask);
        self.after(4 * SECOND, Happening::Client(Step::HangUp(ticket)));
    }

    /// TCURSOR is answered: the reader goes on from there.
    pub(super) fn looked(&mut self, host: HostIndex, index: ReaderIndex, view: Option<&NamedView>) {
        let reader = &mut self.topics.readers[index];
        let Some(Jump::Named(name, known)) = reader.jump.take() else {
            return self.reader_stops(index);
        };
        if let Some(view) = view {
            let epoch = view.cursor.epoch();
            let line = self
                .checker
                .begins_at_name(self.now, host, name, known, epoch);
            self.topics.readers[index].line = line;
            self.move_cursor(index, &view.cursor.text());
        } else if known.is_some() {
            let what = format!("n{host} knows nothing of name {name} any more");
            self.checker.violate(None, what);
        }
        self.reader_stops(index);
    }

    /// A reader may commit what it has read, or what it had read before.
    pub(super) fn commit_sometimes(&mut self, index: ReaderIndex) {
        let Manner::Named(name) = self.topics.readers[index].manner else {
            return;
        };
        let dice = self.dice_of(index);
        let (commits, is_old, nth) = (dice.percent(50), dice.percent(15), dice.next());
        let host = self.any_host_for(index);
        let reader = &self.topics.readers[index];
        let older = (nth as usize).checked_rem(reader.older.len());
        let line = match older.filter(|_| is_old) {
            Some(at) => &reader.older[at],
            None => &reader.line,
        };
        let Some((host, cursor)) = host.zip(line.parsed()).filter(|_| commits) else {
            return;
        };
        let number = self.checker.topics.names[name].commits(self.now, host, line);
        let ask = TopicAsk::Commit(text_of(name), Box::new(cursor));
        let ticket = self.ask_topic(host, TopicPurpose::Commit(name, number), ask);
        self.after(4 * SECOND, Happening::Client(Step::HangUp(ticket)));
    }

    pub(super) fn commit_refused(
        &mut self,
        host: HostIndex,
        name: NameIndex,
        number: CommitIndex,
        refusal: Refusal,
    ) {
        self.checker
            .not_committed(self.now, host, name, number, refusal);
    }

    /// Somebody sets a name to its beginning, to now, or to where one of its readers was.
    pub(super) fn rewind(&mut self, name: NameIndex) {
        let others = self.plan.topics.as_ref().map(|plan| plan.others);
        let every = others.and_then(|others| others.rewind_every);
        if self.workload.peace {
            return;
        }
        let is_one = |reader: &super::Reader| reader.manner == Manner::Named(name);
        let index = self.topics.readers.iter().position(is_one);
        let index = index.expect("a name has a reader");
        let wait = self.dice_of(index).wait(every.unwrap_or(NEVER));
        self.after(
            wait,
            Happening::Client(Step::Topic(TopicStep::Rewind(name))),
        );
        if self.checker.topics.names[name].rewind.is_some() {
            return;
        }
        let Some(host) = self.any_host_for(index) else {
            return;
        };
        let (choice, nth) = (self.dice_of(index).below(3), self.dice_of(index).next());
        let reader = &self.topics.readers[index];
        let older = (nth as usize).checked_rem(reader.older.len());
        let older = older.filter(|_| choice == 0).map(|at| &reader.older[at]);
        let place = older.and_then(|line| Some((line.clone(), line.parsed()?)));
        let patterns = reader.line.patterns;
        let (line, start) = match place {
            Some((line, cursor)) => (line, Start::Cursor(Box::new(cursor))),
            None if choice == 1 => (Line::new(Begin::Now, patterns), Start::Now),
            None => (
                Line::new(Begin::Oldest, patterns),
                Start::Cursor(Box::default()),
            ),
        };
        let ledger = &mut self.checker.topics.names[name];
        (ledger.rewind, ledger.is_rewound) = (Some(line), false);
        let ask = TopicAsk::Rewind(text_of(name), start);
        self.ask_topic(host, TopicPurpose::Rewind(name), ask);
    }

    /// TCURSOR SET was answered with OK.
    pub(super) fn set_elsewhere(&mut self, host: HostIndex, name: NameIndex) {
        if !self.checker.topics.names[name].is_rewound {
            let now = self.now / MS;
            let what = format!(
                "at {now} ms n{host} answers TCURSOR SET of name {name}, and keeps nothing"
            );
            self.checker.violate(None, what);
        }
        self.rewound(name);
    }

    /// TCURSOR SET is over.
    pub(super) fn rewound(&mut self, name: NameIndex) {
        self.checker.topics.names[name].rewind = None;
    }

    /// How much later a reader of a name reads its next page.
    pub(super) fn pause_between_pages(&mut self, index: ReaderIndex) -> u64 {
        let is_named = matches!(self.topics.readers[index].manner, Manner::Named(_));
        if !is_named || self.workload.peace {
            return 0;
        }
        self.dice_of(index).between(50, 500) * MS
    }
}
