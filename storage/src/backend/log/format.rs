//! The bytes of a segment file: its head, and the commit mark before each frame. Drawn in [`super`].

use shoalmq_core::record::Segment;

const MAGIC: [u8; 8] = *b"shoallog";
/// The version of the files that this node writes, and the only one that it reads.
pub(super) const VERSION: u32 = 1;
/// The first frame starts here: the head has a sector to itself, so that rewriting it cannot spoil a frame.
pub(super) const FRAMES_AT: u64 = 512;
pub(super) const HEAD_BYTES: usize = 52;
pub(super) const MARK_BYTES: usize = 20;

/// What a segment file says of itself, as of the last sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) segment: Segment,
    /// The number of the first frame.
    pub(super) first: u64,
    /// The number after the last frame that is known to be on disk, and the byte where that one ends.
    pub(super) synced: End,
    /// All segments below this one are retired, and this one is there, unless it was retired too.
    pub(super) oldest: Segment,
    /// The file after this one, once there is one.
    pub(super) next: Option<Segment>,
}

/// A place between two frames: the number of the next one, and the byte at which its commit mark begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) next: u64,
    pub(super) at: u64,
}

/// Why bytes are not a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHead {
    Damaged,
    Version(u32),
}

impl Head {
    pub(super) fn bytes(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.synced.next.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.synced.at.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.oldest.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.next.unwrap_or(0).to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..48]);
        bytes[48..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8; HEAD_BYTES]) -> Result<Self, BadHead> {
        if bytes[..8] != MAGIC || u32_at(bytes, 48) != crc32c::crc32c(&bytes[..48]) {
            return Err(BadHead::Damaged);
        }
        match u32_at(bytes, 8) {
            VERSION => {}
            version => return Err(BadHead::Version(version)),
        }
        Ok(Head {
            segment: u32_at(bytes, 12),
            first: u64_at(bytes, 16),
            synced: End {
                next: u64_at(bytes, 24),
                at: u64_at(bytes, 32),
            },
            oldest: u32_at(bytes, 40),
            next: Some(u32_at(bytes, 44)).filter(|next| *next > 0),
        })
    }
}

/// What stands before a frame, and makes it one: written with it, it fits only if all of both is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) length: u32,
    pub(super) sequence: u64,
    /// Crc32c of the frame: a torn frame may hold whole records behind the hole.
    pub(super) checksum: u32,
}

impl Mark {
    pub(super) fn of(sequence: u64, frame: &[u8]) -> Self {
        Mark {
            length: u32::try_from(frame.len()).expect("a frame is smaller than 4 GiB"),
            sequence,
            checksum: crc32c::crc32c(frame),
        }
    }

    pub(super) fn bytes(&self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.checksum.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..16]);
        bytes[16..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// None when the bytes are not a mark.
    pub(super) fn read(bytes: &[u8; MARK_BYTES]) -> Option<Self> {
        (u32_at(bytes, 16) == crc32c::crc32c(&bytes[..16])).then(|| Mark {
            length: u32_at(bytes, 0),
            sequence: u64_at(bytes, 4),
            checksum: u32_at(bytes, 12),
        })
    }
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    let field = bytes[at..].first_chunk().expect("within the fixed layout");
    u32::from_le_bytes(*field)
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    let field = bytes[at..].first_chunk().expect("within the fixed layout");
    u64::from_le_bytes(*field)
}
