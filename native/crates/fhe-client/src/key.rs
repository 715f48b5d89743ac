//! The client's secret keys.

use std::sync::Arc;

use fhe_core::block::KeyId;
use fhe_core::bootstrap::lwe_noise_bound_log2;
use fhe_core::checksum::crc32c;
use fhe_core::noise::fresh_noise_bound_log2;
use fhe_core::panel::PANEL_ROWS;
use fhe_core::parameters::{MAX_BODIES, MAX_LIMBS, MAX_POLYNOMIAL_SIZE, MIN_LIMBS};
use fhe_core::{Error, Result};
use zeroize::Zeroizing;

use crate::buffer::Buffer;
use crate::negacyclic::{NegacyclicFft, Tile};
use crate::planes::{Planes, Task, dispatch};
use fhe_core::random::fill_from_os;

const MAGIC: &[u8; 4] = b"FHEK";
const VERSION: u16 = 3;
/// Files of this version end before the secrets of rings.
const VERSION_WITHOUT_RINGS: u16 = 2;
const HEAD_BYTES: usize = 4 + 2 + 2 + 16 + 32;
const SHAPE_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;
const MAX_LWE_DIMENSION: usize = 4096;
/// Ring degrees of leveled circuits.
const RING_DEGREES: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 15;

/// Shape of a set of GLWE secret keys for one ciphertext modulus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretKeyShape {
    /// k, binary polynomials a key.
    pub glwe_dimension: usize,
    /// N, their size.
    pub polynomial_size: usize,
    /// Bytes of a ciphertext entry, q = 2^(8·limbs).
    pub limbs: usize,
    /// K, keys in the set.
    pub bodies: usize,
}

impl SecretKeyShape {
    fn validate(self) -> Result<Self> {
        let fits = (1..=64).contains(&self.glwe_dimension)
            && (PANEL_ROWS..=MAX_POLYNOMIAL_SIZE).contains(&self.polynomial_size)
            && self.polynomial_size.is_power_of_two()
            && (MIN_LIMBS..=MAX_LIMBS).contains(&self.limbs)
            && (1..=MAX_BODIES).contains(&self.bodies);
        if !fits {
            return Err(Error::invalid(format!(
                "secret key shape is out of range: {self:?}"
            )));
        }
        fresh_noise_bound_log2(self.glwe_dimension * self.polynomial_size, self.limbs)?;
        Ok(self)
    }

    fn packed_bytes(&self) -> usize {
        self.bodies * self.glwe_dimension * self.polynomial_size / 8
    }
}

/// One set of secret keys, with its transforms.
pub(crate) struct SecretKeySet {
    pub(crate) shape: SecretKeyShape,
    pub(crate) fft: NegacyclicFft,
    /// Bits, eight a byte, `[body][polynomial][coefficient]`.
    bits: Zeroizing<Vec<u8>>,
    /// `[body][tile][polynomial]`.
    transforms: Buffer<f64>,
}

impl SecretKeySet {
    fn new(shape: SecretKeyShape, bits: Zeroizing<Vec<u8>>) -> Self {
        let fft = NegacyclicFft::new(shape.polynomial_size);
        let transforms = dispatch(TransformSecrets {
            fft: &fft,
            shape,
            bits: &bits,
        });
        SecretKeySet {
            shape,
            fft,
            bits,
            transforms,
        }
    }

    /// Transforms of the key of body `body`, `[tile][polynomial]`.
    pub(crate) fn transforms(&self, body: usize) -> &[Tile] {
        let len = self.shape.glwe_dimension * self.fft.transform_len();
        let transforms = &self.transforms[body * len..][..len];
        transforms.as_chunks().0.as_chunks().0
    }
}

/// Makes the transforms of all polynomials of a set.
struct TransformSecrets<'a> {
    fft: &'a NegacyclicFft,
    shape: SecretKeyShape,
    bits: &'a [u8],
}

