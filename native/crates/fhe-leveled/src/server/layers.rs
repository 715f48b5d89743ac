//! The layers of one evaluation.
//!
//! Ciphertexts at the input's level are large. Where a first layer has more inputs than neurons, these are kept and
//! the inputs go by, a row at a time; else the inputs are kept, and neurons go by. Of neurons only what they are after
//! their activation, at a low level, is kept for the next layer.

use fhe_core::Result;
use fhe_core::block::leveled_polynomial_bytes;

use super::backend::CiphertextBackend;
use super::ciphertext::{Ciphertext, Terms};
use super::inputs::{InputReader, PairBuffers};
use super::linear::{GROUP, combine};
use super::planes::{Planes, Row};
use super::{PreparedLeveledCircuit, RelinearizationKey};
use crate::activation::{self, Backend, Polynomial, Scaled};
use crate::buffer::Buffer;
use crate::pack::pack;
use crate::pointwise::add_constant;
use fhe_core::workers::share;

/// Groups of neurons that a thread works on at a time.
const TILE: usize = 2;

/// One evaluation.
pub(super) struct Layers<'a> {
    pub circuit: &'a PreparedLeveledCircuit,
    pub key: &'a RelinearizationKey,
    pub threads: usize,
    pub should_stop: &'a mut dyn FnMut() -> bool,
}

/// A hidden layer's neurons after their activation; all of them are there at the end.
type Neurons = Vec<Option<Ciphertext>>;

