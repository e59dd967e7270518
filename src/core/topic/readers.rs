//! Those who read at this node: subscriptions of connections, and TREADs that wait.
//!
//! A reader that has all there is is *live*: all live readers are at the same place, the live cursor, and get what comes
//! from there (`live.rs`). One that is not reads pages of its own: because it began further back, or because its connection
//! takes less than comes. It gets its next page when its connection has taken the last one, so a slow reader loses nothing,
//! and what waits for it is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;

use super::command::{Listen, Told};
use super::cursor::Cursor;
use super::id::EntryId;
use super::subscriptions::{SubscriptionId, Subscriptions};
use crate::id::{ClientId, Ticket};
use crate::limits;
use crate::time::Time;

/// The readers of bindings have no connection.
const BINDINGS: ClientId = ClientId(u64::MAX);

/// A reader. In the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ReaderId(u64);

/// What kind of reader it is.
#[derive(Debug)]
pub(super) enum Kind {
    /// TSUB, with the number that the connection knows it by.
    Follower {
        number: u64,
        meta: bool,
        /// The epoch of the name that it reads under.
        epoch: Option<u64>,
    },
    /// SUBSCRIBE and PSUBSCRIBE, to this name.
    Listener(Listen, Arc<[u8]>),
    /// A TREAD that waits.
    Waiting(Box<Waiting>),
}

/// A TREAD that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) whose: Whose,
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) to: Option<EntryId>,
    pub(super) meta: bool,
    /// The epoch of the name that it reads under.
    pub(super) epoch: Option<u64>,
    pub(super) patience: Patience,
    /// What it is told, the bytes of that, and once it is to be told no more, the cursor behind that.
    pub(super) told: Vec<Told>,
    pub(super) taken: u64,
    pub(super) full: Option<Cursor>,
}

/// Who waits for a page.
#[derive(Debug)]
pub(super) enum Whose {
    /// A client, by TREAD.
    Client(Ticket),
    /// A binding, by the name of its setting. It waits again as soon as it has room for more.
    Binding(Arc<[u8]>),
}

impl Waiting {
    /// A binding waits.
    pub(super) fn for_binding(name: Arc<[u8]>) -> Self {
        Waiting {
            whose: Whose::Binding(name),
            count: limits::TOPIC_PAGE_ENTRIES,
            bytes: limits::TOPIC_PAGE_BYTES,
            to: None,
            meta: false,
            epoch: None,
            patience: Patience::Forever,
            told: Vec::new(),
            taken: 0,
            full: None,
        }
    }
}

/// How long a TREAD waits when it has found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    None,
    /// At most until then: it does not wait for news, but for the order to come to this id.
    Order(Time, EntryId),
    Until(Time),
    Forever,
}

impl Patience {
    /// When it ends.
    pub(super) fn until(self) -> Option<Time> {
        match self {
            Patience::Order(until, _) | Patience::Until(until) => Some(until),
            Patience::None | Patience::Forever => None,
        }
    }

    /// Whether a page that is empty waits for what is published.
    pub(super) fn waits_for_news(self) -> bool {
        match self {
            Patience::None | Patience::Order(..) => false,
            Patience::Until(_) | Patience::Forever => true,
        }
    }
}

/// Where a reader is.
#[derive(Debug)]
pub(super) enum At {
    /// At the live cursor.
    Live,
    /// There. Its connection has not taken the last page yet, if it waits.
    Behind { cursor: Cursor, waits: bool },
}

/// When a reader that is not live goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// At once: there is more.
    Now,
    /// When there is news.
    News,
    /// When its connection has taken what it was given.
    Taken,
}

/// One reader.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) client: ClientId,
    pub(super) kind: Kind,
    pub(super) patterns: Vec<Arc<[u8]>>,
    /// The first of the subscriptions, one for each pattern, that are its own.
    first: u64,
    pub(super) at: At,
}

