//! Parts of an evaluation, for benchmarks.

use fhe_core::Result;

use crate::activation::Backend;
use crate::ring::{Modulus, PAD, Primes, Transform};
use crate::sampling::uniform;
use crate::server::{Ciphertext, CiphertextBackend};
use crate::{LeveledParameters, RelinearizationKey};

/// A transform and a polynomial.
pub struct BenchTransform {
    transform: Transform,
    coefficients: Vec<u32>,
    points: Vec<u32>,
    work: Vec<u32>,
}

impl BenchTransform {
    /// Of polynomials with n coefficients.
    ///
    /// # Errors
    /// If there is no prime for it.
    pub fn new(n: usize) -> Result<Self> {
        let modulus = Modulus::new(Primes::find(n, 1)?.special);
        Ok(BenchTransform {
            transform: Transform::new(n, modulus),
            coefficients: vec![1; n + PAD],
            points: vec![0; n],
            work: vec![0; n],
        })
    }

    /// Coefficients to points.
    pub fn forward(&mut self) {
        self.coefficients[self.points.len()..].fill(0);
        self.transform.forward(&self.coefficients, &mut self.points);
    }

    /// And back.
    pub fn inverse(&mut self) {
        self.transform
            .inverse(&self.points, &mut self.work, &mut self.coefficients);
    }
}

/// Two random ciphertexts, and a key.
pub struct BenchProduct<'a> {
    backend: CiphertextBackend<'a>,
    level: usize,
    factors: [Ciphertext; 2],
}

impl<'a> BenchProduct<'a> {
    /// At a level of the key's.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn new(key: &'a RelinearizationKey, level: usize) -> Result<Self> {
        let LeveledParameters { levels, .. } = key.header().parameters;
        let mut backend = CiphertextBackend::new(key, levels)?;
        let mut factors = [
            backend.pool.ciphertext(level)?,
            backend.pool.ciphertext(level)?,
        ];
        let keystream = fhe_core::keystream::Keystream::new(&[1; 16]);
        for prime in 0..level {
            let p = key.ring().level(prime).modulus().p();
            for (stream, factor) in factors.iter_mut().enumerate() {
                for part in 0..2 {
                    uniform(
                        &keystream,
                        (2 * stream + part) as u64,
                        p,
                        factor.points_mut(part, prime),
                    );
                }
            }
        }
        Ok(BenchProduct {
            backend,
            level,
            factors,
        })
    }

    /// A product, relinearised and rescaled.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn multiply(&mut self) -> Result<()> {
        let mut sum = self.backend.zero(self.level)?;
        let [a, b] = &self.factors;
        self.backend.add_product(&mut sum, a, b, false);
        let product = self.backend.rescale(sum, 1.0)?;
        self.backend.release(product);
        Ok(())
    }
}
