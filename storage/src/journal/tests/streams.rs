//! Both streams in one journal: what each does by itself, and the one count of positions.

use super::*;

/// A record of the stream of topics.
fn end(number: u64) -> Record {
    let origin = Origin::new(OriginNode::new(7), number);
    Record::Topic(TopicRecord::Life(origin))
}

#[test]
fn each_stream_has_its_own_records_segments_and_places() {
    for policy in [Policy::Always, Policy::EverySecond, Policy::No] {
        let (jobs, topics) = (Puppet::default(), Puppet::default());
        let (journal, _progress) = start_both(&jobs, &topics, policy);
        let (mut of_jobs, mut of_topics) = (Vec::new(), Vec::new());
        let mut segments = Streams { jobs: 1, topics: 1 };
        for number in 0..100 {
            let mut writer = journal.writer();
            for place in [Stream::Jobs, Stream::Topics].map(|stream| writer.location(stream)) {
                assert!(place.offset < 1500, "{place}");
            }
            writer.push(&end(number));
            writer.push(&record(number as u8));
            writer.push(&end(number + 1000));
            drop(writer);
            of_topics.push((segments.topics, end(number)));
            of_topics.push((segments.topics, end(number + 1000)));
            of_jobs.push((segments.jobs, record(number as u8)));
            for stream in STREAMS {
                if journal.load().segment_is_full[stream] {
                    segments[stream] = journal.roll(stream);
                }
            }
        }
        assert_eq!(journal.position(), Position(300));
        journal.stop().expect("nothing is wrong");
        assert!(segments.topics > 2 && segments.jobs > 2, "{segments:?}");
        assert_eq!(jobs.records(), of_jobs);
        assert_eq!(topics.topic_records(), of_topics);
        let progress = journal.progress();
        assert_eq!(progress.written, Position(300));
        assert_eq!(progress.synced, Position(300));
        let written = journal.stats().written_bytes;
        let held = [jobs, topics].map(|puppet| puppet.memory.stats().disk_bytes);
        assert_eq!(written, held.iter().sum::<u64>());
    }
}

#[test]
fn a_position_is_reached_when_both_streams_have_all_up_to_there() {
    let (jobs, topics) = (Puppet::default(), Puppet::default());
    let gate = topics.gated();
    let (journal, progress) = start_both(&jobs, &topics, Policy::Always);
    let mut writer = journal.writer();
    let first = writer.push(&record(1));
    let second = writer.push(&end(2));
    let third = writer.push(&record(3));
    drop(writer);
    let told = wait_for(&progress, |told| told.synced >= first);
    assert_eq!((told.written, told.synced), (first, first));
    assert_eq!(told.readable.topics, Location::new(1, 0));
    gate.send(()).expect("the daemon waits for it");
    let told = wait_for(&progress, |told| told.synced > first);
    assert_eq!((told.written, told.synced), (third, third));
    assert!(second < third && told.readable.topics > Location::new(1, 0));
    drop(gate);
    *topics.gate.lock() = None;
}

#[test]
fn what_is_asked_for_is_synced_soon_whatever_the_policy() {
    let (jobs, topics) = (Puppet::default(), Puppet::default());
    let (journal, progress) = start_both(&jobs, &topics, Policy::No);
    let mut writer = journal.writer();
    let position = writer.push(&end(1));
    writer.push(&record(2));
    drop(writer);
    let began = Instant::now();
    journal.sync_soon(position);
    wait_for(&progress, |told| told.synced >= position);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(topics.calls(), [Call::Append(1), Call::Sync]);
}

#[test]
fn a_stream_that_cannot_be_written_holds_up_itself_alone() {
    let (jobs, topics) = (Puppet::default(), Puppet::default());
    topics.orders.lock().full_appends = u32::MAX;
    let (journal, progress) = start_both(&jobs, &topics, Policy::No);
    journal.append(&record(1));
    journal.roll(Stream::Jobs);
    journal.append(&end(2));
    wait_for(&progress, |told| told.fault.is_some());
    // Space is freed meanwhile, behind records that come after the stuck one.
    journal.append(&record(3));
    journal.retire(Stream::Jobs, 2);
    let began = Instant::now();
    while !jobs.calls().contains(&Call::Retire(2)) {
        assert!(began.elapsed() < Duration::from_secs(20), "it is dropped");
        wait_for(&progress, |told| told.fault.is_some() && !told.fatal);
    }
    let told = journal.progress();
    assert_eq!((told.written, told.synced), (Position(1), Position(1)));
    assert_eq!(jobs.records(), [(2, record(3))]);
    topics.orders.lock().full_appends = 0;
    let told = wait_for(&progress, |told| told.fault.is_none());
    assert_eq!(told.synced, Position(3));
    assert_eq!(topics.topic_records(), [(1, end(2))]);
}

#[test]
fn a_segment_that_begins_waits_for_its_own_stream_alone() {
    let (jobs, topics) = (Puppet::default(), Puppet::default());
    let (journal, progress) = start_both(&jobs, &topics, Policy::No);
    let mut writer = journal.writer();
    writer.push(&record(1));
    writer.push(&end(1));
    drop(writer);
    assert_eq!(journal.roll(Stream::Topics), 2);
    let position = journal.append(&end(2));
    wait_for(&progress, |told| told.written == position);
    assert_eq!(
        topics.calls(),
        [Call::Append(1), Call::Sync, Call::Append(2)]
    );
    assert_eq!(jobs.calls(), [Call::Append(1)]);
    drop(journal);
}

#[test]
fn a_segment_is_dropped_once_what_came_before_is_synced_in_both_streams() {
    let (jobs, topics) = (Puppet::default(), Puppet::default());
    let gate = jobs.gated();
    let (journal, _progress) = start_both(&jobs, &topics, Policy::No);
    journal.append(&end(1));
    journal.sync_now().expect("nothing is wrong");
    journal.roll(Stream::Topics);
    journal.append(&record(2));
    journal.retire(Stream::Topics, 2);
    assert_eq!(topics.calls(), [Call::Append(1), Call::Sync]);
    gate.send(()).expect("the daemon waits for it");
    journal.stop().expect("nothing is wrong");
    assert_eq!(jobs.calls(), [Call::Append(1), Call::Sync]);
    assert_eq!(
        topics.calls(),
        [Call::Append(1), Call::Sync, Call::Retire(2)]
    );
}

#[test]
fn a_failed_sync_of_either_stream_ends_all_writing() {
    let (jobs, topics) = (Puppet::default(), Puppet::default());
    topics.orders.lock().broken_syncs = 1;
    let (journal, progress) = start_both(&jobs, &topics, Policy::Always);
    journal.append(&end(1));
    wait_for(&progress, |told| told.fatal);
    let later = journal.append(&record(2));
    assert!(journal.flush(later).is_err());
    assert!(journal.stop().is_err());
    assert_eq!(jobs.calls(), []);
}
