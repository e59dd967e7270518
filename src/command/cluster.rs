//! The parser of CLUSTER.

use std::net::IpAddr;

use super::admin::{Admin, Cluster, Reset};
use super::args::{self, is};
use super::{ParseError, Parsed, Request};

/// A node listens for others so far above its port for clients, unless it is told otherwise.
const BUS_OFFSET: u16 = 10_000;
const NODE_ID_TEXT: usize = 40;

/// `CLUSTER subcommand [argument ...]`: what it answers depends on the subcommand.
///
/// Refused: any other subcommand or number of arguments, and what each subcommand's arguments cannot be.
pub(super) fn cluster<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[subcommand, ref rest @ ..] = args else {
        return Err(ParseError::WrongArity("cluster"));
    };
    let named = |name| is(subcommand, name);
    let cluster = match *rest {
        [] if named("MYID") => Cluster::MyId,
        [] if named("INFO") => Cluster::Info,
        [] if named("NODES") => Cluster::Nodes,
        [] if named("SAVECONFIG") => Cluster::SaveConfig,
        [] if named("LEAVING") => Cluster::Leaving(None),
        [answer] if named("LEAVING") => Cluster::Leaving(Some(yes_or_no(answer)?)),
        [] if named("RESET") => Cluster::Reset(Reset::Soft),
        [how] if named("RESET") => Cluster::Reset(reset(how)?),
        [host, port] if named("MEET") => meet(host, port)?,
        [id] if named("FORGET") && id.len() != NODE_ID_TEXT => return Err(ParseError::NodeId),
        [id] if named("FORGET") => Cluster::Forget(id),
        _ => return Err(ParseError::ClusterUsage(subcommand)),
    };
    Ok(Request::Admin(Admin::Cluster(cluster)))
}

fn yes_or_no(answer: &[u8]) -> Result<bool, ParseError<'_>> {
    if is(answer, "yes") {
        Ok(true)
    } else if is(answer, "no") {
        Ok(false)
    } else {
        Err(ParseError::LeavingAnswer)
    }
}

fn reset(how: &[u8]) -> Result<Reset, ParseError<'_>> {
    if is(how, "SOFT") {
        Ok(Reset::Soft)
    } else if is(how, "HARD") {
        Ok(Reset::Hard)
    } else {
        Err(ParseError::Near(how, "cluster"))
    }
}

/// The port is `port` or `port@bus`.
fn meet<'a>(host: &'a [u8], port: &'a [u8]) -> Result<Cluster<'a>, ParseError<'a>> {
    let mut numbers = port.splitn(2, |&byte| byte == b'@').map(args::integer);
    let (client, bus) = match (numbers.next(), numbers.next()) {
        (Some(Some(client)), None) => (client, client.saturating_add(BUS_OFFSET.into())),
        (Some(Some(client)), Some(Some(bus))) => (client, bus),
        _ => return Err(ParseError::MeetPort(port)),
    };
    let in_range = |port| u16::try_from(port).ok().filter(|&port| port > 0);
    match (host_name(host), in_range(client), in_range(bus)) {
        (Some(host), Some(port), Some(bus)) => Ok(Cluster::Meet { host, port, bus }),
        _ => Err(ParseError::MeetAddress(host, port)),
    }
}

