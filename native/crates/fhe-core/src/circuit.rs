//! The file format of packed circuits.
//!
//! Magic `FHEC`, version u16, kind u16 (1: packed linear), then u32 fields k, N, limbs, body limbs, output
//! limbs, output body limbs, message bits, bodies, summands, flooding, d_in, d_out and the length of the module key; the
//! key in UTF-8; the weights, s8 `[d_out][d_in]`; a CRC-32C of all that. Its SHA-256 is the circuit's digest.

use sha2::{Digest, Sha256};

use crate::block::CircuitDigest;
use crate::checksum::crc32c;
use crate::parameters::{MAX_INPUTS, MAX_OUTPUTS, PackedParameters};
use crate::wire::Reader;
use crate::{Error, Result};

/// First bytes of a circuit file, of every kind.
pub const MAGIC: &[u8; 4] = b"FHEC";

/// Format version of circuit files, of every kind.
pub const VERSION: u16 = 4;
const PACKED_LINEAR: u16 = 1;
const MAX_MODULE_KEY_BYTES: usize = 4096;

/// A linear layer `y = x · Wᵀ` on packed ciphertexts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedCircuit {
    /// Its parameters.
    pub parameters: PackedParameters,
    /// The `named_modules()` key of the module it came from.
    pub module_key: String,
    /// d_in.
    pub inputs: usize,
    /// d_out.
    pub outputs: usize,
    /// s8 `[d_out][d_in]`.
    pub weights: Vec<i8>,
}

impl PackedCircuit {
    /// Checks parameters and shapes.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is out of range.
    pub fn validate(self) -> Result<Self> {
        self.parameters.validate()?;
        crate::noise::fresh_noise_bound_log2(
            self.parameters.lwe_dimension(),
            self.parameters.limbs,
        )?;
        for (name, found, max) in [
            ("inputs", self.inputs, MAX_INPUTS),
            ("outputs", self.outputs, MAX_OUTPUTS),
        ] {
            if found == 0 || found > max {
                return Err(Error::invalid(format!(
                    "circuit of module {:?} has {found} {name}, must be in 1..={max}",
                    self.module_key
                )));
            }
        }
        if self.weights.len() != self.inputs * self.outputs {
            return Err(Error::invalid(format!(
                "circuit of module {:?} has {} weights, {} × {} expected",
                self.module_key,
                self.weights.len(),
                self.outputs,
                self.inputs
            )));
        }
        let is_even = |row: &[i8]| row.iter().all(|w| w % 2 == 0) && row.iter().any(|&w| w != 0);
        if let Some(output) = self.weights.chunks_exact(self.inputs).position(is_even)
            && self.parameters.rounds()
        {
            return Err(Error::invalid(format!(
                "circuit of module {:?}: all weights of output {output} are even, which biases the rounding of its result; divide them and double their scale",
                self.module_key
            )));
        }
        if self.module_key.len() > MAX_MODULE_KEY_BYTES {
            return Err(Error::invalid(format!(
                "circuit has a module key of {} bytes, at most {MAX_MODULE_KEY_BYTES} are allowed",
                self.module_key.len()
            )));
        }
        Ok(self)
    }

    /// The circuit file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.module_key.len() + self.weights.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&PACKED_LINEAR.to_le_bytes());
        let shape = [self.inputs, self.outputs, self.module_key.len()];
        for field in self.parameters.fields().into_iter().chain(shape) {
            bytes.extend_from_slice(&(field as u32).to_le_bytes());
        }
        bytes.extend_from_slice(self.module_key.as_bytes());
        bytes.extend(self.weights.iter().map(|&w| w as u8));
        let checksum = crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads and checks a circuit file.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong; lengths are checked before anything is allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("circuit", bytes);
        reader.expect_format(MAGIC, VERSION)?;
        let kind = reader.u16()?;
        if kind != PACKED_LINEAR {
            return Err(Error::invalid(format!(
                "circuit has the unknown kind {kind}"
            )));
        }
        let parameters = PackedParameters {
            glwe_dimension: reader.count()?,
            polynomial_size: reader.count()?,
            limbs: reader.count()?,
            body_limbs: reader.count()?,
            output_limbs: reader.count()?,
            output_body_limbs: reader.count()?,
            message_bits: reader.count()?,
            bodies: reader.count()?,
            summands: reader.count()?,
            flooding: reader.count()?,
        };
        let inputs = reader.count()?;
        let outputs = reader.count()?;
        let key_bytes = reader.count()?;
        let key = reader.take(key_bytes)?;
        let weights = reader.take(inputs.saturating_mul(outputs))?;
        let checksum = reader.u32()?;
        let body = &bytes[..bytes.len() - 4];
        if 60 + key_bytes + weights.len() + 4 != bytes.len() {
            return Err(Error::invalid(format!(
                "circuit is too long: {} bytes",
                bytes.len()
            )));
        }
        if crc32c(body) != checksum {
            return Err(Error::invalid(
                "circuit is damaged: it does not match its checksum",
            ));
        }
        let module_key = String::from_utf8(key.to_vec())
            .map_err(|_| Error::invalid("circuit has a module key that is not UTF-8"))?;
        PackedCircuit {
            parameters,
            module_key,
            inputs,
            outputs,
            weights: weights.iter().map(|&w| w as i8).collect(),
        }
        .validate()
    }

    /// The digest of a circuit file's bytes.
    pub fn digest(bytes: &[u8]) -> CircuitDigest {
        Sha256::digest(bytes).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn circuit() -> PackedCircuit {
        PackedCircuit {
            parameters: PackedParameters {
                glwe_dimension: 3,
                polynomial_size: 512,
                limbs: 5,
                body_limbs: 5,
                output_limbs: 4,
                output_body_limbs: 3,
                message_bits: 20,
                bodies: 8,
                summands: 1,
                flooding: 0,
            },
            module_key: "seq.0".into(),
            inputs: 3,
            outputs: 2,
            weights: vec![1, -2, 3, -128, 127, 0],
        }
    }

    #[test]
    fn a_circuit_survives_its_file() {
        assert_eq!(
            PackedCircuit::decode(&circuit().encode()).unwrap(),
            circuit()
        );
    }

    #[test]
    fn a_circuit_below_132_bits_is_refused() {
        let mut weak = circuit();
        weak.parameters.glwe_dimension = 1;
        weak.parameters.polynomial_size = 256;
        let error = PackedCircuit::decode(&weak.encode()).unwrap_err();
        assert!(error.to_string().contains("132-bit"), "{error}");
    }

    proptest! {
        #[test]
        fn any_altered_byte_is_noticed(position in 0usize..50, bits in 1u8..=255) {
            let mut bytes = circuit().encode();
            let position = position % bytes.len();
            bytes[position] ^= bits;
            prop_assert!(PackedCircuit::decode(&bytes).is_err());
        }

        #[test]
        fn any_truncation_is_noticed(length in 0usize..50) {
            let bytes = circuit().encode();
            prop_assert!(PackedCircuit::decode(&bytes[..length.min(bytes.len() - 1)]).is_err());
        }

        #[test]
        fn random_bytes_are_an_error_and_never_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = PackedCircuit::decode(&bytes);
            if bytes.len() > 8 {
                bytes[..8].copy_from_slice(b"FHEC\x04\x00\x01\x00");
            }
            prop_assert!(PackedCircuit::decode(&bytes).is_err());
        }
    }
}
