//! The configuration as a whole: sources and their order, errors, `CONFIG`, rewriting.

use super::*;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[path = "../../tests/fuzz/checks/config.rs"]
mod checks;

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
fn a_file_of_disque_starts_a_node() {
    let Loaded {
        config,
        warnings,
        notes,
    } = load(DISQUE, &[], &[]).expect("it loads");
    assert_eq!(config.port, 7712);
    let addresses: Vec<_> = config.bind.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.168.1.100", "10.0.0.1"]);
    assert_eq!(config.unixsocketperm.map(UnixMode::bits), Some(0o700));
    assert_eq!(config.tcp_keepalive, Some(Duration::from_mins(1)));
    assert_eq!(
        config.requirepass.as_ref().map(Password::as_str),
        Some("foo bared")
    );
    assert_eq!(config.maxmemory.map(u64::from), Some(2 << 30));
    assert_eq!(config.backend(), Storage::Memory);
    assert_eq!(config.cluster_node_timeout, Duration::from_secs(5));
    assert_eq!(notes, [""; 0]);
    let names: Vec<_> = warnings.iter().map(|warning| warning.name).collect();
    for name in [
        "daemonize",
        "rename-command",
        "hz",
        "appendfilename",
        "cluster-config-file",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    let daemonize = "standard input:2: daemonize has no effect: the node stays in the foreground: use \
                     systemd, Docker, or `&`";
    assert_eq!(warnings[0].to_string(), daemonize);
    assert!(
        load("daemonize no", &[], &[])
            .expect("it loads")
            .warnings
            .is_empty()
    );
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let env = [("SHOALMQ_PORT", "2"), ("SHOALMQ_LOGLEVEL", "debug")];
    let flags = ["--loglevel", "warn"];
    let config = load("port 1\nloglevel info\ntimeout 9", &env, &flags)
        .expect("it loads")
        .config;
    assert_eq!((config.port, config.loglevel), (2, LogLevel::Warning));
    assert_eq!(config.timeout, Some(Duration::from_secs(9)));
    assert_eq!(config.maxclients, Config::default().maxclients);
}

#[test]
fn the_port_has_a_short_flag_as_in_the_other_subcommands() {
    let flags = ["--bind", "127.0.0.1", "-p", "7712", "--timeout", "5"];
    assert_eq!(load("", &[], &flags).expect("it loads").config.port, 7712);
    let sources = |words: &[&str]| {
        Sources::from_args(words.iter().map(std::ffi::OsString::from), []).expect("words of UTF-8")
    };
    let short = sources(&["-p", "7712"]);
    assert!(short.file.is_none());
    assert_eq!(Config::load(short).expect("it loads").config.port, 7712);
    let unknown = Config::load(sources(&["-x"])).expect_err("no such flag");
    assert!(unknown.to_string().contains("`-x`"), "{unknown}");
}

#[test]
fn flags_take_values_up_to_the_next_flag() {
    let flags = [
        "--client-output-buffer-limit",
        "normal",
        "256mb",
        "64mb",
        "60",
        "--port=8",
        "--slowlog-log-slower-than",
        "-1",
        "--bind",
        "127.0.0.1",
        "::1",
        "--requirepass=--a=b",
        "--logfile",
        "",
    ];
    let config = load("logfile x", &[], &flags).expect("it loads").config;
    assert_eq!(
        value(&config, "client-output-buffer-limit"),
        "normal 268435456 67108864 60"
    );
    assert_eq!((config.port, config.slowlog_log_slower_than), (8, None));
    assert_eq!(value(&config, "bind"), "127.0.0.1 ::1");
    let password = config.requirepass.as_ref().map(Password::as_str);
    assert_eq!(password, Some("--a=b"));
    assert_eq!(config.logfile, None);
}

#[test]
fn the_variables_of_others_are_left_alone() {
    let env = [
        ("SHOALMQ_PORT", "tcp://10.0.0.1:7711"),
        ("SHOALMQ_PORT_7711_TCP", "tcp://10.0.0.1:7711"),
        ("SHOALMQ_SERVICE_HOST", "10.0.0.1"),
        ("SHOALMQ_PASSWORD", "x"),
        ("SHOALMQ_COLOUR", "blue"),
        ("PORT", "x"),
        ("SHOALMQ_BIND", "127.0.0.1 localhost"),
    ];
    let Loaded { config, notes, .. } = load("", &env, &[]).expect("it loads");
    assert_eq!(config.port, 7711);
    assert_eq!(value(&config, "bind"), "127.0.0.1 localhost");
    assert_eq!(notes, ["SHOALMQ_COLOUR: ignored, it names no directive"]);
}

#[test]
fn an_error_names_directive_place_value_and_what_is_allowed() {
    assert_eq!(
        error("\n# x\nport 99999", &[], &[]),
        "standard input:3: port must be a number from 0 to 65535, not `99999`"
    );
    assert_eq!(
        error("", &[("SHOALMQ_APPENDFSYNC", "sometimes")], &[]),
        "SHOALMQ_APPENDFSYNC: appendfsync must be one of `always`, `everysec`, `no`, not `sometimes`"
    );
    assert_eq!(
        error("", &[], &["--storage", "disk"]),
        "--storage: storage must be one of `sled`, `log`, `memory`, not `disk`"
    );
    assert_eq!(
        error("", &[], &["--prot=1"]),
        "--prot: unknown directive `prot`; did you mean `port`?"
    );
    assert_eq!(
        error("save \"\"", &[], &[]),
        "standard input:1: unknown directive `save`"
    );
    assert_eq!(
        error("", &[], &["--port"]),
        "--port: port must be a number from 0 to 65535, and is missing"
    );
    assert_eq!(
        error("dir \"x", &[], &[]),
        "standard input:1: unbalanced quotes"
    );
    assert_eq!(
        error("", &[], &["7711"]),
        "unexpected argument `7711`: flags are `--directive value`, and `-p` is `--port`; see shoalmq server --help"
    );
    assert!(!error("\"a\\nb\" 1", &[], &[]).contains('\n'));
    for line in [
        "requirepass a secret",
        "requirepass=secret",
        "\"requirepass secret\"",
    ] {
        let text = error(line, &[], &[]);
        assert!(
            !text.contains("secret") && text.contains("requirepass"),
            "{text}"
        );
    }
    assert!(error("port 1 # x", &[], &[]).ends_with("not `1 \"#\" x`"));
}

#[test]
fn values_out_of_bounds_are_refused() {
    for line in [
        "port -1",
        "port +1",
        "port 1.5",
        "port \"\"",
        "port 1 2",
        "port 18446744073709551616",
        "maxclients 0",
        "maxmemory 1tb",
        "maxmemory -1",
        "maxmemory 99999999999gb",
        "storage-segment-size 1kb",
        "storage-segment-size 2gb",
        "timeout -1",
        "timeout 1500ms",
        "shutdown-timeout no",
        "unixsocketperm 888",
        "unixsocketperm 1777",
        "appendonly 1",
        "loglevel loud",
        "bind",
        "bind 127.0.0.256",
        "bind a/b",
        "bind -x",
        "client-output-buffer-limit slave 0 0 0",
        "client-output-buffer-limit normal 0 0",
        "dir \"\"",
        "dir \"a\\x00\"",
        "cluster-node-timeout 0",
        "cluster-port 65536",
        "cluster-join",
        "cluster-join host:0",
        "cluster-announce-host 1.2.3.4:5",
        "cluster-name \"\"",
        "cluster-name \"a\\nb\"",
        "default-replicate 0",
        "default-replicate 65536",
        "min-replicate 0",
        "heal-delay -1",
        "worker-threads 0",
        "include",
        "include a b",
    ] {
        assert!(load(line, &[], &[]).is_err(), "{line}");
    }
    let addresses = "127.0.0.1 ".repeat(17);
    assert!(load(&format!("bind {addresses}"), &[], &[]).is_err());
    assert!(load(&format!("requirepass {}", "x".repeat(513)), &[], &[]).is_err());
}

#[test]
fn a_bus_port_past_the_last_one_is_refused_with_the_way_out() {
    assert_eq!(
        error("port 55536", &[], &[]),
        "port 55536 leaves no port 55536 + 10000 for other nodes: choose a port up to 55535, or set cluster-port"
    );
    assert_eq!(config("port 55535").bus_port(55535), 65535);
    let given = config("port 60000\ncluster-port 9000");
    assert_eq!(given.bus_port(60000), 9000);
    let chosen = config("port 0");
    assert_eq!((chosen.bus_port(40000), chosen.bus_port(60000)), (50000, 0));
}

#[test]
fn get_tells_only_whether_there_is_a_cluster_secret() {
    let mut config = config("cluster-secret abc");
    assert_eq!(value(&config, "cluster-secret"), "********");
    assert!(config.set(b"cluster-secret", b"x").is_err());
    let text = rewritten(&config, Path::new("x.conf"), b"").expect("it loads");
    assert!(String::from_utf8_lossy(&text).contains("cluster-secret abc"));
    assert_eq!(value(&Config::default(), "cluster-secret"), "");
    let long = format!("cluster-secret {}", "x".repeat(513));
    assert!(!error(&long, &[], &[]).contains("xx"));
}

#[test]
fn seeds_come_from_the_environment_too() {
    let loaded = load("", &[("SHOALMQ_CLUSTER_JOIN", "a:1 b.example")], &[]).expect("valid");
    assert_eq!(value(&loaded.config, "cluster-join"), "a:1 b.example");
}

#[test]
fn sizes_and_times_take_units() {
    let sizes = [
        ("100mb", 100 << 20),
        ("1g", 1_000_000_000),
        ("1GB", 1 << 30),
        ("2k", 2000),
        ("3b", 3),
    ];
    for (word, bytes) in sizes {
        assert_eq!(
            config(&format!("maxmemory {word}"))
                .maxmemory
                .map(u64::from),
            Some(bytes)
        );
    }
    assert_eq!(config("maxmemory 0").maxmemory, None);
    assert_eq!(config("timeout 2m").timeout, Some(Duration::from_mins(2)));
    assert_eq!(
        config("cluster-node-timeout 2s").cluster_node_timeout,
        Duration::from_secs(2)
    );
    assert_eq!(
        config("slowlog-log-slower-than 0").slowlog_log_slower_than,
        Some(Duration::ZERO)
    );
}

#[test]
fn get_shows_what_disque_shows() {
    let config = Config::default();
    let expected = [
        ("requirepass", ""),
        ("unixsocket", ""),
        ("unixsocketperm", "0"),
        ("logfile", ""),
        ("maxmemory-samples", "5"),
        ("maxmemory-policy", "acks"),
        ("timeout", "0"),
        ("auto-aof-rewrite-percentage", "100"),
        ("auto-aof-rewrite-min-size", "67108864"),
        ("slowlog-log-slower-than", "10000"),
        ("slowlog-max-len", "128"),
        ("latency-monitor-threshold", "0"),
        ("port", "7711"),
        ("tcp-backlog", "511"),
        ("databases", "16"),
        ("maxclients", "10000"),
        ("watchdog-period", "0"),
        ("hz", "10"),
        ("cluster-node-timeout", "3000"),
        ("tcp-keepalive", "no"),
        ("no-appendfsync-on-rewrite", "no"),
        ("daemonize", "no"),
        ("activerehashing", "yes"),
        ("aof-rewrite-incremental-fsync", "yes"),
        ("aof-load-truncated", "yes"),
        ("aof-enqueue-jobs-once", "no"),
        ("loglevel", "notice"),
        ("appendfsync", "everysec"),
        ("syslog-facility", "local0"),
        ("appendonly", "yes"),
        ("client-output-buffer-limit", "normal 0 0 0"),
        ("bind", "127.0.0.1"),
        ("pidfile", ""),
        ("storage", "sled"),
        ("storage-segment-size", "16777216"),
        ("protected-mode", "yes"),
    ];
    for (name, text) in expected {
        assert_eq!(value(&config, name), text, "{name}");
    }
    let directory = std::env::current_dir().expect("a working directory");
    assert_eq!(value(&config, "dir"), directory.to_string_lossy());
    assert!(config.get(b"save").is_empty() && config.get(b"rename-command").is_empty());
    assert_eq!(config.get(b"*").len(), DIRECTIVES.len());
    let found = config.get(b"SlowLog-*");
    let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["slowlog-log-slower-than", "slowlog-max-len"]);
}

