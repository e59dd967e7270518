//! Where settings come from: files and what they include, the environment, flags; and which of them wins.

use super::*;

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
fn seeds_come_from_the_environment_too() {
    let loaded = load("", &[("SHOALMQ_CLUSTER_JOIN", "a:1 b.example")], &[]).expect("valid");
    assert_eq!(value(&loaded.config, "cluster-join"), "a:1 b.example");
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
