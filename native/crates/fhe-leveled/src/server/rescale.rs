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
use super::ciphertext::{Ciphertext, Tensor, Terms};
use crate::buffer::Buffer;
use crate::lanes::{Lanes, Task, dispatch};
use crate::pointwise::{add_multiple, vectors, vectors_mut};
use crate::ring::{Factor, Modulus, PAD, Ring, splat_factor};
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
    /// Points of a remainder; what inverse transforms work in.
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

/// Divides `sum` by its last prime; `result` has one level less.
pub(crate) fn rescale(
    key: &RelinearizationKey,
    sum: &Tensor,
    scratch: &mut RescaleScratch,
    result: &mut Ciphertext,
) {
    match sum.terms {
        Terms::Quadratic => relinearise_and_rescale(key, sum, scratch, result),
        Terms::Linear => rescale_linear(key.ring(), sum, scratch, result),
        Terms::None => result.fill(0),
    }
}

/// (d - r)/q, where r is d modulo q, centred.
fn rescale_linear(
    ring: &Ring,
    sum: &Tensor,
    scratch: &mut RescaleScratch,
    result: &mut Ciphertext,
) {
    let last = sum.level - 1;
    let [coefficients, ..] = &mut scratch.coefficients;
    for part in 0..2 {
        ring.level(last)
            .inverse(sum.points(part, last), &mut scratch.remainder, coefficients);
        for prime in 0..last {
            let transform = ring.level(prime);
            transform.forward(coefficients, &mut scratch.remainder);
            dispatch(DivideLinear {
                modulus: transform.modulus(),
                inverse: ring.inverse(last, prime),
                dividend: sum.points(part, prime),
                remainder: &scratch.remainder,
                quotient: result.points_mut(part, prime),
            });
        }
    }
}

