//! The limb GEMM on one panel of 64 ciphertext rows.
//!
//! Entries are split into 8-bit limbs; every limb is an integer matrix product u8 × s8 → s32. With
//! t_l = acc_l + (t_{l-1} >> 8) the low byte of t_l is limb l of the result, so the reduction mod q is
//! free and the output is planar again. Where low limbs are dropped, half a unit of what is kept is added
//! first, so that the result is rounded, not truncated.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod amx_emulator;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
mod few_rows;
mod portable;
#[cfg(target_arch = "x86_64")]
mod quads;
mod scratch;
mod weights;

use fhe_core::panel::PANEL_ROWS;
use fhe_core::{Error, Result};

pub use few_rows::FewRows;
pub use scratch::Scratch;
use weights::{PackedWeights, WeightOrder};

/// What the accumulators of limb `limb` start from: half a unit of the lowest limb kept, just below it.
fn rounding(limb: usize, dropped: usize) -> i32 {
    if limb + 1 == dropped { 128 } else { 0 }
}

/// Environment variable that forces a kernel by name.
pub const KERNEL_VARIABLE: &str = "FHE_SPARK_KERNEL";

/// A way to compute the limb GEMM; all give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust.
    Portable,
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// AMX int8.
    #[cfg(target_arch = "x86_64")]
    Amx,
}

impl Kernel {
    /// The kernels this machine can run, fastest first.
    pub fn available() -> Vec<Kernel> {
        let mut kernels = vec![
            #[cfg(target_arch = "x86_64")]
            Kernel::Amx,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2,
            Kernel::Portable,
        ];
        kernels.retain(|kernel| kernel.runs_here());
        kernels
    }

    /// The fastest kernel of this machine, or the one that the environment variable `FHE_SPARK_KERNEL` names.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the variable names a kernel that this machine does not have.
    pub fn choose() -> Result<Kernel> {
        let available = Kernel::available();
        match std::env::var(KERNEL_VARIABLE) {
            Err(_) => Ok(available[0]),
            Ok(name) => available
                .iter()
                .copied()
                .find(|kernel| kernel.name() == name)
                .ok_or_else(|| {
                    let names: Vec<_> = available.iter().map(|kernel| kernel.name()).collect();
                    Error::invalid(format!(
                        "{KERNEL_VARIABLE} is {name:?}, this machine has {}",
                        names.join(", ")
                    ))
                }),
        }
    }

    /// Its name, for settings, logs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Kernel::Amx => "amx",
        }
    }

    /// Whether this machine has its instructions.
    fn runs_here(self) -> bool {
        match self {
            Kernel::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Amx => amx::is_available(),
        }
    }

    /// Most rows that are faster one by one than as a panel: where the two meet on AVX2 (768 x 768), and less
    /// for kernels whose panels are faster.
    fn few_rows(self) -> usize {
        match self {
            Kernel::Portable => 16,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => 16,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni => 8,
            #[cfg(target_arch = "x86_64")]
            Kernel::Amx => 2,
        }
    }

    fn weight_order(self) -> WeightOrder {
        match self {
            Kernel::Portable => portable::WEIGHT_ORDER,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => avx2::WEIGHT_ORDER,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni => avx512_vnni::WEIGHT_ORDER,
            #[cfg(target_arch = "x86_64")]
            Kernel::Amx => amx::WEIGHT_ORDER,
        }
    }
}

/// Weights made ready for a kernel; immutable, shared by all threads.
pub struct PreparedWeights {
    kernel: Kernel,
    packed: PackedWeights,
}

impl PreparedWeights {
    /// Prepares weights `[outputs][inputs]`.
    ///
    /// # Panics
    /// If `weights` is not `outputs · inputs` long, or the CPU lacks the kernel's instructions.
    pub fn new(kernel: Kernel, weights: &[i8], inputs: usize, outputs: usize) -> Self {
        assert!(
            kernel.runs_here(),
            "{kernel:?} on a CPU without its instructions"
        );
        PreparedWeights {
            kernel,
            packed: PackedWeights::new(weights, inputs, outputs, kernel.weight_order()),
        }
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.packed.memory_bytes()
    }

