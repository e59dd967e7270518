//! Why a job is where it is, in a sentence for somebody who is called at night.
//!
//! A node with the turn says all of it. What a node with a mere copy says is the end of a sentence that begins with the
//! absence of the turn (`merging`).

use std::time::Duration;

use crate::adding::Home;
use crate::explaining::events::What;
use crate::id::{Guarantee, NodeId, QueueName};
use crate::job::{JobKey, JobState, Place};
use crate::limits;
use crate::node::Node;
use crate::register::{DeadLetter, DeathReason};
use crate::time::Time;

/// The longest part of a name that a sentence has.
const NAME_TOLD: usize = 80;

impl Node {
    /// Why a job that is held here is where it is.
    pub(super) fn why_here(&self, now: Time, key: JobKey) -> String {
        let job = &self.jobs[key];
        match job.state() {
            JobState::WaitReplicas => self.why_wait_for_copies(now, key),
            JobState::Queued if self.is_marked(key) => {
                let queue = self.queue_told(key);
                format!("QPURGE took it: it is being deleted from {queue}.")
            }
            JobState::Queued => match self.dead_letter(key) {
                Some(dead) => self.why_dead(now, key, &dead),
                None => self.why_ready(now, key),
            },
            JobState::Active => self.why_active(now, key),
            // The node that was asked says how it ended.
            JobState::Acked => String::new(),
        }
    }

    fn why_wait_for_copies(&self, now: Time, key: JobKey) -> String {
        let Some(pending) = self.replications.get(key) else {
            return String::new();
        };
        let job = &self.jobs[key];
        let (have, wanted) = (pending.confirmed.len(), pending.wanted);
        let silent = self
            .peers
            .names(job.holders.without(pending.confirmed), None);
        let others = plural(u64::from(wanted), "node has", "nodes have");
        let here = if pending.home == Home::Elsewhere {
            ", and this node keeps none"
        } else {
            ""
        };
        let lacking = if silent.is_empty() {
            ", and no further node can take one now".to_owned()
        } else {
            format!(", {} not yet", listed(&silent))
        };
        let next = if pending.deadline <= job.due {
            "the add is withdrawn"
        } else {
            "more are asked"
        };
        let left = span(job.due.since(now));
        format!(
            "Its producer waits for copies: {have} of {wanted} other {others} confirmed one{here}{lacking}; {next} in {left}."
        )
    }

    /// The job is in its queue, and no dead letter.
    fn why_ready(&self, now: Time, key: JobKey) -> String {
        let queue = &self.queues[self.jobs[key].queue];
        let (name, node) = (self.queue_told(key), self.id.maker());
        let place = self.place_told(key);
        if queue.pause.output {
            return format!(
                "{} is paused in output at node {node}, so no client gets its jobs there; it is {place}, \
                 and is delivered when PAUSE ends.",
                capital(&name)
            );
        }
        if self.is_going() {
            return format!(
                "It is ready in {name}, but node {node} leaves or stops: another node gets it."
            );
        }
        let waiting = self.federation.interests.peers_of(&queue.name);
        let waiting = self.peers.names(waiting, None);
        let out = queue.recent(now).out_per_second();
        let next = if !queue.waiters.is_empty() {
            "clients wait for it, and it is delivered in its turn".to_owned()
        } else if !waiting.is_empty() {
            let where_to = listed(&waiting);
            format!("clients wait at {where_to}, and it goes there in a moment")
        } else if out > 0 {
            format!("clients took about {out} a second of its jobs here lately")
        } else {
            "no client waits for the queue, here or at a node that can be reached: \
             the next GETJOB that comes to it gets it"
                .to_owned()
        };
        format!("It is ready in {name} at node {node}, {place}; {next}.")
    }

    /// How many jobs go before a ready one.
    fn place_told(&self, key: JobKey) -> String {
        let queue = &self.queues[self.jobs[key].queue];
        let mut ahead = queue.oldest(&self.jobs).take(limits::AHEAD_COUNTED);
        match ahead.position(|other| other == key) {
            Some(0) => "first in line".to_owned(),
            Some(count) => {
                let jobs = plural(count as u64, "job", "jobs");
                format!("behind {count} other {jobs}")
            }
            None => format!("behind more than {} other jobs", limits::AHEAD_COUNTED - 1),
        }
    }

