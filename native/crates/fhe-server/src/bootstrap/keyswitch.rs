//! Keyswitches of several ciphertexts at a time, so that the key, tens of megabytes, is read once for all.

use fhe_core::bootstrap::BootstrapParameters;
use pulp::Arch;
use tfhe::core_crypto::commons::math::decomposition::SignedDecomposer;
use tfhe::core_crypto::prelude::{DecompositionBaseLog, DecompositionLevelCount, LweKeyswitchKey};

/// Words of a key's row that are worked on together; a tile of every ciphertext stays in the L1 cache.
const TILE: usize = 128;

/// Rows that are added at a time.
const ROWS: usize = 4;

type Tile = [u64; TILE];

/// A keyswitch key by tiles of columns, each with a piece of all rows.
pub(crate) struct TiledKeyswitchKey {
    decomposer: SignedDecomposer<u64>,
    levels: usize,
    /// Words of a row, n + 1.
    row_words: usize,
    /// `[tile][k·N][levels]`, padded to whole tiles and groups of rows.
    tiles: Vec<Tile>,
    /// Rows of a tile.
    rows: usize,
}

impl TiledKeyswitchKey {
    pub(crate) fn new(parameters: &BootstrapParameters, key: &LweKeyswitchKey<Vec<u64>>) -> Self {
        let row_words = parameters.lwe_dimension + 1;
        let levels = parameters.keyswitch.levels;
        let rows = (parameters.value_dimension() * levels).next_multiple_of(ROWS);
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
    pub(crate) fn switch(&self, from: &[u64], to: &mut [u64], digits: &mut Digits) {
        let count = to.len() / self.row_words;
        let words = from.len() / count;
        digits.0.clear();
        digits.0.resize(count * self.rows, 0);
        for (value, digits) in from
            .chunks_exact(words)
            .zip(digits.0.chunks_exact_mut(self.rows))
        {
            let mask = &value[..words - 1];
            for (digits, &entry) in digits.chunks_exact_mut(self.levels).zip(mask) {
                for (digit, term) in digits.iter_mut().zip(self.decomposer.decompose(entry)) {
                    *digit = term.value();
                }
            }
        }
        let arch = Arch::new();
        for (tile, rows) in self.tiles.chunks_exact(self.rows).enumerate() {
            let first = tile * TILE;
            let columns = first..(first + TILE).min(self.row_words);
            let mut sums = [[0; TILE]; MAX_BATCH];
            arch.dispatch(
                #[inline(always)]
                || subtract_rows(rows, &digits.0, &mut sums[..count]),
            );
            for (to, sum) in to.chunks_exact_mut(self.row_words).zip(&sums) {
                to[columns.clone()].copy_from_slice(&sum[..columns.len()]);
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

/// Most ciphertexts that are switched at a time.
pub(crate) const MAX_BATCH: usize = 16;

/// Digits of the ciphertexts that are switched, `[count][rows]`.
#[derive(Default)]
pub(crate) struct Digits(Vec<u64>);

/// Subtracts all rows times their digits from the sum of each ciphertext.
#[inline(always)]
fn subtract_rows(rows: &[Tile], digits: &[u64], sums: &mut [Tile]) {
    let (groups, _) = rows.as_chunks::<ROWS>();
    for (group, [a, b, c, d]) in groups.iter().enumerate() {
        for (sum, digits) in sums.iter_mut().zip(digits.chunks_exact(rows.len())) {
            let digits = &digits[ROWS * group..][..ROWS];
            let (p, q, r, s) = (digits[0], digits[1], digits[2], digits[3]);
            for i in 0..TILE {
                let first = a[i].wrapping_mul(p).wrapping_add(b[i].wrapping_mul(q));
                let second = c[i].wrapping_mul(r).wrapping_add(d[i].wrapping_mul(s));
                sum[i] = sum[i].wrapping_sub(first.wrapping_add(second));
            }
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
            (n, size, levels, count) in (1usize..300, 1usize..30, 1usize..6, 1usize..MAX_BATCH),
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
            TiledKeyswitchKey::new(&parameters, &key).switch(&from, &mut to, &mut Digits::default());
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
