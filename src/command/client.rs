//! CLIENT: what is known of connections, and what is done to them.

use std::time::Duration;

use super::admin::Admin;
use super::args::{self, Args, is};
use super::{ParseError, Parsed, Request};

/// CLIENT and its subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client<'a> {
    /// LIST: a line per connection.
    List,
    /// INFO: the line of this connection.
    Info,
    /// ID: the number of this connection.
    Id,
    /// GETNAME: its name.
    GetName,
    /// SETNAME: its name from now on; an empty one takes it away.
    SetName(&'a [u8]),
    /// SETINFO: what its library calls itself.
    SetInfo(Library, &'a [u8]),
    /// KILL ip:port: end the connection of exactly this address; also the caller's own.
    KillAddress(&'a [u8]),
    /// KILL with filters: end all connections that pass all of them.
    Kill(KillFilter<'a>),
    /// PAUSE: commands of all clients wait so long.
    Pause(Duration),
    /// REPLY: whether this connection is answered.
    Reply(ReplyMode),
    /// NO-EVICT, NO-TOUCH: accepted, since there is nothing to switch.
    Ignored,
}

/// What CLIENT SETINFO tells of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// LIB-NAME.
    Name,
    /// LIB-VER.
    Version,
}

/// Which connections CLIENT KILL ends; a filter that is not given lets all pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KillFilter<'a> {
    /// ID: the one with this number.
    pub id: Option<u64>,
    /// ADDR: those of this `ip:port`.
    pub address: Option<&'a [u8]>,
    /// TYPE normal: those that do not monitor.
    pub normal_only: bool,
    /// SKIPME: the caller's own stays; so it is unless `SKIPME no`.
    pub skip_me: bool,
}

/// Whether a connection is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyMode {
    /// From now on.
    On,
    /// Not until ON.
    Off,
    /// Not to this command, nor to the next.
    Skip,
}

/// `CLIENT subcommand [argument ...]`: what it answers depends on the subcommand.
pub(super) fn client<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[subcommand, ref rest @ ..] = args else {
        return Err(ParseError::WrongArity("client"));
    };
    let named = |name| is(subcommand, name);
    let client = match *rest {
        [] if named("LIST") => Client::List,
        [] if named("INFO") => Client::Info,
        [] if named("ID") => Client::Id,
        [] if named("GETNAME") => Client::GetName,
        [name] if named("SETNAME") => Client::SetName(client_name(name)?),
        [what, value] if named("SETINFO") => Client::SetInfo(library(what)?, value),
        [address] if named("KILL") => Client::KillAddress(address),
        ref filters if named("KILL") => Client::Kill(kill(filters)?),
        // PAUSE 0 is a pause of no length: it ends one that is on.
        [ms] if named("PAUSE") => Client::Pause(args::timeout(ms)?.unwrap_or_default()),
        [mode] if named("REPLY") => Client::Reply(reply_mode(mode)?),
        [word] if named("NO-EVICT") || named("NO-TOUCH") => on_or_off(word)?,
        _ => return Err(ParseError::ClientUsage(subcommand)),
    };
    Ok(Request::Admin(Admin::Client(client)))
}

/// Takes a name of visible ASCII characters, or of none.
pub(super) fn client_name(name: &[u8]) -> Result<&[u8], ParseError<'_>> {
    if name.iter().all(u8::is_ascii_graphic) {
        Ok(name)
    } else {
        Err(ParseError::ClientName)
    }
}

fn library(what: &[u8]) -> Result<Library, ParseError<'_>> {
    if is(what, "LIB-NAME") {
        Ok(Library::Name)
    } else if is(what, "LIB-VER") {
        Ok(Library::Version)
    } else {
        Err(ParseError::ClientUsage(what))
    }
}

fn reply_mode(mode: &[u8]) -> Result<ReplyMode, ParseError<'_>> {
    if is(mode, "ON") {
        Ok(ReplyMode::On)
    } else if is(mode, "OFF") {
        Ok(ReplyMode::Off)
    } else if is(mode, "SKIP") {
        Ok(ReplyMode::Skip)
    } else {
        Err(ParseError::Near(mode, "client"))
    }
}

fn on_or_off(word: &[u8]) -> Result<Client<'_>, ParseError<'_>> {
    if is(word, "ON") || is(word, "OFF") {
        Ok(Client::Ignored)
    } else {
        Err(ParseError::Near(word, "client"))
    }
}

