//! Progress, for people at a terminal: on a pipe or in a file there is none.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that fills up to `total` bytes.
pub(super) fn bytes(act: &'static str, total: u64) -> ProgressBar {
    styled(
        ProgressBar::new(total),
        act,
        "{msg:9} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
    )
}

/// Bytes that are counted, when nobody knows how many there will be.
pub(super) fn counter(act: &'static str) -> ProgressBar {
    styled(
        ProgressBar::no_length(),
        act,
        "{msg:9} {bytes} {bytes_per_sec}",
    )
}

fn styled(bar: ProgressBar, act: &'static str, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is one of ours");
    bar.with_style(style).with_message(act)
}
