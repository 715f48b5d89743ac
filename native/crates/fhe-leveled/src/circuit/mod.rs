//! What a leveled circuit computes, and its file format.
//!
//! Magic `FHEC`, version u16, kind u16 (3: leveled), then u32 fields n, levels, length of the module key, d_in,
//! linear layers; the key in UTF-8; input scale and output scale, f64; of each layer its outputs, u32, and, but for
//! the last, form and degree of the activation behind it, u32; then of each layer its weights, s8 `[outputs][inputs]`,
//! multipliers and biases, f64 `[outputs]`, and of its activation the coefficients, f64 `[outputs][degree + 1]`, and
//! if even the linear terms, f64 `[outputs]`; a CRC-32C of all that. Its SHA-256 is the circuit's digest.

mod activation;
mod clear;
mod plan;

use fhe_core::block::CircuitDigest;
use fhe_core::checksum::crc32c;
use fhe_core::parameters::{MAX_INPUTS, MAX_OUTPUTS};
use fhe_core::wire::Reader;
use fhe_core::{Error, Result};
use sha2::{Digest, Sha256};

pub use activation::{ActivationForm, LeveledActivation};
pub(crate) use plan::{Backend, Plan};
pub use plan::{largest_output_scale, levels_needed, nominal_scale};

use crate::parameters::LeveledParameters;

const MAGIC: &[u8; 4] = b"FHEC";
const VERSION: u16 = 4;
const LEVELED: u16 = 3;
const MAX_MODULE_KEY_BYTES: usize = 4096;
const MAX_LAYERS: usize = 16;
/// Larger numbers have no place in a circuit whose values are in [-1, 1].
const MAX_NUMBER: f64 = (1u64 << 40) as f64;

/// A linear layer: output i is `multipliers[i] · Σ_j weights[i][j] · x_j + biases[i]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LeveledLayer {
    /// Its outputs.
    pub outputs: usize,
    /// s8 `[outputs][inputs]`.
    pub weights: Vec<i8>,
    /// `[outputs]`.
    pub multipliers: Vec<f64>,
    /// `[outputs]`.
    pub biases: Vec<f64>,
}

/// Linear layers with polynomials between them. Values are normalised: whatever an activation reads, and each
/// output, is in [-1, 1] for every record that the client lets in.
#[derive(Debug, Clone, PartialEq)]
pub struct LeveledCircuit {
    /// Ring and levels.
    pub parameters: LeveledParameters,
    /// The `named_modules()` key of the module it came from.
    pub module_key: String,
    /// d_in.
    pub inputs: usize,
    /// One more than activations.
    pub layers: Vec<LeveledLayer>,
    /// Behind each layer but the last.
    pub activations: Vec<LeveledActivation>,
    /// What an input of 1 is in a fresh ciphertext: [`nominal_scale`] times the first layer's multiplier.
    pub input_scale: f64,
    /// What an output of 1 is in a result.
    pub output_scale: f64,
}

impl LeveledCircuit {
    /// d_out.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }

