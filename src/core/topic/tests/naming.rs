//! Named cursors: at one node, over restarts, and at nodes that did not hear of each other.

use std::time::Duration;

use super::bench::{Answer, Bench, read, shown, zero};
use crate::command::{Command, Reply, Wait};
use crate::extras::Extras;
use crate::id::{ClientId, Ticket};
use crate::tests::shoal::Shoal;
use crate::topic::{
    Cursor, Follow, Misread, NamedView, Publish, Read, Start, Told, TopicCommand, TopicPage,
    TopicRefusal, TopicReply,
};

const NAME: &[u8] = b"reader";

fn named(first: Start) -> Start {
    Start::Named(NAME.into(), Box::new(first))
}

fn bodies(page: &TopicPage) -> Vec<String> {
    page.told.iter().map(shown).collect()
}

/// Reads a page under the name: the bodies, and the cursor behind them.
fn read_as(bench: &mut Bench, pattern: &str, count: u64) -> (Vec<String>, Cursor) {
    bench.read_from(named(zero()), pattern, count)
}

fn commit(bench: &mut Bench, cursor: &Cursor) -> Answer {
    let cursor = cursor.clone();
    let reply = bench.ask(1, TopicCommand::Commit { name: NAME, cursor });
    reply.expect("a commit is answered at once")
}

fn set(bench: &mut Bench, start: Start) {
    let reply = bench.ask(1, TopicCommand::SetCursor { name: NAME, start });
    assert_eq!(reply, Some(Ok(TopicReply::Done)));
}

fn view(bench: &mut Bench) -> Option<NamedView> {
    match bench.ask(1, TopicCommand::NamedCursor(NAME)) {
        Some(Ok(TopicReply::Named(view))) => view.map(|view| *view),
        other => panic!("{other:?}"),
    }
}

fn filled() -> Bench {
    let mut bench = Bench::new();
    for number in 0..10 {
        bench.publish("a", &number.to_string());
    }
    bench
}

#[test]
fn a_named_reader_goes_on_from_what_was_committed() {
    let mut bench = filled();
    let (first, cursor) = read_as(&mut bench, "*", 4);
    assert_eq!(first, ["0", "1", "2", "3"]);
    let again = read_as(&mut bench, "*", 4).0;
    assert_eq!(again, first, "reading commits nothing");
    assert_eq!(commit(&mut bench, &cursor), Ok(TopicReply::Done));
    assert_eq!(read_as(&mut bench, "*", 2).0, ["4", "5"]);
    bench.restart();
    assert_eq!(read_as(&mut bench, "*", 100).0.len(), 6);
    let names = bench.ask(1, TopicCommand::Cursors);
    assert_eq!(names, Some(Ok(TopicReply::Names(vec![NAME.into()]))));
    assert_eq!(bench.node.topic_figures().cursors, 1);
}

#[test]
fn the_start_beside_a_name_counts_at_its_first_use_alone() {
    let mut bench = filled();
    let (page, _) = bench.read_from(named(Start::Last(3)), "*", 100);
    assert_eq!(page, ["7", "8", "9"]);
    let (page, _) = bench.read_from(named(zero()), "*", 100);
    assert_eq!(page, ["7", "8", "9"]);
}

#[test]
fn a_name_reads_the_patterns_of_its_first_use() {
    let mut bench = filled();
    let both = |first, second| {
        let mut both = Read {
            start: named(zero()),
            patterns: vec![first, second],
            to: None,
            count: 1,
            bytes: 1 << 20,
            wait: Wait::No,
            meta: false,
        };
        both.patterns.dedup();
        TopicCommand::Read(both)
    };
    bench.ask(2, both(b"b", b"a"));
    let in_another_order = bench.ask(2, both(b"a", b"b"));
    assert!(matches!(in_another_order, Some(Ok(TopicReply::Page(_)))));
    let misread = TopicReply::Misread(Misread {
        name: NAME.into(),
        reads: vec![b"a"[..].into(), b"b"[..].into()],
        not: vec![b"*"[..].into()],
    });
    let reply = bench.ask(2, read(named(zero()), "*", 1, Wait::No));
    assert_eq!(reply, Some(Ok(misread.clone())));
    let follow = TopicCommand::Follow(Follow {
        start: named(Start::Now),
        patterns: vec![b"*"],
        meta: false,
    });
    assert_eq!(bench.ask(3, follow), Some(Ok(misread)));
    assert_eq!(bench.node.subscription_count(ClientId(3)), 0);
}

