//! Random circuits, and what they are in exact arithmetic.

// Every test file uses its share of these.
#![allow(dead_code)]

use fhe_leveled::{
    ActivationForm, LeveledActivation, LeveledCircuit, LeveledClient, LeveledClientKey,
    LeveledLayer, LeveledParameters, LeveledSpec, PreparedLeveledCircuit, RelinearizationKey,
    SentBlock, levels_needed, nominal_scale,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

pub const KEY_ID: [u8; 16] = [9; 16];

/// Widths of the layers, d_in first, and the activations between them.
pub struct Shape<'a> {
    pub polynomial_size: usize,
    pub widths: &'a [usize],
    pub activations: &'a [(ActivationForm, usize)],
    /// Of results.
    pub output_scale: f64,
}

pub fn random(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

/// A circuit whose neurons' inputs and whose outputs lie within ±1 for inputs within ±1.
pub fn circuit(shape: &Shape<'_>, random: &mut SmallRng) -> LeveledCircuit {
    let pairs = shape.widths.windows(2);
    let mut layers: Vec<_> = pairs.map(|pair| layer(pair[0], pair[1], random)).collect();
    let least = layers[0].multipliers.iter().copied().fold(1.0, f64::min);
    layers[0].multipliers.fill(least);
    let activations = shape.activations.iter().zip(&shape.widths[1..]);
    LeveledCircuit {
        parameters: LeveledParameters {
            polynomial_size: shape.polynomial_size,
            levels: levels_needed(shape.activations),
        },
        module_key: "seq".into(),
        inputs: shape.widths[0],
        layers,
        activations: activations
            .map(|(&(form, degree), &neurons)| activation(form, degree, neurons, random))
            .collect(),
        input_scale: least * nominal_scale(),
        output_scale: shape.output_scale,
    }
}

fn layer(inputs: usize, outputs: usize, random: &mut SmallRng) -> LeveledLayer {
    let weights: Vec<i8> = (0..inputs * outputs)
        .map(|_| random.random_range(-128..=127))
        .collect();
    let norm = |row: &[i8]| row.iter().map(|&w| f64::from(w).abs()).sum::<f64>();
    LeveledLayer {
        outputs,
        multipliers: weights
            .chunks(inputs)
            .map(|row| 0.9 / norm(row).max(1.0))
            .collect(),
        biases: (0..outputs)
            .map(|_| random.random_range(-0.1..=0.1))
            .collect(),
        weights,
    }
}

fn activation(
    form: ActivationForm,
    degree: usize,
    neurons: usize,
    random: &mut SmallRng,
) -> LeveledActivation {
    let mut activation = LeveledActivation {
        form,
        degree,
        coefficients: Vec::new(),
        linear: Vec::new(),
    };
    for _ in 0..neurons {
        // They fall as those of a function with a kink do.
        let mut coefficients: Vec<f64> = (0..=degree)
            .map(|k| random.random_range(-1.0..=1.0) / (1 + k * k) as f64)
            .collect();
        let linear = random.random_range(-0.5..=0.5);
        let sum: f64 = coefficients.iter().map(|c| c.abs()).sum();
        coefficients.iter_mut().for_each(|c| *c *= 0.5 / sum);
        activation.coefficients.extend(coefficients);
        if form == ActivationForm::EvenPlusLinear {
            activation.linear.push(linear);
        }
    }
    activation
}

/// Records within ±1, some at the ends.
pub fn records(count: usize, inputs: usize, random: &mut SmallRng) -> Vec<f32> {
    (0..count * inputs)
        .map(|_| match random.random_range(0..8) {
            0 => 1.0,
            1 => -1.0,
            _ => random.random_range(-1.0..=1.0),
        })
        .collect()
}

/// The definition.
pub fn reference(circuit: &LeveledCircuit, record: &[f32]) -> Vec<f64> {
    let mut values: Vec<f64> = record.iter().map(|&x| f64::from(x)).collect();
    for (number, layer) in circuit.layers.iter().enumerate() {
        let rows = layer.weights.chunks(values.len()).enumerate();
        let mut sums: Vec<f64> = rows
            .map(|(output, row)| {
                let sum: f64 = row
                    .iter()
                    .zip(&values)
                    .map(|(&w, x)| f64::from(w) * x)
                    .sum();
                layer.multipliers[output] * sum + layer.biases[output]
            })
            .collect();
        if let Some(activation) = circuit.activations.get(number) {
            for (neuron, u) in sums.iter_mut().enumerate() {
                assert!(u.abs() <= 1.0 + 1e-9, "{u}");
                let count = activation.degree + 1;
                let coefficients = &activation.coefficients[neuron * count..][..count];
                let (x, linear) = match activation.form {
                    ActivationForm::General => (*u, 0.0),
                    ActivationForm::EvenPlusLinear => {
                        (2.0 * *u * *u - 1.0, activation.linear[neuron] * *u)
                    }
                };
                let angle = x.clamp(-1.0, 1.0).acos();
                let terms = coefficients.iter().enumerate();
                *u = linear
                    + terms
                        .map(|(k, c)| c * (k as f64 * angle).cos())
                        .sum::<f64>();
            }
        }
        values = sums;
    }
    values
}

/// Both sides of a circuit.
pub struct Sides {
    pub circuit: LeveledCircuit,
    pub server: PreparedLeveledCircuit,
    pub client: LeveledClient,
    pub secret: LeveledClientKey,
    pub key: RelinearizationKey,
}

impl Sides {
    pub fn new(circuit: LeveledCircuit) -> Self {
        let circuit = circuit.validate().unwrap();
        let parameters = circuit.parameters;
        let secret =
            LeveledClientKey::derive(&[3; 16], KEY_ID, parameters.polynomial_size).unwrap();
        let file = secret
            .relinearization_key(parameters.levels, 2, &mut |_| true)
            .unwrap();
        let server = PreparedLeveledCircuit::open(&circuit.encode()).unwrap();
        let spec = LeveledSpec {
            circuit: *server.digest(),
            parameters,
            inputs: circuit.inputs,
            outputs: circuit.outputs(),
            input_scale: circuit.input_scale,
            output_scale: circuit.output_scale,
        };
        Sides {
            client: LeveledClient::new(spec).unwrap(),
            key: RelinearizationKey::open(&file, 2).unwrap(),
            server,
            secret,
            circuit,
        }
    }

    /// Encrypts, evaluates and decrypts.
    pub fn execute(&self, records: &[f32]) -> Vec<f32> {
        let block = self.client.encrypt(&self.secret, records, 5).unwrap();
        let results = self
            .server
            .evaluate(&self.key, &block, 2, &mut || false)
            .unwrap();
        self.client
            .decrypt(&self.secret, &self.sent(records), &results)
            .unwrap()
    }

    pub fn sent(&self, records: &[f32]) -> SentBlock {
        SentBlock {
            number: 5,
            records: records.len() / self.circuit.inputs,
        }
    }

    pub fn references(&self, records: &[f32]) -> Vec<f64> {
        let rows = records.chunks(self.circuit.inputs);
        rows.flat_map(|record| reference(&self.circuit, record))
            .collect()
    }
}
