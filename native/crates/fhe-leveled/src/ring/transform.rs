//! The number-theoretic transform of the conjugate-invariant ring modulo one prime.
//!
//! An element a_0 + Σ a_i (X^i + X^-i) of Z_p\[X\]/(X^2n + 1) has 2n values in pairs that are equal, so that
//! it is determined modulo X^n - I, where I² = -1 (Kim and Song, ePrint 2018/952). As X^-i = -I·X^(n-i) there, it is
//! Σ b_i X^i with b_0 = a_0 and b_i = a_i - I·a_(n-i): the fold. X^n - I then splits in two halves again and
//! again, X^t - w² = (X^(t/2) - w)(X^(t/2) + w), down to n points: node 1 of the tree is X^n - I, nodes 2m and
//! 2m + 1 are the halves of m, with + w and - w in place of X^(t/2).
//!
//! Sums stay below 4p and products, by Shoup's method, below 2p (Harvey 2014); the fold goes together with the first
//! layer, the last six are done in registers. Points are left in the order that this leaves them in.

use super::{Factor, Modulus, ModulusLanes, splat_factor};
use crate::lanes::{LANES, Lane8, Lanes, Task, dispatch};

/// Entries that the last six layers are done on in registers.
const BLOCK: usize = LANES * LANES;

/// Entries behind a polynomial's coefficients, zeros: the fold reads coefficient n.
pub(crate) const PAD: usize = LANES;

/// The transform of polynomials with n coefficients modulo one prime.
pub(crate) struct Transform {
    n: usize,
    modulus: Modulus,
    forward: Twiddles,
    inverse: Twiddles,
}

/// Constants of one direction.
struct Twiddles {
    /// -I in the fold; I in the unfold.
    fold: Factor,
    /// What the last layer backwards multiplies by: 1/(2n). Node 1 has it in its constant.
    scale: Factor,
    /// Of the nodes above the blocks, by number.
    nodes: Vec<Factor>,
    blocks: Vec<BlockTwiddles>,
}

/// Constants of the last six layers of a block: layers of 1, 2 and 4 nodes, then of as many nodes in every lane.
#[derive(Clone, Copy)]
struct BlockTwiddles {
    rows: [Factor; 7],
    columns: [[Lane8; 2]; 7],
}

impl Transform {
    /// The transform for n = 128 or more, a power of two, modulo a prime with roots of unity of order 4n.
    pub(crate) fn new(n: usize, modulus: Modulus) -> Self {
        assert!(n >= 2 * BLOCK && n.is_power_of_two(), "n = {n}");
        let root = root_of_unity(&modulus, 4 * n as u32);
        // Node 1 is X^n - I and I = root^n. The square root of w has half its exponent, that of -w is I times as much.
        let mut exponents = vec![0; n];
        exponents[1] = n as u32 / 2;
        for node in 1..n / 2 {
            exponents[2 * node] = exponents[node] / 2;
            exponents[2 * node + 1] = exponents[node] / 2 + n as u32;
        }
        let mut powers = vec![1; 2 * n + 1];
        for e in 1..powers.len() {
            powers[e] = modulus.mul(powers[e - 1], root);
        }
        let roots: Vec<u32> = exponents.iter().map(|&e| powers[e as usize]).collect();
        // root^2n is -1.
        let inverses = exponents
            .iter()
            .map(|&e| modulus.negate(powers[2 * n - e as usize]));
        let mut inverses: Vec<u32> = inverses.collect();
        // Halves are added, not averaged, in all layers and the unfold.
        let scale = modulus.inverse(2 * n as u32);
        inverses[1] = modulus.mul(inverses[1], scale);
        let i = powers[n];
        Transform {
            n,
            forward: Twiddles::new(&modulus, &roots, modulus.negate(i), 1),
            inverse: Twiddles::new(&modulus, &inverses, i, scale),
            modulus,
        }
    }

    pub(crate) fn modulus(&self) -> &Modulus {
        &self.modulus
    }

    /// Bytes of memory that its tables take.
    pub(crate) fn memory_bytes(&self) -> usize {
        let twiddles = [&self.forward, &self.inverse];
        twiddles
            .map(|t| size_of_val(&t.nodes[..]) + size_of_val(&t.blocks[..]))
            .iter()
            .sum()
    }

