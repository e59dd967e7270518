//! What holds of short jobs and of the passes that look for them.

use crate::agenda::Timer;
use crate::node::Node;

/// Short jobs are counted, and whatever healing has to do next is on the agenda.
pub(crate) fn check(node: &Node) {
    let short = node.jobs.iter().filter(|(_, job)| job.short);
    assert_eq!(
        short.count(),
        node.healing.short(),
        "short jobs are counted"
    );
    for key in node.healing.keys() {
        let job = &node.jobs[key];
        assert!(job.short, "{} is healed because it is short", job.id);
    }
    assert!(
        node.healing.is_consistent(),
        "every case is looked at again"
    );
    let idle = node.healing.sweep.is_none() && node.healing.open() == 0;
    let idle = idle && node.healing.next_pass.is_none();
    let timed = node
        .healing
        .timer
        .is_some_and(|when| node.agenda.holds_timer(when, Timer::Healing));
    assert!(idle || timed, "healing goes on");
    assert!(
        node.healing.short() == node.healing.open() || !idle,
        "short jobs are looked at again"
    );
}
