//! Names of things: jobs, nodes, queues and clients. Each is a type of its own, so that no two mix.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The bytes of a job id as clients see it.
pub const JOB_ID_TEXT: usize = 40;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The id of a job: which node made it, 112 random bits, in which of its starts, and its ttl in minutes.
///
/// ```text
/// text   D-  dcb833cf  -  8YAH1b2K1b2K1b2K1b2K1b2K  -  05a1
/// bytes      0 .. 4       4 ... 18, 18 .. 22           22 .. 24
///            maker        random, start (base64)       ttl minutes, bit 0: at least once
/// ```
///
/// The start is the node's generation; 0 for an id that does not say when and where its job was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId([u8; 24]);

impl Hash for JobId {
    /// Three words: a third of what a hasher does with the same as bytes of any number.
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.0.as_chunks().0 {
            state.write_u64(u64::from_le_bytes(*word));
        }
    }
}

/// An id as clients write it, of a job or of no job.
pub type IdText = [u8; JOB_ID_TEXT];

/// The text is not 40 bytes long, or `D-` and the dashes are not where they belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid Job ID format.")]
pub struct InvalidJobId;

impl JobId {
    /// Builds an id from the node that makes the job, its random part, the node's start, and its ttl.
    ///
    /// `ttl_seconds` is kept in whole minutes, at most 65535, with the lowest bit saying whether the job
    /// is delivered at least once (1) or at most once (0).
    pub fn new(
        node: &NodeId,
        random: [u8; 14],
        start: u32,
        ttl_seconds: u32,
        guarantee: Guarantee,
    ) -> Self {
        JobId::build(node.maker(), (random, start), ttl_seconds, guarantee)
    }

    /// The id of a job that several nodes may make: each gives it the same one. It names no start.
    pub fn derived(maker: Maker, hash: [u8; 14], ttl_seconds: u32, guarantee: Guarantee) -> Self {
        JobId::build(maker, (hash, 0), ttl_seconds, guarantee)
    }

    fn build(
        maker: Maker,
        (random, start): ([u8; 14], u32),
        ttl_seconds: u32,
        guarantee: Guarantee,
    ) -> Self {
        let minutes = u16::try_from(ttl_seconds / 60).unwrap_or(u16::MAX);
        let minutes = match guarantee {
            Guarantee::AtLeastOnce => minutes | 1,
            Guarantee::AtMostOnce => minutes & !1,
        };
        let mut bytes = [0; 24];
        bytes[..4].copy_from_slice(&maker.0);
        bytes[4..18].copy_from_slice(&random);
        bytes[18..22].copy_from_slice(&start.to_be_bytes());
        bytes[22..].copy_from_slice(&minutes.to_be_bytes());
        JobId(bytes)
    }

    /// Reads an id as clients write it.
    ///
    /// Like Disque, only the length, the `D-` and the dashes decide what is an id. One that passes but
    /// holds other characters than a node would write cannot name a job: that is `Ok(None)`.
    pub fn parse(text: &[u8]) -> Result<Option<Self>, InvalidJobId> {
        if text.len() != JOB_ID_TEXT
            || !text.starts_with(b"D-")
            || text[10] != b'-'
            || text[35] != b'-'
        {
            return Err(InvalidJobId);
        }
        Ok(Self::parse_canonical(text))
    }

    fn parse_canonical(text: &[u8]) -> Option<Self> {
        let text: &[u8; JOB_ID_TEXT] = text.try_into().ok()?;
        let mut bytes = [0; 24];
        hex_decode(&text[2..10], &mut bytes[..4])?;
        let mut all = 0;
        let (fours, _) = text[11..35].as_chunks::<4>();
        let (threes, _) = bytes[4..22].as_chunks_mut::<3>();
        for (&[a, b, c, d], three) in fours.iter().zip(threes) {
            let [first, second, third, fourth] = &BASE64_VALUES;
            let bits = first[usize::from(a)]
                | second[usize::from(b)]
                | third[usize::from(c)]
                | fourth[usize::from(d)];
            all |= bits;
            let [_, bits @ ..] = bits.to_be_bytes();
            *three = bits;
        }
        hex_decode(&text[36..40], &mut bytes[22..])?;
        (all & NO_VALUE == 0).then_some(JobId(bytes))
    }