impl Layers<'_> {
    /// Writes the outputs, packed.
    pub(super) fn evaluate(&mut self, inputs: &InputReader<'_>, payload: &mut [u8]) -> Result<()> {
        let mut neurons = match self.keeps_inputs(inputs) {
            true => self.first_layer_of_kept_inputs(inputs)?,
            false => self.first_layer_by_rows(inputs)?,
        };
        for layer in 1..self.circuit.circuit.activations.len() {
            let planes = self.planes_of(&neurons)?;
            // Before the next, so that they are not there together.
            drop(neurons);
            neurons = self.hidden_layer(layer, &planes)?;
        }
        let planes = self.planes_of(&neurons)?;
        drop(neurons);
        self.last_layer(&planes, payload)
    }

    /// Whether all inputs take less memory than all neurons of the first layer and a row of inputs a thread.
    fn keeps_inputs(&self, inputs: &InputReader<'_>) -> bool {
        let rows = 2 * inputs.levels();
        let features = inputs.features();
        let neurons = self.circuit.weights[0].groups() * GROUP;
        rows * features <= rows * neurons + self.threads.min(rows) * features
    }

    fn first_layer_of_kept_inputs(&mut self, inputs: &InputReader<'_>) -> Result<Neurons> {
        let n = self.key.ring().n();
        let mut planes = Planes::new(n, inputs.levels(), inputs.features())?;
        share(
            planes.rows_mut(),
            self.threads,
            self.should_stop,
            || PairBuffers::new(n),
            |buffers, (part, prime, row)| inputs.read(part, prime, row, buffers),
        )?;
        self.hidden_layer(0, &planes)
    }

    fn first_layer_by_rows(&mut self, inputs: &InputReader<'_>) -> Result<Neurons> {
        let (circuit, key) = (self.circuit, self.key);
        let (n, level) = (key.ring().n(), inputs.levels());
        let weights = &circuit.weights[0];
        let sums = (0..weights.groups() * GROUP).map(|_| Ciphertext::zeros(n, level));
        let mut sums = sums.collect::<Result<Vec<_>>>()?;
        let factors = vec![1; sums.len()];
        // Of each row the place in every neuron.
        let mut rows: Vec<Vec<&mut [u32]>> = (0..2 * level).map(|_| Vec::new()).collect();
        for sum in &mut sums {
            for (row, points) in rows.iter_mut().zip(sum.all_points_mut(n)) {
                row.push(points);
            }
        }
        share(
            rows.into_iter().enumerate(),
            self.threads,
            self.should_stop,
            || Ok((Row::new(n, inputs.features())?, PairBuffers::new(n)?)),
            |(row, buffers), (number, mut outputs)| {
                let (part, prime) = (number / level, number % level);
                let modulus = key.ring().level(prime).modulus();
                inputs.read(part, prime, row, buffers)?;
                combine(
                    modulus,
                    row,
                    weights,
                    0..weights.groups(),
                    &factors,
                    &mut outputs,
                );
                Ok(())
            },
        )?;
        let mut neurons: Neurons = (0..weights.outputs()).map(|_| None).collect();
        share(
            neurons.iter_mut().zip(sums).enumerate(),
            self.threads,
            self.should_stop,
            || CiphertextBackend::new(key, level),
            |backend, (number, (neuron, mut u))| {
                circuit.add_first_bias(key, number, &mut u);
                *neuron = Some(circuit.activate(backend, 0, number, &u)?);
                Ok(())
            },
        )?;
        Ok(neurons)
    }

    fn hidden_layer(&mut self, layer: usize, planes: &Planes) -> Result<Neurons> {
        let (circuit, key) = (self.circuit, self.key);
        let outputs = circuit.weights[layer].outputs();
        let mut neurons: Neurons = (0..outputs).map(|_| None).collect();
        share(
            neurons.chunks_mut(TILE * GROUP).enumerate(),
            self.threads,
            self.should_stop,
            || CiphertextBackend::new(key, planes.level()),
            |backend, (tile, neurons)| {
                let first = tile * TILE * GROUP;
                let inputs = match layer {
                    0 => circuit.first_sums(key, backend, planes, first, neurons.len())?,
                    _ => circuit.later_sums(key, backend, planes, layer, first, neurons.len())?,
                };
                for ((number, neuron), u) in (first..).zip(neurons).zip(inputs) {
                    *neuron = Some(circuit.activate(backend, layer, number, &u)?);
                    backend.release(u);
                }
                Ok(())
            },
        )?;
        Ok(neurons)
    }

    /// Lays out neurons for the next layer.
    fn planes_of(&mut self, neurons: &[Option<Ciphertext>]) -> Result<Planes> {
        let level = neurons.iter().flatten().map(|neuron| neuron.level).min();
        let n = self.key.ring().n();
        let mut planes = Planes::new(n, level.unwrap_or(0), neurons.len())?;
        let zeros = Buffer::zeros(n)?;
        let neuron = |number: usize, part: usize, prime: usize| match neurons.get(number) {
            Some(Some(neuron)) => neuron.points(part, prime),
            _ => &zeros,
        };
        share(
            planes.rows_mut(),
            self.threads,
            self.should_stop,
            || Ok(()),
            |(), (part, prime, row)| {
                for pair in 0..row.pairs() {
                    let features = [2 * pair, 2 * pair + 1];
                    row.write_pair(pair, features.map(|number| neuron(number, part, prime)));
                }
                Ok(())
            },
        )?;
        Ok(planes)
    }

    fn last_layer(&mut self, planes: &Planes, payload: &mut [u8]) -> Result<()> {
        let (circuit, key) = (self.circuit, self.key);
        let layer = circuit.weights.len() - 1;
        let bytes = leveled_polynomial_bytes(key.ring().n());
        share(
            payload.chunks_mut(2 * bytes * TILE * GROUP).enumerate(),
            self.threads,
            self.should_stop,
            || CiphertextBackend::new(key, planes.level()),
            |backend, (tile, payload)| {
                let (first, count) = (tile * TILE * GROUP, payload.len() / (2 * bytes));
                let outputs = circuit.later_sums(key, backend, planes, layer, first, count)?;
                for (y, bytes) in outputs.into_iter().zip(payload.chunks_exact_mut(2 * bytes)) {
                    let (body, mask) = bytes.split_at_mut(bytes.len() / 2);
                    pack(y.points(0, 0), body);
                    pack(y.points(1, 0), mask);
                    backend.release(y);
                }
                Ok(())
            },
        )
    }
}

impl PreparedLeveledCircuit {
    fn activate(
        &self,
        backend: &mut CiphertextBackend<'_>,
        layer: usize,
        neuron: usize,
        u: &Ciphertext,
    ) -> Result<Ciphertext> {
        let polynomial = Polynomial::of_neuron(&self.circuit.activations[layer], neuron);
        let plan = &self.plan.activations[layer];
        activation::evaluate(backend, &self.plan, plan, polynomial, u)
    }

