//! One remote module as its client knows it.

use std::sync::Arc;

use fhe_core::block::{CircuitDigest, HEADER_BYTES, KeyId};
use fhe_core::noise::fresh_noise_bound_log2;
use fhe_core::panel::PANEL_ROWS;
use fhe_core::parameters::{MAX_INPUTS, MAX_OUTPUTS, PackedParameters};
use fhe_core::{Error, Result};

use crate::key::SecretKeySet;
use crate::planes::dispatch;
use crate::quantize::QuantizeRecords;
use crate::rows::write_columns;
use crate::threads::{Pool, in_parallel, ranges};
use crate::{
    Activations, ClientKey, Dequantizer, Outputs, Quantizer, Records, SecretKeyShape, decrypt,
    encrypt,
};

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
    pub(crate) encryption: Pool<encrypt::Workspace>,
    pub(crate) decryption: Pool<decrypt::Workspace>,
    pub(crate) activations: Pool<Activations>,
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
        if parameters.summands > 1 {
            require_sums(&spec.quantizer, parameters.summands)?;
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
            encryption: Pool::new(),
            decryption: Pool::new(),
            activations: Pool::new(),
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
    pub fn quantize(&self, records: &Records) -> Result<(Activations, Vec<f32>)> {
        let count = records.count();
        let mut activations = Activations::zeros(count, self.spec.inputs);
        let mut scales = vec![0.0; count];
        self.quantize_to(records, &mut activations, &mut scales, 1)?;
        Ok((activations, scales))
    }

    /// As [`ModuleClient::quantize`], to what the caller has, on at most `threads` threads.
    pub(crate) fn quantize_to(
        &self,
        records: &Records,
        activations: &mut Activations,
        scales: &mut [f32],
        threads: usize,
    ) -> Result<()> {
        let inputs = self.spec.inputs;
        let count = records.count();
        if records.inputs() != inputs || scales.len() != count {
            return Err(Error::invalid(format!(
                "{count} records of {} activations where {} of {inputs} are expected",
                records.inputs(),
                scales.len()
            )));
        }
        activations.reset(count, inputs);
        let mut rest = (activations.all_columns_mut(), scales);
        let mut parts = Vec::new();
        for panels in ranges(count.div_ceil(PANEL_ROWS), threads) {
            let (columns, more_columns) = rest.0.split_at_mut(panels.len() * inputs);
            let part = (panels.len() * PANEL_ROWS).min(rest.1.len());
            let (scales, more_scales) = rest.1.split_at_mut(part);
            parts.push(QuantizeRecords {
                quantizer: &self.spec.quantizer,
                records,
                first: panels.start * PANEL_ROWS,
                columns,
                scales,
            });
            rest = (more_columns, more_scales);
        }
        in_parallel(parts, dispatch).into_iter().collect()
    }

    /// Dequantises accumulators `[T][d_out]` with the records' scales `[T]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the lengths do not fit together.
    pub fn dequantize(
        &self,
        accumulators: &[i64],
        scales: &[f32],
        outputs: Outputs<f32>,
    ) -> Result<()> {
        self.check_outputs(&outputs, scales.len())?;
        let columns = self.spec.outputs;
        if accumulators.len() != scales.len() * columns {
            return Err(Error::invalid(format!(
                "{} accumulators for {} records of {columns} outputs",
                accumulators.len(),
                scales.len()
            )));
        }
        write_columns(outputs, |output, values| {
            let column = self.spec.dequantizer.column(output);
            let records = accumulators[output..].iter().step_by(columns).zip(scales);
            for (value, (&accumulator, &scale)) in values.iter_mut().zip(records) {
                *value = column.output(accumulator as f64, scale);
            }
        });
        Ok(())
    }

    /// Checks that outputs have places for so many records of this module.
    pub(crate) fn check_outputs<T: Copy>(
        &self,
        outputs: &Outputs<T>,
        records: usize,
    ) -> Result<()> {
        if outputs.columns() == self.spec.outputs && outputs.records() == records {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "places for {} records of {} outputs where {records} of {} are expected",
            outputs.records(),
            outputs.columns(),
            self.spec.outputs
        )))
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

/// Checks that sums mean something and never wrap: all records have one scale, and so many of the largest
/// accumulators there can be fit the message.
fn require_sums(quantizer: &Quantizer, summands: usize) -> Result<()> {
    if quantizer.static_scale == 0.0 {
        return Err(Error::invalid(format!(
            "sums of {summands} results need one scale for all records: use static quantisation"
        )));
    }
    let largest = quantizer.max_activation() as u128 * u128::from(quantizer.norms.max_l1.max(1));
    let limit = (1u128 << (quantizer.message_bits - 1)) - 1;
    if largest * summands as u128 > limit {
        return Err(Error::invalid(format!(
            "sums of {summands} results of up to {largest} do not fit {} message bits",
            quantizer.message_bits
        )));
    }
    Ok(())
}