impl Task for TransformSecrets<'_> {
    type Output = Buffer<f64>;

    #[inline(always)]
    fn run<P: Planes>(self, planes: P) -> Buffer<f64> {
        let SecretKeyShape {
            glwe_dimension,
            polynomial_size: size,
            bodies,
            ..
        } = self.shape;
        let mut scratch = self.fft.scratch();
        let mut coefficients = Buffer::zeros(size);
        let len = glwe_dimension * self.fft.transform_len();
        let mut transforms = Buffer::zeros(bodies * len);
        let mut bits = (0..).map(|bit| self.bits[bit / 8] >> (bit % 8) & 1);
        for body in transforms.chunks_exact_mut(len) {
            for polynomial in 0..glwe_dimension {
                for (coefficient, bit) in coefficients.iter_mut().zip(&mut bits) {
                    *coefficient = f64::from(bit);
                }
                let tiles = body.as_chunks_mut().0.as_chunks_mut().0;
                let tiles = tiles[polynomial..].iter_mut();
                self.fft.forward(
                    planes,
                    &coefficients,
                    tiles.step_by(glwe_dimension),
                    &mut scratch,
                );
            }
        }
        transforms
    }
}

/// A binary LWE secret key, which values are switched to before look-ups.
struct LweSecret {
    dimension: usize,
    /// Bits, eight a byte.
    bits: Zeroizing<Vec<u8>>,
}

impl LweSecret {
    fn validate(dimension: usize) -> Result<usize> {
        lwe_noise_bound_log2(dimension)?;
        if dimension > MAX_LWE_DIMENSION {
            return Err(Error::invalid(format!(
                "secret key of LWE dimension {dimension} is out of range"
            )));
        }
        Ok(dimension.div_ceil(8))
    }
}

/// What the secret key of a leveled circuit's ring is drawn from.
struct RingSecret {
    degree: usize,
    seed: Zeroizing<[u8; 16]>,
}

impl RingSecret {
    fn validate(degree: usize) -> Result<usize> {
        if !(degree.is_power_of_two() && RING_DEGREES.contains(&degree)) {
            return Err(Error::invalid(format!(
                "secret key of ring degree {degree} is out of range"
            )));
        }
        Ok(degree)
    }
}

/// All secret keys of a client artefact.
pub struct ClientKey {
    id: KeyId,
    client_id: [u8; 32],
    sets: Vec<Arc<SecretKeySet>>,
    lwe_secrets: Vec<LweSecret>,
    ring_secrets: Vec<RingSecret>,
}

impl ClientKey {
    /// Draws new keys of these shapes for the client artefact `client_id` from the system's CSPRNG.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if a shape is out of range or below 132-bit security.
    pub fn generate(client_id: [u8; 32], shapes: &[SecretKeyShape]) -> Result<Self> {
        Self::generate_for_lookups(client_id, shapes, &[])
    }

    /// The same, with LWE secret keys of these dimensions for circuits with look-ups.
    ///
    /// # Errors
    /// As [`ClientKey::generate`].
    pub fn generate_for_lookups(
        client_id: [u8; 32],
        shapes: &[SecretKeyShape],
        lwe_dimensions: &[usize],
    ) -> Result<Self> {
        Self::generate_for_circuits(client_id, shapes, lwe_dimensions, &[])
    }

    /// The same, with secrets of rings of these degrees for leveled circuits.
    ///
    /// # Errors
    /// As [`ClientKey::generate`].
    pub fn generate_for_circuits(
        client_id: [u8; 32],
        shapes: &[SecretKeyShape],
        lwe_dimensions: &[usize],
        ring_degrees: &[usize],
    ) -> Result<Self> {
        let mut id = [0; 16];
        fill_from_os(&mut id)?;
        let mut sets = Vec::with_capacity(shapes.len());
        for shape in shapes {
            shape.validate()?;
            let mut bits = Zeroizing::new(vec![0u8; shape.packed_bytes()]);
            fill_from_os(&mut bits)?;
            sets.push(Arc::new(SecretKeySet::new(*shape, bits)));
        }
        let mut lwe_secrets = Vec::with_capacity(lwe_dimensions.len());
        for &dimension in lwe_dimensions {
            let mut bits = Zeroizing::new(vec![0u8; LweSecret::validate(dimension)?]);
            fill_from_os(&mut bits)?;
            lwe_secrets.push(LweSecret { dimension, bits });
        }
        let mut ring_secrets = Vec::with_capacity(ring_degrees.len());
        for &degree in ring_degrees {
            let mut seed = Zeroizing::new([0; 16]);
            fill_from_os(&mut *seed)?;
            ring_secrets.push(RingSecret {
                degree: RingSecret::validate(degree)?,
                seed,
            });
        }
        Ok(ClientKey {
            id,
            client_id,
            sets,
            lwe_secrets,
            ring_secrets,
        })
    }

