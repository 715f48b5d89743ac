//! Both directions transpose 32 × 8 bytes within the two lanes of eight registers, by rounds of
//! interleaving; entries and planes are put in the lanes in such an order that all memory is read and
//! written in whole registers or lanes.

use std::arch::x86_64::*;

use fhe_core::panel::PANEL_ROWS;

use super::{Plane, Planes, Task};
use crate::transpose;

/// The machine has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Looks at the machine; the answer is cached.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi2"))
        .then_some(Avx2(()))
    }

    /// Runs a task compiled with these features.
    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        // SAFETY: `detect` has seen the features.
        unsafe { run_with_features(task, self) }
    }
}

#[target_feature(enable = "avx2,fma,bmi2")]
fn run_with_features<T: Task>(task: T, avx2: Avx2) -> T::Output {
    task.run(avx2)
}

impl Planes for Avx2 {
    #[inline(always)]
    fn write_rows(self, columns: &[f32], stride: usize, rows: &mut [&mut [f32]], at: usize) {
        // SAFETY: `detect` has seen the features.
        unsafe { transpose::avx2::write_rows(columns, stride, rows, at) }
    }

    #[inline(always)]
    fn split(self, entries: &[u64; PANEL_ROWS], planes: &mut [Plane]) {
        // SAFETY: `detect` has seen the features.
        unsafe {
            match planes.len() {
                1 => split::<1>(entries, planes),
                2 => split::<2>(entries, planes),
                3 => split::<3>(entries, planes),
                4 => split::<4>(entries, planes),
                5 => split::<5>(entries, planes),
                6 => split::<6>(entries, planes),
                7 => split::<7>(entries, planes),
                _ => split::<8>(entries, planes),
            }
        }
    }

    #[inline(always)]
    fn join(self, planes: &[Plane], entries: &mut [u64; PANEL_ROWS]) {
        // SAFETY: `detect` has seen the features.
        unsafe {
            match planes.len() {
                1 => join::<1>(planes, entries),
                2 => join::<2>(planes, entries),
                3 => join::<3>(planes, entries),
                4 => join::<4>(planes, entries),
                5 => join::<5>(planes, entries),
                6 => join::<6>(planes, entries),
                7 => join::<7>(planes, entries),
                _ => join::<8>(planes, entries),
            }
        }
    }
}

/// Rows that one register holds a limb of.
const ROWS: usize = 32;

#[inline]
#[target_feature(enable = "avx2")]
fn split<const LIMBS: usize>(entries: &[u64; PANEL_ROWS], planes: &mut [Plane]) {
    let planes: &mut [Plane; LIMBS] = planes.try_into().expect("as many planes as limbs");
    // Byte l of both entries of a lane to word l.
    let pair = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15,
    ));
    for (half, entries) in entries.as_chunks::<ROWS>().0.iter().enumerate() {
        let pairs = entries.as_chunks::<2>().0;
        // Entries 2i and 2i + 1 to the low lane, 16 further to the high one.
        let words: [__m256i; 8] = std::array::from_fn(|i| {
            let lanes = _mm256_set_m128i(load_pair(&pairs[i + 8]), load_pair(&pairs[i]));
            _mm256_shuffle_epi8(lanes, pair)
        });
        for (plane, limb) in planes.iter_mut().zip(transpose_words(words)) {
            store(limb, &mut plane.as_chunks_mut().0[half]);
        }
    }
}

/// Word j of each lane of result i is word i of that lane of source j.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose_words(rows: [__m256i; 8]) -> [__m256i; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    let low = interleave_dwords([
        _mm256_unpacklo_epi16(a, b),
        _mm256_unpacklo_epi16(c, d),
        _mm256_unpacklo_epi16(e, f),
        _mm256_unpacklo_epi16(g, h),
    ]);
    let high = interleave_dwords([
        _mm256_unpackhi_epi16(a, b),
        _mm256_unpackhi_epi16(c, d),
        _mm256_unpackhi_epi16(e, f),
        _mm256_unpackhi_epi16(g, h),
    ]);
    [
        low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3],
    ]
}

/// Double word j of each lane of result i is double word i of that lane of source j.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave_dwords([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (ab_low, ab_high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(ab_low, cd_low),
        _mm256_unpackhi_epi64(ab_low, cd_low),
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ab_high, cd_high),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn join<const LIMBS: usize>(planes: &[Plane], entries: &mut [u64; PANEL_ROWS]) {
    let planes: &[Plane; LIMBS] = planes.try_into().expect("as many planes as limbs");
    // Even pairs of rows to the low half of their lane, odd ones to the high half.
    let pairs = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15,
    ));
    for (half, entries) in entries.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
        let mut limbs = [_mm256_setzero_si256(); 8];
        for (limb, plane) in limbs.iter_mut().zip(planes) {
            let rows = _mm256_shuffle_epi8(load(&plane.as_chunks().0[half]), pairs);
            // Then even pairs are in the low lane.
            *limb = _mm256_permute4x64_epi64::<0b11_01_10_00>(rows);
        }
        let [a, b, c, d, e, f, g, h] = limbs;
        let (ab, cd) = (interleave_bytes(a, b), interleave_bytes(c, d));
        let (ef, gh) = (interleave_bytes(e, f), interleave_bytes(g, h));
        for i in 0..2 {
            let (abcd, efgh) = (
                interleave_words(ab[i], cd[i]),
                interleave_words(ef[i], gh[i]),
            );
            for j in 0..2 {
                let low = _mm256_unpacklo_epi32(abcd[j], efgh[j]);
                let high = _mm256_unpackhi_epi32(abcd[j], efgh[j]);
                let entries = &mut entries.as_chunks_mut().0[4 * i + 2 * j..][..2];
                store_entries(low, &mut entries[0]);
                store_entries(high, &mut entries[1]);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn interleave_bytes(a: __m256i, b: __m256i) -> [__m256i; 2] {
    [_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn interleave_words(a: __m256i, b: __m256i) -> [__m256i; 2] {
    [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; ROWS]) -> __m256i {
    // SAFETY: 32 bytes, no alignment needed.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_pair(entries: &[u64; 2]) -> __m128i {
    // SAFETY: 16 bytes, no alignment needed.
    unsafe { _mm_loadu_si128(entries.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(value: __m256i, bytes: &mut [u8; ROWS]) {
    // SAFETY: 32 bytes, no alignment needed.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_entries(value: __m256i, entries: &mut [u64; 4]) {
    // SAFETY: 32 bytes, no alignment needed.
    unsafe { _mm256_storeu_si256(entries.as_mut_ptr().cast(), value) }
}
