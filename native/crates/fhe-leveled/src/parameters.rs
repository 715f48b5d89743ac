//! Parameters of a leveled circuit.

use fhe_core::{Error, Result};

use crate::ring::Primes;
use crate::security::{largest_modulus_bits, max_levels};

/// The ring, and the primes of fresh ciphertexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeveledParameters {
    /// n: coefficients of a polynomial, and records of a ciphertext.
    pub polynomial_size: usize,
    /// L: primes of a fresh ciphertext's modulus. Each rescaling takes one; results are left with one.
    pub levels: usize,
}

impl LeveledParameters {
    /// Checks that they are secure: nothing below 128 bits can be built.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is out of range.
    pub fn validate(self) -> Result<Self> {
        let n = self.polynomial_size;
        let Some(most) = max_levels(n) else {
            return Err(Error::invalid(format!(
                "leveled parameters: polynomial size is {n}, must be 4096, 8192, 16384 or 32768"
            )));
        };
        if !(1..=most).contains(&self.levels) {
            return Err(Error::invalid(format!(
                "leveled parameters: {} levels at polynomial size {n}, 128 bits of security allow 1 to {most}",
                self.levels
            )));
        }
        let bits = Primes::find(n, self.levels)?.modulus_bits();
        match largest_modulus_bits(n) {
            Some(most) if bits <= f64::from(most) => Ok(self),
            _ => Err(Error::Internal(format!(
                "{} levels at polynomial size {n} have a modulus of {bits} bits",
                self.levels
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_secure_is_refused() {
        let refusal = |polynomial_size, levels| {
            LeveledParameters {
                polynomial_size,
                levels,
            }
            .validate()
            .unwrap_err()
            .to_string()
        };
        for (n, most) in [(4096, 2), (8192, 6), (16384, 13), (32768, 27)] {
            for levels in [1, most] {
                let parameters = LeveledParameters {
                    polynomial_size: n,
                    levels,
                };
                assert_eq!(parameters.validate(), Ok(parameters));
            }
            assert!(refusal(n, most + 1).contains(&format!("allow 1 to {most}")));
            assert!(refusal(n, 0).contains("0 levels"));
        }
        for n in [0, 1024, 2048, 5000, 65536, usize::MAX] {
            assert!(refusal(n, 1).contains("must be 4096"), "{n}");
        }
    }
}