    /// Adds a neuron's bias of the first layer.
    fn add_first_bias(&self, key: &RelinearizationKey, neuron: usize, u: &mut Ciphertext) {
        let bias = Scaled {
            real: self.circuit.layers[0].biases[neuron],
            scale: self.plan.layers[0].output.scale,
        };
        for prime in 0..u.level {
            let modulus = key.ring().level(prime).modulus();
            let bias = modulus.of_integer(bias.integer());
            add_constant(modulus, u.points_mut(0, prime), bias);
        }
    }

    /// Inputs of some neurons of the first layer, from the first of a group on; their scale is right as it is.
    fn first_sums(
        &self,
        key: &RelinearizationKey,
        backend: &mut CiphertextBackend<'_>,
        planes: &Planes,
        first: usize,
        count: usize,
    ) -> Result<Vec<Ciphertext>> {
        let level = planes.level();
        let groups = first / GROUP..(first + count).div_ceil(GROUP);
        let sums = (0..groups.len() * GROUP).map(|_| backend.pool.ciphertext(level));
        let mut sums = sums.collect::<Result<Vec<_>>>()?;
        let factors = vec![1; sums.len()];
        for (part, prime) in parts(level) {
            let modulus = key.ring().level(prime).modulus();
            let outputs = sums.iter_mut().map(|sum| sum.points_mut(part, prime));
            let mut outputs: Vec<_> = outputs.collect();
            let row = planes.row(part, prime);
            combine(
                modulus,
                row,
                &self.weights[0],
                groups.clone(),
                &factors,
                &mut outputs,
            );
        }
        let spare = sums.split_off(count);
        spare.into_iter().for_each(|sum| backend.release(sum));
        for (neuron, u) in (first..).zip(&mut sums) {
            self.add_first_bias(key, neuron, u);
        }
        Ok(sums)
    }

    /// Inputs of some neurons of another layer, or outputs: brought to the scale that is wanted, and rescaled.
    fn later_sums(
        &self,
        key: &RelinearizationKey,
        backend: &mut CiphertextBackend<'_>,
        planes: &Planes,
        layer: usize,
        first: usize,
        count: usize,
    ) -> Result<Vec<Ciphertext>> {
        let level = planes.level();
        let groups = first / GROUP..(first + count).div_ceil(GROUP);
        let sums = (0..groups.len() * GROUP).map(|_| backend.zero(level));
        let mut sums = sums.collect::<Result<Vec<_>>>()?;
        let plan = self.plan.layers[layer];
        // Before the rescaling.
        let wide = plan.output.scale * self.plan.prime(level);
        let scale = wide / plan.input.scale;
        let multipliers = &self.circuit.layers[layer].multipliers[first..][..count];
        for (part, prime) in parts(level) {
            let modulus = key.ring().level(prime).modulus();
            let factor = |&real: &f64| modulus.of_integer(Scaled { real, scale }.integer());
            let mut factors: Vec<u32> = multipliers.iter().map(factor).collect();
            factors.resize(sums.len(), 0);
            let outputs = sums.iter_mut().map(|sum| sum.points_mut(part, prime));
            let mut outputs: Vec<_> = outputs.collect();
            let (row, weights) = (planes.row(part, prime), &self.weights[layer]);
            combine(
                modulus,
                row,
                weights,
                groups.clone(),
                &factors,
                &mut outputs,
            );
        }
        let spare = sums.split_off(count);
        spare
            .into_iter()
            .for_each(|sum| backend.pool.release_tensor(sum));
        let biases = &self.circuit.layers[layer].biases[first..];
        let sums = sums.into_iter().zip(biases).map(|(mut sum, &real)| {
            sum.terms = Terms::Linear;
            backend.add_constant(&mut sum, Scaled { real, scale: wide });
            backend.rescale(sum, plan.output.scale)
        });
        sums.collect()
    }
}

/// Parts and primes of ciphertexts at a level.
fn parts(level: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..2).flat_map(move |part| (0..level).map(move |prime| (part, prime)))
}