impl Reader {
    /// The id that the order has to come to before it is answered.
    pub(super) fn goal(&self) -> Option<EntryId> {
        match &self.kind {
            Kind::Waiting(waiting) => match waiting.patience {
                Patience::Order(_, goal) => Some(goal),
                Patience::None | Patience::Until(_) | Patience::Forever => None,
            },
            Kind::Follower { .. } | Kind::Listener(..) => None,
        }
    }
}

/// The readers of one connection.
#[derive(Debug, Default)]
struct Own {
    ids: BTreeSet<ReaderId>,
    /// Those of SUBSCRIBE and PSUBSCRIBE, by what they listen to.
    listeners: BTreeMap<(Listen, Arc<[u8]>), ReaderId>,
    /// How many are subscriptions.
    subscriptions: u64,
    /// The highest number that a subscription of TSUB ever had.
    last_number: u64,
}

/// All readers of a node.
#[derive(Debug, Default)]
pub(super) struct Readers {
    all: BTreeMap<ReaderId, Reader>,
    by_client: BTreeMap<ClientId, Own>,
    /// Readers at the live cursor.
    live: BTreeSet<ReaderId>,
    /// Readers that are not live and may go on.
    due: BTreeSet<ReaderId>,
    /// Readers that have all that there is, and are not live: they go on when there is news.
    idle: BTreeSet<ReaderId>,
    subscriptions: Subscriptions,
    /// Whose each subscription is.
    owners: HashMap<SubscriptionId, ReaderId, foldhash::quality::FixedState>,
    next: u64,
    next_subscription: u64,
}

impl Readers {
    /// Whether any reader is at the live cursor.
    pub(super) fn has_live(&self) -> bool {
        !self.live.is_empty()
    }

    /// A reader, if it is live.
    pub(super) fn live_mut(&mut self, id: ReaderId) -> Option<&mut Reader> {
        let reader = self.all.get_mut(&id);
        reader.filter(|reader| matches!(reader.at, At::Live))
    }

    /// All live readers, each with its first pattern.
    pub(super) fn live(&self, found: &mut Vec<(ReaderId, usize)>) {
        found.clear();
        found.extend(self.live.iter().map(|&id| (id, 0)));
    }

    /// All live readers go on by themselves, from this cursor.
    pub(super) fn leave_live(&mut self, cursor: &Cursor) {
        for id in std::mem::take(&mut self.live) {
            self.move_to(id, cursor.clone(), Next::Now);
        }
    }

    /// There is news: those who had all that there was go on.
    pub(super) fn wake(&mut self) {
        self.due.append(&mut self.idle);
    }

    pub(super) fn add(
        &mut self,
        client: ClientId,
        kind: Kind,
        patterns: Vec<Arc<[u8]>>,
        cursor: Cursor,
    ) -> ReaderId {
        let id = ReaderId(self.next);
        self.next += 1;
        let first = self.next_subscription;
        self.next_subscription += patterns.len() as u64;
        let own = self.by_client.entry(client).or_default();
        own.ids.insert(id);
        match &kind {
            Kind::Follower { number, .. } => own.last_number = *number,
            Kind::Listener(listen, name) => {
                own.listeners.insert((*listen, Arc::clone(name)), id);
            }
            Kind::Waiting(_) => {}
        }
        own.subscriptions += u64::from(!matches!(kind, Kind::Waiting(_)));
        let exact = matches!(kind, Kind::Listener(Listen::Channel, _));
        for (number, pattern) in (first..).zip(&patterns) {
            let subscription = SubscriptionId(number);
            if exact {
                self.subscriptions.add(subscription, &literal(pattern));
            } else {
                self.subscriptions.add(subscription, pattern);
            }
            self.owners.insert(subscription, id);
        }
        let at = At::Behind {
            cursor,
            waits: false,
        };
        self.all.insert(
            id,
            Reader {
                client,
                kind,
                patterns,
                first,
                at,
            },
        );
        self.due.insert(id);
        id
    }

