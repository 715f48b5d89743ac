//! Results of look-ups.

use fhe_core::block::{BlockHeader, BlockKind, CircuitDigest, KeyId, short_hex};
use fhe_core::bootstrap::BootstrapParameters;
use fhe_core::{Error, Result};
use zeroize::Zeroizing;

use crate::rows::write_columns;
use crate::threads::{in_parallel, ranges};
use crate::{ClientKey, Outputs};

/// What the client knows of the results of a circuit with look-ups.
#[derive(Debug, Clone, PartialEq)]
pub struct LookupResultsSpec {
    /// The circuit.
    pub circuit: CircuitDigest,
    /// Its parameters.
    pub parameters: BootstrapParameters,
    /// What a whole torus is worth in each output.
    pub scales: Vec<f64>,
    /// Added to each output, or empty.
    pub bias: Vec<f32>,
}

/// The client's side of the results of a circuit with look-ups: decrypts and dequantises.
pub struct LookupClient {
    spec: LookupResultsSpec,
    key: Option<(KeyId, Zeroizing<Vec<u64>>)>,
}

/// What calibration saw lies within a quarter of the torus of 0; a phase beyond three eighths, in units of 2^-64,
/// may as well have come round from the other side.
const DOUBTFUL: u64 = 3 << 61;

/// The torus.
const MODULUS: f64 = 18_446_744_073_709_551_616.0;

impl LookupClient {
    /// Checks the specification and finds the keys; without a key it can only dequantise.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is out of range or missing in the key.
    pub fn new(spec: LookupResultsSpec, key: Option<&ClientKey>) -> Result<Self> {
        let parameters = spec.parameters.validate()?;
        let outputs = spec.scales.len();
        if outputs == 0 || !(spec.bias.is_empty() || spec.bias.len() == outputs) {
            return Err(Error::invalid(format!(
                "results of look-ups: {outputs} scales and {} biases",
                spec.bias.len()
            )));
        }
        if let Some(output) = spec.scales.iter().position(|scale| !scale.is_finite()) {
            return Err(Error::invalid(format!(
                "results of look-ups: the scale of output {output} is {}",
                spec.scales[output]
            )));
        }
        let secret = |key: &ClientKey| {
            Ok::<_, Error>((*key.id(), key.lwe_secret_words(parameters.lwe_dimension)?))
        };
        Ok(LookupClient {
            key: key.map(secret).transpose()?,
            spec,
        })
    }

    /// The specification.
    pub fn spec(&self) -> &LookupResultsSpec {
        &self.spec
    }

    /// Decrypts block `block_number` of results on at most `threads` threads: phases `[records][outputs]`, in
    /// units of 2^-64 of the torus.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block is damaged, made by another circuit, under another key, or another
    /// block's result.
    pub fn decrypt(&self, block: &[u8], block_number: u64, threads: usize) -> Result<Vec<i64>> {
        let Some((key_id, secret)) = &self.key else {
            return Err(Error::invalid(
                "results of look-ups cannot be decrypted without a client key",
            ));
        };
        let (header, payload) = BlockHeader::parse(block)?;
        self.expect(&header, key_id, block_number)?;
        let bytes = self.spec.parameters.output_bytes;
        let (masks, bodies) = payload.split_at(header.layout().mask.bytes());
        let mut phases = vec![0; bodies.len() / bytes];
        let mut rest = phases.as_mut_slice();
        let parts = ranges(rest.len(), threads).map(|range| {
            let (part, after) = std::mem::take(&mut rest).split_at_mut(range.len());
            rest = after;
            (range, part)
        });
        in_parallel(parts.collect(), |(range, part)| {
            for (phase, value) in part.iter_mut().zip(range) {
                let mask = &masks[value * secret.len() * bytes..][..secret.len() * bytes];
                let entries = mask.chunks_exact(bytes).zip(secret.iter());
                let inner = entries.fold(0u64, |sum, (mask, bit)| {
                    sum.wrapping_add(entry(mask).wrapping_mul(*bit))
                });
                let body = &bodies[value * bytes..][..bytes];
                *phase = entry(body).wrapping_sub(inner) as i64;
            }
        });
        Ok(phases)
    }

