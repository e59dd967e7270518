//! What a request says in its path and query, as bytes: names of queues need not be text.

use axum::http::{StatusCode, Uri};
use axum::response::Response;
use shoalmq_core::command::{QueueList, QueueOrder};

use super::problem;
use crate::command::queue::{DEFAULT_LIST_COUNT, order_named};

/// Why a request is answered with 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRequest(String);

impl From<BadRequest> for Response {
    fn from(bad: BadRequest) -> Self {
        problem(StatusCode::BAD_REQUEST, &bad.0)
    }
}

/// The last part of the path, decoded.
pub(super) fn last_segment(uri: &Uri) -> Result<Vec<u8>, BadRequest> {
    let path = uri.path();
    let last = path.rsplit('/').next().unwrap_or(path);
    decode(last).ok_or_else(|| {
        let wrong =
            format!("`{last}` in the path is no percent-encoding: `%` takes two hex digits");
        BadRequest(wrong)
    })
}

/// The values of these parameters, each given at most once, and no others.
fn parameters<'a, const N: usize>(
    uri: &'a Uri,
    names: [&str; N],
) -> Result<[Option<&'a str>; N], BadRequest> {
    let mut values = [None; N];
    let pairs = uri.query().unwrap_or_default().split('&');
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(place) = names.iter().position(|&name| name == key) else {
            let known = names.map(|name| format!("`{name}`")).join(", ");
            let wrong = format!("unknown parameter `{key}`: there is {known}");
            return Err(BadRequest(wrong));
        };
        if values[place].replace(value).is_some() {
            return Err(BadRequest(format!("{key} is given twice")));
        }
    }
    Ok(values)
}

/// Whether a switch is given as `true`; no other parameters may be given.
pub(super) fn switch(uri: &Uri, name: &str) -> Result<bool, BadRequest> {
    let [value] = parameters(uri, [name])?;
    is_on(name, value)
}

fn is_on(name: &str, value: Option<&str>) -> Result<bool, BadRequest> {
    match value {
        Some("true") => Ok(true),
        Some("false") | None => Ok(false),
        Some(value) => {
            let wrong = format!("{name} must be `true` or `false`, not `{value}`");
            Err(BadRequest(wrong))
        }
    }
}

fn count_of(value: Option<&str>, usual: usize, most: usize) -> Result<usize, BadRequest> {
    let Some(value) = value else { return Ok(usual) };
    let number = value.parse().ok();
    number
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| {
            BadRequest(format!(
                "count must be a number from 1 to {most}, not `{value}`"
            ))
        })
}

fn glob_of(value: Option<&str>) -> Result<Option<Vec<u8>>, BadRequest> {
    let decoded = value.map(|value| {
        decode(value).ok_or_else(|| {
            BadRequest(format!(
                "`{value}` is no percent-encoding: `%` takes two hex digits"
            ))
        })
    });
    decoded.transpose()
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// `cursor`: where it begins.
    pub(super) cursor: u64,
    /// `count`: how many it may have.
    pub(super) count: usize,
    /// `match`: a glob.
    pub(super) pattern: Option<Vec<u8>>,
}

impl Page {
    /// The parameters of a request, each at most once, and no others.
    pub(super) fn of(uri: &Uri, count: usize, count_max: usize) -> Result<Self, BadRequest> {
        let [pattern, given, cursor] = parameters(uri, ["match", "count", "cursor"])?;
        let wrong = |value| BadRequest(format!("cursor must be a number, not `{value}`"));
        let cursor = cursor.map(|value| value.parse().map_err(|_| wrong(value)));
        Ok(Page {
            cursor: cursor.transpose()?.unwrap_or(0),
            count: count_of(given, count, count_max)?,
            pattern: glob_of(pattern)?,
        })
    }
}

/// A list of queues, and whether it is of the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Queues {
    pub(super) list: QueueList,
    /// `global`.
    pub(super) global: bool,
}