    /// A binding reads, from this cursor.
    pub(super) fn add_binding(
        &mut self,
        waiting: Waiting,
        patterns: Vec<Arc<[u8]>>,
        cursor: Cursor,
    ) -> ReaderId {
        self.add(BINDINGS, Kind::Waiting(Box::new(waiting)), patterns, cursor)
    }

    /// What a binding was told, if the reader is one's. It is told nothing more until it takes more, from this cursor on.
    pub(super) fn take_page(
        &mut self,
        id: ReaderId,
        cursor: &Cursor,
    ) -> Option<(Arc<[u8]>, Vec<Told>)> {
        let Kind::Waiting(waiting) = &mut self.all.get_mut(&id)?.kind else {
            return None;
        };
        let Whose::Binding(name) = &waiting.whose else {
            return None;
        };
        let name = Arc::clone(name);
        (waiting.taken, waiting.full) = (0, None);
        let told = std::mem::take(&mut waiting.told);
        self.move_to(id, cursor.clone(), Next::Taken);
        Some((name, told))
    }

    /// A reader has taken what it was given, if it was given anything: it goes on.
    pub(super) fn take_more(&mut self, id: ReaderId) {
        if let Some(Reader {
            at: At::Behind { waits, .. },
            ..
        }) = self.all.get_mut(&id)
            && std::mem::take(waits)
        {
            self.due.insert(id);
        }
    }

    pub(super) fn remove(&mut self, id: ReaderId) -> Option<Reader> {
        let reader = self.all.remove(&id)?;
        for number in (reader.first..).take(reader.patterns.len()) {
            self.subscriptions.remove(SubscriptionId(number));
            self.owners.remove(&SubscriptionId(number));
        }
        if let Some(own) = self.by_client.get_mut(&reader.client) {
            own.ids.remove(&id);
            if let Kind::Listener(listen, name) = &reader.kind {
                own.listeners.remove(&(*listen, Arc::clone(name)));
            }
            own.subscriptions -= u64::from(!matches!(reader.kind, Kind::Waiting(_)));
            if own.ids.is_empty() {
                self.by_client.remove(&reader.client);
            }
        }
        for ids in [&mut self.live, &mut self.due, &mut self.idle] {
            ids.remove(&id);
        }
        Some(reader)
    }

