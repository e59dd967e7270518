//! SLOWLOG and LATENCY: what took long.

use std::collections::VecDeque;
use std::fmt::Write;

use super::{Answer, ok};
use crate::command::admin::{Latency, Slowlog};
use crate::command::{Failure, ServerError};
use crate::server::clients::Execution;
use crate::server::slowlog::Samples;
use shoalmq_resp::encode;

fn number(out: &mut Vec<u8>, value: u64) {
    encode::integer(out, i64::try_from(value).unwrap_or(i64::MAX));
}

pub(super) fn slowlog(execution: &mut Execution<'_>, command: Slowlog) -> Answer {
    match command {
        Slowlog::Len => number(execution.out, execution.driver.slowlog.len() as u64),
        Slowlog::Reset => {
            execution.driver.slowlog.clear();
            return ok(execution);
        }
        Slowlog::Get(count) => {
            let log = &execution.driver.slowlog;
            let shown = log.len().min(usize::try_from(count).unwrap_or(usize::MAX));
            encode::array(execution.out, shown);
            for entry in log.iter().take(shown) {
                encode::array(execution.out, 4);
                number(execution.out, entry.id);
                number(execution.out, entry.unix_seconds);
                number(
                    execution.out,
                    u64::try_from(entry.took.as_micros()).unwrap_or(u64::MAX),
                );
                encode::array(execution.out, entry.args.len());
                for arg in &entry.args {
                    encode::bulk(execution.out, arg);
                }
            }
        }
    }
    Ok(())
}

pub(super) fn latency(execution: &mut Execution<'_>, command: &Latency<'_>) -> Answer {
    match command {
        Latency::Latest => latest(execution),
        Latency::History(event) => history(execution, event),
        Latency::Reset(events) => reset(execution, events),
        Latency::Graph(event) => match find(execution, event).map(graph) {
            Some(text) => encode::bulk(execution.out, text.as_bytes()),
            None => Failure::from(ServerError::NoSamples(event)).encode(execution.out),
        },
        Latency::Doctor => {
            let text = doctor(execution);
            encode::bulk(execution.out, text.as_bytes());
        }
    }
    Ok(())
}

fn find<'a>(execution: &'a Execution<'_>, event: &[u8]) -> Option<&'a Samples> {
    let mut events = execution.driver.latency.events.iter();
    events
        .find(|(name, _)| name.as_bytes() == event)
        .map(|(_, samples)| samples)
}

fn latest(execution: &mut Execution<'_>) {
    let events = &execution.driver.latency.events;
    encode::array(execution.out, events.len());
    for (name, event) in events {
        let (second, ms) = event.samples.back().copied().unwrap_or_default();
        encode::array(execution.out, 4);
        encode::bulk(execution.out, name.as_bytes());
        for value in [second, ms, event.worst_ms] {
            number(execution.out, value);
        }
    }
}

fn history(execution: &mut Execution<'_>, event: &[u8]) {
    let samples = find(execution, event).map_or_else(VecDeque::new, |event| event.samples.clone());
    encode::array(execution.out, samples.len());
    for (second, ms) in samples {
        encode::array(execution.out, 2);
        number(execution.out, second);
        number(execution.out, ms);
    }
}

fn reset(execution: &mut Execution<'_>, names: &[&[u8]]) {
    let events = &mut execution.driver.latency.events;
    let before = events.len();
    events.retain(|name, _| !names.is_empty() && !names.contains(&name.as_bytes()));
    number(execution.out, (before - events.len()) as u64);
}

/// Columns of the drawing: the newest samples.
const COLUMNS: usize = 60;
const ROWS: u64 = 5;

/// Draws samples as columns of `#`, newest to the right.
fn graph(event: &Samples) -> String {
    let shown: Vec<u64> = event
        .samples
        .iter()
        .rev()
        .take(COLUMNS)
        .rev()
        .map(|&(_, ms)| ms)
        .collect();
    let high = shown.iter().copied().max().unwrap_or(0).max(1);
    let low = shown.iter().copied().min().unwrap_or(0);
    let mut text = format!(
        "high {high} ms, low {low} ms (all time high {} ms)\n",
        event.worst_ms
    );
    for row in (1..=ROWS).rev() {
        for &ms in &shown {
            text.push(if ms * ROWS >= row * high || row == 1 {
                '#'
            } else {
                ' '
            });
        }
        text.push('\n');
    }
    text
}

fn doctor(execution: &Execution<'_>) -> String {
    let driver = &execution.driver;
    if driver.config.latency_monitor_threshold.is_none() {
        return "Nothing is watched: CONFIG SET latency-monitor-threshold MS keeps every event that takes longer.\n"
            .to_owned();
    }
    let mut text = String::new();
    for (name, event) in &driver.latency.events {
        let count = event.samples.len();
        let sum: u64 = event.samples.iter().map(|&(_, ms)| ms).sum();
        let mean = sum / (count as u64).max(1);
        let _ = writeln!(
            text,
            "{name}: {count} slow seconds, {mean} ms on average, {} ms at worst.",
            event.worst_ms
        );
    }
    if text.is_empty() {
        return "No event took longer than latency-monitor-threshold.\n".to_owned();
    }
    text.push_str("SLOWLOG GET names the commands; many queues or ids in one command, and scans with BUSYLOOP, take long.\n");
    text
}
