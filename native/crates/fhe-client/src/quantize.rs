//! Float activations to integers, one scale a record, never out of the accumulators' range.

use aligned_vec::{AVec, avec};
use fhe_core::panel::PANEL_ROWS;
use fhe_core::{Error, Result};

use crate::activations::Column;
use crate::cache;
use crate::planes::{Planes, Task};
use crate::records::Records;
use crate::transpose::{TALL_ROWS, TILE};

/// What a client knows of the integer weights: norms over all outputs j.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightNorms {
    /// max_j Σ_i |W_ij|.
    pub max_l1: u64,
    /// max_j Σ_i W_ij².
    pub max_l2_squared: u64,
    /// max |W_ij|.
    pub max_abs: u64,
}

/// Symmetric quantisation x_int = round(x / s) to `activation_bits` bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantizer {
    /// Integers lie in [-(2^(a-1)-1), 2^(a-1)-1]; 2 to 16.
    pub activation_bits: usize,
    /// Scale of every record, or 0 for a scale per record from its largest magnitude.
    pub static_scale: f32,
    /// p: accumulators must stay in [-(2^(p-1)-1), 2^(p-1)-1].
    pub message_bits: usize,
    /// Norms of the weights.
    pub norms: WeightNorms,
}

impl Quantizer {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the field.
    pub fn validate(self) -> Result<Self> {
        if !(2..=16).contains(&self.activation_bits) {
            return Err(Error::invalid(format!(
                "activation bits are {}, must be in 2..=16",
                self.activation_bits
            )));
        }
        let has_inverse = self.static_scale.is_normal() && self.static_scale > 0.0;
        if !(has_inverse || self.static_scale == 0.0) {
            return Err(Error::invalid(format!(
                "static scale is {}, must be positive and no subnormal, or zero for dynamic quantisation",
                self.static_scale
            )));
        }
        Ok(self)
    }

    /// Largest magnitude of an integer activation.
    pub fn max_activation(&self) -> i32 {
        (1 << (self.activation_bits - 1)) - 1
    }

    /// Quantises one record `[d_in]` to `out`; returns its scale.
    ///
    /// A record whose accumulators could leave their range by all three of Hölder's bounds
    /// (‖x‖∞·‖W_j‖₁, ‖x‖₂·‖W_j‖₂, ‖x‖₁·‖W_j‖∞) gets a coarser scale, so none ever wraps.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with the feature's index if a value is NaN or infinite.
    #[inline(always)]
    pub fn quantize_record(&self, record: &[f32], out: &mut [i16]) -> Result<f32> {
        // Magnitudes order as their bit patterns do, and anything not finite is above all of them.
        let largest_bits = record.iter().fold(0, |largest, value| {
            (value.to_bits() & !SIGN_BIT).max(largest)
        });
        if largest_bits >= f32::INFINITY.to_bits() {
            return Err(not_finite(record));
        }
        let largest = f32::from_bits(largest_bits);
        let max_activation = self.max_activation();
        let mut scale = if self.static_scale > 0.0 {
            self.static_scale
        } else if largest == 0.0 {
            1.0
        } else {
            // Not below the smallest normal number: 1/s must stay finite.
            (largest / max_activation as f32).max(f32::MIN_POSITIVE)
        };
        // A static scale clips first; were clipped values to come back with a coarser scale, they would
        // drown the others.
        let largest_kept = scale * max_activation as f32;
        loop {
            let inverse = 1.0 / scale;
            for (&value, integer) in record.iter().zip(out.iter_mut()) {
                *integer = round(value, largest_kept, inverse);
            }
            let norms = Norms {
                // Rounding keeps the order of magnitudes.
                linf: round(largest, largest_kept, inverse).unsigned_abs().into(),
                ..Norms::of(out, max_activation)
            };
            let excess = self.excess(norms);
            if excess <= 1.0 {
                return Ok(scale);
            }
            // Rounding can keep the bound from falling as far as the scale grows; 0.1 % more ends that.
            let coarser = (f64::from(scale) * excess * 1.001) as f32;
            if !coarser.is_finite() {
                out.fill(0);
                return Ok(scale);
            }
            scale = coarser;
        }
    }

    /// By what factor the best of the three bounds exceeds the range of an accumulator; at most 1 if the
    /// record is safe. Exact where it decides: the bounds are compared as integers.
    fn excess(&self, norms: Norms) -> f64 {
        let limit = (1u64 << (self.message_bits - 1)) - 1;
        // Norms of at least one keep the activations themselves in range, even of a layer of zeros.
        let by_l1 = u128::from(norms.linf) * u128::from(self.norms.max_l1.max(1));
        let by_abs = u128::from(norms.l1) * u128::from(self.norms.max_abs.max(1));
        let by_l2_squared =
            u128::from(norms.l2_squared) * u128::from(self.norms.max_l2_squared.max(1));
        let limit_squared = u128::from(limit) * u128::from(limit);
        if by_l1 <= u128::from(limit)
            || by_abs <= u128::from(limit)
            || by_l2_squared <= limit_squared
        {
            return 1.0;
        }
        let limit = limit as f64;
        (by_l1 as f64 / limit)
            .min(by_abs as f64 / limit)
            .min((by_l2_squared as f64).sqrt() / limit)
            .max(1.0 + 1e-6)
    }
}