    fn why_dead(&self, now: Time, key: JobKey, dead: &DeadLetter) -> String {
        let name = self.queue_told(key);
        let ago = Duration::from_millis(self.clock.wall.0.saturating_sub(dead.at_ms));
        let from = quoted(&dead.from);
        let reason = match dead.reason {
            DeathReason::Deliveries => {
                let times = match dead.deliveries {
                    1 => "once".to_owned(),
                    count => format!("{count} times"),
                };
                format!("it was handed out {times}, as often as MAXDELIVER allows")
            }
            DeathReason::Nack => "a client gave it up with NACK DEAD".to_owned(),
            DeathReason::Expired => "its TTL was over".to_owned(),
        };
        let text = if dead.text.is_empty() {
            String::new()
        } else {
            format!(" (\"{}\")", lossy(&dead.text))
        };
        let left = span(self.jobs[key].expires().since(now));
        format!(
            "It became a dead letter {} ago, and waits in {name}: {reason}{text}. REDRIVE sends it back to {from}, with its full \
             TTL and its counters at 0; else it is deleted in {left}.",
            span(ago)
        )
    }

    fn why_active(&self, now: Time, key: JobKey) -> String {
        let job = &self.jobs[key];
        let (name, node) = (self.queue_told(key), self.id.maker());
        let left = span(job.due.since(now));
        match job.place() {
            _ if job.body.is_lost() => format!(
                "node {node} cannot read its body from the log: it asks the other holders for a copy in {left}."
            ),
            Place::Unsettled => format!(
                "Node {node} had it queued when it stopped: it asks the other holders whether they have it now, \
                 and queues it in {left} if none has."
            ),
            Place::Restored => format!(
                "Node {node} read it from its log when it started, and cannot know which client had it: it goes back \
                 into {name} in {left}, unless it is acknowledged before or another node has it."
            ),
            _ if !job.is_ours() => self.why_copy(now, key),
            Place::Waiting => {
                let by = if self.has_backoff(key) {
                    "BACKOFF, or by the DELAY of that NACK"
                } else {
                    "the DELAY of that NACK"
                };
                format!(
                    "A client gave it back with NACK: by {by}, it waits at node {node}, and goes back into {name} in {left}."
                )
            }
            Place::Before | Place::BeforeUnsure => self.why_delayed(now, key),
            Place::Nowhere | Place::List | Place::Tree | Place::Evictable | Place::Acked => {
                self.why_out(now, key)
            }
        }
    }

    fn why_delayed(&self, now: Time, key: JobKey) -> String {
        let job = &self.jobs[key];
        let (name, node) = (self.queue_told(key), self.id.maker());
        if let Some(end) = self.ends_first(key) {
            let left = span(end.since(now));
            return format!(
                "It is delayed at node {node}, and its TTL ends in {left}, before its delay."
            );
        }
        let left = span(job.due.since(now));
        if job.added.after_secs(job.delay) > now {
            format!("Its DELAY is not over: node {node} puts it into {name} in {left}.")
        } else if self.queues[job.queue].pause.input {
            format!(
                "{} is paused in input at node {node}: the next try is in {left}.",
                capital(&name)
            )
        } else {
            format!("It has not been in its queue yet: node {node} puts it into {name} in {left}.")
        }
    }

