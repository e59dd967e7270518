//! Passwords among the arguments of a command: what MONITOR, the slow log and the history of the prompt must not show.
//!
//! A mistyped command still holds the password: a slip of a name counts as the name, and the value of an unknown
//! parameter counts as a secret.

use shoalmq_command::suggestion::closest;
use shoalmq_command::{REDACTED, lookup};

use super::Directive;

/// Replaces the secrets among the arguments of a command, the first of which is its name.
pub fn redact(args: &mut [Vec<u8>]) {
    let begin = begin(args).unwrap_or(args.len());
    for arg in &mut args[begin..] {
        REDACTED.clone_into(arg);
    }
}

/// Where the arguments begin that may be secrets, if there are any.
pub fn begin(args: &[Vec<u8>]) -> Option<usize> {
    let (name, rest) = args.split_first()?;
    let begin = if means(name, "AUTH") || is(name, "ACL") {
        1
    } else if means(name, "HELLO") {
        2 + rest.iter().position(|word| means(word, "AUTH"))?
    } else if means(name, "CONFIG") {
        in_config(args)
    } else {
        return None;
    };
    (begin < args.len()).then_some(begin)
}

/// CONFIG SET shows the names and values of parameters up to the first that is a secret, or that nobody knows.
fn in_config(args: &[Vec<u8>]) -> usize {
    let Some(subcommand) = args.get(1) else {
        return args.len();
    };
    if ["GET", "RESETSTAT", "REWRITE"]
        .iter()
        .any(|name| is(subcommand, name))
    {
        return args.len();
    }
    if !is(subcommand, "SET") {
        return 2;
    }
    for (index, name) in args.iter().enumerate().skip(2).step_by(2) {
        let known = std::str::from_utf8(name).ok().and_then(Directive::find);
        match known {
            Some(row) if row.is_secret() => return index + 1,
            Some(_) => {}
            // Such as `requirepass=secret`.
            None => return index,
        }
    }
    args.len()
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// Whether `word` is this name, or a slip of it.
fn means(word: &[u8], name: &'static str) -> bool {
    is(word, name) || lookup(word).is_none() && closest(word, [name]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(line: &str) -> String {
        let mut args: Vec<Vec<u8>> = line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect();
        redact(&mut args);
        String::from_utf8(args.join(&b' ')).expect("words of a test")
    }

    #[test]
    fn passwords_are_redacted_wherever_a_command_takes_them() {
        for (line, shown) in [
            ("AUTH pw", "AUTH (redacted)"),
            ("auth user pw", "auth (redacted) (redacted)"),
            ("HELLO 3 AUTH u pw", "HELLO 3 AUTH (redacted) (redacted)"),
            (
                "hello 2 SETNAME n auth u pw",
                "hello 2 SETNAME n auth (redacted) (redacted)",
            ),
            (
                "CONFIG SET requirepass pw",
                "CONFIG SET requirepass (redacted)",
            ),
            (
                "config set CLUSTER-SECRET pw",
                "config set CLUSTER-SECRET (redacted)",
            ),
            (
                "CONFIG SET maxclients 9 requirepass pw timeout 9",
                "CONFIG SET maxclients 9 requirepass (redacted) (redacted) (redacted)",
            ),
            (
                "ACL SETUSER u on >pw",
                "ACL (redacted) (redacted) (redacted) (redacted)",
            ),
        ] {
            assert_eq!(redacted(line), shown);
        }
    }

    #[test]
    fn a_mistyped_command_keeps_its_password_too() {
        for line in [
            "AUHT pw",
            "ATUH user pw",
            "HELO 3 AUTH u pw",
            "HELLO 3 AUHT u pw",
            "CONFIG SET requirepas pw",
            "CONFIG SET requirepass=pw x",
            "CONFIG SETT requirepass pw",
            "CONFIG requirepass pw",
            "CONFG SET requirepass pw",
            "CONFIG SET timeout requirepass pw",
        ] {
            let shown = redacted(line);
            assert!(
                !shown.contains("pw") && shown.contains("(redacted)"),
                "{shown}"
            );
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for line in [
            "ADDJOB auth pw 0",
            "CONFIG SET maxclients 100",
            "CONFIG GET requirepass",
            "CONFIG REWRITE",
            "CONFIG",
            "HELLO 3 SETNAME n",
            "HELLO",
            "ECHO auth",
            "AUTH",
            "NOSUCH pw",
        ] {
            assert_eq!(redacted(line), line);
        }
        assert_eq!(begin(&[]), None);
    }
}
