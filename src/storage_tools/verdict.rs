//! What a reading of the whole log comes to: damage, a torn end, or neither.

use std::path::Path;

use shoalmq_core::record::{Record, Segment, Stream};
use shoalmq_storage::Store;
use shoalmq_storage::backend::Sequence;
use shoalmq_storage::examine::{Examined, Found};
use shoalmq_storage::fault::{Damage, Fault, Place};
use shoalmq_storage::streams::{STREAMS, Streams};

use super::{Disk, ToolError, Verdict, describe, progress};

/// Damaged places that are told one by one; the rest is counted.
const TOLD: usize = 100;

/// A record and where it lies.
pub(super) struct At<'a> {
    pub(super) stream: Stream,
    pub(super) segment: Segment,
    pub(super) sequence: Sequence,
    pub(super) offset: usize,
    pub(super) bytes: usize,
    pub(super) record: &'a Record,
}

/// What was found out about a log.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// None for a stream whose engine gave up before the end.
    pub(super) examined: Streams<Option<Examined>>,
    /// The first damaged places.
    pub(super) damage: Vec<String>,
    /// All damaged places.
    pub(super) damaged: u64,
}

impl Health {
    pub(super) fn verdict(&self) -> Verdict {
        match self.damaged {
            0 => Verdict::Sound,
            _ => Verdict::Damaged,
        }
    }

    /// Where each stream is torn at its end, in words.
    pub(super) fn torn(&self, stream: Stream) -> Option<String> {
        let torn = self.examined[stream].and_then(|seen| seen.torn);
        torn.map(|place| of_stream(stream, place))
    }

    fn note(&mut self, stream: Stream, place: Place, damage: &Damage) {
        self.damaged += 1;
        if self.damage.len() < TOLD {
            let (place, damage) = (of_stream(stream, place), describe(damage));
            self.damage.push(format!("{place}: {damage}"));
        }
    }
}

/// Says of which stream the place is, unless it is that of the jobs.
fn of_stream(stream: Stream, place: Place) -> String {
    match stream {
        Stream::Jobs => place.to_string(),
        Stream::Topics => format!("topics, {place}"),
    }
}

/// Reads the whole log below a folder. A visitor that returns an error is not asked again, and the reading ends with its
/// error.
pub(super) fn read(
    disk: Disk,
    folder: &Path,
    act: &'static str,
    mut visit: impl FnMut(At<'_>) -> Result<(), ToolError>,
) -> Result<Health, ToolError> {
    let mut health = Health::default();
    let bar = progress::counter(act);
    let mut failed = None;
    let examined = Store::examine_in(disk.kind(), folder, |stream, segment, found| match found {
        Found::Record {
            sequence,
            offset,
            bytes,
            record,
        } => {
            bar.inc(bytes as u64);
            if failed.is_none() {
                let at = At {
                    stream,
                    segment,
                    sequence,
                    offset,
                    bytes,
                    record,
                };
                failed = visit(at).err();
            }
        }
        Found::Damage { place, damage } => health.note(stream, place, &damage),
    });
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error);
    }
    let Streams { jobs, topics } = examined;
    for (stream, examined) in STREAMS.into_iter().zip([jobs, topics]) {
        match examined {
            Ok(examined) => health.examined[stream] = Some(examined),
            // What the engine refuses is damage, whatever else goes wrong is not.
            Err(Fault::Corrupt { place, damage, .. }) => health.note(stream, place, &damage),
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(health)
}
