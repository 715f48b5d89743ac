//! Encryption of a block.

use std::ops::Range;

use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES};
use fhe_core::checksum::Checksum;
use fhe_core::mask::MaskStream;
use fhe_core::panel::{PANEL_ROWS, PanelLayout};
use fhe_core::parameters::PackedParameters;
use fhe_core::{Error, Result};

use crate::buffer::{Buffer, OnLine};
use crate::cache;
use crate::key::SecretKeySet;
use crate::mask::MaskTransforms;
use crate::planes::{Planes, Task, dispatch};
use crate::seeds::Seeds;
use crate::staging::{STAGED_FEATURES, Staging};
use crate::threads::{in_parallel, ranges};
use crate::{Activations, ModuleClient, Records};
use fhe_core::random::NoiseStream;

impl ModuleClient {
    /// Encrypts 1 ≤ T ≤ K·N records under a fresh mask.
    ///
    /// # Errors
    /// As [`ModuleClient::encrypt_into`].
    pub fn encrypt(&self, activations: &Activations, block_number: u64) -> Result<Vec<u8>> {
        let mut block = vec![0; self.block_bytes(activations.records())];
        self.encrypt_into(activations, block_number, 1, &mut block)?;
        Ok(block)
    }

    /// Encrypts 1 ≤ T ≤ K·N records under a fresh mask to `out`, [`ModuleClient::block_bytes`] long, on at
    /// most `threads` threads.
    ///
    /// A feature costs k forward transforms, shared by all bodies, and one inverse transform a body.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the module has no key, or the shape or a value is out of range.
    pub fn encrypt_into(
        &self,
        activations: &Activations,
        block_number: u64,
        threads: usize,
        out: &mut [u8],
    ) -> Result<()> {
        let message_bits = self.spec.parameters.message_bits;
        if message_bits < 16 && !fit(activations, message_bits) {
            return Err(Error::invalid(format!(
                "an activation does not fit {message_bits} message bits"
            )));
        }
        self.encrypt_with(Seeds::from_os()?, activations, block_number, threads, out)
    }

    /// Quantises and encrypts float records `[T][d_in]`, 1 ≤ T ≤ K·N, under a fresh mask to `out`,
    /// [`ModuleClient::block_bytes`] long, on at most `threads` threads; writes the records' scales `[T]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the module has no key, the shape is out of range, or a value is NaN or
    /// infinite, with its record and feature.
    pub fn encrypt_records(
        &self,
        records: &Records,
        scales: &mut [f32],
        block_number: u64,
        threads: usize,
        out: &mut [u8],
    ) -> Result<()> {
        self.check_records(scales.len(), self.spec.inputs)?;
        let seeds = Seeds::from_os()?;
        self.activations.lend(
            || Activations::zeros(0, self.spec.inputs),
            |activations| {
                self.quantize_to(records, activations, scales, threads)?;
                self.encrypt_with(seeds, activations, block_number, threads, out)
            },
        )
    }

