//! Metrics for Prometheus: everything that an operator watches, read when somebody asks.
//!
//! What is counted lives where it happens: jobs in the core's tallies, commands in `stats`, the log in its journal.
//! With the lock held, all of it is copied; the text is written after.

mod cluster;
mod commands;
mod events;
mod exposition;
mod jobs;
mod label;
mod node;
mod topics;

use std::sync::Arc;

use self::exposition::Exposition;
use super::driver::{Driver, Shared};

pub(crate) use events::{note_auth_failure, note_error, note_protocol_error, note_reload, start};
pub(crate) use label::queue_label;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' text, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The one that a client prefers, by its `Accept` header.
    pub(crate) fn accepted(header: &str) -> Self {
        let openmetrics = weight(header, &["application/openmetrics-text"]);
        let text = weight(header, &["text/plain", "text/*", "*/*"]);
        // If both formats have the same weight, OpenMetrics wins.
        if openmetrics > 0.0 && openmetrics >= text {
            Format::OpenMetrics
        } else {
            Format::Text
        }
    }

    /// The `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// How willingly a client takes the first of these types that it names, from 0 to 1.
fn weight(header: &str, types: &[&str]) -> f64 {
    let named = |wanted: &&str| {
        let ranges = header.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next()?;
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            name.eq_ignore_ascii_case(wanted).then_some(weight)
        });
        ranges.reduce(f64::max)
    };
    types.iter().find_map(named).unwrap_or(0.0)
}

/// All metrics of this node.
pub(crate) fn render(shared: &Arc<Shared>, format: Format) -> String {
    let space = node::Space::read(shared);
    let copied = {
        let driver = shared.driver.lock();
        Copied::of(&driver)
    };
    let mut text = Exposition::default();
    copied.jobs.write(&mut text);
    copied.topics.write(&mut text);
    copied.commands.write(&mut text);
    copied.cluster.write(&mut text);
    copied.node.write(&mut text, space);
    let text = text.finish(&events::render());
    match format {
        Format::Text => text,
        Format::OpenMetrics => exposition::openmetrics(&text),
    }
}

/// What was read with the lock held.
struct Copied {
    jobs: jobs::Jobs,
    topics: topics::Topics,
    commands: commands::Commands,
    cluster: cluster::Nodes,
    node: node::Figures,
}

impl Copied {
    fn of(driver: &Driver) -> Self {
        Copied {
            jobs: jobs::Jobs::of(driver),
            topics: topics::Topics::of(driver),
            commands: commands::Commands::of(driver),
            cluster: cluster::Nodes::of(driver),
            node: node::Figures::of(driver),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_a_client_likes_best() {
        let (text, openmetrics) = (Format::Text, Format::OpenMetrics);
        for (header, format) in [
            ("", text),
            ("*/*", text),
            ("text/plain", text),
            ("application/openmetrics-text", openmetrics),
            (
                "application/openmetrics-text; version=1.0.0, */*",
                openmetrics,
            ),
            (
                "application/openmetrics-text;q=0.8,text/plain;q=0.5,*/*;q=0.1",
                openmetrics,
            ),
            (
                "application/openmetrics-text;q=0.5, text/plain;version=0.0.4;q=0.9",
                text,
            ),
            ("application/openmetrics-text;q=0.3,*/*;q=0.6", text),
            ("Application/OpenMetrics-Text;q=0", text),
            ("application/openmetrics-text;q=nonsense", text),
        ] {
            assert_eq!(Format::accepted(header), format, "{header}");
        }
    }
}
