//! What a reading of the whole log comes to: damage, a torn end, or neither.

use shoalmq_core::record::{Record, Segment};
use shoalmq_storage::Store;
use shoalmq_storage::backend::Sequence;
use shoalmq_storage::examine::{Examined, Found};
use shoalmq_storage::fault::{Damage, Fault, Place};

use super::{ToolError, Verdict, describe, progress};

/// Damaged places that are told one by one; the rest is counted.
const TOLD: usize = 100;

/// A record and where it lies.
pub(super) struct At<'a> {
    pub(super) segment: Segment,
    pub(super) sequence: Sequence,
    pub(super) offset: usize,
    pub(super) bytes: usize,
    pub(super) record: &'a Record,
}

/// What was found out about a log.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// None when the engine gave up before the end.
    pub(super) examined: Option<Examined>,
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

    fn note(&mut self, place: Place, damage: &Damage) {
        self.damaged += 1;
        if self.damage.len() < TOLD {
            self.damage.push(format!("{place}: {}", describe(damage)));
        }
    }
}

/// Reads a whole log. A visitor that returns an error is not asked again, and the reading ends with its error.
pub(super) fn read(
    opened: Result<Store, ToolError>,
    act: &'static str,
    mut visit: impl FnMut(At<'_>) -> Result<(), ToolError>,
) -> Result<Health, ToolError> {
    let mut health = Health::default();
    let mut store = match opened {
        Ok(store) => store,
        Err(error) => return unreadable(health, error),
    };
    let bar = progress::counter(act);
    let mut failed = None;
    let examined = store.examine(|segment, found| match found {
        Found::Record {
            sequence,
            offset,
            bytes,
            record,
        } => {
            bar.inc(bytes as u64);
            if failed.is_none() {
                let at = At {
                    segment,
                    sequence,
                    offset,
                    bytes,
                    record,
                };
                failed = visit(at).err();
            }
        }
        Found::Damage { place, damage } => health.note(place, &damage),
    });
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error);
    }
    match examined {
        Ok(examined) => health.examined = Some(examined),
        Err(fault) => return unreadable(health, fault.into()),
    }
    Ok(health)
}

/// What the engine refuses is damage, whatever else goes wrong is not.
fn unreadable(mut health: Health, error: ToolError) -> Result<Health, ToolError> {
    match error {
        ToolError::Fault(Fault::Corrupt { place, damage, .. }) => {
            health.note(place, &damage);
            Ok(health)
        }
        error => Err(error),
    }
}
