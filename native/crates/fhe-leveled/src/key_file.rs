//! The file format of relinearisation keys.
//!
//! Magic `FHLK`, version u16, zero u16, the client key's id (16 bytes), n and L (u32), the seed of the masks (16
//! bytes); the bodies, points of 30 bits `[L digits][L + 1 primes][n]`; a CRC-32C of all that. Its SHA-256 is its
//! digest. It holds no secret, but stands for one client.
//!
//! Digit i encrypts P·s² modulo q_i and 0 modulo all other primes, so that it serves circuits with fewer levels too.

use fhe_core::block::{KeyId, leveled_polynomial_bytes, short_hex};
use fhe_core::checksum::crc32c;
use fhe_core::wire::Reader;
use fhe_core::{Error, Result};
use sha2::{Digest, Sha256};

use crate::LeveledParameters;

const MAGIC: &[u8; 4] = b"FHLK";
const VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 4;

/// Whether a file says that it is a relinearisation key.
pub fn is_relinearization_key(file: &[u8]) -> bool {
    file.starts_with(MAGIC)
}

/// What a relinearisation key says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelinearizationKeyHeader {
    /// The client key it belongs to.
    pub key_id: KeyId,
    /// n, and L: the most levels of circuits that it serves.
    pub parameters: LeveledParameters,
    /// Seed of the masks.
    pub(crate) seed: [u8; 16],
}

impl RelinearizationKeyHeader {
    const BYTES: usize = 4 + 2 + 2 + 16 + 4 + 4 + 16;

    /// Bytes of a polynomial.
    pub(crate) fn polynomial_bytes(&self) -> usize {
        leveled_polynomial_bytes(self.parameters.polynomial_size)
    }

    /// Polynomials of the bodies.
    pub(crate) fn polynomials(&self) -> usize {
        self.parameters.levels * (self.parameters.levels + 1)
    }

    /// Number of a mask's stream under the seed.
    pub(crate) fn stream(&self, digit: usize, prime: usize) -> u64 {
        (digit * (self.parameters.levels + 1) + prime) as u64
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> usize {
        Self::BYTES + self.polynomials() * self.polynomial_bytes() + CHECKSUM_BYTES
    }

    /// Checks that a circuit on ciphertexts under a client key can use it.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what differs.
    pub fn expect(&self, key_id: &KeyId, circuit: &LeveledParameters) -> Result<()> {
        if self.key_id != *key_id {
            return Err(Error::invalid(format!(
                "encrypted blocks are under client key {}, the relinearisation key is of client key {}: give the one that keygen wrote beside that key",
                short_hex(key_id),
                short_hex(&self.key_id)
            )));
        }
        let own = &self.parameters;
        if own.polynomial_size != circuit.polynomial_size || own.levels < circuit.levels {
            return Err(Error::invalid(format!(
                "the relinearisation key has polynomial size {} and {} levels, the circuit takes {} and {}: make keys for this model with keygen",
                own.polynomial_size, own.levels, circuit.polynomial_size, circuit.levels
            )));
        }
        Ok(())
    }

    /// The file, with room for the bodies, that [`seal`] finishes.
    pub(crate) fn start_file(&self) -> Result<Vec<u8>> {
        let mut bytes = fhe_core::memory::zeros(self.file_bytes())?;
        let mut head = Vec::with_capacity(Self::BYTES);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&[0; 2]);
        head.extend_from_slice(&self.key_id);
        for field in [self.parameters.polynomial_size, self.parameters.levels] {
            head.extend_from_slice(&(field as u32).to_le_bytes());
        }
        head.extend_from_slice(&self.seed);
        bytes[..Self::BYTES].copy_from_slice(&head);
        Ok(bytes)
    }

    /// Checks the whole of a file without expanding it.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong.
    pub fn check(file: &[u8]) -> Result<Self> {
        Self::decode(file).map(|(header, _)| header)
    }

    /// Reads and checks a file; gives the bytes of the bodies too.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong; nothing is allocated.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, &[u8])> {
        let mut reader = Reader::new("relinearisation key", bytes);
        reader.expect_format(MAGIC, VERSION)?;
        if reader.u16()? != 0 {
            return Err(Error::invalid(
                "relinearisation key has a reserved field that is not zero",
            ));
        }
        let header = RelinearizationKeyHeader {
            key_id: reader.array()?,
            parameters: LeveledParameters {
                polynomial_size: reader.count()?,
                levels: reader.count()?,
            }
            .validate()?,
            seed: reader.array()?,
        };
        if bytes.len() != header.file_bytes() {
            return Err(Error::invalid(format!(
                "relinearisation key is truncated or damaged: {} bytes, {} expected",
                bytes.len(),
                header.file_bytes()
            )));
        }
        let bodies = reader.take(header.polynomials() * header.polynomial_bytes())?;
        if crc32c(&bytes[..bytes.len() - CHECKSUM_BYTES]) != reader.u32()? {
            return Err(Error::invalid(
                "relinearisation key is damaged: it does not match its checksum",
            ));
        }
        Ok((header, bodies))
    }
}

/// The bodies of a file.
pub(crate) fn bodies_mut(file: &mut [u8]) -> &mut [u8] {
    let end = file.len() - CHECKSUM_BYTES;
    &mut file[RelinearizationKeyHeader::BYTES..end]
}

/// Writes the checksum of a file.
pub(crate) fn seal(file: &mut [u8]) {
    if let Some((body, checksum)) = file.split_last_chunk_mut::<CHECKSUM_BYTES>() {
        *checksum = crc32c(body).to_le_bytes();
    }
}

/// SHA-256 of a file.
pub(crate) fn digest(file: &[u8]) -> [u8; 32] {
    Sha256::digest(file).into()
}
