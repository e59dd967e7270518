//! Federation: jobs go to where clients wait.
//!
//! A client that finds nothing makes this node *want* jobs of the queue ([`Want`]): it plants interest at its peers with
//! NEEDJOBS, which holds until it is met, taken back or not refreshed. Peers that sent jobs are sources, and are asked
//! for what is needed; the others are asked for one job each, and only when the sources run dry. So the first job that
//! is added anywhere ships at once (`interest`, `shipping`), and one client does not pull jobs from everywhere.
//!
//! A client that starves although the sources sent all they were asked for makes this node look ahead further; jobs
//! that are not taken within a moment make it look ahead less. So a fast client is fed in batches, and a slow one
//! does not hoard.

use std::collections::{BTreeMap, BTreeSet};

use crate::agenda::{Agenda, Timer};
use crate::command::{GetJob, Wait};
use crate::effect::Effect;
use crate::federating::pull::{Here, Want};
use crate::federating::push::Interests;
use crate::federating::transfer::Moves;
use crate::id::QueueName;
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::message::Message;
use crate::node::{MemoryLevel, Node};
use crate::queue::QueueKey;
use crate::time::Time;

/// Who waits for which queue, here and elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Federation {
    pub(crate) interests: Interests,
    pub(crate) moves: Moves,
    wants: BTreeMap<QueueName, Want>,
    name_bytes: usize,
    /// When each of them must be looked at.
    agenda: BTreeSet<(Time, QueueName)>,
    /// When interest of peers and moves are looked at for what is over; none while there are none.
    sweep_at: Option<Time>,
    /// The one timer that is set.
    timer: Option<Time>,
}

impl Federation {
    /// Ready jobs of a queue that stay here for those who are about to ask, unless they were added here.
    pub(super) fn reserve(&self, now: Time, queue: &QueueName) -> u64 {
        self.wants.get(queue).map_or(0, |want| want.reserve(now))
    }

    /// Whether clients asked here for jobs of this queue lately.
    pub(super) fn wants(&self, queue: &QueueName) -> bool {
        self.wants.contains_key(queue)
    }

    /// Peers that sent jobs of this queue lately, and how many came per second.
    pub(crate) fn imports(&self, now: Time, queue: &QueueName) -> (NodeSet, u64) {
        let want = self.wants.get(queue);
        want.map_or((NodeSet::EMPTY, 0), |want| {
            (want.sources(now), want.rate(now))
        })
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.wants.len() * limits::WANT_BYTES
            + self.name_bytes
            + self.interests.len() * limits::INTEREST_BYTES
            + self.interests.name_bytes()
            + self.moves.len() * limits::MOVE_BYTES
    }

    /// Sets when a queue is looked at.
    fn plan(&mut self, name: &[u8], when: Time) {
        if let Some(want) = self.wants.get_mut(name) {
            if want.wake == when {
                return;
            }
            self.agenda.remove(&(want.wake, want.name.clone()));
            want.wake = when;
            if when != Time::NEVER {
                self.agenda.insert((when, want.name.clone()));
            }
        }
    }

    /// What is wanted of a queue, made if there is room for it.
    fn find_or_add(&mut self, now: Time, name: &[u8]) -> Option<&mut Want> {
        if !self.wants.contains_key(name) {
            if self.wants.len() >= limits::WANTS {
                return None;
            }
            let name = QueueName::new(name);
            self.name_bytes += name.as_bytes().len();
            self.wants.insert(name.clone(), Want::new(name, now));
        }
        self.wants.get_mut(name)
    }

    fn drop_want(&mut self, name: &[u8]) {
        self.plan(name, Time::NEVER);
        if self.wants.remove(name).is_some() {
            self.name_bytes -= name.len();
        }
    }

    /// Takes the queues off the agenda that are due.
    fn due(&mut self, now: Time) -> Vec<QueueName> {
        let mut due = Vec::new();
        while let Some((_, name)) = self
            .agenda
            .first()
            .filter(|(when, _)| *when <= now)
            .cloned()
        {
            self.plan(name.as_bytes(), Time::NEVER);
            due.push(name);
        }
        due
    }

    /// When anything of it is due.
    fn next(&self) -> Time {
        let wants = self.agenda.first().map(|&(when, _)| when);
        let times = [
            wants,
            self.moves.next(),
            self.sweep_at,
            self.interests.next(),
        ];
        times.into_iter().flatten().min().unwrap_or(Time::NEVER)
    }

