//! Reading back bodies that are in the log alone, outside of the node's lock, on threads that may wait for the disk.
//!
//! While somebody is about to read, the segments that he reads from are pinned: they retire later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use shoalmq_core::command::Reply;
use shoalmq_core::event::Event;
use shoalmq_core::id::{JobId, Ticket};
use shoalmq_core::job::Body;
use shoalmq_core::record::{Location, Segment};
use shoalmq_core::topic::{Entry, TopicReply};
use shoalmq_storage::backend::Reader;
use shoalmq_storage::fault::Fault;
use shoalmq_storage::fetch::{self, Unreadable, fetch};
use shoalmq_storage::journal::Position;
use tracing::{error, warn};

use super::driver::{Driver, Shared};
use super::persistence::describe;
use super::topics;
use shoalmq_resp::Protocol;

/// A disk may fail only for a moment: how often a read is tried, after pauses that grow by `PAUSE`.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// The way to the bodies in the log.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    reader: Arc<dyn Reader>,
    pins: Arc<Pins>,
}

/// Segments that are about to be read, and how often.
#[derive(Debug, Default)]
struct Pins(Mutex<BTreeMap<Segment, usize>>);

/// As long as this lives, what lies in a segment or later can be read.
#[derive(Debug)]
pub(crate) struct Access {
    bodies: Bodies,
    segment: Segment,
}

/// A reply that lacks bodies.
#[derive(Debug)]
pub(crate) struct UnreadReply {
    pub(crate) ticket: Ticket,
    pub(crate) protocol: Protocol,
    pub(crate) reply: Reply,
    /// It may leave when the log is on disk up to here.
    pub(crate) gate: Position,
    pub(crate) access: Access,
}

impl UnreadReply {
    /// The jobs that it hands out.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.reply.delivered().into_iter()
    }

    /// Reads what it lacks. Waits for the disk.
    pub(crate) fn read(&mut self) -> Vec<Failed> {
        if let Reply::Topic(reply) = &mut self.reply
            && let TopicReply::Page(page) = &mut **reply
        {
            topics::read(&mut page.told, &self.access);
            return Vec::new();
        }
        // What is handed out comes again by itself, and there may be others behind it that can be read.
        let patience = match self.jobs().next() {
            Some(_) => Patience::NONE,
            None => Patience::default(),
        };
        self.access.read(self.reply.unread_bodies(), patience)
    }
}

/// A body that could not be read.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) id: JobId,
    place: Body,
    why: Unreadable,
}

impl Bodies {
    pub(crate) fn new(reader: Arc<dyn Reader>) -> Self {
        Bodies {
            reader,
            pins: Arc::default(),
        }
    }

    /// Pins what holds these bodies; none when all are in memory.
    pub(crate) fn access(&self, unread: &[(JobId, &mut Body)]) -> Option<Access> {
        let segments = unread.iter().filter_map(|(_, body)| body.spilled_to());
        let segment = segments.map(|at| at.segment).min()?;
        Some(self.access_from(segment))
    }

    /// Pins this segment and all later ones.
    pub(crate) fn access_from(&self, segment: Segment) -> Access {
        *self.pins.0.lock().entry(segment).or_default() += 1;
        Access {
            bodies: self.clone(),
            segment,
        }
    }

    /// How far segments may retire that may go below `below`.
    pub(crate) fn unpinned(&self, below: Segment) -> Segment {
        let pins = self.pins.0.lock();
        let lowest = pins.first_key_value().map(|(&segment, _)| segment);
        lowest.map_or(below, |lowest| lowest.min(below))
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let mut pins = self.bodies.pins.0.lock();
        if let Some(count) = pins.get_mut(&self.segment) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.segment);
            }
        }
    }
}

/// How often reading is tried again that may succeed later: the pauses of one batch, together.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    tries: u32,
}

impl Patience {
    const NONE: Patience = Patience { tries: TRIES };

    /// Waits, unless it was waited often enough.
    fn waits(&mut self) -> bool {
        let waits = self.tries < TRIES;
        if waits {
            self.tries += 1;
            thread::sleep(PAUSE * self.tries);
        }
        waits
    }
}

impl Access {
    /// Reads bodies into their places. Returns those that cannot be read. Waits for the disk.
    pub(crate) fn read(
        &self,
        mut unread: Vec<(JobId, &mut Body)>,
        mut patience: Patience,
    ) -> Vec<Failed> {
        // A backend may have to open something for each segment.
        unread.sort_by_key(|(_, body)| body.spilled_to());
        let mut failed = Vec::new();
        for (id, body) in unread {
            match self.read_one(&id, body, &mut patience) {
                Ok(read) => *body = read,
                Err(why) => failed.push(Failed {
                    id,
                    place: body.clone(),
                    why,
                }),
            }
        }
        failed
    }

    /// The segment from which on it reads.
    pub(crate) fn segment(&self) -> Segment {
        self.segment
    }

