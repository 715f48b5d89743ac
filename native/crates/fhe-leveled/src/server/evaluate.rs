//! Evaluation of a leveled circuit on an encrypted block.

use fhe_core::block::{
    BlockHeader, BlockKind, CircuitDigest, HEADER_BYTES, Payload, leveled_polynomial_bytes,
    short_hex,
};
use fhe_core::checksum::crc32c;
use fhe_core::keystream::Keystream;
use fhe_core::{Error, Result};

use super::RelinearizationKey;
use super::backend::CiphertextBackend;
use super::ciphertext::{Ciphertext, Terms};
use super::linear::{GROUP, PairedWeights, combine};
use super::planes::{Planes, write_pair};
use crate::LeveledCircuit;
use crate::activation::{self, Backend, Polynomial, Scaled};
use crate::clear;
use crate::noise::Noise;
use crate::pack::{pack, unpack};
use crate::plan::{LayerPlan, Plan};
use crate::pointwise::add_constant;
use crate::ring::Primes;
use crate::sampling::{input_stream, uniform};
use fhe_core::workers::share;

/// A block that passed every check against a circuit and a key, but for its payload's checksum and residues.
pub struct AcceptedLeveled<'a> {
    header: BlockHeader,
    payload: Payload<'a>,
    result: BlockHeader,
}

impl AcceptedLeveled<'_> {
    /// What the block says of itself.
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// Bytes of the block of results.
    pub fn result_bytes(&self) -> usize {
        HEADER_BYTES + self.result.payload_bytes()
    }
}

/// A checked leveled circuit; immutable, shared by all threads.
pub struct PreparedLeveledCircuit {
    circuit: LeveledCircuit,
    digest: CircuitDigest,
    plan: Plan,
    noise: Noise,
    /// Of each layer.
    weights: Vec<PairedWeights>,
}

impl PreparedLeveledCircuit {
    /// Prepares a circuit file.
    ///
    /// # Errors
    /// As [`LeveledCircuit::decode`].
    pub fn open(bytes: &[u8]) -> Result<Self> {
        let circuit = LeveledCircuit::decode(bytes)?;
        let parameters = circuit.parameters;
        let primes = Primes::find(parameters.polynomial_size, parameters.levels)?;
        let mut inputs = circuit.inputs;
        let mut weights = Vec::new();
        for layer in &circuit.layers {
            weights.push(PairedWeights::new(&layer.weights, layer.outputs, inputs));
            inputs = layer.outputs;
        }
        Ok(PreparedLeveledCircuit {
            digest: LeveledCircuit::digest(bytes),
            plan: Plan::new(&circuit, &primes),
            noise: Noise::new(parameters.polynomial_size, &primes),
            weights,
            circuit,
        })
    }

    /// The circuit.
    pub fn circuit(&self) -> &LeveledCircuit {
        &self.circuit
    }

    /// SHA-256 of its file.
    pub fn digest(&self) -> &CircuitDigest {
        &self.digest
    }

    /// Bytes of memory that its weights and coefficients take.
    pub fn memory_bytes(&self) -> usize {
        let reals = |reals: &[f64]| size_of_val(reals);
        let layers = self
            .circuit
            .layers
            .iter()
            .zip(&self.weights)
            .map(|(layer, weights)| {
                layer.weights.len()
                    + reals(&layer.multipliers)
                    + reals(&layer.biases)
                    + weights.memory_bytes()
            });
        let activations = &self.circuit.activations;
        let activations = activations
            .iter()
            .map(|a| reals(&a.coefficients) + reals(&a.linear));
        layers.chain(activations).sum()
    }

