//! ACKJOB, FASTACK, DELJOB.

use super::bench::{Bench, job, job_with_retry, secs};
use crate::command::Command;
use crate::id::JobId;
use crate::record::Record;

#[test]
fn an_ack_forgets_a_job_in_any_state() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 2);
    bench.take("q", 1);
    assert_eq!(bench.count(Command::ack(ids.clone())), 2);
    assert_eq!((bench.node().job_count(), bench.len("q")), (0, 0));
    assert_eq!(bench.node().total_tally().acked, 2);
    assert_eq!(bench.count(Command::ack(ids)), 0);
}

#[test]
fn an_acked_job_never_comes_back() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 1));
    bench.take("q", 1);
    bench.ack(id);
    bench.advance(1000);
    assert_eq!(bench.take("q", 1), []);
    bench.crash(secs(1));
    bench.advance(1000);
    assert_eq!(bench.take("q", 1), []);
}

#[test]
fn no_ids_are_no_jobs() {
    let mut bench = Bench::new();
    for command in [
        Command::ack,
        Command::FastAck,
        Command::DelJob,
        Command::Enqueue,
        Command::nack,
        Command::Dequeue,
    ] {
        assert_eq!(bench.count(command(Vec::new())), 0);
    }
}

#[test]
fn an_unknown_job_counts_for_nothing() {
    let mut bench = Bench::new();
    let unknown = JobId::from_bytes([1; 24]);
    for command in [
        Command::ack,
        Command::FastAck,
        Command::DelJob,
        Command::Enqueue,
        Command::nack,
        Command::Dequeue,
    ] {
        assert_eq!(bench.count(command(vec![unknown])), 0);
    }
    assert_eq!(bench.show(unknown), None);
}

#[test]
fn the_same_id_twice_counts_once() {
    let mut bench = Bench::new();
    for command in [Command::ack, Command::FastAck, Command::DelJob] {
        let id = bench.add(job("q"));
        assert_eq!(bench.count(command(vec![id, id])), 1);
    }
}

#[test]
fn fastack_and_deljob_delete_and_record_it() {
    let mut bench = Bench::new();
    for command in [Command::FastAck, Command::DelJob] {
        let id = bench.add(job("q"));
        assert_eq!(bench.count(command(vec![id])), 1);
        assert_eq!(bench.show(id), None);
        let last = bench.log().last().map(|(_, record)| record);
        assert_eq!(last, Some(&Record::Deleted(id)));
    }
    assert_eq!(bench.node().total_tally().acked, 1);
}
