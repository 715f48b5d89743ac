//! Transposition of small tiles in registers.

/// Sixteen values of each of sixteen columns.
pub(crate) const TILE: usize = 16;

/// What a [`crate::rows::RowWriter`] can write.
pub(crate) trait Cell: Copy + Default {
    /// Writes value r of each of sixteen columns, which start `stride` values apart, to row r from `at` on, for
    /// as many rows as there are, at most sixteen.
    #[inline(always)]
    fn write_rows(columns: &[Self], stride: usize, rows: &mut [&mut [Self]], at: usize) {
        for (record, row) in rows.iter_mut().enumerate() {
            let values = columns[record..].iter().step_by(stride);
            for (out, &value) in row[at..][..TILE].iter_mut().zip(values) {
                *out = value;
            }
        }
    }
}

impl Cell for i64 {}
impl Cell for f64 {}

impl Cell for f32 {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn write_rows(columns: &[f32], stride: usize, rows: &mut [&mut [f32]], at: usize) {
        // SAFETY: every x86-64 machine has SSE2.
        unsafe { sse2::write_rows(columns, stride, rows, at) }
    }
}

/// Value c of row r becomes value r of row c.
#[inline(always)]
pub(crate) fn transpose_8x8(rows: [&[i16; 8]; 8]) -> [[i16; 8]; 8] {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 machine has SSE2.
    return unsafe { sse2::transpose_8x8(rows) };
    #[cfg(not(target_arch = "x86_64"))]
    std::array::from_fn(|column| rows.map(|row| row[column]))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_transposed() {
        let rows: [[i16; 8]; 8] =
            std::array::from_fn(|r| std::array::from_fn(|c| (100 * r + c) as i16));
        let columns = transpose_8x8(rows.each_ref());
        for r in 0..8 {
            for c in 0..8 {
                assert_eq!(columns[c][r], rows[r][c]);
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
                let mut table = vec![-1f32; 32 * TILE + start];
                let mut rows: Vec<&mut [f32]> = table[start..]
                    .chunks_exact_mut(2 * TILE)
                    .take(count)
                    .collect();
                f32::write_rows(&columns, stride, &mut rows, 8);
                for (at, &value) in table[start..].iter().enumerate() {
                    let (r, c) = (at / (2 * TILE), at % (2 * TILE));
                    let written = r < count && (8..8 + TILE).contains(&c);
                    assert_eq!(
                        value,
                        if written {
                            (100 * r + c - 8) as f32
                        } else {
                            -1.0
                        }
                    );
                }
            }
        }
    }
}
