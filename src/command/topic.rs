//! Parsers of the commands on topics, and of Redis's pub/sub.

use std::time::Duration;

use shoalmq_core::command::{AddJob, Command, Wait};
use shoalmq_core::extras::{Extras, Tag};
use shoalmq_core::meta::Meta;
use shoalmq_core::topic::{
    Before, CHANNEL_MAX, CURSOR_NAME_MAX, Cursor, DEDUP_MAX, EntryId, Follow, InvalidCursor,
    Listen, PATTERN_MAX, PATTERNS_MAX, Publish, READ_MAX, Read, Rule, Start, TopicCommand,
};

use super::args::{self, Args, is};
use super::job::{job_option, replicate};
use super::{ParseError, Parsed, Request};

/// How long TPUB waits for copies unless it is told.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// How many entries TREAD answers unless it is told.
const READ_COUNT: u64 = 100;
/// How many bytes of entries TREAD answers unless it is told.
const READ_BYTES: u64 = 1 << 20;
/// How many channels TSCAN looks at unless it is told.
const SCAN_COUNT: u64 = 100;

/// What is wrong with the arguments of a command on topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicError<'a> {
    /// The name of a channel is empty or too long.
    Channel,
    /// A pattern is empty or too long.
    Pattern,
    /// TREAD, TSUB: PATTERN is missing.
    NoPattern,
    /// TREAD, TSUB: more patterns than one call may have.
    TooManyPatterns,
    /// TREAD: no start, or more than one. AS may have a start beside it.
    NoStart,
    /// The name of a cursor is empty or too long.
    CursorName,
    /// Not a cursor, nor any other start.
    Start(&'a [u8], Option<InvalidCursor>),
    /// Not an id.
    Id(&'a [u8]),
    /// COUNT or LAST is not a number from 1 to [`READ_MAX`].
    Count(&'static str),
    /// BYTES is not a number above 0.
    Bytes,
    /// The key of DEDUP is empty or too long.
    Dedup,
    /// TRETAIN: a bound is not a number above 0.
    Bound(&'static str),
    /// TUNSUB: not the number of a subscription.
    Number,
}

impl<'a> From<TopicError<'a>> for ParseError<'a> {
    fn from(error: TopicError<'a>) -> Self {
        ParseError::Topic(error)
    }
}

fn topic(command: TopicCommand<'_>) -> Request<'_> {
    Request::Core(Command::Topic(Box::new(command)))
}

/// `TPUB channel body [REPLICATE n] [TIMEOUT ms] [ASYNC] [DEDUP key] [META name value]…`: the id, as a bulk string.
pub(super) fn publish<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[channel, body, ref options @ ..] = args else {
        return Err(ParseError::WrongArity("tpub"));
    };
    let mut publish = Publish {
        channel: checked_channel(channel)?,
        body,
        replicate: None,
        timeout: Some(PUBLISH_TIMEOUT),
        is_async: false,
        dedup: None,
        extras: Extras::NONE,
    };
    let mut meta = Meta::default();
    let mut options = Args::new(options);
    while let Some(option) = options.next() {
        if is(option, "ASYNC") {
            publish.is_async = true;
        } else if is(option, "REPLICATE") {
            publish.replicate = Some(replicate(options.value()?).ok_or(ParseError::Replicate)?);
        } else if is(option, "TIMEOUT") {
            publish.timeout = args::timeout(options.value()?)?;
        } else if is(option, "DEDUP") {
            let key = options.value()?;
            if key.is_empty() || key.len() > DEDUP_MAX {
                return Err(TopicError::Dedup.into());
            }
            publish.dedup = Some(key);
        } else if is(option, "META") {
            let (name, value) = options.pair()?;
            meta.set(name, value).map_err(ParseError::Meta)?;
        } else {
            return Err(ParseError::Near(option, "tpub"));
        }
    }
    let meta = meta.encode();
    let meta = (!meta.is_empty()).then_some((Tag::META, &meta[..]));
    let key = publish.dedup.map(|key| (Tag::DEDUP, key));
    if meta.is_some() || key.is_some() {
        publish.extras = Extras::new(meta.into_iter().chain(key));
    }
    Ok(topic(TopicCommand::Publish(publish)))
}

/// `PUBLISH channel body`: how many subscriptions of this node the entry goes to.
pub(super) fn publish_unwatched<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[channel, body] = args else {
        return Err(ParseError::WrongArity("publish"));
    };
    let channel = checked_channel(channel)?;
    Ok(topic(TopicCommand::Announce { channel, body }))
}

/// `TREAD FROM start|LAST n|AS name [TO id] [COUNT n] [BYTES n] [BLOCK ms] [WITHMETA] PATTERN p [p …]`: the next cursor, and
/// entries.
pub(super) fn read<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let mut args = Args::new(args);
    let (mut starts, mut to, mut wait) = (Starts::default(), None, Wait::No);
    let (mut count, mut bytes, mut meta) = (READ_COUNT, READ_BYTES, false);
    while let Some(option) = args.next() {
        if starts.take(option, &mut args)? {
            continue;
        }
        if is(option, "TO") {
            to = Some(last_id(args.value()?)?);
        } else if is(option, "COUNT") {
            count = counted(args.value()?, "COUNT")?;
        } else if is(option, "BYTES") {
            bytes = args::positive(args.value()?).ok_or(TopicError::Bytes)?;
        } else if is(option, "BLOCK") {
            wait = match args::timeout(args.value()?)? {
                Some(timeout) => Wait::AtMost(timeout),
                None => Wait::Forever,
            };
        } else if is(option, "WITHMETA") {
            meta = true;
        } else if is(option, "PATTERN") {
            let patterns = patterns(args.rest())?;
            return Ok(topic(TopicCommand::Read(Read {
                start: starts.start().ok_or(TopicError::NoStart)?,
                patterns,
                to,
                count,
                bytes,
                wait,
                meta,
            })));
        } else {
            return Err(ParseError::Near(option, "tread"));
        }
    }
    Err(TopicError::NoPattern.into())
}

