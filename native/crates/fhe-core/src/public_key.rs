//! The file format of a client's public key, with which results are re-randomised.
//!
//! For a shape (k, N, limbs, K) of secret keys it is k encryptions of zero with all K bodies: k rows of k mask
//! polynomials, expanded from a seed as the mask of a block of k features is, and k·K bodies. Combined with k
//! random binary polynomials and fresh noise they make an encryption of zero (Lyubashevsky, Peikert and Regev's
//! encryption, with modules and a common mask).
//!
//! Magic `FHEP`, version u16, number of sets u16, key id, then a set: k, N, limbs, K as u32, the mask seed, and
//! the bodies as the payload of a block of K·N records of k features ([`crate::panel`]); a CRC-32C of all that.
//! There is no secret in it.

use crate::block::KeyId;
use crate::checksum::crc32c;
use crate::mask::MaskSeed;
use crate::noise::fresh_noise_bound_log2;
use crate::panel::PanelLayout;
use crate::parameters::PackedParameters;
use crate::wire::Reader;
use crate::{Error, Result};

const MAGIC: &[u8; 4] = b"FHEP";
const VERSION: u16 = 1;

/// A public key for secret keys of one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeySet {
    /// k.
    pub glwe_dimension: usize,
    /// N.
    pub polynomial_size: usize,
    /// Bytes of an entry.
    pub limbs: usize,
    /// K.
    pub bodies: usize,
    /// Of the k rows of masks.
    pub mask_seed: MaskSeed,
    /// `[K·N / 64][k][limbs][64]`.
    pub payload: Vec<u8>,
}

impl PublicKeySet {
    /// Parameters of blocks whose entries are all of the set's limbs.
    pub fn block_parameters(
        glwe_dimension: usize,
        polynomial_size: usize,
        limbs: usize,
        bodies: usize,
    ) -> PackedParameters {
        PackedParameters {
            glwe_dimension,
            polynomial_size,
            limbs,
            body_limbs: limbs,
            output_limbs: limbs,
            output_body_limbs: limbs,
            message_bits: 2,
            bodies,
            summands: 1,
            flooding: 0,
        }
    }

    /// Parameters of blocks of this set's shape.
    pub fn parameters(&self) -> PackedParameters {
        Self::block_parameters(
            self.glwe_dimension,
            self.polynomial_size,
            self.limbs,
            self.bodies,
        )
    }

    /// Where bodies lie in the payload: K·N rows of k features.
    pub fn layout(&self) -> PanelLayout {
        PanelLayout {
            rows: self.bodies * self.polynomial_size,
            features: self.glwe_dimension,
            limbs: self.limbs,
        }
    }

    /// Whether it is for circuits of these parameters.
    pub fn fits(&self, parameters: &PackedParameters) -> bool {
        self.glwe_dimension == parameters.glwe_dimension
            && self.polynomial_size == parameters.polynomial_size
            && self.limbs == parameters.limbs
            && self.bodies == parameters.bodies
    }
}

/// What a public key's file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyFile {
    /// The client key that it belongs to.
    pub key_id: KeyId,
    /// One a shape.
    pub sets: Vec<PublicKeySet>,
}

impl PublicKeyFile {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.sets.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&self.key_id);
        for set in &self.sets {
            for field in [
                set.glwe_dimension,
                set.polynomial_size,
                set.limbs,
                set.bodies,
            ] {
                bytes.extend_from_slice(&(field as u32).to_le_bytes());
            }
            bytes.extend_from_slice(&set.mask_seed);
            bytes.extend_from_slice(&set.payload);
        }
        let checksum = crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong; lengths are checked before anything is allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("public key", bytes);
        reader.expect_format(MAGIC, VERSION)?;
        let count = reader.u16()?;
        let key_id = reader.array()?;
        let mut sets = Vec::new();
        for _ in 0..count {
            let mut set = PublicKeySet {
                glwe_dimension: reader.count()?,
                polynomial_size: reader.count()?,
                limbs: reader.count()?,
                bodies: reader.count()?,
                mask_seed: reader.array()?,
                payload: Vec::new(),
            };
            let parameters = set.parameters().validate()?;
            fresh_noise_bound_log2(parameters.lwe_dimension(), parameters.limbs)?;
            set.payload = reader.take(set.layout().bytes())?.to_vec();
            sets.push(set);
        }
        let checksum = reader.u32()?;
        reader.expect_end()?;
        if crc32c(&bytes[..bytes.len() - 4]) != checksum {
            return Err(Error::invalid(
                "public key is damaged: it does not match its checksum",
            ));
        }
        Ok(PublicKeyFile { key_id, sets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file() -> PublicKeyFile {
        let set = PublicKeySet {
            glwe_dimension: 15,
            polynomial_size: 64,
            limbs: 3,
            bodies: 2,
            mask_seed: [5; 16],
            payload: (0..2 * 64 * 15 * 3).map(|byte| byte as u8).collect(),
        };
        PublicKeyFile {
            key_id: [7; 16],
            sets: vec![set],
        }
    }

    #[test]
    fn a_key_survives_its_file() {
        assert_eq!(PublicKeyFile::decode(&file().encode()).unwrap(), file());
    }

    proptest! {
        #[test]
        fn any_altered_byte_is_noticed(position in 0usize..6000, bits in 1u8..=255) {
            let mut bytes = file().encode();
            let position = position % bytes.len();
            bytes[position] ^= bits;
            prop_assert!(PublicKeyFile::decode(&bytes).is_err());
        }

        #[test]
        fn any_truncation_is_noticed(length in 0usize..6000) {
            let bytes = file().encode();
            prop_assert!(PublicKeyFile::decode(&bytes[..length % bytes.len()]).is_err());
        }

        #[test]
        fn random_bytes_are_an_error_and_never_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = PublicKeyFile::decode(&bytes);
            if bytes.len() > 8 {
                bytes[..6].copy_from_slice(b"FHEP\x01\x00");
            }
            let _ = PublicKeyFile::decode(&bytes);
        }
    }
}
