//! Entries become jobs.
//!
//! Touches adding (one job for each entry) and the readers of topics (one for each binding).

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::cluster::Fetch;
use super::super::command::Told;
use super::super::cursor::{Cursor, NAMES_MAX};
use super::super::id::EntryId;
use super::super::origin::OriginNode;
use super::super::planted::Bug;
use super::super::readers::Waiting;
use super::super::reading::Room;
use super::super::record::Entry;
use super::super::topics::Topics;
use super::super::wanted::Wanted;
use super::{Bindings, Bound, Making, Page, WaitsFor};
use crate::adding::Producer;
use crate::agenda::Timer;
use crate::command::AddJob;
use crate::effect::Effect;
use crate::extras::{Extras, Tag};
use crate::limits;
use crate::meta::Meta;
use crate::node::{MemoryLevel, Node};
use crate::refusal::Refusal;
use crate::stamp::made_by_bytes;
use crate::time::Now;

impl Node {
    /// A batch is over, or time has passed: what jobs were added of is kept, and there may be room for more.
    pub(in crate::topic) fn go_on_bindings(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.topics.bindings.all.is_empty() && self.topics.bindings.pending.is_empty() {
            return;
        }
        self.topics.bindings.note_made();
        self.lead_bindings(now, effects);
        self.make_jobs(now, effects);
        self.hand_bindings_over(now, effects);
    }

    /// What waited may be tried again.
    pub(crate) fn on_topic_bindings(&mut self) {
        self.topics.bindings.is_armed = false;
        self.topics.bindings.is_due = true;
        self.topics.look_again();
    }

    pub(super) fn begin_making(&mut self, now: Now, name: &Arc<[u8]>) {
        let topics = &mut self.topics;
        let bound = topics.bindings.all.get_mut(name).expect("it was found");
        let from = bound.binding.progress.cursor.clone();
        let waiting = Waiting::for_binding(Arc::clone(name));
        let patterns = vec![Arc::clone(&bound.pattern)];
        let reader = topics.readers.add_binding(waiting, patterns, from.clone());
        bound.making = Some(Making {
            reader,
            from,
            pages: VecDeque::new(),
            first: 0,
            waits_for: None,
            is_dirty: false,
            kept: now.time,
        });
        topics.bindings.busy.insert(Arc::clone(name));
        topics.has_news = true;
    }

    /// Makes jobs of what has come, as far as the queues take them.
    pub(in crate::topic) fn make_jobs(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let is_due = std::mem::take(&mut self.topics.bindings.is_due);
        let mut waits = false;
        for name in std::mem::take(&mut self.topics.bindings.busy) {
            if is_due || !self.topics.bindings.is_waiting(&name) {
                let waits_for = self.make_jobs_of(now, &name, effects);
                self.topics.bindings.wait_for(&name, waits_for);
            }
            self.go_on_making(now, &name, effects);
            let bindings = &mut self.topics.bindings;
            let making = bindings
                .all
                .get(&name)
                .and_then(|bound| bound.making.as_ref());
            if let Some(making) = making.filter(|making| making.is_busy()) {
                waits |= making.is_dirty || making.waits_for.is_some();
                bindings.busy.insert(name);
            }
        }
        if waits && !self.topics.bindings.is_armed {
            let next = now.time + limits::TOPIC_BINDING_PAUSE;
            self.topics.bindings.is_armed = true;
            self.agenda.add_timer(next, Timer::TopicBindings);
        }
    }

    /// Makes the jobs of one binding. Returns what it has to wait for.
    fn make_jobs_of(
        &mut self,
        now: Now,
        name: &Arc<[u8]>,
        effects: &mut Vec<Effect>,
    ) -> Option<WaitsFor> {
        let mut at = 0;
        loop {
            let bound = self.topics.bindings.all.get_mut(name)?;
            let making = bound.making.as_mut()?;
            let number = making.first + at as u64;
            let page = making.pages.get_mut(at)?;
            if !page.unread.is_empty() {
                if !std::mem::replace(&mut page.is_being_read, true) {
                    let (unread, name) = (page.unread.clone(), Arc::clone(name));
                    self.fetch_entries(Fetch::Binding(name, number), unread, effects);
                }
                return None;
            }
            let Some(entry) = page.todo.front().map(Arc::clone) else {
                at += 1;
                continue;
            };
            match self.make_job_of(now, (name, number), &entry, effects) {
                Ok(is_pending) => {
                    let bound = self.topics.bindings.all.get_mut(name)?;
                    let page = bound.making.as_mut()?.pages.get_mut(at)?;
                    page.todo.pop_front();
                    page.made += 1;
                    page.pending += u64::from(is_pending);
                }
                Err(waits_for) => return Some(waits_for),
            }
        }
    }