const SIGN_BIT: u32 = 1 << 31;

/// Adding it rounds a float below 2^22 in magnitude to an integer, the low bits of the sum.
const ROUNDER: f32 = 12_582_912.0; // 1.5 · 2^23

/// A value, clipped to ±`largest_kept`, times 1/s, to the nearest integer, ties to even: in single precision,
/// the same on every machine.
#[inline(always)]
fn round(value: f32, largest_kept: f32, inverse: f32) -> i16 {
    (value.clamp(-largest_kept, largest_kept) * inverse + ROUNDER).to_bits() as i16
}

/// ‖·‖∞, ‖·‖₁ and ‖·‖₂² of integers.
#[derive(Clone, Copy, Default)]
struct Norms {
    linf: u64,
    l1: u64,
    l2_squared: u64,
}

impl Norms {
    /// ‖·‖₁ and ‖·‖₂² of integers up to `max` in magnitude.
    #[inline(always)]
    fn of(integers: &[i16], max: i32) -> Norms {
        // As many as can be summed in 31 bits.
        let chunk = (i32::MAX / (max * max)).min(1 << 12) as usize;
        let mut norms = Norms::default();
        for integers in integers.chunks(chunk) {
            let (mut l1, mut l2_squared) = (0u32, 0i32);
            for &integer in integers {
                l1 += u32::from(integer.unsigned_abs());
                l2_squared += i32::from(integer) * i32::from(integer);
            }
            norms.l1 += u64::from(l1);
            norms.l2_squared += l2_squared as u64;
        }
        norms
    }
}

#[cold]
fn not_finite(record: &[f32]) -> Error {
    let feature = record.iter().position(|value| !value.is_finite());
    let feature = feature.expect("a value that is not finite");
    Error::invalid(format!(
        "feature {feature} of the activations is {}; activations must be finite",
        record[feature]
    ))
}

/// The loop over records, compiled for the machine at hand.
pub(crate) struct QuantizeRecords<'a> {
    pub(crate) quantizer: &'a Quantizer,
    pub(crate) records: &'a Records<'a>,
    /// Index of the first record to take.
    pub(crate) first: usize,
    /// `[records / 64, rounded up][inputs]`.
    pub(crate) columns: &'a mut [Column],
    /// `[records]`.
    pub(crate) scales: &'a mut [f32],
}

/// Writes the rows of a tile `[TALL_ROWS][stride]` to columns from row `at` on.
#[inline(always)]
fn transpose(planes: impl Planes, rows: &[i16], stride: usize, columns: &mut [Column], at: usize) {
    let (blocks, rest) = columns.as_chunks_mut::<TILE>();
    for (block, columns) in blocks.iter_mut().enumerate() {
        planes.write_columns(&rows[block * TILE..], stride, columns, at);
    }
    for (column, input) in rest.iter_mut().zip(blocks.len() * TILE..) {
        let values = rows[input..].iter().step_by(stride);
        for (place, &value) in column[at..][..TALL_ROWS].iter_mut().zip(values) {
            *place = value;
        }
    }
}

impl Task for QuantizeRecords<'_> {
    type Output = Result<()>;

    #[inline(always)]
    fn run<P: Planes>(self, planes: P) -> Result<()> {
        if self.scales.is_empty() {
            return Ok(());
        }
        let inputs = self.records.inputs();
        let mut scratch = vec![0f32; inputs];
        // An odd number of lines of the cache, so that rows do not all fall into one set of it.
        let stride = inputs.next_multiple_of(64) + 32;
        let mut rows: AVec<i16> = avec![0; TALL_ROWS * stride];
        for (tile, scales) in self.scales.chunks_mut(TALL_ROWS).enumerate() {
            let first = tile * TALL_ROWS;
            let count = scales.len();
            let columns = &mut self.columns[first / PANEL_ROWS * inputs..][..inputs];
            let at = first % PANEL_ROWS;
            // While values are rounded, those of the next records come, and the places of these.
            let mut places = columns.chunks(inputs.div_ceil(TALL_ROWS));
            let tile_rows = rows.chunks_exact_mut(stride);
            for ((scale, row), record) in scales.iter_mut().zip(tile_rows).zip(self.first + first..)
            {
                self.records.prefetch(record + PREFETCHED_RECORDS);
                for column in places.next().unwrap_or_default() {
                    cache::prefetch(&column[at..at + 1]);
                }
                let values = self.records.record(record, &mut scratch);
                *scale = self
                    .quantizer
                    .quantize_record(values, &mut row[..inputs])
                    .map_err(|error| Error::invalid(format!("record {record}: {error}")))?;
            }
            rows[count * stride..].fill(0);
            transpose(planes, &rows, stride, columns, at);
        }
        Ok(())
    }
}

