//! Transposition of small tiles in registers.

use crate::activations::Column;
use crate::planes::Planes;

/// Sixteen values of each of sixteen columns.
pub(crate) const TILE: usize = 16;

/// What a [`crate::rows::RowWriter`] can write.
pub(crate) trait Cell: Copy + Default {
    /// Writes value r of each of sixteen columns, which start `stride` values apart, to row r from `at` on, for
    /// as many rows as there are, at most sixteen. Lines of the cache may go past it: before another thread may
    /// read them, call [`crate::cache::fence`].
    #[inline(always)]
    fn write_rows<P: Planes>(
        _: P,
        columns: &[Self],
        stride: usize,
        rows: &mut [&mut [Self]],
        at: usize,
    ) {
        write_rows_of_any(columns, stride, rows, at);
    }
}

impl Cell for i64 {}
impl Cell for f64 {}

impl Cell for f32 {
    #[inline(always)]
    fn write_rows<P: Planes>(
        planes: P,
        columns: &[f32],
        stride: usize,
        rows: &mut [&mut [f32]],
        at: usize,
    ) {
        planes.write_rows(columns, stride, rows, at);
    }
}

/// Rows that fill a line of the cache of a column of activations.
pub(crate) const TALL_ROWS: usize = 32;

/// Writes the first sixteen values of rows `[TALL_ROWS][stride]` to columns, from row `at` on.
#[inline(always)]
pub(crate) fn write_columns(rows: &[i16], stride: usize, columns: &mut [Column; TILE], at: usize) {
    for (block, columns) in columns.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        // Lines of a column are completed one after the other.
        for first in (0..TALL_ROWS).step_by(8) {
            let row = |row: usize| -> &[i16; 8] {
                &rows[(first + row) * stride + 8 * block..].as_chunks().0[0]
            };
            let tile = [
                row(0),
                row(1),
                row(2),
                row(3),
                row(4),
                row(5),
                row(6),
                row(7),
            ];
            for (column, values) in columns.iter_mut().zip(transpose_8x8(tile)) {
                column[at + first..][..8].copy_from_slice(&values);
            }
        }
    }
}

/// Value c of row r becomes value r of row c.
#[inline(always)]
fn transpose_8x8(rows: [&[i16; 8]; 8]) -> [[i16; 8]; 8] {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 machine has SSE2.
    return unsafe { sse2::transpose_8x8(rows) };
    #[cfg(not(target_arch = "x86_64"))]
    std::array::from_fn(|column| rows.map(|row| row[column]))
}

/// As [`Cell::write_rows`], on any machine.
#[inline(always)]
pub(crate) fn write_rows(columns: &[f32], stride: usize, rows: &mut [&mut [f32]], at: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 machine has SSE2.
    unsafe {
        sse2::write_rows(columns, stride, rows, at);
    }
    #[cfg(not(target_arch = "x86_64"))]
    write_rows_of_any(columns, stride, rows, at);
}

#[inline(always)]
fn write_rows_of_any<T: Copy>(columns: &[T], stride: usize, rows: &mut [&mut [T]], at: usize) {
    for (record, row) in rows.iter_mut().enumerate() {
        let values = columns[record..].iter().step_by(stride);
        for (out, &value) in row[at..][..TILE].iter_mut().zip(values) {
            *out = value;
        }
    }
}

