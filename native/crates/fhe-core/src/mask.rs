//! Expansion of a block's mask from its seed.

use crate::keystream::Keystream;
use crate::panel::PANEL_ROWS;
use crate::parameters::PackedParameters;

/// A mask seed, 16 random bytes, drawn anew for every mask: that of a block, or one ordered ahead, whose
/// blocks each take slots of their own.
pub type MaskSeed = [u8; 16];

/// The mask of one block: any part of it, on demand.
///
/// The mask of feature `f` is the stream's bytes from `f·k·N·limbs` on, as `[k·N/64][limbs][64]`: planar
/// limbs of k·N rows, polynomial after polynomial.
pub struct MaskStream {
    keystream: Keystream,
    feature_bytes: usize,
    panel_bytes: usize,
}

impl MaskStream {
    /// The mask that `seed` stands for under these parameters.
    pub fn new(seed: &MaskSeed, parameters: &PackedParameters) -> Self {
        MaskStream {
            keystream: Keystream::new(seed),
            feature_bytes: parameters.mask_bytes_per_feature(),
            panel_bytes: PANEL_ROWS * parameters.limbs,
        }
    }

    /// Writes the whole mask of `feature` to `out`, `[k·N/64][limbs][64]`.
    ///
    /// # Panics
    /// If `out` is not `k·N·limbs` bytes.
    pub fn fill_feature(&self, feature: usize, out: &mut [u8]) {
        assert_eq!(out.len(), self.feature_bytes, "bytes of a feature's mask");
        self.fill_at(feature as u64 * self.feature_bytes as u64, out);
    }

    /// Writes rows `64·panel ..` of the mask of `feature` to `out`, `[limbs][64]`.
    ///
    /// # Panics
    /// If `out` is not `64·limbs` bytes.
    pub fn fill_panel(&self, feature: usize, panel: usize, out: &mut [u8]) {
        assert_eq!(out.len(), self.panel_bytes, "bytes of a mask panel");
        let start = feature as u64 * self.feature_bytes as u64 + (panel * self.panel_bytes) as u64;
        self.fill_at(start, out);
    }

    fn fill_at(&self, start: u64, out: &mut [u8]) {
        // Panels are whole blocks: 64 rows of any number of bytes.
        self.keystream.fill(start / 16, out);
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
            summands: 1,
            flooding: 0,
        }
    }

    #[test]
    fn the_stream_is_the_one_of_tfhe_csprng() {
        let seed: MaskSeed = *b"0123456789abcdef";
        let parameters = parameters();
        let stream = MaskStream::new(&seed, &parameters);
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
        let stream = MaskStream::new(&[7; 16], &parameters);
        let mut feature = vec![0u8; parameters.mask_bytes_per_feature()];
        stream.fill_feature(5, &mut feature);
        let mut panel = vec![0u8; 64 * 5];
        for (index, expected) in feature.chunks_exact(64 * 5).enumerate() {
            stream.fill_panel(5, index, &mut panel);
            assert_eq!(panel, expected, "panel {index}");
        }
    }
}
