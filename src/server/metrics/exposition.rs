//! The text that Prometheus reads: families of samples, written in the order in which they come.
//!
//! Format: prometheus.io, "Exposition formats", version 0.0.4. [`openmetrics`] turns it into OpenMetrics 1.0.

use std::fmt::{Display, Write};

use shoalmq_core::telling::Histogram;

/// The prefix of all names but the standard ones of a process.
const PREFIX: &str = "shoalmq_";

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Text that grows family by family.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
    /// The family that samples go to, with its prefix.
    name: String,
}

/// Labels of a sample; names are ours, values anybody's.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a family.
    pub(super) fn family(&mut self, kind: Kind, name: &str, help: &str) {
        let prefix = if name.starts_with("process_") {
            ""
        } else {
            PREFIX
        };
        self.name = format!("{prefix}{name}");
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let name = &self.name;
        let text = &mut self.text;
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes all");
    }

    /// A sample of the family.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A family of one sample without labels.
    pub(super) fn one(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help);
        self.sample(&[], value);
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.one(Kind::Counter, name, help, value);
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.one(Kind::Gauge, name, help, value);
    }

    /// A histogram of the family. `unit` is how many of its units make a second.
    pub(super) fn histogram<const N: usize>(
        &mut self,
        labels: Labels<'_>,
        bounds: &[u64; N],
        unit: f64,
        histogram: &Histogram<N>,
    ) {
        let mut below = 0;
        for (bound, count) in bounds.iter().zip(&histogram.counts) {
            below += count;
            let bound = *bound as f64 / unit;
            self.line("_bucket", labels, Some(&bound.to_string()), below);
        }
        let all = below + histogram.above;
        self.line("_bucket", labels, Some("+Inf"), all);
        self.line("_sum", labels, None, histogram.sum as f64 / unit);
        self.line("_count", labels, None, all);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
        let text = &mut self.text;
        text.push_str(&self.name);
        text.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        let mut open = '{';
        for (name, value) in labels.iter().copied().chain(bound) {
            text.push(open);
            open = ',';
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value);
            text.push('"');
        }
        if open == ',' {
            text.push('}');
        }
        writeln!(text, " {value}").expect("a string takes all");
    }

    /// All families, and those that were written elsewhere behind them.
    pub(super) fn finish(mut self, more: &str) -> String {
        self.text.push_str(more.trim_end());
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.text
    }
}

fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

/// The same in OpenMetrics: a counter is named without its `_total` where it is declared, and the end is marked.
pub(super) fn openmetrics(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut lines = text.lines().filter(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let declared = line
            .strip_prefix("# HELP ")
            .or(line.strip_prefix("# TYPE "));
        let counts = line.ends_with(" counter")
            || lines
                .peek()
                .is_some_and(|next| next.starts_with("# TYPE ") && next.ends_with(" counter"));
        match declared.and_then(|rest| rest.split_once(' ')) {
            Some((name, rest)) if counts => {
                out.push_str(&line[..7]);
                out.push_str(name.strip_suffix("_total").unwrap_or(name));
                out.push(' ');
                out.push_str(rest);
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out.push_str("# EOF\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_help_type_and_samples() {
        let mut text = Exposition::default();
        text.family(Kind::Counter, "jobs_total", "Jobs.");
        text.sample(&[("queue", "a\"b\\c\nd")], 3);
        let mut histogram = Histogram::<2>::default();
        for value in [1, 2, 700, 9000] {
            histogram.add(&[500, 1000], value);
        }
        text.family(Kind::Histogram, "wait_seconds", "Waiting.");
        text.histogram(&[("queue", "q")], &[500, 1000], 1000.0, &histogram);
        let text = text.finish("");
        assert_eq!(
            text,
            "# HELP shoalmq_jobs_total Jobs.\n# TYPE shoalmq_jobs_total counter\n\
             shoalmq_jobs_total{queue=\"a\\\"b\\\\c\\nd\"} 3\n\
             # HELP shoalmq_wait_seconds Waiting.\n# TYPE shoalmq_wait_seconds histogram\n\
             shoalmq_wait_seconds_bucket{queue=\"q\",le=\"0.5\"} 2\n\
             shoalmq_wait_seconds_bucket{queue=\"q\",le=\"1\"} 3\n\
             shoalmq_wait_seconds_bucket{queue=\"q\",le=\"+Inf\"} 4\n\
             shoalmq_wait_seconds_sum{queue=\"q\"} 9.703\n\
             shoalmq_wait_seconds_count{queue=\"q\"} 4\n"
        );
        assert_eq!(
            openmetrics(&text).lines().collect::<Vec<_>>()[..3],
            [
                "# HELP shoalmq_jobs Jobs.",
                "# TYPE shoalmq_jobs counter",
                "shoalmq_jobs_total{queue=\"a\\\"b\\\\c\\nd\"} 3",
            ]
        );
        assert!(openmetrics(&text).ends_with("_count{queue=\"q\"} 4\n# EOF\n"));
    }
}
