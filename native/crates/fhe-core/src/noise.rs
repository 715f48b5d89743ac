//! Noise of packed circuits.
//!
//! The minimal noise is tfhe-rs's published curve for 132-bit security with binary secrets and
//! TUniform noise (`core_crypto::commons::noise_formulas::secure_noise`). Standard deviations are
//! relative to q.

use tfhe::core_crypto::commons::noise_formulas::secure_noise::minimal_lwe_bound_for_132_bits_security_tuniform;
use tfhe::core_crypto::prelude::LweDimension;

use crate::parameters::{MAX_LIMBS, MIN_LIMBS, PackedParameters};
use crate::{Error, Result};

/// tfhe-rs's curve adds 2^4.44/q² to the variance as a floor; TUniform(2^4) is the smallest that is
/// above it by itself.
pub(crate) const MIN_BOUND_LOG2: u32 = 4;

/// Smallest LWE dimension accepted. The range that the published curve was fitted on is not published with
/// it; no choice of parameters here goes below.
pub(crate) const MIN_LWE_DIMENSION: usize = 900;

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
///
/// # Errors
/// [`Error::InvalidInput`] as [`fresh_noise_bound_log2`].
pub fn fresh_standard_deviation(lwe_dimension: usize, limbs: usize) -> Result<f64> {
    let bound = fresh_noise_bound_log2(lwe_dimension, limbs)?;
    Ok(tuniform_standard_deviation(bound) * (-8.0 * limbs as f64).exp2())
}

/// Noise of a decrypted accumulator before rounding, relative to q; where a circuit has summands, of a sum of so
/// many results of different blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutputNoise {
    /// Standard deviation, also a sub-Gaussian parameter.
    pub standard_deviation: f64,
    /// A bound on the mean: a rounded entry is off by 2^-(d+1) units on average, d the bits dropped, because
    /// ties go up.
    pub bias: f64,
    /// Standard deviation of all but the rounding of the result's body and its flooding.
    unrounded_deviation: f64,
    /// A bound on the mean of the same.
    unrounded_bias: f64,
    /// What the rounding of the result's body and its flooding add at most: half a unit of what is kept, and 2^b.
    largest_bounded: f64,
}

/// Largest norms of the weights of one output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColumnNorms {
    /// max_j ‖W_j‖₁.
    pub l1: f64,
    /// max_j ‖W_j‖₂.
    pub l2: f64,
}

/// What rounding to some limbs adds to one entry, relative to q.
struct Rounding {
    variance: f64,
    bias: f64,
    largest: f64,
}

impl Rounding {
    /// From `limbs` to `kept`, of entries whose dropped bits are uniform.
    fn of(limbs: usize, kept: usize) -> Self {
        if kept == limbs {
            return Rounding {
                variance: 0.0,
                bias: 0.0,
                largest: 0.0,
            };
        }
        let unit = (-8.0 * kept as f64).exp2();
        let dropped_bits = 8.0 * (limbs - kept) as f64;
        Rounding {
            variance: unit * unit / 12.0,
            bias: unit * (-dropped_bits - 1.0).exp2(),
            largest: unit / 2.0,
        }
    }
}

/// Standard deviation, relative to q, of what the rounding of a result's mask adds to an accumulator under a
/// secret of Hamming weight n/2, the average one. [`OutputNoise`] counts the heaviest there may be.
pub fn mask_rounding_deviation(parameters: &PackedParameters) -> f64 {
    let rounding = Rounding::of(parameters.limbs, parameters.output_limbs);
    (parameters.lwe_dimension() as f64 / 2.0 * rounding.variance).sqrt()
}

/// Standard deviation, relative to q, of what re-randomisation adds to an accumulator under secrets of Hamming
/// weight n/2, the average one, the flooding apart; 0 if results are not re-randomised. [`OutputNoise`] counts
/// the heaviest there may be.
///
/// # Errors
/// [`Error::InvalidInput`] if the parameters have no secure noise.
pub fn rerandomisation_deviation(parameters: &PackedParameters) -> Result<f64> {
    rerandomisation_variance(parameters, parameters.lwe_dimension() as f64 / 2.0).map(f64::sqrt)
}

/// Variance of an encryption of zero under a public key: r·E + e2 - e1·S, where S is binary of this Hamming weight,
/// r has coefficients of variance 1/2, and the noise E of the key, e1 and e2 are as of fresh encryptions.
///
/// E is one for all results under a key: given E, what r·E adds to results has variance ‖E‖²/2, and is independent
/// from one to another, for r is drawn for each and has mean zero. ‖E‖² is above (n + 9·√n)·σ² with probability below
/// 2^-58 (Bernstein, n of 900 or more), so n/2 + 4.5·√n bounds both parts.
fn rerandomisation_variance(parameters: &PackedParameters, hamming_weight: f64) -> Result<f64> {
    if !parameters.protects_weights() {
        return Ok(0.0);
    }
    let fresh = fresh_standard_deviation(parameters.lwe_dimension(), parameters.limbs)?;
    Ok((2.0 * hamming_weight + 1.0) * fresh * fresh)
}