    /// Makes one job. Returns whether it waits for copies.
    fn make_job_of(
        &mut self,
        now: Now,
        (name, page): (&Arc<[u8]>, u64),
        entry: &Entry,
        effects: &mut Vec<Effect>,
    ) -> Result<bool, WaitsFor> {
        let bound = &self.topics.bindings.all[name];
        let mut number = entry.number;
        if self.topics.origins.has(Bug::BoundTwice) {
            number |= bound.binding.lease.term << 48;
        }
        let id = bound.binding.job_of(entry.origin, number);
        if self.jobs.find(&id).is_some() || self.forgotten.contains(&id) {
            return Ok(false);
        }
        if self.memory_level() >= MemoryLevel::Evict || self.log_failing {
            return Err(WaitsFor::Node);
        }
        let (options, queue) = (bound.binding.options, Arc::clone(&bound.queue));
        let body = entry.body.as_bytes();
        let add = AddJob {
            replicate: options.replicate,
            delay: Some(options.delay),
            retry: Some(options.retry),
            ttl: Some(options.ttl),
            max_len: Some(options.max_len),
            extras: self.extras_of(entry),
            ..AddJob::new(&queue, body)
        };
        let number = self.topics.bindings.next;
        let producer = Producer::Binding(number);
        let added = self.add(now, (producer, Some(id)), &add, effects);
        let added = added.map_err(|refusal| waits_for(&refusal))?;
        self.topics.counts.bound += 1;
        let bindings = &mut self.topics.bindings;
        bindings.next += 1;
        if added.is_none() {
            bindings.pending.insert(number, (Arc::clone(name), page));
        }
        Ok(added.is_none())
    }

    /// META of the entry, and where it comes from; and who makes the job of it, which the id does not say.
    fn extras_of(&self, entry: &Entry) -> Extras {
        let id = entry.id.to_string();
        let mut meta = Meta::decode(entry.extras.get(Tag::META).unwrap_or_default());
        meta.set_own(b"shoal.channel", &entry.channel);
        meta.set_own(b"shoal.id", id.as_bytes());
        let made_by = made_by_bytes(self.id.maker(), self.start);
        Extras::new([(Tag::META, &meta.encode()[..]), (Tag::MADE_BY, &made_by)])
    }

    /// Pages that are over are passed, that is kept now and then, and the reader gets the next page if there is room.
    fn go_on_making(&mut self, now: Now, name: &Arc<[u8]>, effects: &mut Vec<Effect>) {
        let is_going = self.is_going();
        let topics = &mut self.topics;
        let Some(bound) = topics.bindings.all.get_mut(name) else {
            return;
        };
        let Some(making) = &mut bound.making else {
            return;
        };
        making.pass(topics.origins.has(Bug::BoundEarly));
        if making.pages.len() < limits::TOPIC_BINDING_PAGES && !is_going {
            topics.readers.take_more(making.reader);
        }
        let since = now.time.since(making.kept);
        if making.is_dirty && since >= limits::TOPIC_BINDING_PAUSE {
            self.keep_progress(now, name, effects);
        }
    }

    /// The node stops: how far it has come with all bindings goes into the log.
    pub(crate) fn keep_bindings(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.topics.bindings.note_made();
        for name in self.topics.bindings.made_here() {
            let bound = self.topics.bindings.all.get_mut(&name);
            if let Some(making) = bound.and_then(|bound| bound.making.as_mut()) {
                making.pass(false);
            }
            self.keep_progress(now, &name, effects);
        }
    }