    /// Points of a polynomial. `source` holds its n coefficients, each below 2p or, in two's complement, above -p and
    /// negative, and [`PAD`] zeros.
    pub(crate) fn forward(&self, source: &[u32], points: &mut [u32]) {
        assert_eq!((source.len(), points.len()), (self.n + PAD, self.n));
        dispatch(Forward {
            transform: self,
            source,
            points,
        });
    }

    /// Coefficients of the polynomial with these points, in two's complement between -p/2 and p/2, to the first n of
    /// `coefficients`, which has [`PAD`] more, zeros then. `work` holds n numbers.
    pub(crate) fn inverse(&self, points: &[u32], work: &mut [u32], coefficients: &mut [u32]) {
        assert_eq!((points.len(), work.len()), (self.n, self.n));
        assert_eq!(coefficients.len(), self.n + PAD);
        dispatch(Inverse {
            transform: self,
            points,
            work,
            coefficients,
        });
    }
}

/// A root of unity of an order that is a power of two: of the least base that gives one.
fn root_of_unity(modulus: &Modulus, order: u32) -> u32 {
    let exponent = (modulus.p() - 1) / order;
    let minus_one = modulus.p() - 1;
    (2..modulus.p())
        .map(|base| modulus.power(base, exponent))
        .find(|&root| modulus.power(root, order / 2) == minus_one)
        .expect("half of all numbers are no squares")
}

impl Twiddles {
    fn new(modulus: &Modulus, roots: &[u32], fold: u32, scale: u32) -> Self {
        let factors: Vec<Factor> = roots.iter().map(|&root| modulus.factor(root)).collect();
        let blocks = roots.len() / BLOCK;
        let block = |block: usize| {
            let node = blocks + block;
            let rows = std::array::from_fn(|k| {
                let layer = (k + 1).ilog2();
                factors[(node << layer) + (k + 1 - (1 << layer))]
            });
            let columns = std::array::from_fn(|k| {
                let layer = (k + 1).ilog2();
                let of_row: [Factor; LANES] = std::array::from_fn(|row| {
                    factors[((8 * node + row) << layer) + (k + 1 - (1 << layer))]
                });
                [of_row.map(|f| f.value), of_row.map(|f| f.shoup)]
            });
            BlockTwiddles { rows, columns }
        };
        Twiddles {
            fold: modulus.factor(fold),
            scale: modulus.factor(scale),
            blocks: (0..blocks).map(block).collect(),
            nodes: factors[..blocks].to_vec(),
        }
    }
}

struct Forward<'a> {
    transform: &'a Transform,
    source: &'a [u32],
    points: &'a mut [u32],
}

impl Task for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Transform {
            n,
            modulus,
            forward,
            ..
        } = self.transform;
        let m = modulus.lanes(lanes);
        fold(&m, forward, self.source, self.points);
        for half in 0..2 {
            let points = &mut self.points[half * n / 2..][..n / 2];
            let (mut node, mut size) = (2 + half, n / 2);
            while size > BLOCK {
                let is_odd = (size / BLOCK).ilog2() % 2 == 1;
                for (block, node) in points.chunks_exact_mut(size).zip(node..) {
                    match is_odd {
                        true => split_in_two(&m, forward.nodes[node], block),
                        false => split_in_four(&m, &forward.nodes, node, block),
                    }
                }
                let parts = if is_odd { 2 } else { 4 };
                size /= parts;
                node *= parts;
            }
            let (rows, _) = points.as_chunks_mut::<LANES>();
            let (blocks, _) = rows.as_chunks_mut::<LANES>();
            let twiddles = &forward.blocks[node - n / BLOCK..][..blocks.len()];
            for (block, twiddles) in blocks.iter_mut().zip(twiddles) {
                split_block(&m, twiddles, block);
            }
        }
    }
}

/// Folds, and splits in two halves.
#[inline(always)]
fn fold<L: Lanes>(m: &ModulusLanes<L>, twiddles: &Twiddles, source: &[u32], points: &mut [u32]) {
    let half = points.len() / 2;
    let minus_i = splat_factor(m.lanes, twiddles.fold);
    let w = splat_factor(m.lanes, twiddles.nodes[1]);
    let (low, high) = points.split_at_mut(half);
    let low = low.as_chunks_mut().0.iter_mut();
    let high = high.as_chunks_mut().0.iter_mut();
    for ((low, high), index) in low.zip(high).zip((0..).step_by(LANES)) {
        let low_input = folded(m, source, index, minus_i);
        let high_input = folded(m, source, index + half, minus_i);
        let (sum, difference) = split(m, low_input, high_input, w);
        m.lanes.store(sum, low);
        m.lanes.store(difference, high);
    }
}

