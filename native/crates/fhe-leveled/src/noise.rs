//! What noise encryption and rescaling add, as standard deviations of a slot.
//!
//! A coefficient's error of variance V makes a slot's error of variance about 2n·V: slots are a_0 + 2 Σ a_i cos(·), and
//! the squares of the cosines are 1/2 on average. Errors of slots of different ciphertexts are independent.
//!
//! * Fresh: errors of variance 10.5 (21 bits against 21), and the rounding of the encoding, 1/12.
//! * Rescaling: both polynomials are rounded, by errors that are uniform in ±1/2; that of c_1 meets the secret, whose
//!   coefficients have variance 2/3, in a product with slots of variance 2n/12 · 2n·2/3. Together, of a coefficient,
//!   n/9 + 1/12. It is the same for all slots only on average: slots of the secret are not all of one size.
//! * Relinearisation: L digits, uniform modulo their primes, times errors, over P and the prime of the rescaling: far
//!   below what rounding adds, and counted all the same.

use crate::plan::Place;
use crate::ring::Primes;
use crate::sampling::{ERROR_VARIANCE, SECRET_VARIANCE};

/// Variance of what rounding to integers loses.
const ROUNDING_VARIANCE: f64 = 1.0 / 12.0;

/// Noise of a ring.
#[derive(Debug, Clone)]
pub(crate) struct Noise {
    n: f64,
    special: f64,
    primes: Vec<f64>,
}

impl Noise {
    pub(crate) fn new(n: usize, primes: &Primes) -> Self {
        Noise {
            n: n as f64,
            special: f64::from(primes.special),
            primes: primes.levels.iter().map(|&q| f64::from(q)).collect(),
        }
    }

    /// Standard deviation of a slot of a fresh ciphertext, in units of what it encrypts.
    pub(crate) fn fresh(&self, scale: f64) -> f64 {
        self.slot(ERROR_VARIANCE + ROUNDING_VARIANCE) / scale
    }

    /// Standard deviation of what a rescaling adds to a slot, in units of what is left at `to`; with
    /// `is_relinearised` that of the relinearisation before it too.
    pub(crate) fn rescaling(&self, to: Place, is_relinearised: bool) -> f64 {
        let rounding = ROUNDING_VARIANCE * (1.0 + 2.0 * self.n * SECRET_VARIANCE);
        let digits = match is_relinearised {
            true => to.level + 1,
            false => 0,
        };
        let divisor = self.special * self.primes[to.level];
        let digit = |prime: &f64| 2.0 * self.n * ERROR_VARIANCE * (prime / divisor).powi(2) / 12.0;
        let relinearisation: f64 = self.primes[..digits].iter().map(digit).sum();
        self.slot(rounding + relinearisation) / to.scale
    }

    fn slot(&self, variance: f64) -> f64 {
        (2.0 * self.n * variance).sqrt()
    }
}