/// `TSUB [FROM start|LAST n|AS name] [WITHMETA] PATTERN p [p …]`: entries as they come.
pub(super) fn follow<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let mut args = Args::new(args);
    let (mut starts, mut meta) = (Starts::default(), false);
    while let Some(option) = args.next() {
        if starts.take(option, &mut args)? {
            continue;
        }
        if is(option, "WITHMETA") {
            meta = true;
        } else if is(option, "PATTERN") {
            let patterns = patterns(args.rest())?;
            let start = starts.start().unwrap_or(Start::Now);
            return Ok(topic(TopicCommand::Follow(Follow {
                start,
                patterns,
                meta,
            })));
        } else {
            return Err(ParseError::Near(option, "tsub"));
        }
    }
    Err(TopicError::NoPattern.into())
}

/// `TUNSUB [number]`: ends one subscription of TSUB, or all.
pub(super) fn unfollow<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    Ok(topic(TopicCommand::Unfollow(match *args {
        [] => None,
        [number] => Some(args::positive(number).ok_or(TopicError::Number)?),
        _ => return Err(ParseError::WrongArity("tunsub")),
    })))
}

pub(super) fn subscribe<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    subscription(args, Listen::Channel, "subscribe")
}

pub(super) fn pattern_subscribe<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    subscription(args, Listen::Pattern, "psubscribe")
}

fn subscription<'a>(args: &[&'a [u8]], listen: Listen, name: &'static str) -> Parsed<'a> {
    if args.is_empty() {
        return Err(ParseError::WrongArity(name));
    }
    for name in args {
        match listen {
            Listen::Channel => checked_channel(name)?,
            Listen::Pattern => checked_pattern(name)?,
        };
    }
    Ok(topic(TopicCommand::Subscribe(listen, args.to_vec())))
}

#[expect(clippy::unnecessary_wraps, reason = "parsers are alike")]
pub(super) fn unsubscribe<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    Ok(topic(TopicCommand::Unsubscribe(
        Listen::Channel,
        args.to_vec(),
    )))
}

#[expect(clippy::unnecessary_wraps, reason = "parsers are alike")]
pub(super) fn pattern_unsubscribe<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    Ok(topic(TopicCommand::Unsubscribe(
        Listen::Pattern,
        args.to_vec(),
    )))
}

/// `PUBSUB CHANNELS [pattern]|NUMSUB [channel …]|NUMPAT`.
pub(super) fn pubsub<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[word, ref rest @ ..] = args else {
        return Err(ParseError::WrongArity("pubsub"));
    };
    Ok(topic(match *rest {
        [] if is(word, "CHANNELS") => TopicCommand::ActiveChannels(None),
        [pattern] if is(word, "CHANNELS") => TopicCommand::ActiveChannels(Some(pattern)),
        _ if is(word, "NUMSUB") => TopicCommand::Subscribers(rest.to_vec()),
        [] if is(word, "NUMPAT") => TopicCommand::PatternCount,
        _ => return Err(ParseError::Near(word, "pubsub")),
    }))
}

/// `TFLUSH pattern BEFORE id|ms|$`: entries that are gone.
pub(super) fn flush<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[pattern, word, before] = args else {
        return Err(ParseError::WrongArity("tflush"));
    };
    if !is(word, "BEFORE") {
        return Err(ParseError::Near(word, "tflush"));
    }
    let before = if before == b"$" {
        Before::Now
    } else {
        Before::Id(first_id(before)?)
    };
    let pattern = checked_pattern(pattern)?;
    Ok(topic(TopicCommand::Flush { pattern, before }))
}

