use super::*;

#[test]
fn the_short_texts_of_parsers_are_kept() {
    use ParseError as P;
    let rows: [(Failure<'_>, &str); 31] = [
        (P::Syntax.into(), "ERR syntax error"),
        (P::Near(b"x", "addjob").into(), "ERR syntax error near 'x'"),
        (
            P::NoValue(b"retry").into(),
            "ERR syntax error near 'retry': its value is missing",
        ),
        (
            P::NoQueue.into(),
            "ERR syntax error: FROM and a queue are missing",
        ),
        (
            P::WrongArity("addjob").into(),
            "ERR wrong number of arguments for 'addjob' command",
        ),
        (P::InvalidJobId.into(), "BADID Invalid Job ID format."),
        (
            P::Replicate.into(),
            "ERR REPLICATE must be between 1 and 65535",
        ),
        (P::Ttl.into(), "ERR TTL must be a number > 0"),
        (
            P::Retry.into(),
            "ERR RETRY time must be a non negative number",
        ),
        (
            P::Delay.into(),
            "ERR DELAY time must be a non negative number",
        ),
        (P::MaxLen.into(), "ERR MAXLEN must be a positive number"),
        (
            P::Count.into(),
            "ERR COUNT must be a number greater than zero",
        ),
        (
            P::TimeoutNotInteger.into(),
            "ERR timeout is not an integer or out of range",
        ),
        (P::TimeoutNegative.into(), "ERR timeout is negative"),
        (
            P::NotInteger.into(),
            "ERR value is not an integer or out of range",
        ),
        (
            P::CursorOrOption(b"x", "qscan").into(),
            "ERR invalid cursor or option name near 'x'",
        ),
        (
            P::JobState.into(),
            "ERR Invalid job state name, try wait-repl, active, queued or acked",
        ),
        (P::ListOrder.into(), "ERR SORT must be name, ready or age"),
        (P::ScanReply.into(), "ERR Invalid REPLY type, try ID or ALL"),
        (
            P::LoadJob.into(),
            "ERR LOADJOB is a special command only processed from AOF",
        ),
        (
            P::ClusterUsage(b"x").into(),
            "ERR Wrong CLUSTER subcommand or number of arguments",
        ),
        (
            P::LeavingAnswer.into(),
            "ERR Wrong argument for CLUSTER LEAVING. Use 'yes' or 'no'",
        ),
        (
            P::MeetPort(b"x").into(),
            "ERR Invalid TCP port specified: x",
        ),
        (
            P::MeetAddress(b"1.2.3", b"0").into(),
            "ERR Invalid node address specified: 1.2.3:0",
        ),
        (P::NodeId.into(), "ERR Invalid node identifier"),
        (
            P::CommandUsage(b"x").into(),
            "ERR Unknown subcommand or wrong number of arguments.",
        ),
        (
            P::ConfigArity(b"Get").into(),
            "ERR Wrong number of arguments for CONFIG Get: try CONFIG GET pattern",
        ),
        (
            P::ClientName.into(),
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ),
        (P::ClientType(b"x").into(), "ERR Unknown client type 'x'"),
        (
            P::ProtocolVersion.into(),
            "NOPROTO unsupported protocol version",
        ),
        (P::DatabaseIndex.into(), "ERR DB index is out of range"),
    ];
    for (failure, line) in rows {
        assert_eq!(failure.line(), line, "{failure:?}");
    }
}

#[test]
fn the_short_texts_of_core_and_server_are_kept() {
    use {Refusal as R, ServerError as S};
    let rows: [(Failure<'_>, &str); 19] = [
        (
            R::QueueTooLong.into(),
            "MAXLEN Queue is already longer than the specified MAXLEN count",
        ),
        (
            R::QueuePaused.into(),
            "PAUSED Queue paused in input, try later",
        ),
        (
            R::UnknownJob.into(),
            "NOJOB Job not known in the context of this node.",
        ),
        (
            S::UnknownCommand(b"FOO").into(),
            "ERR unknown command 'FOO'",
        ),
        (S::UnknownCommand(b"").into(), "ERR unknown command ''"),
        (
            S::NotAuthenticated.into(),
            "NOAUTH Authentication required.",
        ),
        (
            S::NoPasswordSet.into(),
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        ),
        (
            S::WrongPassword.into(),
            "WRONGPASS invalid username-password pair or user is disabled.",
        ),
        (
            S::OutOfMemory.into(),
            "OOM command not allowed when used memory > 'maxmemory'.",
        ),
        (
            S::Loading.into(),
            "LOADING Disque is loading the dataset in memory",
        ),
        (
            S::LogUnwritable("disk full").into(),
            "MISCONF Errors writing to the AOF file: disk full",
        ),
        (S::UnknownNode(b"abc").into(), "ERR Unknown node abc"),
        (
            S::ForgetSelf.into(),
            "ERR I tried hard but I can't forget myself...",
        ),
        (
            S::ConfigUnsupported {
                name: b"x",
                advice: "do so",
            }
            .into(),
            "ERR Unsupported CONFIG parameter: x: do so",
        ),
        (
            S::ConfigValue {
                name: b"n",
                value: Some(b"v"),
                allowed: "a number",
            }
            .into(),
            "ERR Invalid argument 'v' for CONFIG SET 'n': it must be a number",
        ),
        (
            S::ConfigValue {
                name: b"requirepass",
                value: None,
                allowed: "short",
            }
            .into(),
            "ERR Invalid argument '(redacted)' for CONFIG SET 'requirepass': it must be short",
        ),
        (
            S::MeetName {
                host: "nosuch.example",
                port: 7711,
                reason: "unknown",
            }
            .into(),
            "ERR Invalid node address specified: nosuch.example:7711: unknown",
        ),
        (
            S::NoSamples(b"e").into(),
            "ERR No samples available for event 'e'",
        ),
        (S::LogUnreadable.into(), "ERR"),
    ];
    for (failure, line) in rows {
        assert_eq!(failure.line(), line, "{failure:?}");
    }
}

#[test]
fn the_long_texts_are_kept() {
    use {ParseError as P, Refusal as R, ServerError as S};
    const SHORT: &str = "NOREPL Not enough reachable nodes for the requested replication level";
    const UNABLE: &str =
        ", since I'm unable to hold a copy of the message for the following reason: ";
    let rows: [(Failure<'_>, &str); 15] = [
        (R::TooFewNodes.into(), SHORT),
        (
            R::TooFewNodesLeaving.into(),
            &format!("{SHORT}{UNABLE}I'm leaving the cluster"),
        ),
        (
            R::TooFewNodesMemory.into(),
            &format!("{SHORT}{UNABLE}I'm out of memory"),
        ),
        (
            R::RetryZeroNeedsOneReplica.into(),
            "ERR With RETRY set to 0 please explicitly set  REPLICATE to 1 (at-most-once delivery)",
        ),
        (
            R::DelayBeyondTtl.into(),
            "ERR The specified DELAY is greater than TTL. Job refused since would never be delivered",
        ),
        (
            R::Leaving.into(),
            "LEAVING This node is leaving the cluster, please connect to a different one",
        ),
        (
            R::TooLateToPostpone.into(),
            "TOOLATE Half of job TTL already elapsed, you are no longer allowed to postpone the next delivery.",
        ),
        (
            P::ClientUsage(b"x").into(),
            "ERR Syntax error, try CLIENT (LIST | KILL ip:port | GETNAME | SETNAME connection-name)",
        ),
        (
            P::ConfigUsage(b"x").into(),
            "ERR CONFIG subcommand must be one of GET, SET, RESETSTAT, REWRITE",
        ),
        (
            P::SlowlogUsage(b"x").into(),
            "ERR Unknown SLOWLOG subcommand or wrong # of args. Try GET, RESET, LEN.",
        ),
        (
            P::DebugUsage(b"x").into(),
            "ERR Unknown DEBUG subcommand or wrong number of arguments for 'x'",
        ),
        (
            S::ConfigFolder("No such file or directory").into(),
            "ERR Changing directory: No such file or directory",
        ),
        (
            S::NoConfigFile.into(),
            "ERR The server is running without a config file",
        ),
        (
            S::RewriteInProgress.into(),
            "ERR Background append only file rewriting already in progress",
        ),
        (
            S::CannotShutDown.into(),
            "ERR Errors trying to SHUTDOWN. Check logs.",
        ),
    ];
    for (failure, line) in rows {
        assert_eq!(failure.line(), line, "{failure:?}");
    }
}

#[test]
fn an_error_stays_on_its_line_and_keeps_other_bytes() {
    let mut out = Vec::new();
    Failure::from(ServerError::UnknownCommand(b"a\r\nb\xff")).encode(&mut out);
    assert_eq!(out, b"-ERR unknown command 'a  b\xff'\r\n");
}

#[test]
fn an_error_repeats_but_the_start_of_a_long_name() {
    let name = vec![b'x'; 1 << 20];
    let line = Failure::from(ServerError::UnknownCommand(&name)).line();
    assert!(line.len() < 200 && line.ends_with("xxx...'"), "{line}");
}

#[test]
fn an_error_repeats_no_control_characters() {
    let name = "a\x1b[31mb\0c\u{9b}d\u{7f}é".as_bytes();
    let line = Failure::from(ServerError::UnknownCommand(name)).line();
    assert_eq!(line, "ERR unknown command 'a [31mb c d é'");
}

#[test]
fn a_slip_is_answered_with_what_was_meant() {
    use ParseError as P;
    for (failure, line) in [
        (
            ServerError::UnknownCommand(b"GETJBO").into(),
            "ERR unknown command 'GETJBO': did you mean GETJOB?",
        ),
        (
            ServerError::UnknownCommand(b"auht").into(),
            "ERR unknown command 'auht': did you mean AUTH?",
        ),
        (
            P::Near(b"RETRI", "addjob").into(),
            "ERR syntax error near 'RETRI': did you mean RETRY?",
        ),
        (
            P::CursorOrOption(b"cuont", "jscan").into(),
            "ERR invalid cursor or option name near 'cuont': did you mean COUNT?",
        ),
        (
            P::ClusterUsage(b"NODE").into(),
            "ERR Wrong CLUSTER subcommand or number of arguments: did you mean NODES?",
        ),
        (
            P::ConfigUsage(b"resetstats").into(),
            "ERR CONFIG subcommand must be one of GET, SET, RESETSTAT, REWRITE: did you mean RESETSTAT?",
        ),
        (
            P::ClusterUsage(b"meet").into(),
            "ERR Wrong CLUSTER subcommand or number of arguments: try CLUSTER MEET host port",
        ),
        (
            P::Near(b"HISTORY", "latency").into(),
            "ERR syntax error near 'HISTORY': try LATENCY HISTORY event",
        ),
    ] {
        let failure: Failure<'_> = failure;
        assert_eq!(failure.line(), line, "{failure:?}");
    }
}

#[test]
fn protected_mode_says_what_to_do() {
    let line = Failure::from(ServerError::Protected).line();
    assert!(line.starts_with("DENIED "));
    assert!(line.contains("requirepass") && line.contains("protected-mode no"));
    assert!(!line.contains("  "), "no gap where a line was broken");
}
