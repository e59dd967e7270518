//! The queues of QLIST as a table for people: a line for each, in columns.

use super::format;
use shoalmq_resp::Frame;

/// What stands above each column, and the figure under it.
const COLUMNS: [(&str, &str); 10] = [
    ("QUEUE", "name"),
    ("READY", "ready"),
    ("ACTIVE", "active"),
    ("DELAYED", "delayed"),
    ("DEAD", "dead"),
    ("OLDEST", "oldest"),
    ("CONSUMERS", "consumers"),
    ("IN/S", "in"),
    ("OUT/S", "out"),
    ("PAUSED", "paused"),
];

/// The table, without a newline at its end; none if the reply is no list of queues.
pub(super) fn of_queues(reply: &Frame) -> Option<String> {
    let Frame::Array(parts) = reply else {
        return None;
    };
    let [Frame::Array(queues), Frame::Array(missing)] = &parts[..] else {
        return None;
    };
    let rows: Option<Vec<_>> = queues.iter().map(row).collect();
    let mut lines = vec![COLUMNS.map(|(heading, _)| heading.to_owned())];
    lines.extend(rows?);
    let mut out = if queues.is_empty() {
        "(no queues)".to_owned()
    } else {
        let is_left = |column| column == 0 || column == COLUMNS.len() - 1;
        aligned(&lines, is_left)
    };
    if !missing.is_empty() {
        let ids: Vec<String> = missing.iter().map(text).collect();
        out.push_str("\n(missing nodes) ");
        out.push_str(&ids.join(" "));
    }
    Some(out)
}

/// What stands in the columns for one queue.
fn row(queue: &Frame) -> Option<[String; COLUMNS.len()]> {
    let figures = Figures::of(queue)?;
    let mut row = COLUMNS.map(|_| String::new());
    for (cell, (_, wanted)) in row.iter_mut().zip(COLUMNS) {
        *cell = match (wanted, figures.get(wanted)?) {
            ("oldest", Frame::Integer(seconds)) => age(*seconds),
            ("paused", value) if value.as_str() == Some("none") => "-".to_owned(),
            (_, value) => text(value),
        };
    }
    Some(row)
}

/// Names and values, of a map or of the flat array that stands for one in RESP2.
pub(super) struct Figures<'a>(Vec<(&'a str, &'a Frame)>);

impl<'a> Figures<'a> {
    pub(super) fn of(frame: &'a Frame) -> Option<Self> {
        let pairs = match frame {
            Frame::Map(pairs) => pairs
                .iter()
                .map(|(name, value)| Some((name.as_str()?, value)))
                .collect(),
            Frame::Array(items) => format::pairs(items),
            _ => None,
        };
        pairs.map(Figures)
    }

    /// The value with this name.
    pub(super) fn get(&self, wanted: &str) -> Option<&'a Frame> {
        let mut figures = self.0.iter();
        figures.find_map(|&(name, value)| (name == wanted).then_some(value))
    }
}

pub(super) fn text(value: &Frame) -> String {
    match value {
        Frame::Integer(number) => number.to_string(),
        value => format::plain(value.as_bytes().unwrap_or_default()),
    }
}

/// A time in the two units that say enough.
fn age(seconds: i64) -> String {
    let (minute, hour, day) = (60, 3600, 86_400);
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / minute, seconds % minute),
        3600..86_400 => format!("{}h{:02}m", seconds / hour, seconds % hour / minute),
        _ => format!("{}d{:02}h", seconds / day, seconds % day / hour),
    }
}

/// Cells in columns: words to the left, figures to the right.
pub(super) fn aligned<const COLUMNS: usize>(
    lines: &[[String; COLUMNS]],
    is_left: impl Fn(usize) -> bool,
) -> String {
    let mut widths = [0; COLUMNS];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let written = lines.iter().map(|line| {
        let cells = line.iter().zip(widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| {
            if column == COLUMNS - 1 && is_left(column) {
                cell.clone()
            } else if is_left(column) {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ")
    });
    written.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str, figures: [i64; 8], paused: &str) -> Frame {
        let bulk = |text: &str| Frame::Bulk(text.as_bytes().to_vec());
        let mut pairs = vec![bulk("name"), bulk(name)];
        for ((_, key), figure) in COLUMNS[1..9].iter().zip(figures) {
            pairs.extend([bulk(key), Frame::Integer(figure)]);
        }
        pairs.extend([bulk("paused"), bulk(paused)]);
        Frame::Array(pairs)
    }

    #[test]
    fn queues_stand_in_columns() {
        let queues = Frame::Array(vec![
            queue("mail", [12_345, 6, 0, 1, 75, 3, 120, 9], "none"),
            queue("žluť\n", [0, 0, 0, 0, 0, 0, 0, 0], "out"),
        ]);
        let reply = Frame::Array(vec![queues, Frame::Array(vec![])]);
        assert_eq!(
            of_queues(&reply).as_deref(),
            Some(
                "QUEUE   READY  ACTIVE  DELAYED  DEAD  OLDEST  CONSUMERS  IN/S  OUT/S  PAUSED\n\
                 mail    12345       6        0     1   1m15s          3   120      9  -\n\
                 žluť\\n      0       0        0     0      0s          0     0      0  out"
            )
        );
    }

    #[test]
    fn missing_nodes_are_named_below_even_without_queues() {
        let missing = Frame::Array(vec![
            Frame::Bulk(b"a1".to_vec()),
            Frame::Bulk(b"b2".to_vec()),
        ]);
        let reply = Frame::Array(vec![Frame::Array(vec![]), missing]);
        assert_eq!(
            of_queues(&reply).as_deref(),
            Some("(no queues)\n(missing nodes) a1 b2")
        );
        assert_eq!(of_queues(&Frame::Integer(1)), None);
    }

    #[test]
    fn ages_have_two_units() {
        for (seconds, told) in [
            (0, "0s"),
            (59, "59s"),
            (61, "1m01s"),
            (3_660, "1h01m"),
            (90_000, "1d01h"),
        ] {
            assert_eq!(age(seconds), told);
        }
    }
}
