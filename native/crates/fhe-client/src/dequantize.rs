//! Integer accumulators to float outputs.

use fhe_core::{Error, Result};

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

    /// What output `output` needs.
    #[inline(always)]
    pub(crate) fn column(&self, output: usize) -> ColumnDequantizer {
        ColumnDequantizer {
            weight_scale: f64::from(self.weight_scales[output]),
            bias: f64::from(self.bias.get(output).copied().unwrap_or(0.0)),
        }
    }
}

/// Dequantises accumulators of one output.
#[derive(Clone, Copy)]
pub(crate) struct ColumnDequantizer {
    weight_scale: f64,
    bias: f64,
}

impl ColumnDequantizer {
    /// The output of a record with this scale.
    #[inline(always)]
    pub(crate) fn output(self, accumulator: f64, scale: f32) -> f32 {
        (accumulator * (f64::from(scale) * self.weight_scale) + self.bias) as f32
    }

    /// The sum of the outputs of so many records with this scale.
    #[inline(always)]
    pub(crate) fn sum(self, accumulator: f64, scale: f32, records: u64) -> f32 {
        (accumulator * (f64::from(scale) * self.weight_scale) + self.bias * records as f64) as f32
    }
}