#[test]
fn set_changes_the_typed_value_or_nothing() {
    let mut config = Config::default();
    assert_eq!(
        config.set(b"MaxMemory", b"100mb").expect("valid").name,
        "maxmemory"
    );
    assert_eq!(value(&config, "maxmemory"), "104857600");
    config.set(b"requirepass", b"a b").expect("valid");
    assert!(
        config
            .requirepass
            .as_ref()
            .is_some_and(|password| password.matches(b"a b"))
    );
    config
        .set(b"client-output-buffer-limit", b"normal 10 5 1")
        .expect("valid");
    assert_eq!(
        value(&config, "client-output-buffer-limit"),
        "normal 10 5 1"
    );
    config.set(b"requirepass", b"").expect("valid");
    assert_eq!(config.requirepass, None);
    let before = config.clone();
    for name in [
        "port",
        "bind",
        "daemonize",
        "save",
        "rename-command",
        "include",
        "\u{ff}",
    ] {
        let result = config.set(name.as_bytes(), b"1");
        assert!(
            matches!(result, Err(SetError::Unsupported { .. })),
            "{name}"
        );
    }
    for (name, value) in [
        ("hz", "x"),
        ("appendfsync", ""),
        ("maxmemory", "1 2"),
        ("timeout", "-1"),
    ] {
        let result = config.set(name.as_bytes(), value.as_bytes());
        assert!(
            matches!(result, Err(SetError::Invalid { .. })),
            "{name} {value}"
        );
    }
    assert!(matches!(
        config.set(b"timeout", b"\xff"),
        Err(SetError::Invalid { .. })
    ));
    assert_eq!(config, before);
}

