//! Columns that are made a group at a time and leave as rows.

use std::ops::Range;

use aligned_vec::{AVec, avec};

use crate::Outputs;
use crate::outputs::{Piece, Places};
use crate::planes::{Planes, Portable};
use crate::transpose::{Cell, TILE};

/// Most columns of a group.
pub(crate) const GROUP: usize = 2 * TILE;

/// Takes the columns of some pieces of tables in groups, for some records at a time. Groups end where lines of
/// the cache do, if rows start alike, so that lines are written once and whole.
pub(crate) struct RowWriter<'a, T> {
    /// The piece that the current group belongs to.
    places: Places<'a, T>,
    /// Its columns, from the first that no group has had.
    columns: Range<usize>,
    /// The pieces after it.
    rest: std::vec::IntoIter<Piece<'a, T>>,
    /// `[GROUP][stride]`.
    group: AVec<T>,
    stride: usize,
    /// Columns of the current group.
    count: usize,
    /// Columns of the piece's rows that groups have had, the current one too.
    taken: usize,
}

/// Writes all outputs on this thread; `fill` is given an output and places for its records.
pub(crate) fn write_columns(outputs: Outputs<f32>, mut fill: impl FnMut(usize, &mut [f32])) {
    let records = outputs.records();
    for (outputs, pieces) in outputs.parts(1) {
        let mut writer = RowWriter::new(pieces, records);
        let mut first = outputs.start;
        while let count @ 1.. = writer.next_group() {
            for (place, output) in (first..first + count).enumerate() {
                fill(output, &mut writer.column(place, 0)[..records]);
            }
            writer.write(Portable, 0..records);
            first += count;
        }
    }
}

impl<'a, T: Cell> RowWriter<'a, T> {
    /// A writer of the pieces' columns, for at most `batch` records at a time.
    pub(crate) fn new(pieces: Vec<Piece<'a, T>>, batch: usize) -> Self {
        // An odd number of lines, so that the columns do not all fall into one set of the cache.
        let stride = batch.next_multiple_of(2 * TILE) + TILE;
        RowWriter {
            places: Places::Rows(Vec::new()),
            columns: 0..0,
            rest: pieces.into_iter(),
            group: avec![T::default(); GROUP * stride],
            stride,
            count: 0,
            taken: 0,
        }
    }

    /// Goes on to the next group; gives its number of columns, none at the end.
    pub(crate) fn next_group(&mut self) -> usize {
        self.count = 0;
        if self.columns.is_empty() {
            let Some(piece) = self.rest.next() else {
                return 0;
            };
            self.places = piece.places;
            self.columns = piece.columns;
            self.taken = 0;
        }
        let most = match &self.places {
            Places::Rows(rows) => {
                let row = rows.first().map_or(&[][..], |row| &row[self.taken..]);
                match row.as_ptr().align_offset(LINE) {
                    to_line if to_line < TILE => to_line + TILE,
                    _ => GROUP,
                }
            }
            Places::Columns(_) => GROUP,
        };
        self.count = self.columns.len().min(most);
        self.columns.start += self.count;
        self.taken += self.count;
        self.count
    }

    /// Places for a column of the group, from record `first` of the batch on; what lies beyond its last record is
    /// ignored.
    #[inline(always)]
    pub(crate) fn column(&mut self, column: usize, first: usize) -> &mut [T] {
        &mut self.group[column * self.stride..][..self.stride][first..]
    }

    /// Writes a batch, these of all records, of the group's columns.
    #[inline(always)]
    pub(crate) fn write(&mut self, planes: impl Planes, records: Range<usize>) {
        let count = self.count;
        match &mut self.places {
            Places::Rows(rows) => {
                let taken = self.taken - count;
                let to_line = rows[records.start][taken..].as_ptr().align_offset(LINE);
                // What comes before the first line, then whole lines, then the rest.
                let head = to_line.min(count);
                let lines = (count - head) / TILE * TILE;
                for (block, rows) in rows[records].chunks_mut(TILE).enumerate() {
                    let columns = &self.group[block * TILE..];
                    write_few(columns, self.stride, rows, taken, 0..head);
                    for first in (head..head + lines).step_by(TILE) {
                        let columns = &columns[first * self.stride..];
                        T::write_rows(planes, columns, self.stride, rows, taken + first);
                    }
                    write_few(columns, self.stride, rows, taken, head + lines..count);
                }
            }
            Places::Columns(runs) => {
                let first_column = self.columns.start - count;
                let mut run_start = 0;
                for run in runs {
                    let run_end = run_start + run.records();
                    let start = records.start.max(run_start);
                    let end = records.end.min(run_end);
                    if start < end {
                        for column in 0..count {
                            let values = &self.group[column * self.stride..];
                            let values = &values[start - records.start..end - records.start];
                            run.write(first_column + column, start - run_start, values);
                        }
                    }
                    run_start = run_end;
                }
            }
        }
    }
}

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Writes some columns of a group to at most sixteen rows, whose column `at` is the group's first.
#[inline(always)]
fn write_few<T: Copy>(
    columns: &[T],
    stride: usize,
    rows: &mut [&mut [T]],
    at: usize,
    range: Range<usize>,
) {
    if range.is_empty() {
        return;
    }
    for (record, row) in rows.iter_mut().enumerate() {
        let values = columns[range.start * stride + record..].iter();
        let out = &mut row[at..][range.clone()];
        for (out, &value) in out.iter_mut().zip(values.step_by(stride)) {
            *out = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::{ColumnRun, Outputs};
    use crate::planes::Portable;

    fn fill(parts: Vec<(Range<usize>, Vec<Piece<'_, i64>>)>, records: usize, outputs: usize) {
        for (range, pieces) in parts {
            let batch = 48;
            let mut writer = RowWriter::new(pieces, batch);
            let mut output = range.start;
            while let count @ 1.. = writer.next_group() {
                for start in (0..records).step_by(batch) {
                    let batch = start..(start + batch).min(records);
                    for column in 0..count {
                        let values = writer.column(column, 0);
                        for (value, record) in values.iter_mut().zip(batch.clone()) {
                            *value = (record * outputs + output + column) as i64;
                        }
                    }
                    writer.write(Portable, batch);
                }
                output += count;
            }
            assert_eq!(output, range.end);
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
