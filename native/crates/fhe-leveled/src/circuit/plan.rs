//! In which order a circuit is computed, on which levels and scales.
//!
//! A value x is the integer x·s in the slots of a ciphertext, s its scale. A product of two has the product of their
//! scales, and rescaling divides by the level's last prime. Scales are numbers that the plan keeps, the same for all
//! neurons; what is added is brought to one scale by the choice of the integers that constants become, so that no
//! error but rounding comes of primes that are not powers of two.

use fhe_core::Result;

use super::activation::ActivationForm;
use super::{LeveledCircuit, LeveledLayer};
use crate::ring::Primes;

/// log2 of what a value of 1 is between layers: about a prime, so that scales stay where they are.
const NOMINAL_SCALE_LOG2: i32 = 30;

/// Of the last prime, which outputs are left with: half the range above the largest output is for telling what is none.
const OUTPUT_SHARE: f64 = 0.25;

/// What a value of 1 is between layers.
pub fn nominal_scale() -> f64 {
    f64::from(NOMINAL_SCALE_LOG2).exp2()
}

/// The most that an output of 1 may be in a result.
pub fn largest_output_scale(polynomial_size: usize) -> f64 {
    match Primes::find(polynomial_size, 1) {
        Ok(primes) => f64::from(primes.levels[0]) * OUTPUT_SHARE,
        Err(_) => 0.0,
    }
}

/// Levels that an activation of this form and degree takes.
fn depth((form, degree): (ActivationForm, usize)) -> usize {
    let squaring = match form {
        ActivationForm::General => 0,
        ActivationForm::Even => 1,
    };
    squaring + height(degree)
}

/// t with 2^(t-1) ≤ degree < 2^t.
fn height(degree: usize) -> usize {
    (usize::BITS - degree.leading_zeros()) as usize
}

/// Levels that a chain with these activations needs: theirs, one for each linear layer but the first, and one that
/// results are left with.
pub fn levels_needed(activations: &[(ActivationForm, usize)]) -> usize {
    activations.iter().map(|&shape| depth(shape)).sum::<usize>() + activations.len() + 1
}

/// What computes: on ciphertexts, or in clear. Values are integers in slots; levels are counted by the primes left.
pub(crate) trait Backend {
    /// A value of each record.
    type Value;

    /// The product of two of one level, relinearised and rescaled: one level less.
    fn multiply(&mut self, a: &Self::Value, b: &Self::Value) -> Self::Value;

    /// Divides by the last prime and rounds: one level less.
    fn rescale(&mut self, a: &Self::Value) -> Self::Value;

    /// The same value with only the first primes.
    fn drop_to(&mut self, a: &Self::Value, level: usize) -> Self::Value;

    /// The product with an integer.
    fn scale(&mut self, a: &Self::Value, factor: i64) -> Self::Value;

    /// Adds another value of the same level.
    fn add(&mut self, sum: &mut Self::Value, a: &Self::Value);

    /// Adds a constant to the value of every record, rounded.
    fn add_constant(&mut self, sum: &mut Self::Value, constant: f64);

    /// Primes left.
    fn level(&self, a: &Self::Value) -> usize;
}

/// A value and what 1 is in it.
struct Scaled<V> {
    value: V,
    scale: f64,
}

/// Computes neurons of a circuit on any backend.
pub(crate) struct Plan {
    /// q_0 … q_(L-1).
    primes: Vec<f64>,
    layers: usize,
    output_scale: f64,
}

impl Plan {
    /// Of a circuit that was checked.
    pub(crate) fn of(circuit: &LeveledCircuit) -> Result<Self> {
        let parameters = &circuit.parameters;
        let primes = Primes::find(parameters.polynomial_size, parameters.levels)?;
        Ok(Plan {
            primes: primes.levels.into_iter().map(f64::from).collect(),
            layers: circuit.layers.len(),
            output_scale: circuit.output_scale,
        })
    }

    /// What a neuron of a layer becomes of the integer combination of the layer's inputs: the layer's output, or the
    /// activation of it. What layers hand on has the nominal scale, the last one's outputs the circuit's output scale.
    pub(crate) fn neuron<B: Backend>(
        &self,
        backend: &mut B,
        circuit: &LeveledCircuit,
        layer: usize,
        neuron: usize,
        combination: B::Value,
    ) -> B::Value {
        let target = if layer + 1 == self.layers {
            self.output_scale
        } else {
            nominal_scale()
        };
        let output = self.linear(
            backend,
            &circuit.layers[layer],
            layer,
            neuron,
            combination,
            target,
        );
        let Some(activation) = circuit.activations.get(layer) else {
            return output;
        };
        let argument = Scaled {
            value: output,
            scale: target,
        };
        let coefficients = activation.of_neuron(neuron);
        match activation.form {
            ActivationForm::General => self.polynomial(backend, argument, coefficients),
            ActivationForm::Even => {
                let slope = activation.linear[neuron];
                self.even_polynomial(backend, argument, slope, coefficients)
            }
        }
    }

