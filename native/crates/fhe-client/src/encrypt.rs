//! Encryption of a block of integer activations.

use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES};
use fhe_core::mask::MaskStream;
use fhe_core::panel::PANEL_ROWS;
use fhe_core::parameters::PackedParameters;
use fhe_core::{Error, Result};
use pulp::{Arch, NullaryFnOnce};
use zeroize::Zeroizing;

use crate::mask::{MaskTransforms, read_entries, write_entries};
use crate::random::{NoiseStream, fill_from_os};
use crate::staging::{STAGED_FEATURES, Staging};
use crate::{Activations, ModuleClient};

impl ModuleClient {
    /// Encrypts 1 ≤ T ≤ K·N records under a fresh mask.
    ///
    /// A feature costs k forward transforms, shared by all bodies, and one inverse transform a body.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the module has no key, or the shape or a value is out of range.
    pub fn encrypt(&self, activations: &Activations, block_number: u64) -> Result<Vec<u8>> {
        let (key_id, set) = self.keys()?;
        let spec = &self.spec;
        let parameters = &spec.parameters;
        let records = activations.records();
        if activations.inputs() != spec.inputs || !(1..=parameters.max_records()).contains(&records)
        {
            return Err(Error::invalid(format!(
                "{records} records of {} activations are not 1 to {} records of {}",
                activations.inputs(),
                parameters.max_records(),
                spec.inputs
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
        let mut block = vec![0u8; HEADER_BYTES + header.layout().bytes()];
        let out_of_range = Arch::new().dispatch(EncryptFeatures {
            client: self,
            activations,
            header: &header,
            mask: MaskTransforms::new(parameters, parameters.log2_modulus(), set),
            noise: NoiseStream::from_os(self.noise_bound_log2)?,
            payload: &mut block[HEADER_BYTES..],
        });
        if out_of_range {
            return Err(Error::invalid(format!(
                "an activation does not fit {} message bits",
                parameters.message_bits
            )));
        }
        header.seal(&mut block);
        Ok(block)
    }
}

/// Rounds body entries to the limbs that travel.
#[derive(Clone, Copy)]
struct BodyRounding {
    half_unit: u64,
    dropped_bits: u32,
}

impl BodyRounding {
    fn of(parameters: &PackedParameters) -> Self {
        let dropped_bits = 8 * (parameters.limbs - parameters.body_limbs) as u32;
        BodyRounding {
            half_unit: (1 << dropped_bits) >> 1,
            dropped_bits,
        }
    }

    #[inline(always)]
    fn round(self, entry: u64) -> u64 {
        entry.wrapping_add(self.half_unit) >> self.dropped_bits
    }
}

/// The loop over features, compiled for the machine at hand; tells whether a value was out of range.
struct EncryptFeatures<'a> {
    client: &'a ModuleClient,
    activations: &'a Activations,
    header: &'a BlockHeader,
    mask: MaskTransforms<'a>,
    noise: NoiseStream,
    payload: &'a mut [u8],
}

impl NullaryFnOnce for EncryptFeatures<'_> {
    type Output = bool;

    #[inline(always)]
    fn call(mut self) -> bool {
        let parameters = &self.client.spec.parameters;
        let records = self.activations.records();
        let layout = self.header.layout().bodies;
        let rounding = BodyRounding::of(parameters);
        let delta_log2 = parameters.log2_modulus() - parameters.message_bits;
        let limit = 1i64 << (parameters.message_bits - 1);
        let mut out_of_range = false;
        let mut mask_stream = MaskStream::new(&self.header.mask_seed, parameters);
        let mut mask_bytes = vec![0u8; parameters.mask_bytes_per_feature()];
        let mut noise = Zeroizing::new(vec![[0i64; PANEL_ROWS]; records.div_ceil(PANEL_ROWS)]);
        let mut body = Zeroizing::new(vec![0u64; parameters.polynomial_size]);
        let mut staging = Staging::new(layout);
        for feature in 0..self.activations.inputs() {
            mask_stream.fill_feature(feature, &mut mask_bytes);
            for (entries, planes) in self
                .mask
                .entries_mut()
                .zip(mask_bytes.chunks_exact(PANEL_ROWS * parameters.limbs))
            {
                read_entries(planes, entries);
            }
            self.mask.transform();
            self.noise.fill(noise.as_flattened_mut());
            let messages = self
                .activations
                .feature(feature)
                .as_chunks::<PANEL_ROWS>()
                .0;
            for first in (0..records).step_by(parameters.polynomial_size) {
                self.mask
                    .multiply_by_secret(first / parameters.polynomial_size, &mut body);
                let tiles = body.as_chunks_mut::<PANEL_ROWS>().0;
                for (panel, tile) in (first / PANEL_ROWS..noise.len()).zip(tiles) {
                    for ((entry, &noise), &message) in
                        tile.iter_mut().zip(&noise[panel]).zip(&messages[panel])
                    {
                        let message = i64::from(message);
                        out_of_range |= message < -limit || message >= limit;
                        let body = entry.wrapping_add(((message << delta_log2) + noise) as u64);
                        *entry = rounding.round(body);
                    }
                    let planes = staging.planes_mut(panel, feature % STAGED_FEATURES);
                    write_entries(tile, layout.panel_width(panel), planes);
                }
            }
            if (feature + 1).is_multiple_of(STAGED_FEATURES) || feature + 1 == layout.features {
                staging.store(self.payload, feature / STAGED_FEATURES * STAGED_FEATURES);
            }
        }
        out_of_range
    }
}
