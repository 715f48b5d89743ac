//! Vectors of doubles, as long as the machine's registers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use crate::planes::Portable;
#[cfg(target_arch = "x86_64")]
use crate::planes::{Avx2, Avx512};

/// Doubles of a row; vectors hold a row or an equal part of one.
pub(crate) const ROW: usize = 8;

/// Adding it rounds a double below 2^51 in magnitude to an integer, which is then the difference of the
/// bit patterns.
pub(crate) const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52

/// What a machine does with its vectors.
pub(crate) trait Vectors: Copy {
    /// [`Vectors::LANES`] doubles.
    type Vector: Copy;

    /// A divisor of [`ROW`].
    const LANES: usize;

    /// The same in every lane.
    fn splat(self, value: f64) -> Self::Vector;

    /// Vector `at` of some doubles.
    fn load(self, values: &[f64], at: usize) -> Self::Vector;

    /// Writes vector `at` of some doubles.
    fn store(self, vector: Self::Vector, values: &mut [f64], at: usize);

    /// Writes vector `at` of some integers: doubles below 2^51 in magnitude, rounded to the nearest.
    fn round(self, vector: Self::Vector, integers: &mut [i64], at: usize);

    /// a + b.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// a - b.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// a·b.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// a·b + c, rounded once where the machine can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// a·b - c, likewise.
    fn mul_sub(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// c - a·b, likewise.
    fn negate_mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// Turns rows, as many as there are lanes, into [`ROW`] columns, each a vector.
    fn rows_to_columns(self, rows: [Self::Vector; ROW]) -> [Self::Vector; ROW];

    /// And back.
    fn columns_to_rows(self, columns: [Self::Vector; ROW]) -> [Self::Vector; ROW];
}

/// Lanes of the plain loops, which compilers can make vectors of where they need no detection.
const LANES: usize = 2;

impl Vectors for Portable {
    type Vector = [f64; LANES];

    const LANES: usize = LANES;

    #[inline(always)]
    fn splat(self, value: f64) -> [f64; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, values: &[f64], at: usize) -> [f64; LANES] {
        values.as_chunks().0[at]
    }

    #[inline(always)]
    fn store(self, vector: [f64; LANES], values: &mut [f64], at: usize) {
        values.as_chunks_mut().0[at] = vector;
    }

    #[inline(always)]
    fn round(self, vector: [f64; LANES], integers: &mut [i64], at: usize) {
        integers.as_chunks_mut().0[at] =
            vector.map(|x| ((x + ROUNDER).to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64));
    }