    /// Keeps how far a binding has come, and tells the others.
    pub(super) fn keep_progress(&mut self, now: Now, name: &Arc<[u8]>, effects: &mut Vec<Effect>) {
        let own = OriginNode::of(&self.id);
        let topics = &mut self.topics;
        let part = topics.part_made(name);
        let Some(bound) = topics.bindings.all.get_mut(name) else {
            return;
        };
        let Some(making) = &mut bound.making else {
            return;
        };
        (making.is_dirty, making.kept) = (false, now.time);
        let (epoch, mut binding) = (bound.epoch, bound.binding.clone());
        let reached = part.unwrap_or_else(|| making.from.clone());
        let waits_for = making.waits_for;
        let both = topics.both(&binding.progress.cursor, &reached);
        if both.cut().len() > NAMES_MAX {
            // Names go as soon as end records are here from which they follow.
            return;
        }
        binding.lease.stamp += 1;
        binding.lease.waits_for = waits_for;
        binding.progress.commit(own, now.wall.0, both);
        // This is what `follow_binding` is to find: nobody else has come further.
        let progress = binding.progress.clone();
        if let Some(bound) = self.topics.bindings.all.get_mut(name) {
            bound.binding.progress = progress;
        }
        let written = self.write_binding(now, (name, epoch), &binding, effects);
        if written.is_err()
            && let Some(bound) = self.topics.bindings.all.get_mut(name)
            && let Some(making) = &mut bound.making
        {
            making.is_dirty = true;
        }
    }

    /// What a page consists of was read.
    pub(in crate::topic) fn on_binding_fetched(
        &mut self,
        (name, number): (&Arc<[u8]>, u64),
        told: Vec<Told>,
    ) {
        let bindings = &mut self.topics.bindings;
        let bound = bindings.all.get_mut(name);
        let Some(making) = bound.and_then(|bound| bound.making.as_mut()) else {
            return;
        };
        let at = number.checked_sub(making.first);
        let page = at.and_then(|at| making.pages.get_mut(at as usize));
        let Some(page) = page.filter(|page| page.is_being_read) else {
            return;
        };
        page.is_being_read = false;
        if told.iter().all(|one| one.unread().is_none()) {
            page.unread.clear();
            page.todo = entries(told).collect();
        } else {
            // What cannot be read now may be later.
            making.waits_for = Some(WaitsFor::Node);
        }
        bindings.busy.insert(Arc::clone(name));
        self.topics.has_news = true;
    }
}

impl Topics {
    /// Enough copies of a job are there that a binding made, or it is gone.
    pub(crate) fn job_made(&mut self, number: u64) {
        self.bindings.made.push(number);
        self.has_news = true;
    }

    /// The reader of a binding has a page.
    pub(in crate::topic) fn page_for_binding(
        &mut self,
        name: &Arc<[u8]>,
        told: Vec<Told>,
        cursor: Cursor,
    ) {
        let bound = self.bindings.all.get_mut(name);
        let Some(making) = bound.and_then(|bound| bound.making.as_mut()) else {
            return;
        };
        let has_unread = told.iter().any(|one| one.unread().is_some());
        let (unread, todo) = if has_unread {
            (told, VecDeque::new())
        } else {
            (Vec::new(), entries(told).collect())
        };
        making.pages.push_back(Page {
            cursor,
            unread,
            is_being_read: false,
            todo,
            made: 0,
            pending: 0,
        });
        self.bindings.busy.insert(Arc::clone(name));
    }

    /// The cursor behind the jobs that were made of the first page, if its other entries are still waiting.
    fn part_made(&self, name: &Arc<[u8]>) -> Option<Cursor> {
        let bound = self.bindings.all.get(name)?;
        let making = bound.making.as_ref()?;
        let page = making.pages.front()?;
        if page.made == 0 || page.pending > 0 {
            return None;
        }
        let next = page.todo.front()?;
        let room = Room {
            count: page.made,
            bytes: u64::MAX,
            to: None,
            lost: EntryId::ZERO,
        };
        let mut wanted = Wanted::new([&*bound.pattern]);
        let (cursor, _) = self.fill(making.from.clone(), &mut wanted, room, true, |_, _, _| {});
        // An entry that came late may have moved them: then they are found to be made when they come again.
        let implied = self.origins.ends().implied(cursor.cut());
        let implied = implied.get(&next.origin).copied().unwrap_or_default();
        let passed = self.origins.passed(cursor.cut(), implied, next.origin);
        (passed.records() < next.number).then_some(cursor)
    }
}