/// a_i - I·a_(n-i), below 4p.
#[inline(always)]
fn folded<L: Lanes>(
    m: &ModulusLanes<L>,
    source: &[u32],
    index: usize,
    minus_i: (L::V, L::V),
) -> L::V {
    let n = source.len() - PAD;
    let direct = m.lanes.lift(m.lanes.load(vector(source, index)), m.p);
    let mirrored = m.lanes.load(vector(source, n - index - (LANES - 1)));
    let mirrored = m.lanes.reverse(m.lanes.lift(mirrored, m.p));
    m.lanes.add(
        direct,
        m.lanes.mul_shoup(mirrored, minus_i.0, minus_i.1, m.p),
    )
}

/// Eight entries from `index` on.
#[inline(always)]
fn vector(values: &[u32], index: usize) -> &Lane8 {
    values[index..].first_chunk().expect("padded")
}

/// low ± w·high, below 4p.
#[inline(always)]
fn split<L: Lanes>(m: &ModulusLanes<L>, low: L::V, high: L::V, w: (L::V, L::V)) -> (L::V, L::V) {
    let low = m.lanes.reduce(low, m.two_p);
    let product = m.lanes.mul_shoup(high, w.0, w.1, m.p);
    let difference = m.lanes.add(m.lanes.sub(low, product), m.two_p);
    (m.lanes.add(low, product), difference)
}

#[inline(always)]
fn split_in_two<L: Lanes>(m: &ModulusLanes<L>, w: Factor, block: &mut [u32]) {
    let w = splat_factor(m.lanes, w);
    let (low, high) = block.split_at_mut(block.len() / 2);
    let (low, high) = (low.as_chunks_mut().0, high.as_chunks_mut().0);
    for (low, high) in low.iter_mut().zip(high) {
        let (sum, difference) = split(m, m.lanes.load(low), m.lanes.load(high), w);
        m.lanes.store(sum, low);
        m.lanes.store(difference, high);
    }
}

/// Two layers at once.
#[inline(always)]
fn split_in_four<L: Lanes>(m: &ModulusLanes<L>, nodes: &[Factor], node: usize, block: &mut [u32]) {
    let w = splat_factor(m.lanes, nodes[node]);
    let low_w = splat_factor(m.lanes, nodes[2 * node]);
    let high_w = splat_factor(m.lanes, nodes[2 * node + 1]);
    for [a, b, c, d] in quarters(block) {
        let (low, high) = (m.lanes.load(a), m.lanes.load(b));
        let (low, third) = split(m, low, m.lanes.load(c), w);
        let (high, fourth) = split(m, high, m.lanes.load(d), w);
        let ((low, high), (third, fourth)) =
            (split(m, low, high, low_w), split(m, third, fourth, high_w));
        m.lanes.store(low, a);
        m.lanes.store(high, b);
        m.lanes.store(third, c);
        m.lanes.store(fourth, d);
    }
}

/// Vectors of the four quarters of a block, one of each.
#[inline(always)]
fn quarters(block: &mut [u32]) -> impl Iterator<Item = [&mut Lane8; 4]> {
    let (low, high) = block.split_at_mut(block.len() / 2);
    let (a, b) = low.split_at_mut(low.len() / 2);
    let (c, d) = high.split_at_mut(high.len() / 2);
    let [a, b, c, d] = [a, b, c, d].map(|quarter| quarter.as_chunks_mut().0.iter_mut());
    a.zip(b).zip(c.zip(d)).map(|((a, b), (c, d))| [a, b, c, d])
}

/// Constants of three layers, of 1, 2 and 4 nodes.
trait Constants<L: Lanes> {
    /// The k-th.
    fn at(&self, lanes: L, k: usize) -> (L::V, L::V);
}

/// The same in all lanes.
struct OfRows<'a>(&'a [Factor; 7]);

impl<L: Lanes> Constants<L> for OfRows<'_> {
    #[inline(always)]
    fn at(&self, lanes: L, k: usize) -> (L::V, L::V) {
        splat_factor(lanes, self.0[k])
    }
}

/// One of its own in every lane.
struct OfColumns<'a>(&'a [[Lane8; 2]; 7]);