    /// Checks a block of encrypted activations against this circuit and a key.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block's header is damaged or belongs to another circuit, or the key is another
    /// client's or of other parameters.
    pub fn accept<'a>(
        &self,
        key: &RelinearizationKey,
        block: &'a [u8],
    ) -> Result<AcceptedLeveled<'a>> {
        let (header, payload) = BlockHeader::parse_header(block)?;
        let (number, n) = (header.block_number, self.circuit.parameters.polynomial_size);
        if header.kind != BlockKind::LeveledActivations {
            return Err(Error::invalid(format!(
                "encrypted block {number} holds {:?}, a leveled circuit takes {:?}",
                header.kind,
                BlockKind::LeveledActivations
            )));
        }
        if header.circuit != self.digest {
            return Err(Error::invalid(format!(
                "encrypted block {number} is for circuit {}, not for circuit {}",
                short_hex(&header.circuit),
                short_hex(&self.digest)
            )));
        }
        key.expect(&header.key_id, &self.circuit.parameters)?;
        let expected = BlockHeader::of_leveled(
            self.circuit.parameters.levels,
            n,
            self.digest,
            header.key_id,
            self.circuit.inputs,
            header.records,
            number,
        );
        let expected = BlockHeader {
            mask_seed: header.mask_seed,
            ..expected
        };
        if header != expected || header.records > n {
            return Err(Error::invalid(format!(
                "encrypted block {number} has {} levels, polynomial size {}, {} records and {} features, its circuit takes {}, {n}, 1 to {n} and {}",
                header.glwe_dimension,
                header.polynomial_size,
                header.records,
                header.features,
                self.circuit.parameters.levels,
                self.circuit.inputs
            )));
        }
        let result = BlockHeader::of_leveled_results(&header, self.circuit.outputs());
        Ok(AcceptedLeveled {
            header,
            payload,
            result,
        })
    }

    /// Evaluates the circuit on a block with up to `threads` threads, this one among them; returns the block of
    /// results.
    ///
    /// # Errors
    /// As [`PreparedLeveledCircuit::accept`] and [`PreparedLeveledCircuit::evaluate_into`].
    pub fn evaluate(
        &self,
        key: &RelinearizationKey,
        block: &[u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<u8>> {
        let accepted = self.accept(key, block)?;
        let mut results = fhe_core::memory::zeros(accepted.result_bytes())?;
        self.evaluate_into(key, &accepted, &mut results, threads, should_stop)?;
        Ok(results)
    }

    /// Evaluates the circuit on a block accepted with this key, with up to `threads` threads, this one among them;
    /// writes the block of results to `output`.
    ///
    /// `should_stop` is asked on this thread, before each few neurons that it evaluates.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the payload is damaged or the key another one; [`Error::Stopped`] if `should_stop`
    /// said so.
    ///
    /// # Panics
    /// If `output` is not [`AcceptedLeveled::result_bytes`] long.
    pub fn evaluate_into(
        &self,
        key: &RelinearizationKey,
        accepted: &AcceptedLeveled<'_>,
        output: &mut [u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        assert_eq!(output.len(), accepted.result_bytes(), "bytes of results");
        key.expect(&accepted.header.key_id, &self.circuit.parameters)?;
        accepted.payload.verify(crc32c(accepted.payload.bytes))?;
        let mut run = Run {
            circuit: self,
            key,
            threads,
            should_stop,
        };
        let mut planes = run.read_inputs(accepted)?;
        for layer in 0..self.circuit.activations.len() {
            let neurons = run.hidden_layer(layer, &planes)?;
            // Before the next, so that both are not there together.
            drop(planes);
            planes = run.planes_of(&neurons)?;
        }
        run.last_layer(&planes, &mut output[HEADER_BYTES..])?;
        accepted.result.seal(output);
        Ok(())
    }

    /// The circuit in clear: outputs `[T][d_out]` of inputs `[T][d_in]`. With `noise`, a source of normal numbers of
    /// mean 0 and variance 1, every fresh ciphertext and every rescaling adds noise of the standard deviation that it
    /// has in ciphertexts.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the inputs are not whole records.
    pub fn evaluate_in_clear(
        &self,
        inputs: &[f64],
        noise: Option<&mut dyn FnMut() -> f64>,
    ) -> Result<Vec<f64>> {
        clear::evaluate(&self.circuit, &self.plan, &self.noise, inputs, noise)
    }

    /// Standard deviation of the noise of a fresh ciphertext, in units of inputs.
    pub fn input_noise_deviation(&self) -> f64 {
        self.noise.fresh(self.circuit.input_scale)
    }
}

/// One evaluation.
struct Run<'a> {
    circuit: &'a PreparedLeveledCircuit,
    key: &'a RelinearizationKey,
    threads: usize,
    should_stop: &'a mut dyn FnMut() -> bool,
}

impl Run<'_> {
    /// Reads the bodies, and makes the masks.
    fn read_inputs(&mut self, accepted: &AcceptedLeveled<'_>) -> Result<Planes> {
        let (levels, n) = (
            accepted.header.glwe_dimension,
            accepted.header.polynomial_size,
        );
        let features = accepted.header.features;
        let mut planes = Planes::new(n, levels, features)?;
        let pairs = planes.pairs();
        let masks = Keystream::new(&accepted.header.mask_seed);
        let bytes = leveled_polynomial_bytes(n);
        let ring = self.key.ring();
        let read = |feature: usize, part: usize, prime: usize, residues: &mut [u32]| {
            let p = ring.level(prime).modulus().p();
            if feature == features {
                // There is no second one in the last pair.
                residues.fill(0);
            } else if part == 1 {
                uniform(&masks, input_stream(feature, prime, levels), p, residues);
            } else {
                let body = &accepted.payload.bytes[(feature * levels + prime) * bytes..][..bytes];
                if !unpack(body, p, residues) {
                    return Err(Error::invalid(format!(
                        "encrypted block {} has a residue of feature {feature} that is not below its prime {p}",
                        accepted.header.block_number
                    )));
                }
            }
            Ok(())
        };
        let buffers = || {
            Ok([
                crate::buffer::Buffer::zeros(n)?,
                crate::buffer::Buffer::zeros(n)?,
            ])
        };
        share(
            planes.rows_mut(),
            self.threads,
            self.should_stop,
            buffers,
            |residues, (part, prime, row)| {
                for pair in 0..pairs {
                    for (feature, residues) in (2 * pair..).zip(residues.iter_mut()) {
                        read(feature, part, prime, residues)?;
                    }
                    let [first, second] = &*residues;
                    write_pair(row, pairs, pair, [first, second]);
                }
                Ok(())
            },
        )?;
        Ok(planes)
    }

    /// Neurons of a hidden layer, after their activation.
    fn hidden_layer(&mut self, layer: usize, planes: &Planes) -> Result<Vec<Option<Ciphertext>>> {
        let circuit = self.circuit;
        let weights = &circuit.weights[layer];
        let plan = circuit.plan.layers[layer];
        let mut neurons: Vec<Option<Ciphertext>> = (0..weights.outputs()).map(|_| None).collect();
        let parts = neurons.chunks_mut(GROUP).enumerate();
        let key = self.key;
        let buffers = || CiphertextBackend::new(key, planes.level());
        share(
            parts,
            self.threads,
            self.should_stop,
            buffers,
            |backend, (group, neurons)| {
                let inputs: Vec<_> = match layer {
                    0 => first_inputs(circuit, key, backend, planes, group)?.into(),
                    _ => later_inputs(circuit, key, backend, planes, layer, plan, group)?,
                };
                for (at, u) in inputs.into_iter().enumerate() {
                    if let Some(neuron) = neurons.get_mut(at) {
                        *neuron = Some(circuit.activate(backend, layer, group * GROUP + at, &u)?);
                    }
                    backend.release(u);
                }
                Ok(())
            },
        )?;
        Ok(neurons)
    }

    /// Lays out neurons for the next layer.
    fn planes_of(&mut self, neurons: &[Option<Ciphertext>]) -> Result<Planes> {
        let level = neurons
            .iter()
            .flatten()
            .map(|neuron| neuron.level)
            .next()
            .unwrap_or(0);
        let n = self.key.ring().n();
        let mut planes = Planes::new(n, level, neurons.len())?;
        let pairs = planes.pairs();
        let zeros = crate::buffer::Buffer::zeros(n)?;
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
                for pair in 0..pairs {
                    let features =
                        [2 * pair, 2 * pair + 1].map(|number| neuron(number, part, prime));
                    write_pair(row, pairs, pair, features);
                }
                Ok(())
            },
        )?;
        Ok(planes)
    }

    /// Outputs, packed.
    fn last_layer(&mut self, planes: &Planes, payload: &mut [u8]) -> Result<()> {
        let circuit = self.circuit;
        let key = self.key;
        let layer = circuit.weights.len() - 1;
        let plan = circuit.plan.layers[layer];
        let bytes = leveled_polynomial_bytes(key.ring().n());
        let parts = payload.chunks_mut(2 * bytes * GROUP).enumerate();
        let buffers = || CiphertextBackend::new(key, planes.level());
        share(
            parts,
            self.threads,
            self.should_stop,
            buffers,
            |backend, (group, payload)| {
                let outputs = later_inputs(circuit, key, backend, planes, layer, plan, group)?;
                for (at, y) in outputs.into_iter().enumerate() {
                    let parts = payload.chunks_exact_mut(bytes).skip(2 * at).take(2);
                    for (part, bytes) in parts.enumerate() {
                        pack(y.points(part, 0), bytes);
                    }
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
}

/// Inputs of a group of neurons of the first layer, which has its scale already.
fn first_inputs(
    circuit: &PreparedLeveledCircuit,
    key: &RelinearizationKey,
    backend: &mut CiphertextBackend<'_>,
    planes: &Planes,
    group: usize,
) -> Result<[Ciphertext; GROUP]> {
    let level = planes.level();
    let pool = &mut backend.pool;
    let mut sums = [
        pool.ciphertext(level)?,
        pool.ciphertext(level)?,
        pool.ciphertext(level)?,
        pool.ciphertext(level)?,
    ];
    let scale = circuit.plan.layers[0].output.scale;
    let biases = &circuit.circuit.layers[0].biases;
    for prime in 0..level {
        let modulus = key.ring().level(prime).modulus();
        for part in 0..2 {
            let outputs = sums.each_mut().map(|sum| sum.points_mut(part, prime));
            combine(
                modulus,
                planes,
                (part, prime),
                &circuit.weights[0],
                group,
                [1; GROUP],
                outputs,
            );
        }
        for (sum, &real) in sums.iter_mut().zip(biases.iter().skip(group * GROUP)) {
            let bias = modulus.of_integer(Scaled { real, scale }.integer());
            add_constant(modulus, sum.points_mut(0, prime), bias);
        }
    }
    Ok(sums)
}

/// Inputs of a group of neurons of another layer, or outputs: brought to the scale that is wanted, and rescaled.
fn later_inputs(
    circuit: &PreparedLeveledCircuit,
    key: &RelinearizationKey,
    backend: &mut CiphertextBackend<'_>,
    planes: &Planes,
    layer: usize,
    plan: LayerPlan,
    group: usize,
) -> Result<Vec<Ciphertext>> {
    let level = planes.level();
    let mut sums = [
        backend.zero(level)?,
        backend.zero(level)?,
        backend.zero(level)?,
        backend.zero(level)?,
    ];
    // Before the rescaling.
    let wide = plan.output.scale * circuit.plan.prime(level);
    let weights = &circuit.weights[layer];
    let neurons = group * GROUP..weights.outputs().min((group + 1) * GROUP);
    let multipliers: [i128; GROUP] = std::array::from_fn(|at| match neurons.clone().nth(at) {
        Some(neuron) => {
            let real = circuit.circuit.layers[layer].multipliers[neuron];
            Scaled {
                real,
                scale: wide / plan.input.scale,
            }
            .integer()
        }
        None => 0,
    });
    for prime in 0..level {
        let modulus = key.ring().level(prime).modulus();
        let factors = multipliers.map(|multiplier| modulus.of_integer(multiplier));
        for part in 0..2 {
            let outputs = sums.each_mut().map(|sum| sum.points_mut(part, prime));
            combine(
                modulus,
                planes,
                (part, prime),
                weights,
                group,
                factors,
                outputs,
            );
        }
    }
    let mut results = Vec::with_capacity(GROUP);
    let mut sums = sums.into_iter();
    for (neuron, mut sum) in neurons.zip(&mut sums) {
        sum.terms = Terms::Linear;
        let bias = circuit.circuit.layers[layer].biases[neuron];
        backend.add_constant(
            &mut sum,
            Scaled {
                real: bias,
                scale: wide,
            },
        );
        results.push(backend.rescale(sum, plan.output.scale)?);
    }
    sums.for_each(|sum| backend.pool.release_tensor(sum));
    Ok(results)
}