/// The least b with which flooding TUniform(-2^b, 2^b) hides the randomness of an encryption of zero from who knows
/// the public key's noise E and the secret key.
///
/// To them a block's K·N results of an output are as many linear equations for r, with coefficients of E, of which
/// the flooding is the noise. Another value of one coefficient of r, all others being known, shifts each result by one
/// entry of E, which is 2^f/2 in the mean where fresh noise is TUniform(-2^f, 2^f), and so changes the distribution of
/// all results by a total variation of at most K·N·2^(f-b)/4. This is 1/4 at b = f + log2(K·N): less tells no
/// coefficient of r even then.
///
/// * `most_records`: K·N
///
/// # Errors
/// As [`fresh_noise_bound_log2`].
pub fn least_flooding(lwe_dimension: usize, limbs: usize, most_records: usize) -> Result<u32> {
    let fresh = fresh_noise_bound_log2(lwe_dimension, limbs)?;
    Ok(fresh + most_records.max(1).next_power_of_two().ilog2())
}

/// Standard deviation of the flooding, relative to q; 0 if there is none.
pub fn flooding_deviation(parameters: &PackedParameters) -> f64 {
    if !parameters.protects_weights() {
        return 0.0;
    }
    tuniform_standard_deviation(parameters.flooding as u32)
        * (-8.0 * parameters.limbs as f64).exp2()
}

impl OutputNoise {
    /// Fresh noise and the client's rounding of bodies through a column of weights, and the server's rounding
    /// of the results.
    ///
    /// The low bytes of a fresh body are uniform, because the mask's product is. Those of a result are
    /// uniform if a weight of the column is odd, which circuits are checked for. The rounding of a result
    /// adds its error to the body and to each mask coefficient that meets a secret bit that is one. A secret
    /// of n uniform bits has Hamming weight above n/2 + 4.5·√n with probability below 2^-58 (Hoeffding).
    ///
    /// Re-randomised results have the noise of an encryption of zero besides, and the flooding; all is rounded after
    /// that, from full entries.
    ///
    /// Summands have fresh masks, noise and randomness of re-randomisation each, so their errors are independent:
    /// variances add, and so do means and largest values.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if parameters are out of range or insecure, or a norm is not finite.
    pub fn of(parameters: &PackedParameters, norms: ColumnNorms) -> Result<Self> {
        let parameters = parameters.validate()?;
        if !norms.l1.is_finite() || !norms.l2.is_finite() {
            return Err(Error::invalid(format!(
                "noise: column norms {} and {}",
                norms.l1, norms.l2
            )));
        }
        let n = parameters.lwe_dimension() as f64;
        let hamming_weight = (n / 2.0 + 4.5 * n.sqrt()).min(n);
        let fresh = fresh_standard_deviation(parameters.lwe_dimension(), parameters.limbs)?;
        let body_up = Rounding::of(parameters.limbs, parameters.body_limbs);
        let mask_down = Rounding::of(parameters.limbs, parameters.output_limbs);
        let rounded_from = if parameters.protects_weights() {
            parameters.limbs
        } else {
            parameters.body_limbs
        };
        let body_down = Rounding::of(rounded_from, parameters.output_body_limbs);
        let variance = rerandomisation_variance(&parameters, hamming_weight)?
            + (fresh * fresh + body_up.variance) * norms.l2 * norms.l2
            + hamming_weight * mask_down.variance;
        let bias = body_up.bias * norms.l1 + hamming_weight * mask_down.bias;
        let summands = parameters.summands as f64;
        let flooding = flooding_deviation(&parameters);
        let largest_flooding = if parameters.protects_weights() {
            (parameters.flooding as f64 - 8.0 * parameters.limbs as f64).exp2()
        } else {
            0.0
        };
        let all = variance + body_down.variance + flooding * flooding;
        Ok(OutputNoise {
            standard_deviation: (summands * all).sqrt(),
            bias: summands * (bias + body_down.bias),
            unrounded_deviation: (summands * variance).sqrt(),
            unrounded_bias: summands * bias,
            largest_bounded: summands * (body_down.largest + largest_flooding),
        })
    }