/// Takes an IP address, or a name that DNS could know. A name that ends in a number is a mistyped address.
fn host_name(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    if text.parse::<IpAddr>().is_ok() {
        return Some(text);
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let last = name.rsplit('.').next()?;
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    (name.len() <= 253 && !numeric && name.split('.').all(label)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(args: &[&'a str]) -> Result<Cluster<'a>, ParseError<'a>> {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        match cluster(&args)? {
            Request::Admin(Admin::Cluster(cluster)) => Ok(cluster),
            other => panic!("not CLUSTER: {other:?}"),
        }
    }

    #[test]
    fn subcommands_are_known_in_any_case() {
        for (args, expected) in [
            (&["myid"][..], Cluster::MyId),
            (&["Info"], Cluster::Info),
            (&["NODES"], Cluster::Nodes),
            (&["saveconfig"], Cluster::SaveConfig),
            (&["leaving"], Cluster::Leaving(None)),
            (&["leaving", "YES"], Cluster::Leaving(Some(true))),
            (&["leaving", "no"], Cluster::Leaving(Some(false))),
            (&["reset"], Cluster::Reset(Reset::Soft)),
            (&["reset", "soft"], Cluster::Reset(Reset::Soft)),
            (&["reset", "HARD"], Cluster::Reset(Reset::Hard)),
            (
                &["forget", "dcb833cf01234567890abcdef01234567890abcd"],
                Cluster::Forget(b"dcb833cf01234567890abcdef01234567890abcd"),
            ),
        ] {
            assert_eq!(parse(args), Ok(expected), "{args:?}");
        }
    }

    #[test]
    fn wrong_subcommands_counts_and_words_are_refused() {
        for (args, expected) in [
            (&[][..], ParseError::WrongArity("cluster")),
            (&["bogus"], ParseError::ClusterUsage(b"bogus")),
            (&["slots"], ParseError::ClusterUsage(b"slots")),
            (&["myid", "x"], ParseError::ClusterUsage(b"myid")),
            (&["meet", "127.0.0.1"], ParseError::ClusterUsage(b"meet")),
            (&["meet", "h", "1", "2"], ParseError::ClusterUsage(b"meet")),
            (&["forget"], ParseError::ClusterUsage(b"forget")),
            (&["forget", "dcb8"], ParseError::NodeId),
            (&["leaving", "maybe"], ParseError::LeavingAnswer),
            (
                &["leaving", "yes", "no"],
                ParseError::ClusterUsage(b"leaving"),
            ),
            (&["reset", "gently"], ParseError::Near(b"gently", "cluster")),
            (
                &["reset", "soft", "hard"],
                ParseError::ClusterUsage(b"reset"),
            ),
        ] {
            assert_eq!(parse(args), Err(expected), "{args:?}");
        }
    }

    #[test]
    fn meet_takes_addresses_and_host_names() {
        for host in [
            "127.0.0.1",
            "::1",
            "fe80::1",
            "localhost",
            "mq-0.mq.default.svc",
            "mq_0",
            "a.example.",
        ] {
            let (port, bus) = (7711, 17711);
            let expected = Cluster::Meet { host, port, bus };
            assert_eq!(parse(&["meet", host, "7711"]), Ok(expected));
        }
        assert!(parse(&["meet", "h", "55535"]).is_ok());
        let (host, port, bus) = ("h", 65535, 1);
        let named = Cluster::Meet { host, port, bus };
        assert_eq!(parse(&["meet", "h", "65535@1"]), Ok(named));
    }

    #[test]
    fn meet_refuses_what_cannot_be_an_address() {
        let long = "a.".repeat(130);
        for host in [
            "999.1.1.1",
            "127.0.0",
            "",
            "-a",
            "a b",
            "a..b",
            "h:1",
            "é",
            &long,
        ] {
            let refused = ParseError::MeetAddress(host.as_bytes(), b"7711");
            assert_eq!(parse(&["meet", host, "7711"]), Err(refused), "{host}");
        }
        for port in [
            "0",
            "-1",
            "55536",
            "65536",
            "99999999999",
            "7711@0",
            "7711@65536",
            "0@7711",
        ] {
            let refused = ParseError::MeetAddress(b"127.0.0.1", port.as_bytes());
            assert_eq!(parse(&["meet", "127.0.0.1", port]), Err(refused), "{port}");
        }
        for port in ["x", "", "7711.0", "+1", "7711@", "@7711", "7711@x", "1@2@3"] {
            let refused = ParseError::MeetPort(port.as_bytes());
            assert_eq!(
                parse(&["meet", "nowhere at all", port]),
                Err(refused),
                "{port}"
            );
        }
    }
}
