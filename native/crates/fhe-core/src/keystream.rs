//! AES-128 in counter mode: the byte stream of tfhe-rs's own CSPRNG.
//!
//! The counter is little-endian and starts from zero, the seed is the key (`tfhe_csprng`, checked by a
//! test in [`crate::mask`]). The crate's own interface, a byte at a time, is far too slow for masks. With
//! VAES, four blocks a register (AVX-512) or two (AVX2), the stream is made here; else RustCrypto's bulk
//! interface serves it.

use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
/// A stream of pseudo-random bytes with random access.
pub struct Keystream(Cipher);

enum Cipher {
    #[cfg(target_arch = "x86_64")]
    Vaes(vaes::Cipher),
    // Boxed: the round keys of every backend have room in it.
    Portable(Box<Aes128Enc>),
}

/// Four blocks, what the widest registers hold.
type Line = [u8; 64];

impl Keystream {
    /// The stream of a seed.
    pub fn new(seed: &[u8; 16]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(registers) = vaes::Registers::detect().next() {
            return Keystream(Cipher::Vaes(vaes::Cipher::new(registers, seed)));
        }
        Self::portable(seed)
    }

    fn portable(seed: &[u8; 16]) -> Self {
        Keystream(Cipher::Portable(Box::new(Aes128Enc::new(seed.into()))))
    }

