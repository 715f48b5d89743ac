//! Products of torus elements and integers, with the vectors that the processor has.

/// Most ciphertexts that are switched at a time.
pub(crate) const BATCH: usize = 8;

/// Words of a key's row that are worked on together: the sums of a batch fit the registers of AVX-512.
pub(crate) const TILE: usize = 16;

/// Some words of a key's row.
pub(crate) type Tile = [u64; TILE];

/// What the compiler may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vectors {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Vectors {
    /// All that this processor has, the widest last.
    pub(crate) fn here() -> Vec<Self> {
        let mut all = vec![Vectors::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                all.push(Vectors::Avx2);
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                all.push(Vectors::Avx512);
            }
        }
        all
    }

    /// The widest.
    pub(crate) fn widest() -> Self {
        Self::here().pop().unwrap_or(Vectors::Portable)
    }

    /// Adds all rows times the digits of each ciphertext to its sum.
    pub(crate) fn add_products(
        self,
        rows: &[Tile],
        digits: &[[u64; BATCH]],
        sums: &mut [Tile; BATCH],
    ) {
        match self {
            Vectors::Portable => add_products(rows, digits, sums),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `here`, the only source of these, found the features.
            Vectors::Avx2 => unsafe { add_products_avx2(rows, digits, sums) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Vectors::Avx512 => unsafe { add_products_avx512(rows, digits, sums) },
        }
    }

    /// Adds `weight · values`.
    pub(crate) fn add_product(self, sums: &mut [u64], values: &[u64], weight: u64) {
        match self {
            Vectors::Portable => add_product(sums, values, weight),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Vectors::Avx2 => unsafe { add_product_avx2(sums, values, weight) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Vectors::Avx512 => unsafe { add_product_avx512(sums, values, weight) },
        }
    }
}

#[inline(always)]
fn add_product(sums: &mut [u64], values: &[u64], weight: u64) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum = sum.wrapping_add(value.wrapping_mul(weight));
    }
}

#[inline(always)]
fn add_products(rows: &[Tile], digits: &[[u64; BATCH]], sums: &mut [Tile; BATCH]) {
    for (row, digits) in rows.iter().zip(digits) {
        for (sum, &digit) in sums.iter_mut().zip(digits) {
            // Slices: loops over arrays are unrolled before they can become vectors.
            add_product(sum.as_mut_slice(), row.as_slice(), digit);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_products_avx2(rows: &[Tile], digits: &[[u64; BATCH]], sums: &mut [Tile; BATCH]) {
    add_products(rows, digits, sums);
}

/// With the sums in registers, which the compiler would not do by itself.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn add_products_avx512(rows: &[Tile], digits: &[[u64; BATCH]], sums: &mut [Tile; BATCH]) {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi64, _mm512_loadu_si512, _mm512_mullo_epi64, _mm512_set1_epi64,
        _mm512_setzero_si512, _mm512_storeu_si512,
    };
    const LANES: usize = 8;
    const VECTORS: usize = TILE / LANES;
    let load = |words: &[u64; LANES]| -> __m512i {
        // SAFETY: reads as many bytes as the array has.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    };
    let mut all = [[_mm512_setzero_si512(); VECTORS]; BATCH];
    for (row, digits) in rows.iter().zip(digits) {
        let pieces = row.as_chunks::<LANES>().0;
        for (sums, &digit) in all.iter_mut().zip(digits) {
            let digit = _mm512_set1_epi64(digit as i64);
            for (sum, piece) in sums.iter_mut().zip(pieces) {
                *sum = _mm512_add_epi64(*sum, _mm512_mullo_epi64(load(piece), digit));
            }
        }
    }
    for (words, sums) in sums.iter_mut().zip(&all) {
        for (words, &sum) in words.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
            let sum = _mm512_add_epi64(load(words), sum);
            // SAFETY: writes as many bytes as the array has.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), sum) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_product_avx2(sums: &mut [u64], values: &[u64], weight: u64) {
    add_product(sums, values, weight);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn add_product_avx512(sums: &mut [u64], values: &[u64], weight: u64) {
    add_product(sums, values, weight);
}
