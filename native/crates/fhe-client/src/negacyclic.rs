//! Products mod X^N + 1 of polynomials mod 2^w with binary ones, by a complex FFT of size N/2.
//!
//! A real polynomial p is folded to p_c + i·p_{c+N/2} and twisted by ω^c, ω = exp(iπ/N); since
//! ω^(N/2) = i, products of transforms are negacyclic products. In double precision a product of an
//! entry below 2^40 with a binary polynomial is off by about 2^-8, so rounding is exact;
//! wider entries are split into two halves.
//!
//! Transforms are kept in chunks of eight values, real and imaginary parts apart, which products like best.
//! Everything here is inlined into callers that [`crate::planes::dispatch`] compiles for the machine at hand.

use aligned_vec::{AVec, CACHELINE_ALIGN};
use dyn_stack::{PodBuffer, PodStack};
use pulp::Simd;
use pulp::bytemuck::cast_slice_mut;
use std::time::Duration;
use tfhe_fft::c64;
use tfhe_fft::unordered::{Method, Plan};
use zeroize::Zeroize;

use crate::buffer::Buffer;

/// Widest entries, in bits, that one transform carries exactly.
const MAX_BITS_PER_TRANSFORM: usize = 40;

/// Adding it rounds a double below 2^51 in magnitude to an integer, which is then the difference of the
/// bit patterns.
const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52

/// Rounds to the nearest integer, |x| < 2^51.
#[inline(always)]
pub fn round_to_i64(x: f64) -> i64 {
    ((x + ROUNDER).to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64)
}

/// An integer below 2^51 in magnitude as a double.
#[inline(always)]
pub fn i64_to_f64(x: i64) -> f64 {
    f64::from_bits(x.wrapping_add(ROUNDER.to_bits() as i64) as u64) - ROUNDER
}

/// Transforms of polynomials of one size.
pub struct NegacyclicFft {
    plan: Plan,
    /// ω^c, `[2][N/2]`.
    twist: AVec<f64>,
    /// ω^-c · 2/N, `[2][N/2]`.
    untwist: AVec<f64>,
}

/// Eight values of a transform: their real parts, then their imaginary parts, in an order of the machine's.
///
/// Transforms of k polynomials are kept together, `[N/16][k]`.
pub type Chunk = [f64; 2 * CHUNK_VALUES];

const CHUNK_VALUES: usize = 8;

/// Buffers of one thread; what is left of the last transform may be a secret's.
pub struct Scratch {
    memory: PodBuffer,
    /// N/2 complex values.
    values: Buffer<f64>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.memory.zeroize();
    }
}

impl NegacyclicFft {
    /// Transforms of polynomials of `size` coefficients, a power of two, at least 64.
    pub fn new(size: usize) -> Self {
        let half = size / 2;
        let angle = |c: usize| std::f64::consts::PI * c as f64 / size as f64;
        let parts = |real: &dyn Fn(f64) -> f64, imaginary: &dyn Fn(f64) -> f64| {
            let real = (0..half).map(|c| real(angle(c)));
            let imaginary = (0..half).map(|c| imaginary(angle(c)));
            AVec::from_iter(CACHELINE_ALIGN, real.chain(imaginary))
        };
        let scale = 1.0 / half as f64;
        NegacyclicFft {
            plan: Plan::new(half, Method::Measure(Duration::from_millis(2))),
            twist: parts(&f64::cos, &f64::sin),
            untwist: parts(&|a| a.cos() * scale, &|a| -a.sin() * scale),
        }
    }

    /// N, the doubles of a transform.
    pub fn transform_len(&self) -> usize {
        self.twist.len()
    }

    /// Buffers for a thread.
    pub fn scratch(&self) -> Scratch {
        Scratch {
            memory: PodBuffer::new(self.plan.fft_scratch()),
            values: Buffer::zeros(self.transform_len()),
        }
    }