#[test]
fn a_commit_never_moves_back_and_one_that_changes_nothing_records_nothing() {
    let mut bench = filled();
    let (_, early) = read_as(&mut bench, "*", 2);
    let (_, late) = read_as(&mut bench, "*", 8);
    assert_eq!(commit(&mut bench, &late), Ok(TopicReply::Done));
    bench.advance(50);
    assert_eq!(commit(&mut bench, &early), Ok(TopicReply::Done));
    assert_eq!(read_as(&mut bench, "*", 100).0, ["8", "9"]);
    let view = view(&mut bench).expect("it is there");
    assert_eq!((view.behind, view.committed_ms_ago), (2, Some(50)));
    assert_eq!(view.cursor, late);
}

#[test]
fn a_rewind_is_not_undone_by_a_commit_of_before() {
    let mut bench = filled();
    let (_, cursor) = read_as(&mut bench, "*", 8);
    set(&mut bench, zero());
    let stale = Err(TopicRefusal::StaleCursor.into());
    assert_eq!(commit(&mut bench, &cursor), stale);
    bench.restart();
    assert_eq!(commit(&mut bench, &cursor), stale);
    let (page, fresh) = read_as(&mut bench, "*", 3);
    assert_eq!(page, ["0", "1", "2"]);
    assert_eq!(commit(&mut bench, &fresh), Ok(TopicReply::Done));
    // A cursor that says nothing of an epoch counts as of this one.
    let plain = cursor.in_epoch(None);
    assert_eq!(commit(&mut bench, &plain), Ok(TopicReply::Done));
    assert_eq!(read_as(&mut bench, "*", 100).0, ["8", "9"]);
    set(&mut bench, Start::Now);
    assert_eq!(read_as(&mut bench, "*", 100).0, Vec::<String>::new());
    assert_eq!(view(&mut bench).expect("it is there").behind, 0);
}

#[test]
fn a_read_that_waits_over_a_rewind_hands_out_a_stale_cursor() {
    let mut bench = filled();
    let (_, cursor) = read_as(&mut bench, "*", 100);
    commit(&mut bench, &cursor).expect("it is fresh");
    let waiting = bench.send(2, read(named(zero()), "*", 10, Wait::Forever));
    bench.settle();
    set(&mut bench, zero());
    bench.publish("a", "new");
    let Some(Ok(TopicReply::Page(page))) = bench.answer(waiting) else {
        panic!("there is something");
    };
    assert_eq!(bodies(&page), ["new"]);
    let stale = Err(TopicRefusal::StaleCursor.into());
    assert_eq!(commit(&mut bench, &page.cursor), stale);
}

#[test]
fn a_name_that_was_deleted_begins_again() {
    let mut bench = filled();
    let unknown = Err(TopicRefusal::UnknownCursor.into());
    assert_eq!(commit(&mut bench, &Cursor::default()), unknown);
    assert_eq!(bench.count(TopicCommand::DeleteCursor(NAME)), 0);
    let (_, cursor) = read_as(&mut bench, "*", 8);
    assert_eq!(bench.count(TopicCommand::DeleteCursor(NAME)), 1);
    assert_eq!(bench.count(TopicCommand::DeleteCursor(NAME)), 0);
    assert_eq!(view(&mut bench), None);
    let stale = Err(TopicRefusal::StaleCursor.into());
    assert_eq!(commit(&mut bench, &cursor), stale);
    assert_eq!(commit(&mut bench, &cursor.clone().in_epoch(None)), unknown);
    bench.restart();
    assert_eq!(read_as(&mut bench, "a", 100).0.len(), 10);
    assert_eq!(commit(&mut bench, &cursor), stale);
    assert_eq!(view(&mut bench).expect("it is there").behind, 10);
}

#[test]
fn a_subscription_under_a_name_gets_cursors_to_commit() {
    let mut bench = filled();
    bench.follow(3, named(Start::Last(2)), "*");
    bench.drain();
    bench.publish("a", "live");
    let texts = bench.pushes.iter().map(|(_, push)| push.cursor.clone());
    let texts: Vec<_> = texts.collect();
    assert_eq!(bench.told(3), ["8", "9", "live"]);
    for text in [&texts[0], &texts[2]] {
        let cursor = Cursor::parse(text.as_bytes()).expect("a cursor");
        assert_eq!(cursor.epoch(), Some(1));
        assert_eq!(commit(&mut bench, &cursor), Ok(TopicReply::Done));
    }
    assert_eq!(view(&mut bench).expect("it is there").behind, 0);
    set(&mut bench, zero());
    bench.publish("a", "more");
    let text = bench.pushes[0].1.cursor.clone();
    let cursor = Cursor::parse(text.as_bytes()).expect("a cursor");
    let stale = Err(TopicRefusal::StaleCursor.into());
    assert_eq!(commit(&mut bench, &cursor), stale);
}

