//! One remote module as its client knows it.

use std::sync::Arc;

use fhe_core::block::{CircuitDigest, HEADER_BYTES, KeyId};
use fhe_core::noise::fresh_noise_bound_log2;
use fhe_core::panel::PANEL_ROWS;
use fhe_core::parameters::{MAX_INPUTS, MAX_OUTPUTS, PackedParameters};
use fhe_core::{Error, Result};
use pulp::{Arch, NullaryFnOnce};

use crate::key::SecretKeySet;
use crate::{Activations, ClientKey, Dequantizer, Quantizer, SecretKeyShape};

/// What the client artefact says of a remote module. No weight is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleSpec {
    /// SHA-256 of the server's circuit.
    pub circuit: CircuitDigest,
    /// Parameters of the circuit.
    pub parameters: PackedParameters,
    /// d_in.
    pub inputs: usize,
    /// d_out.
    pub outputs: usize,
    /// Float activations to integers.
    pub quantizer: Quantizer,
    /// Accumulators to float outputs.
    pub dequantizer: Dequantizer,
}

/// A remote module and, for encryption and decryption, the keys it needs.
pub struct ModuleClient {
    pub(crate) spec: ModuleSpec,
    pub(crate) noise_bound_log2: u32,
    keys: Option<(KeyId, Arc<SecretKeySet>)>,
}

impl ModuleClient {
    /// Checks the specification and finds the keys; without a key the module can only quantise and
    /// dequantise.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is out of range, below 132-bit security or missing in the key.
    pub fn new(spec: ModuleSpec, key: Option<&ClientKey>) -> Result<Self> {
        let parameters = spec.parameters.validate()?;
        let spec = ModuleSpec {
            quantizer: spec.quantizer.validate()?,
            dequantizer: spec.dequantizer.validate(spec.outputs)?,
            ..spec
        };
        if spec.quantizer.message_bits != parameters.message_bits {
            return Err(Error::invalid(format!(
                "quantiser has {} message bits, the circuit {}",
                spec.quantizer.message_bits, parameters.message_bits
            )));
        }
        if !(1..=MAX_INPUTS).contains(&spec.inputs) || !(1..=MAX_OUTPUTS).contains(&spec.outputs) {
            return Err(Error::invalid(format!(
                "module has {} inputs and {} outputs, at most {MAX_INPUTS} and {MAX_OUTPUTS} are allowed",
                spec.inputs, spec.outputs
            )));
        }
        let shape = SecretKeyShape {
            glwe_dimension: parameters.glwe_dimension,
            polynomial_size: parameters.polynomial_size,
            limbs: parameters.limbs,
            bodies: parameters.bodies,
        };
        Ok(ModuleClient {
            noise_bound_log2: fresh_noise_bound_log2(parameters.lwe_dimension(), parameters.limbs)?,
            keys: key
                .map(|key| Ok::<_, Error>((*key.id(), key.set(&shape)?)))
                .transpose()?,
            spec,
        })
    }

    /// The specification.
    pub fn spec(&self) -> &ModuleSpec {
        &self.spec
    }

    /// Bytes of a block of so many encrypted records.
    pub fn block_bytes(&self, records: usize) -> usize {
        let parameters = &self.spec.parameters;
        HEADER_BYTES + records * self.spec.inputs * parameters.body_limbs
    }

    /// Integer activations and scales `[T]` of float records `[T][d_in]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with the record and feature of a NaN or infinity.
    pub fn quantize(&self, records: &[f32]) -> Result<(Activations, Vec<f32>)> {
        let inputs = self.spec.inputs;
        if !records.len().is_multiple_of(inputs) {
            return Err(Error::invalid(format!(
                "{} activations are not whole records of {inputs}",
                records.len()
            )));
        }
        Arch::new().dispatch(QuantizeRecords {
            quantizer: &self.spec.quantizer,
            records,
            inputs,
        })
    }

    pub(crate) fn keys(&self) -> Result<(&KeyId, &SecretKeySet)> {
        match &self.keys {
            Some((id, set)) => Ok((id, set)),
            None => Err(Error::invalid(
                "this module was opened without a client key: it can quantise, not encrypt or decrypt",
            )),
        }
    }
}

/// The loop over records, compiled for the machine at hand.
struct QuantizeRecords<'a> {
    quantizer: &'a Quantizer,
    records: &'a [f32],
    inputs: usize,
}

impl NullaryFnOnce for QuantizeRecords<'_> {
    type Output = Result<(Activations, Vec<f32>)>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let inputs = self.inputs;
        let count = self.records.len() / inputs;
        let mut activations = Activations::zeros(count, inputs);
        let mut scales = Vec::with_capacity(count);
        let mut rows = vec![0i16; PANEL_ROWS * inputs];
        for (tile, records) in self.records.chunks(PANEL_ROWS * inputs).enumerate() {
            for (record, out) in records
                .chunks_exact(inputs)
                .zip(rows.chunks_exact_mut(inputs))
            {
                let scale = self
                    .quantizer
                    .quantize_record(record, out)
                    .map_err(|error| Error::invalid(format!("record {}: {error}", scales.len())))?;
                scales.push(scale);
            }
            activations.write_tile(tile, &rows[..records.len()]);
        }
        Ok((activations, scales))
    }
}