impl<L: Lanes> Constants<L> for OfColumns<'_> {
    #[inline(always)]
    fn at(&self, lanes: L, k: usize) -> (L::V, L::V) {
        let [value, shoup] = &self.0[k];
        (lanes.load(value), lanes.load(shoup))
    }
}

/// Three layers of eight vectors, written out so that these stay in registers.
#[inline(always)]
fn split_eight<L: Lanes>(
    m: &ModulusLanes<L>,
    constants: &impl Constants<L>,
    vectors: [L::V; LANES],
) -> [L::V; LANES] {
    let [a, b, c, d, e, f, g, h] = vectors;
    let w = constants.at(m.lanes, 0);
    let (a, e) = split(m, a, e, w);
    let (b, f) = split(m, b, f, w);
    let (c, g) = split(m, c, g, w);
    let (d, h) = split(m, d, h, w);
    let w = constants.at(m.lanes, 1);
    let (a, c) = split(m, a, c, w);
    let (b, d) = split(m, b, d, w);
    let w = constants.at(m.lanes, 2);
    let (e, g) = split(m, e, g, w);
    let (f, h) = split(m, f, h, w);
    let (a, b) = split(m, a, b, constants.at(m.lanes, 3));
    let (c, d) = split(m, c, d, constants.at(m.lanes, 4));
    let (e, f) = split(m, e, f, constants.at(m.lanes, 5));
    let (g, h) = split(m, g, h, constants.at(m.lanes, 6));
    [a, b, c, d, e, f, g, h]
}

/// The same backwards.
#[inline(always)]
fn join_eight<L: Lanes>(
    m: &ModulusLanes<L>,
    constants: &impl Constants<L>,
    vectors: [L::V; LANES],
) -> [L::V; LANES] {
    let [a, b, c, d, e, f, g, h] = vectors;
    let (a, b) = join(m, a, b, constants.at(m.lanes, 3));
    let (c, d) = join(m, c, d, constants.at(m.lanes, 4));
    let (e, f) = join(m, e, f, constants.at(m.lanes, 5));
    let (g, h) = join(m, g, h, constants.at(m.lanes, 6));
    let w = constants.at(m.lanes, 1);
    let (a, c) = join(m, a, c, w);
    let (b, d) = join(m, b, d, w);
    let w = constants.at(m.lanes, 2);
    let (e, g) = join(m, e, g, w);
    let (f, h) = join(m, f, h, w);
    let w = constants.at(m.lanes, 0);
    let (a, e) = join(m, a, e, w);
    let (b, f) = join(m, b, f, w);
    let (c, g) = join(m, c, g, w);
    let (d, h) = join(m, d, h, w);
    [a, b, c, d, e, f, g, h]
}

/// Entries as blocks.
#[inline(always)]
fn blocks(entries: &[u32]) -> &[[Lane8; LANES]] {
    entries.as_chunks().0.as_chunks().0
}

#[inline(always)]
fn load_block<L: Lanes>(lanes: L, block: &[Lane8; LANES]) -> [L::V; LANES] {
    let [a, b, c, d, e, f, g, h] = block;
    [
        lanes.load(a),
        lanes.load(b),
        lanes.load(c),
        lanes.load(d),
        lanes.load(e),
        lanes.load(f),
        lanes.load(g),
        lanes.load(h),
    ]
}

/// The last six layers: three on rows, three on columns, which are left as they are.
#[inline(always)]
fn split_block<L: Lanes>(m: &ModulusLanes<L>, w: &BlockTwiddles, block: &mut [Lane8; LANES]) {
    let rows = split_eight(m, &OfRows(&w.rows), load_block(m.lanes, block));
    let columns = split_eight(m, &OfColumns(&w.columns), m.lanes.transpose(rows));
    for (vector, column) in columns.into_iter().zip(block) {
        m.lanes.store(m.reduce(vector), column);
    }
}

struct Inverse<'a> {
    transform: &'a Transform,
    points: &'a [u32],
    work: &'a mut [u32],
    coefficients: &'a mut [u32],
}