#[test]
fn a_cursor_of_an_epoch_to_come_is_not_believed() {
    let mut bench = filled();
    let (_, cursor) = read_as(&mut bench, "*", 8);
    let ahead = Err(TopicRefusal::CursorAhead.into());
    assert_eq!(commit(&mut bench, &cursor.in_epoch(Some(2))), ahead);
    assert_eq!(view(&mut bench).expect("it is there").behind, 10);
}

/// Each restart is another life of the node: what follows from the rest of a cursor is not kept for ever.
#[test]
fn a_name_stays_short_over_restarts() {
    let mut bench = Bench::new();
    for number in 0..100 {
        bench.publish("a", &number.to_string());
        let (page, cursor) = read_as(&mut bench, "*", 100);
        assert_eq!(page, [number.to_string()]);
        assert_eq!(commit(&mut bench, &cursor), Ok(TopicReply::Done));
        bench.restart();
    }
    let cursor = view(&mut bench).expect("it is there").cursor;
    assert!(cursor.cut().len() <= 2, "{cursor}");
}

#[test]
fn what_is_far_behind_is_counted_about() {
    let mut bench = Bench::new();
    read_as(&mut bench, "a*", 1);
    for number in 0..15_000 {
        bench.publish(["a", "b", "a.x"][number % 3], "x");
    }
    let behind = view(&mut bench).expect("it is there").behind;
    assert!((10_000..=10_512).contains(&behind), "{behind}");
}

#[test]
fn there_are_at_most_10000_names() {
    let mut bench = Bench::new();
    let mut answer = None;
    for number in 0..=10_000_u32 {
        let name = number.to_be_bytes()[..].into();
        let start = Start::Named(name, Box::new(Start::Now));
        answer = bench.ask(2, read(start, "*", 1, Wait::No));
    }
    let refusal = TopicRefusal::TooManyCursors.into();
    assert_eq!(answer, Some(Err(refusal)));
}

fn topic(command: TopicCommand<'_>) -> Command<'_> {
    Command::Topic(Box::new(command))
}

fn run(shoal: &mut Shoal, seat: usize, command: TopicCommand<'_>) -> TopicReply {
    match shoal.run(seat, topic(command)) {
        Reply::Topic(reply) => *reply,
        other => panic!("{other:?}"),
    }
}

fn put(shoal: &mut Shoal, seat: usize, body: &str) {
    let publish = Publish {
        channel: b"a",
        body: body.as_bytes(),
        replicate: Some(1),
        timeout: Some(Duration::from_secs(5)),
        is_async: true,
        dedup: None,
        extras: Extras::NONE,
    };
    run(shoal, seat, TopicCommand::Publish(publish));
    shoal.advance_ms(3000);
}

fn read_at(shoal: &mut Shoal, seat: usize, count: u64) -> (Vec<String>, Cursor) {
    let read = read(named(zero()), "*", count, Wait::No);
    let ticket = shoal.send(seat, 2, topic(read));
    shoal.advance(4);
    let Some(Reply::Topic(reply)) = shoal.answer(seat, ticket) else {
        panic!("{:?}", shoal.answer(seat, ticket));
    };
    let TopicReply::Page(page) = &**reply else {
        panic!("{reply:?}");
    };
    let told = page.told.iter().map(|told| match told {
        Told::Entry(entry, _) => String::from_utf8_lossy(entry.body.as_bytes()).into_owned(),
        Told::Lost(..) | Told::Unread(_) => panic!("{told:?}"),
    });
    (told.collect(), page.cursor.clone())
}

fn commit_at(shoal: &mut Shoal, seat: usize, cursor: Cursor) -> Reply {
    shoal.run(seat, topic(TopicCommand::Commit { name: NAME, cursor }))
}

fn done() -> Reply {
    Reply::Topic(Box::new(TopicReply::Done))
}

fn agree(shoal: &Shoal) {
    let digests: Vec<u64> = (0..3).map(|s| shoal.node(s).shared.digest()).collect();
    assert!(digests.iter().all(|d| *d == digests[0]), "{digests:?}");
}

/// Three nodes, a name that all know, and then node 2 alone.
fn parted() -> Shoal {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    put(&mut shoal, 0, "0");
    assert_eq!(read_at(&mut shoal, 0, 100).0, ["0"]);
    shoal.cut(0, 2);
    shoal.cut(1, 2);
    shoal.advance(5);
    shoal
}

#[test]
fn commits_at_two_sides_are_merged_whichever_comes_first() {
    for order in [[0, 2], [2, 0]] {
        let mut shoal = parted();
        for seat in order {
            put(&mut shoal, seat, "new");
        }
        for seat in order {
            let (page, cursor) = read_at(&mut shoal, seat, 100);
            assert_eq!(page, ["0", "new"], "what its side has");
            if seat == 2 {
                commit_cut_off(&mut shoal, seat, cursor);
            } else {
                assert_eq!(commit_at(&mut shoal, seat, cursor), done());
            }
        }
        shoal.mend();
        shoal.advance(10);
        agree(&shoal);
        for seat in 0..3 {
            let (rest, _) = read_at(&mut shoal, seat, 100);
            assert_eq!(rest, Vec::<String>::new(), "either side has read it");
        }
    }
}

/// A node without others commits: its client hears that nobody else has it yet.
fn commit_cut_off(shoal: &mut Shoal, seat: usize, cursor: Cursor) {
    let ticket = send_commit(shoal, seat, cursor);
    shoal.advance_ms(4_900);
    assert_eq!(shoal.answer(seat, ticket), None);
    shoal.advance_ms(200);
    let pending = Reply::Refused(TopicRefusal::CommitPending.into());
    assert_eq!(shoal.answer(seat, ticket), Some(&pending));
}

fn send_commit(shoal: &mut Shoal, seat: usize, cursor: Cursor) -> Ticket {
    let commit = TopicCommand::Commit { name: NAME, cursor };
    shoal.send(seat, 8, Command::Topic(Box::new(commit)))
}

#[test]
fn a_commit_that_was_answered_outlives_its_node() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    put(&mut shoal, 0, "0");
    let (_, cursor) = read_at(&mut shoal, 0, 100);
    assert_eq!(commit_at(&mut shoal, 0, cursor), done());
    shoal.kill(0);
    for seat in [1, 2] {
        let (rest, _) = read_at(&mut shoal, seat, 100);
        assert_eq!(rest, Vec::<String>::new(), "it was read");
    }
}