fn kill<'a>(filters: &[&'a [u8]]) -> Result<KillFilter<'a>, ParseError<'a>> {
    let mut kill = KillFilter {
        id: None,
        address: None,
        normal_only: false,
        skip_me: true,
    };
    let mut filters = Args::new(filters);
    if filters.is_empty() {
        return Err(ParseError::Near(b"KILL", "client"));
    }
    while let Some(filter) = filters.next() {
        let value = filters.value()?;
        if is(filter, "ID") {
            kill.id = Some(args::positive(value).ok_or(ParseError::NotInteger)?);
        } else if is(filter, "ADDR") {
            kill.address = Some(value);
        } else if is(filter, "TYPE") && is(value, "normal") {
            kill.normal_only = true;
        } else if is(filter, "TYPE") {
            return Err(ParseError::ClientType(value));
        } else if is(filter, "SKIPME") && is(value, "yes") {
            kill.skip_me = true;
        } else if is(filter, "SKIPME") && is(value, "no") {
            kill.skip_me = false;
        } else if is(filter, "SKIPME") {
            return Err(ParseError::Near(value, "client"));
        } else {
            return Err(ParseError::Near(filter, "client"));
        }
    }
    Ok(kill)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(args: &[&'a str]) -> Result<Client<'a>, ParseError<'a>> {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        match client(&args)? {
            Request::Admin(Admin::Client(client)) => Ok(client),
            other => panic!("not CLIENT: {other:?}"),
        }
    }

    const ALL: KillFilter<'_> = KillFilter {
        id: None,
        address: None,
        normal_only: false,
        skip_me: true,
    };

    #[test]
    fn subcommands_are_known_in_any_case() {
        for (args, expected) in [
            (&["list"][..], Client::List),
            (&["INFO"], Client::Info),
            (&["Id"], Client::Id),
            (&["getname"], Client::GetName),
            (&["setname", "worker-1"], Client::SetName(b"worker-1")),
            (&["setname", ""], Client::SetName(b"")),
            (
                &["setinfo", "lib-name", "redis-py"],
                Client::SetInfo(Library::Name, b"redis-py"),
            ),
            (
                &["SETINFO", "LIB-VER", ""],
                Client::SetInfo(Library::Version, b""),
            ),
            (
                &["pause", "1500"],
                Client::Pause(Duration::from_millis(1500)),
            ),
            (&["pause", "0"], Client::Pause(Duration::ZERO)),
            (&["reply", "on"], Client::Reply(ReplyMode::On)),
            (&["reply", "OFF"], Client::Reply(ReplyMode::Off)),
            (&["reply", "skip"], Client::Reply(ReplyMode::Skip)),
            (&["no-evict", "on"], Client::Ignored),
            (&["no-touch", "off"], Client::Ignored),
        ] {
            assert_eq!(parse(args), Ok(expected), "{args:?}");
        }
    }

    #[test]
    fn kill_takes_an_address_or_filters() {
        assert_eq!(
            parse(&["kill", "127.0.0.1:9"]),
            Ok(Client::KillAddress(b"127.0.0.1:9"))
        );
        for (args, expected) in [
            (&["kill", "id", "7"][..], KillFilter { id: Some(7), ..ALL }),
            (
                &["kill", "ADDR", "::1:9"],
                KillFilter {
                    address: Some(b"::1:9"),
                    ..ALL
                },
            ),
            (
                &["kill", "type", "NORMAL", "skipme", "no"],
                KillFilter {
                    normal_only: true,
                    skip_me: false,
                    ..ALL
                },
            ),
            (&["kill", "skipme", "no", "skipme", "yes"], ALL),
        ] {
            assert_eq!(parse(args), Ok(Client::Kill(expected)), "{args:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let near = |word: &'static [u8]| ParseError::Near(word, "client");
        for (args, expected) in [
            (&[][..], ParseError::WrongArity("client")),
            (&["tracking", "on"], ParseError::ClientUsage(b"tracking")),
            (
                &["list", "type", "normal"],
                ParseError::ClientUsage(b"list"),
            ),
            (&["setname"], ParseError::ClientUsage(b"setname")),
            (&["setname", "a b"], ParseError::ClientName),
            (&["setname", "a\n"], ParseError::ClientName),
            (&["setname", "é"], ParseError::ClientName),
            (
                &["setinfo", "lib-mood", "x"],
                ParseError::ClientUsage(b"lib-mood"),
            ),
            (&["pause", "x"], ParseError::TimeoutNotInteger),
            (&["pause", "-1"], ParseError::TimeoutNegative),
            (&["reply", "maybe"], near(b"maybe")),
            (&["no-evict", "maybe"], near(b"maybe")),
            (&["kill"], near(b"KILL")),
            (&["kill", "id", "1", "addr"], ParseError::NoValue(b"addr")),
            (&["kill", "id", "x"], ParseError::NotInteger),
            (&["kill", "id", "0"], ParseError::NotInteger),
            (&["kill", "type", "slave"], ParseError::ClientType(b"slave")),
            (&["kill", "skipme", "x"], near(b"x")),
            (&["kill", "laddr", "x"], near(b"laddr")),
        ] {
            assert_eq!(parse(args), Err(expected), "{args:?}");
        }
    }
}
