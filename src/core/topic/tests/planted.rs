//! Broken rules: random histories find each of them, so they would find such a mistake in the real ones.

use super::random::run;
use crate::topic::Bug;

/// How many histories a bug may take.
const HISTORIES: u64 = 4000;

#[test]
fn random_histories_find_every_broken_rule() {
    let mut unseen = Vec::new();
    for bug in Bug::ALL {
        match (0..HISTORIES).find_map(|seed| Some((seed, run(seed, Some(bug)).err()?))) {
            Some((seed, what)) => {
                let what = what.split('{').next().unwrap_or_default();
                println!("{bug:?}: seed {seed}: {what}");
            }
            None => unseen.push(bug),
        }
    }
    assert!(unseen.is_empty(), "nobody found {unseen:?}");
}
