//! Integer accumulators to float outputs.

use fhe_core::{Error, Result};

use crate::negacyclic::i64_to_f64;

/// y_j = acc_j · s · ws_j + bias_j, in double precision, rounded once.
#[derive(Debug, Clone, PartialEq)]
pub struct Dequantizer {
    /// Scale of each output's weights, `[d_out]`.
    pub weight_scales: Vec<f32>,
    /// Bias the client adds, `[d_out]`, or empty.
    pub bias: Vec<f32>,
}

impl Dequantizer {
    /// Checks lengths.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if they are not `outputs` (or no bias).
    pub fn validate(self, outputs: usize) -> Result<Self> {
        if self.weight_scales.len() != outputs
            || !(self.bias.is_empty() || self.bias.len() == outputs)
        {
            return Err(Error::invalid(format!(
                "{} weight scales and {} biases for {outputs} outputs",
                self.weight_scales.len(),
                self.bias.len()
            )));
        }
        Ok(self)
    }

    fn bias_of(&self, output: usize) -> f32 {
        self.bias.get(output).copied().unwrap_or(0.0)
    }

    /// Outputs `[T][d_out]` of accumulators `[T][d_out]` and a scale for each record, `[T]`.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn dequantize(&self, accumulators: &[i64], scales: &[f32], out: &mut [f32]) {
        let outputs = self.weight_scales.len();
        assert_eq!(accumulators.len(), scales.len() * outputs, "accumulators");
        assert_eq!(out.len(), accumulators.len(), "outputs");
        for ((accumulators, out), &scale) in accumulators
            .chunks_exact(outputs)
            .zip(out.chunks_exact_mut(outputs))
            .zip(scales)
        {
            for (j, (out, &accumulator)) in out.iter_mut().zip(accumulators).enumerate() {
                let bias = self.bias.get(j).copied().unwrap_or(0.0);
                *out = (accumulator as f64 * (f64::from(scale) * f64::from(self.weight_scales[j]))
                    + f64::from(bias)) as f32;
            }
        }
    }
}

/// One output; |accumulator| < 2^51.
#[inline(always)]
fn output(accumulator: i64, scale: f32, weight_scale: f32, bias: f32) -> f32 {
    (i64_to_f64(accumulator) * (f64::from(scale) * f64::from(weight_scale)) + f64::from(bias))
        as f32
}

/// Outputs that arrive column by column and leave row by row: some columns are gathered, so that rows are
/// written in whole cache lines.
pub(crate) struct FloatRows<'a> {
    dequantizer: &'a Dequantizer,
    scales: &'a [f32],
    out: &'a mut [f32],
    /// `[GATHERED][column stride]`.
    columns: Vec<f32>,
    first: usize,
    filled: usize,
}

/// Columns gathered: a cache line of floats.
const GATHERED: usize = 16;

impl<'a> FloatRows<'a> {
    /// Rows `out`, `[T][d_out]`, of records with these scales, `[T]`.
    pub(crate) fn new(dequantizer: &'a Dequantizer, scales: &'a [f32], out: &'a mut [f32]) -> Self {
        FloatRows {
            dequantizer,
            scales,
            out,
            columns: vec![0.0; GATHERED * column_stride(scales.len())],
            first: 0,
            filled: 0,
        }
    }

    /// Takes accumulators of output `output` for the records from `first` on; outputs come in order, each
    /// with all its records.
    #[inline(always)]
    pub(crate) fn put(&mut self, output_index: usize, first: usize, accumulators: &[i64]) {
        if output_index >= self.first + GATHERED {
            self.write();
            self.first = output_index;
        }
        let column = output_index - self.first;
        self.filled = column + 1;
        let weight_scale = self.dequantizer.weight_scales[output_index];
        let bias = self.dequantizer.bias_of(output_index);
        let start = column * column_stride(self.scales.len()) + first;
        let column = &mut self.columns[start..][..accumulators.len()];
        let scales = &self.scales[first..][..accumulators.len()];
        for ((out, &accumulator), &scale) in column.iter_mut().zip(accumulators).zip(scales) {
            *out = output(accumulator, scale, weight_scale, bias);
        }
    }

    /// Writes what is still gathered.
    #[inline(always)]
    pub(crate) fn finish(&mut self) {
        self.write();
    }

    #[inline(always)]
    fn write(&mut self) {
        let outputs = self.dequantizer.weight_scales.len();
        let records = self.scales.len();
        let stride = column_stride(records);
        let (first, filled) = (self.first, self.filled);
        for (block, rows) in self.out.chunks_mut(GATHERED * outputs).enumerate() {
            // Whole lines of the columns first: reading them value by value would thrash the cache.
            let lines: [[f32; GATHERED]; GATHERED] = std::array::from_fn(|column| {
                let line = &self.columns[column * stride + block * GATHERED..][..GATHERED];
                std::array::from_fn(|record| line[record])
            });
            for (record, row) in rows.chunks_exact_mut(outputs).enumerate() {
                let row = &mut row[first..][..filled];
                match row.as_chunks_mut::<GATHERED>() {
                    ([whole], []) => *whole = std::array::from_fn(|column| lines[column][record]),
                    _ => {
                        for (out, line) in row.iter_mut().zip(&lines) {
                            *out = line[record];
                        }
                    }
                }
            }
        }
    }
}

/// Floats from one column to the next: whole lines, and an odd number of them, so that the columns do not
/// all fall into one set of the cache.
fn column_stride(records: usize) -> usize {
    (records.div_ceil(GATHERED) | 1) * GATHERED
}
