//! Encryption of a block of integer activations.

use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES};
use fhe_core::mask::MaskStream;
use fhe_core::panel::PANEL_ROWS;
use fhe_core::parameters::PackedParameters;
use fhe_core::{Error, Result};
use tfhe_fft::c64;

use crate::ModuleClient;
use crate::negacyclic::EntrySplit;
use crate::random::{NoiseStream, fill_from_os};

impl ModuleClient {
    /// Encrypts integer activations `[T][d_in]`, 1 ≤ T ≤ K·N, under a fresh mask.
    ///
    /// A feature costs k forward transforms, shared by all bodies, and one inverse transform a body.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the module has no key, or T or a value is out of range.
    pub fn encrypt(&self, activations: &[i32], block_number: u64) -> Result<Vec<u8>> {
        let (key_id, set) = self.keys()?;
        let spec = &self.spec;
        let parameters = &spec.parameters;
        let records = activations.len() / spec.inputs;
        if !activations.len().is_multiple_of(spec.inputs)
            || !(1..=parameters.max_records()).contains(&records)
        {
            return Err(Error::invalid(format!(
                "{} activations are not 1 to {} whole records of {}",
                activations.len(),
                parameters.max_records(),
                spec.inputs
            )));
        }
        let limit = 1i64 << (parameters.message_bits - 1);
        if let Some(&value) = activations
            .iter()
            .find(|&&value| !(-limit..limit).contains(&i64::from(value)))
        {
            return Err(Error::invalid(format!(
                "activation {value} does not fit {} message bits",
                parameters.message_bits
            )));
        }

        let mut header = BlockHeader::of(
            BlockKind::Activations,
            parameters,
            spec.circuit,
            *key_id,
            spec.inputs,
            records,
            block_number,
        );
        fill_from_os(&mut header.mask_seed)?;
        let layout = header.layout();
        let mut block = vec![0u8; HEADER_BYTES + layout.bytes()];
        let payload = &mut block[HEADER_BYTES..];

        let mut mask_stream = MaskStream::new(&header.mask_seed, parameters);
        let mut noise_stream = NoiseStream::from_os(self.noise_bound_log2)?;
        let mut mask = MaskTransforms::new(parameters, parameters.log2_modulus(), set);
        let mut mask_bytes = vec![0u8; parameters.mask_bytes_per_feature()];
        let mut noise = vec![0i64; records];
        let mut body = vec![0u64; parameters.polynomial_size];
        let delta_log2 = parameters.log2_modulus() - parameters.message_bits;
        for feature in 0..spec.inputs {
            mask_stream.fill_feature(feature, &mut mask_bytes);
            mask.load(|row| read_entry(&mask_bytes, parameters.limbs, row));
            noise_stream.fill(&mut noise);
            for (index, noise) in noise.chunks(parameters.polynomial_size).enumerate() {
                let first = index * parameters.polynomial_size;
                mask.multiply_by_secret(index, &mut body);
                for ((entry, &noise), record) in body
                    .iter_mut()
                    .zip(noise)
                    .zip(activations[first * spec.inputs..].chunks_exact(spec.inputs))
                {
                    let message = i64::from(record[feature]) << delta_log2;
                    *entry = entry.wrapping_add((message + noise) as u64);
                }
                for (tile, entries) in body[..noise.len()].chunks(PANEL_ROWS).enumerate() {
                    let range = layout.feature_range(first / PANEL_ROWS + tile, feature);
                    write_entries(entries, &mut payload[range]);
                }
            }
        }
        header.seal(&mut block);
        Ok(block)
    }
}

/// The transforms of one feature's mask, ready to meet every secret key.
pub(crate) struct MaskTransforms<'a> {
    parameters: &'a PackedParameters,
    set: &'a crate::key::SecretKeySet,
    split: EntrySplit,
    /// `[polynomial][part][N/2]`.
    transforms: Vec<c64>,
    sum: Vec<c64>,
    scratch: crate::negacyclic::Scratch,
}

impl<'a> MaskTransforms<'a> {
    /// Buffers for masks of entries of `bits` bits.
    pub(crate) fn new(
        parameters: &'a PackedParameters,
        bits: usize,
        set: &'a crate::key::SecretKeySet,
    ) -> Self {
        let split = EntrySplit::of(bits);
        let zero = c64::new(0.0, 0.0);
        let len = set.fft.transform_len();
        MaskTransforms {
            parameters,
            set,
            split,
            transforms: vec![zero; parameters.glwe_dimension * split.parts() * len],
            sum: vec![zero; len],
            scratch: set.fft.scratch(),
        }
    }

    /// Transforms a mask given by its k·N entries.
    pub(crate) fn load(&mut self, entry: impl Fn(usize) -> u64) {
        let size = self.parameters.polynomial_size;
        let parts = self.split.parts();
        for (index, transform) in self
            .transforms
            .chunks_exact_mut(self.set.fft.transform_len())
            .enumerate()
        {
            let (polynomial, part) = (index / parts, index % parts);
            self.set.fft.forward(
                |c| self.split.part(entry(polynomial * size + c), part),
                transform,
                &mut self.scratch,
            );
        }
    }

    /// Writes Σ_j A_j·S_j mod X^N + 1 to `out`, S the key of body `body`; only the low bits of the modulus
    /// count.
    pub(crate) fn multiply_by_secret(&mut self, body: usize, out: &mut [u64]) {
        let len = self.set.fft.transform_len();
        let parts = self.split.parts();
        out.fill(0);
        for part in 0..parts {
            self.sum.fill(c64::new(0.0, 0.0));
            for polynomial in 0..self.parameters.glwe_dimension {
                let mask = &self.transforms[(polynomial * parts + part) * len..][..len];
                let secret = self.set.transform(body, polynomial);
                for ((sum, mask), secret) in self.sum.iter_mut().zip(mask).zip(secret) {
                    *sum += mask * secret;
                }
            }
            let shift = self.split.shift(part);
            self.set
                .fft
                .inverse(&self.sum, &mut self.scratch, |c, value| {
                    out[c] = out[c].wrapping_add((value as u64) << shift);
                });
        }
    }
}

/// Entry `row` of planar limbs `[rows/64][limbs][64]`.
pub(crate) fn read_entry(planes: &[u8], limbs: usize, row: usize) -> u64 {
    let panel = &planes[row / PANEL_ROWS * PANEL_ROWS * limbs..];
    (0..limbs).fold(0, |entry, limb| {
        entry | u64::from(panel[limb * PANEL_ROWS + row % PANEL_ROWS]) << (8 * limb)
    })
}

/// Writes the low bytes of `entries` as planar limbs `[limbs][entries]`.
fn write_entries(entries: &[u64], planes: &mut [u8]) {
    for (limb, plane) in planes.chunks_exact_mut(entries.len()).enumerate() {
        for (byte, entry) in plane.iter_mut().zip(entries) {
            *byte = (entry >> (8 * limb)) as u8;
        }
    }
}
