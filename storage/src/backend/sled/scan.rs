//! Pieces back into frames, in step with the scan that reads them.

use std::path::Path;
use std::sync::mpsc::Receiver;

use shoalmq_core::record::Segment;
use sled::IVec;

use super::engine::Key;
use super::read::Shelf;
use crate::backend::{Sequence, Visit};
use crate::fault::{Damage, Fault, Place};

/// A part of a frame, on its way from the scan to the visitor.
pub(super) struct Piece {
    pub(super) segment: Segment,
    pub(super) key: Key,
    pub(super) value: IVec,
}

/// Visits the frames that the pieces below the key `end` make up, while no number is missing; returns their bytes.
pub(super) fn assemble(
    path: &Path,
    pieces: &Receiver<Vec<Piece>>,
    end: u64,
    shelf: &Shelf,
    visit: &mut Visit<'_>,
) -> Result<u64, Fault> {
    let mut bytes = 0;
    let mut expected = None;
    let mut frame = Vec::new();
    for Piece {
        segment,
        key,
        value,
    } in pieces.iter().flatten()
    {
        if key.number >= end {
            break;
        }
        let sequence = Sequence(key.number);
        if let Some(expected) = expected
            && expected != key.number
        {
            return Err(Fault::Corrupt {
                path: path.to_owned(),
                place: Place::Frame { segment, sequence },
                damage: Damage::Gap {
                    expected: Sequence(expected),
                },
            });
        }
        expected = Some(key.number + 1);
        bytes += value.len() as u64;
        shelf.note(segment, key.number, value.len());
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
    Ok(bytes)
}
