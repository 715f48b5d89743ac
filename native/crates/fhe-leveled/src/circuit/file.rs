//! The file format of leveled circuits.
//!
//! Magic `FHEC`, version u16, kind u16 (3: leveled); n, L (u32); the length (u32) and bytes of the module's key, in
//! UTF-8; d_in and the number of linear layers (u32); input scale and output scale (f64); the linear layers, each the
//! number of outputs (u32), weights s8 `[out][in]`, multipliers f64 `[out]`, biases f64 `[out]`, and each but the last
//! followed by its activation: form (u8: 0 general, 1 even plus linear), degree (u32), coefficients f64
//! `[out][degree + 1]` and, in form 1, linear terms f64 `[out]`; a CRC-32C of all that. Its SHA-256 is the circuit's
//! digest. All integers are little-endian.

use fhe_core::block::CircuitDigest;
use fhe_core::checksum::crc32c;
use fhe_core::circuit::{MAGIC, VERSION};
use fhe_core::wire::Reader;
use fhe_core::{Error, Result};
use sha2::{Digest, Sha256};

use super::{
    ActivationForm, LeveledActivation, LeveledCircuit, LeveledLayer, MAX_DEGREE, MAX_LAYERS,
    MAX_MODULE_KEY_BYTES,
};
use crate::LeveledParameters;

/// The kind in the file.
const LEVELED: u16 = 3;

impl ActivationForm {
    fn code(self) -> u8 {
        match self {
            ActivationForm::General => 0,
            ActivationForm::EvenPlusLinear => 1,
        }
    }

    fn of_code(code: u8) -> Result<Self> {
        match code {
            0 => Ok(ActivationForm::General),
            1 => Ok(ActivationForm::EvenPlusLinear),
            _ => Err(Error::invalid(format!(
                "circuit has an activation of the unknown form {code}"
            ))),
        }
    }
}

impl LeveledCircuit {
    /// The circuit file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut file = Writer(Vec::new());
        file.0.extend_from_slice(MAGIC);
        file.0.extend_from_slice(&VERSION.to_le_bytes());
        file.0.extend_from_slice(&LEVELED.to_le_bytes());
        file.count(self.parameters.polynomial_size);
        file.count(self.parameters.levels);
        file.count(self.module_key.len());
        file.0.extend_from_slice(self.module_key.as_bytes());
        file.count(self.inputs);
        file.count(self.layers.len());
        file.reals(&[self.input_scale, self.output_scale]);
        let mut activations = self.activations.iter();
        for layer in &self.layers {
            file.count(layer.outputs);
            file.0
                .extend(layer.weights.iter().map(|&weight| weight as u8));
            file.reals(&layer.multipliers);
            file.reals(&layer.biases);
            if let Some(activation) = activations.next() {
                file.0.push(activation.form.code());
                file.count(activation.degree);
                file.reals(&activation.coefficients);
                file.reals(&activation.linear);
            }
        }
        let checksum = crc32c(&file.0);
        file.0.extend_from_slice(&checksum.to_le_bytes());
        file.0
    }

    /// Reads and checks a circuit file.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong; lengths are checked before anything is allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("circuit", bytes);
        reader.expect_format(MAGIC, VERSION)?;
        let kind = reader.u16()?;
        if kind != LEVELED {
            return Err(Error::invalid(format!(
                "circuit has kind {kind}, a leveled circuit has {LEVELED}"
            )));
        }
        // Before the fields, which are lengths: damage is told as such.
        if let Some((body, checksum)) = bytes.split_last_chunk()
            && crc32c(body).to_le_bytes() != *checksum
        {
            return Err(Error::invalid(
                "circuit is damaged: it does not match its checksum",
            ));
        }
        let parameters = LeveledParameters {
            polynomial_size: reader.count()?,
            levels: reader.count()?,
        };
        let module_key = read_module_key(&mut reader)?;
        let inputs = reader.count()?;
        let layer_count = reader.count()?;
        if layer_count > MAX_LAYERS {
            return Err(Error::invalid(format!(
                "circuit of module {module_key:?} has {layer_count} linear layers, at most {MAX_LAYERS} are allowed"
            )));
        }
        let (input_scale, output_scale) = (read_real(&mut reader)?, read_real(&mut reader)?);
        let (mut layers, mut activations) = (Vec::new(), Vec::new());
        let mut width = inputs;
        for number in 0..layer_count {
            let layer = read_layer(&mut reader, width)?;
            width = layer.outputs;
            layers.push(layer);
            if number + 1 < layer_count {
                activations.push(read_activation(&mut reader, width)?);
            }
        }
        // The checksum, checked above.
        reader.u32()?;
        reader.expect_end()?;
        LeveledCircuit {
            parameters,
            module_key,
            inputs,
            layers,
            activations,
            input_scale,
            output_scale,
        }
        .validate()
    }

    /// SHA-256 of a file.
    pub fn digest(file: &[u8]) -> CircuitDigest {
        Sha256::digest(file).into()
    }
}

fn read_module_key(reader: &mut Reader<'_>) -> Result<String> {
    let length = reader.count()?;
    if length > MAX_MODULE_KEY_BYTES {
        return Err(Error::invalid(format!(
            "circuit has a module key of {length} bytes, at most {MAX_MODULE_KEY_BYTES} are allowed"
        )));
    }
    let key = reader.take(length)?;
    let key = str::from_utf8(key)
        .map_err(|_| Error::invalid("circuit has a module key that is not UTF-8"))?;
    Ok(key.to_owned())
}

/// All that is allocated has been taken from the file's bytes.
fn read_layer(reader: &mut Reader<'_>, inputs: usize) -> Result<LeveledLayer> {
    let outputs = reader.count()?;
    // Both are below 2^32.
    let weights = reader.take(outputs.saturating_mul(inputs))?;
    Ok(LeveledLayer {
        outputs,
        weights: weights.iter().map(|&weight| weight as i8).collect(),
        multipliers: read_reals(reader, outputs)?,
        biases: read_reals(reader, outputs)?,
    })
}

fn read_activation(reader: &mut Reader<'_>, neurons: usize) -> Result<LeveledActivation> {
    let form = ActivationForm::of_code(reader.array::<1>()?[0])?;
    let degree = reader.count()?;
    if degree > MAX_DEGREE {
        return Err(Error::invalid(format!(
            "circuit has an activation of degree {degree}, at most {MAX_DEGREE} are allowed"
        )));
    }
    let coefficients = read_reals(reader, neurons.saturating_mul(degree + 1))?;
    let linear = match form {
        ActivationForm::General => Vec::new(),
        ActivationForm::EvenPlusLinear => read_reals(reader, neurons)?,
    };
    Ok(LeveledActivation {
        form,
        degree,
        coefficients,
        linear,
    })
}

fn read_real(reader: &mut Reader<'_>) -> Result<f64> {
    Ok(f64::from_bits(reader.u64()?))
}

fn read_reals(reader: &mut Reader<'_>, count: usize) -> Result<Vec<f64>> {
    Ok(reader
        .words(count)?
        .into_iter()
        .map(f64::from_bits)
        .collect())
}

struct Writer(Vec<u8>);

impl Writer {
    fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u32).to_le_bytes());
    }

    fn reals(&mut self, reals: &[f64]) {
        for real in reals {
            self.0.extend_from_slice(&real.to_le_bytes());
        }
    }
}
