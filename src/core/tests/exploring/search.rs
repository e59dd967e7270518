//! The search: all histories up to a number of steps, the short ones first.
//!
//! A node cannot be copied, so each history is run from its beginning. A history that leads to what was seen before is not
//! followed any further.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::history::{Choice, History, Situation};
use crate::planted::Bug;

/// What a search has found.
pub(super) struct Found {
    /// Different states of the nodes, the wire, and what clients know.
    pub(super) states: usize,
    /// Histories that were run.
    pub(super) histories: usize,
    /// The first history at whose end something is wrong, and what.
    pub(super) violation: Option<String>,
}

/// Runs all histories of at most this many steps. Ends at the first at whose end something is wrong.
pub(super) fn explore(situation: &Situation, steps: usize, bug: Option<Bug>) -> Found {
    let mut found = Found {
        states: 0,
        histories: 0,
        violation: None,
    };
    let mut seen = BTreeSet::new();
    let mut level: Vec<Vec<Choice>> = vec![Vec::new()];
    for step in 0..=steps {
        let mut next = Vec::new();
        for choices in &level {
            found.histories += 1;
            let open = catch_unwind(AssertUnwindSafe(|| {
                look_at(situation, choices, bug, &mut seen)
            }));
            let wrong = match open {
                Ok(Ok(open)) => {
                    next.extend(open.into_iter().map(|choice| {
                        let mut longer = choices.clone();
                        longer.push(choice);
                        longer
                    }));
                    continue;
                }
                Ok(Err(wrong)) => wrong,
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    text.unwrap_or_else(|| "a panic".to_owned())
                }
            };
            found.states = seen.len();
            found.violation = Some(tell(situation, choices, bug, &wrong));
            return found;
        }
        if step < steps {
            level = next;
        }
    }
    found.states = seen.len();
    found
}

/// Runs a history. Returns what may happen next, if it has led to something new.
fn look_at(
    situation: &Situation,
    choices: &[Choice],
    bug: Option<Bug>,
    seen: &mut BTreeSet<u64>,
) -> Result<Vec<Choice>, String> {
    let mut history = History::new(situation, bug);
    for &choice in choices {
        history.take(choice);
    }
    if !seen.insert(history.fingerprint()) {
        return history.wrong.take().map_or(Ok(Vec::new()), Err);
    }
    let open = history.choices();
    history.end().map_or(Ok(open), Err)
}

/// What happened, step by step, and what is wrong.
fn tell(situation: &Situation, choices: &[Choice], bug: Option<Bug>, wrong: &str) -> String {
    let story = catch_unwind(AssertUnwindSafe(|| {
        let mut history = History::new(situation, bug);
        history.story = Some(Vec::new());
        choices[..choices.len().saturating_sub(1)]
            .iter()
            .for_each(|&choice| history.take(choice));
        history.story.take().unwrap_or_default()
    }));
    let story = story.unwrap_or_default().join("\n  ");
    let last = choices.last();
    format!("{}:\n  {story}\n  {last:?}\n{wrong}", situation.name)
}
