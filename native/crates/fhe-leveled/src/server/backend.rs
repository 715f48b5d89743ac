//! What evaluates activations on ciphertexts.

use fhe_core::Result;

use super::RelinearizationKey;
use super::ciphertext::{Ciphertext, Pool, Tensor};
use super::rescale::{RescaleScratch, rescale};
use super::tensor;
use crate::activation::{Backend, Scaled};

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
        tensor::add_multiple(self.key.ring(), sum, a, factor.integer());
    }

    fn add_constant(&mut self, sum: &mut Tensor, constant: Scaled) {
        tensor::add_constant(self.key.ring(), sum, constant.integer());
    }

    fn rescale(&mut self, sum: Tensor, _scale: f64) -> Result<Ciphertext> {
        let mut result = self.pool.ciphertext(sum.level - 1)?;
        rescale(self.key, &sum, &mut self.scratch, &mut result);
        self.pool.release_tensor(sum);
        Ok(result)
    }

    fn release(&mut self, value: Ciphertext) {
        self.pool.release(value);
    }
}