impl Bindings {
    /// Takes note of jobs that have their copies.
    fn note_made(&mut self) {
        for number in std::mem::take(&mut self.made) {
            let Some((name, page)) = self.pending.remove(&number) else {
                continue;
            };
            let bound = self.all.get_mut(&name);
            let Some(making) = bound.and_then(|bound| bound.making.as_mut()) else {
                continue;
            };
            let at = page.checked_sub(making.first);
            if let Some(page) = at.and_then(|at| making.pages.get_mut(at as usize)) {
                page.pending -= 1;
                self.busy.insert(name);
            }
        }
    }

    /// Nothing waits for the jobs any more that were begun of a binding.
    pub(super) fn forget_pending(&mut self, name: &[u8]) {
        self.pending.retain(|_, (other, _)| **other != *name);
    }

    fn is_waiting(&self, name: &Arc<[u8]>) -> bool {
        let making = self.all.get(name).and_then(|bound| bound.making.as_ref());
        making.is_some_and(|making| making.waits_for.is_some())
    }

    fn wait_for(&mut self, name: &Arc<[u8]>, waits_for: Option<WaitsFor>) {
        let bound = self.all.get_mut(name);
        if let Some(making) = bound.and_then(|bound| bound.making.as_mut())
            && making.waits_for != waits_for
        {
            (making.waits_for, making.is_dirty) = (waits_for, true);
        }
    }
}

impl Bound {
    /// Whether jobs were begun that wait for copies, or that may be made at any moment.
    pub(super) fn has_begun(&self) -> bool {
        self.making.as_ref().is_some_and(|making| {
            let is_pending = making.pages.iter().any(|page| page.pending > 0);
            is_pending || making.waits_for.is_none() && !making.pages.is_empty()
        })
    }
}

impl Making {
    /// Passes pages whose jobs are all added; if `early`, also those that wait for their queue.
    fn pass(&mut self, early: bool) {
        let is_over = |page: &Page| page.is_over() || early && page.unread.is_empty();
        while self.pages.front().is_some_and(is_over)
            && let Some(page) = self.pages.pop_front()
        {
            (self.from, self.is_dirty) = (page.cursor, true);
            self.first += 1;
        }
    }

    /// Whether it is to be looked at before its reader has more.
    fn is_busy(&self) -> bool {
        !self.pages.is_empty() || self.is_dirty || self.waits_for.is_some()
    }
}

fn entries(told: Vec<Told>) -> impl Iterator<Item = Arc<Entry>> {
    // Of what is lost no jobs can be made.
    told.into_iter().filter_map(|one| match one {
        Told::Entry(entry, _) => Some(entry),
        Told::Unread(_) | Told::Lost(..) => None,
    })
}

fn waits_for(refusal: &Refusal) -> WaitsFor {
    match refusal {
        Refusal::ByPolicy(refusal, _) => waits_for(refusal),
        Refusal::QueuePaused => WaitsFor::Pause,
        Refusal::QueueTooLong => WaitsFor::Room,
        Refusal::TooFewNodes => WaitsFor::Copies,
        Refusal::TooFewNodesLeaving
        | Refusal::TooFewNodesMemory
        | Refusal::ReplicationTimeout
        | Refusal::RemovedWhileReplicating
        | Refusal::RetryZeroNeedsOneReplica
        | Refusal::DelayBeyondTtl
        | Refusal::NeedsRetry
        | Refusal::TooManySettings
        | Refusal::ResultTooLarge(_)
        | Refusal::Leaving
        | Refusal::UnknownJob
        | Refusal::Topic(_)
        | Refusal::TooLateToPostpone => WaitsFor::Node,
    }
}