#[test]
fn a_refused_set_says_what_to_do() {
    let mut config = Config::default();
    let mut refusal = |name: &str, value: &str| {
        let refused = config.set(name.as_bytes(), value.as_bytes());
        refused.expect_err(name).to_string()
    };
    for (name, value, text) in [
        ("maxmemroy", "1", "did you mean maxmemory?"),
        ("nosuch", "1", "CONFIG GET * lists all parameters"),
        (
            "cluster-port",
            "1",
            "it can only be set at a start: in the configuration file, with --cluster-port, or with SHOALMQ_CLUSTER_PORT",
        ),
        (
            "appendfilename",
            "x",
            "it has no effect: the storage backend names its own files, inside `dir`",
        ),
        (
            "appendfsync",
            "often",
            "appendfsync must be one of `always`, `everysec`, `no`",
        ),
        (
            "maxclients",
            "0",
            "maxclients must be a number from 1 to 2147483647",
        ),
    ] {
        assert_eq!(refusal(name, value), text);
    }
}

#[test]
fn no_password_is_shown() {
    let config = config("requirepass secret\ncluster-secret secret");
    for name in ["requirepass", "cluster-secret"] {
        assert_eq!(value(&config, name), "********");
        assert_eq!(value(&Config::default(), name), "");
    }
}

