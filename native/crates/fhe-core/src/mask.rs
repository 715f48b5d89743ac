//! Expansion of a block's mask from its seed.
//!
//! AES-128 in counter mode (little-endian counter from zero, the seed as key): the byte stream of
//! tfhe-rs's own CSPRNG (`tfhe_csprng`, checked by a test), taken through RustCrypto's bulk interface
//! because the crate's own, a byte at a time, is fourteen times slower.

use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use ctr::Ctr128LE;

use crate::panel::PANEL_ROWS;
use crate::parameters::PackedParameters;

/// A mask seed, 16 random bytes, drawn anew for every block.
pub type MaskSeed = [u8; 16];

/// The mask of one block: any part of it, on demand.
///
/// The mask of feature `f` is the stream's bytes from `f·k·N·limbs` on, as `[k·N/64][limbs][64]`: planar
/// limbs of k·N rows, polynomial after polynomial.
pub struct MaskStream {
    cipher: Ctr128LE<Aes128>,
    feature_bytes: usize,
    panel_bytes: usize,
}

impl MaskStream {
    /// The mask that `seed` stands for under these parameters.
    pub fn new(seed: &MaskSeed, parameters: &PackedParameters) -> Self {
        MaskStream {
            cipher: Ctr128LE::<Aes128>::new(seed.into(), &[0u8; 16].into()),
            feature_bytes: parameters.mask_bytes_per_feature(),
            panel_bytes: PANEL_ROWS * parameters.limbs,
        }
    }

    /// Writes the whole mask of `feature` to `out`, `[k·N/64][limbs][64]`.
    ///
    /// # Panics
    /// If `out` is not `k·N·limbs` bytes.
    pub fn fill_feature(&mut self, feature: usize, out: &mut [u8]) {
        assert_eq!(out.len(), self.feature_bytes, "bytes of a feature's mask");
        self.fill_at(feature as u64 * self.feature_bytes as u64, out);
    }

    /// Writes rows `64·panel ..` of the mask of `feature` to `out`, `[limbs][64]`.
    ///
    /// # Panics
    /// If `out` is not `64·limbs` bytes.
    pub fn fill_panel(&mut self, feature: usize, panel: usize, out: &mut [u8]) {
        assert_eq!(out.len(), self.panel_bytes, "bytes of a mask panel");
        let start = feature as u64 * self.feature_bytes as u64 + (panel * self.panel_bytes) as u64;
        self.fill_at(start, out);
    }

    fn fill_at(&mut self, start: u64, out: &mut [u8]) {
        self.cipher.seek(start);
        out.fill(0);
        self.cipher.apply_keystream(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfhe_csprng::generators::{DefaultRandomGenerator, RandomGenerator};
    use tfhe_csprng::seeders::Seed;

    fn parameters() -> PackedParameters {
        PackedParameters {
            glwe_dimension: 3,
            polynomial_size: 512,
            limbs: 5,
            body_limbs: 5,
            output_limbs: 4,
            output_body_limbs: 3,
            message_bits: 20,
            bodies: 1,
        }
    }

    #[test]
    fn the_stream_is_the_one_of_tfhe_csprng() {
        let seed: MaskSeed = *b"0123456789abcdef";
        let parameters = parameters();
        let mut stream = MaskStream::new(&seed, &parameters);
        let mut reference = DefaultRandomGenerator::new(Seed(u128::from_le_bytes(seed)));
        let mut chunk = vec![0u8; parameters.mask_bytes_per_feature()];
        for feature in 0..3 {
            stream.fill_feature(feature, &mut chunk);
            let expected: Vec<u8> = reference.by_ref().take(chunk.len()).collect();
            assert_eq!(chunk, expected, "feature {feature}");
        }
    }

    #[test]
    fn a_panel_is_a_part_of_its_feature() {
        let parameters = parameters();
        let mut stream = MaskStream::new(&[7; 16], &parameters);
        let mut feature = vec![0u8; parameters.mask_bytes_per_feature()];
        stream.fill_feature(5, &mut feature);
        let mut panel = vec![0u8; 64 * 5];
        for (index, expected) in feature.chunks_exact(64 * 5).enumerate() {
            stream.fill_panel(5, index, &mut panel);
            assert_eq!(panel, expected, "panel {index}");
        }
    }
}