    /// The key's random name, written on every block.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The client artefact the key was made for.
    pub fn client_id(&self) -> &[u8; 32] {
        &self.client_id
    }

    pub(crate) fn set(&self, shape: &SecretKeyShape) -> Result<Arc<SecretKeySet>> {
        self.sets
            .iter()
            .find(|set| &set.shape == shape)
            .cloned()
            .ok_or_else(|| {
                Error::invalid(format!(
                    "the client key holds no secret key for k = {}, N = {}, q = 2^{}: make a key for this client artefact with keygen",
                    shape.glwe_dimension,
                    shape.polynomial_size,
                    8 * shape.limbs
                ))
            })
    }

    /// The bits of the LWE secret key of this dimension, one a word.
    pub(crate) fn lwe_secret_words(&self, dimension: usize) -> Result<Zeroizing<Vec<u64>>> {
        self.lwe_secrets
            .iter()
            .find(|secret| secret.dimension == dimension)
            .map(|secret| words(&secret.bits, dimension))
            .ok_or_else(|| {
                Error::invalid(format!(
                    "the client key holds no secret key of LWE dimension {dimension}: make a key for this client artefact with keygen"
                ))
            })
    }

    /// What the secret key of the ring of this degree is drawn from.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the key has none of this degree.
    pub fn ring_seed(&self, degree: usize) -> Result<Zeroizing<[u8; 16]>> {
        self.ring_secrets
            .iter()
            .find(|secret| secret.degree == degree)
            .map(|secret| secret.seed.clone())
            .ok_or_else(|| {
                Error::invalid(format!(
                    "the client key holds no secret key of ring degree {degree}: make a key for this client artefact with keygen"
                ))
            })
    }

    /// The bits of a set of one body, one a word, polynomial after polynomial.
    pub(crate) fn glwe_secret_words(&self, shape: &SecretKeyShape) -> Result<Zeroizing<Vec<u64>>> {
        let set = self.set(shape)?;
        Ok(words(&set.bits, 8 * set.bits.len()))
    }

