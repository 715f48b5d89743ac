//! The conjugate-invariant ring Z\[X + X^-1\]/(X^2n + 1) modulo primes: n coefficients, n real slots.

mod encoding;
mod modulus;
mod primes;
mod transform;

pub(crate) use encoding::{Encoder, EncoderScratch};
pub(crate) use modulus::{Factor, Modulus, ModulusLanes, splat_factor};
pub(crate) use primes::Primes;
pub(crate) use transform::{PAD, Transform};

use fhe_core::Result;

/// The ring of some parameters: a transform for every prime.
pub(crate) struct Ring {
    n: usize,
    levels: Vec<Transform>,
    special: Transform,
}

impl Ring {
    /// The ring of polynomials with n coefficients and so many levels.
    ///
    /// # Errors
    /// As [`Primes::find`].
    pub(crate) fn new(n: usize, levels: usize) -> Result<Self> {
        let primes = Primes::find(n, levels)?;
        let transform = |p: u32| Transform::new(n, Modulus::new(p));
        Ok(Ring {
            n,
            special: transform(primes.special),
            levels: primes.levels.into_iter().map(transform).collect(),
        })
    }

    /// n.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// L.
    pub(crate) fn levels(&self) -> usize {
        self.levels.len()
    }

    /// Modulo q_level.
    pub(crate) fn level(&self, level: usize) -> &Transform {
        &self.levels[level]
    }

    /// Modulo P.
    pub(crate) fn special(&self) -> &Transform {
        &self.special
    }

    /// Modulo q_0 … q_(L-1), then P.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Transform> + Clone {
        (0..=self.levels.len()).map(|prime| self.prime(prime))
    }

    /// Modulo q_prime, or P if that is L.
    pub(crate) fn prime(&self, prime: usize) -> &Transform {
        self.levels.get(prime).unwrap_or(&self.special)
    }

    /// Bytes of memory that its tables take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.all().map(Transform::memory_bytes).sum()
    }
}