    /// log2 of a bound on the probability that an accumulator of `message_bits` decrypts wrong.
    ///
    /// Every noise term is uniform up to a fair bit, hence strictly sub-Gaussian, and so is their weighted
    /// sum: P(|e - mean| > t) ≤ 2·exp(-t²/2σ²) with t = 2^-(p+1) - |mean|. (The rounding of a body follows
    /// from its mask's and its noise; it is counted as if it were independent, which changes σ² by one part
    /// in n/2.) The rounding of the result's body, and its flooding, are one uniform term each that can
    /// outweigh all others: then it is better to take the most they can be off the distance, and bound the tail of
    /// the others alone.
    pub fn log2_failure_probability(&self, message_bits: usize) -> f64 {
        let distance = (-(message_bits as f64 + 1.0)).exp2();
        let all = log2_tail(distance - self.bias, self.standard_deviation);
        let others = log2_tail(
            distance - self.largest_bounded - self.unrounded_bias,
            self.unrounded_deviation,
        );
        all.min(others)
    }
}

/// log2 of 2·exp(-t²/2σ²), at most 0, the tail of a centred sub-Gaussian variable beyond `distance`.
fn log2_tail(distance: f64, standard_deviation: f64) -> f64 {
    if distance <= 0.0 {
        return 0.0;
    }
    let sigmas = distance / standard_deviation;
    (1.0 - sigmas * sigmas / 2.0 * std::f64::consts::LOG2_E).min(0.0)
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

    fn parameters() -> PackedParameters {
        PackedParameters {
            glwe_dimension: 3,
            polynomial_size: 512,
            limbs: 5,
            body_limbs: 5,
            output_limbs: 4,
            output_body_limbs: 3,
            message_bits: 19,
            bodies: 8,
            summands: 1,
            flooding: 0,
        }
    }

    const NORMS: ColumnNorms = ColumnNorms {
        l1: 24_000.0,
        l2: 1100.0,
    };

    #[test]
    fn more_message_bits_fail_more_often() {
        let noise = OutputNoise::of(&parameters(), NORMS).unwrap();
        assert!(noise.log2_failure_probability(19) < noise.log2_failure_probability(20));
    }

    #[test]
    fn a_sum_of_four_results_has_twice_the_deviation_and_four_times_the_bias() {
        let noise = |summands| {
            let parameters = PackedParameters {
                summands,
                ..parameters()
            };
            OutputNoise::of(&parameters, NORMS).unwrap()
        };
        let (one, four) = (noise(1), noise(4));
        let ratio = four.standard_deviation / one.standard_deviation;
        assert!((ratio - 2.0).abs() < 1e-9, "{ratio}");
        assert_eq!(four.bias, 4.0 * one.bias);
        assert!(four.log2_failure_probability(17) > one.log2_failure_probability(18));
    }

    #[test]
    fn a_mask_rounded_as_far_as_its_bodies_costs_many_times_more_noise() {
        let noise = |output_limbs| {
            let parameters = PackedParameters {
                output_limbs,
                ..parameters()
            };
            OutputNoise::of(&parameters, NORMS).unwrap()
        };
        assert!(noise(3).standard_deviation > 10.0 * noise(4).standard_deviation);
    }

    #[test]
    fn rounding_of_the_body_alone_never_reaches_the_next_message() {
        // Half a unit of three bytes is a quarter of the distance at p = 22, and what remains is nine
        // deviations of the other noise. Counted as noise too, it would leave seven.
        let parameters = PackedParameters {
            glwe_dimension: 7,
            polynomial_size: 256,
            message_bits: 22,
            ..parameters()
        };
        let noise = OutputNoise::of(&parameters, NORMS).unwrap();
        assert!(log2_tail((-23f64).exp2(), noise.standard_deviation) > -40.0);
        assert!(noise.log2_failure_probability(22) < -50.0);
        assert!(noise.log2_failure_probability(23) > -40.0);
    }

    #[test]
    fn flooding_leaves_half_of_the_distance_to_the_other_noise() {
        let parameters = PackedParameters {
            glwe_dimension: 7,
            polynomial_size: 256,
            output_body_limbs: 4,
            ..parameters()
        };
        let flooded = PackedParameters {
            flooding: 40 - 19 - 2,
            ..parameters
        };
        let plain = OutputNoise::of(&parameters, NORMS).unwrap();
        let noise = OutputNoise::of(&flooded, NORMS).unwrap();
        assert!(noise.standard_deviation > 10.0 * plain.standard_deviation);
        assert_eq!(
            noise.largest_bounded,
            plain.largest_bounded + (-21f64).exp2()
        );
        // The flooding reaches half of 2^-20; taken as Gaussian noise it would be wrong all the time.
        assert!(log2_tail((-20f64).exp2(), noise.standard_deviation) > -10.0);
        assert!(noise.log2_failure_probability(19) < -40.0);
        let more = PackedParameters {
            flooding: 40 - 19 - 1,
            ..parameters
        };
        assert!(more.validate().is_err());
    }
}
