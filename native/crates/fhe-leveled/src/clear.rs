//! Circuits in clear: exact, or with the noise that ciphertexts have.

use fhe_core::{Error, Result};

use crate::LeveledCircuit;
use crate::activation::{self, Backend, Polynomial, Scaled};
use crate::noise::Noise;
use crate::plan::{Place, Plan};

/// Records that are evaluated together.
const CHUNK: usize = 256;

/// A source of normal numbers of mean 0 and variance 1.
type Normal<'a> = &'a mut dyn FnMut() -> f64;

/// Outputs `[T][d_out]` of inputs `[T][d_in]`, with noise if there is a source of it.
pub(crate) fn evaluate(
    circuit: &LeveledCircuit,
    plan: &Plan,
    noise: &Noise,
    inputs: &[f64],
    normal: Option<Normal<'_>>,
) -> Result<Vec<f64>> {
    if !inputs.len().is_multiple_of(circuit.inputs) {
        return Err(Error::invalid(format!(
            "{} activations are not whole records of {}",
            inputs.len(),
            circuit.inputs
        )));
    }
    let records = inputs.len() / circuit.inputs;
    let mut outputs = fhe_core::memory::zeros(records * circuit.outputs())?;
    let mut backend = ClearBackend {
        noise,
        normal,
        records: 0,
    };
    let chunks = inputs.chunks(CHUNK * circuit.inputs);
    for (inputs, outputs) in chunks.zip(outputs.chunks_mut(CHUNK * circuit.outputs())) {
        backend.records = inputs.len() / circuit.inputs;
        let columns = (0..circuit.inputs).map(|feature| {
            let mut column = inputs
                .iter()
                .skip(feature)
                .step_by(circuit.inputs)
                .copied()
                .collect::<Vec<_>>();
            backend.add_noise(&mut column, |noise| noise.fresh(circuit.input_scale));
            column
        });
        let columns = columns.collect();
        for (feature, column) in backend
            .network(circuit, plan, columns)?
            .into_iter()
            .enumerate()
        {
            let places = outputs.iter_mut().skip(feature).step_by(circuit.outputs());
            places.zip(column).for_each(|(place, value)| *place = value);
        }
    }
    Ok(outputs)
}

/// A value of each of some records.
type Column = Vec<f64>;

struct ClearBackend<'a, 'b> {
    noise: &'a Noise,
    normal: Option<Normal<'b>>,
    /// Of a column.
    records: usize,
}

/// A sum that is not rescaled yet.
struct ClearSum {
    column: Column,
    level: usize,
    is_quadratic: bool,
}

impl ClearBackend<'_, '_> {
    fn add_noise(&mut self, column: &mut Column, deviation: impl Fn(&Noise) -> f64) {
        if let Some(normal) = &mut self.normal {
            let deviation = deviation(self.noise);
            column
                .iter_mut()
                .for_each(|value| *value += deviation * normal());
        }
    }

    /// Takes columns of features to columns of outputs.
    fn network(
        &mut self,
        circuit: &LeveledCircuit,
        plan: &Plan,
        mut columns: Vec<Column>,
    ) -> Result<Vec<Column>> {
        for (number, layer) in circuit.layers.iter().enumerate() {
            let mut outputs = Vec::with_capacity(layer.outputs);
            for (output, weights) in layer.weights.chunks_exact(columns.len()).enumerate() {
                let mut sum = vec![0.0; self.records];
                for (column, &weight) in columns.iter().zip(weights) {
                    let weight = f64::from(weight);
                    sum.iter_mut()
                        .zip(column)
                        .for_each(|(sum, value)| *sum += weight * value);
                }
                let (multiplier, bias) = (layer.multipliers[output], layer.biases[output]);
                sum.iter_mut()
                    .for_each(|value| *value = multiplier * *value + bias);
                if number > 0 {
                    let place = plan.layers[number].output;
                    self.add_noise(&mut sum, |noise| noise.rescaling(place, false));
                }
                if let Some(activation) = circuit.activations.get(number) {
                    let polynomial = Polynomial::of_neuron(activation, output);
                    sum = activation::evaluate(
                        self,
                        plan,
                        &plan.activations[number],
                        polynomial,
                        &sum,
                    )?;
                }
                outputs.push(sum);
            }
            columns = outputs;
        }
        Ok(columns)
    }
}

/// What a constant is worth once it is rounded.
fn rounded(constant: Scaled) -> f64 {
    constant.integer() as f64 / constant.scale
}

impl Backend for ClearBackend<'_, '_> {
    type Value = Column;
    type Sum = ClearSum;

    fn zero(&mut self, level: usize) -> Result<ClearSum> {
        Ok(ClearSum {
            column: vec![0.0; self.records],
            level,
            is_quadratic: false,
        })
    }

    fn add_product(&mut self, sum: &mut ClearSum, a: &Column, b: &Column, is_doubled: bool) {
        sum.is_quadratic = true;
        let times = if is_doubled { 2.0 } else { 1.0 };
        for (sum, (a, b)) in sum.column.iter_mut().zip(a.iter().zip(b)) {
            *sum += times * a * b;
        }
    }

    fn add_multiple(&mut self, sum: &mut ClearSum, a: &Column, factor: Scaled) {
        let factor = rounded(factor);
        sum.column
            .iter_mut()
            .zip(a)
            .for_each(|(sum, a)| *sum += factor * a);
    }

    fn add_constant(&mut self, sum: &mut ClearSum, constant: Scaled) {
        let constant = rounded(constant);
        sum.column.iter_mut().for_each(|sum| *sum += constant);
    }

    fn rescale(&mut self, mut sum: ClearSum, scale: f64) -> Result<Column> {
        let place = Place {
            level: sum.level - 1,
            scale,
        };
        let is_quadratic = sum.is_quadratic;
        self.add_noise(&mut sum.column, |noise| {
            noise.rescaling(place, is_quadratic)
        });
        Ok(sum.column)
    }

    fn release(&mut self, _value: Column) {}
}