    /// Whether [`PreparedWeights::multiply_rows`] is the way to take so many rows.
    pub fn prefers_rows(&self, width: usize) -> bool {
        width <= self.kernel.few_rows()
    }

    /// `product = rows · weightsᵀ mod 2^(8·limbs)`, rounded to its top `output_limbs`, for a few rows, given
    /// the weights `[d_out][d_in]` once more; `product` is u8 `[d_out][output_limbs][width]`, `digits` a work
    /// buffer.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn multiply_rows(
        &self,
        weights: &[i8],
        rows: FewRows,
        product: &mut [u8],
        output_limbs: usize,
        digits: &mut Vec<i16>,
    ) {
        let (inputs, outputs) = (self.packed.inputs(), self.packed.outputs());
        assert_eq!(weights.len(), inputs * outputs, "weights");
        few_rows::multiply(
            self.kernel,
            weights,
            inputs,
            rows,
            product,
            output_limbs,
            digits,
        );
    }

    /// `product = panel · weightsᵀ mod 2^(8·limbs)`, rounded to its top `output_limbs`.
    ///
    /// `panel` is u8 `[d_in][limbs][64]`, `product` u8 `[d_out][output_limbs][64]`.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn multiply_panel(
        &self,
        panel: &[u8],
        limbs: usize,
        product: &mut [u8],
        output_limbs: usize,
        scratch: &mut Scratch,
    ) {
        let weights = &self.packed;
        assert_eq!(
            panel.len(),
            weights.inputs() * limbs * PANEL_ROWS,
            "panel bytes"
        );
        assert_eq!(
            product.len(),
            weights.outputs() * output_limbs * PANEL_ROWS,
            "product bytes"
        );
        assert!((1..=limbs).contains(&output_limbs), "output limbs");
        match self.kernel {
            Kernel::Portable => portable::multiply(weights, panel, limbs, product, output_limbs),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the CPU has the instructions, checked when the weights were prepared.
            Kernel::Avx2 => unsafe {
                avx2::multiply(weights, panel, limbs, product, output_limbs, scratch)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kernel::Avx512Vnni => unsafe {
                avx512_vnni::multiply(weights, panel, limbs, product, output_limbs, scratch)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above; permission was given then, too.
            Kernel::Amx => unsafe {
                amx::multiply(weights, panel, limbs, product, output_limbs, scratch)
            },
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
        let half_unit = (1u64 << (8 * (limbs - output_limbs))) >> 1;
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
                        .fold(half_unit, |sum, (feature, &weight)| {
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

    /// The product by every kernel that runs here, on AMX emulated if need be.
    fn products(
        weights: &[i8],
        inputs: usize,
        outputs: usize,
        panel: &[u8],
        limbs: usize,
        output_limbs: usize,
    ) -> Vec<(Kernel, Vec<u8>)> {
        let mut scratch = Scratch::default();
        let mut products = Vec::new();
        let product = vec![0u8; outputs * output_limbs * PANEL_ROWS];
        for kernel in Kernel::available() {
            let mut product = product.clone();
            PreparedWeights::new(kernel, weights, inputs, outputs).multiply_panel(
                panel,
                limbs,
                &mut product,
                output_limbs,
                &mut scratch,
            );
            products.push((kernel, product));
        }
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if !Kernel::Amx.runs_here() && Kernel::Avx512Vnni.runs_here() {
            amx_emulator::install();
            let packed = PackedWeights::new(weights, inputs, outputs, amx::WEIGHT_ORDER);
            let mut product = product;
            // SAFETY: the CPU has AVX-512; what it lacks is emulated.
            unsafe {
                amx::multiply(
                    &packed,
                    panel,
                    limbs,
                    &mut product,
                    output_limbs,
                    &mut scratch,
                );
            }
            products.push((Kernel::Amx, product));
        }
        products
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_kernel_equals_wide_integer_arithmetic(
            inputs in 1usize..150,
            outputs in 1usize..40,
            limbs in 1usize..=7,
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
            for (kernel, product) in products(&weights, inputs, outputs, &panel, limbs, output_limbs) {
                prop_assert_eq!(&product, &expected, "{:?}", kernel);
            }
        }
    }

    /// Compares a few rows, taken out of a panel, with the panel's product.
    fn assert_rows(weights: &[i8], inputs: usize, panel: &[u8], limbs: usize, kept: usize) {
        let output_limbs = kept.min(limbs);
        let expected = reference(weights, inputs, panel, limbs, output_limbs);
        let some = |lines: &[u8], width: usize| -> Vec<u8> {
            let lines = lines.chunks_exact(PANEL_ROWS);
            lines.flat_map(|line| line[..width].to_vec()).collect()
        };
        let outputs = weights.len() / inputs;
        let mut digits = Vec::new();
        for kernel in Kernel::available() {
            let prepared = PreparedWeights::new(kernel, weights, inputs, outputs);
            for width in [1, 2, 3, 16, 63] {
                let bytes = some(panel, width);
                let rows = FewRows {
                    bytes: &bytes,
                    width,
                    limbs,
                };
                let mut product = vec![1; outputs * output_limbs * width];
                prepared.multiply_rows(weights, rows, &mut product, output_limbs, &mut digits);
                assert!(
                    product == some(&expected, width),
                    "{kernel:?}, {width} rows"
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_few_rows_are_multiplied_as_in_a_panel(
            inputs in prop_oneof![1usize..150, 2000usize..2200],
            outputs in 1usize..8,
            limbs in 1usize..=7,
            kept in 1usize..=7,
            seed in any::<u64>(),
            entry in prop_oneof![Just(None), Just(Some(255u8)), Just(Some(128)), Just(Some(127))],
        ) {
            let mut state = seed | 1;
            let mut next = move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let weights: Vec<i8> = (0..inputs * outputs)
                .map(|_| if entry.is_some() { -128 } else { next() as i8 })
                .collect();
            let panel: Vec<u8> = (0..inputs * limbs * PANEL_ROWS)
                .map(|_| entry.unwrap_or(next() as u8))
                .collect();
            assert_rows(&weights, inputs, &panel, limbs, kept);
        }
    }

    #[test]
    fn a_few_rows_of_the_largest_layer_do_not_overflow() {
        let inputs = fhe_core::parameters::MAX_INPUTS;
        for (weight, entry) in [(-128i8, 128u8), (127, 127), (-128, 255)] {
            let panel = vec![entry; inputs * 3 * PANEL_ROWS];
            assert_rows(&vec![weight; inputs], inputs, &panel, 3, 3);
        }
    }

    #[test]
    fn inputs_beyond_what_a_kernel_takes_together_are_summed() {
        let (inputs, outputs, limbs) = (1100, 37, 5);
        let weights: Vec<i8> = (0..inputs * outputs).map(|i| (i * i % 251) as i8).collect();
        let panel: Vec<u8> = (0..inputs * limbs * PANEL_ROWS)
            .map(|i| (i * 7 % 253) as u8)
            .collect();
        let expected = reference(&weights, inputs, &panel, limbs, 4);
        for (kernel, product) in products(&weights, inputs, outputs, &panel, limbs, 4) {
            assert!(product == expected, "{kernel:?}");
        }
    }

    #[test]
    fn the_largest_layer_does_not_overflow_its_accumulators() {
        let inputs = fhe_core::parameters::MAX_INPUTS;
        for (weight, entry) in [(-128i8, 255u8), (127, 255)] {
            let weights = vec![weight; inputs];
            let panel = vec![entry; inputs * 3 * PANEL_ROWS];
            let expected = reference(&weights, inputs, &panel, 3, 3);
            for (kernel, product) in products(&weights, inputs, 1, &panel, 3, 3) {
                assert_eq!(product, expected, "{kernel:?}");
            }
        }
    }
}
