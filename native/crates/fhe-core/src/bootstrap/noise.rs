//! Noise of look-ups, by tfhe-rs's published formulas (`core_crypto::commons::noise_formulas`) for 132-bit
//! security, binary secrets and TUniform noise. Variances are relative to the torus.

use tfhe::core_crypto::commons::noise_formulas::centered_mean_shifted_modulus_switch::centered_binary_shifted_modulus_switch_additive_variance;
use tfhe::core_crypto::commons::noise_formulas::lwe_keyswitch::keyswitch_additive_variance_132_bits_security_tuniform;
use tfhe::core_crypto::commons::noise_formulas::lwe_programmable_bootstrap::pbs_variance_132_bits_security_tuniform_fft_mul;
use tfhe::core_crypto::commons::noise_formulas::secure_noise::minimal_lwe_bound_for_132_bits_security_tuniform;
use tfhe::core_crypto::prelude::{
    DecompositionBaseLog, DecompositionLevelCount, GlweDimension, LweDimension, PolynomialSize,
};

use super::{BootstrapCircuit, BootstrapParameters, CircuitAmplification, Step};
use crate::noise::{MIN_BOUND_LOG2, MIN_LWE_DIMENSION, fresh_standard_deviation};
use crate::parameters::PackedParameters;
use crate::{Error, Result};

/// q.
const MODULUS: f64 = 18_446_744_073_709_551_616.0;

/// Bits of a double's mantissa, which the transforms of the bootstrap work in.
const MANTISSA: f64 = f64::MANTISSA_DIGITS as f64;

/// b such that noise TUniform(-2^b, 2^b) is secure at LWE dimension n and q = 2^64.
///
/// # Errors
/// [`Error::InvalidInput`] below the dimensions that are accepted ([`crate::noise`]).
pub fn lwe_noise_bound_log2(dimension: usize) -> Result<u32> {
    if dimension < MIN_LWE_DIMENSION {
        return Err(Error::invalid(format!(
            "noise: LWE dimension {dimension} is too small for 132-bit security at q = 2^64, at least {MIN_LWE_DIMENSION} is taken"
        )));
    }
    Ok(
        minimal_lwe_bound_for_132_bits_security_tuniform(LweDimension(dimension), MODULUS)
            .max(MIN_BOUND_LOG2),
    )
}

/// What each operation adds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BootstrapNoise {
    /// A keyswitch from k·N to n adds this.
    pub keyswitch: f64,
    /// Rounding a ciphertext of dimension n to 2N adds this to what a look-up reads.
    pub modulus_switch: f64,
    /// A look-up's result has this, whatever was read.
    pub bootstrap: f64,
    /// Rounding the entries of a result adds this.
    pub output_rounding: f64,
}

impl BootstrapNoise {
    /// Of these parameters.
    ///
    /// # Errors
    /// As [`BootstrapParameters::validate`].
    pub fn of(parameters: &BootstrapParameters) -> Result<Self> {
        let p = parameters.validate()?;
        let lwe = LweDimension(p.lwe_dimension);
        // The formula leaves the rounding of the body out.
        let switched = |modulus: f64| {
            let mask =
                centered_binary_shifted_modulus_switch_additive_variance(lwe, MODULUS, modulus);
            mask.0 + modulus.powi(-2) / 12.0
        };
        Ok(BootstrapNoise {
            keyswitch: keyswitch_additive_variance_132_bits_security_tuniform(
                LweDimension(p.value_dimension()),
                lwe,
                DecompositionBaseLog(p.keyswitch.base_log),
                DecompositionLevelCount(p.keyswitch.levels),
                MODULUS,
                MODULUS,
            )
            .0,
            modulus_switch: switched(2.0 * p.polynomial_size as f64),
            bootstrap: pbs_variance_132_bits_security_tuniform_fft_mul(
                lwe,
                GlweDimension(p.glwe_dimension),
                PolynomialSize(p.polynomial_size),
                DecompositionBaseLog(p.bootstrap.base_log),
                DecompositionLevelCount(p.bootstrap.levels),
                MANTISSA,
                MODULUS,
            )
            .0,
            output_rounding: switched((8.0 * p.output_bytes as f64).exp2()),
        })
    }

    /// Variance of what a look-up reads, beside that of the ciphertext it is given.
    pub fn reading(&self) -> f64 {
        self.keyswitch + self.modulus_switch
    }

    /// Variance that the way to the client adds to an output.
    pub fn sending(&self) -> f64 {
        self.keyswitch + self.output_rounding
    }
}

/// Variance of a packed layer's fresh encryptions: their noise, and the rounding of bodies on the way up.
///
/// # Errors
/// [`Error::InvalidInput`] if no noise is secure.
pub fn packed_variance(parameters: &PackedParameters) -> Result<f64> {
    let fresh = fresh_standard_deviation(parameters.lwe_dimension(), parameters.limbs)?;
    let unit = (-8.0 * parameters.body_limbs as f64).exp2();
    let is_rounded = parameters.body_limbs < parameters.limbs;
    Ok(fresh * fresh + if is_rounded { unit * unit / 12.0 } else { 0.0 })
}

/// Standard deviations of the noise through a circuit, relative to the torus. What a look-up reads wrongly it
/// passes on through its table: that is not counted further on, [`BootstrapCircuit::simulate`] shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct CircuitNoise {
    /// The largest of the packed layer's outputs.
    pub packed: f64,
    /// The largest of each step's values; for a look-up of what it reads.
    pub steps: Vec<f64>,
    /// The largest of the outputs, as they reach the client.
    pub outputs: f64,
}

impl CircuitNoise {
    /// Of a circuit that was checked.
    ///
    /// # Errors
    /// As [`BootstrapNoise::of`].
    pub fn of(circuit: &BootstrapCircuit) -> Result<Self> {
        let noise = BootstrapNoise::of(&circuit.parameters)?;
        let fresh = packed_variance(&circuit.packed.parameters)?;
        let amplification = CircuitAmplification::of(
            circuit.packed.inputs,
            &circuit.packed.weights,
            &circuit.steps,
            &circuit.outputs,
        );
        let steps = circuit.steps.iter().zip(&amplification.steps);
        Ok(CircuitNoise {
            packed: amplification.packed.variance(fresh, noise.bootstrap).sqrt(),
            steps: steps
                .map(|(step, amplification)| {
                    let variance = amplification.variance(fresh, noise.bootstrap);
                    match step {
                        Step::Linear { .. } => variance.sqrt(),
                        Step::Lookup { .. } => (variance + noise.reading()).sqrt(),
                    }
                })
                .collect(),
            outputs: (amplification.outputs.variance(fresh, noise.bootstrap) + noise.sending())
                .sqrt(),
        })
    }
}
