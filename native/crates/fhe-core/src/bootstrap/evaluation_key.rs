//! The file format of evaluation keys: a seeded keyswitch key and a seeded bootstrap key.
//!
//! Magic `FHEV`, version u16, zero u16, the client key's id (16 bytes), eight u32 fields
//! ([`BootstrapParameters::fields`]), the seeds of the masks of keyswitch and bootstrap key (16 bytes each);
//! the bodies of the keyswitch key, u64 `[k·N][levels]`; those of the bootstrap key, u64
//! `[n][levels][k + 1][N]`; a CRC-32C of all that. Its SHA-256 is its digest. It holds no secret, but stands
//! for one client.

use sha2::{Digest, Sha256};

use super::BootstrapParameters;
use crate::block::{KeyId, short_hex};
use crate::checksum::crc32c;
use crate::wire::Reader;
use crate::{Error, Result};

const MAGIC: &[u8; 4] = b"FHEV";
const VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 4;

/// What an evaluation key says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationKeyHeader {
    /// The client key it belongs to.
    pub key_id: KeyId,
    /// Its parameters.
    pub parameters: BootstrapParameters,
    /// Seed of the keyswitch key's masks.
    pub keyswitch_seed: [u8; 16],
    /// Seed of the bootstrap key's masks.
    pub bootstrap_seed: [u8; 16],
}

impl EvaluationKeyHeader {
    const BYTES: usize = 4 + 2 + 2 + 16 + 4 * BootstrapParameters::FIELDS + 16 + 16;

    /// Words of the keyswitch key's bodies.
    pub fn keyswitch_words(&self) -> usize {
        self.parameters.value_dimension() * self.parameters.keyswitch.levels
    }

    /// Words of the bootstrap key's bodies.
    pub fn bootstrap_words(&self) -> usize {
        let p = &self.parameters;
        p.lwe_dimension * p.bootstrap.levels * (p.glwe_dimension + 1) * p.polynomial_size
    }

    /// Checks that a circuit's look-ups on ciphertexts under a client key can use it. How results are rounded
    /// does not concern keys.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming both keys, or that parameters differ.
    pub fn expect(&self, key_id: &KeyId, circuit: &BootstrapParameters) -> Result<()> {
        if self.key_id != *key_id {
            return Err(Error::invalid(format!(
                "encrypted blocks are under client key {}, the evaluation key is of client key {}: give the evaluation key that keygen wrote beside that key",
                short_hex(key_id),
                short_hex(&self.key_id)
            )));
        }
        let mut parameters = self.parameters;
        parameters.output_bytes = circuit.output_bytes;
        if parameters != *circuit {
            return Err(Error::invalid(
                "the evaluation key has other parameters than the circuit: make keys for this model with keygen",
            ));
        }
        Ok(())
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> usize {
        Self::BYTES + 8 * (self.keyswitch_words() + self.bootstrap_words()) + CHECKSUM_BYTES
    }
}

/// A checked evaluation key; its bodies lie in the file's bytes.
#[derive(Debug, Clone)]
pub struct EvaluationKey<'a> {
    /// What it says of itself.
    pub header: EvaluationKeyHeader,
    /// Little-endian words of the keyswitch key.
    keyswitch: &'a [u8],
    /// Little-endian words of the bootstrap key.
    bootstrap: &'a [u8],
}

