//! A circuit in clear: exactly, or with the noise that encryption would bring.

use fhe_core::{Error, Result};

use super::{Backend, LeveledCircuit, Plan};
use crate::noise::Noise;
use crate::ring::Primes;

/// Standard normal samples.
type Samples<'s> = &'s mut dyn FnMut() -> f64;

/// The integers of one record, without the ring around them: what slots hold.
struct Clear<'s> {
    /// q_0 … q_(L-1).
    primes: Vec<f64>,
    noise: Option<(Noise, Samples<'s>)>,
}

/// An integer and the primes it has left.
#[derive(Debug, Clone, Copy)]
struct Slot {
    value: f64,
    level: usize,
}

impl Clear<'_> {
    fn noisy(&mut self, value: f64, deviation: impl Fn(&Noise) -> f64) -> f64 {
        match &mut self.noise {
            Some((noise, samples)) => value + deviation(noise) * samples(),
            None => value,
        }
    }
}

impl Backend for Clear<'_> {
    type Value = Slot;

    fn multiply(&mut self, a: &Slot, b: &Slot) -> Slot {
        let level = a.level - 1;
        let value = a.value * b.value / self.primes[level];
        let value = self.noisy(value, |noise| noise.product(level + 1));
        Slot { value, level }
    }

    fn rescale(&mut self, a: &Slot) -> Slot {
        let level = a.level - 1;
        let value = self.noisy(a.value / self.primes[level], Noise::rescaling);
        Slot { value, level }
    }

    fn drop_to(&mut self, a: &Slot, level: usize) -> Slot {
        Slot { level, ..*a }
    }

    fn scale(&mut self, a: &Slot, factor: i64) -> Slot {
        Slot {
            value: a.value * factor as f64,
            ..*a
        }
    }

    fn add(&mut self, sum: &mut Slot, a: &Slot) {
        sum.value += a.value;
    }

    fn add_constant(&mut self, sum: &mut Slot, constant: f64) {
        sum.value += constant.round();
    }

    fn level(&self, a: &Slot) -> usize {
        a.level
    }
}

impl LeveledCircuit {
    /// Outputs `[T][d_out]` of normalised records `[T][d_in]`. With standard normal samples, the noise of encryption
    /// and of every rescaling is drawn, as the parameters make it.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if these are not whole records.
    pub fn evaluate_in_clear(
        &self,
        records: &[f64],
        samples: Option<&mut dyn FnMut() -> f64>,
    ) -> Result<Vec<f64>> {
        if !records.len().is_multiple_of(self.inputs) {
            return Err(Error::invalid(format!(
                "{} activations are not whole records of {}",
                records.len(),
                self.inputs
            )));
        }
        let plan = Plan::of(self)?;
        let parameters = &self.parameters;
        let primes = Primes::find(parameters.polynomial_size, parameters.levels)?;
        let mut backend = Clear {
            primes: primes.levels.into_iter().map(f64::from).collect(),
            noise: samples.map(|samples| (Noise::of(parameters), samples)),
        };
        let mut outputs = Vec::with_capacity(records.len() / self.inputs * self.outputs());
        for record in records.chunks_exact(self.inputs) {
            let mut slots: Vec<Slot> = record
                .iter()
                .map(|value| Slot {
                    value: backend.noisy((value * self.input_scale).round(), Noise::encryption),
                    level: parameters.levels,
                })
                .collect();
            for (index, layer) in self.layers.iter().enumerate() {
                let level = slots[0].level;
                slots = layer
                    .weights
                    .chunks_exact(slots.len())
                    .enumerate()
                    .map(|(neuron, row)| {
                        let products = row.iter().zip(&slots);
                        let value = products.map(|(&w, slot)| f64::from(w) * slot.value).sum();
                        plan.neuron(&mut backend, self, index, neuron, Slot { value, level })
                    })
                    .collect();
            }
            outputs.extend(slots.iter().map(|slot| slot.value / self.output_scale));
        }
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{chain, records};
    use super::super::{ActivationForm, LeveledActivation};
    use super::*;

    /// The circuit's definition, with T_k as cosines.
    fn reference(circuit: &LeveledCircuit, record: &[f64]) -> Vec<f64> {
        let chebyshev = |coefficients: &[f64], x: f64| -> f64 {
            let angle = x.clamp(-1.0, 1.0).acos();
            let terms = coefficients.iter().enumerate();
            terms.map(|(k, c)| c * (k as f64 * angle).cos()).sum()
        };
        let activate = |activation: &LeveledActivation, neuron: usize, u: f64| {
            let coefficients = activation.of_neuron(neuron);
            match activation.form {
                ActivationForm::General => chebyshev(coefficients, u),
                ActivationForm::Even => {
                    activation.linear[neuron] * u + chebyshev(coefficients, 2.0 * u * u - 1.0)
                }
            }
        };
        let mut values = record.to_vec();
        for (index, layer) in circuit.layers.iter().enumerate() {
            let rows = layer.weights.chunks_exact(values.len()).enumerate();
            values = rows
                .map(|(neuron, row)| {
                    let sum: f64 = row
                        .iter()
                        .zip(&values)
                        .map(|(&w, v)| f64::from(w) * v)
                        .sum();
                    let u = layer.multipliers[neuron] * sum + layer.biases[neuron];
                    match circuit.activations.get(index) {
                        Some(activation) => activate(activation, neuron, u),
                        None => u,
                    }
                })
                .collect();
        }
        values
    }

    #[test]
    fn the_plan_computes_the_circuit() {
        use ActivationForm::{Even, General};
        for (size, widths, shapes) in [
            (8192, &[6, 5, 3][..], &[(Even, 7)][..]),
            (8192, &[6, 5, 3], &[(General, 15)]),
            (16384, &[6, 5, 3], &[(Even, 31)]),
            (16384, &[4, 3, 2], &[(General, 11)]),
            (16384, &[4, 3, 3, 2], &[(Even, 7), (Even, 5)]),
            (
                32768,
                &[4, 3, 3, 3, 2],
                &[(Even, 7), (General, 1), (General, 2)],
            ),
        ] {
            let circuit = chain(size, widths, shapes, 7);
            let records = records(20, widths[0], 3);
            let outputs = circuit.evaluate_in_clear(&records, None).unwrap();
            let count = circuit.outputs();
            for (record, found) in records.chunks(widths[0]).zip(outputs.chunks(count)) {
                for (found, expected) in found.iter().zip(reference(&circuit, record)) {
                    assert!(
                        (found - expected).abs() < 1e-6,
                        "{shapes:?}: {found} for {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn records_must_be_whole() {
        let circuit = chain(8192, &[6, 5, 3], &[(ActivationForm::Even, 7)], 1);
        assert!(circuit.evaluate_in_clear(&[0.0; 7], None).is_err());
    }
}
