//! What happened, for those who look for a bug: a fingerprint of every run, and, when asked for, all events in words.

use std::fmt::Write as _;

use shoalmq_core::command::{Command, Reply};
use shoalmq_core::dedup::KeyNews;
use shoalmq_core::effect::Effect;
use shoalmq_core::event::Event;
use shoalmq_core::id::JobId;
use shoalmq_core::message::Message;
use shoalmq_core::record::Record;

use crate::schedule::{HostIndex, MS, Micros};

/// What is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Only the fingerprint.
    Fingerprint,
    /// Everything.
    Everything,
}

/// The record of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    detail: Detail,
    fingerprint: u64,
    lines: Vec<Line>,
}

/// One thing that happened, in words, and the jobs that it is about.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) jobs: Vec<JobId>,
    /// It is what the simulation did, which concerns every job.
    pub(crate) is_note: bool,
}

impl Trace {
    pub(crate) fn new(detail: Detail) -> Self {
        Trace {
            detail,
            fingerprint: 0xcbf2_9ce4_8422_2325,
            lines: Vec::new(),
        }
    }

    /// The same for the same course of events.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn into_lines(self) -> Vec<Line> {
        self.lines
    }

    /// What a membership tells.
    pub(crate) fn gossip(&mut self, now: Micros, host: HostIndex, effect: &shoalmq_gossip::Effect) {
        self.mix(now ^ (host as u64) << 48);
        if self.detail == Detail::Everything {
            self.write(now, host, "gossip", Vec::new(), &format!("{effect:?}"));
        }
    }

    /// What the simulation itself does to a machine.
    pub(crate) fn note(&mut self, now: Micros, host: HostIndex, text: impl FnOnce() -> String) {
        self.mix(now ^ (host as u64) << 48);
        if self.detail == Detail::Everything {
            self.write(now, host, "--", Vec::new(), &text());
        }
    }

    pub(crate) fn event(&mut self, now: Micros, host: HostIndex, event: &Event<'_>) {
        self.mix(now ^ (host as u64) << 48);
        let jobs = jobs_of_event(event);
        self.mix_jobs(&jobs);
        // Ticks are seen by what they do.
        if self.detail == Detail::Everything && *event != Event::Tick {
            let way = if concerns_all(event) { "--" } else { "in" };
            self.write(now, host, way, jobs, &format!("{event:?}"));
        }
    }

    pub(crate) fn effect(&mut self, now: Micros, host: HostIndex, effect: &Effect) {
        let jobs = jobs_of_effect(effect);
        self.mix_jobs(&jobs);
        if self.detail == Detail::Everything {
            self.write(now, host, "out", jobs, &format!("{effect:?}"));
        }
    }

    fn write(&mut self, now: Micros, host: HostIndex, way: &str, jobs: Vec<JobId>, what: &str) {
        let mut text = String::new();
        let (millis, micros) = (now / MS, now % MS);
        write!(text, "{millis:>7}.{micros:03} n{host} {way:<6} {what}")
            .expect("writing to a string does not fail");
        let is_note = way == "--";
        self.lines.push(Line {
            text,
            jobs,
            is_note,
        });
    }

    fn mix_jobs(&mut self, jobs: &[JobId]) {
        self.mix(jobs.len() as u64);
        for id in jobs {
            let [a, b, c, d, ..] = id.as_bytes()[8..] else {
                unreachable!("an id has 24 bytes")
            };
            self.mix(u64::from(u32::from_le_bytes([a, b, c, d])));
        }
    }

    fn mix(&mut self, number: u64) {
        self.fingerprint = (self.fingerprint ^ number).wrapping_mul(0x0000_0100_0000_01b3);
        self.fingerprint ^= self.fingerprint >> 29;
    }
}

/// Whether an event is part of the life of every job.
fn concerns_all(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::PeerForgotten(_)
            | Event::PeerUp(_)
            | Event::PeerDown(_)
            | Event::Leaving(_)
            | Event::HandOver
            | Event::Stop
    )
}

