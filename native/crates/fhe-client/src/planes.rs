//! Entries to planar limbs and back, 64 at a time: limb l of entry r is byte r of plane l.
//!
//! Compilers make poor code of it, so machines that can permute the bytes of a 512-bit register
//! (AVX-512 VBMI), and those with AVX2, have their own.

#[cfg(target_arch = "x86_64")]
mod avx2;

use fhe_core::panel::PANEL_ROWS;
use pulp::{Arch, Simd, WithSimd};

/// One limb of the 64 entries of a panel.
pub(crate) type Plane = [u8; PANEL_ROWS];

/// A way to take entries apart and to put them together, and to do arithmetic on the way.
pub(crate) trait Planes: Copy {
    /// Vectors of this machine.
    type Simd: Simd;

    /// Their operations.
    fn simd(self) -> Self::Simd;

    /// Writes the low bytes of `entries` to `planes`, at most 8.
    fn split(self, entries: &[u64; PANEL_ROWS], planes: &mut [Plane]);

    /// Reads entries from `planes`, at most 8.
    fn join(self, planes: &[Plane], entries: &mut [u64; PANEL_ROWS]);
}

/// Loops over whole features, to be compiled for every instruction set.
pub(crate) trait Task {
    /// What comes out.
    type Output;

    /// Does it; implementations are `#[inline(always)]`, and so is all they call that is to be compiled for
    /// the instruction set.
    fn run<P: Planes>(self, planes: P) -> Self::Output;
}

/// Runs a task compiled for the machine at hand.
pub(crate) fn dispatch<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(vbmi) = avx512_vbmi::Vbmi::detect() {
        return vbmi.run(task);
    }
    // Machines with AVX-512 but not VBMI keep their wide vectors.
    #[cfg(target_arch = "x86_64")]
    if let (None, Some(avx2)) = (pulp::x86::V4::try_new(), avx2::Avx2::detect()) {
        return avx2.run(task);
    }
    Arch::new().dispatch(Compiled(task))
}

struct Compiled<T>(T);

impl<T: Task> WithSimd for Compiled<T> {
    type Output = T::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> T::Output {
        self.0.run(Portable(simd))
    }
}

/// Plain loops.
#[derive(Clone, Copy)]
pub(crate) struct Portable<S>(S);

impl<S: Simd> Planes for Portable<S> {
    type Simd = S;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn split(self, entries: &[u64; PANEL_ROWS], planes: &mut [Plane]) {
        for (limb, plane) in planes.iter_mut().enumerate() {
            for (byte, entry) in plane.iter_mut().zip(entries) {
                *byte = (entry >> (8 * limb)) as u8;
            }
        }
    }

