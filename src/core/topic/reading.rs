//! TREAD, and the pages of readers that are not live.
//!
//! A page looks at a bounded number of records at a time. If that was not enough, the rest follows in the next tick, so that
//! a pattern that matches little holds nobody up.

use std::cell::Cell;
use std::sync::Arc;

use super::cluster::Postponed;
use super::command::{Addressee, Listen, Page as PageReply, Push, Read, Start, Told, TopicReply};
use super::cursor::Cursor;
use super::entries::Slot;
use super::id::EntryId;
use super::page::Given;
use super::planted::Bug;
use super::readers::{At, Kind, Next, Patience, Reader, ReaderId, Waiting, Whose};
use super::topics::Topics;
use super::wanted::Wanted;
use crate::agenda::Timer;
use crate::command::{Reply, Wait};
use crate::effect::Effect;
use crate::id::Ticket;
use crate::limits;
use crate::log::answer;
use crate::node::Node;
use crate::refusal::Refusal;
use crate::time::{Now, Time};

/// How a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// There is no more for now.
    Empty,
    /// It has what it may have.
    Full,
    /// It looked at enough records for now.
    Tired,
    /// Retention took entries that the reader has not passed: it hears of these before it gets the next one.
    Crossing,
}

/// How much a page may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) to: Option<EntryId>,
    /// The reader knows what retention took up to this id.
    pub(super) lost: EntryId,
}

/// Up to which id a reader knows of losses.
fn latest_loss(before: EntryId, told: &Told) -> EntryId {
    match told {
        Told::Lost(id, _) => before.max(id.before()),
        Told::Entry(..) | Told::Unread(_) => before,
    }
}

impl Topics {
    /// Fills a page behind a cursor. `tell` gets what is on it, with a function for the cursor behind it. One entry always
    /// fits if `is_first`.
    pub(super) fn fill(
        &self,
        cursor: Cursor,
        wanted: &mut Wanted<'_>,
        room: Room,
        is_first: bool,
        mut tell: impl FnMut(Told, u64, &dyn Fn() -> Cursor),
    ) -> (Cursor, Ended) {
        let from = cursor.id();
        let known = from.max(room.lost);
        let is_within = room.to.is_none_or(|to| known < to);
        let mut loss = self.taken_behind(known, wanted).filter(|_| is_within);
        let mut page = self.open_page(cursor);
        let (mut count, mut bytes) = (0, 0);
        // Entries that were looked at, and what those cost that were passed together.
        let (looks, passed) = (Cell::new(0), Cell::new(0));
        let mut ended = Ended::Empty;
        loop {
            let given = page.next_if(
                |origin, number| {
                    looks.set(looks.get() + 1);
                    let found = self.look(origin, number, wanted);
                    passed.set(wanted.cost());
                    found
                },
                |next| {
                    if looks.get() + passed.get() > limits::TOPIC_LOOKS {
                        ended = Ended::Tired;
                        return false;
                    }
                    let Some((origin, number, id)) = next else {
                        return true;
                    };
                    let size = self.entries.size_of(origin, number);
                    let fits = bytes + size <= room.bytes || is_first && count == 0;
                    let is_beyond = |to| id > to || self.origins.has(Bug::EndExclusive) && id == to;
                    ended = if count == room.count || !fits || room.to.is_some_and(is_beyond) {
                        Ended::Full
                    } else if loss.is_some() {
                        Ended::Crossing
                    } else {
                        return true;
                    };
                    false
                },
            );
            let Some(given) = given else {
                let cursor = || page.cursor(&self.origins);
                // What was passed in silence counts, too: the next page does not look back, and another node may give it, of
                // which retention has not come so far.
                let is_behind = ended == Ended::Crossing || from < page.reached();
                if let Some((taken, entries)) = loss.take_if(|_| is_behind) {
                    let last = room.to.map_or(taken, |to| taken.min(to));
                    tell(Told::Lost(last.after(), entries), 0, &cursor);
                }
                if ended == Ended::Crossing {
                    ended = Ended::Empty;
                    continue;
                }
                return (page.close(&self.origins), ended);
            };
            let (told, size) = self.entries.tell(&given);
            count += u64::from(matches!(given, Given::Entry { .. }));
            bytes += size;
            tell(told, size, &|| page.cursor(&self.origins));
        }
    }

