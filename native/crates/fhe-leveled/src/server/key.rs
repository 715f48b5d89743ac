//! Relinearisation keys, ready for use.

use fhe_core::block::KeyId;
use fhe_core::keystream::Keystream;
use fhe_core::{Error, Result};

use crate::LeveledParameters;
use crate::buffer::Buffer;
use crate::key_file::{self, RelinearizationKeyHeader};
use crate::pack::unpack;
use crate::ring::Ring;
use crate::sampling::uniform;
use fhe_core::workers::share;

/// A relinearisation key whose masks are expanded; immutable, shared by all threads.
pub struct RelinearizationKey {
    header: RelinearizationKeyHeader,
    ring: Ring,
    /// Points times 2^32, `[digit][prime][body, mask][n]`, P last.
    points: Buffer,
}

impl RelinearizationKey {
    /// Reads and checks a file, and expands its masks on up to `threads` threads.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong; lengths are checked before anything is allocated.
    pub fn open(bytes: &[u8], threads: usize) -> Result<Self> {
        let (header, bodies) = RelinearizationKeyHeader::decode(bytes)?;
        Self::expand(header, bodies, threads)
    }

    /// Of the bodies of a file.
    pub(super) fn expand(
        header: RelinearizationKeyHeader,
        bodies: &[u8],
        threads: usize,
    ) -> Result<Self> {
        let LeveledParameters {
            polynomial_size: n,
            levels,
        } = header.parameters;
        let ring = Ring::new(n, levels)?;
        let mut points = Buffer::zeros(header.polynomials() * 2 * n)?;
        let masks = Keystream::new(&header.seed);
        let parts = bodies
            .chunks_exact(header.polynomial_bytes())
            .zip(points.chunks_exact_mut(2 * n))
            .enumerate();
        share(
            parts,
            threads,
            &mut || false,
            || Ok(()),
            |(), (number, (bytes, points))| {
                let (digit, prime) = (number / (levels + 1), number % (levels + 1));
                let modulus = ring.prime(prime).modulus();
                let (body, mask) = points.split_at_mut(n);
                if !unpack(bytes, modulus.p(), body) {
                    return Err(Error::invalid(format!(
                        "relinearisation key has a residue of digit {digit} that is not below its prime {}",
                        modulus.p()
                    )));
                }
                uniform(&masks, header.stream(digit, prime), modulus.p(), mask);
                for point in points {
                    *point = modulus.mul(*point, modulus.montgomery_one());
                }
                Ok(())
            },
        )?;
        Ok(RelinearizationKey {
            header,
            ring,
            points,
        })
    }

    /// What it says of itself.
    pub fn header(&self) -> &RelinearizationKeyHeader {
        &self.header
    }

    /// SHA-256 of a file.
    pub fn digest(file: &[u8]) -> [u8; 32] {
        key_file::digest(file)
    }

    /// Bytes of memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.points) + self.ring.memory_bytes()
    }

    /// Checks that a circuit on ciphertexts under a client key can use it.
    ///
    /// # Errors
    /// As [`RelinearizationKeyHeader::expect`].
    pub fn expect(&self, key_id: &KeyId, circuit: &LeveledParameters) -> Result<()> {
        self.header.expect(key_id, circuit)
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Body and mask of a digit modulo q_prime, or P if that is L; points times 2^32.
    pub(crate) fn digit(&self, digit: usize, prime: usize) -> [&[u32]; 2] {
        let n = self.ring.n();
        let number = digit * (self.header.parameters.levels + 1) + prime;
        let (body, mask) = self.points[number * 2 * n..][..2 * n].split_at(n);
        [body, mask]
    }
}
