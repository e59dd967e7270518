//! Chance, from a seed: the same numbers for the same seed for ever, whatever becomes of the crates that draw numbers
//! for others (`SplitMix64`, Steele, Lea and Flood, 2014).

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        // Neighbouring seeds begin far from each other.
        Dice(dice.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A stream of its own, so that what one part of the simulation draws does not move what another does.
    pub(crate) fn fork(&mut self) -> Dice {
        Dice::new(self.next())
    }

    /// A number below `bound`, which is above 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True `percent` times in a hundred.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len() as u64) as usize]
    }

    /// One of some choices, by their weights.
    pub(crate) fn weighted<T: Copy>(&mut self, among: &[(u64, T)]) -> T {
        let mut nth = self.below(among.iter().map(|&(weight, _)| weight).sum());
        for &(weight, choice) in among {
            if nth < weight {
                return choice;
            }
            nth -= weight;
        }
        unreachable!("the number is below the sum of all weights")
    }

    /// A wait whose mean is `mean`, at most some five times as long: events that know nothing of each other.
    pub(crate) fn wait(&mut self, mean: u64) -> u64 {
        // 2^-n of all numbers have n leading zeros: n half-lives, and a part of one.
        let number = self.next();
        let halves = u64::from(number.leading_zeros()).min(6);
        let half_life = (mean * 7 / 10).max(1);
        halves * half_life + self.below(half_life) + 1
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }
}
