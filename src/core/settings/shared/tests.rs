use proptest::prelude::*;

use super::*;

const HOUR: u64 = 3_600_000;
const WALL: u64 = 1_767_225_600_000;
const KIND: SettingKind = SettingKind(7);

fn node(number: usize) -> NodeId {
    NodeId::from_bytes([number as u8 + 1; 20])
}

/// Nodes with maps, and clocks of which each is an hour ahead of the one before.
struct World {
    maps: Vec<Shared>,
    time: u64,
    /// All that was ever written.
    written: Vec<Setting>,
}

impl World {
    fn new(nodes: usize) -> Self {
        World {
            maps: (0..nodes).map(|_| Shared::default()).collect(),
            time: WALL,
            written: Vec::new(),
        }
    }

    fn wall(&self, number: usize) -> WallTime {
        WallTime(self.time + number as u64 * HOUR)
    }

    fn write(&mut self, number: usize, name: &[u8], value: Option<&[u8]>) -> Setting {
        let change = Change {
            kind: KIND,
            name,
            value,
        };
        let wall = self.wall(number);
        let written = self.maps[number].write(wall, node(number), &[change]);
        let setting = written.expect("there is room").remove(0);
        self.written.push(setting.clone());
        setting
    }

    fn merge(&mut self, number: usize, setting: &Setting) -> bool {
        let wall = self.wall(number);
        let taken = self.maps[number].merge(wall, setting);
        self.maps[number].check();
        taken.is_some()
    }

    fn value(&self, number: usize, name: &[u8]) -> Option<&[u8]> {
        self.maps[number].value(KIND, name)
    }
}

/// A node that crashed wrote the first value, and lost it, after another node had seen it.
#[test]
fn of_two_values_with_one_version_all_nodes_keep_the_same() {
    for (first, second) in [(b"a", b"b"), (b"b", b"a")] {
        let mut world = World::new(2);
        let one = world.write(0, b"q", Some(first));
        let other = Setting {
            value: Some(Arc::from(&second[..])),
            ..one.clone()
        };
        world.merge(1, &other);
        world.merge(0, &other);
        world.merge(1, &one);
        assert_eq!(world.value(0, b"q"), world.value(1, b"q"));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, u8, Option<u8>),
    /// Something that was written at some time reaches a node, perhaps again.
    Learn(usize, prop::sample::Index),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..4_usize, 0..3_u8, prop::option::of(0..3_u8))
            .prop_map(|(at, name, value)| Step::Write(at, name, value)),
        (0..4_usize, any::<prop::sample::Index>()).prop_map(|(at, which)| Step::Learn(at, which)),
        (0..2 * HOUR).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn nodes_that_exchanged_everything_agree(
        steps in steps(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let mut world = World::new(4);
        for step in steps {
            match step {
                Step::Write(at, name, value) => {
                    let before = world.maps[at].find(KIND, &[name]).cloned();
                    let value = value.map(|value| [value]);
                    let new = world.write(at, &[name], value.as_ref().map(|value| &value[..]));
                    prop_assert_eq!(world.value(at, &[name]), value.as_ref().map(|value| &value[..]));
                    if let Some(before) = before {
                        // A node that has seen an entry can change it, and no node that knows the new one goes back.
                        prop_assert!(new.version > before.version);
                        prop_assert!(!world.merge(at, &before));
                    }
                }
                Step::Learn(at, which) if !world.written.is_empty() => {
                    let setting = which.get(&world.written).clone();
                    world.merge(at, &setting);
                }
                Step::Learn(..) => {}
                Step::Pass(ms) => world.time += ms,
            }
            for map in &world.maps {
                map.check();
            }
        }
        if world.written.is_empty() {
            return Ok(());
        }
        // Everybody hears of everything: in any order, some of it twice.
        for (at, which) in order.iter().enumerate() {
            let setting = which.get(&world.written).clone();
            world.merge(at % 4, &setting);
        }
        let mut rest = world.written.clone();
        for (at, by) in order.iter().take(4).enumerate() {
            rest.rotate_left(by.index(world.written.len()));
            for setting in rest.clone() {
                world.merge(at, &setting);
            }
        }
        let all: Vec<&Setting> = world.maps[0].all().collect();
        for map in &world.maps[1..] {
            prop_assert_eq!(map.digest(), world.maps[0].digest());
            prop_assert_eq!(map.all().collect::<Vec<_>>(), all.clone());
        }
    }
}

#[test]
fn a_clock_that_is_ahead_blocks_nobody() {
    let mut world = World::new(2);
    let ahead = world.write(1, b"q", Some(b"yes"));
    assert!(world.merge(0, &ahead));
    let behind = world.write(0, b"q", Some(b"no"));
    assert_eq!(behind.version, ahead.version + 1);
    assert!(world.merge(1, &behind));
    assert_eq!(world.value(1, b"q"), Some(&b"no"[..]));
}

