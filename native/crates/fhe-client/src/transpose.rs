//! Transposition of small tiles in registers.

/// Sixteen values of each of sixteen columns.
pub(crate) const TILE: usize = 16;

/// What a [`crate::rows::RowWriter`] can write.
pub(crate) trait Cell: Copy + Default {
    /// Writes value r of every column to row r, from `at` on, as many rows as there are.
    #[inline(always)]
    fn write_rows(columns: [&[Self; TILE]; TILE], rows: &mut [&mut [Self]], at: usize) {
        for (record, row) in rows.iter_mut().enumerate() {
            for (value, column) in row[at..][..TILE].iter_mut().zip(columns) {
                *value = column[record];
            }
        }
    }
}

impl Cell for i64 {}
impl Cell for f64 {}

impl Cell for f32 {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn write_rows(columns: [&[f32; TILE]; TILE], rows: &mut [&mut [f32]], at: usize) {
        // SAFETY: every x86-64 machine has SSE2.
        unsafe { sse2::write_rows(columns, rows, at) }
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

    /// Rows that start on a line of the cache go past it.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn write_rows(columns: [&[f32; TILE]; TILE], rows: &mut [&mut [f32]], at: usize) {
        let on_lines = rows
            .iter()
            .all(|row| row[at..].as_ptr().align_offset(64) == 0);
        for (four, rows) in rows.chunks_mut(4).enumerate() {
            for (column, columns) in columns.as_chunks::<4>().0.iter().enumerate() {
                // SAFETY: 16 bytes, no alignment needed.
                let [a, b, c, d] =
                    columns.map(|values| unsafe { _mm_loadu_ps(values[4 * four..][..4].as_ptr()) });
                let (ab_low, ab_high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
                let transposed = [
                    _mm_movelh_ps(ab_low, cd_low),
                    _mm_movehl_ps(cd_low, ab_low),
                    _mm_movelh_ps(ab_high, cd_high),
                    _mm_movehl_ps(cd_high, ab_high),
                ];
                for (row, values) in rows.iter_mut().zip(transposed) {
                    let place = row[at + 4 * column..][..4].as_mut_ptr();
                    // SAFETY: 16 bytes; on a multiple of 16 if rows are on lines.
                    unsafe {
                        if on_lines {
                            _mm_stream_ps(place, values);
                        } else {
                            _mm_storeu_ps(place, values);
                        }
                    }
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
        let columns: [[f32; TILE]; TILE] =
            std::array::from_fn(|c| std::array::from_fn(|r| (100 * r + c) as f32));
        for count in 0..=TILE {
            for start in [0, 1, 8] {
                let mut table = vec![-1f32; 32 * TILE + start];
                let mut rows: Vec<&mut [f32]> = table[start..]
                    .chunks_exact_mut(2 * TILE)
                    .take(count)
                    .collect();
                f32::write_rows(columns.each_ref(), &mut rows, 8);
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
