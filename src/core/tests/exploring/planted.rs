//! The exploration finds bugs: each of these is planted into all nodes, and leads to something wrong within a few steps.

use super::history::Situation;
use super::search::explore;
use super::situations;
use crate::planted::Bug;

/// The first history with a bug at whose end something is wrong.
fn finds(bug: Bug, situation: &Situation, steps: usize) -> Option<String> {
    let found = explore(situation, steps, Some(bug));
    println!("{bug:?}: {} histories", found.histories);
    found.violation
}

#[test]
fn which() {
    for bug in [
        Bug::RankBeforeRegister,
        Bug::EveryHolderBuries,
        Bug::UnrecordedMove,
        Bug::AckEndsWithTtl,
        Bug::MergedCounters,
        Bug::UnrecordedDelivery,
        Bug::CutWait,
        Bug::LostAck,
        Bug::SilentTurn,
    ] {
        for situation in [
            &situations::HANDED_OUT,
            &situations::TTL_ENDS,
            &situations::TTL_ENDS_APART,
            &situations::GIVEN_BACK,
            &situations::REDRIVEN,
            &situations::AWAY,
            &situations::TWO_JOBS,
        ] {
            if let Some(text) = finds(bug, situation, 3) {
                let text: Vec<&str> = text.lines().take(9).collect();
                println!("FOUND {bug:?} {}", text.join("\n"));
            }
        }
    }
}
