//! The ciphertexts of a block.

use fhe_core::block::{BlockHeader, leveled_polynomial_bytes};
use fhe_core::keystream::Keystream;
use fhe_core::{Error, Result};

use super::planes::Row;
use crate::buffer::Buffer;
use crate::pack::unpack;
use crate::ring::Ring;
use crate::sampling::{input_stream, uniform};

/// Reads the bodies of a block, and makes its masks.
pub(super) struct InputReader<'a> {
    header: &'a BlockHeader,
    bodies: &'a [u8],
    masks: Keystream,
    ring: &'a Ring,
}

/// The residues of a pair of features.
pub(super) struct PairBuffers([Buffer; 2]);

impl PairBuffers {
    pub(super) fn new(n: usize) -> Result<Self> {
        Ok(PairBuffers([Buffer::zeros(n)?, Buffer::zeros(n)?]))
    }
}

impl<'a> InputReader<'a> {
    /// Of an accepted block, with its payload.
    pub(super) fn new(header: &'a BlockHeader, bodies: &'a [u8], ring: &'a Ring) -> Self {
        InputReader {
            header,
            bodies,
            masks: Keystream::new(&header.mask_seed),
            ring,
        }
    }

    /// L.
    pub(super) fn levels(&self) -> usize {
        self.header.glwe_dimension
    }

    /// d_in.
    pub(super) fn features(&self) -> usize {
        self.header.features
    }

    /// Fills a row with all features, a part of them modulo a prime.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the first feature with a residue that is none.
    pub(super) fn read(
        &self,
        part: usize,
        prime: usize,
        row: &mut Row,
        buffers: &mut PairBuffers,
    ) -> Result<()> {
        for pair in 0..row.pairs() {
            for (feature, residues) in (2 * pair..).zip(&mut buffers.0) {
                self.read_feature(feature, part, prime, residues)?;
            }
            let [first, second] = &buffers.0;
            row.write_pair(pair, [first, second]);
        }
        Ok(())
    }

    fn read_feature(
        &self,
        feature: usize,
        part: usize,
        prime: usize,
        residues: &mut [u32],
    ) -> Result<()> {
        let (p, levels) = (self.ring.level(prime).modulus().p(), self.levels());
        if feature == self.features() {
            // There is no second one in the last pair.
            residues.fill(0);
        } else if part == 1 {
            let stream = input_stream(feature, prime, levels);
            uniform(&self.masks, stream, p, residues);
        } else {
            let bytes = leveled_polynomial_bytes(residues.len());
            let body = &self.bodies[(feature * levels + prime) * bytes..][..bytes];
            if !unpack(body, p, residues) {
                return Err(Error::invalid(format!(
                    "encrypted block {} has a residue of feature {feature} that is not below its prime {p}",
                    self.header.block_number
                )));
            }
        }
        Ok(())
    }
}