    /// The id as clients see it.
    pub fn text(&self) -> [u8; JOB_ID_TEXT] {
        let mut text = [b'-'; JOB_ID_TEXT];
        text[0] = b'D';
        hex_encode(&self.0[..4], &mut text[2..10]);
        for (six, eight) in self.0[4..22]
            .chunks_exact(6)
            .zip(text[11..35].chunks_exact_mut(8))
        {
            let mut bits = [0; 8];
            bits[2..].copy_from_slice(six);
            let bits = u64::from_be_bytes(bits);
            for (i, c) in eight.iter_mut().enumerate() {
                *c = BASE64[(bits >> (42 - 6 * i) & 63) as usize];
            }
        }
        hex_encode(&self.0[22..], &mut text[36..40]);
        text
    }

    /// The 24 significant bytes.
    pub fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }

    /// The id with these 24 significant bytes: any of them is a valid id.
    pub fn from_bytes(bytes: [u8; 24]) -> Self {
        JobId(bytes)
    }

    /// The minutes that its job lives, but for the lowest bit; 65535 stands for all above, too.
    pub fn ttl_minutes(&self) -> u16 {
        u16::from_be_bytes([self.0[22], self.0[23]])
    }

    /// Whether this node made it, as far as the first bytes of an id tell nodes apart.
    pub fn is_of(&self, node: &NodeId) -> bool {
        self.maker() == node.maker()
    }

    /// The node that made it.
    pub fn maker(&self) -> Maker {
        let [a, b, c, d, ..] = self.0;
        Maker([a, b, c, d])
    }

    /// In which start of its maker it was made; 0 if it does not say.
    pub fn start(&self) -> u32 {
        let [.., a, b, c, d, _, _] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Where a node ranks for this job: its id XOR what follows the maker, which begins with random bytes. Nodes that disagree about a job follow
    /// the higher one, and no node is the higher one for all jobs.
    pub(crate) fn rank(&self, node: &NodeId) -> [u8; 20] {
        let mut rank = node.0;
        for (byte, random) in rank.iter_mut().zip(&self.0[4..22]) {
            *byte ^= random;
        }
        rank
    }

    /// What the id promises of delivery: its lowest bit.
    pub fn guarantee(&self) -> Guarantee {
        if self.0[23] & 1 == 1 {
            Guarantee::AtLeastOnce
        } else {
            Guarantee::AtMostOnce
        }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(&text).expect("an id is ASCII"))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How often a job may be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Again and again until it is acknowledged: RETRY above 0.
    AtLeastOnce,
    /// Once at the most: RETRY 0.
    AtMostOnce,
}

impl Guarantee {
    /// What a RETRY of this many seconds promises.
    pub fn of_retry(retry: u32) -> Self {
        if retry == 0 {
            Guarantee::AtMostOnce
        } else {
            Guarantee::AtLeastOnce
        }
    }
}

/// The id of a node: 20 bytes, 40 hex digits as text; kept in the data folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId([u8; 20]);

impl NodeId {
    /// The id with these bytes, which the shell draws at random when a node first starts.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        NodeId(bytes)
    }

    /// Its 20 bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// How its jobs name it.
    pub fn maker(&self) -> Maker {
        let [a, b, c, d, ..] = self.0;
        Maker([a, b, c, d])
    }

    /// Reads 40 lower-case hex digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 20];
        hex_decode(text, &mut bytes)?;
        Some(NodeId(bytes))
    }

    /// Its 40 lower-case hex digits.
    pub fn text(&self) -> [u8; 40] {
        let mut text = [0; 40];
        hex_encode(&self.0, &mut text);
        text
    }
}

/// A node as its jobs name it: the first four bytes of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Maker([u8; 4]);

impl Maker {
    /// The node whose id begins with these bytes.
    pub const fn new(bytes: [u8; 4]) -> Self {
        Maker(bytes)
    }

    /// Its bytes.
    pub const fn bytes(self) -> [u8; 4] {
        self.0
    }

