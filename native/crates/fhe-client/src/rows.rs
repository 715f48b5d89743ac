//! Columns that come one after the other and leave as rows.

use std::ops::Range;

use aligned_vec::{AVec, avec};

use crate::cache;
use crate::outputs::{Piece, Places};
use crate::transpose::{Cell, TILE};

/// Takes the columns of some pieces of tables. Rows are written in whole cache lines, of some columns that
/// were gathered; columns that lie apart are written at once.
pub(crate) struct RowWriter<'a, T> {
    /// The piece that the current column belongs to.
    places: Places<'a, T>,
    /// Its columns, from the first that is not written.
    columns: Range<usize>,
    /// The pieces after it.
    rest: std::vec::IntoIter<Piece<'a, T>>,
    /// `[GATHERED][stride]`.
    gathered_columns: AVec<T>,
    stride: usize,
    records: usize,
    gathered: usize,
    /// Columns of the piece's rows written before.
    written: usize,
}

/// Columns gathered.
const GATHERED: usize = 32;

impl<'a, T: Cell> RowWriter<'a, T> {
    /// A writer of the pieces' columns, for so many records; columns are given `panel` rows at a time.
    pub(crate) fn new(pieces: Vec<Piece<'a, T>>, records: usize, panel: usize) -> Self {
        // Whole panels, and an odd number of lines, so that the columns do not all fall into one set of the
        // cache.
        let stride = records.next_multiple_of(panel.max(2 * TILE)) + TILE;
        let mut writer = RowWriter {
            places: Places::Rows(Vec::new()),
            columns: 0..0,
            rest: pieces.into_iter(),
            gathered_columns: avec![T::default(); GATHERED * stride],
            stride,
            records,
            gathered: 0,
            written: 0,
        };
        writer.next_piece();
        writer
    }

    fn next_piece(&mut self) {
        if let Some(piece) = self.rest.next() {
            self.places = piece.places;
            self.columns = piece.columns;
            self.written = 0;
        }
    }

    /// The current column from row `first` on; what lies beyond the last row is ignored.
    #[inline(always)]
    pub(crate) fn column(&mut self, first: usize) -> &mut [T] {
        &mut self.gathered_columns[self.gathered * self.stride..][..self.stride][first..]
    }

    /// Ends the current column; the last of a piece writes what is gathered of it.
    ///
    /// # Panics
    /// If all pieces have all their columns.
    #[inline(always)]
    pub(crate) fn end_column(&mut self) {
        match &mut self.places {
            Places::Rows(_) => {
                self.gathered += 1;
                if self.gathered == GATHERED || self.gathered == self.columns.len() {
                    self.write();
                }
            }
            Places::Columns(runs) => {
                let mut values = &self.gathered_columns[..self.records];
                for run in runs {
                    values = run.write(self.columns.start, values);
                }
                self.columns.start += 1;
            }
        }
        if self.columns.is_empty() {
            self.next_piece();
        }
    }

    /// Writes what is gathered to the rows.
    #[inline(always)]
    fn write(&mut self) {
        let Places::Rows(rows) = &mut self.places else {
            return;
        };
        for block in 0..rows.len().div_ceil(TILE) {
            for row in rows.iter().skip((block + 1) * TILE).take(TILE) {
                cache::prefetch(&row[self.written..][..self.gathered]);
            }
            let end = rows.len().min((block + 1) * TILE);
            let rows = &mut rows[block * TILE..end];
            for first in (0..self.gathered).step_by(TILE) {
                let columns = &self.gathered_columns[first * self.stride + block * TILE..];
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
        self.columns.start += self.gathered;
        self.gathered = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::{ColumnRun, Outputs};

    fn fill(parts: Vec<(Range<usize>, Vec<Piece<'_, i64>>)>, records: usize, outputs: usize) {
        for (range, pieces) in parts {
            let mut writer = RowWriter::new(pieces, records, 64);
            for output in range {
                for first in (0..records).step_by(64) {
                    for (row, value) in writer.column(first)[..64].iter_mut().enumerate() {
                        *value = ((first + row) * outputs + output) as i64;
                    }
                }
                writer.end_column();
            }
        }
    }

    #[test]
    fn rows_hold_their_columns() {
        for (records, outputs) in [(1, 1), (15, 16), (64, 33), (100, 77), (130, 32)] {
            for threads in [1, 3] {
                let mut table = vec![0i64; records * outputs];
                let parts = Outputs::table(&mut table, outputs).unwrap().parts(threads);
                fill(parts, records, outputs);
                assert!(table.iter().zip(0..).all(|(&value, at)| value == at));
            }
        }
    }

    #[test]
    fn each_tensor_holds_its_columns_by_rows_or_by_columns() {
        let (records, widths) = (70, [5, 40, 33]);
        let outputs = widths.iter().sum();
        for threads in [1, 2, 5, 78] {
            let mut first = vec![0i64; records * widths[0]];
            let mut second = vec![0i64; records * widths[1]];
            let mut third = vec![0i64; records * widths[2]];
            let mut places = Outputs::new();
            let rows = first.chunks_exact_mut(widths[0]).collect();
            places.push_rows(widths[0], rows).unwrap();
            // Two images, of 30 and 40 positions.
            let runs = [(0, 30), (30 * widths[1], 40)].map(|(start, positions)| {
                // SAFETY: the two images are disjoint parts of the second tensor.
                unsafe {
                    ColumnRun::new(
                        second.as_mut_ptr().add(start),
                        positions,
                        widths[1],
                        positions,
                    )
                }
            });
            places.push_columns(widths[1], runs.to_vec()).unwrap();
            let rows = third.chunks_exact_mut(widths[2]).collect();
            places.push_rows(widths[2], rows).unwrap();
            assert_eq!((places.records(), places.columns()), (records, outputs));
            fill(places.parts(threads), records, outputs);
            let value = |record: usize, column: usize| (record * outputs + column) as i64;
            for record in 0..records {
                for column in 0..widths[0] {
                    assert_eq!(first[record * widths[0] + column], value(record, column));
                }
                for column in 0..widths[1] {
                    let (start, positions, at) = if record < 30 {
                        (0, 30, record)
                    } else {
                        (30 * widths[1], 40, record - 30)
                    };
                    assert_eq!(
                        second[start + column * positions + at],
                        value(record, widths[0] + column)
                    );
                }
                for column in 0..widths[2] {
                    let output = widths[0] + widths[1] + column;
                    assert_eq!(third[record * widths[2] + column], value(record, output));
                }
            }
        }
    }

    #[test]
    fn tensors_of_different_length_are_refused() {
        let (mut one, mut other) = ([0f32; 6], [0f32; 4]);
        let mut places = Outputs::table(&mut one, 2).unwrap();
        let error = places.push_rows(2, other.chunks_exact_mut(2).collect());
        assert!(error.unwrap_err().to_string().contains("3 records"));
        assert!(Outputs::table(&mut one, 4).is_err());
    }
}