    /// What retention took of the channels that a reader wants, behind its cursor: up to which id, and at most how many
    /// entries.
    fn taken_behind(&self, cursor: EntryId, wanted: &mut Wanted<'_>) -> Option<(EntryId, u64)> {
        if self.channels.taken() <= cursor {
            return None;
        }
        let mut loss: Option<(EntryId, u64)> = None;
        for (key, channel) in self.channels.iter() {
            let (taken, entries) = channel.taken();
            if taken > cursor && wanted.above(&self.channels, key).is_some() {
                let (last, all) = loss.unwrap_or_default();
                loss = Some((last.max(taken), all + entries));
            }
        }
        loss
    }

    /// Where a reader of these patterns begins.
    pub(super) fn start(&self, start: &Start, patterns: &[&[u8]]) -> Cursor {
        match start {
            Start::Cursor(cursor) => (**cursor).clone().in_epoch(None),
            Start::Now => self.now(),
            Start::Id(id) => self.at(*id),
            Start::Last(count) => self.before_last(*count, patterns),
            Start::Named(..) => panic!("a name is looked up first"),
        }
    }

    /// Before the newest `count` entries of these patterns.
    fn before_last(&self, count: u64, patterns: &[&[u8]]) -> Cursor {
        let mut wanted = Wanted::new(patterns.iter().copied());
        let mut newest = std::collections::BTreeSet::new();
        let stable = self.stable();
        let counts_all = self.origins.has(Bug::LastOfOthers);
        let count = count + u64::from(self.origins.has(Bug::LastAndOneMore));
        self.entries
            .visit_backwards((EntryId::ZERO, stable), |entry| {
                let above = wanted.above(&self.channels, entry.channel);
                let above = above.or(counts_all.then_some(EntryId::ZERO));
                if above.is_some_and(|above| above < entry.id) {
                    newest.insert(entry.id);
                    if newest.len() as u64 > count {
                        newest.pop_first();
                    }
                }
                // Whatever lies before is older than all that is kept.
                (newest.len() as u64) < count
                    || newest.first().is_some_and(|first| *first < entry.id)
            });
        newest
            .first()
            .map_or_else(|| self.now(), |first| self.at(first.before()))
    }
}

impl Node {
    pub(super) fn read_topics(
        &mut self,
        now: Now,
        ticket: Ticket,
        read: &Read<'_>,
        effects: &mut Vec<Effect>,
    ) {
        self.settle_alone(now);
        self.topics.advance(now.wall);
        if let Err(refusal) = self.check_topics() {
            return answer(ticket, Reply::Refused(refusal), effects);
        }
        if self.topics.cluster.loading.is_some() {
            return self.postpone_reader(now, ticket, Postponed::read(read), effects);
        }
        let cursor = match self.begin_reader(now, &read.start, &read.patterns, effects) {
            Ok(cursor) => cursor,
            Err(reply) => return answer(ticket, reply, effects),
        };
        let epoch = cursor.epoch();
        let patience = match read.wait {
            Wait::No => self.patience_for_order(now.time),
            Wait::AtMost(timeout) => Patience::Until(now.time + timeout),
            Wait::Forever => Patience::Forever,
        };
        let waiting = Waiting {
            whose: Whose::Client(ticket),
            count: read.count,
            bytes: read.bytes,
            to: read.to,
            meta: read.meta,
            epoch,
            patience,
            told: Vec::new(),
            taken: 0,
            full: None,
        };
        let patterns = read.patterns.iter().map(|&pattern| Arc::from(pattern));
        let kind = Kind::Waiting(Box::new(waiting));
        let id = self.topics.readers.add(
            ticket.client,
            kind,
            patterns.collect(),
            cursor.in_epoch(None),
        );
        if let Some(until) = patience.until() {
            self.agenda.add_timer(until, Timer::TopicRead(id));
        }
        self.step_reader(now.time, id, effects);
        // The others may have to be asked how far the order has come.
        self.topics.has_news |= !self.topics.cluster.members.is_empty();
        self.watch_topics(now);
    }

    /// How long a TREAD without BLOCK waits: until the order has come to what is here now, so that it sees what was
    /// acknowledged before.
    fn patience_for_order(&self, now: Time) -> Patience {
        if !self.topics.has_unread() {
            return Patience::None;
        }
        Patience::Order(
            now + self.settings.topic_stall * 3,
            self.topics.cluster.highest,
        )
    }