    pub(crate) fn check_records(&self, records: usize, inputs: usize) -> Result<()> {
        let (spec, max) = (&self.spec, self.spec.parameters.max_records());
        if inputs == spec.inputs && (1..=max).contains(&records) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{records} records of {inputs} activations are not 1 to {max} records of {}",
            spec.inputs
        )))
    }

    /// Encrypts values that are in range. Each seed must be fresh.
    pub(crate) fn encrypt_with(
        &self,
        seeds: Seeds,
        activations: &Activations,
        block_number: u64,
        threads: usize,
        out: &mut [u8],
    ) -> Result<()> {
        let (key_id, set) = self.keys()?;
        let records = activations.records();
        self.check_records(records, activations.inputs())?;
        let (spec, parameters) = (&self.spec, &self.spec.parameters);
        if out.len() != self.block_bytes(records) {
            return Err(Error::invalid(format!(
                "{} bytes of room for a block of {}",
                out.len(),
                self.block_bytes(records)
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
        header.mask_seed = *seeds.mask();
        let layout = header.layout().bodies;
        let mask_stream = seeds.mask_stream(parameters);
        let noise_stream = seeds.noise_stream(self.noise_bound_log2);
        let parts = feature_parts(&mut out[HEADER_BYTES..], layout, threads);
        let checksums = in_parallel(parts, |(features, panels)| {
            let new = || Workspace::new(parameters, set);
            self.encryption.lend(new, |workspace| {
                dispatch(EncryptFeatures {
                    set,
                    parameters,
                    activations,
                    mask_stream: &mask_stream,
                    noise_stream: &noise_stream,
                    layout,
                    features,
                    panels,
                    workspace,
                })
            })
        });
        let mut payload = Checksum::new();
        for panel in 0..layout.panels() {
            for part in &checksums {
                payload.append(part[panel]);
            }
        }
        header.seal_with(payload.value(), out);
        Ok(())
    }
}

/// Whether all values lie in [-2^(bits-1), 2^(bits-1)), bits < 16.
fn fit(activations: &Activations, bits: usize) -> bool {
    let limit = 1i16 << (bits - 1);
    let out_of_range = |value: i16| value < -limit || value >= limit;
    let values = activations.all_columns().as_flattened().iter();
    // Without a way out, the loop can take many values at once.
    !values.fold(false, |found, &value| found | out_of_range(value))
}

/// A thread's features and their bytes in every panel.
type FeaturePart<'a> = (Range<usize>, Vec<&'a mut [u8]>);

/// Cuts a payload by features into at most `threads` parts.
fn feature_parts(payload: &mut [u8], layout: PanelLayout, threads: usize) -> Vec<FeaturePart<'_>> {
    let mut parts: Vec<FeaturePart> = ranges(layout.features, threads)
        .map(|features| (features, Vec::with_capacity(layout.panels())))
        .collect();
    let mut rest = payload;
    for panel in 0..layout.panels() {
        let bytes = layout.limbs * layout.panel_width(panel);
        for (features, panels) in &mut parts {
            let (piece, next) = rest.split_at_mut(features.len() * bytes);
            panels.push(piece);
            rest = next;
        }
    }
    parts
}

/// Buffers of one thread.
pub(crate) struct Workspace {
    /// Of the staged features.
    masks: MaskTransforms,
    /// Of one feature.
    mask_bytes: Buffer<u8>,
    /// Of one feature's part of a body.
    noise_bytes: Buffer<u8>,
    /// Of a body.
    staging: Staging,
}

impl Workspace {
    fn new(parameters: &PackedParameters, set: &SecretKeySet) -> Self {
        let body_panels = parameters.polynomial_size / PANEL_ROWS;
        Workspace {
            masks: MaskTransforms::new(parameters, parameters.limbs, STAGED_FEATURES, set),
            mask_bytes: Buffer::zeros(parameters.mask_bytes_per_feature()),
            noise_bytes: Buffer::zeros(0),
            staging: Staging::new(body_panels, parameters.body_limbs),
        }
    }
}

/// The loop over features, compiled for the machine at hand; gives the checksum of each panel.
///
/// Some neighbouring features go body by body, so that a body's key and its share of the payload stay near.
struct EncryptFeatures<'a> {
    set: &'a SecretKeySet,
    parameters: &'a PackedParameters,
    activations: &'a Activations,
    mask_stream: &'a MaskStream,
    noise_stream: &'a NoiseStream,
    layout: PanelLayout,
    features: Range<usize>,
    panels: Vec<&'a mut [u8]>,
    workspace: &'a mut Workspace,
}

impl Task for EncryptFeatures<'_> {
    type Output = Vec<Checksum>;

    #[inline(always)]
    fn run<P: Planes>(mut self, planes: P) -> Vec<Checksum> {
        let body_panels = self.parameters.polynomial_size / PANEL_ROWS;
        let noise_bytes = body_panels * self.noise_stream.panel_bytes();
        self.workspace.noise_bytes.reset(noise_bytes);
        let mut checksums = vec![Checksum::new(); self.layout.panels()];
        let end = self.features.end;
        for first in self.features.clone().step_by(STAGED_FEATURES) {
            let features = first..end.min(first + STAGED_FEATURES);
            self.encrypt_features(planes, features, &mut checksums);
        }
        cache::fence();
        checksums
    }
}

