//! The parser of QCONFIG.

use shoalmq_core::command::{Command, QueueConfig};
use shoalmq_core::policy::{Backoff, Policy, Use, is_prefix};

use super::args::{self, Args, is};
use super::job::{keep, max_deliver, priority, replicate, ttl};
use super::{ParseError, Parsed, Request};

const YES: &[u8] = b"yes";
const NO: &[u8] = b"no";

/// `QCONFIG`: an array of patterns, each an array of itself and a map of its policies. `QCONFIG queue`: a map of what
/// applies to the queue. `QCONFIG queue SET name value [name value ...]`, `QCONFIG queue UNSET name [name ...]`: OK.
///
/// All names and values are checked before anything changes. Of a name given twice the last value counts.
pub(super) fn config<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let config = match *args {
        [] => QueueConfig::All,
        [pattern] => QueueConfig::Of(pattern),
        [_, word] if is(word, "SET") || is(word, "UNSET") => {
            return Err(ParseError::WrongArity("qconfig"));
        }
        [pattern, word, ref rest @ ..] => {
            let mut changes: Vec<(Policy, Option<Vec<u8>>)> = Vec::new();
            let mut rest = Args::new(rest);
            while let Some(name) = rest.next() {
                let (policy, value) = if is(word, "SET") {
                    let policy = policy(pattern, name)?;
                    (policy, Some(value(policy, rest.value()?)?))
                } else if is(word, "UNSET") {
                    (policy(pattern, name)?, None)
                } else {
                    break;
                };
                changes.retain(|(other, _)| *other != policy);
                changes.push((policy, value));
            }
            if changes.is_empty() {
                return Err(ParseError::Near(word, "qconfig"));
            }
            QueueConfig::Change { pattern, changes }
        }
    };
    Ok(Request::Core(Command::QueueConfig(config)))
}

fn policy<'a>(pattern: &[u8], name: &'a [u8]) -> Result<Policy, ParseError<'a>> {
    let policy = Policy::named(name).ok_or(ParseError::UnknownPolicy(name))?;
    if policy.used() == Use::Pausing && is_prefix(pattern) {
        return Err(ParseError::PolicyOfQueue(policy));
    }
    Ok(policy)
}

/// A value as it is kept; a bad one is refused as the option of ADDJOB would be.
fn value(policy: Policy, text: &[u8]) -> Result<Vec<u8>, ParseError<'static>> {
    let seconds = |text| args::seconds(text).map(u64::from);
    let (number, refusal) = match policy {
        Policy::Retry => (seconds(text), ParseError::Retry),
        Policy::Ttl => (ttl(text).map(u64::from), ParseError::Ttl),
        Policy::Delay => (seconds(text), ParseError::Delay),
        Policy::Replicate => (replicate(text).map(u64::from), ParseError::Replicate),
        Policy::MaxLen => (args::positive(text), ParseError::MaxLen),
        Policy::Priority => (priority(text).map(u64::from), ParseError::Priority),
        Policy::Keep => (keep(text).map(u64::from), ParseError::Keep),
        Policy::MaxDeliver => (max_deliver(text).map(u64::from), ParseError::MaxDeliver),
        Policy::DeadTtl => (ttl(text).map(u64::from), ParseError::DeadTtl),
        Policy::DeadQueue if text.is_empty() => return Err(ParseError::Dead),
        Policy::DeadQueue => return Ok(text.to_vec()),
        Policy::Backoff => {
            let backoff = Backoff::parse(text).ok_or(ParseError::BackoffPolicy)?;
            return Ok(format!("{}:{}", backoff.base, backoff.max).into_bytes());
        }
        Policy::PauseIn | Policy::PauseOut if text.eq_ignore_ascii_case(YES) => {
            return Ok(YES.to_vec());
        }
        Policy::PauseIn | Policy::PauseOut if text.eq_ignore_ascii_case(NO) => {
            return Ok(NO.to_vec());
        }
        Policy::PauseIn | Policy::PauseOut => return Err(ParseError::PolicyYesNo(policy)),
    };
    let number = number.ok_or(refusal)?;
    Ok(number.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed<'a>(args: &[&'a str]) -> Result<QueueConfig<'a>, ParseError<'a>> {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        match config(&args)? {
            Request::Core(Command::QueueConfig(config)) => Ok(config),
            other => panic!("{other:?}"),
        }
    }

    fn set(policy: Policy, value: &str) -> (Policy, Option<Vec<u8>>) {
        (policy, Some(value.as_bytes().to_vec()))
    }

    #[test]
    fn without_changes_it_asks() {
        assert_eq!(parsed(&[]), Ok(QueueConfig::All));
        assert_eq!(parsed(&["mail*"]), Ok(QueueConfig::Of(b"mail*")));
    }

    #[test]
    fn several_policies_change_at_once_and_the_last_of_a_name_counts() {
        let args = ["q", "set", "TTL", "60", "retry", "5", "ttl", "9999999999"];
        let changes = vec![set(Policy::Retry, "5"), set(Policy::Ttl, "4294967295")];
        let pattern = &b"q"[..];
        assert_eq!(parsed(&args), Ok(QueueConfig::Change { pattern, changes }));
        let changes = vec![(Policy::MaxLen, None), (Policy::PauseOut, None)];
        assert_eq!(
            parsed(&["q", "UNSET", "maxlen", "pause-out"]),
            Ok(QueueConfig::Change { pattern, changes })
        );
    }

    #[test]
    fn values_have_the_bounds_of_the_options() {
        for (name, value, refusal) in [
            ("retry", "-1", ParseError::Retry),
            ("ttl", "0", ParseError::Ttl),
            ("delay", "x", ParseError::Delay),
            ("replicate", "0", ParseError::Replicate),
            ("replicate", "65536", ParseError::Replicate),
            ("maxlen", "0", ParseError::MaxLen),
            ("pause-in", "1", ParseError::PolicyYesNo(Policy::PauseIn)),
        ] {
            let all = ["q", "SET", "retry", "5", name, value];
            assert_eq!(parsed(&all), Err(refusal), "{name} {value}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let unknown = Err(ParseError::UnknownPolicy(b"prio"));
        assert_eq!(parsed(&["q", "SET", "prio", "1"]), unknown);
        assert_eq!(parsed(&["q", "UNSET", "ttl", "prio"]), unknown);
        assert_eq!(
            parsed(&["q*", "SET", "pause-in", "yes"]),
            Err(ParseError::PolicyOfQueue(Policy::PauseIn))
        );
        assert_eq!(
            parsed(&["q", "SET", "ttl"]),
            Err(ParseError::NoValue(b"ttl"))
        );
        assert_eq!(
            parsed(&["q", "SET"]),
            Err(ParseError::WrongArity("qconfig"))
        );
        for args in [&["q", "GET"][..], &["q", "GET", "ttl"]] {
            assert_eq!(parsed(args), Err(ParseError::Near(b"GET", "qconfig")));
        }
    }
}
