//! The limb GEMM in plain Rust, also the reference of the others' tests.

use fhe_core::panel::PANEL_ROWS;
use fhe_core::parameters::MAX_LIMBS;

use super::rounding;
use super::weights::{PackedWeights, WeightOrder};

/// Outputs computed together, so that a line of the panel is read once for all of them.
const OUTPUT_BLOCK: usize = 4;

type Accumulators = [[i32; PANEL_ROWS]; OUTPUT_BLOCK];

/// The order of weights: those of one input, of all outputs of a block, lie together.
pub const WEIGHT_ORDER: WeightOrder = WeightOrder {
    block: OUTPUT_BLOCK,
    chunk: 1,
};

/// See [`super::PreparedWeights::multiply_panel`].
#[inline(always)]
pub fn multiply(
    weights: &PackedWeights,
    panel: &[u8],
    limbs: usize,
    product: &mut [u8],
    output_limbs: usize,
) {
    let dropped = limbs - output_limbs;
    for (block, outputs) in product
        .chunks_mut(OUTPUT_BLOCK * output_limbs * PANEL_ROWS)
        .enumerate()
    {
        let mut accumulators: [Accumulators; MAX_LIMBS] =
            std::array::from_fn(|limb| [[rounding(limb, dropped); PANEL_ROWS]; OUTPUT_BLOCK]);
        for (limb, accumulators) in accumulators.iter_mut().enumerate().take(limbs) {
            accumulate_limb(weights.block(block), panel, limbs, limb, accumulators);
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
    weights: &[i8],
    panel: &[u8],
    limbs: usize,
    limb: usize,
    accumulators: &mut Accumulators,
) {
    let lines = panel.chunks_exact(PANEL_ROWS).skip(limb).step_by(limbs);
    for (line, weights) in lines.zip(weights.chunks_exact(OUTPUT_BLOCK)) {
        for (&weight, accumulator) in weights.iter().zip(accumulators.iter_mut()) {
            let weight = i32::from(weight);
            for (sum, &entry) in accumulator.iter_mut().zip(line) {
                *sum += weight * i32::from(entry);
            }
        }
    }
}
