//! The limb GEMM with AVX-512 VNNI: `vpdpbusd`, u8 × s8, four products a lane.
//!
//! A tile is 6 outputs × 64 rows of one limb, 24 accumulators in registers; the panel, packed once a limb,
//! streams from L2 for every 6 outputs.

use std::arch::x86_64::*;

use fhe_core::panel::PANEL_ROWS;

use super::quads::{QUAD_BYTES, pack_limb, recombine};
use super::rounding;
use super::scratch::Scratch;
use super::weights::{PackedWeights, WeightOrder};

/// Outputs of a tile.
const TILE_OUTPUTS: usize = 6;

/// Inputs of a lane.
const QUAD: usize = 4;

/// The order of weights: the four that a lane takes, of all outputs of a tile, lie together.
pub const WEIGHT_ORDER: WeightOrder = WeightOrder {
    block: TILE_OUTPUTS,
    chunk: QUAD,
};

/// See [`super::PreparedWeights::multiply_panel`].
///
/// # Safety
/// The CPU must have AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub unsafe fn multiply(
    weights: &PackedWeights,
    panel: &[u8],
    limbs: usize,
    product: &mut [u8],
    output_limbs: usize,
    scratch: &mut Scratch,
) {
    let quads = weights.chunks();
    let packed = scratch.bytes(limbs * quads * QUAD_BYTES);
    for (limb, packed) in packed.chunks_exact_mut(quads * QUAD_BYTES).enumerate() {
        // SAFETY: the caller's promise; scratch memory is aligned, and so is each limb's part of it.
        unsafe { pack_limb(panel, weights.inputs(), limbs, limb, quads, packed) };
    }
    let outputs = product.chunks_mut(TILE_OUTPUTS * output_limbs * PANEL_ROWS);
    for (block, outputs) in outputs.enumerate() {
        let weights = weights.block(block);
        let count = outputs.len() / (output_limbs * PANEL_ROWS);
        // SAFETY: the caller's promise.
        unsafe {
            match count {
                1 => tile::<1>(weights, packed, limbs, outputs, output_limbs),
                2..=3 => tile::<3>(weights, packed, limbs, outputs, output_limbs),
                _ => tile::<TILE_OUTPUTS>(weights, packed, limbs, outputs, output_limbs),
            }
        }
    }
}

/// All limbs of the first `OUTPUTS` outputs of a tile; some of them may not exist.
///
/// # Safety
/// The CPU must have AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn tile<const OUTPUTS: usize>(
    weights: &[i8],
    packed: &[u8],
    limbs: usize,
    outputs: &mut [u8],
    output_limbs: usize,
) {
    let dropped = limbs - output_limbs;
    let zero = [_mm512_setzero_si512(); 4];
    let mut carries = [zero; OUTPUTS];
    for (limb, packed) in packed.chunks_exact(packed.len() / limbs).enumerate() {
        let start = _mm512_set1_epi32(rounding(limb, dropped));
        // SAFETY: the caller's promise.
        let sums = unsafe { accumulate::<OUTPUTS>(weights, packed, start) };
        let lines = outputs.chunks_exact_mut(output_limbs * PANEL_ROWS);
        for ((sums, carries), lines) in sums.iter().zip(&mut carries).zip(lines) {
            // SAFETY: the caller's promise.
            let line = unsafe { recombine(sums, carries) };
            if limb >= dropped {
                let out = &mut lines[(limb - dropped) * PANEL_ROWS..][..PANEL_ROWS];
                // SAFETY: 64 bytes; the store needs no alignment.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), line) };
            }
        }
    }
}

/// Sums of one limb over all quads.
///
/// # Safety
/// The CPU must have AVX-512 F, BW and VNNI.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn accumulate<const OUTPUTS: usize>(
    weights: &[i8],
    packed: &[u8],
    start: __m512i,
) -> [[__m512i; 4]; OUTPUTS] {
    let quads = packed.len() / QUAD_BYTES;
    assert!(weights.len() == quads * TILE_OUTPUTS * QUAD && OUTPUTS <= TILE_OUTPUTS);
    let mut sums = [[start; 4]; OUTPUTS];
    let mut data = packed.as_ptr();
    let mut weight = weights.as_ptr();
    for _ in 0..quads {
        // SAFETY: `data` walks through `quads` aligned chunks of 256 bytes; `weight` through as many chunks of
        // `TILE_OUTPUTS` quads.
        unsafe {
            let groups: [__m512i; 4] =
                std::array::from_fn(|group| _mm512_load_si512(data.add(64 * group).cast()));
            for (output, sums) in sums.iter_mut().enumerate() {
                let four = weight.add(QUAD * output).cast::<i32>().read();
                let four = _mm512_set1_epi32(four);
                for (sum, group) in sums.iter_mut().zip(groups) {
                    *sum = _mm512_dpbusd_epi32(*sum, group, four);
                }
            }
        }
        data = data.wrapping_add(QUAD_BYTES);
        weight = weight.wrapping_add(QUAD * TILE_OUTPUTS);
    }
    sums
}
