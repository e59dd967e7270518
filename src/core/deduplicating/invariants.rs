//! What holds of keys between any two events.

use crate::adding::Producer;
use crate::deduplicating::adds::KeyedAdd;
use crate::node::Node;

/// A claim of this node belongs to one of its adds, and an add that waits for copies has its job.
pub(crate) fn check(node: &Node) {
    let dedups = &node.dedups;
    for number in dedups.claims.own() {
        let add = dedups.adds.get(&number);
        let claims_here = add.is_some_and(KeyedAdd::claims_here);
        assert!(claims_here, "the claim of add {number} belongs to nobody");
    }
    let bytes = dedups.adds.values().map(KeyedAdd::bytes).sum::<usize>();
    assert_eq!(dedups.bytes, bytes, "what adds of keys take");
    let adding = dedups.adds.iter().filter(|(_, add)| add.is_adding());
    let adding: Vec<u64> = adding.map(|(&number, _)| number).collect();
    let mut pending: Vec<u64> = Vec::new();
    for producer in node.replications.producers() {
        if let Producer::Keyed(_, number) = producer {
            pending.push(number);
        }
    }
    pending.sort_unstable();
    assert_eq!(
        adding, pending,
        "adds of keys, and jobs that wait for copies"
    );
}
