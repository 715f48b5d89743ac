//! The limb GEMM on one panel of 64 ciphertext rows.
//!
//! Entries are split into 8-bit limbs; every limb is an integer matrix product u8 × s8 → s32. With
//! t_l = acc_l + (t_{l-1} >> 8) the low byte of t_l is limb l of the result, so the reduction mod q is
//! free and the output is planar again.

use fhe_core::panel::PANEL_ROWS;
use fhe_core::parameters::MAX_LIMBS;

/// A way to compute the limb GEMM; all give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust.
    Portable,
    /// Plain Rust compiled for AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Plain Rust compiled for AVX-512 (F, BW).
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// The kernels this machine can run, fastest first.
    pub fn available() -> Vec<Kernel> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
                kernels.push(Kernel::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                kernels.push(Kernel::Avx2);
            }
        }
        kernels.push(Kernel::Portable);
        kernels
    }

    /// The fastest kernel of this machine.
    pub fn detect() -> Kernel {
        Kernel::available()[0]
    }

    /// Its name, for logs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => "avx512",
        }
    }

    /// `product = panel · weightsᵀ mod 2^(8·limbs)`, of which the top `output_limbs` are kept.
    ///
    /// `weights` is s8 `[d_out][inputs]`, `panel` u8 `[inputs][limbs][64]`, `product` u8
    /// `[d_out][output_limbs][64]`.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn multiply_panel(
        self,
        weights: &[i8],
        inputs: usize,
        panel: &[u8],
        limbs: usize,
        product: &mut [u8],
        output_limbs: usize,
    ) {
        assert_eq!(panel.len(), inputs * limbs * PANEL_ROWS, "panel bytes");
        assert_eq!(
            product.len() * inputs,
            weights.len() * output_limbs * PANEL_ROWS,
            "product bytes"
        );
        let multiply = match self {
            Kernel::Portable => multiply_portable,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => {
                assert!(is_x86_feature_detected!("avx2"));
                |w: &[i8], n, x: &[u8], l, y: &mut [u8], o| {
                    // SAFETY: the CPU has AVX2, checked above.
                    unsafe { multiply_avx2(w, n, x, l, y, o) }
                }
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => {
                assert!(
                    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
                );
                |w: &[i8], n, x: &[u8], l, y: &mut [u8], o| {
                    // SAFETY: the CPU has AVX-512 F and BW, checked above.
                    unsafe { multiply_avx512(w, n, x, l, y, o) }
                }
            }
        };
        multiply(weights, inputs, panel, limbs, product, output_limbs);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn multiply_avx2(w: &[i8], n: usize, x: &[u8], limbs: usize, y: &mut [u8], output_limbs: usize) {
    multiply_portable(w, n, x, limbs, y, output_limbs);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn multiply_avx512(w: &[i8], n: usize, x: &[u8], limbs: usize, y: &mut [u8], output_limbs: usize) {
    multiply_portable(w, n, x, limbs, y, output_limbs);
}

/// Outputs computed together, so that a line of the panel is read once for all of them.
const OUTPUT_BLOCK: usize = 4;

type Accumulators = [[i32; PANEL_ROWS]; OUTPUT_BLOCK];

#[inline(always)]
fn multiply_portable(
    weights: &[i8],
    inputs: usize,
    panel: &[u8],
    limbs: usize,
    product: &mut [u8],
    output_limbs: usize,
) {
    let dropped = limbs - output_limbs;
    for (rows, outputs) in weights
        .chunks(OUTPUT_BLOCK * inputs)
        .zip(product.chunks_mut(OUTPUT_BLOCK * output_limbs * PANEL_ROWS))
    {
        let mut accumulators: [Accumulators; MAX_LIMBS] =
            [[[0; PANEL_ROWS]; OUTPUT_BLOCK]; MAX_LIMBS];
        for (limb, accumulators) in accumulators.iter_mut().enumerate().take(limbs) {
            accumulate_limb(rows, inputs, panel, limbs, limb, accumulators);
        }
        for (output, kept) in outputs
            .chunks_exact_mut(output_limbs * PANEL_ROWS)
            .enumerate()
        {
            let mut carry = [0i32; PANEL_ROWS];
            for (limb, accumulators) in accumulators.iter().enumerate().take(limbs) {
                for (carry, &accumulator) in carry.iter_mut().zip(&accumulators[output]) {
                    *carry = accumulator + (*carry >> 8);
                }
                if limb >= dropped {
                    let line = &mut kept[(limb - dropped) * PANEL_ROWS..][..PANEL_ROWS];
                    for (byte, &carry) in line.iter_mut().zip(&carry) {
                        *byte = carry as u8;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn accumulate_limb(
    rows: &[i8],
    inputs: usize,
    panel: &[u8],
    limbs: usize,
    limb: usize,
    accumulators: &mut Accumulators,
) {
    let lines = panel.chunks_exact(PANEL_ROWS).skip(limb).step_by(limbs);
    for (input, line) in lines.enumerate() {
        for (row, accumulator) in rows.chunks_exact(inputs).zip(accumulators.iter_mut()) {
            let weight = i32::from(row[input]);
            for (sum, &entry) in accumulator.iter_mut().zip(line) {
                *sum += weight * i32::from(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same product by u64 arithmetic mod 2^(8·limbs).
    fn reference(
        weights: &[i8],
        inputs: usize,
        panel: &[u8],
        limbs: usize,
        output_limbs: usize,
    ) -> Vec<u8> {
        let entry = |feature: usize, row: usize| -> u64 {
            (0..limbs).fold(0, |value, limb| {
                value | u64::from(panel[(feature * limbs + limb) * PANEL_ROWS + row]) << (8 * limb)
            })
        };
        let mut product = Vec::new();
        for row_of_weights in weights.chunks_exact(inputs) {
            let sums: Vec<u64> = (0..PANEL_ROWS)
                .map(|row| {
                    row_of_weights
                        .iter()
                        .enumerate()
                        .fold(0u64, |sum, (feature, &weight)| {
                            sum.wrapping_add(
                                entry(feature, row).wrapping_mul(i64::from(weight) as u64),
                            )
                        })
                })
                .collect();
            for limb in limbs - output_limbs..limbs {
                product.extend(sums.iter().map(|sum| (sum >> (8 * limb)) as u8));
            }
        }
        product
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_kernel_equals_wide_integer_arithmetic(
            inputs in 1usize..90,
            outputs in 1usize..11,
            limbs in 3usize..=7,
            kept in 1usize..=7,
            seed in any::<u64>(),
            extreme in any::<bool>(),
        ) {
            let output_limbs = kept.min(limbs);
            let mut state = seed | 1;
            let mut next = move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let weights: Vec<i8> = (0..inputs * outputs)
                .map(|_| if extreme { -128 } else { next() as i8 })
                .collect();
            let panel: Vec<u8> = (0..inputs * limbs * PANEL_ROWS)
                .map(|_| if extreme { 255 } else { next() as u8 })
                .collect();
            let expected = reference(&weights, inputs, &panel, limbs, output_limbs);
            for kernel in Kernel::available() {
                let mut product = vec![0u8; expected.len()];
                kernel.multiply_panel(&weights, inputs, &panel, limbs, &mut product, output_limbs);
                prop_assert_eq!(&product, &expected, "{:?}", kernel);
            }
        }
    }

    #[test]
    fn the_largest_layer_does_not_overflow_its_accumulators() {
        let inputs = fhe_core::parameters::MAX_INPUTS;
        for (weight, entry) in [(-128i8, 255u8), (127, 255)] {
            let weights = vec![weight; inputs];
            let panel = vec![entry; inputs * 3 * PANEL_ROWS];
            let expected = reference(&weights, inputs, &panel, 3, 3);
            let mut product = vec![0u8; expected.len()];
            Kernel::detect().multiply_panel(&weights, inputs, &panel, 3, &mut product, 3);
            assert_eq!(product, expected);
        }
    }
}