#[test]
fn of_two_writes_that_did_not_see_each_other_the_greater_node_wins_a_tie() {
    let mut world = World::new(2);
    let mut first = world.write(0, b"q", Some(b"a"));
    first.version += HOUR;
    let second = world.write(1, b"q", Some(b"b"));
    assert_eq!(first.version, second.version);
    assert!(!world.merge(1, &first));
    assert!(world.merge(0, &second));
}

#[test]
fn no_older_write_brings_a_removed_entry_back() {
    let mut world = World::new(3);
    let set = world.write(0, b"q", Some(b"yes"));
    assert!(world.merge(1, &set));
    let removed = world.write(1, b"q", None);
    assert!(!world.merge(1, &set));
    // A node may hear of the removal first.
    assert!(world.merge(2, &removed));
    assert!(!world.merge(2, &set));
    assert_eq!(world.value(2, b"q"), None);
}

#[test]
fn a_removed_entry_goes_after_thirty_days_and_comes_from_nobody_again() {
    let mut world = World::new(2);
    let removed = world.write(0, b"q", None);
    world.merge(1, &removed);
    world.time += limits::SETTING_REMOVED_MS;
    for number in 0..2 {
        let wall = world.wall(number);
        world.maps[number].forget_old(wall);
        world.maps[number].check();
    }
    assert_eq!(world.maps[0].all().count(), 1, "the last moment");
    assert_eq!(world.maps[1].all().count(), 0, "its clock is ahead");
    assert!(!world.merge(1, &removed));
    // But one that is still set there ends.
    let set = Setting {
        value: Some(Arc::from(&b"yes"[..])),
        version: removed.version - 1,
        ..removed.clone()
    };
    assert!(world.merge(1, &set));
    assert!(world.merge(1, &removed));
    world.write(0, b"r", Some(b"yes"));
    world.time += 100 * limits::SETTING_REMOVED_MS;
    let wall = world.wall(0);
    world.maps[0].forget_old(wall);
    assert_eq!(world.value(0, b"r"), Some(&b"yes"[..]), "only removed ones");
}

#[test]
fn a_client_gets_no_more_entries_of_a_kind_than_there_may_be_but_a_peer_does() {
    fn change<'a>(kind: SettingKind, name: &'a [u8], value: Option<&'a [u8]>) -> Change<'a> {
        Change { kind, name, value }
    }
    let mut map = Shared::default();
    let yes = Some(&b"yes"[..]);
    for number in 0..limits::SETTINGS_OF_A_KIND {
        let name = number.to_be_bytes();
        map.write(WallTime(1), node(0), &[change(KIND, &name, yes)])
            .expect("there is room");
    }
    let other = SettingKind(8);
    let before = map.digest();
    let both = [change(other, b"new", yes), change(KIND, b"new", yes)];
    let refused = map.write(WallTime(1), node(0), &both);
    assert_eq!(refused, Err(Refusal::TooManySettings));
    assert_eq!(map.digest(), before, "all of it or nothing");
    map.write(WallTime(1), node(0), &both[..1])
        .expect("another kind");
    let known = 3_usize.to_be_bytes();
    map.write(WallTime(1), node(0), &[change(KIND, &known, None)])
        .expect("one that is there");
    let setting = Setting {
        kind: KIND,
        name: Arc::from(&b"new"[..]),
        value: None,
        node: node(1),
        ..Setting::sample()
    };
    assert!(map.merge(WallTime(1), &setting).is_some());
    map.check();
}

#[test]
fn a_client_gets_no_more_bytes_than_there_may_be() {
    fn change(value: Option<&[u8]>) -> [Change<'_>; 1] {
        [Change {
            kind: KIND,
            name: b"q",
            value,
        }]
    }
    let mut map = Shared::default();
    let big = vec![b'x'; limits::SETTINGS_BYTES];
    let refused = map.write(WallTime(1), node(0), &change(Some(&big)));
    assert_eq!(refused, Err(Refusal::TooManySettings));
    let setting = Setting {
        kind: KIND,
        name: Arc::from(&b"r"[..]),
        value: Some(big.into()),
        node: node(1),
        ..Setting::sample()
    };
    assert!(map.merge(WallTime(1), &setting).is_some());
    let refused = map.write(WallTime(1), node(0), &change(None));
    assert_eq!(refused, Err(Refusal::TooManySettings));
    let smaller = Change {
        kind: KIND,
        name: b"r",
        value: None,
    };
    map.write(WallTime(1), node(0), &[smaller])
        .expect("it makes the map smaller");
    map.write(WallTime(1), node(0), &change(Some(b"yes")))
        .expect("there is room again");
}

