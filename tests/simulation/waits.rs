//! What NACK promises when it makes a job wait: no node that heard of it hands the job out before, and neither a restart nor
//! the loss of a node cuts the wait short.

use shoalmq_core::extras::Tag;
use shoalmq_core::id::NodeId;
use shoalmq_core::message::Message;
use shoalmq_core::record::CountRecord;

use crate::checker::Checker;
use crate::client::Number;
use crate::plan::Policy;
use crate::schedule::{HostIndex, MS, Micros, SECOND};

/// How long the holders may take to hear of it, over links that are up.
const HEARD_WITHIN: Micros = SECOND;
/// How much sooner a wait may end.
const EARLY: Micros = 300 * MS;

/// A job waits.
#[derive(Debug, Clone)]
pub(crate) struct Wait {
    /// The node that took the NACK, and when.
    by: HostIndex,
    at: Micros,
    until: Micros,
    /// The other nodes that had a copy.
    holders: Vec<HostIndex>,
    /// Those that it told.
    told: Vec<HostIndex>,
}

impl Wait {
    /// This node had no copy when the job began to wait: it may not have heard of that.
    pub(crate) fn is_new_to(&self, host: HostIndex) -> bool {
        host != self.by && !self.holders.contains(&host)
    }
}

impl Checker {
    /// A node records what is counted of a job.
    pub(crate) fn counted_record(&mut self, now: Micros, host: HostIndex, record: &CountRecord) {
        let Some(&number) = self.by_id.get(&record.id) else {
            return;
        };
        let until = record.extras.get(Tag::WAITS);
        let until = until.and_then(|bytes| bytes.try_into().ok());
        let until = until.map(u64::from_le_bytes);
        let base = self.lore.bases.get(&host).copied();
        let (Some(until), Some((base, started)), true) = (until, base, record.turn) else {
            return;
        };
        let job = &mut self.jobs[number];
        // Two clients give it back at two nodes that have not heard of each other: either may win.
        let is_race = |(other, asked)| other != host && now < asked + HEARD_WITHIN;
        // The job was moved before that, and the node had not heard of it: what is said of a former place is void.
        let is_void = job.life.was_moved_since(host);
        if job.life.before.is_some_and(is_race) || is_void {
            return;
        }
        let others = job.copies.keys().copied().filter(|&other| other != host);
        job.life.wait = Some(Wait {
            by: host,
            at: now,
            until: started + until.saturating_sub(base) * MS,
            holders: others.collect(),
            told: Vec::new(),
        });
    }

    /// A core sends a message: it may tell a holder of a wait.
    pub(crate) fn wait_told(&mut self, host: HostIndex, to: &NodeId, message: &Message) {
        let Message::Working { id, extras, .. } = message else {
            return;
        };
        let to = self.lore.nodes.iter().position(|node| node == to);
        let number = self.by_id.get(id).copied();
        let number = number.filter(|_| extras.get(Tag::WAITS).is_some());
        let wait = number.and_then(|number| self.jobs[number].life.wait.as_mut());
        if let (Some(wait), Some(to)) = (wait.filter(|wait| wait.by == host), to) {
            wait.told.push(to);
        }
    }

    /// A core hands a job out.
    pub(crate) fn check_wait(&mut self, now: Micros, host: HostIndex, number: Number) {
        let Some(wait) = self.jobs[number].life.wait.clone() else {
            return;
        };
        let heard_by = wait.at + HEARD_WITHIN;
        if now < heard_by || now + EARLY > wait.until {
            return;
        }
        // One that the node did not know to have a copy hears of it later.
        let hears = |&holder: &HostIndex| {
            let links = &self.lore.links;
            wait.told.contains(&holder) && links.are_up(wait.by, holder, wait.at, heard_by)
        };
        let knows = host == wait.by || wait.holders.contains(&host);
        let mut all = wait.holders.iter().copied().chain([wait.by]);
        let forgets = |holder: HostIndex| {
            let lost = self.lore.lossy.get(&holder).copied().unwrap_or(0);
            self.policy != Policy::Always && lost >= wait.at
        };
        if knows && wait.holders.iter().all(hears) && !all.any(forgets) {
            let what = format!(
                "at {} ms n{host} hands it out, though it is to wait until {} ms, and all heard of that",
                now / MS,
                wait.until / MS
            );
            self.violate(Some(number), what);
        }
    }
}
