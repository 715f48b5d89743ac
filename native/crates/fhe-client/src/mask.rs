//! The mask of one feature, transformed, ready to meet every secret key.

use fhe_core::parameters::PackedParameters;

use crate::buffer::Buffer;
use crate::key::SecretKeySet;
use crate::negacyclic::{EntrySplit, Scratch};
use crate::planes::{Plane, Planes};

/// Forward transforms of k mask polynomials, shared by all bodies, and the buffers of one thread.
pub(crate) struct MaskTransforms {
    split: EntrySplit,
    /// `[part][N/16][polynomial]` chunks.
    transforms: Buffer<f64>,
    /// Entries of one polynomial.
    entries: Buffer<u64>,
    /// Products with secrets, which tell the secret to who knows the mask: wiped.
    product: Buffer<u64>,
    scratch: Scratch,
}

impl MaskTransforms {
    /// Buffers for masks of entries of `limbs` bytes.
    pub(crate) fn new(parameters: &PackedParameters, limbs: usize, set: &SecretKeySet) -> Self {
        let split = EntrySplit::of(8 * limbs);
        MaskTransforms {
            split,
            transforms: Buffer::zeros(split.parts() * parameters.lwe_dimension()),
            entries: Buffer::zeros(parameters.polynomial_size),
            product: Buffer::zeros(parameters.polynomial_size),
            scratch: set.fft.scratch(),
        }
    }

    /// N.
    pub(crate) fn polynomial_size(&self) -> usize {
        self.entries.len()
    }

    /// Transforms a mask whose rows come in panels `[limbs][64]`.
    #[inline(always)]
    pub(crate) fn transform<'b>(
        &mut self,
        planes: impl Planes,
        set: &SecretKeySet,
        mut panels: impl Iterator<Item = &'b [Plane]>,
    ) {
        let len = self.transforms.len() / self.split.parts();
        let count = len / self.entries.len();
        for polynomial in 0..count {
            for (entries, panel) in self.entries.as_chunks_mut().0.iter_mut().zip(&mut panels) {
                planes.join(panel, entries);
            }
            for (part, transforms) in self.transforms.chunks_exact_mut(len).enumerate() {
                let entry_part = self.split.part(part);
                let chunks = transforms.as_chunks_mut().0[polynomial..].iter_mut();
                set.fft.forward(
                    planes.simd(),
                    &self.entries,
                    |entry| entry_part.of(entry),
                    chunks.step_by(count),
                    &mut self.scratch,
                );
            }
        }
    }

    /// Σ_j A_j·S_j mod X^N + 1, S the key of body `body`; only the low bits of the modulus count.
    #[inline(always)]
    pub(crate) fn multiply_by_secret(
        &mut self,
        planes: impl Planes,
        set: &SecretKeySet,
        body: usize,
    ) -> &[u64] {
        let len = self.transforms.len() / self.split.parts();
        for (part, transforms) in self.transforms.chunks_exact(len).enumerate() {
            let factors = (transforms.as_chunks().0, set.transforms(body));
            let simd = planes.simd();
            let (out, scratch) = (&mut self.product[..], &mut self.scratch);
            if part == 0 {
                let put = |out: &mut u64, value: i64| *out = value as u64;
                set.fft.sum_of_products(simd, factors, out, put, scratch);
            } else {
                let shift = self.split.shift(part);
                let put = |out: &mut u64, value: i64| {
                    *out = out.wrapping_add((value as u64) << shift);
                };
                set.fft.sum_of_products(simd, factors, out, put, scratch);
            }
        }
        &self.product
    }
}
