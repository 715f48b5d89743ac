//! The limb GEMM with AVX2: `vpmaddwd` on 16-bit digits of entries and weights widened to 16 bits, two products
//! a lane.
//!
//! (`vpmaddubsw` would take bytes, but saturates at 16 bits.) An instruction that takes 16 bits need not take
//! single limbs: see [`Digits`]. Entries of five limbs are three digits, those of four are two. A tile is 6
//! outputs × 16 rows of one digit, 12 accumulators in registers; while the panel streams from L2, the weights
//! of a tile stay in L1.

use std::arch::x86_64::*;

use fhe_core::panel::PANEL_ROWS;

use super::rounding;
use super::scratch::Scratch;
use super::weights::{PackedWeights, WeightOrder};

/// Outputs of a tile.
const TILE_OUTPUTS: usize = 6;
/// Inputs of a lane.
const PAIR: usize = 2;
/// Rows of a tile.
const TILE_ROWS: usize = 16;
/// Tiles of a panel, one below the other.
const GROUPS: usize = PANEL_ROWS / TILE_ROWS;
/// Bytes of a digit of a pair of features of a tile's rows.
const PAIR_BYTES: usize = 2 * PAIR * TILE_ROWS;
/// Most pairs taken together: 64 rows of three of their digits leave room in an L2 of 512 KiB.
const MOST_PAIRS: usize = 512;

/// The order of weights: the two that a lane takes, of all outputs of a tile, lie together.
pub const WEIGHT_ORDER: WeightOrder = WeightOrder {
    block: TILE_OUTPUTS,
    chunk: PAIR,
};

/// Sums of a tile, rows as [`pack_digits`] leaves them.
type Sums<const OUTPUTS: usize> = [[__m256i; 2]; OUTPUTS];

/// How entries of some limbs are cut into digits, lowest first.
///
/// What is below the top 32 bits is cut into bytes, whose sums are exact in 32 bits (see
/// `fhe_core::parameters::MAX_INPUTS`). The top is one or two digits of 16 bits: only its sum mod 2^32 counts,
/// so these may wrap. `vpmaddwd` takes them with their sign; what that makes of a lower one is made up for in
/// the one above it.
#[derive(Clone, Copy)]
struct Digits {
    limbs: usize,
    bytes: usize,
}

impl Digits {
    fn of(limbs: usize) -> Self {
        let bytes = if limbs >= 4 { limbs - 4 } else { limbs % 2 };
        Digits { limbs, bytes }
    }

    /// Digits of 16 bits, at most two.
    fn words(self) -> usize {
        (self.limbs - self.bytes) / 2
    }

    fn count(self) -> usize {
        self.bytes + self.words()
    }

    /// What the sums of a digit start from, if the lowest `dropped` limbs are rounded away.
    fn rounding(self, digit: usize, dropped: usize) -> i32 {
        if digit < self.bytes {
            rounding(digit, dropped)
        } else if digit == self.bytes && dropped > self.bytes {
            1 << (8 * (dropped - self.bytes) - 1)
        } else {
            0
        }
    }
}

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
    let digits = Digits::of(limbs);
    let pairs = weights.chunks();
    let parts = pairs.div_ceil(MOST_PAIRS);
    let part_pairs = pairs.div_ceil(parts);
    let blocks = weights.outputs().div_ceil(TILE_OUTPUTS);
    let tile_sums = if parts > 1 {
        digits.count() * GROUPS
    } else {
        0
    };
    let packed_bytes = digits.count() * GROUPS * part_pairs * PAIR_BYTES;
    let widened_bytes = (2 * PAIR * TILE_OUTPUTS * part_pairs).next_multiple_of(64);
    let sums_bytes = tile_sums * size_of::<Sums<TILE_OUTPUTS>>();
    let memory = scratch.bytes(packed_bytes + widened_bytes + blocks * sums_bytes);
    let (packed, rest) = memory.split_at_mut(packed_bytes);
    let (widened, sums) = rest.split_at_mut(widened_bytes);
    for part in 0..parts {
        let first_pair = part * part_pairs;
        let count = part_pairs.min(pairs - first_pair);
        let packed = &mut packed[..digits.count() * GROUPS * count * PAIR_BYTES];
        // SAFETY: the caller's promise; scratch memory is aligned, and so is each part of it.
        unsafe { pack_digits(panel, weights.inputs(), digits, first_pair, packed) };
        let outputs = product.chunks_mut(TILE_OUTPUTS * output_limbs * PANEL_ROWS);
        for (block, outputs) in outputs.enumerate() {
            let length = PAIR * TILE_OUTPUTS;
            let narrow = &weights.block(block)[first_pair * length..][..count * length];
            for (wide, &narrow) in widened.as_chunks_mut().0.iter_mut().zip(narrow) {
                *wide = i16::from(narrow).to_ne_bytes();
            }
            let pass = Pass {
                digits,
                dropped: limbs - output_limbs,
                weights: &widened[..2 * count * length],
                packed,
                is_first: part == 0,
                is_last: part + 1 == parts,
            };
            let sums = &mut sums[block * sums_bytes..][..sums_bytes];
            let exist = outputs.len() / (output_limbs * PANEL_ROWS);
            // SAFETY: the caller's promise.
            unsafe {
                match exist {
                    1 => pass.tiles::<1>(sums, outputs, output_limbs),
                    2..=3 => pass.tiles::<3>(sums, outputs, output_limbs),
                    _ => pass.tiles::<TILE_OUTPUTS>(sums, outputs, output_limbs),
                }
            }
        }
    }
}

