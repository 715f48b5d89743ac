//! Noise that the scheme brings, in the slots.
//!
//! An element of the conjugate-invariant ring whose n coefficients are independent, of variance v, has slots
//! `a_0 + 2·Σ a_i·cos(…)` of variance 2n·v.

use crate::parameters::LeveledParameters;

/// Variance of an error's coefficient: centred binomial of 2·21 bits.
pub(crate) const ERROR_VARIANCE: f64 = 10.5;

/// Variance of a secret's coefficient: uniform on {−1, 0, 1}.
const SECRET_VARIANCE: f64 = 2.0 / 3.0;

/// Variance of what rounding takes.
const ROUNDING_VARIANCE: f64 = 1.0 / 12.0;

/// Standard deviations of noise in the slots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noise {
    polynomial_size: f64,
}

impl Noise {
    pub(crate) fn of(parameters: &LeveledParameters) -> Self {
        Noise {
            polynomial_size: parameters.polynomial_size as f64,
        }
    }

    /// Of a fresh ciphertext, with the rounding of what is encoded.
    pub(crate) fn encryption(&self) -> f64 {
        self.in_slots(ERROR_VARIANCE + ROUNDING_VARIANCE)
    }

    /// Of rescaling: both parts are rounded, the second one's rounding times the secret. A coefficient of a product
    /// in the ring is a sum of 2n products, in n pairs of the same rounding error.
    pub(crate) fn rescaling(&self) -> f64 {
        let product = 2.0 * self.polynomial_size * SECRET_VARIANCE * ROUNDING_VARIANCE;
        self.in_slots(product + ROUNDING_VARIANCE)
    }

    /// Of a product of two values at a level, relinearised and rescaled: that of rescaling, and of the
    /// relinearisation key, whose errors are divided by the special prime and by the level's last.
    pub(crate) fn product(&self, level: usize) -> f64 {
        // A digit is uniform modulo a prime, all of which are about as large as the special one.
        let digits = level as f64 * ROUNDING_VARIANCE;
        let key = 2.0 * self.polynomial_size * digits * ERROR_VARIANCE;
        let divided = key / f64::from(crate::security::PRIME_BITS).exp2().powi(2);
        self.in_slots(divided).hypot(self.rescaling())
    }

    fn in_slots(&self, variance: f64) -> f64 {
        (2.0 * self.polynomial_size * variance).sqrt()
    }
}
