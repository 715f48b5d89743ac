//! The conjugate-invariant ring Z\[X + X^-1\]/(X^2n + 1) modulo primes: n coefficients, n real slots.

mod encoding;
mod integers;
mod modulus;
mod primes;
mod transform;

pub(crate) use encoding::{Encoder, EncoderScratch};
pub(crate) use integers::Integers;
pub(crate) use modulus::{Factor, Modulus, ModulusLanes, splat_factor};
pub(crate) use primes::Primes;
pub(crate) use transform::{PAD, Transform};

use fhe_core::Result;

/// The ring of some parameters: a transform for every prime.
pub(crate) struct Ring {
    n: usize,
    levels: Vec<Transform>,
    special: Transform,
    /// One over each prime modulo each other, `[divisor][modulus]`, P last.
    inverses: Vec<Factor>,
}

impl Ring {
    /// The ring of polynomials with n coefficients and so many levels.
    ///
    /// # Errors
    /// As [`Primes::find`].
    pub(crate) fn new(n: usize, levels: usize) -> Result<Self> {
        let primes = Primes::find(n, levels)?;
        let transform = |p: u32| Transform::new(n, Modulus::new(p));
        let mut ring = Ring {
            n,
            special: transform(primes.special),
            levels: primes.levels.into_iter().map(transform).collect(),
            inverses: Vec::new(),
        };
        let inverse = |divisor: u32, modulus: &Modulus| {
            // Of itself it has none, and none is asked for.
            modulus.factor(modulus.inverse(divisor % modulus.p()))
        };
        let moduli: Vec<Modulus> = ring.all().map(|transform| *transform.modulus()).collect();
        let pairs = moduli
            .iter()
            .flat_map(|d| moduli.iter().map(|m| inverse(d.p(), m)));
        ring.inverses = pairs.collect();
        Ok(ring)
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

    /// One over one prime modulo another; L stands for P.
    pub(crate) fn inverse(&self, divisor: usize, modulus: usize) -> Factor {
        self.inverses[divisor * (self.levels.len() + 1) + modulus]
    }

    /// Bytes of memory that its tables take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.all().map(Transform::memory_bytes).sum()
    }
}