    /// Panics if what it says of itself does not hold.
    pub(super) fn check(&self, agenda: &Agenda) {
        for (name, want) in &self.wants {
            let planned = self.agenda.contains(&(want.wake, name.clone()));
            assert!(
                planned || want.wake == Time::NEVER,
                "{name:?}: a want is looked at"
            );
            assert!(
                planned || want.is_idle(),
                "{name:?}: standing interest is refreshed"
            );
        }
        let planned = self.wants.values().filter(|want| want.wake != Time::NEVER);
        assert_eq!(
            planned.count(),
            self.agenda.len(),
            "only wants are looked at"
        );
        let bytes: usize = self.wants.keys().map(|name| name.as_bytes().len()).sum();
        assert_eq!(bytes, self.name_bytes, "names of wants are counted");
        assert!(self.moves.is_consistent(), "who was asked answers in time");
        self.interests.check();
        let swept = self.interests.is_empty() && self.moves.len() == 0 || self.sweep_at.is_some();
        assert!(swept, "interest runs out, and so do moves");
        let next = self.next();
        let set = self.timer.is_some_and(|timer| timer <= next);
        assert!(next == Time::NEVER || set, "what is due next has a timer");
        if let Some(timer) = self.timer {
            assert!(
                agenda.holds_timer(timer, Timer::Federation),
                "the timer is set"
            );
        }
    }
}

impl Node {
    /// A GETJOB was served, or found nothing and perhaps waits now.
    pub(crate) fn want_jobs(
        &mut self,
        now: Time,
        get: &GetJob<'_>,
        found: Found,
        effects: &mut Vec<Effect>,
    ) {
        if self.peers.up().is_empty() {
            return;
        }
        for name in &get.queues {
            match found {
                Found::Jobs => {
                    if let Some(want) = self.federation.wants.get_mut(*name)
                        && get.wait.is_patient()
                    {
                        want.served(now);
                    }
                    self.look_at_want(now, name, effects);
                }
                Found::Nothing if self.is_going() => {}
                Found::Nothing => {
                    let missed = if get.wait == Wait::No { get.count } else { 0 };
                    self.want(now, name, missed, effects);
                }
            }
        }
    }

    /// Clients want jobs of this queue.
    fn want(&mut self, now: Time, name: &[u8], missed: u64, effects: &mut Vec<Effect>) {
        let here = self.here(now, name);
        if let Some(want) = self.federation.find_or_add(now, name) {
            want.starve(now, &here);
            if missed > 0 {
                want.miss(now, missed);
            }
            self.look_at_want(now, name, effects);
        }
    }

    /// A client waits no more, and counts as waiting until `back_by`.
    pub(crate) fn want_less(
        &mut self,
        now: Time,
        queue: QueueKey,
        back_by: Time,
        effects: &mut Vec<Effect>,
    ) {
        let queue = &self.queues[queue];
        if !queue.waiters.is_empty() {
            return;
        }
        let name = queue.name.clone();
        let Some(want) = self.federation.wants.get_mut(&name) else {
            return;
        };
        want.left(now, back_by);
        if back_by <= now {
            self.look_at_want(now, name.as_bytes(), effects);
        } else if want.wake > back_by {
            self.federation.plan(name.as_bytes(), back_by);
            self.set_federation_timer();
        }
    }

    /// The queue's pause changed.
    pub(crate) fn want_again(&mut self, now: Time, queue: QueueKey, effects: &mut Vec<Effect>) {
        let name = self.queues[queue].name.clone();
        if !self.queues[queue].waiters.is_empty() && !self.peers.up().is_empty() {
            self.want(now, name.as_bytes(), 0, effects);
        } else {
            self.look_at_want(now, name.as_bytes(), effects);
        }
    }

    /// Whether anything may come in changed.
    pub(crate) fn want_all_again(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let names: Vec<QueueName> = self.federation.wants.keys().cloned().collect();
        for name in names {
            self.look_at_want(now, name.as_bytes(), effects);
        }
    }

    /// Jobs of a queue came from a peer.
    pub(super) fn note_import(
        &mut self,
        now: Time,
        queue: &QueueName,
        from: PeerKey,
        count: u64,
        effects: &mut Vec<Effect>,
    ) {
        let here = self.here(now, queue.as_bytes());
        if let Some(want) = self.federation.wants.get_mut(queue) {
            want.arrived(now, from, count, &here);
            self.look_at_want(now, queue.as_bytes(), effects);
        }
    }

