//! Evaluation of a leveled circuit on an encrypted block.

use fhe_core::block::{BlockHeader, BlockKind, CircuitDigest, HEADER_BYTES, Payload, short_hex};
use fhe_core::checksum::crc32c;
use fhe_core::{Error, Result};

use super::RelinearizationKey;
use super::inputs::InputReader;
use super::layers::Layers;
use super::linear::PairedWeights;
use crate::LeveledCircuit;
use crate::clear;
use crate::noise::Noise;
use crate::plan::Plan;
use crate::ring::Primes;

/// A block that passed every check against a circuit and a key, but for its payload's checksum and residues.
pub struct AcceptedLeveled<'a> {
    header: BlockHeader,
    payload: Payload<'a>,
    result: BlockHeader,
}

impl AcceptedLeveled<'_> {
    /// What the block says of itself.
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// Bytes of the block of results.
    pub fn result_bytes(&self) -> usize {
        HEADER_BYTES + self.result.payload_bytes()
    }
}

/// A checked leveled circuit; immutable, shared by all threads.
pub struct PreparedLeveledCircuit {
    pub(super) circuit: LeveledCircuit,
    digest: CircuitDigest,
    pub(super) plan: Plan,
    noise: Noise,
    /// Of each layer.
    pub(super) weights: Vec<PairedWeights>,
}

impl PreparedLeveledCircuit {
    /// Prepares a circuit file.
    ///
    /// # Errors
    /// As [`LeveledCircuit::decode`].
    pub fn open(bytes: &[u8]) -> Result<Self> {
        let circuit = LeveledCircuit::decode(bytes)?;
        let parameters = circuit.parameters;
        let primes = Primes::find(parameters.polynomial_size, parameters.levels)?;
        let mut inputs = circuit.inputs;
        let mut weights = Vec::new();
        for layer in &circuit.layers {
            weights.push(PairedWeights::new(&layer.weights, layer.outputs, inputs));
            inputs = layer.outputs;
        }
        Ok(PreparedLeveledCircuit {
            digest: LeveledCircuit::digest(bytes),
            plan: Plan::new(&circuit, &primes),
            noise: Noise::new(parameters.polynomial_size, &primes),
            weights,
            circuit,
        })
    }

    /// The circuit.
    pub fn circuit(&self) -> &LeveledCircuit {
        &self.circuit
    }

    /// SHA-256 of its file.
    pub fn digest(&self) -> &CircuitDigest {
        &self.digest
    }

    /// Bytes of memory that its weights and coefficients take.
    pub fn memory_bytes(&self) -> usize {
        let reals = |reals: &[f64]| size_of_val(reals);
        let layers = self
            .circuit
            .layers
            .iter()
            .zip(&self.weights)
            .map(|(layer, weights)| {
                layer.weights.len()
                    + reals(&layer.multipliers)
                    + reals(&layer.biases)
                    + weights.memory_bytes()
            });
        let activations = &self.circuit.activations;
        let activations = activations
            .iter()
            .map(|a| reals(&a.coefficients) + reals(&a.linear));
        layers.chain(activations).sum()
    }

    /// Checks a block of encrypted activations against this circuit and a key.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block's header is damaged or belongs to another circuit, or the key is another
    /// client's or of other parameters.
    pub fn accept<'a>(
        &self,
        key: &RelinearizationKey,
        block: &'a [u8],
    ) -> Result<AcceptedLeveled<'a>> {
        let (header, payload) = BlockHeader::parse_header(block)?;
        let (number, n) = (header.block_number, self.circuit.parameters.polynomial_size);
        if header.kind != BlockKind::LeveledActivations {
            return Err(Error::invalid(format!(
                "encrypted block {number} holds {:?}, a leveled circuit takes {:?}",
                header.kind,
                BlockKind::LeveledActivations
            )));
        }
        if header.circuit != self.digest {
            return Err(Error::invalid(format!(
                "encrypted block {number} is for circuit {}, not for circuit {}",
                short_hex(&header.circuit),
                short_hex(&self.digest)
            )));
        }
        key.expect(&header.key_id, &self.circuit.parameters)?;
        let expected = BlockHeader::of_leveled(
            self.circuit.parameters.levels,
            n,
            self.digest,
            header.key_id,
            self.circuit.inputs,
            header.records,
            number,
        );
        let expected = BlockHeader {
            mask_seed: header.mask_seed,
            ..expected
        };
        if header != expected || header.records > n {
            return Err(Error::invalid(format!(
                "encrypted block {number} has {} levels, polynomial size {}, {} records and {} features, its circuit takes {}, {n}, 1 to {n} and {}",
                header.glwe_dimension,
                header.polynomial_size,
                header.records,
                header.features,
                self.circuit.parameters.levels,
                self.circuit.inputs
            )));
        }
        let result = BlockHeader::of_leveled_results(&header, self.circuit.outputs());
        Ok(AcceptedLeveled {
            header,
            payload,
            result,
        })
    }

    /// Evaluates the circuit on a block with up to `threads` threads, this one among them; returns the block of
    /// results.
    ///
    /// # Errors
    /// As [`PreparedLeveledCircuit::accept`] and [`PreparedLeveledCircuit::evaluate_into`].
    pub fn evaluate(
        &self,
        key: &RelinearizationKey,
        block: &[u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<u8>> {
        let accepted = self.accept(key, block)?;
        let mut results = fhe_core::memory::zeros(accepted.result_bytes())?;
        self.evaluate_into(key, &accepted, &mut results, threads, should_stop)?;
        Ok(results)
    }

    /// Evaluates the circuit on a block accepted with this key, with up to `threads` threads, this one among them;
    /// writes the block of results to `output`.
    ///
    /// `should_stop` is asked on this thread, before each few neurons that it evaluates.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the payload is damaged or the key another one; [`Error::Stopped`] if `should_stop`
    /// said so.
    ///
    /// # Panics
    /// If `output` is not [`AcceptedLeveled::result_bytes`] long.
    pub fn evaluate_into(
        &self,
        key: &RelinearizationKey,
        accepted: &AcceptedLeveled<'_>,
        output: &mut [u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        assert_eq!(output.len(), accepted.result_bytes(), "bytes of results");
        key.expect(&accepted.header.key_id, &self.circuit.parameters)?;
        accepted.payload.verify(crc32c(accepted.payload.bytes))?;
        let mut layers = Layers {
            circuit: self,
            key,
            threads,
            should_stop,
        };
        let inputs = InputReader::new(&accepted.header, accepted.payload.bytes, key.ring());
        layers.evaluate(&inputs, &mut output[HEADER_BYTES..])?;
        accepted.result.seal(output);
        Ok(())
    }

    /// The circuit in clear: outputs `[T][d_out]` of inputs `[T][d_in]`. With `noise`, a source of normal numbers of
    /// mean 0 and variance 1, every fresh ciphertext and every rescaling adds noise of the standard deviation that it
    /// has in ciphertexts.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the inputs are not whole records.
    pub fn evaluate_in_clear(
        &self,
        inputs: &[f64],
        noise: Option<&mut dyn FnMut() -> f64>,
    ) -> Result<Vec<f64>> {
        clear::evaluate(&self.circuit, &self.plan, &self.noise, inputs, noise)
    }

    /// Standard deviation of the noise of a fresh ciphertext, in units of inputs.
    pub fn input_noise_deviation(&self) -> f64 {
        self.noise.fresh(self.circuit.input_scale)
    }
}