fn jobs_of_event(event: &Event<'_>) -> Vec<JobId> {
    match event {
        Event::Command(_, command) => jobs_of_command(command),
        Event::Message(_, message) => jobs_of_message(message),
        Event::Undelivered(jobs) => jobs.clone(),
        _ => Vec::new(),
    }
}

fn jobs_of_command(command: &Command<'_>) -> Vec<JobId> {
    match command {
        Command::AckJob(ids, _)
        | Command::EndJob(ids)
        | Command::FastAck(ids)
        | Command::DelJob(ids)
        | Command::Enqueue(ids)
        | Command::Dequeue(ids) => ids.clone(),
        Command::Nack(nack) => nack.ids.clone(),
        Command::WaitJob(wait) => wait.ids.iter().filter_map(|(_, id)| *id).collect(),
        Command::Working(id, _) | Command::Show(id) => id.iter().copied().collect(),
        _ => Vec::new(),
    }
}

fn jobs_of_message(message: &Message) -> Vec<JobId> {
    match message {
        Message::ReplJob(copy) => vec![copy.id],
        Message::GotJob(id)
        | Message::Missing(id)
        | Message::Holders { id, .. }
        | Message::Enqueue { id, .. }
        | Message::WillQueue { id, .. }
        | Message::Queued { id, .. }
        | Message::Working { id, .. }
        | Message::Moved { id, .. }
        | Message::SetAck { id, .. }
        | Message::GotAck { id, .. }
        | Message::DelJob { id, .. } => vec![*id],
        Message::Watch(ids) => ids.to_vec(),
        Message::Fates(fates) => fates.iter().map(|(id, _)| *id).collect(),
        Message::Key(news) => jobs_of_key(news),
        Message::YourJobs(jobs) => jobs.iter().map(|copy| copy.id).collect(),
        Message::State(_)
        | Message::NeedJobs { .. }
        | Message::Topic(_)
        | Message::Settings(_)
        | Message::SettingsDigest { .. }
        | Message::Ask { .. }
        | Message::Answer { .. } => Vec::new(),
    }
}

fn jobs_of_key(news: &KeyNews) -> Vec<JobId> {
    match news {
        KeyNews::Claim(..) | KeyNews::Granted(_) | KeyNews::Release(..) => Vec::new(),
        KeyNews::Look(_, _, ids) => ids.clone(),
        KeyNews::Found(_, jobs, _) => jobs.iter().map(|job| job.id).collect(),
        KeyNews::Added(told) => told.iter().map(|(_, job)| job.id).collect(),
    }
}

fn jobs_of_effect(effect: &Effect) -> Vec<JobId> {
    match effect {
        Effect::Send(_, message, _) => jobs_of_message(message),
        Effect::Persist(record, _) => jobs_of_record(record),
        Effect::Reply(_, Reply::Added(id) | Reply::Existing(id), _) | Effect::Fetch(id, _) => {
            vec![*id]
        }
        Effect::Reply(_, reply, _) => reply.delivered(),
        Effect::Retire(..)
        | Effect::Push(..)
        | Effect::FetchEntries(_)
        | Effect::AwaitReader(_) => Vec::new(),
    }
}

fn jobs_of_record(record: &Record) -> Vec<JobId> {
    match record {
        Record::Added(job) => vec![job.id],
        Record::Holders { id, .. } | Record::Deleted(id) => vec![*id],
        Record::Acked(ack) => vec![ack.id],
        Record::Moved(moved) => vec![moved.id],
        Record::Counted(counted) => vec![counted.id],
        Record::Standing(standing) => vec![standing.id],
        Record::Started { .. }
        | Record::Mark { .. }
        | Record::Peer { .. }
        | Record::PeerForgotten(_)
        | Record::Setting(_)
        | Record::Flushed
        | Record::Closed { .. }
        | Record::Topic(_) => Vec::new(),
    }
}
