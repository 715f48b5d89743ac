//! Eight residues at a time.
//!
//! Code is written once over [`Lanes`] and compiled for AVX2 and for any machine; both give the same bits, and the
//! same order of points of a transform, which goes over the wire. Vectors are handled outside of closures: these are compiled for
//! an instruction set only if they happen to be inlined.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
use portable::Portable;

/// Residues of a vector.
pub(crate) const LANES: usize = 8;

/// The residues of a vector in memory.
pub(crate) type Lane8 = [u32; LANES];

/// What a machine does with vectors of eight u32. All arithmetic wraps.
pub(crate) trait Lanes: Copy {
    /// Eight u32.
    type V: Copy;
    /// Eight u64, in an order of its own.
    type Wide: Copy;

    /// The same in every lane.
    fn splat(self, value: u32) -> Self::V;

    /// Reads a vector.
    fn load(self, values: &Lane8) -> Self::V;

    /// Writes a vector.
    fn store(self, vector: Self::V, values: &mut Lane8);

    /// a + b.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;

    /// a - b.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;

    /// The smaller one, unsigned.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;

    /// Whether no lane of `a` is above that of `most`, unsigned.
    fn all_at_most(self, a: Self::V, most: Self::V) -> bool;

    /// The low halves of products.
    fn mul_low(self, a: Self::V, b: Self::V) -> Self::V;

    /// The high halves of products, unsigned.
    fn mul_high(self, a: Self::V, b: Self::V) -> Self::V;

    /// a & b.
    fn and(self, a: Self::V, b: Self::V) -> Self::V;

    /// a | b.
    fn or(self, a: Self::V, b: Self::V) -> Self::V;

    /// a · 2^BITS.
    fn shift_left<const BITS: i32>(self, a: Self::V) -> Self::V;

    /// ⌊a / 2^BITS⌋, unsigned.
    fn shift_right<const BITS: i32>(self, a: Self::V) -> Self::V;

    /// The lanes in reverse order.
    fn reverse(self, a: Self::V) -> Self::V;

    /// Rows to columns.
    fn transpose(self, rows: [Self::V; LANES]) -> [Self::V; LANES];

    /// Of each 32 bits two signed 16-bit halves: the sum of the products of both, signed.
    fn dot_halves(self, a: Self::V, b: Self::V) -> Self::V;

    /// Whole products.
    fn mul_wide(self, a: Self::V, b: Self::V) -> Self::Wide;

    /// a + b.
    fn add_wide(self, a: Self::Wide, b: Self::Wide) -> Self::Wide;

    /// The low halves, each in its lane.
    fn low(self, a: Self::Wide) -> Self::V;

    /// The low halves of ⌊a / 2^BITS⌋, each in its lane.
    fn shift_right_wide<const BITS: i32>(self, a: Self::Wide) -> Self::V;

    /// ⌊(a + m·p) / 2^32⌋ with m = a·`negated_inverse` mod 2^32: Montgomery's reduction. Both constants are the same
    /// in every lane.
    fn montgomery(self, a: Self::Wide, p: Self::V, negated_inverse: Self::V) -> Self::V;

    /// A number congruent to x·w, below 2p, for any x; `shoup` is ⌊w·2^32/p⌋.
    #[inline(always)]
    fn mul_shoup(self, x: Self::V, w: Self::V, shoup: Self::V, p: Self::V) -> Self::V {
        let quotient = self.mul_high(x, shoup);
        self.sub(self.mul_low(x, w), self.mul_low(quotient, p))
    }

    /// `a` less `p` unless that is negative: halves the range of numbers below 2p.
    #[inline(always)]
    fn reduce(self, a: Self::V, p: Self::V) -> Self::V {
        self.min(a, self.sub(a, p))
    }

    /// `a` plus `p` if `a`, signed, is negative.
    #[inline(always)]
    fn lift(self, a: Self::V, p: Self::V) -> Self::V {
        self.min(a, self.add(a, p))
    }
}

/// Loops to be compiled for every instruction set.
pub(crate) trait Task {
    /// What comes out.
    type Output;

    /// Does it; implementations are `#[inline(always)]`, and so is all they call.
    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// Runs a task compiled for the machine at hand.
pub(crate) fn dispatch<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = Avx2::detect() {
        return avx2.run(task);
    }
    task.run(Portable)
}

/// Runs a task on every path that the machine has.
#[cfg(test)]
pub(crate) fn on_every_path<T: Task>(task: impl Fn() -> T) -> Vec<T::Output> {
    let mut outputs = vec![task().run(Portable)];
    #[cfg(target_arch = "x86_64")]
    outputs.extend(Avx2::detect().map(|avx2| avx2.run(task())));
    outputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Everything([Lane8; 3]);

    impl Task for Everything {
        type Output = Vec<Lane8>;

        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> Vec<Lane8> {
            let [a, b, c] = self.0.map(|lane| lanes.load(&lane));
            let odd = lanes.or(c, lanes.splat(1));
            // Montgomery's reduction takes the same modulus in every lane.
            let [p, inverse] = [1, 3].map(|i| lanes.splat(self.0[2][i]));
            let wide = lanes.add_wide(lanes.mul_wide(a, b), lanes.mul_wide(b, c));
            let mut results = vec![
                lanes.add(a, b),
                lanes.sub(a, b),
                lanes.min(a, b),
                lanes.mul_low(a, b),
                lanes.mul_high(a, b),
                lanes.and(a, b),
                lanes.or(a, b),
                lanes.shift_left::<5>(a),
                lanes.shift_right::<5>(a),
                lanes.reverse(a),
                lanes.dot_halves(a, b),
                lanes.low(wide),
                lanes.shift_right_wide::<30>(wide),
                lanes.montgomery(lanes.mul_wide(a, b), p, inverse),
                lanes.mul_shoup(a, b, c, odd),
                lanes.reduce(a, b),
                lanes.lift(a, b),
            ];
            results.extend(lanes.transpose([a, b, c, a, a, b, c, b]));
            for most in [a, b, lanes.min(a, b), lanes.or(a, b)] {
                results.push(lanes.splat(lanes.all_at_most(a, most).into()));
            }
            results
                .into_iter()
                .map(|vector| {
                    let mut lane = [0; LANES];
                    lanes.store(vector, &mut lane);
                    lane
                })
                .collect()
        }
    }

    proptest! {
        #[test]
        fn every_path_gives_the_same_bits(lanes in any::<[Lane8; 3]>()) {
            let outputs = on_every_path(|| Everything(lanes));
            let [a, b, c] = lanes;
            for i in 0..LANES {
                prop_assert_eq!(outputs[0][4][i], ((u64::from(a[i]) * u64::from(b[i])) >> 32) as u32);
                prop_assert_eq!(outputs[0][9][i], a[7 - i]);
                prop_assert_eq!(&outputs[0][17 + i], &[a[i], b[i], c[i], a[i], a[i], b[i], c[i], b[i]]);
            }
            let is_least = a.iter().zip(&b).all(|(a, b)| a <= b);
            let found: Vec<u32> = outputs[0][25..].iter().map(|lane| lane[0]).collect();
            prop_assert_eq!(found, [1, is_least.into(), is_least.into(), 1]);
            prop_assert!(outputs.iter().all(|output| output == &outputs[0]));
        }
    }
}
