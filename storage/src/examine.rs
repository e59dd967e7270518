//! Looking at a log as it lies there, damaged or not: for the tools of an operator, not for a start.
//!
//! Where a start stops at the first damage, an examination goes on behind it, and cuts nothing off.

use shoalmq_core::record::{Record, Segment, Stream};

use crate::backend::{Backend, Sequence};
use crate::fault::{Damage, Fault, Place};
use crate::record::{Invalid, decode, first_within, whole_len};

/// What an examination comes upon, in the order of the log.
#[derive(Debug)]
pub enum Found<'a> {
    /// A record that can be read.
    Record {
        /// Its frame.
        sequence: Sequence,
        /// The bytes before it in the frame.
        offset: usize,
        /// The bytes that it takes.
        bytes: usize,
        /// What it says.
        record: &'a Record,
    },
    /// Bytes that are no record of this version, with more of the log behind them.
    Damage {
        /// Where.
        place: Place,
        /// What is wrong there.
        damage: Damage,
    },
}

/// How much an examination saw of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Examined {
    /// Frames read.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that can be read.
    pub records: u64,
    /// Damaged places.
    pub damaged: u64,
    /// The log breaks off here, with nothing valid behind it, as a crash may leave it: no damage.
    pub torn: Option<Place>,
}

/// Bytes that are no record, at the end of what was read so far.
struct Pending {
    place: Place,
    invalid: Invalid,
}

pub(crate) fn examine(
    backend: &mut dyn Backend,
    stream: Stream,
    visit: &mut dyn FnMut(Stream, Segment, Found<'_>),
) -> Result<Examined, Fault> {
    let mut seen = Examined::default();
    let mut pending: Option<(Segment, Pending)> = None;
    let replayed = backend.replay(&mut |segment, sequence, frame| {
        seen.frames += 1;
        seen.bytes += frame.len() as u64;
        if !frame.is_empty()
            && let Some((segment, torn)) = pending.take()
        {
            seen.damaged += 1;
            visit(stream, segment, damage(torn));
        }
        let mut rest = frame;
        while !rest.is_empty() {
            let offset = frame.len() - rest.len();
            let place = Place::Record {
                segment,
                sequence,
                offset,
            };
            let invalid = match decode(rest) {
                Ok((record, after)) => {
                    let bytes = rest.len() - after.len();
                    let found = if record.stream() == stream {
                        seen.records += 1;
                        Found::Record {
                            sequence,
                            offset,
                            bytes,
                            record: &record,
                        }
                    } else {
                        seen.damaged += 1;
                        let damage = Damage::Stream;
                        Found::Damage { place, damage }
                    };
                    visit(stream, segment, found);
                    rest = after;
                    continue;
                }
                Err(invalid) => invalid,
            };
            let next = next_within(rest, &invalid);
            let found = Pending { place, invalid };
            let Some(next) = next else {
                pending = Some((segment, found));
                break;
            };
            seen.damaged += 1;
            visit(stream, segment, damage(found));
            rest = &rest[next..];
        }
        Ok(())
    });
    if replayed.is_err()
        && let Some((segment, torn)) = pending.take()
    {
        // Nobody knows what follows.
        seen.damaged += 1;
        visit(stream, segment, damage(torn));
    }
    replayed?;
    let torn = pending.map(|(_, torn)| torn.place);
    seen.torn = torn.or_else(|| unfinished(backend));
    Ok(seen)
}

fn unfinished(backend: &dyn Backend) -> Option<Place> {
    let (segment, sequence) = backend.unfinished()?;
    Some(Place::Frame { segment, sequence })
}

/// Where whatever can be read comes next, behind what is invalid at the start of these bytes.
fn next_within(bytes: &[u8], invalid: &Invalid) -> Option<usize> {
    match invalid {
        // Its bytes are not all there, or its length is not to be trusted.
        Invalid::Truncated | Invalid::Checksum => first_within(&bytes[1..]).map(|at| at + 1),
        Invalid::Version(_) | Invalid::Kind(_) | Invalid::Extra(_) | Invalid::Fields(_) => {
            whole_len(bytes)
        }
    }
}

fn damage<'a>(found: Pending) -> Found<'a> {
    Found::Damage {
        place: found.place,
        damage: Damage::Record(found.invalid),
    }
}
