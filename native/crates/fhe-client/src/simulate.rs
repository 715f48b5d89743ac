//! What an encrypted evaluation would decrypt to, without keys and ciphertexts: integers with the noise that
//! the parameters have, decoded as decryption decodes.
//!
//! A phase is x·Wᵀ·Δ plus these errors ([`OutputNoise`](fhe_core::noise::OutputNoise) bounds the same ones):
//!
//! * fresh noise, TUniform, and the rounding of the body on the way up, one of each for every record and
//!   feature, through the weights like the record itself, so that outputs share them as they do in reality;
//! * the rounding of the result's body, one for every value;
//! * the rounding of the result's mask, where it meets the secret: a sum of about n/2 uniform terms, drawn as
//!   a Gaussian. In reality the records of a block share these terms, so errors of one output lean the same
//!   way; here they are drawn for every value. Their mean, at most n/2 half units of the last bit dropped, is
//!   left out;
//! * where results are re-randomised, the noise of the encryption of zero, of about n uniform terms, drawn as a
//!   Gaussian too, and the flooding.

use std::convert::Infallible;

use fhe_core::keystream::Keystream;
use fhe_core::noise::{mask_rounding_deviation, rerandomisation_deviation};
use fhe_core::panel::PANEL_ROWS;
use fhe_core::{Error, Result};
use rand_core::TryRng;
use rand_distr::{Distribution, Normal};

use crate::ModuleClient;
use crate::decrypt::{residue, round_to_message};
use fhe_core::random::{NoiseStream, fill_from_os};

impl ModuleClient {
    /// Accumulators `[T][d_out]` that a block of activations `[T][d_in]` would decrypt to; needs no key.
    ///
    /// `multiply` is the server's part: products mod 2^64 of a row of entries `[d_in]` with the weights, to
    /// `[d_out]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the activations are not whole records.
    pub fn simulate(
        &self,
        activations: &[i32],
        multiply: impl Fn(&[u64], &mut [u64]),
    ) -> Result<Vec<i64>> {
        let message_bits = self.spec.parameters.message_bits as u32;
        self.simulate_phases(activations, multiply, |phase| {
            round_to_message(phase, message_bits)
        })
    }

    /// Signed distance of every simulated phase to its nearest message `[T][d_out]`, relative to q, as
    /// [`ModuleClient::residual_noise`] gives those of a block.
    ///
    /// # Errors
    /// As [`ModuleClient::simulate`].
    pub fn simulated_noise(
        &self,
        activations: &[i32],
        multiply: impl Fn(&[u64], &mut [u64]),
    ) -> Result<Vec<f64>> {
        let message_bits = self.spec.parameters.message_bits as u32;
        self.simulate_phases(activations, multiply, |phase| residue(phase, message_bits))
    }

    fn simulate_phases<T>(
        &self,
        activations: &[i32],
        multiply: impl Fn(&[u64], &mut [u64]),
        convert: impl Fn(u64) -> T,
    ) -> Result<Vec<T>> {
        let (inputs, outputs) = (self.spec.inputs, self.spec.outputs);
        if !activations.len().is_multiple_of(inputs) {
            return Err(Error::invalid(format!(
                "{} activations are not whole records of {inputs}",
                activations.len()
            )));
        }
        let records = activations.len() / inputs;
        let mut noise = SimulatedNoise::new(self)?;
        let delta_shift = 64 - self.spec.parameters.message_bits as u32;
        let mut entries = vec![[0; PANEL_ROWS]; inputs.div_ceil(PANEL_ROWS)];
        let mut phases = vec![0; outputs];
        let mut values = Vec::with_capacity(records * outputs);
        for (record, integers) in activations.chunks_exact(inputs).enumerate() {
            entries.fill([0; PANEL_ROWS]);
            noise.add_to_entries(record, &mut entries);
            for (entry, &integer) in entries.as_flattened_mut().iter_mut().zip(integers) {
                *entry = entry.wrapping_add((i64::from(integer) as u64) << delta_shift);
            }
            multiply(&entries.as_flattened()[..inputs], &mut phases);
            noise.add_to_phases(record, &mut phases);
            values.extend(phases.iter().copied().map(&convert));
        }
        Ok(values)
    }
}

/// Bytes that a keystream makes at a time.
const RUN_BYTES: usize = 64;

/// All errors of a block, each from a stream of its own. Entries and phases are scaled to q = 2^64.
struct SimulatedNoise {
    fresh: NoiseStream,
    /// Of a fresh entry's last bit.
    fresh_shift: u32,
    body_up: Roundings,
    body_down: Roundings,
    /// The rounding of the mask, and the encryption of zero.
    gaussian: Option<GaussianStream>,
    flooding: Option<NoiseStream>,
    bytes: Vec<u8>,
}

impl SimulatedNoise {
    fn new(module: &ModuleClient) -> Result<Self> {
        let parameters = &module.spec.parameters;
        let deviation =
            mask_rounding_deviation(parameters).hypot(rerandomisation_deviation(parameters)?);
        let rounded_from = if parameters.protects_weights() {
            parameters.limbs
        } else {
            parameters.body_limbs
        };
        Ok(SimulatedNoise {
            fresh: NoiseStream::new(&new_seed()?, module.noise_bound_log2),
            fresh_shift: 64 - 8 * parameters.limbs as u32,
            body_up: Roundings::new(parameters.limbs, parameters.body_limbs)?,
            body_down: Roundings::new(rounded_from, parameters.output_body_limbs)?,
            gaussian: (deviation > 0.0)
                .then(|| GaussianStream::new(deviation))
                .transpose()?,
            flooding: parameters
                .protects_weights()
                .then(|| Ok::<_, Error>(NoiseStream::new(&new_seed()?, parameters.flooding as u32)))
                .transpose()?,
            bytes: Vec::new(),
        })
    }

