//! The same product on a few ciphertext rows, too few to pay for a panel of 64.
//!
//! Rows are taken one by one: a sum of products of a row of weights with entries that are cut into signed
//! digits of 16 bits, which machines with AVX2 multiply in pairs (`vpmaddwd`). Weights are read in row-major
//! order, each once for all digits of a row.

use fhe_core::parameters::MAX_LIMBS;

use super::Kernel;

/// Most digits of an entry.
const MAX_DIGITS: usize = MAX_LIMBS.div_ceil(2);

/// Ciphertext rows `[d_in][limbs][width]`.
#[derive(Clone, Copy)]
pub struct FewRows<'a> {
    /// Their bytes.
    pub bytes: &'a [u8],
    /// Rows.
    pub width: usize,
    /// Bytes of an entry.
    pub limbs: usize,
}

/// Writes `rows · weightsᵀ mod 2^(8·limbs)`, rounded to its top `output_limbs`, to `product`,
/// `[d_out][output_limbs][width]`; `weights` are `[d_out][inputs]`.
///
/// # Panics
/// If the lengths do not fit together.
pub fn multiply(
    kernel: Kernel,
    weights: &[i8],
    inputs: usize,
    rows: FewRows,
    product: &mut [u8],
    output_limbs: usize,
    digits: &mut Vec<i16>,
) {
    let FewRows {
        bytes,
        width,
        limbs,
    } = rows;
    assert_eq!(bytes.len(), inputs * limbs * width, "bytes of the rows");
    assert_eq!(
        product.len() * inputs,
        weights.len() * output_limbs * width,
        "product bytes"
    );
    assert!((1..=limbs).contains(&output_limbs), "output limbs");
    let count = limbs.div_ceil(2);
    digits.resize(width * count * inputs, 0);
    split(rows, inputs, digits);
    let sum: unsafe fn(&[i8], &[i16]) -> u64 = match (kernel, count) {
        (Kernel::Portable, _) => portable_sum,
        #[cfg(target_arch = "x86_64")]
        (_, 1) => avx2::sum::<1>,
        #[cfg(target_arch = "x86_64")]
        (_, 2) => avx2::sum::<2>,
        #[cfg(target_arch = "x86_64")]
        (_, 3) => avx2::sum::<3>,
        #[cfg(target_arch = "x86_64")]
        (_, MAX_DIGITS) => avx2::sum::<MAX_DIGITS>,
        #[cfg(target_arch = "x86_64")]
        _ => panic!("entries of {limbs} limbs"),
    };
    let dropped_bits = 8 * (limbs - output_limbs);
    let half_unit = (1u64 << dropped_bits) >> 1;
    let outputs = product.chunks_exact_mut(output_limbs * width);
    for (out, weights) in outputs.zip(weights.chunks_exact(inputs)) {
        for (row, digits) in digits.chunks_exact(count * inputs).enumerate() {
            // SAFETY: only kernels of CPUs with AVX2 lead to functions that need it.
            let sum = unsafe { sum(weights, digits) }.wrapping_add(half_unit) >> dropped_bits;
            for (limb, out) in out.chunks_exact_mut(width).enumerate() {
                out[row] = (sum >> (8 * limb)) as u8;
            }
        }
    }
}

/// Cuts entries into signed digits, `[row][digit][inputs]`; what is carried out of the last is a multiple of
/// the modulus.
fn split(rows: FewRows, inputs: usize, digits: &mut [i16]) {
    let count = rows.limbs.div_ceil(2);
    for (row, digits) in digits.chunks_exact_mut(count * inputs).enumerate() {
        let entries = rows.bytes.chunks_exact(rows.limbs * rows.width);
        for (input, entry) in entries.enumerate() {
            let limbs = entry.chunks_exact(rows.width).rev();
            let mut rest = limbs.fold(0i64, |value, limb| value << 8 | i64::from(limb[row]));
            for digits in digits.chunks_exact_mut(inputs) {
                let digit = rest as i16;
                digits[input] = digit;
                rest = (rest - i64::from(digit)) >> 16;
            }
        }
    }
}

/// Σ_i w_i · x_i mod 2^64, x in digits `[digit][inputs]`.
fn portable_sum(weights: &[i8], digits: &[i16]) -> u64 {
    // A product is at most 2^22 in magnitude.
    const SUMMED: usize = 256;
    let digits = digits.chunks_exact(weights.len());
    digits.enumerate().fold(0, |total, (digit, values)| {
        let runs = weights.chunks(SUMMED).zip(values.chunks(SUMMED));
        let sum: i64 = runs
            .map(|(weights, values)| {
                let products = weights.iter().zip(values);
                i64::from(
                    products
                        .map(|(&weight, &value)| i32::from(weight) * i32::from(value))
                        .sum::<i32>(),
                )
            })
            .sum();
        total.wrapping_add((sum as u64) << (16 * digit))
    })
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::portable_sum;

    /// Inputs of a vector.
    const LANES: usize = 16;
    /// Vectors summed in 32 bits: each adds at most 2^23 in magnitude to a lane.
    const SUMMED: usize = 128;

    /// See [`super::portable_sum`].
    #[target_feature(enable = "avx2")]
    pub fn sum<const DIGITS: usize>(weights: &[i8], digits: &[i16]) -> u64 {
        let inputs = weights.len();
        let (weight_vectors, tail) = weights.as_chunks::<LANES>();
        let whole = LANES * weight_vectors.len();
        let values: [&[[i16; LANES]]; DIGITS] =
            std::array::from_fn(|digit| digits[digit * inputs..][..whole].as_chunks().0);
        let mut total = 0u64;
        for first in (0..weight_vectors.len()).step_by(SUMMED) {
            let end = weight_vectors.len().min(first + SUMMED);
            let values = values.map(|values| &values[first..end]);
            let mut sums = [_mm256_setzero_si256(); DIGITS];
            for (at, weights) in weight_vectors[first..end].iter().enumerate() {
                // SAFETY: 16 bytes; the load needs no alignment.
                let weights = unsafe { _mm_loadu_si128(weights.as_ptr().cast()) };
                let weights = _mm256_cvtepi8_epi16(weights);
                for (sum, values) in sums.iter_mut().zip(values) {
                    // SAFETY: 32 bytes; the load needs no alignment.
                    let values = unsafe { _mm256_loadu_si256(values[at].as_ptr().cast()) };
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(values, weights));
                }
            }
            for (digit, sum) in sums.into_iter().enumerate() {
                let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(sum));
                let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(sum));
                let sum = _mm256_add_epi64(low, high);
                let sum = _mm_add_epi64(
                    _mm256_castsi256_si128(sum),
                    _mm256_extracti128_si256::<1>(sum),
                );
                let sum = _mm_extract_epi64::<0>(sum).wrapping_add(_mm_extract_epi64::<1>(sum));
                total = total.wrapping_add((sum as u64) << (16 * digit));
            }
        }
        if tail.is_empty() {
            return total;
        }
        let tails = (0..DIGITS).map(|digit| &digits[digit * inputs + whole..(digit + 1) * inputs]);
        tails.enumerate().fold(total, |total, (digit, values)| {
            total.wrapping_add(portable_sum(tail, values) << (16 * digit))
        })
    }
}
