//! Products mod X^N + 1 of polynomials mod 2^w with binary ones, by a complex FFT of size N/2.
//!
//! A real polynomial p is folded to p_c + i·p_{c+N/2} and twisted by ω^c, ω = exp(iπ/N); since
//! ω^(N/2) = i, products of transforms are negacyclic products. In double precision a product of an
//! entry below 2^40 with a binary polynomial is off by about 2^-8, so rounding is exact;
//! wider entries are split into two halves.
//!
//! Transforms are kept with real and imaginary parts apart, `[2][N/2]`: their products are then plain
//! loops over doubles, which compilers vectorise. Everything here is inlined into callers that
//! [`pulp::Arch::dispatch`] compiles for the machine at hand.

use dyn_stack::{PodBuffer, PodStack};
use std::time::Duration;
use tfhe_fft::c64;
use tfhe_fft::unordered::{Method, Plan};
use zeroize::Zeroize;

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
    twist: Vec<f64>,
    /// ω^-c · 2/N, `[2][N/2]`.
    untwist: Vec<f64>,
}

/// Buffers of one thread.
pub struct Scratch {
    memory: PodBuffer,
    values: Vec<c64>,
}

impl Drop for Scratch {
    /// What is left of the last transform may be a secret's.
    fn drop(&mut self) {
        for value in &mut self.values {
            value.re.zeroize();
            value.im.zeroize();
        }
    }
}

impl NegacyclicFft {
    /// Transforms of polynomials of `size` coefficients, a power of two, at least 64.
    pub fn new(size: usize) -> Self {
        let half = size / 2;
        let angle = |c: usize| std::f64::consts::PI * c as f64 / size as f64;
        let parts = |real: &dyn Fn(f64) -> f64, imaginary: &dyn Fn(f64) -> f64| {
            let real = (0..half).map(|c| real(angle(c)));
            real.chain((0..half).map(|c| imaginary(angle(c)))).collect()
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
            values: vec![c64::new(0.0, 0.0); self.transform_len() / 2],
        }
    }

    /// The transform of `polynomial`, N coefficients, to `out`, `[2][N/2]`.
    #[inline(always)]
    pub fn forward(&self, polynomial: &[f64], out: &mut [f64], scratch: &mut Scratch) {
        let half = self.transform_len() / 2;
        let (low, high) = polynomial.split_at(half);
        let (twist_re, twist_im) = self.twist.split_at(half);
        let values = &mut scratch.values[..half];
        for c in 0..half {
            values[c] = c64::new(
                low[c].mul_add(twist_re[c], -high[c] * twist_im[c]),
                low[c].mul_add(twist_im[c], high[c] * twist_re[c]),
            );
        }
        self.plan.fwd(values, PodStack::new(&mut scratch.memory));
        let (out_re, out_im) = out.split_at_mut(half);
        for ((value, re), im) in values.iter().zip(out_re).zip(out_im) {
            *re = value.re;
            *im = value.im;
        }
    }

    /// The polynomial whose transform is `transform`, `[2][N/2]`, rounded to integers, to `out`, N
    /// coefficients.
    #[inline(always)]
    pub fn inverse(&self, transform: &[f64], out: &mut [i64], scratch: &mut Scratch) {
        let half = self.transform_len() / 2;
        let (re, im) = transform.split_at(half);
        let values = &mut scratch.values[..half];
        for ((value, &re), &im) in values.iter_mut().zip(re).zip(im) {
            *value = c64::new(re, im);
        }
        self.plan.inv(values, PodStack::new(&mut scratch.memory));
        let (untwist_re, untwist_im) = self.untwist.split_at(half);
        let (low, high) = out.split_at_mut(half);
        let (low, high) = (&mut low[..half], &mut high[..half]);
        for c in 0..half {
            let (re, im) = (values[c].re, values[c].im);
            low[c] = round_to_i64(re.mul_add(untwist_re[c], -im * untwist_im[c]));
            high[c] = round_to_i64(re.mul_add(untwist_im[c], im * untwist_re[c]));
        }
    }
}

/// Adds the product of two transforms to `sum`, all `[2][N/2]`; or writes it, if `is_first`.
#[inline(always)]
pub fn multiply_add(sum: &mut [f64], a: &[f64], b: &[f64], is_first: bool) {
    let half = sum.len() / 2;
    let (a_re, a_im) = a.split_at(half);
    let (b_re, b_im) = b.split_at(half);
    let (sum_re, sum_im) = sum.split_at_mut(half);
    let (a_im, b_re, b_im) = (&a_im[..half], &b_re[..half], &b_im[..half]);
    let (sum_re, sum_im) = (&mut sum_re[..half], &mut sum_im[..half]);
    if is_first {
        for c in 0..half {
            sum_re[c] = a_re[c].mul_add(b_re[c], -a_im[c] * b_im[c]);
            sum_im[c] = a_re[c].mul_add(b_im[c], a_im[c] * b_re[c]);
        }
    } else {
        for c in 0..half {
            sum_re[c] = a_re[c].mul_add(b_re[c], (-a_im[c]).mul_add(b_im[c], sum_re[c]));
            sum_im[c] = a_re[c].mul_add(b_im[c], a_im[c].mul_add(b_re[c], sum_im[c]));
        }
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

    /// Part `part` of an entry; the top part is taken with its sign, which halves its size.
    #[inline(always)]
    pub fn part(&self, entry: u64, part: usize) -> f64 {
        let shift = (part * self.part_bits) as u32;
        if part + 1 == self.parts() {
            // Sign-extend from `bits`.
            let unused = 64 - self.bits as u32;
            i64_to_f64(((entry << unused) as i64) >> unused >> shift)
        } else {
            i64_to_f64(((entry >> shift) & ((1 << self.part_bits) - 1)) as i64)
        }
    }

    /// Weight of part `part` in the whole, as a shift.
    pub fn shift(&self, part: usize) -> u32 {
        (part * self.part_bits) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    let mut key = vec![0.0; size];
                    fft.forward(&bits_of_secret, &mut key, &mut scratch);
                    let mut product = vec![0u64; size];
                    for part in 0..split.parts() {
                        let polynomial: Vec<f64> =
                            entries.iter().map(|&e| split.part(e, part)).collect();
                        let mut transform = vec![0.0; size];
                        fft.forward(&polynomial, &mut transform, &mut scratch);
                        let mut sum = vec![f64::NAN; size];
                        multiply_add(&mut sum, &transform, &key, true);
                        let mut values = vec![0i64; size];
                        fft.inverse(&sum, &mut values, &mut scratch);
                        for (product, value) in product.iter_mut().zip(values) {
                            *product =
                                product.wrapping_add((value as u64) << split.shift(part)) & mask;
                        }
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