    /// Checks parameters, shapes and numbers.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is out of range, or how many levels the circuit needs.
    pub fn validate(self) -> Result<Self> {
        self.parameters.validate()?;
        let fail = |what: String| {
            Err(Error::invalid(format!(
                "leveled circuit of module {:?} {what}",
                self.module_key
            )))
        };
        if self.module_key.len() > MAX_MODULE_KEY_BYTES {
            return Err(Error::invalid(format!(
                "leveled circuit has a module key of {} bytes, at most {MAX_MODULE_KEY_BYTES} are allowed",
                self.module_key.len()
            )));
        }
        if self.layers.len() > MAX_LAYERS
            || self.activations.is_empty()
            || self.layers.len() != self.activations.len() + 1
        {
            return fail(format!(
                "has {} linear layers and {} activations: one between each two layers is needed, and at most {MAX_LAYERS} layers",
                self.layers.len(),
                self.activations.len()
            ));
        }
        if self.inputs == 0 || self.inputs > MAX_INPUTS {
            return fail(format!(
                "has {} inputs, must be in 1..={MAX_INPUTS}",
                self.inputs
            ));
        }
        let mut width = self.inputs;
        for (index, layer) in self.layers.iter().enumerate() {
            let outputs = layer.outputs;
            if outputs == 0 || outputs > MAX_OUTPUTS {
                return fail(format!(
                    "has {outputs} outputs of layer {index}, must be in 1..={MAX_OUTPUTS}"
                ));
            }
            if Some(layer.weights.len()) != outputs.checked_mul(width)
                || layer.multipliers.len() != outputs
                || layer.biases.len() != outputs
            {
                return fail(format!(
                    "has {} weights, {} multipliers and {} biases of layer {index}, which is {outputs} × {width}",
                    layer.weights.len(),
                    layer.multipliers.len(),
                    layer.biases.len()
                ));
            }
            let numbers = layer.multipliers.iter().chain(&layer.biases);
            if let Some(number) = numbers.copied().find(|number| !is_sane(*number)) {
                return fail(format!("has the number {number} in layer {index}"));
            }
            width = outputs;
        }
        for (index, (activation, layer)) in self.activations.iter().zip(&self.layers).enumerate() {
            if let Err(what) = activation.validate(layer.outputs) {
                return fail(format!("has {what} in activation {index}"));
            }
        }
        let first = &self.layers[0].multipliers;
        let expected = self.input_scale / nominal_scale();
        if !(self.input_scale >= 1.0 && self.input_scale <= MAX_NUMBER)
            || first.iter().any(|multiplier| *multiplier != expected)
        {
            return fail(format!(
                "has an input scale of {}, to which the multipliers of its first layer do not fit",
                self.input_scale
            ));
        }
        let largest = largest_output_scale(self.parameters.polynomial_size);
        if !(self.output_scale >= 1.0 && self.output_scale <= largest) {
            return fail(format!(
                "has an output scale of {}, must be in 1..={largest}",
                self.output_scale
            ));
        }
        let shape: Vec<_> = self
            .activations
            .iter()
            .map(|a| (a.form, a.degree))
            .collect();
        let needed = levels_needed(&shape);
        if needed != self.parameters.levels {
            return fail(format!(
                "has {} levels and needs {needed}",
                self.parameters.levels
            ));
        }
        Ok(self)
    }

