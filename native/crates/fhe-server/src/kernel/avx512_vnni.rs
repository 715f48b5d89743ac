//! The limb GEMM with AVX-512 VNNI: `vpdpbusd`, u8 × s8, four products a lane.
//!
//! A tile is 6 outputs × 64 rows of one limb, 24 accumulators in registers; the panel, packed once a limb,
//! streams from L2 for every 6 outputs.

use std::arch::x86_64::*;

use fhe_core::panel::PANEL_ROWS;

use super::quads::{QUAD_BYTES, pack_limb, recombine};
use super::rounding;
use super::scratch::Scratch;
use super::weights::PaddedWeights;

/// Outputs of a tile.
const TILE_OUTPUTS: usize = 6;

/// See [`super::Kernel::multiply_panel`].
///
/// # Safety
/// The CPU must have AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub unsafe fn multiply(
    weights: &PaddedWeights,
    panel: &[u8],
    limbs: usize,
    product: &mut [u8],
    output_limbs: usize,
    scratch: &mut Scratch,
) {
    let inputs = weights.inputs();
    let quads = inputs.div_ceil(4);
    let packed = scratch.bytes(limbs * quads * QUAD_BYTES);
    for (limb, packed) in packed.chunks_exact_mut(quads * QUAD_BYTES).enumerate() {
        // SAFETY: the caller's promise; scratch memory is aligned, and so is each limb's part of it.
        unsafe { pack_limb(panel, inputs, limbs, limb, quads, packed) };
    }
    let mut output = 0;
    for outputs in product.chunks_mut(TILE_OUTPUTS * output_limbs * PANEL_ROWS) {
        let count = outputs.len() / (output_limbs * PANEL_ROWS);
        // SAFETY: the caller's promise; each call's rows exist: at most `count` more outputs.
        unsafe {
            match count {
                6 => tile::<6>(weights, output, packed, quads, limbs, outputs, output_limbs),
                5 => tile::<5>(weights, output, packed, quads, limbs, outputs, output_limbs),
                4 => tile::<4>(weights, output, packed, quads, limbs, outputs, output_limbs),
                3 => tile::<3>(weights, output, packed, quads, limbs, outputs, output_limbs),
                2 => tile::<2>(weights, output, packed, quads, limbs, outputs, output_limbs),
                _ => tile::<1>(weights, output, packed, quads, limbs, outputs, output_limbs),
            }
        }
        output += count;
    }
}

/// All limbs of `OUTPUTS` outputs from `first`.
///
/// # Safety
/// The CPU must have AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn tile<const OUTPUTS: usize>(
    weights: &PaddedWeights,
    first: usize,
    packed: &[u8],
    quads: usize,
    limbs: usize,
    outputs: &mut [u8],
    output_limbs: usize,
) {
    assert_eq!(packed.len(), limbs * quads * QUAD_BYTES, "packed bytes");
    assert_eq!(outputs.len(), OUTPUTS * output_limbs * PANEL_ROWS);
    assert!(4 * quads <= weights.stride());
    let rows = &weights.rows()[first * weights.stride()..][..OUTPUTS * weights.stride()];
    let dropped = limbs - output_limbs;
    let mut carries = [[_mm512_setzero_si512(); 4]; OUTPUTS];
    for (limb, packed) in packed.chunks_exact(quads * QUAD_BYTES).enumerate() {
        let mut sums = [[_mm512_set1_epi32(rounding(limb, dropped)); 4]; OUTPUTS];
        let mut data = packed.as_ptr();
        let mut weight = rows.as_ptr();
        for _ in 0..quads {
            // SAFETY: `data` walks through `quads` aligned chunks of 256 bytes; `weight` through the first
            // 4·quads ≤ stride bytes of each of `OUTPUTS` rows.
            unsafe {
                let groups: [__m512i; 4] =
                    std::array::from_fn(|group| _mm512_load_si512(data.add(64 * group).cast()));
                for (output, sums) in sums.iter_mut().enumerate() {
                    let four = weight
                        .add(output * weights.stride())
                        .cast::<i32>()
                        .read_unaligned();
                    let four = _mm512_set1_epi32(four);
                    for (sum, group) in sums.iter_mut().zip(groups) {
                        *sum = _mm512_dpbusd_epi32(*sum, group, four);
                    }
                }
                data = data.add(QUAD_BYTES);
                weight = weight.add(4);
            }
        }
        for output in 0..OUTPUTS {
            // SAFETY: the caller's promise.
            let line = unsafe { recombine(&sums[output], &mut carries[output]) };
            if limb >= dropped {
                let place = (output * output_limbs + limb - dropped) * PANEL_ROWS;
                let out = &mut outputs[place..place + PANEL_ROWS];
                // SAFETY: 64 bytes; the store needs no alignment.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), line) };
            }
        }
    }
}