    /// The transform of a polynomial to its place among those of `count`, `[N/16][count]`; `coefficient`
    /// makes doubles of what is given, N of them.
    #[inline(always)]
    pub fn forward<'c, T: Copy>(
        &self,
        simd: impl Simd,
        polynomial: &[T],
        coefficient: impl Fn(T) -> f64,
        out: impl Iterator<Item = &'c mut Chunk>,
        scratch: &mut Scratch,
    ) {
        let half = self.transform_len() / 2;
        let (low, high) = polynomial.split_at(half);
        let (low, high) = (&low[..half], &high[..half]);
        let (twist_re, twist_im) = self.twist.split_at(half);
        let (twist_re, twist_im) = (&twist_re[..half], &twist_im[..half]);
        let values: &mut [c64] = cast_slice_mut(&mut scratch.values);
        for (c, value) in values[..half].iter_mut().enumerate() {
            let (low, high) = (coefficient(low[c]), coefficient(high[c]));
            *value = c64::new(
                low.mul_add(twist_re[c], -high * twist_im[c]),
                low.mul_add(twist_im[c], high * twist_re[c]),
            );
        }
        self.plan.fwd(values, PodStack::new(&mut scratch.memory));
        for (values, chunk) in scratch.values.as_chunks().0.iter().zip(out) {
            take_apart(simd, values, chunk);
        }
    }

    /// The coefficients of Σ_j a_j·b_j, rounded to integers, given the transforms of a and b, `[N/16][count]`:
    /// `put` is called on each of N places of `out` with its coefficient.
    #[inline(always)]
    pub fn sum_of_products<T>(
        &self,
        simd: impl Simd,
        (a, b): (&[Chunk], &[Chunk]),
        out: &mut [T],
        put: impl Fn(&mut T, i64),
        scratch: &mut Scratch,
    ) {
        let half = self.transform_len() / 2;
        let chunks = scratch.values.as_chunks_mut::<{ 2 * CHUNK_VALUES }>().0;
        let count = a.len() / chunks.len();
        let factors = a.chunks_exact(count).zip(b.chunks_exact(count));
        for (sum, (a, b)) in chunks.iter_mut().zip(factors) {
            multiply_and_sum(simd, a, b, sum);
        }
        let values: &mut [c64] = cast_slice_mut(&mut scratch.values);
        self.plan.inv(values, PodStack::new(&mut scratch.memory));
        let values = &values[..half];
        let (untwist_re, untwist_im) = self.untwist.split_at(half);
        let (untwist_re, untwist_im) = (&untwist_re[..half], &untwist_im[..half]);
        let (low, high) = out.split_at_mut(half);
        let (low, high) = (&mut low[..half], &mut high[..half]);
        for c in 0..half {
            let (re, im) = (values[c].re, values[c].im);
            let real = re.mul_add(untwist_re[c], -im * untwist_im[c]);
            let imaginary = re.mul_add(untwist_im[c], im * untwist_re[c]);
            put(&mut low[c], round_to_i64(real));
            put(&mut high[c], round_to_i64(imaginary));
        }
    }
}

/// Sorts complex values to real and imaginary parts.
#[inline(always)]
fn take_apart<S: Simd>(simd: S, values: &Chunk, chunk: &mut Chunk) {
    let (re, im) = chunk.split_at_mut(CHUNK_VALUES);
    let (re, im) = (S::as_mut_simd_f64s(re).0, S::as_mut_simd_f64s(im).0);
    let pairs = S::as_simd_f64s(values).0.as_chunks().0;
    for ((&pair, re), im) in pairs.iter().zip(re).zip(im) {
        [*re, *im] = simd.deinterleave_shfl_f64s::<[S::f64s; 2]>(pair);
    }
}

/// Writes complex values of Σ_j a_j·b_j.
#[inline(always)]
fn multiply_and_sum<S: Simd>(simd: S, a: &[Chunk], b: &[Chunk], sum: &mut Chunk) {
    let vectors = |chunk: &Chunk, at: usize| {
        let vectors = S::as_simd_f64s(chunk).0;
        (vectors[at], vectors[vectors.len() / 2 + at])
    };
    let pairs = S::as_mut_simd_f64s(sum).0.as_chunks_mut().0;
    for (at, pair) in pairs.iter_mut().enumerate() {
        let (mut re, mut im) = (simd.splat_f64s(0.0), simd.splat_f64s(0.0));
        for (a, b) in a.iter().zip(b) {
            let ((a_re, a_im), (b_re, b_im)) = (vectors(a, at), vectors(b, at));
            re = simd.mul_add_f64s(a_re, b_re, re);
            im = simd.mul_add_f64s(a_re, b_im, im);
            re = simd.mul_add_f64s(simd.neg_f64s(a_im), b_im, re);
            im = simd.mul_add_f64s(a_im, b_re, im);
        }
        *pair = simd.interleave_shfl_f64s::<[S::f64s; 2]>([re, im]);
    }
}

/// How entries mod 2^bits are cut into parts that one transform carries exactly.
#[derive(Debug, Clone, Copy)]
pub struct EntrySplit {
    bits: usize,
    part_bits: usize,
}

