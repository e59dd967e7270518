//! The configuration as a whole: sources and their order, errors, `CONFIG`, rewriting.

use super::*;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[path = "../../tests/fuzz/checks/config.rs"]
mod checks;
mod rewriting;
mod sources;
mod values;

/// Every directive of Disque 1.0, as its own loader knows them.
const DISQUE: &str = r#"
daemonize yes
pidfile /var/run/disque.pid
port 7712
tcp-backlog 511
BIND 192.168.1.100 10.0.0.1
unixsocket /tmp/disque.sock
unixsocketperm 700
timeout 0
tcp-keepalive 60
loglevel verbose
logfile ""
syslog-enabled no
syslog-ident disque
syslog-facility local0
databases 16
dir ./
requirepass "foo bared"
rename-command CONFIG ""
maxclients 10000
maxmemory 2gb
maxmemory-policy acks
maxmemory-samples 5
activerehashing yes
hz 10
appendonly no
appendfilename "disque.aof"
appendfsync everysec
no-appendfsync-on-rewrite no
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb
aof-rewrite-incremental-fsync yes
aof-load-truncated yes
aof-enqueue-jobs-once no
cluster-config-file nodes-7711.conf
cluster-node-timeout 5000
slowlog-log-slower-than 10000
slowlog-max-len 128
latency-monitor-threshold 0
client-output-buffer-limit normal 0 0 0
"#;

fn load(text: &str, env: &[(&str, &str)], flags: &[&str]) -> Result<Loaded, ConfigError> {
    Config::load(Sources {
        file: Some(FileSource::Text(text.into())),
        env: env
            .iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect(),
        flags: flags.iter().map(ToString::to_string).collect(),
    })
}

fn config(text: &str) -> Config {
    load(text, &[], &[]).expect("a valid configuration").config
}

fn error(text: &str, env: &[(&str, &str)], flags: &[&str]) -> String {
    load(text, env, flags)
        .expect_err("a wrong configuration")
        .to_string()
}

fn value(config: &Config, name: &str) -> String {
    let found = config.get(name.as_bytes());
    let [(_, value)] = &found[..] else {
        panic!("{name}: {found:?}")
    };
    value.clone()
}

/// A folder with files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("write a file");
    }
    folder
}

fn load_file(path: impl Into<PathBuf>) -> Result<Loaded, ConfigError> {
    Config::load(Sources {
        file: Some(FileSource::Path(path.into())),
        ..Sources::default()
    })
}

#[test]
fn the_help_names_every_directive_within_100_columns() {
    let help = help();
    assert!(
        DIRECTIVES
            .iter()
            .all(|row| help.contains(&format!("\n  --{}\n", row.name)))
    );
    assert!(
        help.lines()
            .chain(example().lines())
            .all(|line| line.chars().count() <= 100)
    );
}

/// `BLESS=1 cargo test` writes the file again.
#[test]
fn the_example_file_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/shoalmq.conf");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, example()).expect("write the example");
    }
    assert_eq!(fs::read_to_string(&path).expect("there"), example());
    let loaded = load_file(&path).expect("it loads");
    assert!(loaded.warnings.is_empty());
    assert_eq!(
        loaded.config,
        Config {
            file: Some(path),
            ..Config::default()
        }
    );
}

#[test]
fn every_line_of_the_example_loads() {
    let text = example();
    for row in DIRECTIVES.iter().filter(|row| row.group != Group::Obsolete) {
        let line = row.example_line();
        assert!(text.contains(&format!("\n# {line}\n")), "{line}");
        let loaded = load(&line, &[], &[]).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(loaded.warnings.is_empty());
    }
}

#[test]
fn the_fuzz_check_holds_for_what_disque_has() {
    checks::check(DISQUE.as_bytes());
    checks::check(DISQUE.replace('\n', "\r\n").as_bytes());
    checks::check(example().as_bytes());
}

/// Lines that mostly load, so that rewriting is tried too.
fn line() -> impl Strategy<Value = String> {
    let names: Vec<_> = DIRECTIVES.iter().map(|row| row.name).collect();
    let values = prop_oneof![
        "[0-9]{1,5}(mb|k|s|ms)?",
        proptest::sample::select(vec![
            "yes", "no", "always", "json", "memory", "error", "*", "\"\""
        ])
        .prop_map(str::to_owned),
        ".{0,8}".prop_map(|word| words::join([word.as_str()])),
        "normal [0-9]{1,3}mb [0-9]{1,4} [0-9]{1,2}",
    ];
    (proptest::sample::select(names), values)
        .prop_map(|(name, value)| format!("{name} {value}"))
        .prop_filter("valid", |line| load(line, &[], &[]).is_ok())
}

proptest! {
    #[test]
    fn any_bytes_are_loaded_or_refused(text: Vec<u8>) {
        checks::check(&text);
    }

    #[test]
    fn what_is_rewritten_loads_equal(lines in proptest::collection::vec(line(), 0..12)) {
        checks::check(lines.join("\n").as_bytes());
    }

    #[test]
    fn any_change_survives_a_rewrite(
        before in proptest::collection::vec(line(), 0..12),
        after in proptest::collection::vec(line(), 0..12),
    ) {
        let (text, changed) = (before.join("\n"), config(&after.join("\n")));
        let new = rewritten(&changed, Path::new("x.conf"), text.as_bytes()).expect("it loads");
        prop_assert_eq!(config(std::str::from_utf8(&new).expect("text")), changed.clone());
        let again = rewritten(&changed, Path::new("x.conf"), &new).expect("it loads");
        prop_assert_eq!(again, new);
    }
}
