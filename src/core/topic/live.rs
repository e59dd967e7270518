//! What live readers are given: one walk over what is new, for all of them.
//!
//! The walk comes after a batch of commands or messages. It goes from the live cursor to the end of what may be read, and
//! gives each entry to all live readers whose patterns match. So the cursor behind an entry is the same for all of them, and
//! is written once.

use std::sync::Arc;

use super::command::{Addressee, Listen, Push, Told};
use super::cursor::Cursor;
use super::entries::Runs;
use super::origins::Origins;
use super::page::Page;
use super::planted::Bug;
use super::readers::{Kind, Reader, ReaderId, Waiting};
use super::topics::{Topics, look};
use crate::effect::Effect;
use crate::id::ClientId;
use crate::node::{Log, Node};
use crate::time::Now;

impl Node {
    /// Whether readers are to be given what is new.
    pub fn owes_readers(&self) -> bool {
        self.topics.has_news
    }

    /// A batch is over: readers are given what is new.
    pub(crate) fn on_deliver(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !std::mem::take(&mut self.topics.has_news) {
            return;
        }
        self.go_on_topics(now, effects);
        self.go_on_bindings(now, effects);
        self.topics.readers.wake();
        if self.topics.channels.taken() > self.topics.live.id() {
            // Readers that are not live are told what retention took before they read it.
            let live = self.topics.live.clone();
            self.topics.readers.leave_live(&live);
        }
        if self.topics.readers.has_live() {
            let full = self.topics.walk(effects);
            for (id, cursor) in full {
                self.finish_read(id, cursor, effects);
            }
        }
        if self.settings.log == Log::On {
            let most = self.settings.topic_cache();
            self.topics.entries.forget_recent(most);
        }
        self.step_readers(now, effects);
    }

    /// A connection takes less than its live readers are given.
    pub(crate) fn on_reader_slow(&mut self, client: ClientId) {
        let live = self.topics.live.clone();
        self.topics.readers.slow(client, &live);
    }

    /// A connection has taken what its readers were given.
    pub(crate) fn on_reader_ready(
        &mut self,
        now: Now,
        client: ClientId,
        effects: &mut Vec<Effect>,
    ) {
        self.topics.readers.ready(client);
        self.topics.advance(now.wall);
        if self.topics.origins.has(Bug::ListenerSkips) {
            let now = self.topics.now();
            self.topics.readers.skip(client, &now);
        }
        self.step_readers(now, effects);
    }
}

impl Topics {
    /// Gives all live readers what is new. Returns the TREADs that have something now, and their cursors.
    fn walk(&mut self, effects: &mut Vec<Effect>) -> Vec<(ReaderId, Cursor)> {
        let mut page = self.open_page(self.live.clone());
        let (mut found, mut served) = (Vec::new(), Vec::new());
        let mut is_cold = false;
        let mut runs = Runs::default();
        let counts = &mut self.counts;
        loop {
            let (entries, channels, readers) = (&self.entries, &self.channels, &mut self.readers);
            let given = page.next_if(
                |origin, number| {
                    look(entries, &self.origins, (origin, number), &mut runs, |key| {
                        let channel = channels.known(key)?;
                        readers.matching(channel.name(), &mut found);
                        (!found.is_empty()).then(|| channel.floor())
                    })
                },
                |next| {
                    is_cold = next.is_some_and(|(o, n, _)| entries.recent(o, n).is_none());
                    !is_cold
                },
            );
            let Some(given) = given else {
                break;
            };
            let (told, size) = entries.tell(&given);
            match &told {
                Told::Entry(entry, _) => readers.matching(&entry.channel, &mut found),
                Told::Lost(..) => readers.live(&mut found),
                Told::Unread(_) => panic!("what left memory is not given to live readers"),
            }
            let mut behind = Behind {
                page: &page,
                origins: &self.origins,
                cursor: None,
            };
            for &(id, pattern) in &found {
                let Some(reader) = readers.live_mut(id) else {
                    continue;
                };
                match give(reader, pattern, &told, size, &mut behind, effects) {
                    Taken::Pushed => counts.deliver(&told),
                    Taken::Kept => served.push(id),
                    Taken::Nothing => {}
                }
            }
        }
        self.live = page.close(&self.origins);
        if is_cold {
            // It settled late: each reader reads it by itself.
            self.readers.leave_live(&self.live);
        }
        self.served(served)
    }

    /// The TREADs among these that have something, and the cursors behind that.
    fn served(&mut self, mut served: Vec<ReaderId>) -> Vec<(ReaderId, Cursor)> {
        served.sort_unstable();
        served.dedup();
        let mut answers = Vec::new();
        for id in served {
            if let Some(Reader {
                kind: Kind::Waiting(waiting),
                ..
            }) = self.readers.get_mut(id)
            {
                let cursor = waiting.full.take();
                answers.push((id, cursor.unwrap_or_else(|| self.live.clone())));
            }
        }
        answers
    }
}

/// The cursor behind an entry, and its text: written when the first reader asks.
struct Behind<'a> {
    page: &'a Page,
    origins: &'a Origins,
    cursor: Option<(Cursor, Arc<str>)>,
}

impl Behind<'_> {
    fn cursor(&mut self) -> &(Cursor, Arc<str>) {
        self.cursor.get_or_insert_with(|| {
            let cursor = self.page.cursor(self.origins);
            let text = Arc::from(cursor.text());
            (cursor, text)
        })
    }

    /// As a reader gets it that reads under a name in this epoch, or under none.
    fn text(&mut self, epoch: Option<u64>) -> Arc<str> {
        let (cursor, text) = self.cursor();
        match epoch {
            None => Arc::clone(text),
            Some(_) => Arc::from(cursor.clone().in_epoch(epoch).text()),
        }
    }
}

/// What became of what a live reader was given.
enum Taken {
    /// Its connection is told.
    Pushed,
    /// It is a TREAD, which has something now.
    Kept,
    /// The reader does not want it.
    Nothing,
}

/// Gives something to a live reader.
fn give(
    reader: &mut Reader,
    pattern: usize,
    told: &Told,
    size: u64,
    behind: &mut Behind<'_>,
    effects: &mut Vec<Effect>,
) -> Taken {
    let is_loss = matches!(told, Told::Lost(..));
    let (to, cursor) = match &mut reader.kind {
        Kind::Waiting(waiting) => {
            give_waiting(waiting, told, size, behind);
            return Taken::Kept;
        }
        Kind::Listener(..) if is_loss => return Taken::Nothing,
        Kind::Listener(Listen::Channel, _) => (Addressee::Channel, Arc::from("")),
        Kind::Listener(Listen::Pattern, name) => (Addressee::Pattern(name.clone()), Arc::from("")),
        &mut Kind::Follower {
            number: _,
            meta,
            epoch,
        } => {
            let pattern = Arc::clone(&reader.patterns[pattern]);
            (Addressee::Follower(pattern, meta), behind.text(epoch))
        }
    };
    let told = told.clone();
    let push = Push { to, told, cursor };
    effects.push(Effect::Push(reader.client, Box::new(push)));
    Taken::Pushed
}

/// Keeps something for a TREAD that waits, if there is room. It has no end: one that does is not live.
fn give_waiting(waiting: &mut Waiting, told: &Told, size: u64, behind: &mut Behind<'_>) {
    if waiting.full.is_some() {
        return;
    }
    waiting.told.push(told.clone());
    waiting.taken += size;
    let is_full = waiting.told.len() as u64 >= waiting.count || waiting.taken >= waiting.bytes;
    if is_full {
        waiting.full = Some(behind.cursor().0.clone());
    }
}