    /// The time of a TREAD that waits is up.
    pub(crate) fn on_topic_read_late(&mut self, id: ReaderId, effects: &mut Vec<Effect>) {
        let Some(reader) = self.topics.readers.remove(id) else {
            return;
        };
        let cursor = match reader.at {
            At::Live => self.topics.live.clone(),
            At::Behind { cursor, waits: _ } => cursor,
        };
        if let Kind::Waiting(waiting) = reader.kind {
            self.answer_read(*waiting, cursor, effects);
        }
    }

    /// Readers that are not live go on, and jobs are made of what bindings have read.
    pub(super) fn step_readers(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for _ in 0..limits::TOPIC_PAGES {
            let Some(id) = self.topics.readers.next_due() else {
                break;
            };
            self.step_reader(now.time, id, effects);
        }
        self.make_jobs(now, effects);
        if self.topics.readers.next_due().is_some() {
            self.agenda.add_timer(now.time, Timer::TopicPages);
        }
    }

    pub(crate) fn on_topic_pages(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.topics.advance(now.wall);
        self.step_readers(now, effects);
    }

    /// The next page of a reader.
    fn step_reader(&mut self, now: Time, id: ReaderId, effects: &mut Vec<Effect>) {
        let topics = &mut self.topics;
        let Some(reader) = topics.readers.get_mut(id) else {
            return;
        };
        let At::Behind { cursor, .. } = &reader.at else {
            return;
        };
        let (cursor, patterns) = (cursor.clone(), reader.patterns.clone());
        let mut wanted = Wanted::new(patterns.iter().map(|pattern| &**pattern));
        if let Kind::Waiting(waiting) = &mut reader.kind {
            let room = Room {
                count: waiting.count - waiting.told.len() as u64,
                bytes: waiting.bytes.saturating_sub(waiting.taken),
                to: waiting.to,
                lost: waiting.told.iter().fold(EntryId::ZERO, latest_loss),
            };
            let is_first = waiting.told.is_empty();
            let (mut told, mut taken) = (Vec::new(), 0);
            let (cursor, ended) =
                topics.fill(cursor, &mut wanted, room, is_first, |one, size, _| {
                    told.push(one);
                    taken += size;
                });
            return self.end_step(now, id, told, taken, cursor, ended, effects);
        }
        let exact = matches!(reader.kind, Kind::Listener(Listen::Channel, _))
            && !topics.origins.has(Bug::NameAsGlob);
        let literal = exact.then(|| patterns.clone());
        let room = Room {
            count: limits::TOPIC_PAGE_ENTRIES,
            bytes: limits::TOPIC_PAGE_BYTES,
            to: None,
            lost: EntryId::ZERO,
        };
        let client = reader.client;
        let reader = topics.readers.get(id).expect("it was just there");
        if let Some(names) = &literal {
            wanted = Wanted::exactly(names.iter().map(|name| &**name));
        }
        let (mut pushes, mut has_unread) = (0, false);
        let mut counts = topics.counts;
        let (cursor, ended) = topics.fill(cursor, &mut wanted, room, true, |told, _, cursor| {
            has_unread |= matches!(told, Told::Unread(_));
            pushes += 1;
            counts.deliver(&told);
            if let Some(push) = topics.push(reader, told, cursor) {
                effects.push(Effect::Push(client, Box::new(push)));
            }
        });
        self.topics.counts = counts;
        if ended == Ended::Empty && !has_unread {
            self.join(id, cursor);
        } else if pushes > 0 {
            topics_taken(&mut self.topics, id, cursor, client, effects);
        } else {
            self.topics.readers.move_to(id, cursor, Next::Now);
            self.agenda.add_timer(now, Timer::TopicPages);
        }
    }

