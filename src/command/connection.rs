//! Parsers of the commands that concern one connection: PING, ECHO, QUIT, SELECT, RESET, AUTH and HELLO.

use super::admin::{Admin, Credentials, Hello};
use super::args::{self, Args, is};
use super::client::client_name;
use super::{ParseError, Parsed, Request};
use shoalmq_resp::Protocol;

/// `PING [text]`: PONG, or the text.
pub(super) fn ping<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    match *args {
        [] => Ok(Request::Admin(Admin::Ping(None))),
        [text] => Ok(Request::Admin(Admin::Ping(Some(text)))),
        _ => Err(ParseError::WrongArity("ping")),
    }
}

/// `ECHO text`: the text.
pub(super) fn echo<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    match *args {
        [text] => Ok(Request::Admin(Admin::Echo(text))),
        _ => Err(ParseError::WrongArity("echo")),
    }
}

/// `QUIT`: OK, and the connection closes; whatever follows the word is ignored.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the table wants one type of all parsers"
)]
pub(super) fn quit<'a>(_: &[&'a [u8]]) -> Parsed<'a> {
    Ok(Request::Admin(Admin::Quit))
}

/// `RESET`: `RESET`, as a simple string.
pub(super) fn reset<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    match *args {
        [] => Ok(Request::Admin(Admin::Reset)),
        _ => Err(ParseError::WrongArity("reset")),
    }
}

/// `SELECT 0`: OK. Refused: any other number.
pub(super) fn select<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[index] = args else {
        return Err(ParseError::WrongArity("select"));
    };
    match args::any_integer(index)? {
        0 => Ok(Request::Admin(Admin::Select)),
        _ => Err(ParseError::DatabaseIndex),
    }
}

/// `AUTH [user] password`: OK. Refused: a wrong password, another user than `default`, a password alone while none is set.
pub(super) fn auth<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let (user, password) = match *args {
        [password] => (None, password),
        [user, password] => (Some(user), password),
        _ => return Err(ParseError::WrongArity("auth")),
    };
    Ok(Request::Admin(Admin::Auth(Credentials { user, password })))
}

/// `HELLO [2|3 [AUTH user password] [SETNAME name]]`: alone, the nodes of the cluster in Disque's form; with a protocol,
/// facts about the server.
///
/// Refused: NOPROTO for any other number, wrong number of arguments for anything else, and bad client names.
pub(super) fn hello<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    const NONSENSE: ParseError<'_> = ParseError::WrongArity("hello");
    let &[version, ref options @ ..] = args else {
        return Ok(Request::Admin(Admin::Nodes));
    };
    let protocol = match args::integer(version).ok_or(NONSENSE)? {
        2 => Protocol::Resp2,
        3 => Protocol::Resp3,
        _ => return Err(ParseError::ProtocolVersion),
    };
    let mut hello = Hello {
        protocol,
        auth: None,
        name: None,
    };
    let mut options = Args::new(options);
    while let Some(option) = options.next() {
        if is(option, "AUTH") {
            let (Some(user), Some(password)) = (options.next(), options.next()) else {
                return Err(NONSENSE);
            };
            let user = Some(user);
            hello.auth = Some(Credentials { user, password });
        } else if is(option, "SETNAME") {
            hello.name = Some(client_name(options.next().ok_or(NONSENSE)?)?);
        } else {
            return Err(NONSENSE);
        }
    }
    Ok(Request::Admin(Admin::Hello(hello)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin<'a>(
        parse: super::super::Parser,
        args: &[&'a str],
    ) -> Result<Admin<'a>, ParseError<'a>> {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        match parse(&args)? {
            Request::Admin(admin) => Ok(admin),
            Request::Core(core) => panic!("for the core: {core:?}"),
        }
    }

    #[test]
    fn ping_and_echo_give_back_what_they_got() {
        assert_eq!(admin(ping, &[]), Ok(Admin::Ping(None)));
        assert_eq!(admin(ping, &["x"]), Ok(Admin::Ping(Some(b"x"))));
        assert_eq!(
            admin(ping, &["x", "y"]),
            Err(ParseError::WrongArity("ping"))
        );
        assert_eq!(admin(echo, &[""]), Ok(Admin::Echo(b"")));
        assert_eq!(admin(echo, &[]), Err(ParseError::WrongArity("echo")));
    }

    #[test]
    fn quit_takes_anything_and_reset_nothing() {
        assert_eq!(admin(quit, &["a", "b", "c"]), Ok(Admin::Quit));
        assert_eq!(admin(reset, &[]), Ok(Admin::Reset));
        assert_eq!(admin(reset, &["x"]), Err(ParseError::WrongArity("reset")));
    }

    #[test]
    fn there_is_one_database() {
        assert_eq!(admin(select, &["0"]), Ok(Admin::Select));
        assert_eq!(admin(select, &["1"]), Err(ParseError::DatabaseIndex));
        assert_eq!(admin(select, &["-1"]), Err(ParseError::DatabaseIndex));
        assert_eq!(admin(select, &["x"]), Err(ParseError::NotInteger));
    }

    #[test]
    fn auth_takes_a_password_with_or_without_a_user() {
        let with = |user, password| Ok(Admin::Auth(Credentials { user, password }));
        assert_eq!(admin(auth, &["pw"]), with(None, b"pw"));
        assert_eq!(
            admin(auth, &["default", "pw"]),
            with(Some(b"default"), b"pw")
        );
        for args in [&[][..], &["a", "b", "c"]] {
            assert_eq!(admin(auth, args), Err(ParseError::WrongArity("auth")));
        }
    }

    #[test]
    fn hello_alone_is_disques_and_with_a_protocol_is_redis() {
        let hello_with = |protocol, auth: Option<(&'static str, &'static str)>, name| {
            Ok(Admin::Hello(Hello {
                protocol,
                auth: auth.map(|(user, password)| Credentials {
                    user: Some(user.as_bytes()),
                    password: password.as_bytes(),
                }),
                name,
            }))
        };
        assert_eq!(admin(hello, &[]), Ok(Admin::Nodes));
        assert_eq!(
            admin(hello, &["2"]),
            hello_with(Protocol::Resp2, None, None)
        );
        assert_eq!(
            admin(hello, &["3"]),
            hello_with(Protocol::Resp3, None, None)
        );
        assert_eq!(
            admin(hello, &["3", "setname", "me", "AUTH", "u", "p"]),
            hello_with(Protocol::Resp3, Some(("u", "p")), Some(b"me"))
        );
    }

    #[test]
    fn hello_refuses_other_protocols_and_nonsense() {
        for version in ["0", "1", "4", "-3", "99999999999"] {
            assert_eq!(admin(hello, &[version]), Err(ParseError::ProtocolVersion));
        }
        for args in [
            &["x"][..],
            &[""],
            &["3.0"],
            &["3", "bogus"],
            &["3", "AUTH"],
            &["3", "AUTH", "u"],
            &["3", "SETNAME"],
        ] {
            assert_eq!(
                admin(hello, args),
                Err(ParseError::WrongArity("hello")),
                "{args:?}"
            );
        }
        assert_eq!(
            admin(hello, &["3", "SETNAME", "a b"]),
            Err(ParseError::ClientName)
        );
    }
}
