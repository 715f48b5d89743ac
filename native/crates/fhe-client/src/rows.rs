//! Columns that come one after the other and leave as rows.

use aligned_vec::{AVec, avec};

use crate::cache;
use crate::transpose::{Cell, TILE};

/// Gathers some columns of a table, so that its rows are written in whole cache lines.
pub(crate) struct RowWriter<'a, T> {
    /// A part of every row of the table.
    rows: Vec<&'a mut [T]>,
    /// `[GATHERED][stride]`.
    columns: AVec<T>,
    stride: usize,
    /// Columns gathered, and columns written before.
    gathered: usize,
    written: usize,
}

/// Columns gathered.
const GATHERED: usize = 32;
impl<'a, T: Cell> RowWriter<'a, T> {
    /// A writer of these rows; columns are given `panel` rows at a time.
    pub(crate) fn new(rows: Vec<&'a mut [T]>, panel: usize) -> Self {
        // Whole panels, and an odd number of lines, so that the columns do not all fall into one set of the
        // cache.
        let stride = rows.len().next_multiple_of(panel.max(2 * TILE)) + TILE;
        RowWriter {
            columns: avec![T::default(); GATHERED * stride],
            rows,
            stride,
            gathered: 0,
            written: 0,
        }
    }

    /// The current column from row `first` on; what lies beyond the last row is ignored.
    #[inline(always)]
    pub(crate) fn column(&mut self, first: usize) -> &mut [T] {
        &mut self.columns[self.gathered * self.stride..][..self.stride][first..]
    }

    /// Ends the current column.
    #[inline(always)]
    pub(crate) fn end_column(&mut self) {
        self.gathered += 1;
        if self.gathered == GATHERED {
            self.write();
        }
    }

    /// Writes what is gathered.
    #[inline(always)]
    pub(crate) fn write(&mut self) {
        for block in 0..self.rows.len().div_ceil(TILE) {
            for row in self.rows.iter().skip((block + 1) * TILE).take(TILE) {
                cache::prefetch(&row[self.written..][..self.gathered]);
            }
            let end = self.rows.len().min((block + 1) * TILE);
            let rows = &mut self.rows[block * TILE..end];
            for first in (0..self.gathered).step_by(TILE) {
                let columns = &self.columns[first * self.stride + block * TILE..];
                let at = self.written + first;
                if first + TILE <= self.gathered {
                    T::write_rows(columns, self.stride, rows, at);
                } else {
                    for (record, row) in rows.iter_mut().enumerate() {
                        let values = columns[record..].iter().step_by(self.stride);
                        let out = &mut row[at..self.written + self.gathered];
                        for (out, &value) in out.iter_mut().zip(values) {
                            *out = value;
                        }
                    }
                }
            }
        }
        self.written += self.gathered;
        self.gathered = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hold_their_columns() {
        for (records, outputs) in [(1, 1), (15, 16), (64, 33), (100, 77), (130, 32)] {
            let mut table = vec![0i64; records * outputs];
            let rows = table.chunks_exact_mut(outputs).collect();
            let mut writer = RowWriter::new(rows, 64);
            for output in 0..outputs {
                for first in (0..records).step_by(64) {
                    for (row, value) in writer.column(first)[..64].iter_mut().enumerate() {
                        *value = ((first + row) * outputs + output) as i64;
                    }
                }
                writer.end_column();
            }
            writer.write();
            assert!(table.iter().zip(0..).all(|(&value, at)| value == at));
        }
    }
}