fn relinearise_and_rescale(
    key: &RelinearizationKey,
    sum: &Tensor,
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
        ring.level(prime)
            .inverse(sum.points(2, prime), remainder, digit);
    }
    let mut products = Products {
        key,
        sum,
        digits,
        points,
    };

    products.sum_modulo(ring.levels(), sums);
    for (sum, r) in sums.iter().zip([&mut *r_0, &mut *r_1]) {
        special.inverse(sum, remainder, r);
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
        q.inverse(&sums[part], remainder, t);
        dispatch(UpperRemainder {
            modulus: q.modulus(),
            inverse: ring.inverse(ring.levels(), last),
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
                inverses: [
                    ring.inverse(last, prime),
                    ring.inverse(ring.levels(), prime),
                ],
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
    /// 1/P.
    inverse: Factor,
    lower: &'a [u32],
    upper: &'a mut [u32],
}

impl Task for UpperRemainder<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let inverse = splat_factor(lanes, self.inverse);
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
    /// 1/q and 1/P.
    inverses: [Factor; 2],
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
        let [q, special] = self.inverses;
        let both = self.modulus.mul(q.value, special.value);
        let both = splat_factor(lanes, self.modulus.factor(both));
        let q = splat_factor(lanes, q);
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
    /// 1/q.
    inverse: Factor,
    dividend: &'a [u32],
    remainder: &'a [u32],
    quotient: &'a mut [u32],
}

impl Task for DivideLinear<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let inverse = splat_factor(lanes, self.inverse);
        let terms = vectors(self.dividend).iter().zip(vectors(self.remainder));
        for (quotient, (dividend, remainder)) in vectors_mut(self.quotient).iter_mut().zip(terms) {
            let difference = lanes.sub(lanes.load(dividend), lanes.load(remainder));
            lanes.store(m.mul_factor(lanes.add(difference, m.p), inverse), quotient);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;
    use crate::plan::Place;
    use crate::ring::Primes;
    use crate::sampling::uniform;
    use crate::server::ciphertext::Pool;
    use crate::server::tensor::add_product;
    use crate::{LeveledClientKey, LeveledParameters, RelinearizationKeyHeader};
    use fhe_core::keystream::Keystream;

    const LEVELS: usize = 4;

    /// A key of a ring that is too small to be secure, and its secret.
    fn key(n: usize) -> (LeveledClientKey, RelinearizationKey) {
        let secret = LeveledClientKey::insecure(n, LEVELS);
        let parameters = LeveledParameters {
            polynomial_size: n,
            levels: LEVELS,
        };
        let mut file = secret
            .relinearization_key_of(parameters, 1, &mut |_| true)
            .unwrap();
        let header = RelinearizationKeyHeader {
            key_id: *secret.id(),
            parameters,
            seed: file[32..48].try_into().unwrap(),
        };
        let bodies = crate::key_file::bodies_mut(&mut file);
        let key = RelinearizationKey::expand(header, bodies, 1).unwrap();
        (secret, key)
    }

    /// c_0 + c_1·s of points modulo the first prime, centred coefficients.
    fn decrypt(secret: &LeveledClientKey, ring: &Ring, ciphertext: &Ciphertext) -> Vec<i32> {
        let modulus = ring.level(0).modulus();
        let mut points = ciphertext.points(0, 0).to_vec();
        crate::pointwise::add_product(
            modulus,
            &mut points,
            ciphertext.points(1, 0),
            secret.level(0),
        );
        let mut coefficients = vec![0; ring.n() + PAD];
        ring.level(0)
            .inverse(&points, &mut vec![0; ring.n()], &mut coefficients);
        coefficients[..ring.n()].iter().map(|&c| c as i32).collect()
    }

    /// An encryption without error of small coefficients at a level.
    fn encrypt(
        secret: &LeveledClientKey,
        ring: &Ring,
        pool: &mut Pool,
        level: usize,
        message: &[i64],
        seed: u8,
    ) -> Ciphertext {
        let masks = Keystream::new(&[seed; 16]);
        let mut ciphertext = pool.ciphertext(level).unwrap();
        for prime in 0..level {
            let modulus = ring.level(prime).modulus();
            let mut coefficients = vec![0; ring.n() + PAD];
            for (coefficient, &m) in coefficients.iter_mut().zip(message) {
                *coefficient = modulus.of_integer(m.into());
            }
            let mut mask = vec![0; ring.n()];
            uniform(&masks, prime as u64, modulus.p(), &mut mask);
            let body = ciphertext.points_mut(0, prime);
            ring.level(prime).forward(&coefficients, body);
            crate::pointwise::subtract_product(modulus, body, &mask, secret.level(prime));
            ciphertext.points_mut(1, prime).copy_from_slice(&mask);
        }
        ciphertext
    }

    /// The product in Z[X + X^-1]/(X^2n + 1), coefficient by coefficient.
    fn product(a: &[i64], b: &[i64]) -> Vec<i128> {
        let n = a.len();
        let at = |half: &[i64], i: usize| match i {
            0 => i128::from(half[0]),
            i if i < n => half[i].into(),
            i if i == n => 0,
            i => -i128::from(half[2 * n - i]),
        };
        let mut sums = vec![0; n];
        for i in 0..2 * n {
            for j in 0..2 * n {
                let sign = if i + j >= 2 * n { -1 } else { 1 };
                if let Some(sum) = sums.get_mut((i + j) % (2 * n)) {
                    *sum += sign * at(a, i) * at(b, j);
                }
            }
        }
        sums
    }

    fn numbers(n: usize, most: i64, seed: i64) -> Vec<i64> {
        let step = |x: &i64| {
            Some(
                x.wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407),
            )
        };
        std::iter::successors(Some(seed), step)
            .skip(1)
            .take(n)
            .map(|x| (x >> 20) % most)
            .collect()
    }

    #[test]
    fn products_are_divided_with_no_error_but_rounding() {
        let n = 256;
        let (secret, key) = key(n);
        let ring = key.ring();
        let mut pool = Pool::new(n, LEVELS);
        let mut scratch = RescaleScratch::new(n, LEVELS).unwrap();
        let primes = Primes::find(n, LEVELS).unwrap();
        let noise = Noise::new(n, &primes);
        for level in 2..=LEVELS {
            let (mut squares, mut count, runs) = (0.0, 0.0, 8);
            for run in 0..runs {
                let [a, b] = [1, 2].map(|seed| numbers(n, 1 << 21, seed + 10 * run));
                let mut sum = pool.tensor(level).unwrap();
                let encrypted = [(&a, 1), (&b, 2)].map(|(m, seed)| {
                    encrypt(&secret, ring, &mut pool, level, m, seed + 2 * run as u8)
                });
                add_product(ring, &mut sum, &encrypted[0], &encrypted[1], false);
                let mut result = pool.ciphertext(level - 1).unwrap();
                rescale(&key, &sum, &mut scratch, &mut result);
                let q = f64::from(primes.levels[level - 1]);
                for (found, exact) in decrypt(&secret, ring, &result)
                    .into_iter()
                    .zip(product(&a, &b))
                {
                    squares += (f64::from(found) - exact as f64 / q).powi(2);
                    count += 1.0;
                }
            }
            // Of a slot, in units of a coefficient's.
            let place = Place {
                level: level - 1,
                scale: (2.0 * n as f64).sqrt(),
            };
            let (measured, predicted) = ((squares / count).sqrt(), noise.rescaling(place, true));
            assert!(
                (measured / predicted - 1.0).abs() < 0.15,
                "level {level}: {measured}, {predicted} predicted"
            );
        }
    }

    #[test]
    fn what_is_not_quadratic_is_divided_and_rounded_exactly() {
        let n = 128;
        let (secret, key) = key(n);
        let ring = key.ring();
        let mut pool = Pool::new(n, LEVELS);
        let mut scratch = RescaleScratch::new(n, LEVELS).unwrap();
        let message = numbers(n, 1 << 42, 5);
        // Without a mask nothing but c_0 is rounded.
        let mut encrypted = encrypt(&secret, ring, &mut pool, LEVELS, &message, 1);
        let mut sum = pool.tensor(LEVELS).unwrap();
        sum.terms = Terms::Linear;
        for prime in 0..LEVELS {
            let mask = encrypted.points(1, prime).to_vec();
            crate::pointwise::add_product(
                ring.level(prime).modulus(),
                encrypted.points_mut(0, prime),
                &mask,
                secret.level(prime),
            );
            sum.points_mut(1, prime).fill(0);
            sum.points_mut(0, prime)
                .copy_from_slice(encrypted.points(0, prime));
        }
        let mut result = pool.ciphertext(LEVELS - 1).unwrap();
        rescale(&key, &sum, &mut scratch, &mut result);
        let q = ring.level(LEVELS - 1).modulus().p();
        let expected: Vec<i32> = message
            .iter()
            .map(|&m| (m as f64 / f64::from(q)).round() as i32)
            .collect();
        assert_eq!(decrypt(&secret, ring, &result), expected);
    }

    #[test]
    fn a_sum_of_products_is_rescaled_once() {
        let n = 128;
        let (secret, key) = key(n);
        let ring = key.ring();
        let mut pool = Pool::new(n, LEVELS);
        let mut scratch = RescaleScratch::new(n, LEVELS).unwrap();
        let [a, b, c] = [1, 2, 3].map(|seed| numbers(n, 1 << 21, seed));
        let mut sum = pool.tensor(3).unwrap();
        // Factors from a higher level serve too.
        let [x, y, z] = [(&a, 1, 4), (&b, 2, 3), (&c, 3, 3)]
            .map(|(m, seed, level)| encrypt(&secret, ring, &mut pool, level, m, seed));
        add_product(ring, &mut sum, &x, &y, true);
        add_product(ring, &mut sum, &z, &x, false);
        let mut result = pool.ciphertext(2).unwrap();
        rescale(&key, &sum, &mut scratch, &mut result);
        let q = f64::from(ring.level(2).modulus().p());
        let exact = product(&a, &b)
            .into_iter()
            .zip(product(&c, &a))
            .map(|(ab, ca)| (2 * ab + ca) as f64 / q);
        for (found, exact) in decrypt(&secret, ring, &result).into_iter().zip(exact) {
            // Rounding has a standard deviation of about 4.
            assert!((f64::from(found) - exact).abs() < 40.0, "{found} {exact}");
        }
    }
}
