//! Readers: each goes on from its cursor, at any node, by TREAD or TSUB.

use std::time::Duration;

use shoalmq_core::command::Wait;
use shoalmq_core::id::{ClientId, Ticket};
use shoalmq_core::topic::{Cursor, Push, Start, TopicPage};

use super::line::{Begin, Line};
use super::plan::PATTERNS;
use super::starting::{Jump, Manner, To};
use super::{ReaderIndex, TopicAsk, TopicPurpose, TopicStep};
use crate::client::Step;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND};

/// The most entries of one answer.
const READ_MAX: u64 = shoalmq_core::topic::READ_MAX;
/// Older cursors that a reader keeps.
const KEPT: usize = 6;

/// Somebody who reads.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) line: Line,
    /// Where it was, at some moments.
    pub(super) older: Vec<Line>,
    /// Always here, or anywhere.
    pub(super) home: Option<HostIndex>,
    pub(super) mode: Mode,
    pub(super) manner: Manner,
    /// It begins somewhere else than at its cursor, and has not been answered yet.
    pub(super) jump: Option<Jump>,
    /// TO of the TREAD that it waits for.
    pub(super) to: Option<To>,
    /// Its own chance, if what it does is not to move what the others do.
    pub(super) dice: Option<Dice>,
}

/// What a reader does.
#[derive(Debug)]
pub(super) enum Mode {
    /// Nothing, until it goes on.
    Idle,
    /// It waits for the answer to TREAD.
    Reading,
    /// It has a subscription, or waits for it.
    Following(Following),
}

/// How far a subscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// TSUB is not answered yet: what is pushed comes behind that.
    Asked,
    /// It is on.
    On,
    /// TUNSUB was sent.
    Ends,
}

/// A subscription.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) client: ClientId,
    pub(super) host: HostIndex,
    pub(super) stage: Stage,
    /// What the connection was given and has not taken, and when.
    pub(super) mail: Vec<(Micros, Push)>,
    /// The node wants to hear when all is taken.
    pub(super) is_awaited: bool,
    /// The node has heard, or will, that less is taken than comes.
    pub(super) is_slow: bool,
    /// It is about to take what there is.
    pub(super) takes: bool,
}

impl Reader {
    pub(super) fn new(begin: Begin, patterns: &'static [&'static str]) -> Self {
        Reader {
            line: Line::new(begin, patterns),
            older: Vec::new(),
            home: None,
            mode: Mode::Idle,
            manner: Manner::Plain,
            jump: None,
            to: None,
            dice: None,
        }
    }

    /// One that reads all there is at one node.
    pub(super) fn at(home: HostIndex) -> Self {
        Reader {
            home: Some(home),
            ..Reader::new(Begin::Oldest, PATTERNS[0])
        }
    }

    pub(super) fn following(&mut self, client: ClientId) -> Option<&mut Following> {
        match &mut self.mode {
            Mode::Following(following) if following.client == client => Some(following),
            Mode::Following(_) | Mode::Reading | Mode::Idle => None,
        }
    }

    /// Whether it begins again after all faults are over: it reads all there is at one node, or from where a name is.
    pub(super) fn replays(&self) -> bool {
        self.home.is_some() || matches!(self.manner, Manner::Named(_))
    }

    fn start(&self) -> Start {
        if let Some(jump) = &self.jump {
            return jump.start();
        }
        match (self.line.parsed(), self.line.begin) {
            (Some(cursor), _) => Start::Cursor(Box::new(cursor)),
            (None, Begin::Oldest) => Start::Cursor(Box::default()),
            (None, Begin::Now) => Start::Now,
        }
    }
}

impl Cluster {
    pub(crate) fn begin_topics(&mut self) {
        let Some(plan) = self.plan.topics.clone() else {
            return;
        };
        let begin = crate::workload::WARM_UP;
        for step in [TopicStep::Publish, TopicStep::Flush, TopicStep::Retain] {
            self.at(begin, Happening::Client(Step::Topic(step)));
        }
        self.begin_binding();
        for number in 0..plan.readers {
            let dice = &mut self.topic_dice;
            let begins = dice.weighted(&[(70, Begin::Oldest), (30, Begin::Now)]);
            let patterns = dice.pick(&PATTERNS);
            let wait = dice.below(8 * SECOND);
            self.topics.readers.push(Reader::new(begins, patterns));
            let go = Step::Topic(TopicStep::Go(number));
            self.at(begin + wait, Happening::Client(go));
        }
        self.begin_others(&plan);
    }