impl Task for Inverse<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Transform {
            n,
            modulus,
            inverse,
            ..
        } = self.transform;
        let m = modulus.lanes(lanes);
        let layers = (n / 2 / BLOCK).ilog2();
        for half in 0..2 {
            let mut node = (2 + half) << layers;
            let work = &mut self.work[half * n / 2..][..n / 2];
            let blocks = blocks(&self.points[half * n / 2..][..n / 2]);
            let twiddles = &inverse.blocks[node - n / BLOCK..][..blocks.len()];
            let out = work.as_chunks_mut().0.as_chunks_mut().0;
            for ((block, twiddles), out) in blocks.iter().zip(twiddles).zip(out) {
                join_block(&m, twiddles, block, out);
            }
            let mut size = BLOCK;
            while size < n / 2 {
                let is_odd = size == n / 4;
                let parts = if is_odd { 2 } else { 4 };
                size *= parts;
                node /= parts;
                for (block, node) in work.chunks_exact_mut(size).zip(node..) {
                    match is_odd {
                        true => join_two(&m, inverse.nodes[node], block),
                        false => join_four(&m, &inverse.nodes, node, block),
                    }
                }
            }
        }
        join_halves(&m, inverse, self.work);
        unfold(&m, modulus, inverse, self.work, self.coefficients);
    }
}

/// low + high and (low - high)·w, below 2p, of such numbers.
#[inline(always)]
fn join<L: Lanes>(m: &ModulusLanes<L>, low: L::V, high: L::V, w: (L::V, L::V)) -> (L::V, L::V) {
    let sum = m.lanes.reduce(m.lanes.add(low, high), m.two_p);
    let difference = m.lanes.add(m.lanes.sub(low, high), m.two_p);
    (sum, m.lanes.mul_shoup(difference, w.0, w.1, m.p))
}

#[inline(always)]
fn join_two<L: Lanes>(m: &ModulusLanes<L>, w: Factor, block: &mut [u32]) {
    let w = splat_factor(m.lanes, w);
    let (low, high) = block.split_at_mut(block.len() / 2);
    let (low, high) = (low.as_chunks_mut().0, high.as_chunks_mut().0);
    for (low, high) in low.iter_mut().zip(high) {
        let (sum, difference) = join(m, m.lanes.load(low), m.lanes.load(high), w);
        m.lanes.store(sum, low);
        m.lanes.store(difference, high);
    }
}

/// Two layers at once.
#[inline(always)]
fn join_four<L: Lanes>(m: &ModulusLanes<L>, nodes: &[Factor], node: usize, block: &mut [u32]) {
    let w = splat_factor(m.lanes, nodes[node]);
    let low_w = splat_factor(m.lanes, nodes[2 * node]);
    let high_w = splat_factor(m.lanes, nodes[2 * node + 1]);
    for [a, b, c, d] in quarters(block) {
        let (low, high) = join(m, m.lanes.load(a), m.lanes.load(b), low_w);
        let (third, fourth) = join(m, m.lanes.load(c), m.lanes.load(d), high_w);
        let ((low, third), (high, fourth)) = (join(m, low, third, w), join(m, high, fourth, w));
        m.lanes.store(low, a);
        m.lanes.store(high, b);
        m.lanes.store(third, c);
        m.lanes.store(fourth, d);
    }
}

/// The first six layers backwards.
#[inline(always)]
fn join_block<L: Lanes>(
    m: &ModulusLanes<L>,
    w: &BlockTwiddles,
    block: &[Lane8; LANES],
    out: &mut [Lane8; LANES],
) {
    let columns = join_eight(m, &OfColumns(&w.columns), load_block(m.lanes, block));
    let rows = join_eight(m, &OfRows(&w.rows), m.lanes.transpose(columns));
    for (vector, row) in rows.into_iter().zip(out) {
        m.lanes.store(vector, row);
    }
}

/// The last layer, scaled.
#[inline(always)]
fn join_halves<L: Lanes>(m: &ModulusLanes<L>, twiddles: &Twiddles, points: &mut [u32]) {
    let scale = splat_factor(m.lanes, twiddles.scale);
    let w = splat_factor(m.lanes, twiddles.nodes[1]);
    let (low, high) = points.split_at_mut(points.len() / 2);
    let (low, high) = (low.as_chunks_mut().0, high.as_chunks_mut().0);
    for (low, high) in low.iter_mut().zip(high) {
        let (sum, difference) = join(m, m.lanes.load(low), m.lanes.load(high), w);
        m.lanes
            .store(m.lanes.mul_shoup(sum, scale.0, scale.1, m.p), low);
        m.lanes.store(difference, high);
    }
}

