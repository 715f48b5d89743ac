//! Products mod X^N + 1 of polynomials mod 2^w with binary ones, by a complex FFT of size N/2.
//!
//! A real polynomial p is folded to p_c + i·p_{c+N/2} and twisted by ω^c, ω = exp(iπ/N); since
//! ω^(N/2) = i, products of transforms are negacyclic products. In double precision a product of an
//! entry below 2^40 with a binary polynomial is off by about 2^-8, so rounding is exact;
//! wider entries are split into two halves.

use dyn_stack::{PodBuffer, PodStack};
use std::time::Duration;
use tfhe_fft::c64;
use tfhe_fft::unordered::{Method, Plan};

/// Widest entries, in bits, that one transform carries exactly.
const MAX_BITS_PER_TRANSFORM: usize = 40;

/// Transforms of polynomials of one size.
pub struct NegacyclicFft {
    plan: Plan,
    twist: Vec<c64>,
}

/// Buffers of one thread.
pub struct Scratch {
    memory: PodBuffer,
    coefficients: Vec<c64>,
}

impl NegacyclicFft {
    /// Transforms of polynomials of `size` coefficients, a power of two, at least 64.
    pub fn new(size: usize) -> Self {
        NegacyclicFft {
            plan: Plan::new(size / 2, Method::Measure(Duration::from_millis(2))),
            twist: (0..size / 2)
                .map(|c| {
                    let angle = std::f64::consts::PI * c as f64 / size as f64;
                    c64::new(angle.cos(), angle.sin())
                })
                .collect(),
        }
    }

    /// N/2, the complex values of a transform.
    pub fn transform_len(&self) -> usize {
        self.twist.len()
    }

    /// Buffers for a thread.
    pub fn scratch(&self) -> Scratch {
        Scratch {
            memory: PodBuffer::new(self.plan.fft_scratch()),
            coefficients: vec![c64::new(0.0, 0.0); self.transform_len()],
        }
    }

    /// The transform of `polynomial` (N coefficients), to `out` (N/2 values).
    pub fn forward(
        &self,
        polynomial: impl Fn(usize) -> f64,
        out: &mut [c64],
        scratch: &mut Scratch,
    ) {
        let half = self.transform_len();
        for (c, (value, twist)) in out.iter_mut().zip(&self.twist).enumerate() {
            *value = c64::new(polynomial(c), polynomial(c + half)) * twist;
        }
        self.plan.fwd(out, PodStack::new(&mut scratch.memory));
    }

    /// The polynomial whose transform is `transform`, rounded to integers: calls `take(c, coefficient)` for
    /// every c.
    pub fn inverse(
        &self,
        transform: &[c64],
        scratch: &mut Scratch,
        mut take: impl FnMut(usize, i64),
    ) {
        let half = self.transform_len();
        scratch.coefficients.copy_from_slice(transform);
        self.plan.inv(
            &mut scratch.coefficients,
            PodStack::new(&mut scratch.memory),
        );
        let scale = 1.0 / half as f64;
        for (c, (value, twist)) in scratch.coefficients.iter().zip(&self.twist).enumerate() {
            let coefficient = value * twist.conj() * scale;
            take(c, coefficient.re.round_ties_even() as i64);
            take(c + half, coefficient.im.round_ties_even() as i64);
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
    /// The split of entries of `bits` bits, at most 57.
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
    pub fn part(&self, entry: u64, part: usize) -> f64 {
        let shift = part * self.part_bits;
        if part + 1 == self.parts() {
            // Sign-extend from `bits`.
            let unused = 64 - self.bits as u32;
            (((entry << unused) as i64) >> unused >> shift) as f64
        } else {
            ((entry >> shift) & ((1 << self.part_bits) - 1)) as f64
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
            for bits in [24, 32, 33, 40, 41, 48, 56, 57] {
                let mask = (1u64 << bits) - 1;
                for extreme in [false, true] {
                    let entries: Vec<u64> = (0..size)
                        .map(|_| if extreme { mask >> 1 } else { next() & mask })
                        .collect();
                    let secret: Vec<u8> = (0..size)
                        .map(|_| if extreme { 1 } else { (next() >> 40) as u8 & 1 })
                        .collect();
                    let split = EntrySplit::of(bits);
                    let zero = c64::new(0.0, 0.0);
                    let mut key = vec![zero; fft.transform_len()];
                    fft.forward(|c| f64::from(secret[c]), &mut key, &mut scratch);
                    let mut product = vec![0u64; size];
                    for part in 0..split.parts() {
                        let mut transform = vec![zero; fft.transform_len()];
                        fft.forward(
                            |c| split.part(entries[c], part),
                            &mut transform,
                            &mut scratch,
                        );
                        for (value, key) in transform.iter_mut().zip(&key) {
                            *value *= key;
                        }
                        fft.inverse(&transform, &mut scratch, |c, v| {
                            product[c] =
                                product[c].wrapping_add((v as u64) << split.shift(part)) & mask;
                        });
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