#[test]
fn a_commit_is_answered_when_those_are_back_who_are_to_have_it() {
    let mut shoal = parted();
    put(&mut shoal, 2, "new");
    let (_, cursor) = read_at(&mut shoal, 2, 100);
    let ticket = send_commit(&mut shoal, 2, cursor);
    shoal.advance(2);
    assert_eq!(shoal.answer(2, ticket), None);
    shoal.mend();
    shoal.advance(2);
    assert_eq!(shoal.answer(2, ticket), Some(&done()));
    for seat in 0..3 {
        let (rest, _) = read_at(&mut shoal, seat, 100);
        assert_eq!(rest, Vec::<String>::new());
    }
}

#[test]
fn a_rewind_at_one_side_wins_over_commits_at_the_other() {
    let mut shoal = parted();
    let (_, before) = read_at(&mut shoal, 2, 100);
    let start = zero();
    run(&mut shoal, 0, TopicCommand::SetCursor { name: NAME, start });
    commit_cut_off(&mut shoal, 2, before.clone());
    shoal.mend();
    shoal.advance(10);
    agree(&shoal);
    for seat in 0..3 {
        let stale = Reply::Refused(TopicRefusal::StaleCursor.into());
        assert_eq!(commit_at(&mut shoal, seat, before.clone()), stale);
        assert_eq!(read_at(&mut shoal, seat, 100).0, ["0"]);
    }
}

/// Node 1 has not heard of the name that node 0 made a moment ago, and makes it, too.
#[test]
fn a_name_that_two_nodes_make_at_once_is_one_name() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    put(&mut shoal, 0, "0");
    shoal.cut(0, 1);
    let (_, cursor) = read_at(&mut shoal, 0, 100);
    shoal.cut(1, 2);
    shoal.advance(5);
    assert_eq!(commit_at(&mut shoal, 0, cursor.clone()), done());
    read_at(&mut shoal, 1, 100);
    shoal.mend();
    shoal.advance(10);
    agree(&shoal);
    for seat in 0..3 {
        let (rest, _) = read_at(&mut shoal, seat, 100);
        assert_eq!(rest, Vec::<String>::new());
        assert_eq!(commit_at(&mut shoal, seat, cursor.clone()), done());
    }
}

/// A node that was away hears of commits and of names that are gone.
#[test]
fn a_node_that_was_away_learns_what_was_committed() {
    let mut shoal = Shoal::new(3);
    shoal.advance(3);
    put(&mut shoal, 0, "0");
    read_at(&mut shoal, 0, 100);
    shoal.kill(2);
    let (_, cursor) = read_at(&mut shoal, 0, 100);
    assert_eq!(commit_at(&mut shoal, 1, cursor), done());
    shoal.start(2);
    shoal.advance(10);
    agree(&shoal);
    assert_eq!(read_at(&mut shoal, 2, 100).0, Vec::<String>::new());
    let reply = run(&mut shoal, 2, TopicCommand::DeleteCursor(NAME));
    assert_eq!(reply, TopicReply::Count(1));
    shoal.advance(1);
    let reply = run(&mut shoal, 0, TopicCommand::Cursors);
    assert_eq!(reply, TopicReply::Names(Vec::new()));
}
