//! Levels and scales of a circuit, the same for all neurons of a layer.
//!
//! A value x at scale s is the ciphertext of s·x. A product has the product of the scales; rescaling, by the last prime
//! of the modulus, brings it back to about what it was and takes that prime away. Constants are integers, rounded, at
//! whatever scale brings a sum to the scale that is wanted, so that all terms of a sum agree without further products.

use fhe_core::{Error, Result};

use crate::ring::Primes;
use crate::{ActivationForm, LeveledCircuit};

/// Δ: about what each prime is, so that scales stay what they are; what inputs of neurons have.
const NOMINAL_SCALE: f64 = 1_073_741_824.0; // 2^30

/// The least q_0: primes are above 3·2^28.
const LEAST_PRIME: f64 = 805_306_368.0;

/// Scale of the inputs u of the first hidden layer, and of all later ones: 2^30.
pub fn nominal_scale() -> f64 {
    NOMINAL_SCALE
}

/// Largest output scale of a polynomial size: a quarter of q_0, where results are left, so that outputs up to twice
/// their range are told from those that wrapped.
pub fn largest_output_scale(polynomial_size: usize) -> f64 {
    let q_0 =
        Primes::find(polynomial_size, 1).map_or(LEAST_PRIME, |primes| f64::from(primes.levels[0]));
    q_0 / 4.0
}

/// Levels that an activation takes: ⌈log2(degree + 1)⌉, and one more for v = 2u² - 1.
fn activation_levels((form, degree): (ActivationForm, usize)) -> usize {
    let is_even = form == ActivationForm::EvenPlusLinear;
    height(degree + 1) + usize::from(is_even)
}

/// Levels that a circuit with these activations between its linear layers takes, the one included that its results
/// are left with: each activation and each linear layer but the first rescales.
pub fn levels_needed(activations: &[(ActivationForm, usize)]) -> usize {
    1 + activations
        .iter()
        .map(|&shape| activation_levels(shape) + 1)
        .sum::<usize>()
}

/// ⌈log2⌉ of a number of coefficients: the height of their tree.
pub(crate) fn height(coefficients: usize) -> usize {
    coefficients.next_power_of_two().trailing_zeros() as usize
}

/// A ciphertext's level and scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub level: usize,
    pub scale: f64,
}

/// Where everything of a circuit is.
pub(crate) struct Plan {
    /// Of the primes q_0, q_1, …
    primes: Vec<f64>,
    pub layers: Vec<LayerPlan>,
    pub activations: Vec<ActivationPlan>,
}

/// A linear layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LayerPlan {
    /// Of its inputs.
    pub input: Place,
    /// Of its outputs; on the input's level in the first layer, which does not rescale.
    pub output: Place,
}

/// An activation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ActivationPlan {
    pub form: ActivationForm,
    pub degree: usize,
    /// Of u.
    pub input: Place,
    /// Of T_1, T_2, T_4, … of u or v.
    pub powers: Vec<Place>,
    pub output: Place,
}

impl Plan {
    /// The plan of a circuit.
    pub(crate) fn new(circuit: &LeveledCircuit, primes: &Primes) -> Self {
        let levels = primes.levels.len();
        let primes = primes.levels.iter().map(|&q| f64::from(q)).collect();
        let mut plan = Plan {
            primes,
            layers: Vec::new(),
            activations: Vec::new(),
        };
        let mut input = Place {
            level: levels,
            scale: circuit.input_scale,
        };
        for number in 0..circuit.layers.len() {
            let is_first = number == 0;
            let is_last = number + 1 == circuit.layers.len();
            let output = Place {
                level: input.level - usize::from(!is_first),
                scale: if is_last {
                    circuit.output_scale
                } else {
                    NOMINAL_SCALE
                },
            };
            plan.layers.push(LayerPlan { input, output });
            if let Some(activation) = circuit.activations.get(number) {
                let activation = plan.activation(activation.form, activation.degree, output);
                input = activation.output;
                plan.activations.push(activation);
            }
        }
        plan
    }

    /// Checks that there are just as many levels as the activations take.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming how many are needed.
    pub(crate) fn check_levels(
        levels: usize,
        activations: &[(ActivationForm, usize)],
    ) -> Result<()> {
        let needed = levels_needed(activations);
        if levels != needed {
            return Err(Error::invalid(format!(
                "it has {levels} levels, its activations and layers take {needed}"
            )));
        }
        Ok(())
    }

    /// The prime that a rescaling from `level` divides by.
    pub(crate) fn prime(&self, level: usize) -> f64 {
        self.primes[level - 1]
    }

    fn activation(&self, form: ActivationForm, degree: usize, input: Place) -> ActivationPlan {
        let square = |place: Place| Place {
            level: place.level - 1,
            scale: place.scale * place.scale / self.prime(place.level),
        };
        let first = match form {
            ActivationForm::General => input,
            ActivationForm::EvenPlusLinear => square(input),
        };
        let height = height(degree + 1);
        let powers: Vec<Place> = std::iter::successors(Some(first), |&place| Some(square(place)))
            .take(height)
            .collect();
        let output = Place {
            level: first.level - height,
            scale: NOMINAL_SCALE,
        };
        ActivationPlan {
            form,
            degree,
            input,
            powers,
            output,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted() {
        use ActivationForm::{EvenPlusLinear, General};
        assert_eq!(levels_needed(&[(EvenPlusLinear, 7)]), 6);
        assert_eq!(levels_needed(&[(General, 1)]), 3);
        assert_eq!(levels_needed(&[(General, 2)]), 4);
        assert_eq!(levels_needed(&[(General, 14)]), 6);
        assert_eq!(levels_needed(&[(EvenPlusLinear, 15)]), 7);
        assert_eq!(
            levels_needed(&[(General, 3), (EvenPlusLinear, 3)]),
            1 + 3 + 4
        );
    }

    #[test]
    fn output_scales_are_a_quarter_of_the_last_prime() {
        for n in [4096, 8192, 16384, 32768] {
            let scale = largest_output_scale(n);
            assert!(scale < f64::from(1 << 28) && scale > 0.95 * f64::from(1 << 28));
        }
    }
}
