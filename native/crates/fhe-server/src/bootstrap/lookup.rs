//! Look-ups, some at a time: keyswitches, then programmable bootstraps.

use fhe_core::bootstrap::BootstrapParameters;
use tfhe::core_crypto::algorithms::extract_lwe_sample_from_glwe_ciphertext;
use tfhe::core_crypto::algorithms::modulus_switch::ModulusSwitchedLweCiphertext;
use tfhe::core_crypto::fft_impl::fft64::crypto::bootstrap::batch_blind_rotate_assign_scratch;
use tfhe::core_crypto::fft_impl::fft64::math::fft::Fft;
use tfhe::core_crypto::prelude::{
    CiphertextCount, CiphertextModulus, CiphertextModulusLog, ComputationBuffers,
    ContiguousEntityContainer, ContiguousEntityContainerMut, GlweCiphertextCount,
    GlweCiphertextListOwned, GlweDimension, LweCiphertext, LweDimension, MonomialDegree,
    PolynomialSize,
};

use super::BootstrapKeys;
use super::keyswitch::Digits;
use super::vectors;

/// A table as look-ups read it, `[N]`.
pub(crate) type Table = [u64];

/// The buffers of a thread that looks up.
pub(crate) struct Lookups<'a> {
    keys: &'a BootstrapKeys,
    fft: Fft,
    buffers: ComputationBuffers,
    /// What is read: values times a factor, and an offset, `[count][k·N + 1]`.
    arguments: Vec<u64>,
    /// The same, switched to n, `[count][n + 1]`.
    switched: Vec<u64>,
    digits: Digits,
    /// The same, in units of 1/2N.
    rotations: Vec<Rotation>,
    /// Tables that are rotated.
    accumulators: GlweCiphertextListOwned<u64>,
}

impl<'a> Lookups<'a> {
    /// Most look-ups at a time.
    pub(crate) const BATCH: usize = vectors::BATCH;

    pub(crate) fn new(keys: &'a BootstrapKeys) -> Self {
        let parameters = keys.parameters();
        let fft = Fft::new(PolynomialSize(parameters.polynomial_size));
        let mut lookups = Lookups {
            keys,
            fft,
            buffers: ComputationBuffers::new(),
            arguments: Vec::new(),
            switched: Vec::new(),
            digits: Digits::default(),
            rotations: Vec::new(),
            accumulators: accumulators(parameters, 0),
        };
        lookups.buffers.resize(
            batch_blind_rotate_assign_scratch::<u64>(
                GlweDimension(parameters.glwe_dimension).to_glwe_size(),
                PolynomialSize(parameters.polynomial_size),
                CiphertextCount(Self::BATCH),
                lookups.fft.as_view(),
            )
            .unaligned_bytes_required(),
        );
        lookups
    }

    /// `table[factor · value + offset]` for values `[count][k·N + 1]`, to `results`, as many.
    ///
    /// # Panics
    /// If there are more than a batch.
    pub(crate) fn look_up(
        &mut self,
        table: &Table,
        values: &[u64],
        factor: i64,
        offset: u64,
        results: &mut [u64],
    ) {
        let parameters = self.keys.parameters();
        let words = parameters.value_dimension() + 1;
        let count = values.len() / words;
        assert!(count <= Self::BATCH, "{count} look-ups at a time");
        self.arguments.clear();
        self.arguments.extend(
            values
                .iter()
                .map(|&entry| entry.wrapping_mul(factor as u64)),
        );
        for argument in self.arguments.chunks_exact_mut(words) {
            argument[words - 1] = argument[words - 1].wrapping_add(offset);
        }
        let switched_words = parameters.lwe_dimension + 1;
        self.switched.resize(count * switched_words, 0);
        self.keys
            .keyswitch
            .switch(&self.arguments, &mut self.switched, &mut self.digits);
        let log_modulus = 1 + parameters.polynomial_size.trailing_zeros() as usize;
        self.rotations.clear();
        for switched in self.switched.chunks_exact(switched_words) {
            self.rotations.push(Rotation::of(switched, log_modulus));
        }
        if self.accumulators.glwe_ciphertext_count().0 != count {
            self.accumulators = accumulators(parameters, count);
        }
        let table_words = words - 1;
        for mut accumulator in self.accumulators.iter_mut() {
            let (mask, body) = accumulator.as_mut().split_at_mut(table_words);
            mask.fill(0);
            body.copy_from_slice(table);
        }
        self.keys.bootstrap.as_view().batch_blind_rotate_assign(
            self.accumulators.as_mut_view(),
            &self.rotations,
            self.fft.as_view(),
            self.buffers.stack(),
        );
        for (accumulator, result) in self
            .accumulators
            .iter()
            .zip(results.chunks_exact_mut(words))
        {
            extract_lwe_sample_from_glwe_ciphertext(
                &accumulator,
                &mut LweCiphertext::from_container(result, CiphertextModulus::new_native()),
                MonomialDegree(0),
            );
        }
    }