/// How far ahead records are fetched.
const PREFETCHED_RECORDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn norms(weights: &[i8], inputs: usize) -> WeightNorms {
        let rows = || weights.chunks_exact(inputs);
        let magnitude = |w: &i8| u64::from(w.unsigned_abs());
        WeightNorms {
            max_l1: rows().map(|r| r.iter().map(magnitude).sum()).max().unwrap(),
            max_l2_squared: rows()
                .map(|r| r.iter().map(|w| magnitude(w).pow(2)).sum())
                .max()
                .unwrap(),
            max_abs: weights.iter().map(magnitude).max().unwrap(),
        }
    }

    #[test]
    fn an_ordinary_record_uses_all_its_bits() {
        let quantizer = Quantizer {
            activation_bits: 8,
            static_scale: 0.0,
            message_bits: 20,
            norms: norms(&[1, -1], 2),
        };
        let mut out = [0; 2];
        let scale = quantizer.quantize_record(&[-2.54, 1.27], &mut out).unwrap();
        assert_eq!(out, [-127, 64]);
        assert!((scale - 0.02).abs() < 1e-8);
    }

    #[test]
    fn nan_and_infinity_are_refused_by_feature() {
        let quantizer = Quantizer {
            activation_bits: 8,
            static_scale: 0.0,
            message_bits: 20,
            norms: norms(&[1, 1], 2),
        };
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = quantizer
                .quantize_record(&[0.0, value], &mut [0; 2])
                .unwrap_err();
            assert!(error.to_string().contains("feature 1"), "{error}");
        }
    }

    #[test]
    fn a_clipped_record_is_coarsened_at_once_and_keeps_its_other_values() {
        let quantizer = Quantizer {
            activation_bits: 8,
            static_scale: 1.0,
            message_bits: 9,
            norms: norms(&[1; 4096], 4096),
        };
        let mut record = vec![1e30f32; 4096];
        let mut out = vec![0i16; 4096];
        let start = std::time::Instant::now();
        let scale = quantizer.quantize_record(&record, &mut out).unwrap();
        assert!(start.elapsed().as_millis() < 100, "{:?}", start.elapsed());
        assert!(scale < 1e4, "scale {scale}");
        record.fill(0.0);
        record[0] = 1e30;
        record[1] = -100.0;
        quantizer.quantize_record(&record, &mut out).unwrap();
        assert_eq!(out[..3], [127, -100, 0]);
    }

    #[test]
    fn static_scales_clip() {
        let quantizer = Quantizer {
            activation_bits: 4,
            static_scale: 0.5,
            message_bits: 20,
            norms: norms(&[1, 1], 2),
        };
        let mut out = [0; 2];
        let scale = quantizer.quantize_record(&[1e30, -1.0], &mut out).unwrap();
        assert_eq!((out, scale), ([7, -2], 0.5));
    }

    proptest! {
        #[test]
        fn no_record_can_leave_the_range_of_its_accumulators(
            weights in prop::collection::vec(-127i8..=127, 12),
            record in prop::collection::vec(
                prop_oneof![
                    any::<f32>().prop_filter("finite", |v| v.is_finite()),
                    -1f32..1.0,
                    Just(f32::MAX),
                    Just(f32::MIN_POSITIVE / 8.0),
                ],
                4,
            ),
            activation_bits in 2usize..=16,
            message_bits in 2usize..=24,
            static_scale in prop_oneof![Just(0f32), 1e-6f32..1.0],
            aligned in any::<bool>(),
        ) {
            let mut record = record;
            if aligned {
                // The worst case: signs aligned with a row of weights, all of the same magnitude.
                for (value, &weight) in record.iter_mut().zip(&weights) {
                    *value = 3.0 * f32::from(weight.signum());
                }
            }
            let quantizer = Quantizer {
                activation_bits,
                static_scale,
                message_bits,
                norms: norms(&weights, 4),
            };
            let mut out = [0i16; 4];
            let scale = quantizer.quantize_record(&record, &mut out).unwrap();
            prop_assert!(scale.is_finite() && scale > 0.0);
            let limit = (1i64 << (message_bits - 1)) - 1;
            for row in weights.chunks_exact(4) {
                let sum: i64 = row.iter().zip(&out).map(|(&w, &x)| i64::from(w) * i64::from(x)).sum();
                prop_assert!(sum.abs() <= limit, "{sum} leaves ±{limit}");
            }
            prop_assert!(out.iter().all(|&x| i32::from(x).abs() <= quantizer.max_activation()));
        }
    }
}
