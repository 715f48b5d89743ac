//! Registers of 256 bits.

use std::arch::x86_64::*;

use super::{LANES, Lane8, Lanes, Task};

/// The machine has AVX2.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    /// Looks at the machine; the answer is cached.
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2")).then_some(Avx2(()))
    }

    /// Runs a task compiled with these features.
    pub(super) fn run<T: Task>(self, task: T) -> T::Output {
        // SAFETY: `detect` has seen the features.
        unsafe { run_with_features(task, self) }
    }
}

#[target_feature(enable = "avx2,bmi2")]
fn run_with_features<T: Task>(task: T, avx2: Avx2) -> T::Output {
    task.run(avx2)
}

/// What `vpmuludq` reads of the odd lanes.
#[inline(always)]
fn odd(a: __m256i) -> __m256i {
    // SAFETY: called where the machine has AVX2.
    unsafe { _mm256_srli_epi64::<32>(a) }
}

/// The odd lanes of `odd`, and the even ones of `even`.
#[inline(always)]
fn blend(even: __m256i, odd: __m256i) -> __m256i {
    // SAFETY: called where the machine has AVX2.
    unsafe { _mm256_blend_epi32::<0b1010_1010>(even, odd) }
}

/// Within both halves of registers, rows to columns.
#[inline(always)]
fn transpose_four(rows: [__m256i; 4]) -> [__m256i; 4] {
    let [a, b, c, d] = rows;
    // SAFETY: called where the machine has AVX2.
    unsafe {
        let (low_ab, high_ab) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let (low_cd, high_cd) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
        [
            _mm256_unpacklo_epi64(low_ab, low_cd),
            _mm256_unpackhi_epi64(low_ab, low_cd),
            _mm256_unpacklo_epi64(high_ab, high_cd),
            _mm256_unpackhi_epi64(high_ab, high_cd),
        ]
    }
}

/// a + m·p of four products, whose low halves are zero. Constants are the same in every lane, so that their even ones
/// serve all.
#[inline(always)]
fn montgomery(a: __m256i, p: __m256i, negated_inverse: __m256i) -> __m256i {
    // SAFETY: called where the machine has AVX2.
    unsafe {
        let m = _mm256_mul_epu32(a, negated_inverse);
        _mm256_add_epi64(a, _mm256_mul_epu32(m, p))
    }
}

impl Lanes for Avx2 {
    type V = __m256i;
    /// Those of the even lanes, then those of the odd ones.
    type Wide = [__m256i; 2];

    #[inline(always)]
    fn splat(self, value: u32) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_set1_epi32(value as i32) }
    }

    #[inline(always)]
    fn load(self, values: &Lane8) -> __m256i {
        // SAFETY: 32 bytes, no alignment needed; `detect` has seen AVX2.
        unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, vector: __m256i, values: &mut Lane8) {
        // SAFETY: 32 bytes, no alignment needed; `detect` has seen AVX2.
        unsafe { _mm256_storeu_si256(values.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_min_epu32(a, b) }
    }

    #[inline(always)]
    fn all_at_most(self, a: __m256i, most: __m256i) -> bool {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_movemask_epi8(_mm256_cmpeq_epi32(_mm256_min_epu32(a, most), a)) == -1 }
    }

    #[inline(always)]
    fn mul_low(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_mullo_epi32(a, b) }
    }

    #[inline(always)]
    fn mul_high(self, a: __m256i, b: __m256i) -> __m256i {
        let [even, odd] = self.mul_wide(a, b);
        // SAFETY: `detect` has seen AVX2.
        blend(unsafe { _mm256_srli_epi64::<32>(even) }, odd)
    }

    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_and_si256(a, b) }
    }

    #[inline(always)]
    fn or(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_or_si256(a, b) }
    }

    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: __m256i) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_slli_epi32::<BITS>(a) }
    }

    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: __m256i) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_srli_epi32::<BITS>(a) }
    }

    #[inline(always)]
    fn reverse(self, a: __m256i) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_permutevar8x32_epi32(a, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0)) }
    }

    #[inline(always)]
    fn transpose(self, rows: [__m256i; LANES]) -> [__m256i; LANES] {
        let [a, b, c, d, e, f, g, h] = rows;
        let [first, second] = [transpose_four([a, b, c, d]), transpose_four([e, f, g, h])];
        // SAFETY: `detect` has seen AVX2.
        unsafe {
            [
                _mm256_permute2x128_si256::<0x20>(first[0], second[0]),
                _mm256_permute2x128_si256::<0x20>(first[1], second[1]),
                _mm256_permute2x128_si256::<0x20>(first[2], second[2]),
                _mm256_permute2x128_si256::<0x20>(first[3], second[3]),
                _mm256_permute2x128_si256::<0x31>(first[0], second[0]),
                _mm256_permute2x128_si256::<0x31>(first[1], second[1]),
                _mm256_permute2x128_si256::<0x31>(first[2], second[2]),
                _mm256_permute2x128_si256::<0x31>(first[3], second[3]),
            ]
        }
    }

    #[inline(always)]
    fn dot_halves(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        unsafe { _mm256_madd_epi16(a, b) }
    }

    #[inline(always)]
    fn mul_wide(self, a: __m256i, b: __m256i) -> [__m256i; 2] {
        // SAFETY: `detect` has seen AVX2.
        unsafe { [_mm256_mul_epu32(a, b), _mm256_mul_epu32(odd(a), odd(b))] }
    }

    #[inline(always)]
    fn add_wide(self, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: `detect` has seen AVX2.
        unsafe { [_mm256_add_epi64(a[0], b[0]), _mm256_add_epi64(a[1], b[1])] }
    }

    #[inline(always)]
    fn low(self, a: [__m256i; 2]) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        blend(a[0], unsafe { _mm256_slli_epi64::<32>(a[1]) })
    }

    #[inline(always)]
    fn shift_right_wide<const BITS: i32>(self, a: [__m256i; 2]) -> __m256i {
        // SAFETY: `detect` has seen AVX2.
        self.low(unsafe {
            [
                _mm256_srli_epi64::<BITS>(a[0]),
                _mm256_srli_epi64::<BITS>(a[1]),
            ]
        })
    }

    #[inline(always)]
    fn montgomery(self, a: [__m256i; 2], p: __m256i, negated_inverse: __m256i) -> __m256i {
        let (even, odd) = (
            montgomery(a[0], p, negated_inverse),
            montgomery(a[1], p, negated_inverse),
        );
        // SAFETY: `detect` has seen AVX2.
        blend(unsafe { _mm256_srli_epi64::<32>(even) }, odd)
    }
}