    /// A TREAD has looked at a page more.
    #[expect(clippy::too_many_arguments, reason = "a page, and whose it is")]
    fn end_step(
        &mut self,
        now: Time,
        id: ReaderId,
        told: Vec<Told>,
        taken: u64,
        cursor: Cursor,
        ended: Ended,
        effects: &mut Vec<Effect>,
    ) {
        let goal = self.topics.readers.get(id).and_then(Reader::goal);
        let awaits = goal.is_some_and(|goal| self.topics.awaits_order(goal));
        let reader = self.topics.readers.get_mut(id).expect("its page was read");
        let Kind::Waiting(waiting) = &mut reader.kind else {
            panic!("{reader:?} is no TREAD");
        };
        waiting.told.extend(told);
        waiting.taken += taken;
        let has_any = !waiting.told.is_empty();
        match ended {
            Ended::Tired => {
                self.topics.readers.move_to(id, cursor, Next::Now);
                self.agenda.add_timer(now, Timer::TopicPages);
            }
            Ended::Empty if awaits => {
                self.topics.readers.move_to(id, cursor, Next::News);
            }
            Ended::Empty if !has_any && waiting.patience.waits_for_news() => {
                if waiting.to.is_some() && !self.topics.origins.has(Bug::EndPassed) {
                    // It stays behind what is beyond its end, which live readers pass.
                    self.topics.readers.move_to(id, cursor, Next::News);
                } else {
                    self.join(id, cursor);
                }
            }
            Ended::Empty | Ended::Full | Ended::Crossing => self.finish_read(id, cursor, effects),
        }
    }

    /// Answers a TREAD, or gives a binding its page.
    pub(super) fn finish_read(&mut self, id: ReaderId, cursor: Cursor, effects: &mut Vec<Effect>) {
        if let Some((name, told)) = self.topics.readers.take_page(id, &cursor) {
            let told = told.into_iter();
            let told = told.filter_map(|told| self.topics.look_again_at(told));
            let told = told.collect();
            return self.topics.page_for_binding(&name, told, cursor);
        }
        if let Some(Kind::Waiting(waiting)) = self.remove_reader(id) {
            self.answer_read(*waiting, cursor, effects);
        }
    }

    fn answer_read(&mut self, mut waiting: Waiting, cursor: Cursor, effects: &mut Vec<Effect>) {
        // It may have waited: what was flushed meanwhile is not told, what was moved lies elsewhere, and what retention took is lost
        // if it is in the log alone.
        let mut told: Vec<Told> = Vec::with_capacity(waiting.told.len());
        for one in waiting.told {
            let one = self.topics.look_again_at(one);
            if let (Some(Told::Lost(before, more)), Some(Told::Lost(last, count))) =
                (&one, told.last_mut())
            {
                (*last, *count) = ((*last).max(*before), *count + more);
            } else {
                told.extend(one);
            }
        }
        waiting.told = told;
        for told in &waiting.told {
            self.topics.counts.deliver(told);
        }
        let page = PageReply {
            cursor: cursor.in_epoch(waiting.epoch),
            told: waiting.told,
            meta: waiting.meta,
        };
        let reply = Reply::Topic(Box::new(TopicReply::Page(page)));
        if let Whose::Client(ticket) = waiting.whose {
            answer(ticket, reply, effects);
        }
    }

    /// A reader has all that there is: it goes live if it is where the live readers are.
    fn join(&mut self, id: ReaderId, cursor: Cursor) {
        let topics = &mut self.topics;
        if topics.has_news {
            // The live readers have not been given all yet.
            return topics.readers.move_to(id, cursor, Next::News);
        }
        if !topics.readers.has_live() {
            topics.live = cursor;
            return topics.readers.go_live(id);
        }
        // The live readers may have come from a node that was ahead of this one, and so may this one: neither may hear of
        // a lower id, or miss what the other has passed elsewhere.
        let is_ahead = cursor.id() > topics.live.id().max(topics.stable());
        if cursor.cut() == topics.live.cut() && !is_ahead {
            topics.live.merge(&cursor);
            topics.readers.go_live(id);
        } else {
            topics.readers.move_to(id, cursor, Next::News);
        }
    }

    /// This node leaves: it lets nobody wait.
    pub(crate) fn turn_readers_away(&mut self, effects: &mut Vec<Effect>) {
        for (id, ticket) in self.topics.readers.waiting() {
            self.remove_reader(id);
            answer(ticket, Reply::Refused(Refusal::Leaving), effects);
        }
    }

    /// A connection is over, and with it its readers.
    pub(crate) fn end_readers(&mut self, client: crate::id::ClientId) {
        self.drop_postponed(client);
        for id in self.topics.readers.of_client(client) {
            self.remove_reader(id);
        }
    }

