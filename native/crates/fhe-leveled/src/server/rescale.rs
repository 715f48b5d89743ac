//! Relinearisation and rescaling, in one division.
//!
//! A sum d_0 + d_1·s + d_2·s² at level ℓ is to be divided by the last prime q. The digits of d_2, its residues
//! modulo each of the ℓ primes, centred, are multiplied with the key, whose digit i is an encryption of P·s² modulo q_i
//! and of 0 modulo all other primes, so that the sum of the products is an encryption of P·d_2·s² modulo all primes
//! and P. What is divided, once and with exact rounding, by P·q is P·d_0, or P·d_1, plus that sum.
//!
//! The remainder r modulo P·q, between ±P·q/2, is r_P + P·t, where r_P is the remainder modulo P and
//! t = (r_q - r_P)/P modulo q, both centred; then (x - r)/(P·q) is (d - …)/q + (sum - r)/(P·q) modulo every prime left.

use fhe_core::Result;

use super::RelinearizationKey;
use super::ciphertext::{Ciphertext, Tensor};
use crate::buffer::Buffer;
use crate::lanes::{Lanes, Task, dispatch};
use crate::pointwise::{add_multiple, vectors, vectors_mut};
use crate::ring::{Modulus, PAD, Ring, splat_factor};
use crate::security::MOST_LEVELS;

/// Digits whose products a sum of 64 bits holds, less one bit: products are below 2^60.
const DIGITS_OF_A_SUM: usize = 8;

/// Buffers of a thread.
pub(crate) struct RescaleScratch {
    /// Coefficients of the digits of d_2, padded.
    digits: Buffer,
    /// Their points modulo one prime.
    points: Buffer,
    /// Sums of products with the key modulo one prime, a part each.
    sums: [Buffer; 2],
    /// Points of a remainder.
    remainder: Buffer,
    /// Coefficients, padded: r_P and t of both parts, and what is put together of them.
    coefficients: [Buffer; 5],
}

impl RescaleScratch {
    /// For ciphertexts of at most so many levels.
    pub(crate) fn new(n: usize, levels: usize) -> Result<Self> {
        let padded = || Buffer::zeros(n + PAD);
        Ok(RescaleScratch {
            digits: Buffer::zeros(levels * (n + PAD))?,
            points: Buffer::zeros(levels * n)?,
            sums: [Buffer::zeros(n)?, Buffer::zeros(n)?],
            remainder: Buffer::zeros(n)?,
            coefficients: [padded()?, padded()?, padded()?, padded()?, padded()?],
        })
    }
}

/// Divides `sum`, whose content is lost, by its last prime; `result` has one level less.
pub(crate) fn rescale(
    key: &RelinearizationKey,
    sum: &mut Tensor,
    scratch: &mut RescaleScratch,
    result: &mut Ciphertext,
) {
    match sum.is_quadratic {
        true => relinearise_and_rescale(key, sum, scratch, result),
        false => rescale_linear(key.ring(), sum, scratch, result),
    }
}

/// (d - r)/q, where r is d modulo q, centred.
fn rescale_linear(
    ring: &Ring,
    sum: &mut Tensor,
    scratch: &mut RescaleScratch,
    result: &mut Ciphertext,
) {
    let last = sum.level - 1;
    let q = ring.level(last).modulus().p();
    let [coefficients, ..] = &mut scratch.coefficients;
    for part in 0..2 {
        ring.level(last)
            .inverse(sum.points_mut(part, last), coefficients);
        for prime in 0..last {
            let transform = ring.level(prime);
            transform.forward(coefficients, &mut scratch.remainder);
            dispatch(DivideLinear {
                modulus: transform.modulus(),
                divisor: q,
                dividend: sum.points(part, prime),
                remainder: &scratch.remainder,
                quotient: result.points_mut(part, prime),
            });
        }
    }
}

