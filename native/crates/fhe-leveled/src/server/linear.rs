//! Integer combinations of ciphertexts: 8-bit weights times residues.

use std::ops::Range;

use super::planes::{HALF_BITS, Pair, Row};
use crate::lanes::{LANES, Lane8, Lanes, Task, dispatch};
use crate::pointwise::vectors_mut;
use crate::ring::{Factor, Modulus, splat_factor};

/// Neurons that are computed together: their sums stay in registers.
pub(super) const GROUP: usize = 4;

/// Pairs of features whose products, 128 · 2 · 128 · (2^15 - 1) < 2^30 at most, are summed in 32 bits.
const PAIRS_OF_A_SUM: usize = 128;

/// Bytes of a row that are worked on at a time: what a core's second cache has room for beside weights.
const BLOCK_BYTES: usize = 128 << 10;

/// The weights of a layer: of a pair of features, two 16-bit integers in 32 bits.
pub(super) struct PairedWeights {
    outputs: usize,
    pairs: usize,
    /// `[groups of neurons][pairs][GROUP]`; zeros for neurons and features that are not there.
    weights: Vec<[u32; GROUP]>,
}

impl PairedWeights {
    /// Of weights `[outputs][inputs]`.
    pub(super) fn new(weights: &[i8], outputs: usize, inputs: usize) -> Self {
        let pairs = inputs.div_ceil(2);
        let at = |output: usize, input: usize| match output < outputs && input < inputs {
            true => u32::from(i16::from(weights[output * inputs + input]) as u16),
            false => 0,
        };
        let groups = 0..outputs.div_ceil(GROUP);
        let paired = groups.flat_map(|group| {
            (0..pairs).map(move |pair| {
                std::array::from_fn(|neuron| {
                    let output = group * GROUP + neuron;
                    at(output, 2 * pair) | at(output, 2 * pair + 1) << 16
                })
            })
        });
        PairedWeights {
            outputs,
            pairs,
            weights: paired.collect(),
        }
    }

    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Groups of [`GROUP`] neurons, the last one perhaps with fewer.
    pub(super) fn groups(&self) -> usize {
        self.outputs.div_ceil(GROUP)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&self.weights[..])
    }

    fn group(&self, group: usize) -> &[[u32; GROUP]] {
        &self.weights[group * self.pairs..][..self.pairs]
    }
}

/// Σ weight · residue of one row for the neurons of some groups, each times its factor.
///
/// # Panics
/// If there are not [`GROUP`] outputs and factors for each group.
pub(super) fn combine(
    modulus: &Modulus,
    row: &Row,
    weights: &PairedWeights,
    groups: Range<usize>,
    factors: &[u32],
    outputs: &mut [&mut [u32]],
) {
    let (factors, []) = factors.as_chunks::<GROUP>() else {
        panic!("whole groups of factors");
    };
    let (outputs, []) = outputs.as_chunks_mut::<GROUP>() else {
        panic!("whole groups of outputs");
    };
    assert_eq!((factors.len(), outputs.len()), (groups.len(), groups.len()));
    // So many vectors stay in a cache until all groups have had them.
    let vectors = (BLOCK_BYTES / (weights.pairs * size_of::<Pair>())).max(1);
    let mut panels = row.panels();
    let mut first = 0;
    loop {
        let block: Vec<&[Pair]> = panels.by_ref().take(vectors).collect();
        if block.is_empty() {
            break;
        }
        let points = first..first + block.len() * LANES;
        for (group, (factors, outputs)) in groups.clone().zip(factors.iter().zip(&mut *outputs)) {
            dispatch(Combine {
                modulus,
                panels: &block,
                weights: weights.group(group),
                factors: *factors,
                outputs: outputs.each_mut().map(|output| &mut output[points.clone()]),
            });
        }
        first = points.end;
    }
}

struct Combine<'a> {
    modulus: &'a Modulus,
    panels: &'a [&'a [Pair]],
    weights: &'a [[u32; GROUP]],
    factors: [u32; GROUP],
    outputs: [&'a mut [u32]; GROUP],
}

impl Task for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let shift = 1 << HALF_BITS;
        let factors: [[Factor; 2]; GROUP] = self.factors.map(|factor| {
            [factor, self.modulus.mul(factor, shift)].map(|factor| self.modulus.factor(factor))
        });
        let outputs = self.outputs.map(vectors_mut);
        let [a, b, c, d] = outputs.map(|output| output.iter_mut());
        let out = a.zip(b).zip(c.zip(d));
        for (panel, ((a, b), (c, d))) in self.panels.iter().zip(out) {
            let out: [&mut Lane8; GROUP] = [a, b, c, d];
            let mut totals = [lanes.splat(0); GROUP];
            let parts = panel.chunks(PAIRS_OF_A_SUM);
            for (panel, weights) in parts.zip(self.weights.chunks(PAIRS_OF_A_SUM)) {
                let mut sums = [[lanes.splat(0); 2]; GROUP];
                for ([low, high], weights) in panel.iter().zip(weights) {
                    let (low, high) = (lanes.load(low), lanes.load(high));
                    for (sum, &weight) in sums.iter_mut().zip(weights) {
                        let weight = lanes.splat(weight);
                        sum[0] = lanes.add(sum[0], lanes.dot_halves(low, weight));
                        sum[1] = lanes.add(sum[1], lanes.dot_halves(high, weight));
                    }
                }
                for ((total, sum), factors) in totals.iter_mut().zip(sums).zip(factors) {
                    // Sums are above -2p; products by Shoup's method take any positive number.
                    let (low, high) = (lanes.add(sum[0], m.two_p), lanes.add(sum[1], m.two_p));
                    let low = m.mul_factor(low, splat_factor(lanes, factors[0]));
                    let high = m.mul_factor(high, splat_factor(lanes, factors[1]));
                    *total = m.add(*total, m.add(low, high));
                }
            }
            for (total, out) in totals.into_iter().zip(out) {
                lanes.store(total, out);
            }
        }
    }
}
