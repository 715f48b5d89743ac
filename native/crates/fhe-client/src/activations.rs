//! Integer activations on their way to encryption.

use aligned_vec::{AVec, avec};
use fhe_core::panel::PANEL_ROWS;

/// One feature of 64 records.
pub(crate) type Column = [i16; PANEL_ROWS];

/// Quantised records, in the panels in which encryption takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activations {
    records: usize,
    inputs: usize,
    /// `[records / 64, rounded up][inputs]`; the last panel is padded with zeros.
    columns: AVec<Column>,
}

impl Activations {
    /// Room for records, all zero.
    pub fn zeros(records: usize, inputs: usize) -> Self {
        Activations {
            records,
            inputs,
            columns: avec![[0; PANEL_ROWS]; inputs * records.div_ceil(PANEL_ROWS)],
        }
    }

    /// From records `[T][d_in]`.
    ///
    /// # Panics
    /// If `records` is not whole records.
    pub fn from_records(records: &[i16], inputs: usize) -> Self {
        assert!(records.len().is_multiple_of(inputs), "whole records");
        let mut activations = Activations::zeros(records.len() / inputs, inputs);
        for (record, values) in records.chunks_exact(inputs).enumerate() {
            let (panel, row) = (record / PANEL_ROWS, record % PANEL_ROWS);
            let columns = &mut activations.columns[panel * inputs..];
            for (column, &value) in columns.iter_mut().zip(values) {
                column[row] = value;
            }
        }
        activations
    }

    /// As records `[T][d_in]`.
    pub fn to_records(&self) -> Vec<i16> {
        (0..self.records)
            .flat_map(|record| (0..self.inputs).map(move |input| (record, input)))
            .map(|(record, input)| {
                self.columns(record / PANEL_ROWS, input, 1)[0][record % PANEL_ROWS]
            })
            .collect()
    }

    /// T.
    pub fn records(&self) -> usize {
        self.records
    }

    /// d_in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Some features, from `first` on, of records 64·panel ...
    pub(crate) fn columns(&self, panel: usize, first: usize, count: usize) -> &[Column] {
        &self.columns[panel * self.inputs + first..][..count]
    }

    /// All columns, `[panel][inputs]`.
    pub(crate) fn all_columns(&self) -> &[Column] {
        &self.columns
    }

    /// All columns, to be written, `[panel][inputs]`; rows beyond the last record stay zero.
    pub(crate) fn all_columns_mut(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// Makes room for other records; what was there is left as it is, but for zeros beyond the last record.
    pub(crate) fn reset(&mut self, records: usize, inputs: usize) {
        self.records = records;
        self.inputs = inputs;
        let panels = records.div_ceil(PANEL_ROWS);
        self.columns.resize(inputs * panels, [0; PANEL_ROWS]);
        let kept = records % PANEL_ROWS;
        if kept > 0 {
            for column in &mut self.columns[(panels - 1) * inputs..] {
                column[kept..].fill(0);
            }
        }
    }
}