    /// The key file's bytes: magic `FHEK`, version u16, number of sets u16, key id, client id, then a set:
    /// k, N, limbs, K as u32 and the secret bits; the number of LWE keys as u32, and of each its dimension as
    /// u32 and the bits; the number of rings as u32, and of each its degree as u32 and the 16 bytes its secret
    /// key is drawn from; a CRC-32C of all that.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let bits: usize = self.sets.iter().map(|set| set.bits.len()).sum();
        let lwe_bytes: usize = self.lwe_secrets.iter().map(|key| 4 + key.bits.len()).sum();
        let ring_bytes = self.ring_secrets.len() * (4 + 16);
        let length = HEAD_BYTES
            + self.sets.len() * SHAPE_BYTES
            + bits
            + 4
            + lwe_bytes
            + 4
            + ring_bytes
            + CHECKSUM_BYTES;
        // Reserved at once: growing would leave copies of key bits behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.sets.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&self.client_id);
        for set in &self.sets {
            let shape = &set.shape;
            for field in [
                shape.glwe_dimension,
                shape.polynomial_size,
                shape.limbs,
                shape.bodies,
            ] {
                bytes.extend_from_slice(&(field as u32).to_le_bytes());
            }
            bytes.extend_from_slice(&set.bits);
        }
        bytes.extend_from_slice(&(self.lwe_secrets.len() as u32).to_le_bytes());
        for secret in &self.lwe_secrets {
            bytes.extend_from_slice(&(secret.dimension as u32).to_le_bytes());
            bytes.extend_from_slice(&secret.bits);
        }
        bytes.extend_from_slice(&(self.ring_secrets.len() as u32).to_le_bytes());
        for secret in &self.ring_secrets {
            bytes.extend_from_slice(&(secret.degree as u32).to_le_bytes());
            bytes.extend_from_slice(&*secret.seed);
        }
        let checksum = crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads and checks a key file.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong; lengths are checked before anything is allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let truncated = || {
            Error::invalid(format!(
                "client key is truncated or damaged: {} bytes",
                bytes.len()
            ))
        };
        if bytes.get(..4) != Some(MAGIC) {
            return Err(Error::invalid(
                "not a client key: its first bytes are not \"FHEK\"",
            ));
        }
        if bytes.len() < HEAD_BYTES + CHECKSUM_BYTES {
            return Err(truncated());
        }
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        if version != VERSION && version != VERSION_WITHOUT_RINGS {
            return Err(Error::invalid(format!(
                "client key has format version {version}, this library reads version {VERSION}"
            )));
        }
        let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if crc32c(body).to_le_bytes() != checksum {
            return Err(Error::invalid(
                "client key is damaged: it does not match its checksum",
            ));
        }
        let count = u16::from_le_bytes([bytes[6], bytes[7]]);
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[8..24]);
        let mut client_id = [0; 32];
        client_id.copy_from_slice(&bytes[24..56]);
        let mut rest = &body[HEAD_BYTES..];
        let mut sets = Vec::new();
        for _ in 0..count {
            let (fields, after) = rest.split_at_checked(SHAPE_BYTES).ok_or_else(truncated)?;
            let field = |index: usize| {
                let mut word = [0; 4];
                word.copy_from_slice(&fields[4 * index..4 * index + 4]);
                u32::from_le_bytes(word) as usize
            };
            let shape = SecretKeyShape {
                glwe_dimension: field(0),
                polynomial_size: field(1),
                limbs: field(2),
                bodies: field(3),
            }
            .validate()?;
            let (bits, after) = after
                .split_at_checked(shape.packed_bytes())
                .ok_or_else(truncated)?;
            sets.push(Arc::new(SecretKeySet::new(
                shape,
                Zeroizing::new(bits.to_vec()),
            )));
            rest = after;
        }
        let (word, mut rest) = rest.split_first_chunk().ok_or_else(truncated)?;
        let mut lwe_secrets = Vec::new();
        for _ in 0..u32::from_le_bytes(*word) {
            let (word, after) = rest.split_first_chunk().ok_or_else(truncated)?;
            let dimension = u32::from_le_bytes(*word) as usize;
            let (bits, after) = after
                .split_at_checked(LweSecret::validate(dimension)?)
                .ok_or_else(truncated)?;
            lwe_secrets.push(LweSecret {
                dimension,
                bits: Zeroizing::new(bits.to_vec()),
            });
            rest = after;
        }
        let mut ring_secrets = Vec::new();
        if version == VERSION {
            let (word, mut rings) = rest.split_first_chunk().ok_or_else(truncated)?;
            for _ in 0..u32::from_le_bytes(*word) {
                let (word, after) = rings.split_first_chunk().ok_or_else(truncated)?;
                let (seed, after) = after.split_first_chunk().ok_or_else(truncated)?;
                ring_secrets.push(RingSecret {
                    degree: RingSecret::validate(u32::from_le_bytes(*word) as usize)?,
                    seed: Zeroizing::new(*seed),
                });
                rings = after;
            }
            rest = rings;
        }
        if !rest.is_empty() {
            return Err(truncated());
        }
        Ok(ClientKey {
            id,
            client_id,
            sets,
            lwe_secrets,
            ring_secrets,
        })
    }

    /// The secret bits of the set of this shape, `[body][polynomial][coefficient]`, one a byte; for tests
    /// against other implementations.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the key has no such set.
    pub fn secret_bits(&self, shape: &SecretKeyShape) -> Result<Zeroizing<Vec<u8>>> {
        let set = self.set(shape)?;
        Ok(Zeroizing::new(
            (0..8 * set.bits.len())
                .map(|bit| set.bits[bit / 8] >> (bit % 8) & 1)
                .collect(),
        ))
    }
}