    /// Tells peers what is wanted of this queue, as far as that changed.
    fn look_at_want(&mut self, now: Time, name: &[u8], effects: &mut Vec<Effect>) {
        if !self.federation.wants.contains_key(name) {
            return;
        }
        let here = self.here(now, name);
        let up = self.peers.up();
        let Some(want) = self.federation.wants.get_mut(name) else {
            return;
        };
        let tells = want.plan(now, &here, up);
        let (next, queue) = (want.next(&here), want.name.clone());
        for tell in tells {
            let need = Message::NeedJobs {
                queue: queue.clone(),
                count: tell.need.count as u32,
                waiting: tell.need.waiting as u32,
                at_once: tell.need.at_once as u32,
            };
            self.send(tell.peer, need, effects);
        }
        self.federation.plan(name, next);
        self.set_federation_timer();
    }

    /// How a queue stands here, for those who want jobs of it.
    fn here(&self, now: Time, name: &[u8]) -> Here {
        let level = self.memory_level();
        let Some(key) = self.queues.find(name) else {
            let barred = self.is_going() || self.log_failing || level == MemoryLevel::Full;
            return Here {
                barred,
                ..Here::default()
            };
        };
        let queue = &self.queues[key];
        let waiters = queue.waiters.len() as u64;
        Here {
            barred: self.is_going()
                || self.log_failing
                || queue.pause.output
                || waiters == 0 && level == MemoryLevel::Full,
            waiters,
            patient_until: self.waiters.patient_until(now, &queue.waiters),
            len: queue.len,
            out: queue.jobs_out,
            used: queue.used,
        }
    }

    /// Something of the federation is due.
    pub(crate) fn on_federation(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.federation.timer = None;
        self.on_moves_late(now, effects);
        if self.federation.sweep_at.is_some_and(|when| when <= now) {
            self.drop_settled();
            let Federation {
                interests, moves, ..
            } = &mut self.federation;
            interests.expire(now);
            let more = !interests.is_empty() || moves.len() > 0;
            self.federation.sweep_at = more.then_some(now + limits::INTEREST_EXPIRES);
        }
        for name in self.federation.interests.due(now) {
            self.feed_by_name(now, &name, effects);
        }
        for name in self.federation.due(now) {
            let over = self.federation.wants[&name].is_over(now);
            if over && self.here(now, name.as_bytes()).waiters == 0 {
                self.federation.drop_want(name.as_bytes());
            } else {
                self.look_at_want(now, name.as_bytes(), effects);
            }
            // What is kept for nobody any more goes on.
            self.feed_by_name(now, &name, effects);
        }
        self.set_federation_timer();
    }

    /// Interest of peers runs out some day, and moves are settled in ways that nobody tells of.
    pub(super) fn sweep_federation(&mut self, now: Time) {
        let sweep_at = &mut self.federation.sweep_at;
        sweep_at.get_or_insert(now + limits::INTEREST_EXPIRES);
        self.set_federation_timer();
    }

    /// Makes the agenda come to whatever is due first.
    pub(super) fn set_federation_timer(&mut self) {
        let next = self.federation.next();
        let timer = self.federation.timer.unwrap_or(Time::NEVER);
        if next < timer {
            self.agenda.remove_timer(timer, Timer::Federation);
            self.agenda.add_timer(next, Timer::Federation);
            self.federation.timer = Some(next);
        }
    }

    /// The link to a peer came up: it gets what it wanted, and is told what is wanted here.
    pub(crate) fn federate_with(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        for name in self.federation.interests.of_peer(peer) {
            self.feed_by_name(now, &name, effects);
        }
        let mut names: BTreeSet<QueueName> = BTreeSet::new();
        for (_, waiter) in self.waiters.iter() {
            let queues = waiter.queues.iter();
            names.extend(queues.map(|&queue| self.queues[queue].name.clone()));
        }
        for (name, want) in &mut self.federation.wants {
            want.forget_peer(peer);
            if want.reserve(now) > 0 {
                names.insert(name.clone());
            }
        }
        if self.is_going() {
            return;
        }
        for name in names {
            if let Some(want) = self.federation.find_or_add(now, name.as_bytes()) {
                want.discover_now(now);
                self.look_at_want(now, name.as_bytes(), effects);
            }
        }
    }

    /// The link to a peer broke: what it wanted and what it was asked for counts no more.
    pub(crate) fn federate_without(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        self.federation.interests.forget_peer(peer);
        let mut asked = Vec::new();
        for (name, want) in &mut self.federation.wants {
            if want.forget_peer(peer) {
                asked.push(name.clone());
            }
        }
        for name in asked {
            self.look_at_want(now, name.as_bytes(), effects);
        }
    }
}

/// What a GETJOB found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Jobs,
    Nothing,
}
