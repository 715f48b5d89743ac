//! Slots to coefficients and back.
//!
//! Slot j of a_0 + Σ a_i (X^i + X^-i) is its value at e^(-iπ(4j+1)/2n): a_0 + 2 Σ a_i cos(π(4j+1)i/2n). Those
//! are the roots of X^n + i, so that a fold like that of [`super::Transform`], with the complex -i, leaves a Fourier
//! transform: with b_i = a_i + i·a_(n-i), the real a_i are the real parts of b_i. Slots are in the order that the
//! transform leaves them in.

use dyn_stack::PodStack;
use tfhe_fft::c64;
use tfhe_fft::ordered::FftAlgo;
use tfhe_fft::unordered::{Method, Plan};
use zeroize::{Zeroize, Zeroizing};

/// Encodes and decodes the slots of polynomials with n coefficients.
pub(crate) struct Encoder {
    plan: Plan,
    /// e^(iπk/2n).
    twist: Vec<c64>,
}

/// Buffers of a thread, wiped: results that were decoded and not rounded tell the key to who has them encrypted.
pub(crate) struct EncoderScratch {
    values: Vec<c64>,
    stack: Zeroizing<Vec<u8>>,
}

impl Drop for EncoderScratch {
    fn drop(&mut self) {
        for value in &mut self.values {
            value.re.zeroize();
            value.im.zeroize();
        }
    }
}

/// Size from which the transform is done in another way; the order of slots depends on it.
const BASE_SIZE: usize = 512;

impl Encoder {
    pub(crate) fn new(n: usize) -> Self {
        // What is fastest on one machine may give other machines slots in another order.
        let method = Method::UserProvided {
            base_algo: FftAlgo::Dif4,
            base_n: BASE_SIZE.min(n),
        };
        let angle = std::f64::consts::PI / (2 * n) as f64;
        let twist = |k: usize| c64::cis(k as f64 * angle);
        Encoder {
            plan: Plan::new(n, method),
            twist: (0..n).map(twist).collect(),
        }
    }

    /// Buffers for one call at a time.
    pub(crate) fn scratch(&self) -> EncoderScratch {
        EncoderScratch {
            values: vec![c64::default(); self.twist.len()],
            stack: Zeroizing::new(vec![0; self.plan.fft_scratch().unaligned_bytes_required()]),
        }
    }

    /// Coefficients, not rounded, of the element with slots `slots`, which they replace.
    pub(crate) fn encode(&self, slots: &mut [f64], scratch: &mut EncoderScratch) {
        let EncoderScratch { values, stack } = scratch;
        for (value, &slot) in values.iter_mut().zip(&*slots) {
            *value = c64::new(slot, 0.0);
        }
        self.plan.inv(values, PodStack::new(stack));
        let scale = 1.0 / self.twist.len() as f64;
        for ((slot, value), twist) in slots.iter_mut().zip(values).zip(&self.twist) {
            *slot = (*value * twist).re * scale;
        }
    }

    /// Slots of the element with coefficients `coefficients`, which they replace.
    pub(crate) fn decode(&self, coefficients: &mut [f64], scratch: &mut EncoderScratch) {
        let EncoderScratch { values, stack } = scratch;
        let n = self.twist.len();
        for (k, (value, twist)) in values.iter_mut().zip(&self.twist).enumerate() {
            let mirrored = if k == 0 { 0.0 } else { coefficients[n - k] };
            *value = c64::new(coefficients[k], mirrored) * twist.conj();
        }
        self.plan.fwd(values, PodStack::new(stack));
        for (slot, value) in coefficients.iter_mut().zip(values) {
            *slot = value.re;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn slots_are_cosine_sums(
            log2 in 7u32..10, a in prop::collection::vec(-1e6..1e6, 512),
        ) {
            let n = 1 << log2;
            let encoder = Encoder::new(n);
            let mut scratch = encoder.scratch();
            let mut slots = a[..n].to_vec();
            encoder.decode(&mut slots, &mut scratch);
            let unit = std::f64::consts::PI / (2 * n) as f64;
            let mut sums: Vec<f64> = (0..n)
                .map(|j| {
                    let angle = |i: usize| ((4 * j + 1) * i % (4 * n)) as f64 * unit;
                    (1..n).map(|i| 2.0 * a[i] * angle(i).cos()).sum::<f64>() + a[0]
                })
                .collect();
            let mut sorted = slots.clone();
            sums.sort_by(f64::total_cmp);
            sorted.sort_by(f64::total_cmp);
            let worst = sums.iter().zip(&sorted).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            prop_assert!(worst < 1e-4, "{worst}");
            encoder.encode(&mut slots, &mut scratch);
            let worst = slots.iter().zip(&a).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            prop_assert!(worst < 1e-7, "{worst}");
        }
    }
}
