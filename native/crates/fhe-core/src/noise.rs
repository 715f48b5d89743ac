//! Noise of packed circuits.
//!
//! The minimal noise is tfhe-rs's published curve for 132-bit security with binary secrets and
//! TUniform noise (`core_crypto::commons::noise_formulas::secure_noise`). Standard deviations are
//! relative to q.

use tfhe::core_crypto::commons::noise_formulas::secure_noise::minimal_lwe_bound_for_132_bits_security_tuniform;
use tfhe::core_crypto::prelude::LweDimension;

use crate::parameters::{MAX_LIMBS, MIN_LIMBS};
use crate::{Error, Result};

/// tfhe-rs's curve adds 2^4.44/q² to the variance as a floor; TUniform(2^4) is the smallest that is
/// above it by itself.
const MIN_BOUND_LOG2: u32 = 4;

/// Smallest LWE dimension accepted. The range that the published curve was fitted on is not published with
/// it; no choice of parameters here goes below.
const MIN_LWE_DIMENSION: usize = 900;

/// b such that fresh noise is TUniform(-2^b, 2^b): uniform on [-2^b, 2^b], the two ends half as
/// likely.
///
/// # Errors
/// [`Error::InvalidInput`] when no noise below q/4 is secure at this n.
pub fn fresh_noise_bound_log2(lwe_dimension: usize, limbs: usize) -> Result<u32> {
    if !(MIN_LIMBS..=MAX_LIMBS).contains(&limbs) {
        return Err(Error::invalid(format!(
            "noise: {limbs} limbs, must be in {MIN_LIMBS}..={MAX_LIMBS}"
        )));
    }
    let log2_modulus = 8 * limbs as u32;
    let insecure = || {
        Error::invalid(format!(
            "noise: LWE dimension {lwe_dimension} is too small for 132-bit security at q = 2^{log2_modulus}"
        ))
    };
    if lwe_dimension < MIN_LWE_DIMENSION {
        return Err(insecure());
    }
    let bound = minimal_lwe_bound_for_132_bits_security_tuniform(
        LweDimension(lwe_dimension),
        f64::from(log2_modulus).exp2(),
    )
    .max(MIN_BOUND_LOG2);
    if bound + 2 > log2_modulus {
        return Err(insecure());
    }
    Ok(bound)
}

/// Standard deviation of TUniform(-2^b, 2^b), in units of one: sqrt((2^(2b+1) + 1) / 6).
pub fn tuniform_standard_deviation(bound_log2: u32) -> f64 {
    ((f64::from(2 * bound_log2 + 1).exp2() + 1.0) / 6.0).sqrt()
}

/// Standard deviation of a fresh encryption, relative to q.
pub fn fresh_standard_deviation(lwe_dimension: usize, limbs: usize) -> Result<f64> {
    let bound = fresh_noise_bound_log2(lwe_dimension, limbs)?;
    Ok(tuniform_standard_deviation(bound) * (-8.0 * limbs as f64).exp2())
}

/// Noise of a decrypted accumulator before rounding, relative to q.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutputNoise {
    /// Standard deviation, also a sub-Gaussian parameter.
    pub standard_deviation: f64,
    /// A bound on the mean: entries rounded to the limbs kept are off by -2^-(d+1) units on average, d the
    /// bits dropped, because ties go up.
    pub bias: f64,
}

impl OutputNoise {
    /// Fresh noise through a column of weights, and the server's rounding to `output_limbs` bytes.
    ///
    /// Rounding adds an error that is uniform on a unit (of what is kept) to the body and to each mask
    /// coefficient that meets a secret bit that is one; that the dropped limbs are uniform needs an odd
    /// weight in the column, which circuits are checked for. A secret of n uniform bits has Hamming weight
    /// above n/2 + 4.5·√n with probability below 2^-58 (Hoeffding).
    pub fn of(
        lwe_dimension: usize,
        limbs: usize,
        output_limbs: usize,
        max_column_norm: f64,
    ) -> Result<Self> {
        if !(1..=limbs).contains(&output_limbs) || !max_column_norm.is_finite() {
            return Err(Error::invalid(format!(
                "noise: {output_limbs} output limbs of {limbs}, column norm {max_column_norm}"
            )));
        }
        let fresh = fresh_standard_deviation(lwe_dimension, limbs)? * max_column_norm;
        if output_limbs == limbs {
            return Ok(OutputNoise {
                standard_deviation: fresh,
                bias: 0.0,
            });
        }
        let n = lwe_dimension as f64;
        let hamming_weight = (n / 2.0 + 4.5 * n.sqrt()).min(n);
        let unit = (-8.0 * output_limbs as f64).exp2();
        let dropped_bits = 8.0 * (limbs - output_limbs) as f64;
        let rounding = unit * ((1.0 + hamming_weight) / 12.0).sqrt();
        Ok(OutputNoise {
            standard_deviation: fresh.hypot(rounding),
            bias: unit * (1.0 + hamming_weight) * (-dropped_bits - 1.0).exp2(),
        })
    }

    /// log2 of a bound on the probability that an accumulator of `message_bits` decrypts wrong.
    ///
    /// Every noise term is uniform up to a fair bit, hence strictly sub-Gaussian, and so is their weighted
    /// sum: P(|e - mean| > t) ≤ 2·exp(-t²/2σ²) with t = 2^-(p+1) - |mean|. (The rounding of a body follows
    /// from its mask's and its noise; it is counted as if it were independent, which changes σ² by one part
    /// in n/2.)
    pub fn log2_failure_probability(&self, message_bits: usize) -> f64 {
        let distance = (-(message_bits as f64 + 1.0)).exp2() - self.bias;
        if distance <= 0.0 {
            return 0.0;
        }
        let sigmas = distance / self.standard_deviation;
        (1.0 - sigmas * sigmas / 2.0 * std::f64::consts::LOG2_E).min(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_one_tfhe_rs_ships_for_its_default_glwe() {
        // PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128: n = 2048, TUniform(17) at q = 2^64; the bound
        // scales with q.
        assert_eq!(fresh_noise_bound_log2(2048, 7).unwrap(), 17 - 8);
    }

    #[test]
    fn a_dimension_too_small_for_the_modulus_is_refused() {
        let error = fresh_noise_bound_log2(832, 5).unwrap_err();
        assert!(error.to_string().contains("LWE dimension 832"), "{error}");
        assert!(fresh_noise_bound_log2(1024, 8).is_err());
    }

    #[test]
    fn more_message_bits_fail_more_often() {
        let noise = OutputNoise::of(1536, 5, 4, 1100.0).unwrap();
        assert!(noise.log2_failure_probability(19) < noise.log2_failure_probability(20));
    }
}
