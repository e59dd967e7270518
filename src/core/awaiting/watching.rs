//! Watching: which jobs other nodes, and clients here, want to hear of, and what became of those in the course of an event.

use std::collections::BTreeMap;

use crate::acking::Known;
use crate::agenda::Timer;
use crate::effect::Effect;
use crate::id::JobId;
use crate::limits;
use crate::members::PeerKey;
use crate::message::Message;
use crate::node::Node;
use crate::outcome::Fate;
use crate::time::Time;

/// What peers want to hear of.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    /// Each job with the peers that watch it, and until when they do unless they ask again.
    by_job: BTreeMap<JobId, BTreeMap<PeerKey, Time>>,
    /// A look at those that ran out is planned.
    is_planned: bool,
    /// What became of watched jobs in the course of this event; none: it is looked up at its end.
    changed: BTreeMap<JobId, Option<Fate>>,
}

impl Watches {
    fn watch(&mut self, id: JobId, peer: PeerKey, until: Time) {
        if self.by_job.len() < limits::WATCHED || self.by_job.contains_key(&id) {
            self.by_job.entry(id).or_default().insert(peer, until);
        }
    }

    fn retain(&mut self, keep: impl Fn(PeerKey, Time) -> bool) {
        self.by_job.retain(|_, peers| {
            peers.retain(|&peer, &mut until| keep(peer, until));
            !peers.is_empty()
        });
    }
}

impl Node {
    /// The end or the place of a job is another one than before. It is told at the end of this event.
    pub(crate) fn note_fate(&mut self, id: JobId) {
        if self.is_watched(&id) {
            self.watches.changed.entry(id).or_default();
        }
    }

    /// A job ended here, and what is said of it may not be kept.
    #[inline]
    pub(crate) fn note_end(&mut self, id: JobId, end: Known, result: Option<&[u8]>) {
        if self.is_watched(&id) {
            self.note_watched_end(id, end, result);
        }
    }

    fn note_watched_end(&mut self, id: JobId, end: Known, result: Option<&[u8]>) {
        let Some(outcome) = end.outcome() else {
            return self.note_fate(id);
        };
        let fate = Fate::ended(outcome, result);
        let noted = self.watches.changed.entry(id).or_default();
        // What was noted first has the result.
        if !noted.as_ref().is_some_and(Fate::is_acked) {
            *noted = Some(fate);
        }
    }

    #[inline]
    fn is_watched(&self, id: &JobId) -> bool {
        let by_peers = !self.watches.by_job.is_empty() && self.watches.by_job.contains_key(id);
        by_peers || self.job_waits.has(id)
    }

    /// Tells those who wait what became of jobs in the course of this event.
    pub(crate) fn tell_fates(&mut self, effects: &mut Vec<Effect>) {
        if self.watches.changed.is_empty() {
            return;
        }
        let mut by_peer: BTreeMap<PeerKey, Vec<(JobId, Fate)>> = BTreeMap::new();
        for (id, noted) in std::mem::take(&mut self.watches.changed) {
            let fate = noted.unwrap_or_else(|| self.fate_here(&id));
            if let Some(peers) = self.watches.by_job.get(&id) {
                for &peer in peers.keys() {
                    by_peer.entry(peer).or_default().push((id, fate.clone()));
                }
            }
            self.hear_own_fate(&id, &fate);
        }
        for (peer, fates) in by_peer {
            self.send_fates(peer, fates, effects);
        }
        self.answer_settled(effects);
    }

    /// WATCH: a peer wants to know how these jobs stand, and to hear of their ends.
    pub(crate) fn on_watch(
        &mut self,
        now: Time,
        from: PeerKey,
        ids: &[JobId],
        effects: &mut Vec<Effect>,
    ) {
        self.settle_forgotten();
        for &id in ids {
            self.watches.watch(id, from, now + limits::WATCH_FOR);
        }
        self.plan_watches(now);
        let fates = ids.iter().map(|&id| (id, self.fate_here(&id))).collect();
        self.send_fates(from, fates, effects);
    }

    fn plan_watches(&mut self, now: Time) {
        if !self.watches.by_job.is_empty() && !std::mem::replace(&mut self.watches.is_planned, true)
        {
            self.agenda
                .add_timer(now + limits::WATCH_FOR, Timer::Watches);
        }
    }

    /// Peers that have not asked again do not want to know any more.
    pub(crate) fn on_watches(&mut self, now: Time) {
        self.watches.is_planned = false;
        self.watches.retain(|_, until| until > now);
        self.plan_watches(now);
    }

    /// The link to a peer broke: it asks again.
    pub(crate) fn unwatch(&mut self, peer: PeerKey) {
        self.watches.retain(|other, _| other != peer);
    }

    /// Tells a peer how jobs stand, in messages of a bounded size.
    fn send_fates(&self, to: PeerKey, fates: Vec<(JobId, Fate)>, effects: &mut Vec<Effect>) {
        let (mut part, mut bytes) = (Vec::new(), 0);
        for (id, fate) in fates {
            bytes += fate.size();
            part.push((id, fate));
            if bytes >= limits::ANSWER_BYTES {
                self.send(to, Message::Fates(std::mem::take(&mut part)), effects);
                bytes = 0;
            }
        }
        if !part.is_empty() {
            self.send(to, Message::Fates(part), effects);
        }
    }
}
