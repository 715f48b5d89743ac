//! Residues of many ciphertexts, laid out for products with 8-bit weights.
//!
//! A residue is cut in two halves of 15 bits, which are positive as signed 16-bit integers; those of two features
//! share 32 bits, so that one instruction multiplies both with their weights and adds.

use fhe_core::Result;

use crate::buffer::Buffer;
use crate::lanes::{LANES, Lane8, Lanes, Task, dispatch};
use crate::pointwise::vectors;

/// The halves of a pair of features, of one vector.
pub(super) type Pair = [Lane8; 2];

/// Bits of a half.
pub(super) const HALF_BITS: i32 = 15;

/// One part of a layer's inputs modulo one prime: `[n/8 vectors][pairs of features][low, high][8]`.
pub(super) struct Row {
    pairs: usize,
    memory: Buffer,
}

impl Row {
    /// Of so many features.
    pub(super) fn new(n: usize, features: usize) -> Result<Self> {
        let pairs = features.div_ceil(2);
        let memory = Buffer::zeros(n * pairs * 2)?;
        Ok(Row { pairs, memory })
    }

    /// Pairs of features.
    pub(super) fn pairs(&self) -> usize {
        self.pairs
    }

    /// The pairs of each vector.
    pub(super) fn panels(&self) -> impl Iterator<Item = &[Pair]> {
        let pairs: &[Pair] = vectors(&self.memory).as_chunks().0;
        pairs.chunks_exact(self.pairs)
    }

    /// Writes one pair of features.
    pub(super) fn write_pair(&mut self, pair: usize, features: [&[u32]; 2]) {
        let (vectors, _) = self.memory.as_chunks_mut::<LANES>();
        let row = vectors.as_chunks_mut().0;
        dispatch(WritePair {
            row,
            pairs: self.pairs,
            pair,
            features,
        });
    }
}

/// The ciphertexts of a layer's inputs.
pub(super) struct Planes {
    level: usize,
    /// `[part][prime]`.
    rows: Vec<Row>,
}

impl Planes {
    /// Of so many features at a level.
    pub(super) fn new(n: usize, level: usize, features: usize) -> Result<Self> {
        let rows = (0..2 * level).map(|_| Row::new(n, features));
        Ok(Planes {
            level,
            rows: rows.collect::<Result<_>>()?,
        })
    }

    pub(super) fn level(&self) -> usize {
        self.level
    }

    /// Every row to be written, with its part and prime.
    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = (usize, usize, &mut Row)> + Send {
        let level = self.level;
        let rows = self.rows.iter_mut().enumerate();
        rows.map(move |(number, row)| (number / level, number % level, row))
    }

    pub(super) fn row(&self, part: usize, prime: usize) -> &Row {
        &self.rows[part * self.level + prime]
    }
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