/// a_0 = b_0 and a_i = (b_i + I·b_(n-i))/2, where the halves are in the scale; centred.
#[inline(always)]
fn unfold<L: Lanes>(
    m: &ModulusLanes<L>,
    modulus: &Modulus,
    twiddles: &Twiddles,
    points: &[u32],
    coefficients: &mut [u32],
) {
    let n = points.len();
    let i = splat_factor(m.lanes, twiddles.fold);
    let half = m.lanes.splat(modulus.p() / 2);
    let (out, pad) = coefficients.split_at_mut(n);
    pad.fill(0);
    let (out, _) = out.as_chunks_mut::<LANES>();
    let (vectors, _) = points.as_chunks::<LANES>();
    for (k, (out, direct)) in out.iter_mut().zip(vectors).enumerate().skip(1) {
        let mirrored = m.lanes.load(vector(points, n - LANES * k - (LANES - 1)));
        m.lanes
            .store(unfolded(m, direct, m.lanes.reverse(mirrored), i, half), out);
    }
    // Coefficient 0 has itself, divided by I, for its mirror image.
    let mut mirrored: Lane8 = std::array::from_fn(|k| if k == 0 { 0 } else { points[n - k] });
    mirrored[0] = modulus.mul(points[0] % modulus.p(), modulus.negate(twiddles.fold.value));
    m.lanes.store(
        unfolded(m, &vectors[0], m.lanes.load(&mirrored), i, half),
        &mut out[0],
    );
}