    /// Reads 8 lower-case hex digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 4];
        hex_decode(text, &mut bytes)?;
        Some(Maker(bytes))
    }
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 8];
        hex_encode(&self.0, &mut text);
        f.write_str(std::str::from_utf8(&text).expect("hex is ASCII"))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(&text).expect("hex is ASCII"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which store a node's copies lie in: a new number whenever the node starts with an empty store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreId(pub u64);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The name of a queue: any bytes, also none; shared, so that a copy is a counter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(Arc<[u8]>);

impl QueueName {
    /// A name with these bytes, copied.
    pub fn new(name: &[u8]) -> Self {
        QueueName(name.into())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for QueueName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// One client connection: never used again while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// One command of one client: its reply carries the same ticket.
///
/// `number` rises by one per command of the client, so that the shell can put replies that come late
/// back into the order of their commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// Who asked.
    pub client: ClientId,
    /// Which of its commands this was.
    pub number: u64,
}

fn hex_encode(bytes: &[u8], text: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
}

/// Fills `bytes` from exactly twice as many lower-case hex digits.
fn hex_decode(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    if text.len() != 2 * bytes.len() {
        return None;
    }
    let mut all = 0;
    for (&[high, low], byte) in text.as_chunks::<2>().0.iter().zip(bytes) {
        let bits = HEX_VALUES[0][usize::from(high)] | HEX_VALUES[1][usize::from(low)];
        all |= bits;
        *byte = bits as u8;
    }
    (all & NO_VALUE == 0).then_some(())
}

/// Set in what a byte stands for that is no digit.
const NO_VALUE: u32 = 1 << 31;
/// What each byte stands for as the first to the fourth digit of three bytes in a base64 text.
static BASE64_VALUES: [[u32; 256]; 4] = [
    values_of(BASE64, 18),
    values_of(BASE64, 12),
    values_of(BASE64, 6),
    values_of(BASE64, 0),
];
/// The same as the first and the second digit of a byte in a text of hex digits.
static HEX_VALUES: [[u32; 256]; 2] = [values_of(HEX, 4), values_of(HEX, 0)];

const fn values_of<const N: usize>(digits: &[u8; N], shift: u32) -> [u32; 256] {
    let mut values = [NO_VALUE; 256];
    let mut value = 0;
    while value < N {
        values[digits[value] as usize] = (value as u32) << shift;
        value += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeId {
        NodeId::parse(b"dcb833cf01234567890abcdef01234567890abcd").expect("40 hex digits")
    }

    #[test]
    fn text_names_the_node_and_the_minutes() {
        let id = JobId::new(&node(), [7; 14], 3, 86400, Guarantee::AtLeastOnce);
        let text = id.to_string();
        assert_eq!(&text[..11], "D-dcb833cf-");
        assert_eq!(&text[35..], "-05a1");
        assert_eq!(JobId::parse(text.as_bytes()), Ok(Some(id)));
        assert_eq!((id.maker(), id.start()), (node().maker(), 3));
    }

    #[test]
    fn ttl_is_rounded_down_and_its_low_bit_tells_the_guarantee() {
        let suffix = |ttl, guarantee| {
            JobId::new(&node(), [0; 14], 1, ttl, guarantee).to_string()[36..].to_owned()
        };
        assert_eq!(suffix(86400, Guarantee::AtMostOnce), "05a0");
        assert_eq!(suffix(59, Guarantee::AtLeastOnce), "0001");
        assert_eq!(suffix(59, Guarantee::AtMostOnce), "0000");
        assert_eq!(suffix(u32::MAX, Guarantee::AtLeastOnce), "ffff");
    }

    #[test]
    fn only_length_and_dashes_make_an_id_invalid() {
        assert_eq!(JobId::parse(b"D-dcb833cf-"), Err(InvalidJobId));
        assert_eq!(
            JobId::parse(b"X-dcb833cf-8YAH1b2K1b2K1b2K1b2K1b2K-05a1"),
            Err(InvalidJobId)
        );
        assert_eq!(
            JobId::parse(b"D-dcb833cf-8YAH1b2K1b2K1b2K1b2K1b2K+05a1"),
            Err(InvalidJobId)
        );
        assert_eq!(
            JobId::parse(b"D-DCB833CF-8YAH1b2K1b2K1b2K1b2K1b2K-05a1"),
            Ok(None)
        );
        assert_eq!(
            JobId::parse(b"D-dcb833cf-8YAH1b2K1b2K1b2K1b2K1b2!-05a1"),
            Ok(None)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_id_survives_its_text(bytes: [u8; 24]) {
            let id = JobId::from_bytes(bytes);
            proptest::prop_assert_eq!(JobId::parse(&id.text()), Ok(Some(id)));
        }

        #[test]
        fn no_text_panics(text: Vec<u8>) {
            let _ = JobId::parse(&text);
        }
    }
}