impl EncryptFeatures<'_> {
    #[inline(always)]
    fn encrypt_features(
        &mut self,
        planes: impl Planes,
        features: Range<usize>,
        checksums: &mut [Checksum],
    ) {
        let panels = self.layout.panels();
        let body_panels = self.parameters.polynomial_size / PANEL_ROWS;
        let first_body = 0..panels.min(body_panels);
        for (staged, feature) in features.clone().enumerate() {
            self.prefetch(first_body.clone(), features.clone(), staged);
            let Workspace {
                masks, mask_bytes, ..
            } = &mut *self.workspace;
            self.mask_stream.fill_feature(feature, mask_bytes);
            let mask_planes = mask_bytes.as_chunks().0.chunks_exact(self.parameters.limbs);
            masks.transform(planes, self.set, staged, mask_planes);
        }
        for first_panel in (0..panels).step_by(body_panels) {
            let body = first_panel..panels.min(first_panel + body_panels);
            let next_body = body.end..panels.min(body.end + body_panels);
            for (staged, feature) in features.clone().enumerate() {
                self.prefetch(next_body.clone(), features.clone(), staged);
                self.encrypt_part(planes, body.clone(), feature, staged);
            }
            self.workspace.staging.store(
                self.layout,
                first_panel,
                &mut self.panels[body.clone()],
                &mut checksums[body],
                features.len(),
            );
        }
    }

    /// Has a share of the activations of some panels on its way to the cache: `share` is one of
    /// [`STAGED_FEATURES`].
    #[inline(always)]
    fn prefetch(&self, panels: Range<usize>, features: Range<usize>, share: usize) {
        for panel in panels.skip(share).step_by(STAGED_FEATURES) {
            let columns = self
                .activations
                .columns(panel, features.start, features.len());
            cache::prefetch(columns.as_flattened());
        }
    }

    /// Encrypts a feature of a body, which is some panels.
    #[inline(always)]
    fn encrypt_part(
        &mut self,
        planes: impl Planes,
        body: Range<usize>,
        feature: usize,
        staged: usize,
    ) {
        let parameters = self.parameters;
        let Workspace {
            masks,
            noise_bytes,
            staging,
            ..
        } = &mut *self.workspace;
        let panel_bytes = self.noise_stream.panel_bytes();
        let noise_bytes = &mut noise_bytes[..body.len() * panel_bytes];
        let first_noise = feature * self.layout.panels() + body.start;
        self.noise_stream.fill_panels(first_noise, noise_bytes);

        let delta_log2 = parameters.log2_modulus() - parameters.message_bits;
        let dropped_bits = 8 * (parameters.limbs - parameters.body_limbs);
        // Rounds the bits that do not travel.
        let half_unit = (1u64 << dropped_bits) >> 1;
        let body_panels = parameters.polynomial_size / PANEL_ROWS;
        let products = masks.multiply_by_secret(planes, self.set, staged, body.start / body_panels);
        let products = products.as_chunks::<PANEL_ROWS>().0.iter();
        let noise = noise_bytes.chunks_exact(panel_bytes);
        let OnLine(entries) = &mut OnLine([0; PANEL_ROWS]);
        for (place, ((panel, products), noise)) in body.zip(products).zip(noise).enumerate() {
            let messages = &self.activations.columns(panel, feature, 1)[0];
            for ((entry, &product), &message) in entries.iter_mut().zip(products).zip(messages) {
                let message = i64::from(message) << delta_log2;
                *entry = (product.wrapping_add(message) as u64).wrapping_add(half_unit);
            }
            self.noise_stream.add(noise, entries);
            if dropped_bits > 0 {
                for entry in entries.iter_mut() {
                    *entry >>= dropped_bits;
                }
            }
            planes.split(entries, staging.planes_mut(place, staged));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientKey, Dequantizer, ModuleSpec, Quantizer, SecretKeyShape, WeightNorms};
    use fhe_core::block::short_hex;
    use proptest::prelude::*;

    fn client(inputs: usize, message_bits: usize) -> ModuleClient {
        let parameters = PackedParameters {
            glwe_dimension: 15,
            polynomial_size: 64,
            limbs: 3,
            body_limbs: 3,
            output_limbs: 3,
            output_body_limbs: 2,
            message_bits,
            bodies: 4,
            summands: 1,
            flooding: 0,
        };
        let shape = SecretKeyShape {
            glwe_dimension: 15,
            polynomial_size: 64,
            limbs: 3,
            bodies: 4,
        };
        let spec = ModuleSpec {
            circuit: [3; 32],
            parameters,
            inputs,
            outputs: 1,
            quantizer: Quantizer {
                activation_bits: 4,
                static_scale: 0.0,
                message_bits,
                norms: WeightNorms {
                    max_l1: 1,
                    max_l2_squared: 1,
                    max_abs: 1,
                },
            },
            dequantizer: Dequantizer {
                weight_scales: vec![1.0],
                bias: vec![],
            },
        };
        let key = ClientKey::generate([1; 32], &[shape]).unwrap();
        ModuleClient::new(spec, Some(&key)).unwrap()
    }

    fn seeds() -> Seeds {
        Seeds::known([4; 16], [9; 16])
    }

    fn records(count: usize, inputs: usize) -> Vec<f32> {
        (0..count * inputs)
            .map(|i| ((i * 7919) % 1000) as f32 - 500.0)
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]

        #[test]
        fn a_block_is_the_same_for_any_number_of_threads_and_whatever_was_in_its_memory(
            count in 1usize..=256,
            inputs in 1usize..=40,
            threads in 2usize..=5,
        ) {
            let client = client(inputs, 8);
            let records = records(count, inputs);
            let table = Records::table(&records, inputs).unwrap();
            let quantize = |threads| {
                let mut activations = Activations::zeros(0, inputs);
                let mut scales = vec![0.0; count];
                client.quantize_to(&table, &mut activations, &mut scales, threads).unwrap();
                (activations, scales)
            };
            let (activations, scales) = quantize(1);
            prop_assert!(quantize(threads) == (activations.clone(), scales));
            let encrypt = |threads| {
                let mut block = vec![threads as u8; client.block_bytes(count)];
                client.encrypt_with(seeds(), &activations, 5, threads, &mut block).unwrap();
                block
            };
            let block = encrypt(1);
            prop_assert!(encrypt(threads) == block);
            let (header, _) = BlockHeader::parse(&block).unwrap();
            prop_assert_eq!((header.records, header.features), (count, inputs));
        }
    }

    #[test]
    fn one_call_does_what_two_do() {
        let (count, inputs) = (100, 9);
        let client = client(inputs, 8);
        let floats = records(count, inputs);
        let table = Records::table(&floats, inputs).unwrap();
        let (activations, scales) = client.quantize(&table).unwrap();
        let mut found_scales = vec![0.0; count];
        let mut block = vec![0; client.block_bytes(count)];
        for _ in 0..2 {
            client
                .encrypt_records(&table, &mut found_scales, 5, 2, &mut block)
                .unwrap();
            assert_eq!(found_scales, scales);
            let lent = client
                .activations
                .lend(|| unreachable!(), |activations| activations.clone());
            assert!(lent == activations);
            let (header, _) = BlockHeader::parse(&block).unwrap();
            assert_ne!(short_hex(&header.mask_seed), short_hex(&[0; 16]));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let client = client(2, 8);
        let error = |result: Result<()>| result.unwrap_err().to_string();
        let mut block = vec![0; client.block_bytes(70)];
        let mut scales = vec![0.0; 70];
        let mut floats = records(70, 2);
        let table = Records::table(&floats, 2).unwrap();
        let message = error(client.encrypt_records(&table, &mut scales, 0, 1, &mut block[1..]));
        assert!(message.contains("bytes of room"), "{message}");
        assert!(Records::table(&floats[1..], 2).is_err());
        let table = Records::table(&floats[2..], 2).unwrap();
        let message = error(client.encrypt_records(&table, &mut scales, 0, 1, &mut block));
        assert!(
            message.contains("69 records of 2 activations where 70"),
            "{message}"
        );
        floats[131] = f32::NAN;
        floats[139] = f32::NAN;
        for threads in [1, 2, 70] {
            let table = Records::table(&floats, 2).unwrap();
            let message =
                error(client.encrypt_records(&table, &mut scales, 0, threads, &mut block));
            assert!(message.contains("record 65: feature 1"), "{message}");
        }
        let mut integers = vec![127i16; 140];
        integers[100] = -128;
        let fits = Activations::from_records(&integers, 2);
        client.encrypt_into(&fits, 0, 1, &mut block).unwrap();
        integers[100] = -129;
        let wide = Activations::from_records(&integers, 2);
        let message = error(client.encrypt_into(&wide, 0, 1, &mut block));
        assert!(message.contains("does not fit 8 message bits"), "{message}");
        let many = Activations::zeros(257, 2);
        let message = error(client.encrypt_into(&many, 0, 1, &mut block));
        assert!(message.contains("not 1 to 256 records"), "{message}");
    }
}