    /// Decrypts block `block_number` of results and dequantises it; gives what
    /// [`LookupClient::dequantize`] does.
    ///
    /// # Errors
    /// As [`LookupClient::decrypt`], and if `out` does not fit the block.
    pub fn decrypt_to_floats(
        &self,
        block: &[u8],
        block_number: u64,
        threads: usize,
        out: Outputs<f32>,
    ) -> Result<usize> {
        let phases = self.decrypt(block, block_number, threads)?;
        self.dequantize(&phases, out)
    }

    /// Outputs of phases `[records][outputs]`: phase / 2^64 · scale + bias. Gives the number of those so near
    /// the ends of their range that they may have left it at the other end.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if `out` does not fit the phases.
    pub fn dequantize(&self, phases: &[i64], out: Outputs<f32>) -> Result<usize> {
        let outputs = self.spec.scales.len();
        if out.columns() != outputs || out.records() * outputs != phases.len() {
            return Err(Error::invalid(format!(
                "places for {} records of {} outputs where {} of {outputs} are expected",
                out.records(),
                out.columns(),
                phases.len() / outputs
            )));
        }
        write_columns(out, |output, values| {
            let scale = self.spec.scales[output] / MODULUS;
            let bias = f64::from(self.spec.bias.get(output).copied().unwrap_or(0.0));
            let records = phases[output..].iter().step_by(outputs);
            for (value, &phase) in values.iter_mut().zip(records) {
                *value = (phase as f64 * scale + bias) as f32;
            }
        });
        let is_doubtful = |phase: &&i64| phase.unsigned_abs() > DOUBTFUL;
        Ok(phases.iter().filter(is_doubtful).count())
    }

    fn expect(&self, header: &BlockHeader, key_id: &KeyId, block_number: u64) -> Result<()> {
        let number = header.block_number;
        if header.kind != BlockKind::LookupResults {
            return Err(Error::invalid(format!(
                "encrypted block {number} holds {:?}, expected {:?}",
                header.kind,
                BlockKind::LookupResults
            )));
        }
        if header.circuit != self.spec.circuit {
            return Err(Error::invalid(format!(
                "encrypted block {number} is of circuit {}, not of circuit {}",
                short_hex(&header.circuit),
                short_hex(&self.spec.circuit)
            )));
        }
        if header.key_id != *key_id {
            return Err(Error::invalid(format!(
                "encrypted block {number} is under client key {}, not under client key {}",
                short_hex(&header.key_id),
                short_hex(key_id)
            )));
        }
        if number != block_number {
            return Err(Error::invalid(format!(
                "encrypted block {number} came back for block {block_number}"
            )));
        }
        let parameters = &self.spec.parameters;
        for (name, found, wanted) in [
            (
                "LWE dimension",
                header.glwe_dimension,
                parameters.lwe_dimension,
            ),
            ("mask count", header.polynomial_size, header.records),
            ("limbs", header.limbs, parameters.output_bytes),
            ("body limbs", header.body_limbs, parameters.output_bytes),
            ("outputs", header.features, self.spec.scales.len()),
        ] {
            if found != wanted {
                return Err(Error::invalid(format!(
                    "encrypted block {number} has {name} {found}, expected {wanted}"
                )));
            }
        }
        Ok(())
    }
}

/// The top bytes of a torus element.
fn entry(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[8 - bytes.len()..].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use fhe_core::bootstrap::Decomposition;

    use super::*;

    #[test]
    fn outputs_at_the_ends_of_their_range_are_counted() {
        let parameters = BootstrapParameters {
            lwe_dimension: 930,
            glwe_dimension: 4,
            polynomial_size: 512,
            bootstrap: Decomposition {
                base_log: 23,
                levels: 1,
            },
            keyswitch: Decomposition {
                base_log: 3,
                levels: 6,
            },
            output_bytes: 3,
        };
        let spec = LookupResultsSpec {
            circuit: [0; 32],
            parameters,
            scales: vec![8.0, 16.0],
            bias: vec![0.0, 1.0],
        };
        let client = LookupClient::new(spec, None).unwrap();
        let edge = DOUBTFUL as i64;
        let phases = [edge, -edge, edge + 1, -edge - 1, i64::MIN, 0];
        let mut values = [0.0; 6];
        let out = Outputs::table(&mut values, 2).unwrap();
        assert_eq!(client.dequantize(&phases, out).unwrap(), 3);
        assert_eq!(values, [3.0, -5.0, 3.0, -5.0, -4.0, 1.0]);
    }
}
