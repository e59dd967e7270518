//! What holds of records, segments and bodies that left memory.

use crate::node::Node;

/// What is counted of the log is what the jobs say.
pub(crate) fn check(node: &Node) {
    let logged = node.jobs.iter();
    let logged = logged.filter(|(_, job)| job.segment >= node.segments.oldest());
    let (live, bytes) = logged.fold((0, 0), |(live, bytes), (key, job)| {
        (
            live + 1,
            bytes + node.recorded_bytes(job, node.jobs.extras_len(key)),
        )
    });
    assert_eq!(node.segments.live(), live, "live records are counted");
    assert_eq!(node.segments.live_bytes(), bytes, "so are their bytes");
    let (mut bytes, mut spilled) = (0, (0, 0));
    for (_, job) in node.jobs.iter() {
        if let Some(at) = job.body.spilled_to() {
            spilled = (spilled.0 + 1, spilled.1 + job.body.len());
            let place = (job.segment, job.offset);
            assert_eq!((at.segment, at.offset), place, "{}: its record", job.id);
            assert!(at < node.spilling.readable, "{} can be read", job.id);
        } else {
            bytes += job.body.memory();
        }
    }
    assert_eq!(bytes, node.body_bytes, "the bytes of bodies are counted");
    let counted = (node.spilling.jobs, node.spilling.bytes);
    assert_eq!(spilled, counted, "bodies that left memory are counted");
}