/// Cuts the entries of some pairs of features into digits, u16 `[digit][4 groups][pair][2][8 rows][2 features]`: of
/// the two vectors of a group's 16 rows the first holds rows 0–3 and 8–11, the second rows 4–7 and 12–15.
///
/// # Safety
/// The CPU must have AVX2; `packed` must be aligned to 32 bytes.
#[target_feature(enable = "avx2")]
unsafe fn pack_digits(
    panel: &[u8],
    inputs: usize,
    digits: Digits,
    first_pair: usize,
    packed: &mut [u8],
) {
    let limbs = digits.limbs;
    let digit_bytes = packed.len() / digits.count();
    let group_bytes = digit_bytes / GROUPS;
    let widened = |feature: usize, limb: usize, group: usize| {
        if feature < inputs {
            let line = &panel[(feature * limbs + limb) * PANEL_ROWS + TILE_ROWS * group..];
            let line = &line[..TILE_ROWS];
            // SAFETY: 16 bytes; the load needs no alignment.
            _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(line.as_ptr().cast()) })
        } else {
            _mm256_setzero_si256()
        }
    };
    for pair in 0..group_bytes / PAIR_BYTES {
        let features = [0, 1].map(|offset| PAIR * (first_pair + pair) + offset);
        for group in 0..GROUPS {
            let mut put = |digit: usize, [a, b]: [__m256i; 2]| {
                let start = digit * digit_bytes + group * group_bytes + pair * PAIR_BYTES;
                let out = packed[start..start + PAIR_BYTES].as_mut_ptr();
                // SAFETY: 64 bytes, aligned as the whole is.
                unsafe {
                    _mm256_store_si256(out.cast(), _mm256_unpacklo_epi16(a, b));
                    _mm256_store_si256(out.add(32).cast(), _mm256_unpackhi_epi16(a, b));
                }
            };
            for limb in 0..digits.bytes {
                put(limb, features.map(|feature| widened(feature, limb, group)));
            }
            let mut borrowed = [_mm256_setzero_si256(); 2];
            for word in 0..digits.words() {
                let limb = digits.bytes + 2 * word;
                let mut values = [_mm256_setzero_si256(); 2];
                for ((value, borrowed), feature) in
                    values.iter_mut().zip(&mut borrowed).zip(features)
                {
                    let low = widened(feature, limb, group);
                    let high = _mm256_slli_epi16::<8>(widened(feature, limb + 1, group));
                    *value = _mm256_add_epi16(_mm256_or_si256(low, high), *borrowed);
                    // A set sign bit counts -2^15 instead of 2^15: one more in the digit above.
                    *borrowed = _mm256_srli_epi16::<15>(*value);
                }
                put(digits.bytes + word, values);
            }
        }
    }
}

/// The product of some inputs with the weights of a tile's outputs.
struct Pass<'a> {
    digits: Digits,
    dropped: usize,
    /// i16 `[pairs][TILE_OUTPUTS][2]`.
    weights: &'a [u8],
    /// See [`pack_digits`].
    packed: &'a [u8],
    is_first: bool,
    is_last: bool,
}

