//! Residues of many ciphertexts, laid out for products with 8-bit weights.
//!
//! A residue is cut in two halves of 15 bits, which are positive as signed 16-bit integers; those of two features
//! share 32 bits, so that one instruction multiplies both with their weights and adds. A row is one part of the
//! ciphertexts modulo one prime: `[n/8 vectors][pairs of features][low, high][8]`.

use fhe_core::Result;

use crate::buffer::Buffer;
use crate::lanes::{LANES, Lane8, Lanes, Task, dispatch};
use crate::pointwise::vectors;

/// The halves of a pair of features, of one vector.
pub(crate) type Pair = [Lane8; 2];

/// Bits of a half.
pub(crate) const HALF_BITS: i32 = 15;

/// The ciphertexts of a layer's inputs.
pub(crate) struct Planes {
    n: usize,
    level: usize,
    pairs: usize,
    memory: Buffer,
}

impl Planes {
    /// Of so many features at a level.
    pub(crate) fn new(n: usize, level: usize, features: usize) -> Result<Self> {
        let pairs = features.div_ceil(2);
        let memory = Buffer::zeros(2 * level * n * pairs * 2)?;
        Ok(Planes {
            n,
            level,
            pairs,
            memory,
        })
    }

    pub(crate) fn level(&self) -> usize {
        self.level
    }

    /// Pairs of features.
    pub(crate) fn pairs(&self) -> usize {
        self.pairs
    }

    /// Every row to be written: part, prime and vectors.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = (usize, usize, &mut [u32])> + Send {
        let level = self.level;
        let rows = self.memory.chunks_exact_mut(self.n * self.pairs * 2);
        rows.enumerate()
            .map(move |(row, entries)| (row / level, row % level, entries))
    }

    /// One row's vectors, of so many pairs each.
    pub(crate) fn row(&self, part: usize, prime: usize) -> &[Pair] {
        let length = self.n * self.pairs * 2;
        let row = &self.memory[(part * self.level + prime) * length..][..length];
        vectors(row).as_chunks().0
    }
}

/// Writes one pair of features to a row of so many pairs.
pub(crate) fn write_pair(row: &mut [u32], pairs: usize, pair: usize, features: [&[u32]; 2]) {
    let (vectors, _) = row.as_chunks_mut::<LANES>();
    let row = vectors.as_chunks_mut().0;
    dispatch(WritePair {
        row,
        pairs,
        pair,
        features,
    });
}

struct WritePair<'a> {
    row: &'a mut [Pair],
    pairs: usize,
    pair: usize,
    features: [&'a [u32]; 2],
}

impl Task for WritePair<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let low_half = lanes.splat((1 << HALF_BITS) - 1);
        let [first, second] = self.features.map(vectors);
        let out = self.row[self.pair..].iter_mut().step_by(self.pairs);
        for (out, (first, second)) in out.zip(first.iter().zip(second)) {
            let (a, b) = (lanes.load(first), lanes.load(second));
            let (low_a, low_b) = (lanes.and(a, low_half), lanes.and(b, low_half));
            let low = lanes.or(low_a, lanes.shift_left::<16>(low_b));
            // The high half of b is moved from bits 15 on to bits 16 on.
            let high_b = lanes.shift_left::<1>(lanes.sub(b, low_b));
            let high = lanes.or(lanes.shift_right::<HALF_BITS>(a), high_b);
            lanes.store(low, &mut out[0]);
            lanes.store(high, &mut out[1]);
        }
    }
}