    /// What decides about a reader.
    pub(super) fn dice_of(&mut self, index: ReaderIndex) -> &mut Dice {
        let own = self.topics.readers[index].dice.as_mut();
        own.unwrap_or(&mut self.topic_dice)
    }

    pub(super) fn go_after(&mut self, reader: ReaderIndex, wait: Micros) {
        self.after(wait, Happening::Client(Step::Topic(TopicStep::Go(reader))));
    }

    pub(super) fn reader_goes(&mut self, index: ReaderIndex) {
        let reader = &self.topics.readers[index];
        if !matches!(reader.mode, Mode::Idle) {
            return;
        }
        let host = match reader.home {
            Some(home) => Some(home).filter(|&home| self.hosts[home].serves()),
            None => self.any_host_for(index),
        };
        let Some(host) = host else {
            return self.go_after(index, 300 * MS);
        };
        if self.topics.readers[index].manner != Manner::Plain {
            return self.other_goes(index, host);
        }
        let following = self.plan.topics.as_ref().map_or(0, |plan| plan.following);
        let reader = &mut self.topics.readers[index];
        let dice = &mut self.topic_dice;
        if !self.workload.peace && !reader.older.is_empty() && dice.percent(4) {
            let back = dice.below(reader.older.len() as u64) as usize;
            reader.older.truncate(back + 1);
            reader.line = reader.older[back].clone();
        }
        if reader.home.is_none() && dice.percent(following) {
            self.follow(index, host);
        } else {
            self.read(index, host);
        }
    }

    pub(super) fn read(&mut self, index: ReaderIndex, host: HostIndex) {
        self.topics.readers[index].mode = Mode::Reading;
        let takes_all = self.topics.readers[index].takes_all();
        let dice = self.dice_of(index);
        let wait = match dice.below(20) {
            0..10 => Wait::No,
            10..19 => Wait::AtMost(Duration::from_millis(dice.between(1, 3000))),
            _ => Wait::Forever,
        };
        let (count, bytes) = (
            dice.pick(&[1, 3, 20, 100, 1000]),
            dice.pick(&[1, 300, 1 << 20]),
        );
        let hangs_up = match wait {
            Wait::Forever => Some(dice.between(1, 8) * SECOND),
            Wait::AtMost(_) | Wait::No => dice.percent(8).then(|| dice.below(SECOND)),
        };
        let reader = &self.topics.readers[index];
        let ask = TopicAsk::Read {
            start: reader.start(),
            patterns: reader.line.patterns(),
            to: reader.to.map(|to| to.id),
            count: if takes_all { READ_MAX } else { count },
            bytes: if takes_all { u64::MAX } else { bytes },
            wait,
        };
        let ticket = self.ask_topic(host, TopicPurpose::Read(index), ask);
        // Nobody waits for ever for a node that is gone, or cut off.
        let hangs_up = hangs_up.unwrap_or(4 * SECOND);
        self.after(hangs_up, Happening::Client(Step::HangUp(ticket)));
    }

    /// TREAD is answered.
    pub(super) fn page_read(
        &mut self,
        host: HostIndex,
        index: ReaderIndex,
        page: &TopicPage,
        given: Micros,
    ) {
        let reader = &mut self.topics.readers[index];
        reader.mode = Mode::Idle;
        let is_empty = page.told.is_empty();
        let jump = self.land(host, index, &page.cursor);
        for told in &page.told {
            self.tell(host, index, told, given);
        }
        self.move_cursor(index, &page.cursor.text());
        self.check_page(host, index, page, jump.as_ref());
        let dice = self.dice_of(index);
        let wait = if is_empty {
            dice.between(5, 250) * MS
        } else {
            dice.between(0, 40) * MS
        };
        let wait = wait + self.after_reading(index);
        self.go_after(index, wait);
    }