impl Pass<'_> {
    /// The tiles of the first `OUTPUTS` outputs, some of which may not exist, for all rows and digits; `sums` holds
    /// what passes leave to the next, `[digit][group]`.
    ///
    /// # Safety
    /// The CPU must have AVX2; `sums` must be aligned to 32 bytes.
    #[target_feature(enable = "avx2")]
    unsafe fn tiles<const OUTPUTS: usize>(
        &self,
        sums: &mut [u8],
        outputs: &mut [u8],
        output_limbs: usize,
    ) {
        let digits = self.digits;
        let group_bytes = self.packed.len() / (digits.count() * GROUPS);
        for group in 0..GROUPS {
            let mut below = [[_mm256_setzero_si256(); 2]; OUTPUTS];
            for digit in 0..digits.count() {
                let index = digit * GROUPS + group;
                let packed = &self.packed[index * group_bytes..][..group_bytes];
                let saved = index * size_of::<Sums<TILE_OUTPUTS>>();
                let start = if self.is_first {
                    [[_mm256_set1_epi32(digits.rounding(digit, self.dropped)); 2]; OUTPUTS]
                } else {
                    let saved = &sums[saved..saved + size_of::<Sums<OUTPUTS>>()];
                    // SAFETY: as many bytes, and any will do; aligned as the whole is.
                    unsafe { saved.as_ptr().cast::<Sums<OUTPUTS>>().read() }
                };
                // SAFETY: the caller's promise.
                let totals = unsafe { accumulate::<OUTPUTS>(self.weights, packed, start) };
                if !self.is_last {
                    let saved = &mut sums[saved..saved + size_of::<Sums<OUTPUTS>>()];
                    // SAFETY: as above.
                    unsafe { saved.as_mut_ptr().cast::<Sums<OUTPUTS>>().write(totals) };
                    continue;
                }
                let lines = outputs.chunks_exact_mut(output_limbs * PANEL_ROWS);
                for ((totals, below), lines) in totals.into_iter().zip(&mut below).zip(lines) {
                    // SAFETY: the caller's promise.
                    unsafe { self.recombine(digit, totals, below, lines, TILE_ROWS * group) };
                }
            }
        }
    }

    /// Adds to a digit's sums what the digits below carry, `below`, which becomes what they all make; writes the
    /// limbs that are complete, those that are kept, to 16 rows of an output's lines.
    ///
    /// # Safety
    /// The CPU must have AVX2.
    #[target_feature(enable = "avx2")]
    unsafe fn recombine(
        &self,
        digit: usize,
        totals: [__m256i; 2],
        below: &mut [__m256i; 2],
        lines: &mut [u8],
        first_row: usize,
    ) {
        let digits = self.digits;
        let is_second_word = digit == digits.bytes + 1;
        for (below, total) in below.iter_mut().zip(totals) {
            *below = if is_second_word {
                _mm256_add_epi32(*below, _mm256_slli_epi32::<16>(total))
            } else {
                _mm256_add_epi32(total, _mm256_srai_epi32::<8>(*below))
            };
        }
        let (first_limb, end_limb) = if digit < digits.bytes {
            (digit, digit + 1)
        } else {
            (digits.bytes, digits.limbs)
        };
        if digit >= digits.bytes && digit + 1 < digits.count() {
            return;
        }
        let byte_lines = byte_lines(*below);
        for (limb, line) in (first_limb..end_limb).zip(byte_lines) {
            if limb >= self.dropped {
                let place = (limb - self.dropped) * PANEL_ROWS + first_row;
                let out = &mut lines[place..place + TILE_ROWS];
                // SAFETY: 16 bytes; the store needs no alignment.
                unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), line) };
            }
        }
    }
}

/// Byte b of all lanes, in the order of their rows, for each b.
#[inline]
#[target_feature(enable = "avx2")]
fn byte_lines([first, second]: [__m256i; 2]) -> [__m128i; 4] {
    let by_byte = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
    ));
    let (first, second) = (
        _mm256_shuffle_epi8(first, by_byte),
        _mm256_shuffle_epi8(second, by_byte),
    );
    // Rows 0–7 of two bytes in the lower lane, rows 8–15 of them in the upper one.
    let low = _mm256_unpacklo_epi32(first, second);
    let high = _mm256_unpackhi_epi32(first, second);
    let (low, high) = (
        _mm256_permute4x64_epi64::<0b11_01_10_00>(low),
        _mm256_permute4x64_epi64::<0b11_01_10_00>(high),
    );
    [
        _mm256_castsi256_si128(low),
        _mm256_extracti128_si256::<1>(low),
        _mm256_castsi256_si128(high),
        _mm256_extracti128_si256::<1>(high),
    ]
}

/// Sums of one digit of 16 rows over all pairs.
///
/// # Safety
/// The CPU must have AVX2; `packed` must be aligned to 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn accumulate<const OUTPUTS: usize>(
    weights: &[u8],
    packed: &[u8],
    start: Sums<OUTPUTS>,
) -> Sums<OUTPUTS> {
    const PAIR_OF_WEIGHTS: usize = 2 * PAIR;
    let pairs = packed.len() / PAIR_BYTES;
    assert!(weights.len() == pairs * TILE_OUTPUTS * PAIR_OF_WEIGHTS && OUTPUTS <= TILE_OUTPUTS);
    let mut sums = start;
    let mut data = packed.as_ptr();
    let mut weight = weights.as_ptr();
    for _ in 0..pairs {
        // SAFETY: `data` walks through `pairs` aligned chunks of 64 bytes; `weight` through as many chunks of
        // `TILE_OUTPUTS` pairs.
        unsafe {
            let rows = [
                _mm256_load_si256(data.cast()),
                _mm256_load_si256(data.add(32).cast()),
            ];
            for (output, sums) in sums.iter_mut().enumerate() {
                let two = weight.add(PAIR_OF_WEIGHTS * output).cast::<i32>();
                let two = _mm256_set1_epi32(two.read_unaligned());
                for (sum, rows) in sums.iter_mut().zip(rows) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(rows, two));
                }
            }
        }
        data = data.wrapping_add(PAIR_BYTES);
        weight = weight.wrapping_add(PAIR_OF_WEIGHTS * TILE_OUTPUTS);
    }
    sums
}
