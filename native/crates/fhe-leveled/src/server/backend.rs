//! What evaluates activations on ciphertexts.

use fhe_core::Result;

use super::RelinearizationKey;
use super::ciphertext::{Ciphertext, Pool, Tensor};
use super::rescale::{RescaleScratch, rescale};
use super::tensor;
use crate::activation::{Backend, Scaled};
use crate::pointwise;

/// A thread's buffers, and the key.
pub(crate) struct CiphertextBackend<'a> {
    key: &'a RelinearizationKey,
    pub pool: Pool,
    scratch: RescaleScratch,
}

impl<'a> CiphertextBackend<'a> {
    /// For ciphertexts of at most so many levels.
    pub(crate) fn new(key: &'a RelinearizationKey, levels: usize) -> Result<Self> {
        let n = key.ring().n();
        Ok(CiphertextBackend {
            key,
            pool: Pool::new(n, levels),
            scratch: RescaleScratch::new(n, levels)?,
        })
    }
}

impl Backend for CiphertextBackend<'_> {
    type Value = Ciphertext;
    type Sum = Tensor;

    fn zero(&mut self, level: usize) -> Result<Tensor> {
        self.pool.tensor(level)
    }

    fn add_product(&mut self, sum: &mut Tensor, a: &Ciphertext, b: &Ciphertext, is_doubled: bool) {
        tensor::add_product(self.key.ring(), sum, a, b, is_doubled);
    }

    fn add_multiple(&mut self, sum: &mut Tensor, a: &Ciphertext, factor: Scaled) {
        let factor = factor.integer();
        for prime in 0..sum.level {
            let modulus = self.key.ring().level(prime).modulus();
            let factor = modulus.factor(modulus.of_integer(factor));
            for part in 0..2 {
                let points = sum.points_mut(part, prime);
                pointwise::add_multiple(modulus, points, a.points(part, prime), factor);
            }
        }
    }

    fn add_constant(&mut self, sum: &mut Tensor, constant: Scaled) {
        let constant = constant.integer();
        for prime in 0..sum.level {
            let modulus = self.key.ring().level(prime).modulus();
            let constant = modulus.of_integer(constant);
            pointwise::add_constant(modulus, sum.points_mut(0, prime), constant);
        }
    }

    fn rescale(&mut self, mut sum: Tensor, _scale: f64) -> Result<Ciphertext> {
        let mut result = self.pool.ciphertext(sum.level - 1)?;
        rescale(self.key, &mut sum, &mut self.scratch, &mut result);
        self.pool.release_tensor(sum);
        Ok(result)
    }

    fn release(&mut self, value: Ciphertext) {
        self.pool.release(value);
    }
}