    /// The first layer's inputs are encrypted at such a scale that their combination has the right one; others take
    /// a level to get it.
    fn linear<B: Backend>(
        &self,
        backend: &mut B,
        weights: &LeveledLayer,
        layer: usize,
        neuron: usize,
        combination: B::Value,
        target: f64,
    ) -> B::Value {
        let mut output = combination;
        if layer > 0 {
            let last = self.last_prime(backend, &output);
            let factor = weights.multipliers[neuron] * target * last / nominal_scale();
            output = backend.scale(&output, factor.round() as i64);
            output = backend.rescale(&output);
        }
        backend.add_constant(&mut output, weights.biases[neuron] * target);
        output
    }

    fn even_polynomial<B: Backend>(
        &self,
        backend: &mut B,
        argument: Scaled<B::Value>,
        slope: f64,
        coefficients: &[f64],
    ) -> B::Value {
        // 2u² − 1, doubled before it is rescaled, lest the noise is.
        let square = self.double_angle(backend, &argument);
        let mut sum = self.polynomial(backend, square, coefficients);
        let level = backend.level(&sum);
        let line = backend.drop_to(&argument.value, level + 1);
        let last = self.last_prime(backend, &line);
        let factor = slope * nominal_scale() * last / argument.scale;
        let line = backend.scale(&line, factor.round() as i64);
        let line = backend.rescale(&line);
        backend.add(&mut sum, &line);
        sum
    }

    /// `Σ_k c_k · T_k` at the nominal scale.
    fn polynomial<B: Backend>(
        &self,
        backend: &mut B,
        argument: Scaled<B::Value>,
        coefficients: &[f64],
    ) -> B::Value {
        let height = height(coefficients.len() - 1);
        let mut powers = vec![argument];
        for _ in 1..height {
            let next = self.double_angle(backend, &powers[powers.len() - 1]);
            powers.push(next);
        }
        self.split(backend, &powers, coefficients, height, nominal_scale())
    }

    /// T_2m of T_m: `2 · T_m² − 1`.
    fn double_angle<B: Backend>(
        &self,
        backend: &mut B,
        argument: &Scaled<B::Value>,
    ) -> Scaled<B::Value> {
        let last = self.last_prime(backend, &argument.value);
        let doubled = backend.scale(&argument.value, 2);
        let mut value = backend.multiply(&doubled, &argument.value);
        let scale = argument.scale * argument.scale / last;
        backend.add_constant(&mut value, -scale);
        Scaled { value, scale }
    }

    /// `Σ_k c_k · T_k` of fewer than 2^height coefficients, at a scale, `height` levels below T_1. `powers` are T_1,
    /// T_2, T_4, …
    ///
    /// By `T_(m+k) = 2·T_m·T_k − T_(m−k)` it is a product with T_m, m = 2^(height−1), of a sum of half the length, and
    /// another such sum (Paterson and Stockmeyer).
    fn split<B: Backend>(
        &self,
        backend: &mut B,
        powers: &[Scaled<B::Value>],
        coefficients: &[f64],
        height: usize,
        scale: f64,
    ) -> B::Value {
        if height == 1 {
            let first = &powers[0];
            let last = self.last_prime(backend, &first.value);
            let slope = coefficients.get(1).copied().unwrap_or(0.0);
            let factor = slope * scale * last / first.scale;
            let scaled = backend.scale(&first.value, factor.round() as i64);
            let mut sum = backend.rescale(&scaled);
            backend.add_constant(&mut sum, coefficients[0] * scale);
            return sum;
        }
        let middle = 1 << (height - 1);
        if coefficients.len() <= middle {
            let sum = self.split(backend, powers, coefficients, height - 1, scale);
            let level = backend.level(&sum) - 1;
            return backend.drop_to(&sum, level);
        }
        let (low, high) = coefficients.split_at(middle);
        let mut remainder = low.to_vec();
        let mut quotient = high.to_vec();
        for (k, c) in high.iter().enumerate().skip(1) {
            quotient[k] = 2.0 * c;
            remainder[middle - k] -= c;
        }
        let power = &powers[height - 1];
        let last = self.last_prime(backend, &power.value);
        let quotient = self.split(
            backend,
            powers,
            &quotient,
            height - 1,
            scale * last / power.scale,
        );
        let mut sum = backend.multiply(&quotient, &power.value);
        let remainder = self.split(backend, powers, &remainder, height - 1, scale);
        let level = backend.level(&sum);
        let remainder = backend.drop_to(&remainder, level);
        backend.add(&mut sum, &remainder);
        sum
    }

    /// What rescaling a value divides by.
    fn last_prime<B: Backend>(&self, backend: &B, value: &B::Value) -> f64 {
        self.primes[backend.level(value) - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted() {
        use ActivationForm::{Even, General};
        assert_eq!(levels_needed(&[(Even, 7)]), 6);
        assert_eq!(levels_needed(&[(Even, 15)]), 7);
        assert_eq!(levels_needed(&[(Even, 8)]), 7);
        assert_eq!(levels_needed(&[(General, 1)]), 3);
        assert_eq!(levels_needed(&[(General, 2)]), 4);
        assert_eq!(levels_needed(&[(Even, 7), (General, 15)]), 11);
    }
}
