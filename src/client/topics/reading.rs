//! TREAD: a page of entries.

use std::future::IntoFuture;
use std::time::Duration;

use shoalmq_resp::Frame;

use super::{Item, Start};
use crate::error::Error;
use crate::link::{Link, Repeat};
use crate::verbs::{Answer, unexpected};

/// Some entries, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Where the next page begins, also if this one is empty.
    pub cursor: String,
    /// What is in it.
    pub items: Vec<Item>,
}

/// TREAD without waiting: a [`Subscription`](crate::Subscription) waits.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use shoalmq_client::Start;
///
/// let mut start = Start::Oldest;
/// loop {
///     let page = shoal.read(["orders.*"]).from(start).count(1000).await?;
///     if page.items.is_empty() {
///         break;
///     }
///     start = Start::Cursor(page.cursor);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is read until it is awaited"]
pub struct Read<'a> {
    link: &'a Link,
    patterns: Vec<Vec<u8>>,
    start: Start,
    options: Vec<Vec<u8>>,
}

impl<'a> Read<'a> {
    pub(crate) fn new(link: &'a Link, patterns: Vec<Vec<u8>>) -> Self {
        Read {
            link,
            patterns,
            start: Start::Oldest,
            options: Vec::new(),
        }
    }

    /// Where to begin: at the oldest entry unless said.
    pub fn from(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    fn option(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.options.extend([name.into(), value.into()]);
        self
    }

    /// The last id that is read, or the last millisecond.
    pub fn to(self, id: &str) -> Self {
        self.option("TO", id)
    }

    /// The most entries: 100 unless said, at most 10 000.
    pub fn count(self, entries: u32) -> Self {
        self.option("COUNT", entries.to_string())
    }
}

impl<'a> IntoFuture for Read<'a> {
    type Output = Result<Page, Error>;
    type IntoFuture = Answer<'a, Page>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut args = vec![b"TREAD".to_vec()];
            args.extend(self.start.options());
            args.extend(self.options);
            args.extend([b"WITHMETA".to_vec(), b"PATTERN".to_vec()]);
            args.extend(self.patterns);
            page(self.link.call(&args, Repeat::Safe, Duration::ZERO).await?)
        })
    }
}

fn page(frame: Frame) -> Result<Page, Error> {
    let Frame::Array(parts) = frame else {
        return Err(unexpected(&frame));
    };
    match <[Frame; 2]>::try_from(parts) {
        Ok([Frame::Bulk(cursor), Frame::Array(items)]) => Ok(Page {
            cursor: String::from_utf8_lossy(&cursor).into_owned(),
            items: items.into_iter().map(item).collect::<Result<_, _>>()?,
        }),
        Ok(parts) => Err(unexpected(&Frame::Array(parts.into()))),
        Err(parts) => Err(unexpected(&Frame::Array(parts))),
    }
}

fn item(frame: Frame) -> Result<Item, Error> {
    let Frame::Array(parts) = frame else {
        return Err(unexpected(&frame));
    };
    let parts = parts.try_into();
    Item::read(parts.map_err(|parts| unexpected(&Frame::Array(parts)))?)
}
