//! What all nodes that answered know of a job, put together.

use std::cmp::Reverse;
use std::time::Duration;

use crate::command::{CopyView, EventView, Explained, Report, Standing};
use crate::explaining::sentences::{listed, span};
use crate::id::{JobId, NodeId};
use crate::outcome::Outcome;
use crate::time::WallTime;

/// An EXPLAIN under way.
#[derive(Debug)]
pub(crate) struct Explaining {
    id: JobId,
    reports: Vec<(NodeId, Report)>,
}

impl Explaining {
    /// Of this job nothing is known yet.
    pub(crate) fn new(id: JobId) -> Self {
        Explaining {
            id,
            reports: Vec::new(),
        }
    }

    /// A node says what it knows.
    pub(crate) fn hear(&mut self, node: NodeId, report: Report) {
        self.reports.push((node, report));
    }

    /// What all know together; none if nobody knows the job.
    pub(crate) fn explained(mut self, wall: WallTime, missing: Vec<NodeId>) -> Option<Explained> {
        self.reports.sort_unstable_by_key(|&(node, _)| node);
        let (standing, why) = self.verdict(wall, &missing)?;
        let leading = self.leading().map(|(_, copy, _)| copy);
        let any = || self.copies().map(|(_, copy, _)| copy).next();
        let queue = leading.or_else(any).and_then(|copy| copy.queue.clone());
        let copies = self.copies();
        let copies = copies.map(|(node, copy, _)| (node, copy.clone())).collect();
        let is_out = standing == Standing::Active || leading.is_some_and(is_out);
        let held = self.reports.iter();
        let held = held.filter_map(|(node, report)| Some((*node, report.held_by.clone()?)));
        let held_by = held.max_by_key(|(_, held)| held.since_ms);
        let progress = self
            .leading()
            .and_then(|(_, _, report)| report.progress.clone());
        let said = || self.reports.iter().find_map(|(_, it)| it.progress.clone());
        let progress = progress.or_else(said).filter(|_| standing.is_open());
        Some(Explained {
            id: self.id,
            queue,
            standing,
            why,
            copies,
            held_by: held_by.filter(|_| is_out),
            progress,
            events: self.events(),
            missing,
        })
    }

    /// How the job stands, and why.
    fn verdict(&self, wall: WallTime, missing: &[NodeId]) -> Option<(Standing, String)> {
        let outcome = self.reports.iter().filter_map(|(_, it)| it.outcome).max();
        if outcome == Some(Outcome::Acked) {
            return Some((
                Standing::Ended(Outcome::Acked),
                self.why_over(wall, Outcome::Acked),
            ));
        }
        if let Some((_, copy, report)) = self.leading() {
            let is_dead = copy.rank.is_some_and(|(_, is_dead, ..)| is_dead);
            let standing = match copy.standing {
                _ if is_dead => Standing::Dead,
                Standing::Copy | Standing::Restored => Standing::Active,
                standing => standing,
            };
            let why = if copy.standing == Standing::Copy {
                without_turn(missing, &report.why)
            } else {
                report.why.clone()
            };
            return Some((standing, why));
        }
        if let Some(outcome) = outcome {
            return Some((Standing::Ended(outcome), self.why_over(wall, outcome)));
        }
        let is_withdrawn = |copy: &CopyView| copy.standing == Standing::Withdrawn;
        if self.copies().any(|(_, copy, _)| is_withdrawn(copy)) {
            let why = "Its add was withdrawn, for there were too few copies before its producer's time was over: nobody \
                       delivers it, and it goes when all its holders know.";
            return Some((Standing::Withdrawn, why.to_owned()));
        }
        let nothing = self.reports.iter().all(|(_, it)| it.events.is_empty());
        (!nothing).then(|| (Standing::Unknown, lost_track(missing)))
    }

    fn copies(&self) -> impl Iterator<Item = (NodeId, &CopyView, &Report)> {
        let reports = self.reports.iter();
        reports.filter_map(|(node, report)| Some((*node, report.copy.as_ref()?, report)))
    }

    /// The copy that says where the job is: of those that are not over, that with the highest register; of equals the one with
    /// the turn, or else the one that acts first.
    fn leading(&self) -> Option<(NodeId, &CopyView, &Report)> {
        let open = self.copies().filter(|(_, copy, _)| copy.standing.is_open());
        open.max_by_key(|(_, copy, _)| {
            let next = Reverse(copy.next_in.unwrap_or(Duration::MAX));
            (copy.rank, copy.has_turn, copy.standing, next)
        })
    }

    fn why_over(&self, wall: WallTime, outcome: Outcome) -> String {
        let what = match outcome {
            Outcome::Acked => "a client acknowledged it",
            Outcome::Deleted => "a client deleted it",
            Outcome::Expired => "its TTL ended",
            Outcome::Duplicate => "an older job has its key",
        };
        let events = self.events();
        let end = events.iter().find(|(_, it)| it.event == outcome.name());
        let why = match end {
            Some((node, end)) => {
                let ago = Duration::from_millis(wall.0.saturating_sub(end.at_ms));
                let node = node.maker();
                format!("It is over: {what} at node {node} {} ago", span(ago))
            }
            None => format!("It is over: {what}; no node remembers when"),
        };
        let telling = self.copies();
        let telling = telling.filter(|(_, copy, _)| copy.next == "tell the holders");
        let telling: Vec<NodeId> = telling.map(|(node, ..)| node).collect();
        let rest = if telling.is_empty() {
            ".".to_owned()
        } else {
            let verb = if telling.len() == 1 { "has" } else { "have" };
            format!(
                "; {} {verb} still to hear from other holders that they know.",
                listed(&telling)
            )
        };
        why + &rest
    }

    /// What happened anywhere, in the order of time.
    fn events(&self) -> Vec<(NodeId, EventView)> {
        let reports = self.reports.iter();
        let mut events: Vec<_> = reports
            .flat_map(|(node, report)| report.events.iter().map(|event| (*node, event.clone())))
            .collect();
        // What one node noted stays in its order.
        events.sort_by_key(|(node, event)| (event.at_ms, *node));
        events
    }
}

/// Whether a copy is with a client, whatever the job is.
fn is_out(copy: &CopyView) -> bool {
    copy.has_turn && copy.standing == Standing::Active
}

/// No node that answered has the turn.
fn without_turn(missing: &[NodeId], why: &str) -> String {
    let away = if missing.is_empty() {
        "It is on its way from one node to another, or the node that had it last is gone".to_owned()
    } else {
        let away = listed(missing);
        format!("No node that answered has the turn to deliver it, and {away} did not answer")
    };
    format!("{away}; {why}")
}

/// Only events are left.
fn lost_track(missing: &[NodeId]) -> String {
    if missing.is_empty() {
        return "No node has it any more, and none remembers how it ended.".to_owned();
    }
    let away = listed(missing);
    format!(
        "No node that answered has it any more or remembers how it ended; {away} did not answer."
    )
}
