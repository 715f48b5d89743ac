//! The records that a circuit is made for.

use fhe_core::{Error, Result};

/// A ball of normalised records. No record may leave it: what a polynomial makes of values beyond its range would
/// take all records of the block with it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordBall {
    center: Vec<f32>,
    /// What a difference to the center is multiplied by.
    inverse_spread: Vec<f64>,
    radius: f64,
}

impl RecordBall {
    /// Records x with ‖(x − center) / spread‖₂ ≤ radius, features divided one by one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the two are of different lengths, or a number is not finite, or a spread or the
    /// radius not positive.
    pub fn new(center: Vec<f32>, spread: &[f32], radius: f64) -> Result<Self> {
        if center.len() != spread.len() || center.is_empty() {
            return Err(Error::invalid(format!(
                "a ball of records has a center of {} features and a spread of {}",
                center.len(),
                spread.len()
            )));
        }
        if let Some(feature) = center.iter().position(|value| !value.is_finite()) {
            return Err(Error::invalid(format!(
                "the center of a ball of records is {} at feature {feature}",
                center[feature]
            )));
        }
        if let Some(feature) = spread
            .iter()
            .position(|value| !(value.is_normal() && *value > 0.0))
        {
            return Err(Error::invalid(format!(
                "the spread of a ball of records is {} at feature {feature}",
                spread[feature]
            )));
        }
        if !(radius.is_normal() && radius > 0.0) {
            return Err(Error::invalid(format!(
                "the radius of a ball of records is {radius}"
            )));
        }
        Ok(RecordBall {
            center,
            inverse_spread: spread
                .iter()
                .map(|&value| f64::from(value).recip())
                .collect(),
            radius,
        })
    }

    /// Features of a record.
    pub fn inputs(&self) -> usize {
        self.center.len()
    }

    /// The most that the norm of a normalised record can be.
    pub fn radius(&self) -> f64 {
        self.radius
    }

    /// Normalises a record, and draws it to the ball's surface if it lies beyond. Gives what it was multiplied by
    /// for that: 1 for those within.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with the feature's index if a value is NaN or infinite, or lengths differ.
    pub fn normalize(&self, record: &[f32], normalized: &mut [f64]) -> Result<f32> {
        if record.len() != self.inputs() || normalized.len() != self.inputs() {
            return Err(Error::invalid(format!(
                "a record of {} activations where one has {}",
                record.len(),
                self.inputs()
            )));
        }
        if let Some(feature) = record.iter().position(|value| !value.is_finite()) {
            return Err(Error::invalid(format!(
                "feature {feature} of the activations is {}; activations must be finite",
                record[feature]
            )));
        }
        let features = self.center.iter().zip(&self.inverse_spread);
        for (place, (&value, (&center, inverse))) in
            normalized.iter_mut().zip(record.iter().zip(features))
        {
            *place = (f64::from(value) - f64::from(center)) * inverse;
        }
        // Squares of floats over a spread can exceed f64: the largest is taken out first.
        let largest = normalized
            .iter()
            .fold(0f64, |most, value| most.max(value.abs()));
        if largest == 0.0 {
            return Ok(1.0);
        }
        let squares: f64 = normalized
            .iter()
            .map(|value| (value / largest).powi(2))
            .sum();
        let length = squares.sqrt();
        // As two factors, for the norm itself may not be finite.
        let relative = self.radius / largest / length;
        if relative >= 1.0 {
            return Ok(1.0);
        }
        for value in normalized.iter_mut() {
            *value = *value / largest * (self.radius / length);
        }
        // Below 1 whatever rounding does, so that it can be told.
        Ok((relative as f32).clamp(f32::MIN_POSITIVE, 1.0 - f32::EPSILON))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn norm(values: &[f64]) -> f64 {
        values.iter().map(|value| value * value).sum::<f64>().sqrt()
    }

    #[test]
    fn records_within_are_only_normalised() {
        let ball = RecordBall::new(vec![1.0, -2.0], &[2.0, 0.5], 5.0).unwrap();
        let mut normalized = [0.0; 2];
        assert_eq!(ball.normalize(&[7.0, 0.0], &mut normalized).unwrap(), 1.0);
        assert_eq!(normalized, [3.0, 4.0]);
    }

    #[test]
    fn records_beyond_are_drawn_to_the_surface() {
        let ball = RecordBall::new(vec![1.0, -2.0], &[2.0, 0.5], 2.5).unwrap();
        let mut normalized = [0.0; 2];
        assert_eq!(ball.normalize(&[7.0, 0.0], &mut normalized).unwrap(), 0.5);
        assert_eq!(normalized, [1.5, 2.0]);
    }

    #[test]
    fn what_is_not_finite_is_named() {
        let ball = RecordBall::new(vec![0.0; 3], &[1.0; 3], 1.0).unwrap();
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = ball
                .normalize(&[0.0, value, 0.0], &mut [0.0; 3])
                .unwrap_err();
            assert!(error.to_string().contains("feature 1"), "{error}");
        }
        assert!(ball.normalize(&[0.0; 2], &mut [0.0; 3]).is_err());
    }

    #[test]
    fn balls_without_extent_are_refused() {
        assert!(RecordBall::new(vec![0.0], &[1.0, 1.0], 1.0).is_err());
        for spread in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-45] {
            assert!(
                RecordBall::new(vec![0.0], &[spread], 1.0).is_err(),
                "{spread}"
            );
        }
        for radius in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(
                RecordBall::new(vec![0.0], &[1.0], radius).is_err(),
                "{radius}"
            );
        }
        assert!(RecordBall::new(vec![f32::NAN], &[1.0], 1.0).is_err());
    }

    proptest! {
        #[test]
        fn nothing_leaves_the_ball(
            record in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::ZERO | prop::num::f32::SUBNORMAL, 7),
            spread in prop::collection::vec(f32::MIN_POSITIVE..1e30, 7),
            radius in 1e-3..1e3f64,
        ) {
            let ball = RecordBall::new(vec![0.25; 7], &spread, radius).unwrap();
            let mut normalized = [0.0; 7];
            let factor = ball.normalize(&record, &mut normalized).unwrap();
            prop_assert!(norm(&normalized) <= radius * (1.0 + 1e-12));
            prop_assert!(factor > 0.0 && factor <= 1.0);
            if factor < 1.0 {
                prop_assert!(norm(&normalized) >= radius * (1.0 - 1e-12));
            }
        }
    }
}