    /// Removes a reader, and what wakes it.
    fn remove_reader(&mut self, id: ReaderId) -> Option<Kind> {
        let kind = self.topics.readers.remove(id)?.kind;
        if let Kind::Waiting(waiting) = &kind
            && let Some(until) = waiting.patience.until()
        {
            self.agenda.remove_timer(until, Timer::TopicRead(id));
        }
        Some(kind)
    }
}

impl Topics {
    /// What is to be told now: none of what a flush took.
    fn look_again_at(&self, told: Told) -> Option<Told> {
        let (origin, number, late) = match &told {
            Told::Entry(entry, late) => (entry.origin, entry.number, *late),
            Told::Unread(unread) => (unread.origin, unread.number, unread.late),
            Told::Lost(..) => return Some(told),
        };
        let Slot::Entry(entry) = self.entries.slot(origin, number) else {
            return self.without_slot(told);
        };
        let channel = self.channels.get(entry.channel);
        if entry.id <= channel.flushed() {
            return None;
        }
        match told {
            Told::Unread(_) => Some(self.entries.told(origin, number, entry).with_late(late)),
            Told::Entry(..) | Told::Lost(..) => Some(told),
        }
    }

    /// The same of what is not kept here any more: retention took it, or a flush did.
    fn without_slot(&self, told: Told) -> Option<Told> {
        let (key, id) = match &told {
            Told::Entry(entry, _) => (self.channels.find(&entry.channel), entry.id),
            Told::Unread(unread) => (Some(unread.channel), unread.id),
            Told::Lost(..) => return Some(told),
        };
        let channel = key.and_then(|key| self.channels.known(key))?;
        if id <= channel.flushed() {
            return None;
        }
        Some(match told {
            Told::Unread(_) => Told::Lost(id.after(), 1),
            Told::Entry(..) | Told::Lost(..) => told,
        })
    }

    /// What a subscription is told; nothing of a loss if it keeps no cursor.
    pub(super) fn push(
        &self,
        reader: &Reader,
        told: Told,
        cursor: &dyn Fn() -> Cursor,
    ) -> Option<Push> {
        let (to, cursor) = match &reader.kind {
            &Kind::Follower {
                number: _,
                meta,
                epoch,
            } => {
                let pattern = self.pattern_of(reader, &told);
                let cursor = cursor().in_epoch(epoch);
                (Addressee::Follower(pattern, meta), cursor.text())
            }
            Kind::Listener(Listen::Channel, _) => (Addressee::Channel, String::new()),
            Kind::Listener(Listen::Pattern, name) => {
                (Addressee::Pattern(Arc::clone(name)), String::new())
            }
            Kind::Waiting(_) => panic!("a TREAD is answered"),
        };
        let is_loss = matches!(told, Told::Lost(..));
        if is_loss && !matches!(reader.kind, Kind::Follower { .. }) {
            return None;
        }
        let cursor = Arc::from(cursor);
        Some(Push { to, told, cursor })
    }

    /// The first pattern of a reader that matches what it is told.
    fn pattern_of(&self, reader: &Reader, told: &Told) -> Arc<[u8]> {
        let channel = match told {
            Told::Entry(entry, _) => Some(&entry.channel),
            Told::Unread(unread) => match self.entries.slot(unread.origin, unread.number) {
                Slot::Entry(entry) => Some(self.channels.get(entry.channel).name()),
                Slot::End | Slot::Empty => None,
            },
            Told::Lost(..) => None,
        };
        let is_match = |pattern: &&Arc<[u8]>| {
            channel.is_none_or(|channel| {
                super::glob::matches(pattern, channel, super::glob::Case::Exact)
            })
        };
        let pattern = reader.patterns.iter().find(is_match);
        Arc::clone(pattern.unwrap_or(&reader.patterns[0]))
    }
}

/// A reader was given a page: the next one comes when its connection has taken this one.
fn topics_taken(
    topics: &mut Topics,
    id: ReaderId,
    cursor: Cursor,
    client: crate::id::ClientId,
    effects: &mut Vec<Effect>,
) {
    topics.readers.move_to(id, cursor, Next::Taken);
    effects.push(Effect::AwaitReader(client));
}