#[test]
fn dir_must_be_a_folder_that_is_there() {
    let folder = folder(&[("file", "")]);
    let mut config = Config::default();
    let before = config.clone();
    let mut set = |path: PathBuf| config.set(b"dir", path.to_string_lossy().as_bytes());
    let error = set(folder.path().join("gone")).expect_err("it is not there");
    assert_eq!(
        error.to_string(),
        "Changing directory: No such file or directory"
    );
    assert!(matches!(
        set(folder.path().join("file")),
        Err(SetError::Dir(_))
    ));
    assert!(set(folder.path().to_owned()).is_ok());
    assert_eq!(config.dir, folder.path());
    assert_ne!(config, before);
}

#[test]
fn a_password_matches_only_itself() {
    let config = config("requirepass secret");
    let password = config.requirepass.expect("it was set");
    assert!(password.matches(b"secret"));
    for wrong in [
        &b"secre"[..],
        b"secrets",
        b"",
        b"secret\0",
        b"Secret",
        &[0; 2000],
    ] {
        assert!(!password.matches(wrong));
    }
    assert!(!format!("{password:?}").contains("secret"));
}

#[test]
fn includes_are_read_in_their_place_from_beside_their_file() {
    let folder = folder(&[
        (
            "main.conf",
            "port 1\ntimeout 1\ninclude more.conf\ntimeout 3\n",
        ),
        ("more.conf", "port 2\ntimeout 2\n"),
        ("loop.conf", "include loop.conf"),
        ("bad.conf", "include broken.conf"),
        ("broken.conf", "\nport x"),
        ("gone.conf", "include nowhere.conf"),
    ]);
    let path = |name: &str| folder.path().join(name);
    let config = load_file(path("main.conf")).expect("it loads").config;
    assert_eq!(
        (config.port, config.timeout),
        (2, Some(Duration::from_secs(3)))
    );
    assert_eq!(config.file, Some(path("main.conf")));
    let looped = load_file(path("loop.conf")).expect_err("a circle");
    assert!(
        matches!(looped, ConfigError::IncludeLoop { .. }),
        "{looped}"
    );
    let bad = load_file(path("bad.conf"))
        .expect_err("a bad value")
        .to_string();
    assert!(
        bad.starts_with(&format!(
            "{}:2: port must be",
            path("broken.conf").display()
        )),
        "{bad}"
    );
    let gone = load_file(path("gone.conf"))
        .expect_err("no such file")
        .to_string();
    assert!(
        gone.starts_with(&format!("{}:1: read", path("gone.conf").display())),
        "{gone}"
    );
    assert!(matches!(
        load_file(path("none.conf")),
        Err(ConfigError::Read { place: None, .. })
    ));
}