    #[inline(always)]
    fn join(self, planes: &[Plane], entries: &mut [u64; PANEL_ROWS]) {
        // A known number of limbs lets the entries stay in registers.
        match planes {
            [a, b] => *entries = joined([a, b]),
            [a, b, c] => *entries = joined([a, b, c]),
            [a, b, c, d] => *entries = joined([a, b, c, d]),
            [a, b, c, d, e] => *entries = joined([a, b, c, d, e]),
            _ => {
                entries.fill(0);
                for (limb, plane) in planes.iter().enumerate() {
                    for (entry, &byte) in entries.iter_mut().zip(plane) {
                        *entry |= u64::from(byte) << (8 * limb);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn joined<const LIMBS: usize>(planes: [&Plane; LIMBS]) -> [u64; PANEL_ROWS] {
    let mut entries = [0; PANEL_ROWS];
    for (row, entry) in entries.iter_mut().enumerate() {
        for (limb, plane) in planes.iter().enumerate() {
            *entry |= u64::from(plane[row]) << (8 * limb);
        }
    }
    entries
}

#[cfg(target_arch = "x86_64")]
mod avx512_vbmi {
    //! Both directions transpose 64 × 8 bytes: the 8 × 8 bytes within each register by one permutation
    //! of bytes, the 8 × 8 eight-byte words of eight registers by three rounds of shuffles.

    use std::arch::x86_64::*;

    use fhe_core::panel::PANEL_ROWS;

    use pulp::x86::V4;

    use super::{Plane, Planes, Task};

    /// The machine has AVX-512 with VBMI.
    #[derive(Clone, Copy)]
    pub(crate) struct Vbmi(V4);

    impl Vbmi {
        /// Looks at the machine; the answer is cached.
        pub(crate) fn detect() -> Option<Self> {
            let v4 = V4::try_new()?;
            is_x86_feature_detected!("avx512vbmi").then_some(Vbmi(v4))
        }

        /// Runs a task compiled with these features.
        pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
            // SAFETY: `detect` has seen the features.
            unsafe { run_with_features(task, self) }
        }
    }

    // All that `V4` stands for, and VBMI.
    #[target_feature(enable = "sse4.2,popcnt,avx2,bmi1,bmi2,fma,lzcnt,fxsr")]
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vbmi")]
    fn run_with_features<T: Task>(task: T, vbmi: Vbmi) -> T::Output {
        task.run(vbmi)
    }

    impl Planes for Vbmi {
        type Simd = V4;

        #[inline(always)]
        fn simd(self) -> V4 {
            self.0
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

    /// Byte 8·i + j of the result is byte 8·j + i of the source.
    const TRANSPOSE_8X8: [u8; 64] = {
        let mut index = [0; 64];
        let mut at = 0;
        while at < 64 {
            index[at] = (at % 8 * 8 + at / 8) as u8;
            at += 1;
        }
        index
    };

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn split<const LIMBS: usize>(entries: &[u64; PANEL_ROWS], planes: &mut [Plane]) {
        let planes: &mut [Plane; LIMBS] = planes.try_into().expect("as many planes as limbs");
        let index = load(&TRANSPOSE_8X8);
        let mut words = [_mm512_setzero_si512(); 8];
        for (word, entries) in words.iter_mut().zip(entries.as_chunks().0) {
            *word = _mm512_permutexvar_epi8(index, load_words(entries));
        }
        let limbs = transpose_words(words);
        for (plane, limb) in planes.iter_mut().zip(limbs) {
            store(limb, plane);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn join<const LIMBS: usize>(planes: &[Plane], entries: &mut [u64; PANEL_ROWS]) {
        let planes: &[Plane; LIMBS] = planes.try_into().expect("as many planes as limbs");
        let index = load(&TRANSPOSE_8X8);
        let mut limbs = [_mm512_setzero_si512(); 8];
        for (limb, plane) in limbs.iter_mut().zip(planes) {
            *limb = load(plane);
        }
        let words = transpose_words(limbs);
        for (entries, word) in entries.as_chunks_mut().0.iter_mut().zip(words) {
            store_words(_mm512_permutexvar_epi8(index, word), entries);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct RoundTrip<'a> {
        entries: &'a [u64; PANEL_ROWS],
        limbs: usize,
    }

    impl Task for RoundTrip<'_> {
        type Output = (Vec<Plane>, [u64; PANEL_ROWS]);

        #[inline(always)]
        fn run<P: Planes>(self, planes: P) -> Self::Output {
            let mut bytes = vec![[0; PANEL_ROWS]; self.limbs];
            planes.split(self.entries, &mut bytes);
            let mut entries = [u64::MAX; PANEL_ROWS];
            planes.join(&bytes, &mut entries);
            (bytes, entries)
        }
    }

    proptest! {
        #[test]
        fn planes_hold_the_low_bytes_on_every_path(
            entries in any::<[[u64; 8]; 8]>(),
            limbs in 1usize..=8,
        ) {
            let entries: &[u64; PANEL_ROWS] = entries.as_flattened().try_into().unwrap();
            let (bytes, joined) = RoundTrip { entries, limbs }.run(Portable(pulp::Scalar));
            for (row, entry) in entries.iter().enumerate() {
                let expected = entry & (u64::MAX >> (64 - 8 * limbs));
                prop_assert_eq!(joined[row], expected);
                for (limb, plane) in bytes.iter().enumerate() {
                    prop_assert_eq!(plane[row], entry.to_le_bytes()[limb]);
                }
            }
            let dispatched = dispatch(RoundTrip { entries, limbs });
            prop_assert!(dispatched == (bytes.clone(), joined));
            #[cfg(target_arch = "x86_64")]
            if let Some(avx2) = avx2::Avx2::detect() {
                let by_avx2 = avx2.run(RoundTrip { entries, limbs });
                prop_assert!(by_avx2 == (bytes, joined));
            }
        }
    }
}