    #[inline(always)]
    fn add(self, a: [f64; LANES], b: [f64; LANES]) -> [f64; LANES] {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn sub(self, a: [f64; LANES], b: [f64; LANES]) -> [f64; LANES] {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    fn mul(self, a: [f64; LANES], b: [f64; LANES]) -> [f64; LANES] {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn mul_add(self, a: [f64; LANES], b: [f64; LANES], c: [f64; LANES]) -> [f64; LANES] {
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn mul_sub(self, a: [f64; LANES], b: [f64; LANES], c: [f64; LANES]) -> [f64; LANES] {
        self.sub(self.mul(a, b), c)
    }

    #[inline(always)]
    fn negate_mul_add(self, a: [f64; LANES], b: [f64; LANES], c: [f64; LANES]) -> [f64; LANES] {
        self.sub(c, self.mul(a, b))
    }

    #[inline(always)]
    fn rows_to_columns(self, rows: [[f64; LANES]; ROW]) -> [[f64; LANES]; ROW] {
        let values = rows.as_flattened();
        std::array::from_fn(|column| std::array::from_fn(|row| values[row * ROW + column]))
    }

    #[inline(always)]
    fn columns_to_rows(self, columns: [[f64; LANES]; ROW]) -> [[f64; LANES]; ROW] {
        let values = columns.as_flattened();
        let place = |vector, lane| (vector * LANES + lane) % ROW * LANES + (vector * LANES) / ROW;
        std::array::from_fn(|vector| std::array::from_fn(|lane| values[place(vector, lane)]))
    }
}

/// Operations that are one instruction each.
#[cfg(target_arch = "x86_64")]
macro_rules! instructions {
    ($vector:ty, $($name:ident($($operand:ident),*) = $instruction:ident;)*) => {
        $(
            #[inline(always)]
            fn $name(self, $($operand: $vector),*) -> $vector {
                // SAFETY: who makes a `Self` has seen the features.
                unsafe { $instruction($($operand),*) }
            }
        )*
    };
}

#[cfg(target_arch = "x86_64")]
impl Vectors for Avx512 {
    type Vector = __m512d;

    const LANES: usize = 8;

    instructions! {
        __m512d,
        add(a, b) = _mm512_add_pd;
        sub(a, b) = _mm512_sub_pd;
        mul(a, b) = _mm512_mul_pd;
        mul_add(a, b, c) = _mm512_fmadd_pd;
        mul_sub(a, b, c) = _mm512_fmsub_pd;
        negate_mul_add(a, b, c) = _mm512_fnmadd_pd;
    }

    #[inline(always)]
    fn splat(self, value: f64) -> __m512d {
        // SAFETY: who makes a `Self` has seen the features.
        unsafe { _mm512_set1_pd(value) }
    }

    #[inline(always)]
    fn load(self, values: &[f64], at: usize) -> __m512d {
        let values: &[f64; 8] = &values.as_chunks().0[at];
        // SAFETY: eight doubles, no alignment needed; the features as above.
        unsafe { _mm512_loadu_pd(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512d, values: &mut [f64], at: usize) {
        let values: &mut [f64; 8] = &mut values.as_chunks_mut().0[at];
        // SAFETY: eight doubles, no alignment needed; the features as above.
        unsafe { _mm512_storeu_pd(values.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn round(self, vector: __m512d, integers: &mut [i64], at: usize) {
        let integers: &mut [i64; 8] = &mut integers.as_chunks_mut().0[at];
        // SAFETY: eight integers, no alignment needed; the features as above.
        unsafe {
            let rounded = _mm512_cvtpd_epi64(vector);
            _mm512_storeu_si512(integers.as_mut_ptr().cast(), rounded);
        }
    }

    #[inline(always)]
    fn rows_to_columns(self, rows: [__m512d; ROW]) -> [__m512d; ROW] {
        // SAFETY: who makes a `Self` has seen the features.
        unsafe { transpose_512(rows) }
    }

    #[inline(always)]
    fn columns_to_rows(self, columns: [__m512d; ROW]) -> [__m512d; ROW] {
        self.rows_to_columns(columns)
    }
}

/// Value j of result i is value i of source j.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_512([a, b, c, d, e, f, g, h]: [__m512d; 8]) -> [__m512d; 8] {
    let [even_0, even_2, even_4, even_6] = transpose_lanes(
        _mm512_unpacklo_pd(a, b),
        _mm512_unpacklo_pd(c, d),
        _mm512_unpacklo_pd(e, f),
        _mm512_unpacklo_pd(g, h),
    );
    let [odd_1, odd_3, odd_5, odd_7] = transpose_lanes(
        _mm512_unpackhi_pd(a, b),
        _mm512_unpackhi_pd(c, d),
        _mm512_unpackhi_pd(e, f),
        _mm512_unpackhi_pd(g, h),
    );
    [even_0, odd_1, even_2, odd_3, even_4, odd_5, even_6, odd_7]
}

/// 128-bit lane j of result i is lane i of source j.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn transpose_lanes(a: __m512d, b: __m512d, c: __m512d, d: __m512d) -> [__m512d; 4] {
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    let (ab_even, ab_odd) = (
        _mm512_shuffle_f64x2::<EVEN>(a, b),
        _mm512_shuffle_f64x2::<ODD>(a, b),
    );
    let (cd_even, cd_odd) = (
        _mm512_shuffle_f64x2::<EVEN>(c, d),
        _mm512_shuffle_f64x2::<ODD>(c, d),
    );
    [
        _mm512_shuffle_f64x2::<EVEN>(ab_even, cd_even),
        _mm512_shuffle_f64x2::<EVEN>(ab_odd, cd_odd),
        _mm512_shuffle_f64x2::<ODD>(ab_even, cd_even),
        _mm512_shuffle_f64x2::<ODD>(ab_odd, cd_odd),
    ]
}

#[cfg(target_arch = "x86_64")]
impl Vectors for Avx2 {
    type Vector = __m256d;

    const LANES: usize = 4;

    instructions! {
        __m256d,
        add(a, b) = _mm256_add_pd;
        sub(a, b) = _mm256_sub_pd;
        mul(a, b) = _mm256_mul_pd;
        mul_add(a, b, c) = _mm256_fmadd_pd;
        mul_sub(a, b, c) = _mm256_fmsub_pd;
        negate_mul_add(a, b, c) = _mm256_fnmadd_pd;
    }

    #[inline(always)]
    fn splat(self, value: f64) -> __m256d {
        // SAFETY: who makes a `Self` has seen the features.
        unsafe { _mm256_set1_pd(value) }
    }

    #[inline(always)]
    fn load(self, values: &[f64], at: usize) -> __m256d {
        let values: &[f64; 4] = &values.as_chunks().0[at];
        // SAFETY: four doubles, no alignment needed; the features as above.
        unsafe { _mm256_loadu_pd(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m256d, values: &mut [f64], at: usize) {
        let values: &mut [f64; 4] = &mut values.as_chunks_mut().0[at];
        // SAFETY: four doubles, no alignment needed; the features as above.
        unsafe { _mm256_storeu_pd(values.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn round(self, vector: __m256d, integers: &mut [i64], at: usize) {
        let integers: &mut [i64; 4] = &mut integers.as_chunks_mut().0[at];
        // SAFETY: four integers, no alignment needed; the features as above.
        unsafe {
            let rounder = _mm256_set1_pd(ROUNDER);
            let rounded = _mm256_sub_epi64(
                _mm256_castpd_si256(_mm256_add_pd(vector, rounder)),
                _mm256_castpd_si256(rounder),
            );
            _mm256_storeu_si256(integers.as_mut_ptr().cast(), rounded);
        }
    }

    #[inline(always)]
    fn rows_to_columns(self, [a, b, c, d, e, f, g, h]: [__m256d; ROW]) -> [__m256d; ROW] {
        // Each row is two vectors.
        // SAFETY: who makes a `Self` has seen the features.
        unsafe {
            let [s, t, u, v] = transpose_256([a, c, e, g]);
            let [w, x, y, z] = transpose_256([b, d, f, h]);
            [s, t, u, v, w, x, y, z]
        }
    }

    #[inline(always)]
    fn columns_to_rows(self, [s, t, u, v, w, x, y, z]: [__m256d; ROW]) -> [__m256d; ROW] {
        // SAFETY: who makes a `Self` has seen the features.
        unsafe {
            let [a, c, e, g] = transpose_256([s, t, u, v]);
            let [b, d, f, h] = transpose_256([w, x, y, z]);
            [a, b, c, d, e, f, g, h]
        }
    }
}

/// Value j of result i is value i of source j.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn transpose_256([a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
    let (ab_even, ab_odd) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
    let (cd_even, cd_odd) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
    [
        _mm256_permute2f128_pd::<0x20>(ab_even, cd_even),
        _mm256_permute2f128_pd::<0x20>(ab_odd, cd_odd),
        _mm256_permute2f128_pd::<0x31>(ab_even, cd_even),
        _mm256_permute2f128_pd::<0x31>(ab_odd, cd_odd),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planes::{Planes, Task, on_every_path};

    struct Check;

    impl Task for Check {
        type Output = Vec<i64>;

        /// Rows 0, 1, … through columns and back, rounded.
        #[inline(always)]
        fn run<P: Planes>(self, planes: P) -> Vec<i64> {
            let values: Vec<f64> = (0..ROW * P::LANES).map(|i| i as f64 + 0.4).collect();
            let mut rows = [planes.splat(0.0); ROW];
            for (at, row) in rows.iter_mut().enumerate() {
                *row = planes.load(&values, at);
            }
            let columns = planes.rows_to_columns(rows);
            let mut column = vec![0.0; P::LANES];
            for (index, &vector) in columns.iter().enumerate() {
                planes.store(vector, &mut column, 0);
                for (row, &value) in column.iter().enumerate() {
                    assert_eq!(value, values[row * ROW + index]);
                }
            }
            let mut integers = vec![0; values.len()];
            for (at, &row) in planes.columns_to_rows(columns).iter().enumerate() {
                planes.round(row, &mut integers, at);
            }
            integers
        }
    }

    #[test]
    fn rows_become_columns_and_rows_again() {
        for integers in on_every_path(|| Check) {
            assert!(
                integers
                    .iter()
                    .zip(0..)
                    .all(|(&found, expected)| found == expected)
            );
        }
    }
}
