//! Keyswitches of several ciphertexts at a time, so that the key, tens of megabytes, is read once for all.

use fhe_core::bootstrap::BootstrapParameters;
use tfhe::core_crypto::commons::math::decomposition::SignedDecomposer;
use tfhe::core_crypto::prelude::{DecompositionBaseLog, DecompositionLevelCount, LweKeyswitchKey};

use super::vectors::{BATCH, TILE, Tile, Vectors};

/// A keyswitch key by tiles of columns, each with a piece of all rows.
pub(crate) struct TiledKeyswitchKey {
    decomposer: SignedDecomposer<u64>,
    levels: usize,
    /// Words of a row, n + 1.
    row_words: usize,
    /// `[tile][k·N][levels]`, the last of them padded.
    tiles: Vec<Tile>,
    /// Rows of a tile.
    rows: usize,
}

/// A digit of each ciphertext of a batch for every row, `[rows]`.
#[derive(Default)]
pub(crate) struct Digits(Vec<[u64; BATCH]>);

impl TiledKeyswitchKey {
    pub(crate) fn new(parameters: &BootstrapParameters, key: &LweKeyswitchKey<Vec<u64>>) -> Self {
        let row_words = parameters.lwe_dimension + 1;
        let levels = parameters.keyswitch.levels;
        let rows = parameters.value_dimension() * levels;
        let mut tiles = vec![[0; TILE]; row_words.div_ceil(TILE) * rows];
        for (row, words) in key.as_ref().chunks_exact(row_words).enumerate() {
            for (tile, piece) in words.chunks(TILE).enumerate() {
                tiles[tile * rows + row][..piece.len()].copy_from_slice(piece);
            }
        }
        TiledKeyswitchKey {
            decomposer: SignedDecomposer::new(
                DecompositionBaseLog(parameters.keyswitch.base_log),
                DecompositionLevelCount(levels),
            ),
            levels,
            row_words,
            tiles,
            rows,
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(self.tiles.as_slice())
    }

    /// Switches ciphertexts `[count][k·N + 1]` to `[count][n + 1]`.
    ///
    /// # Panics
    /// If there are more than a batch.
    pub(crate) fn switch(&self, from: &[u64], to: &mut [u64], digits: &mut Digits) {
        self.switch_with(Vectors::widest(), from, to, digits);
    }

    fn switch_with(&self, vectors: Vectors, from: &[u64], to: &mut [u64], digits: &mut Digits) {
        let words = self.rows / self.levels + 1;
        assert!(from.len() <= BATCH * words, "{} words", from.len());
        digits.0.clear();
        digits.0.resize(self.rows, [0; BATCH]);
        for (place, value) in from.chunks_exact(words).enumerate() {
            let rows = digits.0.chunks_exact_mut(self.levels);
            for (rows, &entry) in rows.zip(&value[..words - 1]) {
                for (row, term) in rows.iter_mut().zip(self.decomposer.decompose(entry)) {
                    row[place] = term.value();
                }
            }
        }
        for (tile, rows) in self.tiles.chunks_exact(self.rows).enumerate() {
            let first = tile * TILE;
            let columns = first..(first + TILE).min(self.row_words);
            let mut sums = [[0; TILE]; BATCH];
            vectors.add_products(rows, &digits.0, &mut sums);
            for (to, sum) in to.chunks_exact_mut(self.row_words).zip(&sums) {
                for (to, &product) in to[columns.clone()].iter_mut().zip(sum) {
                    *to = product.wrapping_neg();
                }
            }
        }
        for (to, from) in to
            .chunks_exact_mut(self.row_words)
            .zip(from.chunks_exact(words))
        {
            to[self.row_words - 1] = to[self.row_words - 1].wrapping_add(from[words - 1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use fhe_core::bootstrap::Decomposition;
    use proptest::prelude::*;
    use tfhe::core_crypto::prelude::{
        CiphertextModulus, LweCiphertext, LweDimension, keyswitch_lwe_ciphertext,
    };

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        /// Word for word what tfhe-rs does one at a time.
        #[test]
        fn a_batch_is_switched_as_one_by_one(
            (n, size, levels, count) in (1usize..300, 1usize..30, 1usize..6, 1usize..=super::BATCH),
            base_log in 1usize..8,
            seed in any::<u64>(),
        ) {
            let parameters = BootstrapParameters {
                lwe_dimension: n,
                glwe_dimension: 1,
                polynomial_size: size,
                bootstrap: Decomposition { base_log: 8, levels: 1 },
                keyswitch: Decomposition { base_log, levels },
                output_bytes: 2,
            };
            let mut word = seed;
            let mut words = |count: usize| -> Vec<u64> {
                (0..count)
                    .map(|_| {
                        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        word ^ word >> 32
                    })
                    .collect()
            };
            let modulus = CiphertextModulus::new_native();
            let key = LweKeyswitchKey::from_container(
                words(size * levels * (n + 1)),
                DecompositionBaseLog(base_log),
                DecompositionLevelCount(levels),
                LweDimension(n).to_lwe_size(),
                modulus,
            );
            let from = words(count * (size + 1));
            let mut to = words(count * (n + 1));
            let tiled = TiledKeyswitchKey::new(&parameters, &key);
            for vectors in Vectors::here() {
                tiled.switch_with(vectors, &from, &mut to, &mut Digits::default());
                for (from, to) in from.chunks_exact(size + 1).zip(to.chunks_exact(n + 1)) {
                    let mut expected = vec![0; n + 1];
                    keyswitch_lwe_ciphertext(
                        &key,
                        &LweCiphertext::from_container(from, modulus),
                        &mut LweCiphertext::from_container(expected.as_mut_slice(), modulus),
                    );
                    prop_assert_eq!(to, &expected);
                }
            }
        }
    }
}