    /// The circuit file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&LEVELED.to_le_bytes());
        let word = |bytes: &mut Vec<u8>, value: usize| {
            bytes.extend_from_slice(&(value as u32).to_le_bytes());
        };
        for field in [
            self.parameters.polynomial_size,
            self.parameters.levels,
            self.module_key.len(),
            self.inputs,
            self.layers.len(),
        ] {
            word(&mut bytes, field);
        }
        bytes.extend_from_slice(self.module_key.as_bytes());
        for scale in [self.input_scale, self.output_scale] {
            bytes.extend_from_slice(&scale.to_le_bytes());
        }
        for (index, layer) in self.layers.iter().enumerate() {
            word(&mut bytes, layer.outputs);
            if let Some(activation) = self.activations.get(index) {
                word(&mut bytes, activation.form.code() as usize);
                word(&mut bytes, activation.degree);
            }
        }
        for (index, layer) in self.layers.iter().enumerate() {
            bytes.extend(layer.weights.iter().map(|&weight| weight as u8));
            let (coefficients, linear): (&[f64], &[f64]) = match self.activations.get(index) {
                Some(activation) => (&activation.coefficients, &activation.linear),
                None => (&[], &[]),
            };
            for numbers in [&layer.multipliers, &layer.biases, coefficients, linear] {
                for number in numbers {
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
        let checksum = crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads and checks a circuit file.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong; lengths are checked before anything is allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("leveled circuit", bytes);
        reader.expect_format(MAGIC, VERSION)?;
        let kind = reader.u16()?;
        if kind != LEVELED {
            return Err(Error::invalid(format!(
                "leveled circuit is of kind {kind}, must be {LEVELED}"
            )));
        }
        let parameters = LeveledParameters {
            polynomial_size: reader.count()?,
            levels: reader.count()?,
        };
        let key_bytes = reader.count()?;
        let inputs = reader.count()?;
        let layer_count = reader.count()?;
        if key_bytes > MAX_MODULE_KEY_BYTES || !(2..=MAX_LAYERS).contains(&layer_count) {
            return Err(Error::invalid(format!(
                "leveled circuit has a module key of {key_bytes} bytes and {layer_count} layers, at most {MAX_MODULE_KEY_BYTES} bytes and 2 to {MAX_LAYERS} layers are allowed"
            )));
        }
        let module_key = String::from_utf8(reader.take(key_bytes)?.to_vec())
            .map_err(|_| Error::invalid("leveled circuit has a module key that is no UTF-8"))?;
        let input_scale = f64::from_le_bytes(reader.array()?);
        let output_scale = f64::from_le_bytes(reader.array()?);
        let mut shapes = Vec::new();
        for index in 0..layer_count {
            let outputs = reader.count()?;
            let activation = if index + 1 < layer_count {
                Some((ActivationForm::of_code(reader.u32()?)?, reader.count()?))
            } else {
                None
            };
            shapes.push((outputs, activation));
        }
        let too_large = || Error::invalid("leveled circuit has a layer that is too large");
        let mut layers = Vec::new();
        let mut activations = Vec::new();
        let mut width = inputs;
        for (outputs, activation) in shapes {
            let count = outputs.checked_mul(width).ok_or_else(too_large)?;
            let weights = reader.take(count)?.iter().map(|&byte| byte as i8).collect();
            layers.push(LeveledLayer {
                outputs,
                weights,
                multipliers: numbers(&mut reader, outputs)?,
                biases: numbers(&mut reader, outputs)?,
            });
            if let Some((form, degree)) = activation {
                let count = degree
                    .checked_add(1)
                    .and_then(|count| count.checked_mul(outputs))
                    .ok_or_else(too_large)?;
                let linear = if form == ActivationForm::Even {
                    outputs
                } else {
                    0
                };
                activations.push(LeveledActivation {
                    form,
                    degree,
                    coefficients: numbers(&mut reader, count)?,
                    linear: numbers(&mut reader, linear)?,
                });
            }
            width = outputs;
        }
        let checksum = reader.u32()?;
        reader.expect_end()?;
        if crc32c(&bytes[..bytes.len() - 4]) != checksum {
            return Err(Error::invalid(
                "leveled circuit is damaged: it does not match its checksum",
            ));
        }
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

    /// SHA-256 of a circuit file.
    pub fn digest(bytes: &[u8]) -> CircuitDigest {
        Sha256::digest(bytes).into()
    }
}

/// So many f64.
fn numbers(reader: &mut Reader, count: usize) -> Result<Vec<f64>> {
    let words = reader.words(count)?;
    Ok(words.into_iter().map(f64::from_bits).collect())
}

/// Whether a number has a place in a circuit.
fn is_sane(number: f64) -> bool {
    number.abs() <= MAX_NUMBER
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{Rng, RngExt, SeedableRng};

    use super::*;

    /// A random chain of layers of these widths whose values stay in [-1, 1] for records of norm 1.
    pub(crate) fn chain(
        polynomial_size: usize,
        widths: &[usize],
        shapes: &[(ActivationForm, usize)],
        seed: u64,
    ) -> LeveledCircuit {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut layers = Vec::new();
        let mut activations = Vec::new();
        for (index, pair) in widths.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let weights: Vec<i8> = (0..inputs * outputs)
                .map(|_| random.random_range(-127..=127i32) as i8)
                .collect();
            // By Cauchy and Schwarz for the first layer, by the sum of magnitudes for others.
            let norms: Vec<f64> = weights
                .chunks(inputs)
                .map(|row| {
                    let values = row.iter().map(|&w| f64::from(w).abs());
                    if index == 0 {
                        values.map(|w| w * w).sum::<f64>().sqrt()
                    } else {
                        values.sum()
                    }
                })
                .map(|norm: f64| norm.max(1.0))
                .collect();
            let multipliers = if index == 0 {
                vec![0.9 / norms.iter().fold(0f64, |a, &b| a.max(b)); outputs]
            } else {
                norms.iter().map(|norm| 0.9 / norm).collect()
            };
            let mut small = || random.random_range(-0.1..0.1);
            layers.push(LeveledLayer {
                outputs,
                weights,
                multipliers,
                biases: (0..outputs).map(|_| small()).collect(),
            });
            if let Some(&(form, degree)) = shapes.get(index) {
                let mut coefficients: Vec<f64> = (0..outputs * (degree + 1))
                    .map(|_| random.random_range(-1.0..1.0))
                    .collect();
                let mut linear = vec![
                    0.0;
                    if form == ActivationForm::Even {
                        outputs
                    } else {
                        0
                    }
                ];
                for (neuron, row) in coefficients.chunks_mut(degree + 1).enumerate() {
                    let slope = random.random_range(-1.0..1.0f64);
                    // The first term is drawn; what follows falls off.
                    for (k, c) in row.iter_mut().enumerate() {
                        *c /= (1 + k * k) as f64;
                    }
                    let sum: f64 = row.iter().map(|c| c.abs()).sum::<f64>() + slope.abs();
                    row.iter_mut().for_each(|c| *c /= sum);
                    if form == ActivationForm::Even {
                        linear[neuron] = slope / sum;
                    }
                }
                activations.push(LeveledActivation {
                    form,
                    degree,
                    coefficients,
                    linear,
                });
            }
        }
        LeveledCircuit {
            parameters: LeveledParameters {
                polynomial_size,
                levels: levels_needed(shapes),
            },
            module_key: "seq".into(),
            inputs: widths[0],
            input_scale: nominal_scale() * layers[0].multipliers[0],
            layers,
            activations,
            output_scale: largest_output_scale(polynomial_size),
        }
        .validate()
        .unwrap()
    }

    /// Records `[count][inputs]` on the unit ball's surface.
    pub(crate) fn records(count: usize, inputs: usize, seed: u64) -> Vec<f64> {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut all = Vec::with_capacity(count * inputs);
        for _ in 0..count {
            let record: Vec<f64> = (0..inputs)
                .map(|_| random.random_range(-1.0..1.0))
                .collect();
            let norm = record.iter().map(|v| v * v).sum::<f64>().sqrt();
            all.extend(record.iter().map(|v| v / norm));
        }
        all
    }

    fn circuit() -> LeveledCircuit {
        let shapes = [(ActivationForm::Even, 3), (ActivationForm::General, 4)];
        chain(16384, &[5, 4, 3, 2], &shapes, 1)
    }

    #[test]
    fn a_circuit_survives_its_file() {
        let circuit = circuit();
        assert_eq!(LeveledCircuit::decode(&circuit.encode()).unwrap(), circuit);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let refusal = |change: &dyn Fn(&mut LeveledCircuit)| {
            let mut changed = circuit();
            change(&mut changed);
            changed.validate().unwrap_err().to_string()
        };
        assert!(refusal(&|c| c.parameters.levels += 1).contains("needs 9"));
        assert!(refusal(&|c| c.layers[1].weights.truncate(7)).contains("7 weights"));
        assert!(refusal(&|c| c.layers[2].biases[0] = f64::NAN).contains("NaN in layer 2"));
        assert!(refusal(&|c| c.layers[0].multipliers[1] *= 1.5).contains("input scale"));
        assert!(refusal(&|c| c.input_scale *= 2.0).contains("input scale"));
        assert!(refusal(&|c| c.output_scale *= 2.0).contains("output scale"));
        assert!(refusal(&|c| c.output_scale = f64::NAN).contains("output scale"));
        assert!(refusal(&|c| c.activations[0].linear.clear()).contains("activation 0"));
        assert!(refusal(&|c| c.activations[1].degree = 0).contains("activation 1"));
        assert!(refusal(&|c| c.activations.clear()).contains("0 activations"));
        assert!(refusal(&|c| c.inputs = 0).contains("0 inputs"));
    }

    proptest! {
        #[test]
        fn altered_and_truncated_files_are_noticed(position in any::<prop::sample::Index>(), bits in 1u8..=255) {
            let bytes = circuit().encode();
            let position = position.index(bytes.len());
            prop_assert!(LeveledCircuit::decode(&bytes[..position]).is_err());
            let mut altered = bytes;
            altered[position] ^= bits;
            prop_assert!(LeveledCircuit::decode(&altered).is_err());
        }

        #[test]
        fn hostile_files_with_a_good_checksum_are_read_or_refused(seed in any::<u64>()) {
            let mut random = SmallRng::seed_from_u64(seed);
            let mut bytes = circuit().encode();
            let end = bytes.len() - 4;
            for _ in 0..random.random_range(1..5) {
                let position = random.random_range(8..end.min(100));
                bytes[position] = random.next_u32() as u8;
            }
            let checksum = crc32c(&bytes[..end]);
            bytes[end..].copy_from_slice(&checksum.to_le_bytes());
            if let Ok(circuit) = LeveledCircuit::decode(&bytes) {
                prop_assert_eq!(circuit.encode(), bytes);
            }
        }
    }
}
