//! Masks of some features, transformed, ready to meet every secret key.

use fhe_core::parameters::PackedParameters;

use crate::buffer::Buffer;
use crate::key::SecretKeySet;
use crate::negacyclic::{EntrySplit, Scratch};
use crate::planes::{Plane, Planes};

/// Forward transforms of the k mask polynomials of some features, shared by all bodies, and the buffers of one
/// thread.
pub(crate) struct MaskTransforms {
    split: EntrySplit,
    /// k.
    polynomials: usize,
    /// Doubles of the transforms of a feature's part.
    part_len: usize,
    /// `[feature][part][tile][polynomial]`.
    transforms: Buffer<f64>,
    /// Entries of one polynomial.
    entries: Buffer<u64>,
    /// A part of them.
    coefficients: Buffer<f64>,
    /// Rounded coefficients of a part's product with secrets: wiped.
    rounded: Buffer<i64>,
    /// Products with secrets, which tell the secret to who knows the mask: wiped.
    product: Buffer<i64>,
    scratch: Scratch,
}

impl MaskTransforms {
    /// Buffers for masks of `features` features, of entries of `limbs` bytes.
    pub(crate) fn new(
        parameters: &PackedParameters,
        limbs: usize,
        features: usize,
        set: &SecretKeySet,
    ) -> Self {
        let split = EntrySplit::of(8 * limbs);
        let part_len = parameters.glwe_dimension * set.fft.transform_len();
        MaskTransforms {
            split,
            polynomials: parameters.glwe_dimension,
            part_len,
            transforms: Buffer::zeros(features * split.parts() * part_len),
            entries: Buffer::zeros(parameters.polynomial_size),
            coefficients: Buffer::zeros(parameters.polynomial_size),
            rounded: Buffer::zeros(if split.parts() > 1 {
                parameters.polynomial_size
            } else {
                0
            }),
            product: Buffer::zeros(parameters.polynomial_size),
            scratch: set.fft.scratch(),
        }
    }

    /// N.
    pub(crate) fn polynomial_size(&self) -> usize {
        self.entries.len()
    }

    /// Transforms the mask of feature `feature`, whose rows come in panels `[limbs][64]`.
    #[inline(always)]
    pub(crate) fn transform<'b>(
        &mut self,
        planes: impl Planes,
        set: &SecretKeySet,
        feature: usize,
        mut panels: impl Iterator<Item = &'b [Plane]>,
    ) {
        let len = self.split.parts() * self.part_len;
        let transforms = &mut self.transforms[feature * len..][..len];
        let count = self.polynomials;
        for polynomial in 0..count {
            for (entries, panel) in self.entries.as_chunks_mut().0.iter_mut().zip(&mut panels) {
                planes.join(panel, entries);
            }
            let parts = transforms.chunks_exact_mut(self.part_len);
            for (part, transforms) in parts.enumerate() {
                let entry_part = self.split.part(part);
                for (coefficient, &entry) in self.coefficients.iter_mut().zip(&self.entries[..]) {
                    *coefficient = entry_part.of(entry);
                }
                let tiles = transforms.as_chunks_mut().0.as_chunks_mut().0;
                let tiles = tiles[polynomial..].iter_mut();
                set.fft.forward(
                    planes,
                    &self.coefficients,
                    tiles.step_by(count),
                    &mut self.scratch,
                );
            }
        }
    }

    /// Σ_j A_j·S_j mod X^N + 1, A the mask of feature `feature`, S the key of body `body`; only the low bits of
    /// the modulus count.
    #[inline(always)]
    pub(crate) fn multiply_by_secret(
        &mut self,
        planes: impl Planes,
        set: &SecretKeySet,
        feature: usize,
        body: usize,
    ) -> &[i64] {
        let len = self.split.parts() * self.part_len;
        let transforms = &self.transforms[feature * len..][..len];
        for (part, transforms) in transforms.chunks_exact(self.part_len).enumerate() {
            let tiles = transforms.as_chunks().0.as_chunks().0;
            let factors = (tiles, set.transforms(body));
            let scratch = &mut self.scratch;
            if part == 0 {
                let product = &mut self.product;
                set.fft.sum_of_products(planes, factors, product, scratch);
            } else {
                let rounded = &mut self.rounded;
                set.fft.sum_of_products(planes, factors, rounded, scratch);
                let shift = self.split.shift(part);
                for (product, &rounded) in self.product.iter_mut().zip(&rounded[..]) {
                    *product = product.wrapping_add(rounded << shift);
                }
            }
        }
        &self.product
    }
}