    /// Values switched to n and rounded to `bytes` bytes an entry: masks `[count][n][bytes]` and bodies.
    pub(crate) fn send(&mut self, values: &[u64], masks: &mut [u8], bodies: &mut [u8]) {
        let parameters = self.keys.parameters();
        let count = values.len() / (parameters.value_dimension() + 1);
        let words = parameters.lwe_dimension + 1;
        self.switched.resize(count * words, 0);
        self.keys
            .keyswitch
            .switch(values, &mut self.switched, &mut self.digits);
        let bytes = bodies.len() / count;
        let bits = 8 * bytes;
        for ((switched, masks), body) in self
            .switched
            .chunks_exact(words)
            .zip(masks.chunks_exact_mut((words - 1) * bytes))
            .zip(bodies.chunks_exact_mut(bytes))
        {
            let (mask, sum) = switched.split_at(words - 1);
            let places = masks.chunks_exact_mut(bytes).chain([body]);
            let centred = sum[0].wrapping_add(half_of_rounding(mask, bits));
            for (place, entry) in places.zip(mask.iter().chain([&centred])) {
                place.copy_from_slice(&round(*entry, bits).to_le_bytes()[..bytes]);
            }
        }
    }
}

fn accumulators(parameters: &BootstrapParameters, count: usize) -> GlweCiphertextListOwned<u64> {
    GlweCiphertextListOwned::new(
        0,
        GlweDimension(parameters.glwe_dimension).to_glwe_size(),
        PolynomialSize(parameters.polynomial_size),
        GlweCiphertextCount(count),
        CiphertextModulus::new_native(),
    )
}

/// The top bits of a torus element, rounded.
fn round(entry: u64, bits: usize) -> u64 {
    entry.wrapping_add(1 << (63 - bits)) >> (64 - bits)
}

/// Half of what rounding adds to the entries of a mask. The phase loses that much on average over binary
/// secrets; added to the body beforehand it halves the variance (tfhe-rs's centred modulus switch).
fn half_of_rounding(mask: &[u64], bits: usize) -> u64 {
    mask.iter().fold(0, |sum: u64, &entry| {
        let error = (round(entry, bits) << (64 - bits)).wrapping_sub(entry) as i64;
        sum.wrapping_add((error / 2) as u64)
    })
}

/// A ciphertext rounded to units of 1/2N.
struct Rotation {
    log_modulus: usize,
    mask: Vec<usize>,
    body: usize,
}

impl Rotation {
    fn of(value: &[u64], log_modulus: usize) -> Self {
        let (mask, body) = value.split_at(value.len() - 1);
        // Rounding up to a whole turn is no turn.
        let units = (1 << log_modulus) - 1;
        let switch = |entry| (round(entry, log_modulus) & units) as usize;
        Rotation {
            log_modulus,
            mask: mask.iter().map(|&entry| switch(entry)).collect(),
            body: switch(body[0].wrapping_add(half_of_rounding(mask, log_modulus))),
        }
    }
}

impl ModulusSwitchedLweCiphertext<usize> for Rotation {
    fn log_modulus(&self) -> CiphertextModulusLog {
        CiphertextModulusLog(self.log_modulus)
    }

    fn lwe_dimension(&self) -> LweDimension {
        LweDimension(self.mask.len())
    }

    fn body(&self) -> usize {
        self.body
    }

    fn mask(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.mask.iter().copied()
    }
}