    /// Writes the stream's bytes from `16·first_block` on.
    ///
    /// # Panics
    /// If `out` is not whole runs of 64 bytes.
    pub fn fill(&self, first_block: u64, out: &mut [u8]) {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Cipher::Vaes(cipher) => {
                let (lines, rest) = out.as_chunks_mut();
                assert!(rest.is_empty(), "runs of 64 bytes");
                cipher.fill(first_block, lines);
            }
            Cipher::Portable(cipher) => {
                let (blocks, rest) = Array::slice_as_chunks_mut(out);
                assert!(rest.is_empty() && blocks.len() % 4 == 0, "runs of 64 bytes");
                for (block, counter) in blocks.iter_mut().zip(u128::from(first_block)..) {
                    *block = counter.to_le_bytes().into();
                }
                cipher.encrypt_blocks(blocks);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod vaes {
    use std::arch::x86_64::*;

    use zeroize::Zeroizing;

    use super::Line;

    const ROUND_KEYS: usize = 11;

    /// AES-128 for machines with VAES and registers that hold several blocks.
    pub(super) struct Cipher {
        round_keys: Zeroizing<[[u8; 16]; ROUND_KEYS]>,
        registers: Registers,
    }

    /// What holds the blocks; the machine has VAES for it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Registers {
        /// 512 bits.
        Avx512,
        /// 256 bits.
        Avx2,
    }

    impl Registers {
        /// All that the machine has, the widest first.
        pub(super) fn detect() -> impl Iterator<Item = Self> {
            let vaes = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("aes");
            let avx512 = vaes && is_x86_feature_detected!("avx512f");
            let avx2 = vaes && is_x86_feature_detected!("avx2");
            [(avx512, Registers::Avx512), (avx2, Registers::Avx2)]
                .into_iter()
                .filter_map(|(found, registers)| found.then_some(registers))
        }
    }

    impl Cipher {
        /// A cipher for registers that [`Registers::detect`] has found.
        pub(super) fn new(registers: Registers, key: &[u8; 16]) -> Self {
            assert!(Registers::detect().any(|found| found == registers));
            Cipher {
                // SAFETY: the machine has AES.
                round_keys: unsafe { expand(key) },
                registers,
            }
        }

        /// Writes the blocks of the counters from `first_block` on.
        pub(super) fn fill(&self, first_block: u64, lines: &mut [Line]) {
            // SAFETY: `new` has seen that the machine has VAES for these registers.
            unsafe {
                match self.registers {
                    Registers::Avx512 => fill(&self.round_keys, first_block, lines),
                    Registers::Avx2 => fill_avx2(&self.round_keys, first_block, lines),
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,vaes")]
    fn fill(round_keys: &[[u8; 16]; ROUND_KEYS], first_block: u64, lines: &mut [Line]) {
        let keys = round_keys.map(|key| {
            // SAFETY: 16 bytes, no alignment needed.
            _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(key.as_ptr().cast()) })
        });
        // Counters stay below 2^64: the upper half of each stays zero.
        let mut counters = _mm512_add_epi64(
            _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0),
            _mm512_maskz_set1_epi64(0b0101_0101, first_block as i64),
        );
        // As many side by side as hide how long a round takes, and registers hold.
        let (runs, rest) = lines.as_chunks_mut::<16>();
        for run in runs {
            encrypt(&keys, &mut counters, run);
        }
        let (runs, rest) = rest.as_chunks_mut::<4>();
        for run in runs {
            encrypt(&keys, &mut counters, run);
        }
        for line in rest {
            encrypt(&keys, &mut counters, std::array::from_mut(line));
        }
    }

    /// Encrypts `LINES` lines of counters, and moves on to the next.
    #[inline]
    #[target_feature(enable = "avx512f,vaes")]
    fn encrypt<const LINES: usize>(
        keys: &[__m512i; ROUND_KEYS],
        counters: &mut __m512i,
        lines: &mut [Line; LINES],
    ) {
        let [first_key, middle_keys @ .., last_key] = keys;
        let four = _mm512_maskz_set1_epi64(0b0101_0101, 4);
        let mut blocks = [_mm512_setzero_si512(); LINES];
        for block in &mut blocks {
            *block = _mm512_xor_si512(*counters, *first_key);
            *counters = _mm512_add_epi64(*counters, four);
        }
        for key in middle_keys {
            for block in &mut blocks {
                *block = _mm512_aesenc_epi128(*block, *key);
            }
        }
        for (block, line) in blocks.into_iter().zip(lines) {
            let block = _mm512_aesenclast_epi128(block, *last_key);
            // SAFETY: 64 bytes, no alignment needed.
            unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast(), block) };
        }
    }

    #[target_feature(enable = "avx2,vaes")]
    fn fill_avx2(round_keys: &[[u8; 16]; ROUND_KEYS], first_block: u64, lines: &mut [Line]) {
        // SAFETY: 16 bytes, no alignment needed.
        let first = unsafe { _mm_loadu_si128(round_keys[0].as_ptr().cast()) };
        let first_key = _mm256_broadcastsi128_si256(first);
        // Counters stay below 2^64: the upper half of each stays zero.
        let mut counters = _mm256_add_epi64(
            _mm256_set_epi64x(0, 1, 0, 0),
            _mm256_set_epi64x(0, first_block as i64, 0, first_block as i64),
        );
        // As many side by side as hide how long a round takes; the keys come from memory, there are not
        // registers for them too.
        let (runs, rest) = lines.as_chunks_mut::<4>();
        for run in runs {
            encrypt_avx2::<8>(round_keys, first_key, &mut counters, run.as_flattened_mut());
        }
        for line in rest {
            encrypt_avx2::<2>(round_keys, first_key, &mut counters, line);
        }
    }

    /// Encrypts `PAIRS` pairs of counters to 32 bytes each, and moves on to the next.
    #[inline]
    #[target_feature(enable = "avx2,vaes")]
    fn encrypt_avx2<const PAIRS: usize>(
        round_keys: &[[u8; 16]; ROUND_KEYS],
        first_key: __m256i,
        counters: &mut __m256i,
        out: &mut [u8],
    ) {
        let key = |round: usize| {
            // SAFETY: 16 bytes, no alignment needed.
            _mm256_broadcastsi128_si256(unsafe {
                _mm_loadu_si128(round_keys[round].as_ptr().cast())
            })
        };
        let two = _mm256_set_epi64x(0, 2, 0, 2);
        let mut pairs = [_mm256_setzero_si256(); PAIRS];
        for pair in &mut pairs {
            *pair = _mm256_xor_si256(*counters, first_key);
            *counters = _mm256_add_epi64(*counters, two);
        }
        for round in 1..ROUND_KEYS - 1 {
            let key = key(round);
            for pair in &mut pairs {
                *pair = _mm256_aesenc_epi128(*pair, key);
            }
        }
        let last_key = key(ROUND_KEYS - 1);
        for (pair, out) in pairs.into_iter().zip(out.as_chunks_mut::<32>().0) {
            let pair = _mm256_aesenclast_epi128(pair, last_key);
            // SAFETY: 32 bytes, no alignment needed.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), pair) };
        }
    }

    /// The key schedule of FIPS 197, section 5.2.
    #[target_feature(enable = "aes")]
    fn expand(key: &[u8; 16]) -> Zeroizing<[[u8; 16]; ROUND_KEYS]> {
        let mut keys = Zeroizing::new([*key; ROUND_KEYS]);
        // SAFETY: 16 bytes, no alignment needed.
        let mut last = unsafe { _mm_loadu_si128(key.as_ptr().cast()) };
        let mut round_constant = 1i32;
        for next in &mut keys[1..] {
            // SubWord(RotWord(last word)) in every word, without the round constant.
            let mixed = _mm_shuffle_epi32::<0b11_11_11_11>(_mm_aeskeygenassist_si128::<0>(last));
            let mixed = _mm_xor_si128(mixed, _mm_set1_epi32(round_constant));
            // Each word takes all words before it.
            let sum = _mm_xor_si128(last, _mm_slli_si128::<4>(last));
            let sum = _mm_xor_si128(sum, _mm_slli_si128::<8>(sum));
            last = _mm_xor_si128(sum, mixed);
            // SAFETY: 16 bytes, no alignment needed.
            unsafe { _mm_storeu_si128(next.as_mut_ptr().cast(), last) };
            // Doubled in GF(2^8).
            round_constant = (round_constant << 1) ^ ((round_constant >> 7) * 0x11b);
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_path_gives_the_same_bytes_from_anywhere(
            seed in any::<[u8; 16]>(),
            first_block in 0..u64::MAX / 2,
            lines in 0usize..50,
        ) {
            let mut expected = vec![0; 64 * lines];
            let mut found = vec![1; 64 * lines];
            Keystream::portable(&seed).fill(first_block, &mut expected);
            Keystream::new(&seed).fill(first_block, &mut found);
            prop_assert!(found == expected);
            #[cfg(target_arch = "x86_64")]
            for registers in vaes::Registers::detect() {
                found.fill(1);
                vaes::Cipher::new(registers, &seed).fill(first_block, found.as_chunks_mut().0);
                prop_assert!(found == expected, "{registers:?}");
            }
        }
    }
}