    /// It left its queue here, and may come back.
    fn why_out(&self, now: Time, key: JobKey) -> String {
        let job = &self.jobs[key];
        let (name, node) = (self.queue_told(key), self.id.maker());
        let last = self.last_of(&job.id);
        let ago = |at: u64| span(Duration::from_millis(self.clock.wall.0.saturating_sub(at)));
        let began = match last {
            Some((at, What::HandedOut(client))) => {
                format!(
                    "Client {} got it at node {node} {} ago",
                    client.0,
                    ago(at.0)
                )
            }
            Some((at, What::Dequeued)) => {
                format!(
                    "DEQUEUE took it out of its queue at node {node} {} ago",
                    ago(at.0)
                )
            }
            Some((_, What::KeptOut)) => {
                format!("It was to go back, but {name} is paused in input at node {node}")
            }
            _ => {
                let since = span(job.in_state_for(now));
                format!(
                    "It was handed out, and node {node}, which waits for its ack since {since}, does not remember to whom"
                )
            }
        };
        if job.guarantee() == Guarantee::AtMostOnce {
            let left = span(job.expires().since(now));
            return format!(
                "{began}; with RETRY 0 nobody gets it again, and it is forgotten in {left}."
            );
        }
        let (left, end) = match self.ends_first(key) {
            Some(end) => (span(end.since(now)), true),
            None => (span(job.due.since(now)), false),
        };
        let next = if self.is_spent(key) {
            format!(
                "it becomes a dead letter in {left}, for it was handed out as often as MAXDELIVER allows"
            )
        } else if end && self.is_guarded(key) {
            format!(
                "its TTL ends in {left}, and it becomes a dead letter when its worker had its time"
            )
        } else if end {
            format!("it is deleted in {left}, when its TTL ends")
        } else {
            format!("it goes back into {name} in {left}")
        };
        format!("{began}; {next}, unless it is acknowledged before.")
    }

    /// The rest of a sentence about a job whose turn no node has that answered.
    fn why_copy(&self, now: Time, key: JobKey) -> String {
        let job = &self.jobs[key];
        let node = self.id.maker();
        if job.guarantee() == Guarantee::AtMostOnce {
            return format!("the copy at node {node} is never delivered, for its RETRY is 0.");
        }
        if let Some(end) = self.ends_first(key) {
            let left = span(end.since(now));
            return format!("node {node} has a copy, whose TTL ends in {left}.");
        }
        let left = span(job.due.since(now));
        format!(
            "node {node}, which has a copy, asks the other holders in {left}, and queues it if none of them has it."
        )
    }

    fn queue_told(&self, key: JobKey) -> String {
        let name: &QueueName = &self.queues[self.jobs[key].queue].name;
        quoted(name.as_bytes())
    }
}

/// A queue by its name.
fn quoted(name: &[u8]) -> String {
    format!("queue \"{}\"", lossy(name))
}

/// Bytes of clients, in a sentence: not too many of them, and all in one line.
fn lossy(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(NAME_TOLD)]);
    let is_shown = |c: char| !c.is_control();
    let shown = text.chars().map(|c| if is_shown(c) { c } else { ' ' });
    let mut shown: String = shown.collect();
    if bytes.len() > NAME_TOLD {
        shown.push('…');
    }
    shown
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

fn plural<'a>(count: u64, one: &'a str, more: &'a str) -> &'a str {
    if count == 1 { one } else { more }
}

/// Nodes, as jobs name them.
pub(super) fn listed(nodes: &[NodeId]) -> String {
    let names: Vec<String> = nodes.iter().map(|node| node.maker().to_string()).collect();
    let word = plural(nodes.len() as u64, "node", "nodes");
    format!("{word} {}", names.join(", "))
}

/// A time in the two units that say enough.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let two = |first: u64, unit: &str, rest: u64, other: &str| {
        if rest == 0 {
            format!("{first} {unit}")
        } else {
            format!("{first} {unit} {rest} {other}")
        }
    };
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        let told = |ms| span(Duration::from_millis(ms));
        assert_eq!(told(0), "0 ms");
        assert_eq!(told(999), "999 ms");
        assert_eq!(told(59_999), "59 s");
        assert_eq!(told(200_000), "3 min 20 s");
        assert_eq!(told(7_200_000), "2 h");
        assert_eq!(told(90_000_000), "1 d 1 h");
    }

    #[test]
    fn what_clients_named_stays_short_and_in_one_line() {
        assert_eq!(quoted(b"a\nb"), "queue \"a b\"");
        let long = lossy(&[b'q'; 300]);
        assert_eq!(long.chars().count(), NAME_TOLD + 1);
    }
}