impl Queues {
    /// The parameters of a request: the options of QLIST, and `global`.
    pub(super) fn of(uri: &Uri, count_max: usize) -> Result<Self, BadRequest> {
        let names = ["match", "sort", "count", "global"];
        let [pattern, sort, count, global] = parameters(uri, names)?;
        let order = sort.map(|word| {
            order_named(word.as_bytes()).ok_or_else(|| {
                BadRequest(format!(
                    "sort must be `name`, `ready` or `age`, not `{word}`"
                ))
            })
        });
        Ok(Queues {
            list: QueueList {
                pattern: glob_of(pattern)?.map(Into::into),
                order: order.transpose()?.unwrap_or(QueueOrder::Name),
                count: count_of(count, DEFAULT_LIST_COUNT as usize, count_max)? as u64,
            },
            global: is_on("global", global)?,
        })
    }
}

/// The bytes that are meant; none if a `%` is not followed by two hex digits.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (&[high, low], after) = rest.split_first_chunk()?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        bytes.push((digit(high)? << 4 | digit(low)?) as u8);
        rest = after;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &'static str) -> Uri {
        Uri::from_static(text)
    }

    #[test]
    fn names_are_any_bytes() {
        let name = |text| last_segment(&uri(text)).ok();
        assert_eq!(name("/api/v1/queues/mail"), Some(b"mail".to_vec()));
        assert_eq!(name("/queues/a%2Fb%20+"), Some(b"a/b +".to_vec()));
        assert_eq!(name("/queues/%ff%00"), Some(vec![0xff, 0]));
        for wrong in ["/queues/%", "/queues/%4", "/queues/%zz", "/queues/a%+1"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_page_has_a_cursor_a_count_and_a_glob() {
        let page = |text| Page::of(&uri(text), 100, 1000).map_err(|bad| bad.0);
        let first = Page {
            cursor: 0,
            count: 100,
            pattern: None,
        };
        assert_eq!(page("/t"), Ok(first));
        let later = Page {
            cursor: 7,
            count: 3,
            pattern: Some(b"a&.*".to_vec()),
        };
        assert_eq!(page("/t?match=a%26.*&count=3&cursor=7"), Ok(later));
        for (wrong, word) in [
            ("/t?count=0", "from 1 to 1000"),
            ("/t?count=1001", "not `1001`"),
            ("/t?cursor=x", "cursor must be"),
            ("/t?match=%z", "percent-encoding"),
            ("/t?global=true", "`global`"),
            ("/t?count=1&count=1", "twice"),
        ] {
            let error = page(wrong).expect_err(wrong);
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_list_of_queues_takes_what_qlist_takes() {
        let queues = |text| Queues::of(&uri(text), 5000).map_err(|bad| bad.0);
        let list = |pattern: Option<&[u8]>, order, count| QueueList {
            pattern: pattern.map(Into::into),
            order,
            count,
        };
        let all = Queues {
            list: list(None, QueueOrder::Name, 1000),
            global: false,
        };
        assert_eq!(queues("/q"), Ok(all));
        let some = Queues {
            list: list(Some(b"a&*"), QueueOrder::Ready, 3),
            global: true,
        };
        assert_eq!(
            queues("/q?match=a%26*&sort=ready&count=3&global=true"),
            Ok(some)
        );
        for (wrong, word) in [
            ("/q?sort=size", "`name`, `ready` or `age`, not `size`"),
            ("/q?count=5001", "from 1 to 5000"),
            ("/q?globl=true", "`globl`"),
            ("/q?global=1", "global must be"),
            ("/q?sort=age&sort=age", "twice"),
        ] {
            let error = queues(wrong).expect_err(wrong);
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_switch_is_true_or_false_and_alone() {
        let global = |text| switch(&uri(text), "global").map_err(|bad| bad.0);
        assert_eq!(global("/q"), Ok(false));
        assert_eq!(global("/q?"), Ok(false));
        assert_eq!(global("/q?global=true"), Ok(true));
        assert_eq!(global("/q?global=false"), Ok(false));
        for (wrong, word) in [
            ("/q?global", "global must be"),
            ("/q?global=1", "not `1`"),
            ("/q?globl=true", "`globl`"),
            ("/q?global=true&global=true", "twice"),
        ] {
            let error = global(wrong).expect_err(wrong);
            assert!(error.contains(word), "{error}");
        }
    }
}
