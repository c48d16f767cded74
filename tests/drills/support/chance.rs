use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Random choices from a printed seed (SplitMix64). The choices come again with the seed; the machine's timing does not.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, purpose).hash(&mut hasher);
        Self(hasher.finish())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `limit` - 1.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).unwrap_or(0)
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// From nothing to `most`, in microseconds.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        let micros = usize::try_from(most.as_micros()).unwrap_or(usize::MAX - 1);
        Duration::from_micros(self.below(micros + 1) as u64)
    }
}