fn relinearise_and_rescale(
    key: &RelinearizationKey,
    sum: &mut Tensor,
    scratch: &mut RescaleScratch,
    result: &mut Ciphertext,
) {
    let ring = key.ring();
    let last = sum.level - 1;
    let (special, q) = (ring.special(), ring.level(last));
    let RescaleScratch {
        digits,
        points,
        sums,
        remainder,
        coefficients,
    } = scratch;
    let [r_0, t_0, r_1, t_1, combined] = coefficients;
    let n = ring.n();

    for (prime, digit) in digits.chunks_exact_mut(n + PAD).enumerate().take(sum.level) {
        // On a copy: the digit modulo its own prime is needed as it is.
        let copy = &mut points[..n];
        copy.copy_from_slice(sum.points(2, prime));
        ring.level(prime).inverse(copy, digit);
    }
    let mut products = Products {
        key,
        sum,
        digits,
        points,
    };

    products.sum_modulo(ring.levels(), sums);
    for (sum, r) in sums.iter_mut().zip([&mut *r_0, &mut *r_1]) {
        special.inverse(sum, r);
    }
    products.sum_modulo(last, sums);
    let p_mod_q = q.modulus().factor(special.modulus().p());
    for (part, (r, t)) in [(&*r_0, &mut *t_0), (&*r_1, &mut *t_1)]
        .into_iter()
        .enumerate()
    {
        add_multiple(
            q.modulus(),
            &mut sums[part],
            products.sum.points(part, last),
            p_mod_q,
        );
        q.inverse(&mut sums[part], t);
        dispatch(UpperRemainder {
            modulus: q.modulus(),
            special: special.modulus().p(),
            lower: r,
            upper: &mut t[..n],
        });
    }
    for prime in 0..last {
        let transform = ring.level(prime);
        let modulus = transform.modulus();
        products.sum_modulo(prime, sums);
        for (part, (lower, upper)) in [(&*r_0, &*t_0), (&*r_1, &*t_1)].into_iter().enumerate() {
            let special = special.modulus().p();
            dispatch(CombineRemainder {
                modulus,
                special,
                lower,
                upper,
                combined: &mut combined[..n],
            });
            transform.forward(combined, remainder);
            dispatch(Divide {
                modulus,
                divisors: [q.modulus().p(), special],
                dividend: products.sum.points(part, prime),
                product: &sums[part],
                remainder,
                quotient: result.points_mut(part, prime),
            });
        }
    }
}

/// Digits of d_2 times the key.
struct Products<'a> {
    key: &'a RelinearizationKey,
    sum: &'a Tensor,
    /// Coefficients.
    digits: &'a [u32],
    points: &'a mut [u32],
}

impl Products<'_> {
    /// Sums of the products modulo q_prime, or P if that is L, for both parts.
    fn sum_modulo(&mut self, prime: usize, sums: &mut [Buffer; 2]) {
        let ring = self.key.ring();
        let (n, level) = (ring.n(), self.sum.level);
        let transform = ring.prime(prime);
        let digits = self.digits.chunks_exact(n + PAD);
        for (digit, (source, points)) in digits
            .zip(self.points.chunks_exact_mut(n))
            .enumerate()
            .take(level)
        {
            if digit != prime {
                transform.forward(source, points);
            }
        }
        let mut factors = [[&[][..]; 3]; MOST_LEVELS];
        for (digit, (factors, points)) in factors
            .iter_mut()
            .zip(self.points.chunks_exact(n))
            .enumerate()
            .take(level)
        {
            let points = if digit == prime {
                self.sum.points(2, prime)
            } else {
                points
            };
            let [body, mask] = self.key.digit(digit, prime);
            *factors = [points, body, mask];
        }
        let [body, mask] = sums;
        dispatch(InnerProduct {
            modulus: transform.modulus(),
            factors: &factors[..level],
            sums: [body, mask],
        });
    }
}

/// Σ digit·body and Σ digit·mask of a key's points times 2^32.
struct InnerProduct<'a> {
    modulus: &'a Modulus,
    factors: &'a [[&'a [u32]; 3]],
    sums: [&'a mut [u32]; 2],
}

impl Task for InnerProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let [bodies, masks] = self.sums.map(vectors_mut);
        for (index, (body_sum, mask_sum)) in bodies.iter_mut().zip(masks).enumerate() {
            let mut totals = [lanes.splat(0); 2];
            for factors in self.factors.chunks(DIGITS_OF_A_SUM) {
                let zero = lanes.mul_wide(lanes.splat(0), lanes.splat(0));
                let mut sums = [zero; 2];
                for [digit, body, mask] in factors {
                    let digit = lanes.load(&vectors(digit)[index]);
                    for (sum, key) in sums.iter_mut().zip([body, mask]) {
                        let key = lanes.load(&vectors(key)[index]);
                        *sum = lanes.add_wide(*sum, lanes.mul_wide(digit, key));
                    }
                }
                for (total, sum) in totals.iter_mut().zip(sums) {
                    *total = m.add(*total, m.reduce_montgomery(sum));
                }
            }
            lanes.store(totals[0], body_sum);
            lanes.store(totals[1], mask_sum);
        }
    }
}