/// `TRETAIN [pattern [MAXAGE s] [MAXBYTES n] [MAXLEN n] [KEEP] | pattern DEL]`.
pub(super) fn retain<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[pattern, ref options @ ..] = args else {
        return Ok(topic(TopicCommand::Rules));
    };
    let pattern = checked_pattern(pattern)?;
    match *options {
        [] => return Err(ParseError::WrongArity("tretain")),
        [word] if is(word, "DEL") => return Ok(topic(TopicCommand::RemoveRule(pattern))),
        _ => {}
    }
    let mut rule = Rule::default();
    let mut options = Args::new(options);
    while let Some(option) = options.next() {
        if is(option, "MAXAGE") {
            rule.age = Some(Duration::from_secs(bound(&mut options, "MAXAGE")?));
        } else if is(option, "MAXBYTES") {
            rule.bytes = Some(bound(&mut options, "MAXBYTES")?);
        } else if is(option, "MAXLEN") {
            rule.entries = Some(bound(&mut options, "MAXLEN")?);
        } else if is(option, "KEEP") {
            rule.keep = true;
        } else {
            return Err(ParseError::Near(option, "tretain"));
        }
    }
    Ok(topic(TopicCommand::SetRule { pattern, rule }))
}

/// `TCOMMIT name cursor`: the reader of a name has come this far.
pub(super) fn commit<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[name, text] = args else {
        return Err(ParseError::WrongArity("tcommit"));
    };
    let name = checked_name(name)?;
    let cursor = Cursor::parse(text);
    let cursor = cursor.map_err(|why| TopicError::Start(text, Some(why)))?;
    Ok(topic(TopicCommand::Commit { name, cursor }))
}

/// `TCURSOR [name [SET start | DEL]]`: named cursors.
pub(super) fn cursor<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[name, ref words @ ..] = args else {
        return Ok(topic(TopicCommand::Cursors));
    };
    let name = checked_name(name)?;
    Ok(topic(match *words {
        [] => TopicCommand::NamedCursor(name),
        [word] if is(word, "DEL") => TopicCommand::DeleteCursor(name),
        [word, text] if is(word, "SET") => {
            let start = start(text)?;
            TopicCommand::SetCursor { name, start }
        }
        [word, ..] => return Err(ParseError::Near(word, "tcursor")),
    }))
}

/// `TBIND pattern queue [FROM start] [DELAY s] [RETRY s] [TTL s] [REPLICATE n] [MAXLEN n]`: entries become jobs.
pub(super) fn bind<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[pattern, queue, ref options @ ..] = args else {
        return Err(ParseError::WrongArity("tbind"));
    };
    let pattern = checked_pattern(pattern)?;
    let (mut from, mut add) = (Start::Now, AddJob::new(queue, b""));
    let mut options = Args::new(options);
    while let Some(option) = options.next() {
        if is(option, "FROM") {
            from = start(options.value()?)?;
        } else if !job_option(option, &mut options, &mut add)? {
            return Err(ParseError::Near(option, "tbind"));
        }
    }
    Ok(topic(TopicCommand::Bind {
        pattern,
        start: from,
        add,
    }))
}

/// `TUNBIND pattern queue`: 1, or 0 if they are not bound.
pub(super) fn unbind<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[pattern, queue] = args else {
        return Err(ParseError::WrongArity("tunbind"));
    };
    let pattern = checked_pattern(pattern)?;
    Ok(topic(TopicCommand::Unbind { pattern, queue }))
}

/// `TBINDINGS`: all bindings.
pub(super) fn bindings<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    if !args.is_empty() {
        return Err(ParseError::WrongArity("tbindings"));
    }
    Ok(topic(TopicCommand::Bindings))
}

/// `TLEN pattern`: entries that it matches.
pub(super) fn length<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[pattern] = args else {
        return Err(ParseError::WrongArity("tlen"));
    };
    Ok(topic(TopicCommand::Length(checked_pattern(pattern)?)))
}

/// `TSTAT channel`: figures of a channel.
pub(super) fn stat<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[channel] = args else {
        return Err(ParseError::WrongArity("tstat"));
    };
    Ok(topic(TopicCommand::Stat(checked_channel(channel)?)))
}

/// `TSCAN cursor [COUNT n] [MATCH pattern]`: the next cursor, and names of channels.
pub(super) fn scan<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let &[cursor, ref options @ ..] = args else {
        return Err(ParseError::WrongArity("tscan"));
    };
    let cursor = args::integer(cursor).and_then(|cursor| u64::try_from(cursor).ok());
    let cursor = cursor.ok_or(ParseError::CursorOrOption(args[0], "tscan"))?;
    let (mut count, mut pattern) = (SCAN_COUNT, None);
    let mut options = Args::new(options);
    while let Some(option) = options.next() {
        if is(option, "COUNT") {
            count = args::positive(options.value()?).ok_or(ParseError::Count)?;
        } else if is(option, "MATCH") {
            pattern = Some(checked_pattern(options.value()?)?);
        } else {
            return Err(ParseError::CursorOrOption(option, "tscan"));
        }
    }
    Ok(topic(TopicCommand::Scan {
        cursor,
        count,
        pattern,
    }))
}

