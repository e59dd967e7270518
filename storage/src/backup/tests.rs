use shoalmq_core::id::JobId;
use shoalmq_core::job::Body;
use shoalmq_core::record::{JobRecord, Record, Stream};
use shoalmq_core::topic::{Origin, OriginNode, TopicRecord};

use super::*;
use crate::TornTail;
use crate::journal::{Options, Policy};

const KINDS: [StorageKind; 2] = [StorageKind::Sled, StorageKind::Log];

fn job(number: u8, bytes: usize) -> Record {
    Record::Added(Box::new(JobRecord {
        id: JobId::from_bytes([number; 24]),
        body: Body::new(&vec![number; bytes]),
        ..JobRecord::sample()
    }))
}

/// A record of topics.
fn life(start: u64) -> Record {
    Record::Topic(TopicRecord::Life(Origin::new(OriginNode::new(1), start)))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// What a log holds, and a journal that goes on with it.
fn open(kind: StorageKind, dir: &Path) -> (Vec<(Segment, Record)>, Journal) {
    let mut found = Vec::new();
    let mut store = Store::open(kind, dir).expect("the folder is free");
    let visit = |at: shoalmq_core::record::Location, record| found.push((at.segment, record));
    let loaded = store
        .load(TornTail::Cut, visit, |_| {})
        .expect("a whole log");
    let options = Options {
        policy: Policy::EverySecond,
        segment_bytes: 1000,
        after: Position(0),
    };
    let segments = loaded.map(|loaded| loaded.last_segment.map_or(1, |last| last + 1));
    let backends = store.into_backends();
    let journal = Journal::start(backends, segments, options, Box::new(|_| {}));
    (found, journal.expect("a thread"))
}

/// Rolls, as a node does: the next segment begins with a record.
fn begin(journal: &Journal, kind: StorageKind, dir: &Path) -> Backup {
    let below = Streams::each(|stream| journal.roll(stream));
    journal.append(&job(250, 10));
    Backup::begin(journal, kind, dir, below)
}

#[test]
fn a_copy_holds_what_lies_before_the_roll_of_this_journal_and_of_earlier_ones() {
    for kind in KINDS {
        let (dir, copy) = (folder(), folder());
        let (_, former) = open(kind, dir.path());
        former.append(&job(1, 10));
        former.append(&job(2, 3 << 20));
        former.stop().expect("the disk works");
        let (_, journal) = open(kind, dir.path());
        for number in 3..200 {
            journal.append(&job(number, 5000));
        }
        let backup = begin(&journal, kind, dir.path());
        journal.append(&job(200, 10));
        let mut shares = Vec::new();
        let count = backup
            .copy(copy.path(), 0, &mut |copied, total| {
                shares.push((copied, total));
            })
            .expect("the disk works");
        assert!(count >= 199, "{count}");
        assert!(shares.last().is_some_and(|(copied, total)| copied == total));
        let (found, _) = open(kind, copy.path());
        assert_eq!(found[..2], [(1, job(1, 10)), (1, job(2, 3 << 20))]);
        let numbers = (3..200).map(|number| (2, job(number, 5000)));
        assert!(found[2..199].iter().cloned().eq(numbers));
    }
}

#[test]
fn segments_that_are_given_up_meanwhile_are_copied_and_then_dropped() {
    for kind in KINDS {
        let (dir, copy) = (folder(), folder());
        let (_, journal) = open(kind, dir.path());
        journal.append(&job(1, 10));
        let backup = begin(&journal, kind, dir.path());
        journal.retire(Stream::Jobs, 2);
        journal.append(&job(2, 10));
        journal.sync_now().expect("the disk works");
        backup
            .copy(copy.path(), 0, &mut |_, _| {})
            .expect("it is still there");
        assert_eq!(open(kind, copy.path()).0[0], (1, job(1, 10)));
        journal.stop().expect("the disk works");
        let (found, _) = open(kind, dir.path());
        assert_eq!(found, [(2, job(250, 10)), (2, job(2, 10))]);
    }
}

#[test]
fn a_copy_is_whole_however_many_segments_follow_before_it_begins() {
    for kind in KINDS {
        let (dir, copy) = (folder(), folder());
        let (_, journal) = open(kind, dir.path());
        journal.append(&job(1, 10));
        let backup = begin(&journal, kind, dir.path());
        for number in 2..5 {
            journal.roll(Stream::Jobs);
            journal.append(&job(number, 10));
            journal.sync_now().expect("the disk works");
        }
        backup
            .copy(copy.path(), 0, &mut |_, _| {})
            .expect("what follows is not missed");
        let (found, _) = open(kind, copy.path());
        assert_eq!(found[0], (1, job(1, 10)));
        assert!(found.iter().all(|(_, record)| *record != job(4, 10)));
    }
}

#[test]
fn segments_are_dropped_while_a_copy_is_looked_through() {
    let (dir, copy) = (folder(), folder());
    let (_, journal) = open(StorageKind::Log, dir.path());
    journal.append(&job(1, 10));
    let backup = begin(&journal, StorageKind::Log, dir.path());
    journal.append(&job(2, 10));
    journal.retire(Stream::Jobs, 2);
    let first = Path::new("log/000000000001.log");
    let mut told = 0;
    backup
        .copy(copy.path(), 0, &mut |copied, total| {
            told += 1;
            if copied == total {
                journal.sync_now().expect("the disk works");
                let began = std::time::Instant::now();
                while dir.path().join(first).exists() {
                    assert!(began.elapsed().as_secs() < 20, "it is dropped");
                    std::thread::yield_now();
                }
            }
        })
        .expect("the copy has a name of its own for it");
    assert!(told > 1);
    assert!(copy.path().join(first).exists());
}

#[test]
fn closed_files_of_the_log_are_not_copied_where_a_second_name_will_do() {
    let (dir, copy) = (folder(), folder());
    let (_, journal) = open(StorageKind::Log, dir.path());
    journal.append(&job(1, 10));
    begin(&journal, StorageKind::Log, dir.path())
        .copy(copy.path(), 0, &mut |_, _| {})
        .expect("the disk works");
    let inode = |folder: &Path, segment| {
        let file = folder.join(format!("log/{segment:012}.log"));
        fs::metadata(file).expect("it is there").ino()
    };
    assert_eq!(inode(dir.path(), 1), inode(copy.path(), 1));
    assert_ne!(inode(dir.path(), 2), inode(copy.path(), 2));
}

#[test]
fn a_copy_that_would_fill_the_disk_is_refused_before_it_begins() {
    for kind in KINDS {
        let (dir, copy) = (folder(), folder());
        let (_, journal) = open(kind, dir.path());
        journal.append(&job(1, 10));
        let reserve = u64::MAX / 2;
        let refused = begin(&journal, kind, dir.path()).copy(copy.path(), reserve, &mut |_, _| {});
        let error = refused.expect_err("no disk is that large");
        assert!(matches!(error, BackupError::NoRoom { .. }), "{error}");
        assert!(error.to_string().contains("another disk"), "{error}");
        assert_eq!(fs::read_dir(copy.path()).expect("a folder").count(), 0);
    }
}

#[test]
fn a_copy_holds_the_topics_also_when_none_follow() {
    for kind in KINDS {
        for follows in [false, true] {
            let (dir, copy) = (folder(), folder());
            let (_, journal) = open(kind, dir.path());
            journal.append(&job(1, 10));
            for start in 0..100 {
                journal.append(&life(start));
            }
            let backup = begin(&journal, kind, dir.path());
            if follows {
                journal.append(&life(100));
                journal.sync_now().expect("the disk works");
            }
            let count = backup
                .copy(copy.path(), 0, &mut |_, _| {})
                .expect("the disk works");
            assert!(count >= 101, "{count}");
            let (found, copied) = open(kind, copy.path());
            let topics = found
                .into_iter()
                .filter(|(_, record)| record.stream() == Stream::Topics);
            let topics: Vec<_> = topics.take(100).collect();
            assert!(topics == (0..100).map(|start| (1, life(start))).collect::<Vec<_>>());
            // Both logs go on.
            for journal in [journal, copied] {
                journal.append(&life(200));
                journal.stop().expect("the disk works");
            }
            for dir in [dir, copy] {
                let (found, _) = open(kind, dir.path());
                assert_eq!(found.last().map(|(_, record)| record), Some(&life(200)));
            }
        }
    }
}

#[test]
fn where_nothing_was_published_no_topics_are_copied() {
    for kind in KINDS {
        let (dir, copy) = (folder(), folder());
        let (_, journal) = open(kind, dir.path());
        journal.append(&job(1, 10));
        begin(&journal, kind, dir.path())
            .copy(copy.path(), 0, &mut |_, _| {})
            .expect("the disk works");
        for dir in [&dir, &copy] {
            assert!(!kind.has_stream(dir.path(), Stream::Topics));
        }
    }
}
