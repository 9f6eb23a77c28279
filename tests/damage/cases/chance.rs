//! What chance decides, the same for a seed every time.

use std::ops::Range;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

#[derive(Debug)]
pub(crate) struct Chance(Pcg64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Pcg64::seed_from_u64(seed))
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// From 0 on, and 0 where there is nothing below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end.max(1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.below(2) {
            0 => [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, b'0'][self.below(8)],
            _ => self.bits() as u8,
        }
    }

    /// A run within so many bytes, which is short more often than long.
    pub(crate) fn run(&mut self, len: usize) -> Range<usize> {
        let from = self.below(len);
        let most = 1 << self.below(11);
        from..(from + 1 + self.below(most)).min(len)
    }

    /// A number where some code may overflow, divide by it or ask for as much memory.
    pub(crate) fn awkward(&mut self) -> u64 {
        const ALL: [u64; 22] = [
            0,
            1,
            2,
            3,
            7,
            16,
            255,
            256,
            32_767,
            32_768,
            65_535,
            65_536,
            1_000_000,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_fff0,
            0xffff_ffff,
            1 << 32,
            1 << 40,
            i64::MAX as u64,
            1 << 63,
            u64::MAX,
        ];
        match self.below(4) {
            0 => self.bits() >> self.below(64),
            _ => ALL[self.below(ALL.len())],
        }
    }
}
