//! Encryption of a block.

use std::ops::Range;

use aligned_vec::{AVec, avec};
use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES};
use fhe_core::checksum::Checksum;
use fhe_core::mask::{MaskSeed, MaskStream};
use fhe_core::panel::{PANEL_ROWS, PanelLayout};
use fhe_core::parameters::PackedParameters;
use fhe_core::{Error, Result};
use zeroize::Zeroizing;

use crate::activations::Column;
use crate::buffer::{Buffer, OnLine};
use crate::cache;
use crate::key::SecretKeySet;
use crate::mask::MaskTransforms;
use crate::planes::{Planes, Task, dispatch};
use crate::random::{NoiseStream, fill_from_os};
use crate::staging::{STAGED_FEATURES, Staging};
use crate::threads::{in_parallel, ranges};
use crate::{Activations, ModuleClient, Records};

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

    fn check_records(&self, records: usize, inputs: usize) -> Result<()> {
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
        header.mask_seed = seeds.mask;
        let layout = header.layout().bodies;
        let mask_stream = MaskStream::new(&seeds.mask, parameters);
        let noise_stream = NoiseStream::new(&seeds.noise, self.noise_bound_log2);
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

/// What a mask's randomness comes from; never used for another.
pub(crate) struct Seeds {
    pub(crate) mask: MaskSeed,
    /// On the heap, so that moving it leaves no copy behind.
    pub(crate) noise: Box<Zeroizing<[u8; 16]>>,
}

impl Seeds {
    pub(crate) fn from_os() -> Result<Self> {
        let mut seeds = Seeds {
            mask: [0; 16],
            noise: Box::new(Zeroizing::new([0; 16])),
        };
        fill_from_os(&mut seeds.mask)?;
        fill_from_os(&mut **seeds.noise)?;
        Ok(seeds)
    }
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
    mask: MaskTransforms,
    mask_bytes: Buffer<u8>,
    noise_bytes: Buffer<u8>,
    /// Messages of the staged features, `[panel][STAGED_FEATURES]`.
    messages: AVec<Column>,
    staging: Staging,
}

impl Workspace {
    fn new(parameters: &PackedParameters, set: &SecretKeySet) -> Self {
        Workspace {
            mask: MaskTransforms::new(parameters, parameters.limbs, set),
            mask_bytes: Buffer::zeros(parameters.mask_bytes_per_feature()),
            noise_bytes: Buffer::zeros(0),
            messages: avec![],
            staging: Staging::new(),
        }
    }
}

/// The loop over features, compiled for the machine at hand; gives the checksum of each panel.
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
        let layout = self.layout;
        let noise_bytes = layout.panels() * self.noise_stream.panel_bytes();
        self.workspace.noise_bytes.reset(noise_bytes);
        let messages = layout.panels() * STAGED_FEATURES;
        self.workspace.messages.resize(messages, [0; PANEL_ROWS]);
        self.workspace.staging.reset(layout);
        let mut checksums = vec![Checksum::new(); layout.panels()];
        for first in self.features.clone().step_by(STAGED_FEATURES) {
            let count = (self.features.end - first).min(STAGED_FEATURES);
            let messages = self.workspace.messages.chunks_exact_mut(STAGED_FEATURES);
            for (panel, messages) in messages.enumerate() {
                messages[..count].copy_from_slice(self.activations.columns(panel, first, count));
            }
            let next = first + count;
            let next_count = (self.features.end - next).min(STAGED_FEATURES);
            for staged in 0..count {
                for panel in (staged..layout.panels()).step_by(STAGED_FEATURES) {
                    cache::prefetch(self.activations.columns(panel, next, next_count));
                }
                self.encrypt_feature(planes, first + staged, staged);
            }
            let staging = &self.workspace.staging;
            staging.store(&mut self.panels, &mut checksums, count);
        }
        cache::fence();
        checksums
    }
}

impl EncryptFeatures<'_> {
    #[inline(always)]
    fn encrypt_feature(&mut self, planes: impl Planes, feature: usize, staged: usize) {
        let parameters = self.parameters;
        let layout = self.layout;
        let Workspace {
            mask,
            mask_bytes,
            noise_bytes,
            messages,
            staging,
        } = &mut *self.workspace;
        self.mask_stream.fill_feature(feature, mask_bytes);
        let mask_planes = mask_bytes.as_chunks().0.chunks_exact(parameters.limbs);
        mask.transform(planes, self.set, mask_planes);
        self.noise_stream.fill_feature(feature, noise_bytes);
        let mut noise = noise_bytes.chunks_exact(self.noise_stream.panel_bytes());

        let delta_log2 = parameters.log2_modulus() - parameters.message_bits;
        let dropped_bits = 8 * (parameters.limbs - parameters.body_limbs);
        // Rounds the bits that do not travel.
        let half_unit = (1u64 << dropped_bits) >> 1;
        let body_panels = parameters.polynomial_size / PANEL_ROWS;
        let OnLine(entries) = &mut OnLine([0; PANEL_ROWS]);
        for first in (0..layout.panels()).step_by(body_panels) {
            let products = mask.multiply_by_secret(planes, self.set, first / body_panels);
            let products = products.as_chunks::<PANEL_ROWS>().0;
            for ((panel, products), noise) in (first..).zip(products).zip(&mut noise) {
                let messages = &messages[panel * STAGED_FEATURES + staged];
                for ((entry, &product), &message) in entries.iter_mut().zip(products).zip(messages)
                {
                    let message = (i64::from(message) << delta_log2) as u64;
                    *entry = product.wrapping_add(message).wrapping_add(half_unit);
                }
                self.noise_stream.add(noise, entries);
                if dropped_bits > 0 {
                    for entry in entries.iter_mut() {
                        *entry >>= dropped_bits;
                    }
                }
                planes.split(entries, staging.planes_mut(panel, staged));
            }
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
        Seeds {
            mask: [4; 16],
            noise: Box::new(Zeroizing::new([9; 16])),
        }
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
