//! Integer activations on their way to encryption.

use fhe_core::panel::PANEL_ROWS;

/// Quantised records, feature after feature, the order in which encryption takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activations {
    records: usize,
    inputs: usize,
    /// `[inputs][records rounded up to 64]`.
    values: Vec<i16>,
}

impl Activations {
    /// Room for records, all zero.
    pub fn zeros(records: usize, inputs: usize) -> Self {
        Activations {
            records,
            inputs,
            values: vec![0; inputs * records.next_multiple_of(PANEL_ROWS)],
        }
    }

    /// From records `[T][d_in]`.
    ///
    /// # Panics
    /// If `records` is not whole records.
    pub fn from_records(records: &[i16], inputs: usize) -> Self {
        assert!(records.len().is_multiple_of(inputs), "whole records");
        let mut activations = Activations::zeros(records.len() / inputs, inputs);
        for (tile, rows) in records.chunks(PANEL_ROWS * inputs).enumerate() {
            activations.write_tile(tile, rows);
        }
        activations
    }

    /// As records `[T][d_in]`.
    pub fn to_records(&self) -> Vec<i16> {
        (0..self.records)
            .flat_map(|record| (0..self.inputs).map(move |input| (record, input)))
            .map(|(record, input)| self.feature(input)[record])
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

    /// One feature of all records, padded with zeros to a multiple of 64.
    pub fn feature(&self, input: usize) -> &[i16] {
        let stride = self.stride();
        &self.values[input * stride..][..stride]
    }

    fn stride(&self) -> usize {
        self.records.next_multiple_of(PANEL_ROWS)
    }

    /// Writes records 64·tile .. given as rows `[≤ 64][d_in]`.
    #[inline(always)]
    pub(crate) fn write_tile(&mut self, tile: usize, rows: &[i16]) {
        let stride = self.stride();
        let inputs = self.inputs;
        for (input, feature) in self.values.chunks_exact_mut(stride).enumerate() {
            let column = &mut feature[tile * PANEL_ROWS..][..PANEL_ROWS];
            for (value, row) in column.iter_mut().zip(rows.chunks_exact(inputs)) {
                *value = row[input];
            }
        }
    }
}