    /// Reads entries of topics, whose places rise. Waits for the disk.
    pub(crate) fn read_entries(&self, places: &[Location]) -> Vec<Result<Arc<Entry>, Unreadable>> {
        let reader = self.bodies.reader.as_ref();
        let mut last: Option<Arc<[u8]>> = None;
        let mut channel = |name: &[u8]| match &last {
            Some(last) if **last == *name => Arc::clone(last),
            Some(_) | None => Arc::clone(last.insert(Arc::from(name))),
        };
        let mut read = fetch::entries(reader, places, &mut channel);
        let mut patience = Patience::default();
        loop {
            let passing = |entry: &Result<Arc<Entry>, Unreadable>| {
                entry.as_ref().is_err_and(Unreadable::may_pass)
            };
            let again: Vec<usize> = (0..read.len()).filter(|&at| passing(&read[at])).collect();
            if again.is_empty() || !patience.waits() {
                return read;
            }
            warn!(entries = again.len(), "entries are read from the log again");
            for at in again {
                let mut one = fetch::entries(reader, &places[at..=at], &mut channel);
                read[at] = one.remove(0);
            }
        }
    }

    fn read_one(
        &self,
        id: &JobId,
        body: &Body,
        patience: &mut Patience,
    ) -> Result<Body, Unreadable> {
        let at = body.spilled_to().expect("only such a body is to be read");
        loop {
            let read = fetch(self.bodies.reader.as_ref(), at, id, body.len());
            match read {
                Err(why) if why.may_pass() && patience.waits() => {
                    warn!(%id, reason = describe(&why), "a job is read from the log again");
                }
                read => return read,
            }
        }
    }
}

impl Driver {
    /// Tells the core of bodies that cannot be read: it sets those aside that are lost, and tries the others again later.
    ///
    /// Those among them that were to be handed out have been seen by nobody.
    pub(crate) fn give_up_bodies(&mut self, failed: Vec<Failed>, undelivered: Vec<JobId>) {
        let (mut passing, mut reason) = (BTreeSet::new(), String::new());
        for Failed { id, place, why } in failed {
            // What was only looked at, and is gone by now, is not missed.
            if matches!(why, Unreadable::Fault(_, Fault::Retired { .. })) {
                continue;
            }
            let queue = self.node.queue_of(&id);
            let queue = queue.map(|name| name.as_bytes().escape_ascii().to_string());
            // An at-most-once job on its way to another node is here no more, and cannot be tried again.
            if why.may_pass() && queue.is_some() {
                reason = describe(&why);
                passing.insert(id);
                continue;
            }
            error!(%id, queue, reason = describe(&why), "the body of a job cannot be read: the job is set aside");
            self.feed(Event::Unreadable { id, place });
        }
        if let Some(first) = passing.first() {
            let jobs = passing.len();
            warn!(jobs, %first, reason, "bodies cannot be read now: they are tried again later");
        }
        let (postponed, undelivered): (Vec<_>, Vec<_>) =
            undelivered.into_iter().partition(|id| passing.contains(id));
        if !undelivered.is_empty() {
            self.feed(Event::Undelivered(undelivered));
        }
        if !postponed.is_empty() {
            self.feed(Event::Postponed(postponed));
        }
    }

    /// Reads what the core asked for at once, with the lock held: nobody is served any more.
    pub(crate) fn read_wanted_now(&mut self) {
        let wanted = std::mem::take(&mut self.wanted);
        self.take_read(read_all(wanted));
    }

    fn take_read(&mut self, read: Vec<(JobId, Body, Result<Body, Unreadable>)>) {
        for (id, place, read) in read {
            match read {
                Ok(body) => self.feed(Event::Fetched {
                    id,
                    place,
                    read: Some(body),
                }),
                Err(why) if why.may_pass() => {
                    warn!(%id, reason = describe(&why), "the body of a job cannot be read now: its record stays where it is");
                    self.feed(Event::NotFetched(place));
                }
                Err(why) => {
                    error!(%id, reason = describe(&why), "the body of a job cannot be read: the job is set aside");
                    self.feed(Event::Fetched {
                        id,
                        place,
                        read: None,
                    });
                }
            }
        }
    }
}

/// Reads the bodies that the core asks for, to record their jobs again.
pub(crate) async fn read_for_core(shared: Arc<Shared>) {
    let arrived = Arc::clone(&shared.driver.lock().wants);
    loop {
        arrived.notified().await;
        topics::read_wanted(&shared).await;
        let wanted = std::mem::take(&mut shared.driver.lock().wanted);
        if wanted.is_empty() {
            continue;
        }
        let read = tokio::task::spawn_blocking(move || read_all(wanted)).await;
        let read = read.expect("a panic ends the process");
        shared.act(|driver| driver.take_read(read));
    }
}

/// A body that is to be read for the core.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) id: JobId,
    pub(crate) place: Body,
    pub(crate) access: Access,
}

fn read_all(mut wanted: Vec<Wanted>) -> Vec<(JobId, Body, Result<Body, Unreadable>)> {
    wanted.sort_by_key(|wanted| wanted.place.spilled_to());
    let mut patience = Patience::default();
    let read = |Wanted { id, place, access }: Wanted| {
        let read = access.read_one(&id, &place, &mut patience);
        (id, place, read)
    };
    wanted.into_iter().map(read).collect()
}
