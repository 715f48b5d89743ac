//! Both directions transpose 64 × 8 bytes: the 8 × 8 bytes within each register by a shuffle of bytes within
//! lanes and a permutation of pairs of bytes, the 8 × 8 eight-byte words of eight registers by three rounds
//! of shuffles.

use std::arch::x86_64::*;

use fhe_core::panel::PANEL_ROWS;

use super::{Plane, Planes, Task};
use crate::activations::Column;
use crate::transpose::{self, TILE};

/// The machine has AVX-512 with the extensions of server processors.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// Looks at the machine; the answer is cached.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi2"))
        .then_some(Avx512(()))
    }

    /// Runs a task compiled with these features.
    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        // SAFETY: `detect` has seen the features.
        unsafe { run_with_features(task, self) }
    }
}

#[target_feature(enable = "avx2,fma,bmi2,avx512f,avx512bw,avx512dq,avx512vl")]
fn run_with_features<T: Task>(task: T, avx512: Avx512) -> T::Output {
    task.run(avx512)
}

impl Planes for Avx512 {
    #[inline(always)]
    fn write_rows(self, columns: &[f32], stride: usize, rows: &mut [&mut [f32]], at: usize) {
        // SAFETY: `detect` has seen the features.
        unsafe { transpose::avx512::write_rows(columns, stride, rows, at) }
    }

    #[inline(always)]
    fn write_columns(self, rows: &[i16], stride: usize, columns: &mut [Column; TILE], at: usize) {
        // SAFETY: `detect` has seen the features.
        unsafe { transpose::avx512::write_columns(rows, stride, columns, at) }
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

/// Of two entries in a lane, byte l of both to pair l.
const PAIR: [u8; 16] = [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15];

/// And back.
const UNPAIR: [u8; 16] = [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15];

/// Pair l of lane i to place i of word l.
const GATHER_PAIRS: [u16; 32] = {
    let mut index = [0; 32];
    let mut at = 0;
    while at < 32 {
        index[at] = (at % 4 * 8 + at / 4) as u16;
        at += 1;
    }
    index
};

/// And back.
const SCATTER_PAIRS: [u16; 32] = {
    let mut index = [0; 32];
    let mut at = 0;
    while at < 32 {
        index[at] = (at % 8 * 4 + at / 8) as u16;
        at += 1;
    }
    index
};

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn split<const LIMBS: usize>(entries: &[u64; PANEL_ROWS], planes: &mut [Plane]) {
    let planes: &mut [Plane; LIMBS] = planes.try_into().expect("as many planes as limbs");
    let (pair, gather_pairs) = (load_lane(&PAIR), load_pairs(&GATHER_PAIRS));
    let mut words = [_mm512_setzero_si512(); 8];
    for (word, entries) in words.iter_mut().zip(entries.as_chunks().0) {
        let pairs = _mm512_shuffle_epi8(load_words(entries), pair);
        *word = _mm512_permutexvar_epi16(gather_pairs, pairs);
    }
    let limbs = transpose_words(words);
    for (plane, limb) in planes.iter_mut().zip(limbs) {
        store(limb, plane);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn join<const LIMBS: usize>(planes: &[Plane], entries: &mut [u64; PANEL_ROWS]) {
    let planes: &[Plane; LIMBS] = planes.try_into().expect("as many planes as limbs");
    let (unpair, scatter_pairs) = (load_lane(&UNPAIR), load_pairs(&SCATTER_PAIRS));
    let mut limbs = [_mm512_setzero_si512(); 8];
    for (limb, plane) in limbs.iter_mut().zip(planes) {
        *limb = load(plane);
    }
    let words = transpose_words(limbs);
    for (entries, word) in entries.as_chunks_mut().0.iter_mut().zip(words) {
        let pairs = _mm512_permutexvar_epi16(scatter_pairs, word);
        store_words(_mm512_shuffle_epi8(pairs, unpair), entries);
    }
}

/// Word j of result i is word i of source j.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_words(rows: [__m512i; 8]) -> [__m512i; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    let even = transpose_lanes([
        _mm512_unpacklo_epi64(a, b),
        _mm512_unpacklo_epi64(c, d),
        _mm512_unpacklo_epi64(e, f),
        _mm512_unpacklo_epi64(g, h),
    ]);
    let odd = transpose_lanes([
        _mm512_unpackhi_epi64(a, b),
        _mm512_unpackhi_epi64(c, d),
        _mm512_unpackhi_epi64(e, f),
        _mm512_unpackhi_epi64(g, h),
    ]);
    [
        even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3],
    ]
}

/// 128-bit lane j of result i is lane i of source j.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_lanes([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    let ab_even = _mm512_shuffle_i64x2::<EVEN>(a, b);
    let ab_odd = _mm512_shuffle_i64x2::<ODD>(a, b);
    let cd_even = _mm512_shuffle_i64x2::<EVEN>(c, d);
    let cd_odd = _mm512_shuffle_i64x2::<ODD>(c, d);
    [
        _mm512_shuffle_i64x2::<EVEN>(ab_even, cd_even),
        _mm512_shuffle_i64x2::<EVEN>(ab_odd, cd_odd),
        _mm512_shuffle_i64x2::<ODD>(ab_even, cd_even),
        _mm512_shuffle_i64x2::<ODD>(ab_odd, cd_odd),
    ]
}

/// Copies of 16 bytes in every lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_lane(bytes: &[u8; 16]) -> __m512i {
    // SAFETY: 16 bytes, no alignment needed.
    _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_pairs(pairs: &[u16; 32]) -> __m512i {
    // SAFETY: 64 bytes, no alignment needed.
    unsafe { _mm512_loadu_si512(pairs.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes, no alignment needed.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_words(words: &[u64; 8]) -> __m512i {
    // SAFETY: 64 bytes, no alignment needed.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(value: __m512i, bytes: &mut [u8; 64]) {
    // SAFETY: 64 bytes, no alignment needed.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_words(value: __m512i, words: &mut [u64; 8]) {
    // SAFETY: 64 bytes, no alignment needed.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}