#[test]
fn includes_nest_only_so_deep() {
    let folder = folder(&[]);
    for depth in 0..20 {
        let text = format!("include {}.conf", depth + 1);
        fs::write(folder.path().join(format!("{depth}.conf")), text).expect("write a file");
    }
    let result = load_file(folder.path().join("0.conf"));
    assert!(matches!(
        result,
        Err(ConfigError::IncludeDepth { limit: 16, .. })
    ));
}

#[test]
fn rewriting_touches_only_what_changed() {
    let text =
        "# mine\r\nport 7711\r\n\ntimeout 5\n# between\nTimeout  6\nrename-command A B\nhz 10";
    let mut changed = config(text);
    changed.set(b"timeout", b"7").expect("valid");
    changed.set(b"requirepass", b"a \"b\"").expect("valid");
    let path = Path::new("x.conf");
    let new = rewritten(&changed, path, text.as_bytes()).expect("it loads");
    let expected = "# mine\r\nport 7711\r\n\ntimeout 5\n# between\ntimeout 7\nrename-command A B\nhz 10\n\
                    # Generated by CONFIG REWRITE\nrequirepass \"a \\\"b\\\"\"\n";
    assert_eq!(String::from_utf8_lossy(&new), expected);
    assert_eq!(config(expected), changed);
    changed.set(b"maxclients", b"9").expect("valid");
    let again = rewritten(&changed, path, &new).expect("it loads");
    assert_eq!(
        String::from_utf8_lossy(&again),
        format!("{expected}maxclients 9\n")
    );
}

#[test]
fn rewriting_overrides_an_include_and_leaves_it_alone() {
    let folder = folder(&[
        ("main.conf", "timeout 1\ninclude more.conf\n"),
        ("more.conf", "timeout 2\n"),
    ]);
    let main = folder.path().join("main.conf");
    let mut config = load_file(&main).expect("it loads").config;
    config.set(b"timeout", b"3").expect("valid");
    config.rewrite().expect("it can be written");
    assert_eq!(load_file(&main).expect("it loads").config, config);
    assert_eq!(
        fs::read_to_string(folder.path().join("more.conf")).expect("there"),
        "timeout 2\n"
    );
}

#[test]
fn rewriting_keeps_access_rights_and_links_and_leaves_nothing_behind() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = folder(&[("real.conf", "hz 10\n")]);
    let (real, link) = (
        folder.path().join("real.conf"),
        folder.path().join("link.conf"),
    );
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("own file");
    symlink(&real, &link).expect("a link");
    let mut config = load_file(&link).expect("it loads").config;
    config.set(b"timeout", b"3").expect("valid");
    config.rewrite().expect("it can be written");
    assert!(link.is_symlink());
    assert_eq!(
        fs::metadata(&real).expect("there").permissions().mode() & 0o777,
        0o640
    );
    assert_eq!(
        load_file(&real).expect("it loads").config.timeout,
        config.timeout
    );
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 2);
}

#[test]
fn without_a_file_there_is_nothing_to_rewrite() {
    assert!(matches!(
        config("port 1").rewrite(),
        Err(RewriteError::NoFile)
    ));
}

#[test]
fn arguments_are_a_file_and_flags() {
    let args = |words: &[&str]| {
        Sources::from_args(words.iter().map(Into::into), []).expect("valid arguments")
    };
    assert!(args(&[]).file.is_none());
    let both = args(&["a.conf", "--port", "1"]);
    assert!(matches!(both.file, Some(FileSource::Path(path)) if path == Path::new("a.conf")));
    assert_eq!(both.flags, ["--port", "1"]);
    assert!(args(&["--port", "1"]).file.is_none());
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
