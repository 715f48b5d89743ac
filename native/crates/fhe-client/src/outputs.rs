//! Where the values of a block's outputs go.

use std::marker::PhantomData;
use std::ops::Range;

use fhe_core::{Error, Result};

use crate::rows::write_columns;
use crate::threads::ranges;

/// Places for values `[T][d_out]`: some columns for each of some tensors.
pub struct Outputs<'a, T> {
    tensors: Vec<Tensor<'a, T>>,
}

struct Tensor<'a, T> {
    columns: usize,
    places: Places<'a, T>,
}

/// Places of some columns.
#[derive(Debug)]
pub(crate) enum Places<'a, T> {
    /// A row of columns for each record.
    Rows(Vec<&'a mut [T]>),
    /// Records one after the other, columns apart.
    Columns(Vec<ColumnRun<'a, T>>),
}

/// Some records that follow one another in every column of a tensor, as the positions of an image do.
#[derive(Debug)]
pub struct ColumnRun<'a, T> {
    base: *mut T,
    records: usize,
    stride: usize,
    columns: usize,
    places: PhantomData<&'a mut [T]>,
}

impl<T> Clone for ColumnRun<'_, T> {
    fn clone(&self) -> Self {
        ColumnRun { ..*self }
    }
}

// SAFETY: a run is written like the `&mut [T]` that its places would be, each by one thread.
unsafe impl<T: Send> Send for ColumnRun<'_, T> {}

impl<T: Copy> ColumnRun<'_, T> {
    /// Records `0..records` of column c lie at `base + c·stride`.
    ///
    /// # Safety
    /// These places of all columns must be valid, and no one else's, for the run's lifetime.
    pub unsafe fn new(base: *mut T, records: usize, columns: usize, stride: usize) -> Self {
        ColumnRun {
            base,
            records,
            stride,
            columns,
            places: PhantomData,
        }
    }

    /// Its records.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Writes values of one column, those of records `first` on.
    ///
    /// # Panics
    /// If there is no such column or record.
    pub(crate) fn write(&mut self, column: usize, first: usize, values: &[T]) {
        assert!(column < self.columns, "column {column} of a run");
        assert!(
            first <= self.records && values.len() <= self.records - first,
            "{} records from record {first} on of a run",
            values.len()
        );
        // SAFETY: the places are valid and ours by the constructor's contract.
        unsafe {
            let place = self.base.add(column * self.stride + first);
            std::ptr::copy_nonoverlapping(values.as_ptr(), place, values.len());
        }
    }
}

/// Columns of one tensor that one thread writes, one after the other.
pub(crate) struct Piece<'a, T> {
    pub(crate) columns: Range<usize>,
    pub(crate) places: Places<'a, T>,
}

impl<'a, T: Copy> Outputs<'a, T> {
    /// No tensor.
    pub fn new() -> Self {
        Outputs {
            tensors: Vec::new(),
        }
    }

    /// One table `[T][d_out]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is not whole records.
    pub fn table(values: &'a mut [T], columns: usize) -> Result<Self> {
        if columns == 0 || !values.len().is_multiple_of(columns) {
            return Err(Error::invalid(format!(
                "{} outputs are not whole records of {columns}",
                values.len()
            )));
        }
        let mut outputs = Outputs::new();
        outputs.push_rows(columns, values.chunks_exact_mut(columns).collect())?;
        Ok(outputs)
    }

    /// One tensor more, a row of `columns` values for each record.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if a row is of another length, or there are not as many as in other tensors.
    pub fn push_rows(&mut self, columns: usize, rows: Vec<&'a mut [T]>) -> Result<()> {
        if let Some(row) = rows.iter().find(|row| row.len() != columns) {
            return Err(Error::invalid(format!(
                "a row of {} places for {columns} outputs",
                row.len()
            )));
        }
        self.push(columns, Places::Rows(rows))
    }

    /// One tensor more, whose columns lie apart.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if a run has not `columns`, or the runs not as many records as other tensors.
    pub fn push_columns(&mut self, columns: usize, runs: Vec<ColumnRun<'a, T>>) -> Result<()> {
        if let Some(run) = runs.iter().find(|run| run.columns != columns) {
            return Err(Error::invalid(format!(
                "a run of {} columns for {columns} outputs",
                run.columns
            )));
        }
        self.push(columns, Places::Columns(runs))
    }

    fn push(&mut self, columns: usize, places: Places<'a, T>) -> Result<()> {
        let tensor = Tensor { columns, places };
        if let Some(first) = self.tensors.first()
            && first.records() != tensor.records()
        {
            return Err(Error::invalid(format!(
                "places for {} records in one tensor and {} in another",
                first.records(),
                tensor.records()
            )));
        }
        self.tensors.push(tensor);
        Ok(())
    }

    /// T.
    pub fn records(&self) -> usize {
        self.tensors.first().map_or(0, Tensor::records)
    }

    /// d_out.
    pub fn columns(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.columns).sum()
    }

    /// Cuts the columns into at most `threads` parts: some of d_out, and their pieces in order.
    pub(crate) fn parts(self, threads: usize) -> Vec<(Range<usize>, Vec<Piece<'a, T>>)> {
        let mut parts: Vec<_> = ranges(self.columns(), threads)
            .map(|outputs| (outputs, Vec::new()))
            .collect();
        let mut first = 0;
        for Tensor {
            columns,
            mut places,
        } in self.tensors
        {
            let end = first + columns;
            for (outputs, pieces) in &mut parts {
                let shared = outputs.start.max(first)..outputs.end.min(end);
                if shared.is_empty() {
                    continue;
                }
                let columns = shared.start - first..shared.end - first;
                pieces.push(Piece {
                    places: places.take(columns.len()),
                    columns,
                });
            }
            first = end;
        }
        parts
    }
}

impl Outputs<'_, f32> {
    /// Writes all columns: `fill` is given each column's number and its place for a value a record.
    pub fn fill(self, fill: impl FnMut(usize, &mut [f32])) {
        write_columns(self, fill);
    }
}

impl<T: Copy> Default for Outputs<'_, T> {
    fn default() -> Self {
        Outputs::new()
    }
}

impl<T> Tensor<'_, T> {
    fn records(&self) -> usize {
        match &self.places {
            Places::Rows(rows) => rows.len(),
            Places::Columns(runs) => runs.iter().map(|run| run.records).sum(),
        }
    }
}

impl<'a, T> Places<'a, T> {
    /// The next columns of every row, which are then another's; runs name their columns by number.
    fn take(&mut self, columns: usize) -> Places<'a, T> {
        match self {
            Places::Rows(rows) => {
                let take = |row: &mut &'a mut [T]| row.split_off_mut(..columns);
                let taken: Option<Vec<_>> = rows.iter_mut().map(take).collect();
                Places::Rows(taken.expect("rows have all their columns"))
            }
            // Pieces have different columns, so no place is written by two.
            Places::Columns(runs) => Places::Columns(runs.clone()),
        }
    }
}