impl<'a> EvaluationKey<'a> {
    /// The file's bytes.
    ///
    /// # Panics
    /// If there are not as many words as the header says.
    pub fn encode(header: &EvaluationKeyHeader, keyswitch: &[u64], bootstrap: &[u64]) -> Vec<u8> {
        assert_eq!(keyswitch.len(), header.keyswitch_words());
        assert_eq!(bootstrap.len(), header.bootstrap_words());
        let mut bytes = Vec::with_capacity(header.file_bytes());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&header.key_id);
        for field in header.parameters.fields() {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&header.keyswitch_seed);
        bytes.extend_from_slice(&header.bootstrap_seed);
        for word in keyswitch.iter().chain(bootstrap) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let checksum = crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong; nothing is allocated before lengths are checked.
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new("evaluation key", bytes);
        reader.expect_format(MAGIC, VERSION)?;
        if reader.u16()? != 0 {
            return Err(Error::invalid(
                "evaluation key has a reserved field that is not zero",
            ));
        }
        let key_id = reader.array()?;
        let mut fields = [0; BootstrapParameters::FIELDS];
        for field in &mut fields {
            *field = reader.u32()?;
        }
        let header = EvaluationKeyHeader {
            key_id,
            parameters: BootstrapParameters::of_fields(fields).validate()?,
            keyswitch_seed: reader.array()?,
            bootstrap_seed: reader.array()?,
        };
        if bytes.len() != header.file_bytes() {
            return Err(Error::invalid(format!(
                "evaluation key is truncated or damaged: {} bytes, {} expected",
                bytes.len(),
                header.file_bytes()
            )));
        }
        let keyswitch = reader.take(8 * header.keyswitch_words())?;
        let bootstrap = reader.take(8 * header.bootstrap_words())?;
        if crc32c(&bytes[..bytes.len() - CHECKSUM_BYTES]) != reader.u32()? {
            return Err(Error::invalid(
                "evaluation key is damaged: it does not match its checksum",
            ));
        }
        Ok(EvaluationKey {
            header,
            keyswitch,
            bootstrap,
        })
    }

    /// Bodies of the keyswitch key.
    pub fn keyswitch_words(&self) -> Vec<u64> {
        words(self.keyswitch)
    }

    /// Bodies of the bootstrap key.
    pub fn bootstrap_words(&self) -> Vec<u64> {
        words(self.bootstrap)
    }

    /// SHA-256 of a file.
    pub fn digest(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| u64::from_le_bytes(*word))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Decomposition;
    use super::*;

    fn header() -> EvaluationKeyHeader {
        EvaluationKeyHeader {
            key_id: [7; 16],
            parameters: BootstrapParameters {
                lwe_dimension: 900,
                glwe_dimension: 4,
                polynomial_size: 256,
                bootstrap: Decomposition {
                    base_log: 15,
                    levels: 1,
                },
                keyswitch: Decomposition {
                    base_log: 4,
                    levels: 1,
                },
                output_bytes: 2,
            },
            keyswitch_seed: [1; 16],
            bootstrap_seed: [2; 16],
        }
    }

    fn file() -> Vec<u8> {
        let header = header();
        let words = |count: usize| (0..count as u64).collect::<Vec<_>>();
        EvaluationKey::encode(
            &header,
            &words(header.keyswitch_words()),
            &words(header.bootstrap_words()),
        )
    }

    #[test]
    fn a_key_survives_its_file() {
        let file = file();
        let key = EvaluationKey::decode(&file).unwrap();
        assert_eq!(key.header, header());
        assert_eq!(file.len(), header().file_bytes());
        assert_eq!(key.keyswitch_words().last(), Some(&1023));
        assert_eq!(key.bootstrap_words().last(), Some(&(900 * 5 * 256 - 1)));
    }

    #[test]
    fn a_length_that_its_header_does_not_have_is_told_before_anything_is_read() {
        let mut file = file();
        // n: the file would be several times as long.
        file[24..28].copy_from_slice(&4096u32.to_le_bytes());
        let error = EvaluationKey::decode(&file).unwrap_err().to_string();
        assert!(error.contains("truncated or damaged"), "{error}");
        file[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = EvaluationKey::decode(&file).unwrap_err().to_string();
        assert!(error.contains("LWE dimension is 4294967295"), "{error}");
    }

    #[test]
    fn a_file_whose_masks_would_take_all_memory_is_refused() {
        let mut file = file();
        // n, k, N, bootstrap base and levels, keyswitch base and levels: bodies are a 4097th of that key.
        for (place, field) in [4096u32, 4, 2048, 15, 1, 1, 32].into_iter().enumerate() {
            file[24 + 4 * place..][..4].copy_from_slice(&field.to_le_bytes());
        }
        let error = EvaluationKey::decode(&file).unwrap_err().to_string();
        let expected = "the keyswitch key takes 8194 MiB of memory";
        assert!(error.contains(expected), "{error}");
        file[24 + 4 * 6..][..4].copy_from_slice(&1u32.to_le_bytes());
        file[24 + 4 * 3..][..8].copy_from_slice(&[1, 0, 0, 0, 32, 0, 0, 0]);
        let error = EvaluationKey::decode(&file).unwrap_err().to_string();
        assert!(error.contains("the bootstrap key takes"), "{error}");
    }

    #[test]
    fn another_owner_and_other_parameters_are_told() {
        let header = header();
        let mut circuit = header.parameters;
        circuit.output_bytes = 3;
        assert_eq!(header.expect(&[7; 16], &circuit), Ok(()));
        let error = header.expect(&[8; 16], &circuit).unwrap_err().to_string();
        let keys = "under client key 0808080808080808, the evaluation key is of client key 0707070707070707";
        assert!(error.contains(keys), "{error}");
        circuit.keyswitch.levels = 2;
        let error = header.expect(&[7; 16], &circuit).unwrap_err().to_string();
        assert!(error.contains("has other parameters"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn altered_and_truncated_keys_are_noticed(
            position in any::<prop::sample::Index>(),
            head in 0usize..EvaluationKeyHeader::BYTES,
            bits in 1u8..=255,
        ) {
            let mut bytes = file();
            let position = position.index(bytes.len());
            prop_assert!(EvaluationKey::decode(&bytes[..position]).is_err());
            for place in [position, head] {
                bytes[place] ^= bits;
                prop_assert!(EvaluationKey::decode(&bytes).is_err());
                bytes[place] ^= bits;
            }
        }

        /// Past the checksum, as an attacker would.
        #[test]
        fn altered_heads_with_a_right_checksum_do_no_harm(head in 0usize..EvaluationKeyHeader::BYTES, bits in 1u8..=255) {
            let mut bytes = file();
            bytes[head] ^= bits;
            let length = bytes.len() - 4;
            let checksum = crc32c(&bytes[..length]).to_le_bytes();
            bytes[length..].copy_from_slice(&checksum);
            let _ = EvaluationKey::decode(&bytes);
        }
    }
}
