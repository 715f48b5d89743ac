//! The mask of one feature, transformed, ready to meet every secret key.

use fhe_core::panel::PANEL_ROWS;
use fhe_core::parameters::PackedParameters;

use zeroize::Zeroizing;

use crate::key::SecretKeySet;
use crate::negacyclic::{EntrySplit, Scratch, multiply_add};

/// Forward transforms of k mask polynomials, shared by all bodies, and the buffers of one thread.
pub(crate) struct MaskTransforms<'a> {
    glwe_dimension: usize,
    set: &'a SecretKeySet,
    split: EntrySplit,
    /// `[polynomial][part][N]`.
    transforms: Vec<f64>,
    /// k·N entries.
    entries: Vec<u64>,
    coefficients: Vec<f64>,
    /// Products with secrets, which tell the secret to who knows the mask: wiped.
    sum: Zeroizing<Vec<f64>>,
    values: Zeroizing<Vec<i64>>,
    scratch: Scratch,
}

impl<'a> MaskTransforms<'a> {
    /// Buffers for masks of entries of `bits` bits.
    pub(crate) fn new(parameters: &PackedParameters, bits: usize, set: &'a SecretKeySet) -> Self {
        let split = EntrySplit::of(bits);
        let size = parameters.polynomial_size;
        MaskTransforms {
            glwe_dimension: parameters.glwe_dimension,
            set,
            split,
            transforms: vec![0.0; parameters.glwe_dimension * split.parts() * size],
            entries: vec![0; parameters.lwe_dimension()],
            coefficients: vec![0.0; size],
            sum: Zeroizing::new(vec![0.0; size]),
            values: Zeroizing::new(vec![0; size]),
            scratch: set.fft.scratch(),
        }
    }

    /// Where to write the mask's k·N entries, 64 at a time, before `transform`.
    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = &mut [u64; PANEL_ROWS]> {
        self.entries.as_chunks_mut().0.iter_mut()
    }

    /// Writes entries 64·panel .. of the mask.
    pub(crate) fn set_entries(&mut self, panel: usize, entries: &[u64; PANEL_ROWS]) {
        self.entries[panel * PANEL_ROWS..][..PANEL_ROWS].copy_from_slice(entries);
    }

    /// Transforms the entries.
    #[inline(always)]
    pub(crate) fn transform(&mut self) {
        let size = self.coefficients.len();
        let parts = self.split.parts();
        for (polynomial, entries) in self.entries.chunks_exact(size).enumerate() {
            for part in 0..parts {
                for (coefficient, &entry) in self.coefficients.iter_mut().zip(entries) {
                    *coefficient = self.split.part(entry, part);
                }
                let out = &mut self.transforms[(polynomial * parts + part) * size..][..size];
                self.set
                    .fft
                    .forward(&self.coefficients, out, &mut self.scratch);
            }
        }
    }

    /// Writes Σ_j A_j·S_j mod X^N + 1 to `out`, S the key of body `body`; only the low bits of the modulus
    /// count.
    #[inline(always)]
    pub(crate) fn multiply_by_secret(&mut self, body: usize, out: &mut [u64]) {
        let size = self.coefficients.len();
        let parts = self.split.parts();
        for part in 0..parts {
            for polynomial in 0..self.glwe_dimension {
                multiply_add(
                    &mut self.sum,
                    &self.transforms[(polynomial * parts + part) * size..][..size],
                    self.set.transform(body, polynomial),
                    polynomial == 0,
                );
            }
            self.set
                .fft
                .inverse(&self.sum, &mut self.values, &mut self.scratch);
            let shift = self.split.shift(part);
            if part == 0 {
                for (out, &value) in out.iter_mut().zip(self.values.iter()) {
                    *out = value as u64;
                }
            } else {
                for (out, &value) in out.iter_mut().zip(self.values.iter()) {
                    *out = out.wrapping_add((value as u64) << shift);
                }
            }
        }
    }
}

/// Reads 64 entries of planar limbs `[limbs][64]`.
#[inline(always)]
pub(crate) fn read_entries(planes: &[u8], out: &mut [u64; PANEL_ROWS]) {
    // A known number of limbs lets the entries stay in registers.
    match planes.as_chunks::<PANEL_ROWS>().0 {
        [a, b] => *out = join([a, b]),
        [a, b, c] => *out = join([a, b, c]),
        [a, b, c, d] => *out = join([a, b, c, d]),
        [a, b, c, d, e] => *out = join([a, b, c, d, e]),
        _ => read_narrow_entries(planes, PANEL_ROWS, out),
    }
}

#[inline(always)]
fn join<const LIMBS: usize>(planes: [&[u8; PANEL_ROWS]; LIMBS]) -> [u64; PANEL_ROWS] {
    let mut entries = [0; PANEL_ROWS];
    for (row, entry) in entries.iter_mut().enumerate() {
        for (limb, plane) in planes.iter().enumerate() {
            *entry |= u64::from(plane[row]) << (8 * limb);
        }
    }
    entries
}

/// Reads `width` entries of planar limbs `[limbs][width]` of a narrow panel.
pub(crate) fn read_narrow_entries(planes: &[u8], width: usize, out: &mut [u64; PANEL_ROWS]) {
    out.fill(0);
    for (limb, plane) in planes.chunks_exact(width).enumerate() {
        for (entry, &byte) in out.iter_mut().zip(plane) {
            *entry |= u64::from(byte) << (8 * limb);
        }
    }
}

/// Writes the low bytes of `entries` as planar limbs `[limbs][entries]`.
#[inline(always)]
pub(crate) fn write_entries(entries: &[u64; PANEL_ROWS], width: usize, planes: &mut [u8]) {
    if width == PANEL_ROWS {
        for (limb, plane) in planes
            .as_chunks_mut::<PANEL_ROWS>()
            .0
            .iter_mut()
            .enumerate()
        {
            for (byte, entry) in plane.iter_mut().zip(entries) {
                *byte = (entry >> (8 * limb)) as u8;
            }
        }
    } else {
        for (limb, plane) in planes.chunks_exact_mut(width).enumerate() {
            for (byte, entry) in plane.iter_mut().zip(entries) {
                *byte = (entry >> (8 * limb)) as u8;
            }
        }
    }
}