/// The first `count` of bits that lie eight a byte, one a word.
fn words(bits: &[u8], count: usize) -> Zeroizing<Vec<u64>> {
    let bit = |bit: usize| u64::from(bits[bit / 8] >> (bit % 8) & 1);
    Zeroizing::new((0..count).map(bit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape() -> SecretKeyShape {
        SecretKeyShape {
            glwe_dimension: 16,
            polynomial_size: 64,
            limbs: 4,
            bodies: 2,
        }
    }

    #[test]
    fn a_key_survives_its_file() {
        let key =
            ClientKey::generate_for_circuits([9; 32], &[shape()], &[950, 1001], &[8192, 16384])
                .unwrap();
        let read = ClientKey::decode(&key.encode()).unwrap();
        for degree in [8192, 16384] {
            assert_eq!(
                *read.ring_seed(degree).unwrap(),
                *key.ring_seed(degree).unwrap()
            );
        }
        assert_ne!(
            *key.ring_seed(8192).unwrap(),
            *key.ring_seed(16384).unwrap()
        );
        assert!(key.ring_seed(4096).is_err());
        for dimension in [950, 1001] {
            let words = read.lwe_secret_words(dimension).unwrap();
            assert_eq!(words.len(), dimension);
            assert_eq!(*words, *key.lwe_secret_words(dimension).unwrap());
        }
        assert_eq!(read.id(), key.id());
        assert_eq!(read.client_id(), &[9; 32]);
        assert_eq!(
            *read.secret_bits(&shape()).unwrap(),
            *key.secret_bits(&shape()).unwrap()
        );
    }

    #[test]
    fn a_file_from_before_rings_is_read() {
        let key = ClientKey::generate_for_lookups([9; 32], &[shape()], &[950]).unwrap();
        let mut bytes = key.encode().to_vec();
        bytes.truncate(bytes.len() - CHECKSUM_BYTES - 4);
        bytes[4..6].copy_from_slice(&VERSION_WITHOUT_RINGS.to_le_bytes());
        let checksum = crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        let read = ClientKey::decode(&bytes).unwrap();
        assert_eq!(read.id(), key.id());
        assert_eq!(
            *read.lwe_secret_words(950).unwrap(),
            *key.lwe_secret_words(950).unwrap()
        );
        assert!(read.ring_seed(8192).is_err());
    }

    #[test]
    fn secret_bits_are_balanced_and_keys_differ() {
        let first = ClientKey::generate([0; 32], &[shape()]).unwrap();
        let second = ClientKey::generate([0; 32], &[shape()]).unwrap();
        let bits = first.secret_bits(&shape()).unwrap();
        let ones: usize = bits.iter().map(|&b| b as usize).sum();
        // 2,048 fair bits: 1,024 ± 8 standard deviations of 22.6.
        assert!((843..1205).contains(&ones), "{ones} ones");
        assert_ne!(*bits, *second.secret_bits(&shape()).unwrap());
        assert_ne!(first.id(), second.id());
    }

    #[test]
    fn a_shape_below_132_bits_is_refused() {
        let weak = SecretKeyShape {
            glwe_dimension: 4,
            ..shape()
        };
        assert!(ClientKey::generate([0; 32], &[weak]).is_err());
    }

    proptest! {
        #[test]
        fn altered_and_truncated_keys_are_noticed(position in any::<prop::sample::Index>(), bits in 1u8..=255) {
            let key =
                ClientKey::generate_for_circuits([9; 32], &[shape()], &[950], &[8192]).unwrap();
            let bytes = key.encode().to_vec();
            let position = position.index(bytes.len());
            prop_assert!(ClientKey::decode(&bytes[..position]).is_err());
            let mut altered = bytes;
            altered[position] ^= bits;
            prop_assert!(ClientKey::decode(&altered).is_err());
        }
    }
}