    /// Adds what encryption adds to a record's entries.
    fn add_to_entries(&mut self, record: usize, entries: &mut [[u64; PANEL_ROWS]]) {
        let panel_bytes = self.fresh.panel_bytes();
        self.bytes.resize(entries.len() * panel_bytes, 0);
        let first_panel = record * entries.len();
        self.fresh.fill_panels(first_panel, &mut self.bytes);
        for (entries, bytes) in entries.iter_mut().zip(self.bytes.chunks_exact(panel_bytes)) {
            self.fresh.add(bytes, entries);
            for entry in entries {
                *entry <<= self.fresh_shift;
            }
        }
        self.body_up
            .add(record, &mut self.bytes, entries.as_flattened_mut());
    }

    /// Adds what evaluation adds to the phases of a record's results.
    fn add_to_phases(&mut self, record: usize, phases: &mut [u64]) {
        self.body_down.add(record, &mut self.bytes, phases);
        if let Some(gaussian) = &mut self.gaussian {
            gaussian.add(phases);
        }
        if let Some(flooding) = &self.flooding {
            let panel_bytes = flooding.panel_bytes();
            let panels = phases.len().div_ceil(PANEL_ROWS);
            self.bytes.resize(panels * panel_bytes, 0);
            flooding.fill_panels(record * panels, &mut self.bytes);
            let bytes = self.bytes.chunks_exact(panel_bytes);
            for (phases, bytes) in phases.chunks_mut(PANEL_ROWS).zip(bytes) {
                let mut noise = [0; PANEL_ROWS];
                flooding.add(bytes, &mut noise);
                for (phase, noise) in phases.iter_mut().zip(noise) {
                    *phase = phase.wrapping_add(noise << self.fresh_shift);
                }
            }
        }
    }
}

/// Errors of rounding entries whose dropped bytes are uniform: uniform themselves on (-half, half] units of
/// what is kept, since ties go up.
struct Roundings {
    keystream: Keystream,
    dropped_bytes: usize,
    /// Of the last bit dropped.
    shift: u32,
}

impl Roundings {
    fn new(limbs: usize, kept: usize) -> Result<Self> {
        Ok(Roundings {
            keystream: Keystream::new(&new_seed()?),
            dropped_bytes: limbs - kept,
            shift: 64 - 8 * limbs as u32,
        })
    }

    /// Adds the errors of one record; `bytes` is scratch.
    fn add(&self, record: usize, bytes: &mut Vec<u8>, entries: &mut [u64]) {
        let width = self.dropped_bytes;
        if width == 0 {
            return;
        }
        bytes.resize((entries.len() * width).next_multiple_of(RUN_BYTES), 0);
        let blocks = (bytes.len() / 16) as u64;
        self.keystream.fill(record as u64 * blocks, bytes);
        let half = 1u64 << (8 * width - 1);
        for (entry, bytes) in entries.iter_mut().zip(bytes.chunks_exact(width)) {
            let mut word = [0; 8];
            word[..width].copy_from_slice(bytes);
            let dropped = u64::from_le_bytes(word);
            *entry = entry.wrapping_add(half.wrapping_sub(dropped) << self.shift);
        }
    }
}

/// Centred Gaussian errors.
struct GaussianStream {
    words: Words,
    /// Relative to q.
    errors: Normal<f64>,
}

impl GaussianStream {
    fn new(standard_deviation: f64) -> Result<Self> {
        let errors = Normal::new(0.0, standard_deviation)
            .map_err(|error| Error::Internal(format!("deviation {standard_deviation}: {error}")))?;
        Ok(GaussianStream {
            words: Words::new()?,
            errors,
        })
    }

    fn add(&mut self, phases: &mut [u64]) {
        for phase in phases {
            let error = self.errors.sample(&mut self.words);
            // Mod 1 first: the deviation may be of the order of q.
            let error = (error - error.round()) * 64f64.exp2();
            *phase = phase.wrapping_add(error as i64 as u64);
        }
    }
}

/// Standard normal samples, for [`fhe_core::bootstrap::BootstrapCircuit::simulate`].
pub struct NormalSamples {
    words: Words,
    normal: Normal<f64>,
}

impl NormalSamples {
    /// Under a fresh seed.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no randomness.
    pub fn new() -> Result<Self> {
        Ok(NormalSamples {
            words: Words::new()?,
            normal: Normal::new(0.0, 1.0)
                .map_err(|error| Error::Internal(format!("normal samples: {error}")))?,
        })
    }

    /// The next.
    pub fn next_sample(&mut self) -> f64 {
        self.normal.sample(&mut self.words)
    }
}

/// A keystream, a word at a time.
struct Words {
    keystream: Keystream,
    next_block: u64,
    buffer: [u8; 16 * RUN_BYTES],
    used: usize,
}

impl Words {
    fn new() -> Result<Self> {
        Ok(Words {
            keystream: Keystream::new(&new_seed()?),
            next_block: 0,
            buffer: [0; 16 * RUN_BYTES],
            used: 16 * RUN_BYTES,
        })
    }

    fn next(&mut self) -> u64 {
        if self.used == self.buffer.len() {
            self.keystream.fill(self.next_block, &mut self.buffer);
            self.next_block += (self.buffer.len() / 16) as u64;
            self.used = 0;
        }
        let word = self.buffer.as_chunks::<8>().0[self.used / 8];
        self.used += 8;
        u64::from_le_bytes(word)
    }
}

impl TryRng for Words {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Infallible> {
        Ok(self.next() as u32)
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> std::result::Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

fn new_seed() -> Result<[u8; 16]> {
    let mut seed = [0; 16];
    fill_from_os(&mut seed)?;
    Ok(seed)
}