/// Whether a row of a tile is a line of the cache.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn is_line(place: &[f32; TILE]) -> bool {
    place.as_ptr().addr().is_multiple_of(64)
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::*;

    use super::TILE;

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn transpose_8x8(rows: [&[i16; 8]; 8]) -> [[i16; 8]; 8] {
        // SAFETY: 16 bytes, no alignment needed.
        let [a, b, c, d, e, f, g, h] =
            rows.map(|row| unsafe { _mm_loadu_si128(row.as_ptr().cast()) });
        // Pairs, then fours of rows, then all eight.
        let pairs = [(a, b), (c, d), (e, f), (g, h)]
            .map(|(a, b)| (_mm_unpacklo_epi16(a, b), _mm_unpackhi_epi16(a, b)));
        let fours = [(pairs[0], pairs[1]), (pairs[2], pairs[3])].map(|(ab, cd)| {
            [
                _mm_unpacklo_epi32(ab.0, cd.0),
                _mm_unpackhi_epi32(ab.0, cd.0),
                _mm_unpacklo_epi32(ab.1, cd.1),
                _mm_unpackhi_epi32(ab.1, cd.1),
            ]
        });
        let mut columns = [[0; 8]; 8];
        for (pair, columns) in columns.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let (abcd, efgh) = (fours[0][pair], fours[1][pair]);
            let low = _mm_unpacklo_epi64(abcd, efgh);
            let high = _mm_unpackhi_epi64(abcd, efgh);
            // SAFETY: 16 bytes each, no alignment needed.
            unsafe {
                _mm_storeu_si128(columns[0].as_mut_ptr().cast(), low);
                _mm_storeu_si128(columns[1].as_mut_ptr().cast(), high);
            }
        }
        columns
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn write_rows(columns: &[f32], stride: usize, rows: &mut [&mut [f32]], at: usize) {
        assert!(rows.len() <= TILE && columns.len() >= (TILE - 1) * stride + TILE);
        for (four, rows) in rows.chunks_mut(4).enumerate() {
            for column in (0..TILE).step_by(4) {
                let [a, b, c, d] = std::array::from_fn(|i| {
                    let start = (column + i) * stride + 4 * four;
                    // SAFETY: four values, of at most sixteen of a column; no alignment needed.
                    unsafe { _mm_loadu_ps(columns.as_ptr().add(start)) }
                });
                let (ab_low, ab_high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
                let transposed = [
                    _mm_movelh_ps(ab_low, cd_low),
                    _mm_movehl_ps(cd_low, ab_low),
                    _mm_movelh_ps(ab_high, cd_high),
                    _mm_movehl_ps(cd_high, ab_high),
                ];
                for (row, values) in rows.iter_mut().zip(transposed) {
                    let place = row[at + column..][..4].as_mut_ptr();
                    // SAFETY: four values, no alignment needed.
                    unsafe { _mm_storeu_ps(place, values) }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2 {
    use std::arch::x86_64::*;

    use super::{TILE, is_line};

    /// As [`super::Cell::write_rows`]; lines go past the cache.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn write_rows(columns: &[f32], stride: usize, rows: &mut [&mut [f32]], at: usize) {
        for (half, rows) in rows.chunks_mut(8).enumerate() {
            let left = transpose(&columns[8 * half..], stride);
            let right = transpose(&columns[8 * half + 8 * stride..], stride);
            for ((row, left), right) in rows.iter_mut().zip(left).zip(right) {
                let place: &mut [f32; TILE] = &mut row[at..].as_chunks_mut().0[0];
                let start = place.as_mut_ptr();
                // SAFETY: two halves of sixteen values; what is streamed to is aligned.
                unsafe {
                    if is_line(place) {
                        _mm256_stream_ps(start, left);
                        _mm256_stream_ps(start.add(8), right);
                    } else {
                        _mm256_storeu_ps(start, left);
                        _mm256_storeu_ps(start.add(8), right);
                    }
                }
            }
        }
    }

    /// Eight values of each of eight columns as eight rows.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn transpose(columns: &[f32], stride: usize) -> [__m256; 8] {
        let load = |column: usize| {
            let values: &[f32; 8] = &columns[column * stride..].as_chunks().0[0];
            // SAFETY: eight values, no alignment needed.
            unsafe { _mm256_loadu_ps(values.as_ptr()) }
        };
        let [a, b, c, d] = fours(load(0), load(1), load(2), load(3));
        let [e, f, g, h] = fours(load(4), load(5), load(6), load(7));
        [
            _mm256_permute2f128_ps::<0x20>(a, e),
            _mm256_permute2f128_ps::<0x20>(b, f),
            _mm256_permute2f128_ps::<0x20>(c, g),
            _mm256_permute2f128_ps::<0x20>(d, h),
            _mm256_permute2f128_ps::<0x31>(a, e),
            _mm256_permute2f128_ps::<0x31>(b, f),
            _mm256_permute2f128_ps::<0x31>(c, g),
            _mm256_permute2f128_ps::<0x31>(d, h),
        ]
    }

    /// Value j of each lane of result i is value i of that lane of source j.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn fours(a: __m256, b: __m256, c: __m256, d: __m256) -> [__m256; 4] {
        let pairs = |a, b| {
            let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            (_mm256_castps_pd(low), _mm256_castps_pd(high))
        };
        let ((ab_low, ab_high), (cd_low, cd_high)) = (pairs(a, b), pairs(c, d));
        [
            _mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low)),
            _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low)),
            _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high)),
            _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high)),
        ]
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512 {
    use std::arch::x86_64::*;

    use super::{TALL_ROWS, TILE, is_line};
    use crate::activations::Column;
    use crate::vectors::transpose_lanes;

    /// As [`super::Cell::write_rows`]; lines go past the cache.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) fn write_rows(columns: &[f32], stride: usize, rows: &mut [&mut [f32]], at: usize) {
        let [a, b, c, d] = fours(columns, stride);
        let [e, f, g, h] = fours(&columns[4 * stride..], stride);
        let [i, j, k, l] = fours(&columns[8 * stride..], stride);
        let [m, n, o, p] = fours(&columns[12 * stride..], stride);
        // Rows 0, 4, 8, 12, then those after them.
        let transposed = [
            transpose_lanes(a, e, i, m),
            transpose_lanes(b, f, j, n),
            transpose_lanes(c, g, k, o),
            transpose_lanes(d, h, l, p),
        ];
        for (record, row) in rows.iter_mut().enumerate().take(TILE) {
            let values = transposed[record % 4][record / 4];
            let place: &mut [f32; TILE] = &mut row[at..].as_chunks_mut().0[0];
            let start = place.as_mut_ptr().cast();
            // SAFETY: sixteen values; what is streamed to is aligned.
            unsafe {
                if is_line(place) {
                    _mm512_stream_pd(start, values);
                } else {
                    _mm512_storeu_pd(start, values);
                }
            }
        }
    }

    /// As [`super::write_columns`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(crate) fn write_columns(
        rows: &[i16],
        stride: usize,
        columns: &mut [Column; TILE],
        at: usize,
    ) {
        // Rows r and r + 16 in the halves of a register, r < 8 and r ≥ 8: then column c of rows 0.. and of rows
        // 16.. is in lanes 0 and 2, column c + 8 in lanes 1 and 3.
        let low = eights(rows, stride);
        let high = eights(&rows[8 * stride..], stride);
        let left = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
        let right = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
        for c in 0..8 {
            for (column, index) in [(c, left), (c + 8, right)] {
                let values = _mm512_permutex2var_epi64(low[c], index, high[c]);
                let place: &mut [i16; TALL_ROWS] = &mut columns[column][at..].as_chunks_mut().0[0];
                // SAFETY: 64 bytes, no alignment needed.
                unsafe { _mm512_storeu_si512(place.as_mut_ptr().cast(), values) };
            }
        }
    }

    /// Value j of each lane of result i is value i of that lane of row j, the first eight rows in the low half of
    /// the registers, rows 16 to 23 in the high half.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn eights(rows: &[i16], stride: usize) -> [__m512i; 8] {
        let load = |row: usize| {
            let half = |row: usize| -> &[i16; TILE] { &rows[row * stride..].as_chunks().0[0] };
            // SAFETY: 32 bytes each, no alignment needed.
            let (low, high) = unsafe {
                (
                    _mm256_loadu_si256(half(row).as_ptr().cast()),
                    _mm256_loadu_si256(half(row + TILE).as_ptr().cast()),
                )
            };
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
        };
        let pairs = |a, b| (_mm512_unpacklo_epi16(a, b), _mm512_unpackhi_epi16(a, b));
        let fours = |(ab_low, ab_high), (cd_low, cd_high)| {
            [
                _mm512_unpacklo_epi32(ab_low, cd_low),
                _mm512_unpackhi_epi32(ab_low, cd_low),
                _mm512_unpacklo_epi32(ab_high, cd_high),
                _mm512_unpackhi_epi32(ab_high, cd_high),
            ]
        };
        let [a, b, c, d] = fours(pairs(load(0), load(1)), pairs(load(2), load(3)));
        let [e, f, g, h] = fours(pairs(load(4), load(5)), pairs(load(6), load(7)));
        [
            _mm512_unpacklo_epi64(a, e),
            _mm512_unpackhi_epi64(a, e),
            _mm512_unpacklo_epi64(b, f),
            _mm512_unpackhi_epi64(b, f),
            _mm512_unpacklo_epi64(c, g),
            _mm512_unpackhi_epi64(c, g),
            _mm512_unpacklo_epi64(d, h),
            _mm512_unpackhi_epi64(d, h),
        ]
    }

    /// Value j of lane l of result i is value 4·l + i of column j.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn fours(columns: &[f32], stride: usize) -> [__m512d; 4] {
        let load = |column: usize| {
            let values: &[f32; TILE] = &columns[column * stride..].as_chunks().0[0];
            // SAFETY: sixteen values, no alignment needed.
            unsafe { _mm512_loadu_ps(values.as_ptr()) }
        };
        let pairs = |a, b| {
            let (low, high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            (_mm512_castps_pd(low), _mm512_castps_pd(high))
        };
        let ((ab_low, ab_high), (cd_low, cd_high)) =
            (pairs(load(0), load(1)), pairs(load(2), load(3)));
        [
            _mm512_unpacklo_pd(ab_low, cd_low),
            _mm512_unpackhi_pd(ab_low, cd_low),
            _mm512_unpacklo_pd(ab_high, cd_high),
            _mm512_unpackhi_pd(ab_high, cd_high),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::OnLine;
    use crate::cache;
    use crate::planes::{Task, on_every_path};

    struct WriteColumns<'a>(&'a [i16], usize);

    impl Task for WriteColumns<'_> {
        type Output = [Column; TILE];

        #[inline(always)]
        fn run<P: Planes>(self, planes: P) -> Self::Output {
            let mut columns = [[-1; 64]; TILE];
            planes.write_columns(self.0, self.1, &mut columns, 0);
            planes.write_columns(self.0, self.1, &mut columns, TALL_ROWS);
            columns
        }
    }

    #[test]
    fn columns_are_written() {
        let stride = 50;
        let rows: Vec<i16> = (0..TALL_ROWS * stride)
            .map(|i| (100 * (i / stride) + i % stride) as i16)
            .collect();
        for columns in on_every_path(|| WriteColumns(&rows, stride)) {
            for (c, column) in columns.iter().enumerate() {
                for (r, &value) in column.iter().enumerate() {
                    assert_eq!(usize::try_from(value), Ok(100 * (r % TALL_ROWS) + c));
                }
            }
        }
    }

    #[test]
    fn rows_are_written_wherever_they_start() {
        let stride = 20;
        let columns: Vec<f32> = (0..TILE * stride)
            .map(|i| (100 * (i % stride) + i / stride) as f32)
            .collect();
        for count in 0..=TILE {
            for start in [0, 1, 8] {
                let tables = on_every_path(|| WriteRows {
                    columns: &columns,
                    stride,
                    count,
                    start,
                });
                for table in tables {
                    for (at, &value) in table.0[start..].iter().enumerate() {
                        let (r, c) = (at / (2 * TILE), at % (2 * TILE));
                        let written = r < count && (8..8 + TILE).contains(&c);
                        let expected = (100 * r + c) as f32 - 8.0;
                        assert_eq!(value, if written { expected } else { -1.0 });
                    }
                }
            }
        }
    }

    struct WriteRows<'a> {
        columns: &'a [f32],
        stride: usize,
        count: usize,
        start: usize,
    }

    impl Task for WriteRows<'_> {
        type Output = OnLine<[f32; 34 * TILE]>;

        #[inline(always)]
        fn run<P: Planes>(self, planes: P) -> Self::Output {
            let mut table = OnLine([-1.0; 34 * TILE]);
            let mut rows: Vec<&mut [f32]> = table.0[self.start..]
                .chunks_exact_mut(2 * TILE)
                .take(self.count)
                .collect();
            f32::write_rows(planes, self.columns, self.stride, &mut rows, 8);
            cache::fence();
            table
        }
    }
}