impl EntrySplit {
    /// The split of entries of `bits` bits, at most 56.
    pub fn of(bits: usize) -> Self {
        let parts = bits.div_ceil(MAX_BITS_PER_TRANSFORM);
        EntrySplit {
            bits,
            part_bits: bits.div_ceil(parts),
        }
    }

    /// Number of transforms a polynomial takes.
    pub fn parts(&self) -> usize {
        self.bits.div_ceil(self.part_bits)
    }

    /// How to take part `part` of entries; the top part comes with its sign, which halves its size.
    pub fn part(&self, part: usize) -> EntryPart {
        let shift = self.shift(part);
        let bits = (self.bits as u32 - shift).min(self.part_bits as u32);
        let sign = if part + 1 == self.parts() {
            1 << (bits - 1)
        } else {
            0
        };
        EntryPart {
            shift,
            mask: (1 << bits) - 1,
            flip: sign ^ TWO_TO_52.to_bits(),
            offset: TWO_TO_52 + sign as f64,
        }
    }

    /// Weight of part `part` in the whole, as a shift.
    pub fn shift(&self, part: usize) -> u32 {
        (part * self.part_bits) as u32
    }
}

/// A part of an entry, as a double.
#[derive(Debug, Clone, Copy)]
pub struct EntryPart {
    shift: u32,
    mask: u64,
    /// Makes a double of a part below 2^52: the exponent of 2^52, and the sign bit, which stands for what
    /// must be taken off if it is not set.
    flip: u64,
    offset: f64,
}

const TWO_TO_52: f64 = 4_503_599_627_370_496.0;

impl EntryPart {
    /// The part of `entry`, exactly.
    #[inline(always)]
    pub fn of(self, entry: u64) -> f64 {
        f64::from_bits(((entry >> self.shift) & self.mask) ^ self.flip) - self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::{Arch, Scalar, WithSimd};

    fn schoolbook(entries: &[u64], secret: &[u8], modulus_mask: u64) -> Vec<u64> {
        let n = entries.len();
        let mut product = vec![0u64; n];
        for (i, &bit) in secret.iter().enumerate() {
            if bit == 1 {
                for (j, &entry) in entries.iter().enumerate() {
                    if i + j < n {
                        product[i + j] = product[i + j].wrapping_add(entry);
                    } else {
                        product[i + j - n] = product[i + j - n].wrapping_sub(entry);
                    }
                }
            }
        }
        product.iter().map(|v| v & modulus_mask).collect()
    }

    #[test]
    fn products_are_exact_for_every_size_and_width() {
        struct Check;

        impl WithSimd for Check {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                check_products(simd);
            }
        }

        check_products(Scalar);
        Arch::new().dispatch(Check);
    }

    #[inline(always)]
    fn check_products(simd: impl Simd) {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for size in [64, 128, 256, 512, 1024, 2048] {
            let fft = NegacyclicFft::new(size);
            let mut scratch = fft.scratch();
            for bits in [24, 32, 40, 48, 56] {
                let mask = (1u64 << bits) - 1;
                for extreme in [false, true] {
                    let entries: Vec<u64> = (0..size)
                        .map(|_| if extreme { mask >> 1 } else { next() & mask })
                        .collect();
                    let secret: Vec<u8> = (0..size)
                        .map(|_| if extreme { 1 } else { (next() >> 40) as u8 & 1 })
                        .collect();
                    let split = EntrySplit::of(bits);
                    let bits_of_secret: Vec<f64> = secret.iter().map(|&b| f64::from(b)).collect();
                    let mut key = vec![[0.0; 16]; size / 16];
                    fft.forward(
                        simd,
                        &bits_of_secret,
                        |bit| bit,
                        key.iter_mut(),
                        &mut scratch,
                    );
                    let mut product = vec![0u64; size];
                    for part in 0..split.parts() {
                        let (entry_part, shift) = (split.part(part), split.shift(part));
                        let mut transform = vec![[0.0; 16]; size / 16];
                        fft.forward(
                            simd,
                            &entries,
                            |e| entry_part.of(e),
                            transform.iter_mut(),
                            &mut scratch,
                        );
                        let put = |product: &mut u64, value: i64| {
                            *product = product.wrapping_add((value as u64) << shift) & mask;
                        };
                        fft.sum_of_products(
                            simd,
                            (&transform, &key),
                            &mut product,
                            put,
                            &mut scratch,
                        );
                    }
                    assert!(
                        product == schoolbook(&entries, &secret, mask),
                        "N = {size}, {bits} bits, extreme: {extreme}"
                    );
                }
            }
        }
    }
}