/// direct + I·mirrored, centred.
#[inline(always)]
fn unfolded<L: Lanes>(
    m: &ModulusLanes<L>,
    direct: &Lane8,
    mirrored: L::V,
    i: (L::V, L::V),
    half: L::V,
) -> L::V {
    let product = m.lanes.mul_shoup(mirrored, i.0, i.1, m.p);
    let sum = m.reduce(m.lanes.add(m.lanes.load(direct), product));
    m.lanes.sub(m.add(sum, half), half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Primes;
    use proptest::prelude::*;

    fn transforms(n: usize) -> Vec<Transform> {
        let Primes { special, levels } = Primes::find(n, 1).unwrap();
        [special, levels[0]]
            .map(|p| Transform::new(n, Modulus::new(p)))
            .into()
    }

    fn padded(mut coefficients: Vec<u32>) -> Vec<u32> {
        coefficients.resize(coefficients.len() + PAD, 0);
        coefficients
    }

    /// Of a proptest's few numbers.
    fn polynomial(n: usize, seed: u32, p: u32) -> Vec<u32> {
        let step = |x: u32| x.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let numbers = std::iter::successors(Some(seed), |&x| Some(step(x)));
        numbers.take(n).map(|x| (x ^ (x >> 15)) % p).collect()
    }

    /// a_0 + Σ a_i (X^i + X^-i) at a power of a root.
    fn value(modulus: &Modulus, coefficients: &[u32], x: u32) -> u32 {
        let inverse = modulus.inverse(x);
        let (mut up, mut down, mut sum) = (1, 1, u64::from(coefficients[0]));
        for &a in &coefficients[1..] {
            (up, down) = (modulus.mul(up, x), modulus.mul(down, inverse));
            sum += u64::from(modulus.mul(a, (up + down) % modulus.p()));
        }
        (sum % u64::from(modulus.p())) as u32
    }

    fn points(transform: &Transform, coefficients: &[u32]) -> Vec<u32> {
        let mut points = vec![0; transform.n];
        transform.forward(&padded(coefficients.to_vec()), &mut points);
        points
    }

    #[test]
    fn points_are_the_values_at_half_of_the_roots() {
        for n in [128, 256, 512] {
            for transform in transforms(n) {
                let modulus = &transform.modulus;
                let root = root_of_unity(modulus, 4 * n as u32);
                let coefficients = polynomial(n, 7, modulus.p());
                let mut expected: Vec<u32> = (0..n as u32)
                    .map(|j| value(modulus, &coefficients, modulus.power(root, 4 * j + 1)))
                    .collect();
                let mut found = points(&transform, &coefficients);
                expected.sort_unstable();
                found.sort_unstable();
                assert_eq!(found, expected, "{n}");
            }
        }
    }

    /// Keys and results go over the wire as points.
    #[test]
    fn the_order_of_points_is_fixed() {
        let transform = &transforms(256)[0];
        let modulus = &transform.modulus;
        let root = root_of_unity(modulus, 1024);
        let coefficients = polynomial(256, 1, modulus.p());
        let found = points(transform, &coefficients);
        for (position, point) in found.into_iter().enumerate() {
            // Within a block of 64, rows and columns are exchanged.
            let place = position & !63 | (position & 7) << 3 | position >> 3 & 7;
            // The leaf of the tree: X - root^e.
            let leaf = 256 + place;
            let bits = (0..8).rev().map(|bit| leaf >> bit & 1);
            let exponent = bits.fold(256, |e, bit| e / 2 + 512 * bit as u32);
            assert_eq!(
                point,
                value(modulus, &coefficients, modulus.power(root, exponent))
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn transforms_undo_each_other(log2 in 7u32..16, seed in any::<u32>(), is_extreme in any::<bool>()) {
            let n = 1 << log2;
            for transform in transforms(n) {
                let p = transform.modulus.p();
                let mut coefficients = polynomial(n, seed, p);
                if is_extreme {
                    coefficients.iter_mut().for_each(|a| *a = if *a % 2 == 0 { p - 1 } else { p / 2 });
                }
                let centred = |a: u32| if a > p / 2 { a.wrapping_sub(p) } else { a };
                let centred: Vec<u32> = coefficients.iter().map(|&a| centred(a)).collect();
                let found = points(&transform, &coefficients);
                prop_assert!(found.iter().all(|&point| point < p));
                prop_assert!(found == points(&transform, &centred));
                let mut back = vec![1; n + PAD];
                transform.inverse(&found, &mut vec![1; n], &mut back);
                prop_assert!(back == padded(centred));
            }
        }

        #[test]
        fn every_path_gives_the_same_points(log2 in 7u32..14, seed in any::<u32>()) {
            let transform = &transforms(1 << log2)[1];
            let source = padded(polynomial(transform.n, seed, transform.modulus.p()));
            struct Both<'a>(&'a Transform, &'a [u32]);
            impl Task for Both<'_> {
                type Output = [Vec<u32>; 2];
                #[inline(always)]
                fn run<L: Lanes>(self, lanes: L) -> [Vec<u32>; 2] {
                    let mut points = vec![0; self.0.n];
                    Forward { transform: self.0, source: self.1, points: &mut points }.run(lanes);
                    let (kept, mut back) = (points.clone(), self.1.to_vec());
                    Inverse { transform: self.0, points: &kept, work: &mut points, coefficients: &mut back }.run(lanes);
                    [kept, back]
                }
            }
            let outputs = crate::lanes::on_every_path(|| Both(transform, &source));
            prop_assert!(outputs.iter().all(|output| output == &outputs[0]));
        }
    }

    /// In Z_p[X]/(X^2n + 1), coefficient by coefficient.
    #[test]
    fn products_of_points_are_products_in_the_ring() {
        let n = 128;
        let transform = &transforms(n)[0];
        let modulus = &transform.modulus;
        let p = modulus.p();
        let [a, b] = [3, 4].map(|seed| polynomial(n, seed, p));
        // X^-i = -X^(2n-i).
        let whole = |half: &[u32]| {
            let mut whole = vec![0; 2 * n];
            whole[..n].copy_from_slice(half);
            (1..n).for_each(|i| whole[2 * n - i] = modulus.negate(half[i]));
            whole
        };
        let mut expected = vec![0i128; 2 * n];
        for (i, &a) in whole(&a).iter().enumerate() {
            for (j, &b) in whole(&b).iter().enumerate() {
                let sign = if i + j >= 2 * n { -1 } else { 1 };
                expected[(i + j) % (2 * n)] += sign * i128::from(a) * i128::from(b);
            }
        }
        let expected: Vec<u32> = expected.iter().map(|&c| modulus.of_integer(c)).collect();
        let (a, b) = (points(transform, &a), points(transform, &b));
        let product: Vec<u32> = a.iter().zip(&b).map(|(&a, &b)| modulus.mul(a, b)).collect();
        let mut found = vec![0; n + PAD];
        transform.inverse(&product, &mut vec![0; n], &mut found);
        let found: Vec<u32> = found[..n]
            .iter()
            .map(|&c| modulus.of_integer(i128::from(c as i32)))
            .collect();
        assert_eq!(found, expected[..n]);
        assert_eq!(whole(&found), expected);
    }
}
