//! What a directive may be set to, how it is shown, and what CONFIG SET makes of it.

use super::*;

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