#[test]
fn marks_of_purges_are_merged_whatever_the_versions_say() {
    fn mark(mark: &'static str, version: u64, by: usize) -> Setting {
        Setting {
            kind: SettingKind::PURGED,
            name: Arc::from(&b"q"[..]),
            value: Some(mark.as_bytes().into()),
            version,
            node: node(by),
        }
    }
    // Each says something that those before do not.
    let mut order = [
        mark("x", 2, 1),
        mark("0a0a0a0a-2-9", 1, 1),
        mark("0a0a0a0a-1-90", 3, 2),
        mark("0a0a0a0a-2-10 0b0b0b0b-1-9", 1, 1),
        mark("0b0b0b0b-1-70", 2, 1),
        mark("0c0c0c0c-1-1", 2, 1),
        mark("0a0a0a0a-3-1", 1, 1),
        mark("", 1, 9),
    ];
    let mut maps = [Shared::default(), Shared::default()];
    for setting in &order {
        assert!(maps[0].merge(WallTime(1), setting).is_some(), "{setting:?}");
        maps[0].check();
    }
    for setting in &order {
        assert!(maps[0].merge(WallTime(1), setting).is_none(), "{setting:?}");
    }
    order.reverse();
    for setting in &order {
        maps[1].merge(WallTime(1), setting);
    }
    let merged = mark("0a0a0a0a-3-1 0b0b0b0b-1-70 0c0c0c0c-1-1", 3, 9);
    for map in &maps {
        assert_eq!(map.get(SettingKind::PURGED, b"q"), Some(&merged));
    }
}

#[test]
fn a_mark_of_a_purge_goes_after_thirty_days_and_comes_from_nobody_again() {
    let change = Change {
        kind: SettingKind::PURGED,
        name: b"q",
        value: Some(b"7"),
    };
    let mut map = Shared::default();
    let wall = WallTime(WALL);
    let written = map.write(wall, node(0), &[change]).expect("there is room");
    assert!(map.forget_old(wall).is_empty());
    let later = WallTime(WALL + limits::SETTING_REMOVED_MS + 1);
    assert_eq!(map.forget_old(later), [Arc::from(&b"q"[..])]);
    map.check();
    assert_eq!(map.digest(), 0);
    assert!(map.merge(later, &written[0]).is_none());
}

fn cursors() -> impl Strategy<Value = Setting> {
    let commits = prop::collection::vec((0..3_u32, 0..4_u64), 0..3);
    let value = prop_oneof![
        6 => (0..9_u64, commits)
            .prop_map(|(at, commits)| Some(crate::topic::sample_named_cursor(at, &commits))),
        1 => Just(None),
        1 => Just(Some(Arc::from(&b"newer"[..]))),
    ];
    (value, 1..3_u64, 0..3_usize).prop_map(|(value, version, number)| Setting {
        kind: SettingKind::TOPIC_CURSOR,
        name: Arc::from(&b"reader"[..]),
        value,
        version: WALL + version,
        node: node(number),
    })
}

proptest! {
    /// As nodes do: each tells the others what it has after every change, and all of them hear that in some order.
    #[test]
    fn nodes_agree_on_named_cursors(
        written in prop::collection::vec((0..3_usize, cursors()), 1..8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 400),
    ) {
        let wall = WallTime(WALL);
        let mut maps = [(); 3].map(|()| Shared::default());
        let mut under_way: Vec<(usize, Setting)> = written;
        for by in &order {
            if under_way.is_empty() {
                break;
            }
            let (at, setting) = under_way.remove(by.index(under_way.len()));
            let taken = maps[at].merge(wall, &setting);
            maps[at].check();
            for other in (0..3).filter(|other| *other != at) {
                under_way.extend(taken.clone().map(|taken| (other, taken)));
            }
        }
        prop_assert!(under_way.is_empty(), "it comes to an end");
        for map in &maps[1..] {
            prop_assert_eq!(map.all().collect::<Vec<_>>(), maps[0].all().collect::<Vec<_>>());
            prop_assert_eq!(map.digest(), maps[0].digest());
        }
    }

    #[test]
    fn a_named_cursor_that_is_merged_changes_no_more_by_either(one in cursors(), other in cursors()) {
        let wall = WallTime(WALL);
        let mut maps = [(); 2].map(|()| Shared::default());
        for (map, pair) in maps.iter_mut().zip([[&one, &other], [&other, &one]]) {
            for setting in pair.into_iter().chain(pair) {
                map.merge(wall, setting);
            }
            prop_assert!(map.merge(wall, &one).is_none() && map.merge(wall, &other).is_none());
        }
        prop_assert_eq!(maps[0].digest(), maps[1].digest());
    }
}