/// t = (r_q - r_P)/P modulo q, centred, in place of r_q.
struct UpperRemainder<'a> {
    modulus: &'a Modulus,
    special: u32,
    lower: &'a [u32],
    upper: &'a mut [u32],
}

impl Task for UpperRemainder<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let inverse = self.modulus.factor(self.modulus.inverse(self.special));
        let inverse = splat_factor(lanes, inverse);
        let half = lanes.splat(self.modulus.p() / 2);
        for (upper, lower) in vectors_mut(self.upper).iter_mut().zip(vectors(self.lower)) {
            let r_q = lanes.lift(lanes.load(upper), m.p);
            let r_p = lanes.lift(lanes.load(lower), m.p);
            let difference = lanes.add(lanes.sub(r_q, r_p), m.p);
            let quotient = m.mul_factor(difference, inverse);
            // As `Transform::inverse` centres.
            let moved = m.add(quotient, half);
            lanes.store(lanes.sub(moved, half), upper);
        }
    }
}

/// r = r_P + P·t modulo a prime, below 2p.
struct CombineRemainder<'a> {
    modulus: &'a Modulus,
    special: u32,
    lower: &'a [u32],
    upper: &'a [u32],
    combined: &'a mut [u32],
}

impl Task for CombineRemainder<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let special = splat_factor(lanes, self.modulus.factor(self.special));
        let parts = vectors(self.lower).iter().zip(vectors(self.upper));
        for (combined, (lower, upper)) in vectors_mut(self.combined).iter_mut().zip(parts) {
            let lower = lanes.lift(lanes.load(lower), m.p);
            let upper = lanes.lift(lanes.load(upper), m.p);
            let product = lanes.mul_shoup(upper, special.0, special.1, m.p);
            lanes.store(lanes.reduce(lanes.add(lower, product), m.two_p), combined);
        }
    }
}

/// dividend/q + (product - remainder)/(P·q).
struct Divide<'a> {
    modulus: &'a Modulus,
    /// q and P.
    divisors: [u32; 2],
    dividend: &'a [u32],
    product: &'a [u32],
    remainder: &'a [u32],
    quotient: &'a mut [u32],
}

impl Task for Divide<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let [q, special] = self
            .divisors
            .map(|divisor| self.modulus.inverse(divisor % self.modulus.p()));
        let both = self.modulus.factor(self.modulus.mul(q, special));
        let (q, both) = (
            splat_factor(lanes, self.modulus.factor(q)),
            splat_factor(lanes, both),
        );
        let terms = vectors(self.dividend)
            .iter()
            .zip(vectors(self.product).iter().zip(vectors(self.remainder)));
        for (quotient, (dividend, (product, remainder))) in
            vectors_mut(self.quotient).iter_mut().zip(terms)
        {
            let difference = lanes.sub(lanes.load(product), lanes.load(remainder));
            let difference = lanes.add(difference, m.p);
            // Below 4p.
            let sum = lanes.add(
                lanes.mul_shoup(lanes.load(dividend), q.0, q.1, m.p),
                lanes.mul_shoup(difference, both.0, both.1, m.p),
            );
            lanes.store(m.reduce(sum), quotient);
        }
    }
}

/// (dividend - remainder)/q.
struct DivideLinear<'a> {
    modulus: &'a Modulus,
    /// q.
    divisor: u32,
    dividend: &'a [u32],
    remainder: &'a [u32],
    quotient: &'a mut [u32],
}

impl Task for DivideLinear<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let inverse = self.modulus.inverse(self.divisor % self.modulus.p());
        let inverse = splat_factor(lanes, self.modulus.factor(inverse));
        let terms = vectors(self.dividend).iter().zip(vectors(self.remainder));
        for (quotient, (dividend, remainder)) in vectors_mut(self.quotient).iter_mut().zip(terms) {
            let difference = lanes.sub(lanes.load(dividend), lanes.load(remainder));
            lanes.store(m.mul_factor(lanes.add(difference, m.p), inverse), quotient);
        }
    }
}
