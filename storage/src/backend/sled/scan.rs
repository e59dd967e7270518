//! Pieces back into frames, in step with the scan that reads them.

use std::path::Path;
use std::sync::mpsc::Receiver;

use shoalmq_core::record::Segment;
use sled::IVec;

use super::engine::Key;
use crate::backend::{Sequence, Visit};
use crate::fault::{Damage, Fault, Place};

/// A part of a frame, on its way from the scan to the visitor.
pub(super) struct Piece {
    pub(super) segment: Segment,
    pub(super) key: Key,
    pub(super) value: IVec,
}

/// What the scan hands over.
pub(super) enum Scanned {
    /// A database of this segment begins, with a piece of this number.
    Database(Segment, u64),
    Pieces(Vec<Piece>),
}

/// Visits the frames that the pieces below the key `end` make up, while no number is missing.
pub(super) fn assemble(
    path: &Path,
    scanned: &Receiver<Scanned>,
    end: u64,
    visit: &mut Visit<'_>,
) -> Result<(), Fault> {
    let mut expected = None;
    let mut frame = Vec::new();
    for scanned in scanned {
        let pieces = match scanned {
            Scanned::Database(segment, first) => {
                if first < end {
                    check(path, segment, first, expected)?;
                    expected = Some(first);
                }
                continue;
            }
            Scanned::Pieces(pieces) => pieces,
        };
        for Piece {
            segment,
            key,
            value,
        } in pieces
        {
            if key.number >= end {
                return Ok(());
            }
            let sequence = Sequence(key.number);
            check(path, segment, key.number, expected)?;
            expected = Some(key.number + 1);
            if key.more {
                frame.extend_from_slice(&value);
            } else if frame.is_empty() {
                visit(segment, sequence, &value)?;
            } else {
                frame.extend_from_slice(&value);
                visit(segment, sequence, &frame)?;
                frame.clear();
            }
        }
    }
    Ok(())
}

/// Nothing is missing before a number.
fn check(path: &Path, segment: Segment, found: u64, expected: Option<u64>) -> Result<(), Fault> {
    match expected {
        Some(expected) if expected != found => Err(Fault::Corrupt {
            path: path.to_owned(),
            place: Place::Frame {
                segment,
                sequence: Sequence(found),
            },
            damage: Damage::Gap {
                expected: Sequence(expected),
            },
        }),
        Some(_) | None => Ok(()),
    }
}