fn bound<'a>(options: &mut Args<'_, 'a>, name: &'static str) -> Result<u64, ParseError<'a>> {
    let bound = args::positive(options.value()?);
    bound.ok_or(ParseError::Topic(TopicError::Bound(name)))
}

/// Where a reader begins, as its options say.
#[derive(Default)]
struct Starts<'a> {
    /// `FROM start` or `LAST n`.
    from: Option<Start>,
    /// `AS name`.
    name: Option<&'a [u8]>,
}

impl<'a> Starts<'a> {
    /// Takes an option, if it is one of these.
    fn take(&mut self, option: &'a [u8], args: &mut Args<'_, 'a>) -> Result<bool, ParseError<'a>> {
        let is_second = if is(option, "FROM") {
            let start = start(args.value()?)?;
            self.from.replace(start).is_some()
        } else if is(option, "LAST") {
            let count = counted(args.value()?, "LAST")?;
            self.from.replace(Start::Last(count)).is_some()
        } else if is(option, "AS") {
            let name = checked_name(args.value()?)?;
            self.name.replace(name).is_some()
        } else {
            return Ok(false);
        };
        if is_second {
            return Err(TopicError::NoStart.into());
        }
        Ok(true)
    }

    /// A name begins at the oldest entry that is kept, unless its first use says otherwise.
    fn start(self) -> Option<Start> {
        let Some(name) = self.name else {
            return self.from;
        };
        let zero = || Start::Cursor(Box::default());
        let first = self.from.unwrap_or_else(zero);
        Some(Start::Named(name.into(), Box::new(first)))
    }
}

fn start(text: &[u8]) -> Result<Start, TopicError<'_>> {
    if text == b"$" {
        return Ok(Start::Now);
    }
    if text.contains(&b'@') {
        let cursor = Cursor::parse(text);
        let cursor = cursor.map_err(|why| TopicError::Start(text, Some(why)))?;
        return Ok(Start::Cursor(Box::new(cursor)));
    }
    match millis(text) {
        Some(0) => Ok(Start::Cursor(Box::default())),
        Some(ms) => Ok(Start::Id(EntryId::end_of(ms))),
        None => match EntryId::parse(text) {
            Some(id) => Ok(Start::Id(id)),
            None => Err(TopicError::Start(text, None)),
        },
    }
}

/// An id, or the first of a millisecond.
fn first_id(text: &[u8]) -> Result<EntryId, TopicError<'_>> {
    let of_ms = millis(text).map(|ms| EntryId::new(ms, 0));
    of_ms
        .or_else(|| EntryId::parse(text))
        .ok_or(TopicError::Id(text))
}

/// An id, or the last of a millisecond.
fn last_id(text: &[u8]) -> Result<EntryId, TopicError<'_>> {
    let of_ms = millis(text).map(EntryId::end_of);
    of_ms
        .or_else(|| EntryId::parse(text))
        .ok_or(TopicError::Id(text))
}

fn millis(text: &[u8]) -> Option<u64> {
    u64::try_from(args::integer(text)?).ok()
}

fn counted<'a>(text: &'a [u8], name: &'static str) -> Result<u64, TopicError<'a>> {
    let count = args::positive(text).filter(|&count| count <= READ_MAX);
    count.ok_or(TopicError::Count(name))
}

fn patterns<'a>(patterns: &[&'a [u8]]) -> Result<Vec<&'a [u8]>, TopicError<'a>> {
    if patterns.is_empty() {
        return Err(TopicError::NoPattern);
    }
    if patterns.len() > PATTERNS_MAX {
        return Err(TopicError::TooManyPatterns);
    }
    patterns
        .iter()
        .map(|pattern| checked_pattern(pattern))
        .collect()
}

fn checked_channel(name: &[u8]) -> Result<&[u8], TopicError<'_>> {
    let fits = (1..=CHANNEL_MAX).contains(&name.len());
    fits.then_some(name).ok_or(TopicError::Channel)
}

fn checked_name(name: &[u8]) -> Result<&[u8], TopicError<'_>> {
    let fits = (1..=CURSOR_NAME_MAX).contains(&name.len());
    fits.then_some(name).ok_or(TopicError::CursorName)
}

fn checked_pattern(pattern: &[u8]) -> Result<&[u8], TopicError<'_>> {
    let fits = (1..=PATTERN_MAX).contains(&pattern.len());
    fits.then_some(pattern).ok_or(TopicError::Pattern)
}

#[cfg(test)]
mod tests;
