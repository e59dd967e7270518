//! META: what a producer says about its job beside the body, for the consumer. The queue does not look at it.
//!
//! ```text
//! META   pair, pair, …     in the order of ADDJOB; each name once
//! pair   length u16 LE, name, length u16 LE, value
//! ```

/// The most pairs that a job has.
pub const PAIRS_MAX: usize = 16;
/// The most bytes that names and values have in all.
pub const BYTES_MAX: usize = 4096;
/// Names that begin with this are ShoalMQ's own.
pub const RESERVED: &[u8] = b"shoal.";

/// Pairs of a name and a value, any bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta<'a>(Vec<(&'a [u8], &'a [u8])>);

/// It does not fit, or the name is not the producer's to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More than [`PAIRS_MAX`] pairs, or [`BYTES_MAX`] bytes.
    #[error("META takes at most {PAIRS_MAX} pairs of {BYTES_MAX} bytes in all")]
    TooMuch,
    /// The name begins with [`RESERVED`].
    #[error("META names must not begin with 'shoal.'")]
    Reserved,
}

impl<'a> Meta<'a> {
    /// Sets a pair. Of a name that is given twice, the last value counts. After a refusal nothing has changed.
    pub fn set(&mut self, name: &'a [u8], value: &'a [u8]) -> Result<(), Refused> {
        if name.starts_with(RESERVED) {
            return Err(Refused::Reserved);
        }
        let former = self.0.iter().position(|&(other, _)| other == name);
        let lengths = self.0.iter().map(|(name, value)| name.len() + value.len());
        let freed = former.map_or(0, |at| name.len() + self.0[at].1.len());
        let bytes = lengths.sum::<usize>() - freed + name.len() + value.len();
        if bytes > BYTES_MAX || former.is_none() && self.0.len() == PAIRS_MAX {
            return Err(Refused::TooMuch);
        }
        match former {
            Some(at) => self.0[at].1 = value,
            None => self.0.push((name, value)),
        }
        Ok(())
    }

    /// Sets a pair of ShoalMQ's own, beside those of the producer.
    pub fn set_own(&mut self, name: &'a [u8], value: &'a [u8]) {
        debug_assert!(name.starts_with(RESERVED), "it is no producer's");
        self.0.push((name, value));
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All pairs, in order.
    pub fn pairs(&self) -> &[(&'a [u8], &'a [u8])] {
        &self.0
    }

    /// As it travels.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in self.0.iter().flat_map(|&(name, value)| [name, value]) {
            let length = u16::try_from(text.len()).expect("META has a bound");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(text);
        }
        bytes
    }

    /// Reads what [`Meta::encode`] wrote. What is no pair ends it: META of a later version may have more behind the pairs.
    pub fn decode(bytes: &'a [u8]) -> Self {
        let mut left = bytes;
        let mut next = || {
            let (length, rest) = left.split_first_chunk()?;
            let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            left = rest;
            Some(text)
        };
        let pairs = std::iter::from_fn(|| Some((next()?, next()?)));
        Meta(pairs.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back_in_order_and_the_last_value_counts() {
        let mut meta = Meta::default();
        let pairs = [
            (&b"b"[..], &b"1"[..]),
            (b"a", b"\0\r\n"),
            (b"b", b"2"),
            (b"", b""),
        ];
        for (name, value) in pairs {
            assert_eq!(meta.set(name, value), Ok(()));
        }
        let bytes = meta.encode();
        let read = Meta::decode(&bytes);
        let expected = [(&b"b"[..], &b"2"[..]), (b"a", b"\0\r\n"), (b"", b"")];
        assert_eq!(read.pairs(), expected);
        assert_eq!(read, meta);
    }

    #[test]
    fn both_bounds_are_exact() {
        let names: Vec<[u8; 1]> = (0..17).map(|number| [number]).collect();
        let mut meta = Meta::default();
        for name in &names[..16] {
            assert_eq!(meta.set(name, b""), Ok(()));
        }
        assert_eq!(meta.set(&names[16], b""), Err(Refused::TooMuch));
        let most = vec![7; BYTES_MAX - 16];
        assert_eq!(meta.set(&names[0], &most), Ok(()));
        assert_eq!(meta.set(&names[1], b"x"), Err(Refused::TooMuch));
        assert_eq!(meta.set(&names[0], b"less"), Ok(()), "a value can shrink");
        assert_eq!(meta.pairs().len(), 16);
    }

    #[test]
    fn our_own_names_are_refused() {
        let mut meta = Meta::default();
        assert_eq!(meta.set(b"shoal.deliveries", b""), Err(Refused::Reserved));
        assert_eq!(meta.set(b"shoal", b""), Ok(()));
    }

    #[test]
    fn bytes_that_are_no_pairs_end_it() {
        let bytes = [1, 0, b'a', 1, 0, b'b', 9, 0, b'c'];
        assert_eq!(Meta::decode(&bytes).pairs(), [(&b"a"[..], &b"b"[..])]);
    }
}
