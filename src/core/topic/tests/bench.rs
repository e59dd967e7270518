//! One node that serves topics, with a log in memory: tests drive it as a server does.

use crate::command::{Command, Reply, Wait};
use crate::effect::Effect;
use crate::event::Event;
use crate::extras::Extras;
use crate::id::{ClientId, NodeId, Ticket};
use crate::log::{Reload, Restore, Start as Begin};
use crate::node::{Log, Node, Settings, Sync};
use crate::record::{Location, Record, Segment, Stream};
use crate::refusal::Refusal;
use crate::time::{Now, Time, WallTime};
use crate::topic::{
    Before, Cursor, EntryId, Follow, Origin, Publish, Push, Read, Start, Told, TopicCommand,
    TopicRecord, TopicReply, Unread,
};

/// When tests begin.
pub(super) const WALL: u64 = 1_790_000_000_000;

/// What a command is answered.
pub(super) type Answer = Result<TopicReply, Refusal>;

pub(super) struct Bench {
    pub(super) node: Node,
    settings: Settings,
    now: Now,
    /// All records, in the order of writing.
    log: Vec<(Location, Record)>,
    segments: [Segment; 2],
    number: u64,
    pub(super) replies: Vec<(Ticket, Answer)>,
    /// What connections were told, with what was in the log alone read.
    pub(super) pushes: Vec<(ClientId, Push)>,
    /// Connections of which it is to be told when they have taken that.
    pub(super) awaited: Vec<ClientId>,
    recorded: Vec<(Origin, u64, Location)>,
    fetched: Vec<Vec<Told>>,
    /// What is to be recorded again cannot be read.
    pub(super) is_failing: bool,
    /// What may be on disk under `always`.
    unsafe_records: Vec<(Origin, u64)>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Bench::with(|settings| settings.log = Log::On)
    }

    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let time = Time::from_millis(WALL);
        let mut bench = Bench {
            node: Node::new(NodeId::from_bytes([7; 20]), settings, time, [1; 32]),
            settings,
            now: Now {
                time,
                wall: WallTime(WALL),
            },
            log: Vec::new(),
            segments: [1, 1],
            number: 0,
            replies: Vec::new(),
            pushes: Vec::new(),
            awaited: Vec::new(),
            recorded: Vec::new(),
            fetched: Vec::new(),
            is_failing: false,
            unsafe_records: Vec::new(),
        };
        if settings.log == Log::On {
            bench.restart();
        }
        bench
    }

    /// Stops without a word, and starts again from what was recorded.
    pub(super) fn restart(&mut self) {
        self.advance(1000);
        let id = NodeId::from_bytes([7; 20]);
        let mut restore = Restore::new(id, self.settings, [2; 32]);
        let streams = [Stream::Jobs, Stream::Topics];
        for stream in streams {
            let those = self
                .log
                .iter()
                .filter(|(_, record)| record.stream() == stream);
            those.for_each(|(at, record)| restore.apply(*at, record.clone()));
        }
        self.segments = self.segments.map(|segment| segment + 1);
        let start = Begin {
            now: self.now,
            generation: 1,
            segment: self.segments[0],
            topic_segment: self.segments[1],
            reload: Reload::Active,
        };
        let mut effects = Vec::new();
        self.node = restore.finish(start, &mut effects);
        self.carry_out(effects);
        self.settle();
    }

    /// The same, without the last records of topics: they were on no disk.
    pub(super) fn crash(&mut self, lost: usize) {
        for _ in 0..lost {
            let is_topic = |(_, record): &(Location, Record)| record.stream() == Stream::Topics;
            let newest = self.log.iter().rposition(is_topic);
            self.log.remove(newest.expect("there are records"));
        }
        self.restart();
    }

    /// Both clocks go on; a tick exactly at every deadline.
    pub(super) fn advance(&mut self, ms: u64) {
        let end = self.now.time + std::time::Duration::from_millis(ms);
        loop {
            let next = self.node.deadline().min(end).max(self.now.time);
            let passed = next.since(self.now.time).as_millis() as u64;
            self.now.time = next;
            self.now.wall.0 += passed;
            if self.node.deadline() > next {
                return;
            }
            self.feed(Event::Tick);
            self.settle();
        }
    }

    pub(super) fn wall(&self) -> u64 {
        self.now.wall.0
    }

    pub(super) fn feed(&mut self, event: Event<'_>) {
        let mut effects = Vec::new();
        self.node.handle(self.now, event, &mut effects);
        self.carry_out(effects);
    }

    /// Runs a command as a batch of its own. Returns its answer, if it has one already.
    pub(super) fn ask(&mut self, client: u64, command: TopicCommand<'_>) -> Option<Answer> {
        let ticket = self.send(client, command);
        self.settle();
        self.answer(ticket)
    }

    /// Runs a command within a batch.
    pub(super) fn send(&mut self, client: u64, command: TopicCommand<'_>) -> Ticket {
        self.number += 1;
        let ticket = Ticket {
            client: ClientId(client),
            number: self.number,
        };
        self.feed(Event::Command(ticket, Command::Topic(Box::new(command))));
        ticket
    }

    pub(super) fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        let at = self.replies.iter().position(|(own, _)| *own == ticket)?;
        Some(self.replies.remove(at).1)
    }

    /// Ends a batch as a server does.
    pub(super) fn settle(&mut self) {
        let recorded = std::mem::take(&mut self.recorded);
        if !recorded.is_empty() {
            self.feed(Event::EntriesRecorded(&recorded));
        }
        while self.node.owes_readers() {
            self.feed(Event::Deliver);
        }
        for told in std::mem::take(&mut self.fetched) {
            self.feed(Event::EntriesFetched(told));
            self.settle();
        }
    }

    /// Bytes of the log of topics, as the node counts them.
    pub(super) fn log_bytes(&self) -> u64 {
        let those = self.log.iter();
        let sizes = those.filter(|(_, record)| record.stream() == Stream::Topics);
        sizes.map(|(_, record)| record.size()).sum()
    }

    /// All that was recorded is on disk.
    pub(super) fn sync(&mut self) {
        let records = std::mem::take(&mut self.unsafe_records);
        self.feed(Event::TopicsSafe(&records));
        self.settle();
    }

    /// Records go to a new segment.
    pub(super) fn roll(&mut self) {
        self.segments[1] += 1;
        let segment = self.segments[1];
        self.feed(Event::SegmentStarted(Stream::Topics, segment));
        self.settle();
    }

    /// The segments of topics that are there.
    pub(super) fn kept(&self) -> Vec<Segment> {
        let records = self.log.iter();
        let mut kept: Vec<Segment> = records
            .filter(|(_, record)| record.stream() == Stream::Topics)
            .map(|(at, _)| at.segment)
            .collect();
        kept.dedup();
        kept
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(record, _) => self.record(record),
                Effect::Reply(ticket, reply, _) => {
                    let answer = self.read_reply(reply);
                    self.replies.push((ticket, answer));
                }
                Effect::Push(client, mut push) => {
                    if let Told::Unread(unread) = push.told {
                        push.told = self.read(&unread);
                    }
                    self.pushes.push((client, *push));
                }
                Effect::FetchEntries(mut told) => {
                    for one in &mut told {
                        if let Told::Unread(unread) = one {
                            *one = if self.is_failing {
                                Told::Lost(unread.id, 1)
                            } else {
                                self.read(unread)
                            };
                        }
                    }
                    self.fetched.push(told);
                }
                Effect::AwaitReader(client) => self.awaited.push(client),
                Effect::Retire(stream, below) => self
                    .log
                    .retain(|(at, record)| record.stream() != stream || at.segment >= below),
                Effect::Send(..) | Effect::Fetch(..) => panic!("{effect:?}: topics alone are here"),
            }
        }
    }

    fn record(&mut self, record: Record) {
        let segment = self.segments[usize::from(record.stream() == Stream::Topics)];
        let at = Location::new(segment, self.log.len() as u64);
        if let Record::Topic(TopicRecord::Entry(entry)) = &record {
            self.recorded.push((entry.origin, entry.number, at));
            self.unsafe_records.push((entry.origin, entry.number));
        }
        if let Record::Topic(TopicRecord::End { origin, number, .. }) = &record {
            self.unsafe_records.push((*origin, *number));
        }
        self.log.push((at, record));
    }

    fn read_reply(&self, reply: Reply) -> Answer {
        let mut reply = match reply {
            Reply::Topic(reply) => *reply,
            Reply::Refused(refusal) => return Err(refusal),
            other => panic!("{other:?} answers no command on topics"),
        };
        if let TopicReply::Page(page) = &mut reply {
            for told in &mut page.told {
                if let Told::Unread(unread) = told {
                    *told = self.read(unread);
                }
            }
        }
        Ok(reply)
    }

    fn read(&self, unread: &Unread) -> Told {
        let found = self.log.iter().find(|(at, _)| *at == unread.place);
        match found {
            Some((_, Record::Topic(TopicRecord::Entry(entry))))
                if (entry.origin, entry.number) == (unread.origin, unread.number) =>
            {
                Told::Entry(entry.clone(), unread.late)
            }
            other => panic!("{unread:?} is not there, but {other:?}"),
        }
    }

    pub(super) fn publish(&mut self, channel: &str, body: &str) -> EntryId {
        match self.ask(1, publish(channel, body)) {
            Some(Ok(TopicReply::Published(id))) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Reads a page, and returns the bodies and the cursor.
    pub(super) fn read_from(
        &mut self,
        start: Start,
        pattern: &str,
        count: u64,
    ) -> (Vec<String>, Cursor) {
        match self.ask(2, read(start, pattern, count, Wait::No)) {
            Some(Ok(TopicReply::Page(page))) => {
                (page.told.iter().map(shown).collect(), page.cursor)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Reads page after page, to the end.
    pub(super) fn read_all(&mut self, pattern: &str) -> Vec<String> {
        let (mut start, mut all) = (Start::Cursor(Box::default()), Vec::new());
        loop {
            let (page, cursor) = self.read_from(start, pattern, 10_000);
            if page.is_empty() {
                return all;
            }
            all.extend(page);
            start = Start::Cursor(Box::new(cursor));
        }
    }

    pub(super) fn follow(&mut self, client: u64, start: Start, pattern: &str) {
        let patterns = vec![pattern.as_bytes()];
        let follow = Follow {
            start,
            patterns,
            meta: false,
        };
        let reply = self.ask(client, TopicCommand::Follow(follow));
        assert!(matches!(reply, Some(Ok(TopicReply::Followed(..)))));
    }

    /// The bodies that a connection was given since the last time.
    pub(super) fn told(&mut self, client: u64) -> Vec<String> {
        let client = ClientId(client);
        let pushes = std::mem::take(&mut self.pushes);
        let (own, others) = pushes.into_iter().partition(|(to, _)| *to == client);
        self.pushes = others;
        let own: Vec<(ClientId, Push)> = own;
        own.iter().map(|(_, push)| shown(&push.told)).collect()
    }

    /// Connections take what they are given, until there is no more.
    pub(super) fn drain(&mut self) {
        while let Some(client) = self.awaited.pop() {
            self.feed(Event::ReaderReady(client));
            self.settle();
        }
    }

    pub(super) fn count(&mut self, command: TopicCommand<'_>) -> u64 {
        match self.ask(1, command) {
            Some(Ok(TopicReply::Count(count))) => count,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn flush(&mut self, pattern: &str, before: Before) -> u64 {
        let pattern = pattern.as_bytes();
        self.count(TopicCommand::Flush { pattern, before })
    }
}

pub(super) fn publish<'a>(channel: &'a str, body: &'a str) -> TopicCommand<'a> {
    TopicCommand::Publish(Publish {
        channel: channel.as_bytes(),
        body: body.as_bytes(),
        replicate: None,
        timeout: None,
        is_async: false,
        dedup: None,
        extras: Extras::NONE,
    })
}

pub(super) fn read(start: Start, pattern: &str, count: u64, wait: Wait) -> TopicCommand<'_> {
    TopicCommand::Read(Read {
        start,
        patterns: vec![pattern.as_bytes()],
        to: None,
        count,
        bytes: 1 << 20,
        wait,
        meta: false,
    })
}

/// A body, or what stands for it.
pub(super) fn shown(told: &Told) -> String {
    match told {
        Told::Entry(entry, late) => {
            let body = String::from_utf8_lossy(entry.body.as_bytes()).into_owned();
            if *late { format!("{body} late") } else { body }
        }
        Told::Lost(_, count) => format!("lost {count}"),
        Told::Unread(unread) => panic!("{unread:?} was not read"),
    }
}

/// The settings of `appendfsync always`.
pub(super) fn always(settings: &mut Settings) {
    (settings.log, settings.sync) = (Log::On, Sync::First);
}

/// Before the first entry.
pub(super) fn zero() -> Start {
    Start::Cursor(Box::default())
}

/// Bodies that are these numbers.
pub(super) fn bodies(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Publishes them.
pub(super) fn publish_all(bench: &mut Bench, channel: &str, range: std::ops::Range<u32>) {
    for body in bodies(range) {
        bench.publish(channel, &body);
    }
}
