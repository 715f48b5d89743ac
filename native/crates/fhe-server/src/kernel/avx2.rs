//! The limb GEMM with AVX2: `vpmaddwd` on entries and weights widened to 16 bits, two products a lane.
//!
//! (`vpmaddubsw` would take bytes, but saturates at 16 bits.) A tile is 3 outputs × 32 rows of one limb, 12
//! accumulators in registers.

use std::arch::x86_64::*;

use fhe_core::panel::PANEL_ROWS;

use super::rounding;
use super::scratch::Scratch;
use super::weights::{PackedWeights, WeightOrder};

/// Outputs of a tile.
const TILE_OUTPUTS: usize = 3;
/// Inputs of a lane.
const PAIR: usize = 2;
/// Rows of a tile.
const TILE_ROWS: usize = 32;
/// Bytes of a pair of features of 32 rows, widened.
const PAIR_BYTES: usize = 2 * PAIR * TILE_ROWS;

/// The order of weights: the two that a lane takes, of all outputs of a tile, lie together.
pub const WEIGHT_ORDER: WeightOrder = WeightOrder {
    block: TILE_OUTPUTS,
    chunk: PAIR,
};

/// See [`super::PreparedWeights::multiply_panel`].
///
/// # Safety
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
pub unsafe fn multiply(
    weights: &PackedWeights,
    panel: &[u8],
    limbs: usize,
    product: &mut [u8],
    output_limbs: usize,
    scratch: &mut Scratch,
) {
    let inputs = weights.inputs();
    let pairs = weights.chunks();
    let packed = scratch.bytes(limbs * pairs * PAIR_BYTES);
    for first_row in (0..PANEL_ROWS).step_by(TILE_ROWS) {
        for (limb, packed) in packed.chunks_exact_mut(pairs * PAIR_BYTES).enumerate() {
            // SAFETY: the caller's promise.
            unsafe { pack_limb(panel, inputs, limbs, limb, first_row, packed) };
        }
        let outputs = product.chunks_mut(TILE_OUTPUTS * output_limbs * PANEL_ROWS);
        for (block, outputs) in outputs.enumerate() {
            let weights = weights.block(block);
            let count = outputs.len() / (output_limbs * PANEL_ROWS);
            // SAFETY: the caller's promise.
            unsafe {
                let kept = (output_limbs, first_row);
                match count {
                    3 => tile::<3>(weights, packed, pairs, limbs, outputs, kept),
                    2 => tile::<2>(weights, packed, pairs, limbs, outputs, kept),
                    _ => tile::<1>(weights, packed, pairs, limbs, outputs, kept),
                }
            }
        }
    }
}

/// Packs 32 rows of a limb: `[feature/2][4 groups][8 rows][2 features]`, u16. Within each half of 16 rows,
/// group 0 or 2 holds rows 0–3 and 8–11, group 1 or 3 rows 4–7 and 12–15.
///
/// # Safety
/// The CPU must have AVX2; `packed` must be aligned to 32 bytes.
#[target_feature(enable = "avx2")]
unsafe fn pack_limb(
    panel: &[u8],
    inputs: usize,
    limbs: usize,
    limb: usize,
    first_row: usize,
    packed: &mut [u8],
) {
    for (pair, out) in packed.chunks_exact_mut(PAIR_BYTES).enumerate() {
        for half in 0..2 {
            let widened = |offset: usize| {
                let feature = 2 * pair + offset;
                if feature < inputs {
                    let start = (feature * limbs + limb) * PANEL_ROWS + first_row + 16 * half;
                    let line = &panel[start..start + 16];
                    // SAFETY: 16 bytes; the load needs no alignment.
                    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(line.as_ptr().cast()) })
                } else {
                    _mm256_setzero_si256()
                }
            };
            let (a, b) = (widened(0), widened(1));
            let groups = [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)];
            for (group, vector) in groups.into_iter().enumerate() {
                let place = 32 * (2 * half + group);
                // SAFETY: the chunk has 128 bytes, aligned as the whole is.
                unsafe { _mm256_store_si256(out.as_mut_ptr().add(place).cast(), vector) };
            }
        }
    }
}

/// All limbs of the first `OUTPUTS` outputs of a tile, for the 32 rows from `first_row`.
///
/// # Safety
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
unsafe fn tile<const OUTPUTS: usize>(
    weights: &[i8],
    packed: &[u8],
    pairs: usize,
    limbs: usize,
    outputs: &mut [u8],
    (output_limbs, first_row): (usize, usize),
) {
    assert_eq!(packed.len(), limbs * pairs * PAIR_BYTES, "packed bytes");
    assert_eq!(
        weights.len(),
        pairs * TILE_OUTPUTS * PAIR,
        "weights of a tile"
    );
    let dropped = limbs - output_limbs;
    let low_byte = _mm256_set1_epi32(0xff);
    let mut carries = [[_mm256_setzero_si256(); 4]; OUTPUTS];
    for (limb, packed) in packed.chunks_exact(pairs * PAIR_BYTES).enumerate() {
        let mut sums = [[_mm256_set1_epi32(rounding(limb, dropped)); 4]; OUTPUTS];
        let weights = weights.chunks_exact(TILE_OUTPUTS * PAIR);
        for (data, weights) in packed.chunks_exact(PAIR_BYTES).zip(weights) {
            // SAFETY: the chunk has 128 bytes, aligned as the whole is.
            let groups: [__m256i; 4] = std::array::from_fn(|group| unsafe {
                _mm256_load_si256(data.as_ptr().add(32 * group).cast())
            });
            for (sums, weight) in sums.iter_mut().zip(weights.as_chunks::<PAIR>().0) {
                let two = (i32::from(weight[1]) << 16) | (i32::from(weight[0]) & 0xffff);
                let two = _mm256_set1_epi32(two);
                for (sum, group) in sums.iter_mut().zip(groups) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(group, two));
                }
            }
        }
        for output in 0..OUTPUTS {
            let (sums, carries) = (&sums[output], &mut carries[output]);
            // Written out: compilers leave loops over so few vectors rolled, and spill all of them.
            carries[0] = _mm256_add_epi32(sums[0], _mm256_srai_epi32::<8>(carries[0]));
            carries[1] = _mm256_add_epi32(sums[1], _mm256_srai_epi32::<8>(carries[1]));
            carries[2] = _mm256_add_epi32(sums[2], _mm256_srai_epi32::<8>(carries[2]));
            carries[3] = _mm256_add_epi32(sums[3], _mm256_srai_epi32::<8>(carries[3]));
            if limb >= dropped {
                // Packing leaves, in each lane, 8 rows of the first half, then 8 of the second.
                let line = _mm256_packus_epi16(
                    _mm256_packus_epi32(
                        _mm256_and_si256(carries[0], low_byte),
                        _mm256_and_si256(carries[1], low_byte),
                    ),
                    _mm256_packus_epi32(
                        _mm256_and_si256(carries[2], low_byte),
                        _mm256_and_si256(carries[3], low_byte),
                    ),
                );
                let line = _mm256_permute4x64_epi64::<0b11_01_10_00>(line);
                let place = (output * output_limbs + limb - dropped) * PANEL_ROWS + first_row;
                let out = &mut outputs[place..place + TILE_ROWS];
                // SAFETY: 32 bytes; the store needs no alignment.
                unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), line) };
            }
        }
    }
}