    pub(super) fn get(&self, id: ReaderId) -> Option<&Reader> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ReaderId) -> Option<&mut Reader> {
        self.all.get_mut(&id)
    }

    /// The readers of a connection, in the order in which they came.
    pub(super) fn of_client(&self, client: ClientId) -> Vec<ReaderId> {
        let own = self.by_client.get(&client).into_iter();
        own.flat_map(|own| &own.ids).copied().collect()
    }

    /// How many subscriptions a connection has.
    pub(super) fn subscription_count(&self, client: ClientId) -> u64 {
        self.by_client
            .get(&client)
            .map_or(0, |own| own.subscriptions)
    }

    /// The number of the next subscription by TSUB of a connection: from 1 on, above those that it has.
    pub(super) fn next_number(&self, client: ClientId) -> u64 {
        self.by_client.get(&client).map_or(0, |own| own.last_number) + 1
    }

    /// What a connection listens to, of one kind, in order of the names.
    pub(super) fn listened_to(&self, client: ClientId, listen: Listen) -> Vec<Arc<[u8]>> {
        let own = self.by_client.get(&client).into_iter();
        let names = own.flat_map(|own| own.listeners.keys());
        let those = names.filter(|(kind, _)| *kind == listen);
        those.map(|(_, name)| Arc::clone(name)).collect()
    }

    /// The subscription of a connection to a name.
    pub(super) fn listener(
        &self,
        client: ClientId,
        listen: Listen,
        name: &Arc<[u8]>,
    ) -> Option<ReaderId> {
        let own = self.by_client.get(&client)?;
        own.listeners.get(&(listen, Arc::clone(name))).copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many belong to connections.
    pub(super) fn clients(&self) -> usize {
        let bindings = self.by_client.get(&BINDINGS);
        self.all.len() - bindings.map_or(0, |own| own.ids.len())
    }

    /// All readers, in the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Reader> {
        self.all.values()
    }

    /// The TREADs that wait, and whom to answer.
    pub(super) fn waiting(&self) -> Vec<(ReaderId, Ticket)> {
        let ticket = |reader: &Reader| match &reader.kind {
            Kind::Waiting(waiting) => match waiting.whose {
                Whose::Client(ticket) => Some(ticket),
                Whose::Binding(_) => None,
            },
            Kind::Follower { .. } | Kind::Listener(..) => None,
        };
        let all = self.all.iter();
        all.filter_map(|(&id, reader)| Some((id, ticket(reader)?)))
            .collect()
    }

    /// The readers that an entry of this channel goes to, each with the first of its patterns that matches.
    pub(super) fn matching(&mut self, channel: &[u8], found: &mut Vec<(ReaderId, usize)>) {
        found.clear();
        for subscription in self.subscriptions.of(channel) {
            let id = self.owners[subscription];
            // The subscriptions of a reader follow each other.
            if found.last().is_none_or(|(last, _)| *last != id) {
                let pattern = subscription.0 - self.all[&id].first;
                found.push((id, pattern as usize));
            }
        }
    }

    /// How many readers an entry of this channel goes to; bindings are none.
    pub(super) fn count(&mut self, channel: &[u8]) -> u64 {
        let mut found = Vec::new();
        self.matching(channel, &mut found);
        let reads = |(id, _): &&(ReaderId, usize)| self.all[id].client != BINDINGS;
        found.iter().filter(reads).count() as u64
    }

    /// A reader is at the live cursor from now on.
    pub(super) fn go_live(&mut self, id: ReaderId) {
        self.due.remove(&id);
        self.idle.remove(&id);
        if let Some(reader) = self.all.get_mut(&id) {
            reader.at = At::Live;
            self.live.insert(id);
        }
    }

    /// A reader that is not live is there from now on, and goes on then.
    pub(super) fn move_to(&mut self, id: ReaderId, to: Cursor, next: Next) {
        for ids in [&mut self.live, &mut self.due, &mut self.idle] {
            ids.remove(&id);
        }
        if let Some(reader) = self.all.get_mut(&id) {
            reader.at = At::Behind {
                cursor: to,
                waits: next == Next::Taken,
            };
            match next {
                Next::Now => self.due.insert(id),
                Next::News => self.idle.insert(id),
                Next::Taken => true,
            };
        }
    }

    /// The next reader that is to get a page.
    pub(super) fn next_due(&self) -> Option<ReaderId> {
        self.due.first().copied()
    }

    /// A connection has taken what it was given: its readers go on.
    pub(super) fn ready(&mut self, client: ClientId) {
        for id in self.of_client(client) {
            self.take_more(id);
        }
    }

    /// A planted bug: what a connection listens to goes on from this cursor.
    pub(super) fn skip(&mut self, client: ClientId, cursor: &Cursor) {
        for id in self.of_client(client) {
            if let Some(Reader {
                kind: Kind::Listener(..),
                at: At::Behind { cursor: at, .. },
                ..
            }) = self.all.get_mut(&id)
            {
                at.clone_from(cursor);
            }
        }
    }

    /// A connection takes less than comes: its live readers stay at this cursor.
    pub(super) fn slow(&mut self, client: ClientId, live: &Cursor) {
        for id in self.of_client(client) {
            if let Some(reader) = self.all.get_mut(&id)
                && matches!(reader.at, At::Live)
                && !matches!(reader.kind, Kind::Waiting(_))
            {
                reader.at = At::Behind {
                    cursor: live.clone(),
                    waits: true,
                };
                self.live.remove(&id);
            }
        }
    }
}

/// A pattern that matches this name alone.
fn literal(name: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(name.len());
    for &byte in name {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^' | b'-') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern
}