    pub(super) fn tell(
        &mut self,
        host: HostIndex,
        index: ReaderIndex,
        told: &shoalmq_core::topic::Told,
        given: Micros,
    ) {
        let synced: Vec<_> = self.hosts.iter().map(|host| host.disk.synced()).collect();
        let line = &mut self.topics.readers[index].line;
        let at = (self.now, host, given);
        self.checker.topic_told(at, index, line, told, &synced);
    }

    /// A reader is there from now on.
    pub(super) fn move_cursor(&mut self, index: ReaderIndex, text: &str) {
        let reader = &mut self.topics.readers[index];
        let now = self.now;
        self.checker
            .topic_cursor(now, index, &mut reader.line, text, self.plan.hosts);
        if self.dice_of(index).percent(10) {
            let reader = &mut self.topics.readers[index];
            if reader.older.len() == KEPT {
                reader.older.remove(0);
            }
            reader.older.push(reader.line.clone());
        }
    }

    pub(super) fn follow(&mut self, index: ReaderIndex, host: HostIndex) {
        let reader = &self.topics.readers[index];
        let ask = match reader.manner {
            Manner::Listening(listen) => {
                TopicAsk::Subscribe(listen, reader.line.patterns[0].to_owned())
            }
            Manner::Plain | Manner::Named(_) | Manner::Newest | Manner::Bounded => {
                TopicAsk::Follow {
                    start: reader.start(),
                    patterns: reader.line.patterns(),
                }
            }
        };
        // The answer may come at once.
        let client = self.next_client();
        self.topics.followers.insert(client, index);
        self.topics.readers[index].mode = Mode::Following(Following {
            client,
            host,
            stage: Stage::Asked,
            mail: Vec::new(),
            is_awaited: false,
            is_slow: false,
            takes: false,
        });
        let dice = self.dice_of(index);
        let stays = dice.weighted(&[(50, 500), (50, 6000)]) * MS;
        let stays = dice.wait(stays);
        if !self.topics.readers[index].stays() {
            let leave = TopicStep::Leave(index, client);
            self.after(stays, Happening::Client(Step::Topic(leave)));
        }
        let ticket = Ticket { client, number: 1 };
        let purpose = TopicPurpose::Follow(index);
        self.ask_topic_as(host, ticket, purpose, ask);
    }

    /// TSUB is answered.
    pub(super) fn followed(&mut self, host: HostIndex, index: ReaderIndex, cursor: &Cursor) {
        let Mode::Following(following) = &mut self.topics.readers[index].mode else {
            return;
        };
        following.stage = Stage::On;
        let client = following.client;
        self.land(host, index, cursor);
        self.move_cursor(index, &cursor.text());
        self.wake_follower(index, client, 1);
    }

    /// TUNSUB is answered, behind all that was pushed.
    pub(super) fn unfollowed(
        &mut self,
        host: HostIndex,
        index: ReaderIndex,
        ended: &[(u64, Cursor)],
    ) {
        let Mode::Following(following) = &self.topics.readers[index].mode else {
            return;
        };
        let client = following.client;
        self.take_mail(index, client);
        let [(_, cursor)] = ended else {
            let what = format!("n{host} ends {ended:?} for one subscription");
            return self.checker.violate(None, what);
        };
        self.move_cursor(index, &cursor.text());
        self.end_following(index);
        self.arrive(host, crate::host::Inbound::Disconnected(client));
    }

    /// Nothing of a reader is under way any more: it goes on somewhere, from where it is.
    pub(crate) fn reader_stops(&mut self, index: ReaderIndex) {
        self.end_following(index);
    }

    pub(super) fn end_following(&mut self, index: ReaderIndex) {
        let reader = &mut self.topics.readers[index];
        if let Mode::Following(following) = &reader.mode {
            self.topics.followers.remove(&following.client);
        }
        reader.mode = Mode::Idle;
        let wait = self.dice_of(index).between(1, 300) * MS;
        self.go_after(index, wait);
    }
}
