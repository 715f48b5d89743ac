//! Circuits with look-ups, client and server in one process: values, and the noise of every step.

mod common;

use common::TestData;
use fhe_client::{
    Activations, ClientKey, Dequantizer, LookupClient, LookupResultsSpec, ModuleClient, ModuleSpec,
    Quantizer, SecretKeyShape, WeightNorms,
};
use fhe_core::Error;
use fhe_core::bootstrap::{
    BootstrapCircuit, BootstrapNoise, BootstrapParameters, Decomposition, EvaluationKey,
    SparseRows, Step,
};
use fhe_core::circuit::PackedCircuit;
use fhe_core::noise::fresh_standard_deviation;
use fhe_core::parameters::PackedParameters;
use fhe_server::{BootstrapKeys, PreparedBootstrapCircuit};

const SCALE: f64 = 1.0 / 18_446_744_073_709_551_616.0;

fn parameters() -> BootstrapParameters {
    BootstrapParameters {
        lwe_dimension: 930,
        glwe_dimension: 4,
        polynomial_size: 512,
        bootstrap: Decomposition {
            base_log: 23,
            levels: 1,
        },
        keyswitch: Decomposition {
            base_log: 3,
            levels: 6,
        },
        output_bytes: 3,
    }
}

fn packed(inputs: usize, weights: Vec<i8>) -> PackedCircuit {
    let p = parameters();
    PackedCircuit {
        parameters: PackedParameters {
            glwe_dimension: p.glwe_dimension,
            polynomial_size: p.polynomial_size,
            limbs: 5,
            body_limbs: 5,
            output_limbs: 5,
            output_body_limbs: 5,
            message_bits: MESSAGE_BITS,
            bodies: 1,
            summands: 1,
            flooding: 0,
        },
        module_key: "seq".into(),
        inputs,
        outputs: weights.len() / inputs,
        weights,
    }
}

/// Of fresh noise, which is far below that of a keyswitch.
const MAGNIFICATION: i32 = 1 << 27;

/// p: an accumulator m is the phase m / 2^p.
const MESSAGE_BITS: usize = 16;

/// Both sides of a circuit.
struct Circuit {
    client: ModuleClient,
    key: ClientKey,
    server: PreparedBootstrapCircuit,
    keys: BootstrapKeys,
    results: LookupClient,
}

impl Circuit {
    fn new(circuit: BootstrapCircuit) -> Self {
        let server = PreparedBootstrapCircuit::open(&circuit.encode()).unwrap();
        let packed = &circuit.packed;
        let shape = SecretKeyShape {
            glwe_dimension: packed.parameters.glwe_dimension,
            polynomial_size: packed.parameters.polynomial_size,
            limbs: packed.parameters.limbs,
            bodies: 1,
        };
        let key =
            ClientKey::generate_for_lookups([3; 32], &[shape], &[circuit.parameters.lwe_dimension])
                .unwrap();
        let file = key
            .evaluation_key(&circuit.parameters, &shape, 2, &mut |_| true)
            .unwrap();
        let keys = BootstrapKeys::expand(&EvaluationKey::decode(&file).unwrap(), 2).unwrap();
        let module = ModuleSpec {
            circuit: *server.digest(),
            parameters: packed.parameters,
            inputs: packed.inputs,
            outputs: packed.outputs,
            quantizer: Quantizer {
                activation_bits: 12,
                static_scale: 1.0,
                message_bits: MESSAGE_BITS,
                norms: WeightNorms {
                    max_l1: 1,
                    max_l2_squared: 1,
                    max_abs: 1,
                },
            },
            dequantizer: Dequantizer {
                weight_scales: vec![1.0; packed.outputs],
                bias: vec![],
            },
        };
        Circuit {
            client: ModuleClient::new(module, Some(&key)).unwrap(),
            results: LookupClient::new(
                LookupResultsSpec {
                    circuit: *server.digest(),
                    parameters: circuit.parameters,
                    scales: vec![1.0; circuit.outputs.len()],
                    bias: vec![],
                },
                Some(&key),
            )
            .unwrap(),
            key,
            server,
            keys,
        }
    }

    /// Phases of the outputs, relative to the torus.
    fn evaluate(&self, records: &[i16]) -> Vec<f64> {
        let activations = Activations::from_records(records, self.client.spec().inputs);
        let block = self.client.encrypt(&activations, 7).unwrap();
        let results = self
            .server
            .evaluate(&self.keys, &block, 2, &mut || false)
            .unwrap();
        relative(&self.results.decrypt(&results, 7, 2).unwrap())
    }

    /// The same in clear.
    fn in_clear(&self, records: &[i16]) -> Vec<f64> {
        relative(
            &self
                .server
                .circuit()
                .evaluate_in_clear(&self.accumulators(records), &[])
                .phases,
        )
    }

    fn accumulators(&self, records: &[i16]) -> Vec<i64> {
        let packed = &self.server.circuit().packed;
        records
            .chunks_exact(packed.inputs)
            .flat_map(|record| {
                packed.weights.chunks_exact(packed.inputs).map(|row| {
                    let products = record.iter().zip(row);
                    products.map(|(&x, &w)| i64::from(x) * i64::from(w)).sum()
                })
            })
            .collect()
    }
}

fn relative(phases: &[i64]) -> Vec<f64> {
    phases.iter().map(|&phase| phase as f64 * SCALE).collect()
}

/// The variance of differences on the torus, whose mean must be near zero.
fn variance(found: &[f64], expected: &[f64]) -> f64 {
    let differences: Vec<f64> = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| {
            let difference = found - expected;
            difference - difference.round()
        })
        .collect();
    let count = differences.len() as f64;
    let variance = differences.iter().map(|d| d * d).sum::<f64>() / count;
    let mean = differences.iter().sum::<f64>() / count;
    assert!(
        mean.abs() < 6.0 * (variance / count).sqrt(),
        "mean {mean:e}, variance {variance:e}"
    );
    variance
}

fn assert_variance(step: &str, found: f64, predicted: f64, tolerance: f64) {
    let ratio = found / predicted;
    println!("{step}: variance {found:.3e}, {ratio:.3} of the prediction");
    assert!(
        (ratio - 1.0).abs() < tolerance,
        "{step}: {found:e}, {predicted:e} predicted"
    );
}

/// Phases from a tenth to four tenths of the torus.
fn positive_records(count: usize) -> Vec<i16> {
    let mut data = TestData::new(count as u64);
    let unit = (1i64 << MESSAGE_BITS) / 40;
    (0..count)
        .map(|_| (10 * unit + data.signed(6 * unit)) as i16)
        .collect()
}

/// A variance of so many samples has a standard deviation of 6 %.
#[test]
fn the_noise_of_every_step_is_about_as_predicted() {
    assert_noise(500, 0.3);
}

/// 1.6 %; a keyswitch varies with the key's Hamming weight besides.
#[test]
#[ignore = "takes minutes"]
fn the_noise_of_every_step_is_as_predicted() {
    assert_noise(8_000, 0.1);
}

fn assert_noise(samples: usize, tolerance: f64) {
    let parameters = parameters();
    let noise = BootstrapNoise::of(&parameters).unwrap();
    let fresh = fresh_standard_deviation(parameters.value_dimension(), 5)
        .unwrap()
        .powi(2);
    let size = parameters.polynomial_size as u64;
    let amplification = 1 << 7;
    let mut amplified = SparseRows::default();
    amplified.push([(2, amplification)]);
    let mut magnified = SparseRows::default();
    magnified.push([(0, MAGNIFICATION)]);
    let circuit = Circuit::new(BootstrapCircuit {
        packed: packed(1, vec![1]),
        parameters,
        tables: vec![
            // The phase itself, and an eighth whatever the phase.
            (0..size).map(|i| i * ((1 << 63) / size)).collect(),
            vec![1 << 61; size as usize],
        ],
        steps: vec![
            Step::Lookup {
                first: 0,
                count: 1,
                factor: 1,
                offset: 0,
                table: 0,
            },
            Step::Lookup {
                first: 0,
                count: 1,
                factor: 1,
                offset: 0,
                table: 1,
            },
            Step::Linear {
                rows: amplified,
                constants: vec![0],
            },
            Step::Linear {
                rows: magnified,
                constants: vec![0],
            },
        ],
        // The packed value, what was read, the amplified eighth, the magnified packed value.
        outputs: vec![0, 1, 3, 4],
    });
    let block = parameters.polynomial_size;
    let mut found = [const { Vec::new() }; 4];
    let mut expected = [const { Vec::new() }; 4];
    for records in positive_records(samples).chunks(block) {
        for (phases, outputs) in [
            (circuit.evaluate(records), &mut found),
            (circuit.in_clear(records), &mut expected),
        ] {
            for record in phases.chunks_exact(4) {
                for (output, &phase) in outputs.iter_mut().zip(record) {
                    output.push(phase);
                }
            }
        }
    }
    // What is read is compared with the phase, not with the nearest entry.
    expected[1] = expected[0].clone();
    let measured: Vec<f64> = found
        .iter()
        .zip(&expected)
        .map(|(f, e)| variance(f, e))
        .collect();
    let sending = noise.sending();
    assert_variance("keyswitch", measured[0], fresh + sending, tolerance);
    assert_variance(
        "modulus switch",
        measured[1],
        fresh + noise.reading() + noise.bootstrap + sending,
        tolerance,
    );
    let factor = f64::from(amplification).powi(2);
    assert_variance(
        "bootstrap",
        measured[2],
        factor * noise.bootstrap + sending,
        tolerance,
    );
    assert_variance(
        "packed layer",
        measured[3],
        f64::from(MAGNIFICATION).powi(2) * fresh + sending,
        tolerance,
    );
}

/// The table of a function for phases -1/4 to 1/4, read with an offset of a quarter.
fn table(size: usize, function: impl Fn(f64) -> f64) -> Vec<u64> {
    (0..size)
        .map(|i| {
            let phase = i as f64 / (2 * size) as f64 - 0.25;
            (function(phase) / SCALE) as i64 as u64
        })
        .collect()
}

/// Linear, ReLU, linear, |x| by the whole torus, and a value that skips a layer.
fn network(parameters: BootstrapParameters, data: &mut TestData) -> BootstrapCircuit {
    let (inputs, hidden, outputs) = (10, 6, 3);
    let weights = (0..inputs * hidden).map(|_| data.signed(9) as i8).collect();
    let mut second = SparseRows::default();
    for _ in 0..4 {
        second.push((0..hidden).map(|j| ((hidden + j) as u32, data.signed(20) as i32)));
    }
    let mut third = SparseRows::default();
    let (skipped, last) = (2 * hidden, 2 * hidden + 4);
    for output in 0..outputs {
        third.push([
            (last as u32 + output, 5),
            (last as u32 + output + 1, -4),
            ((skipped as u32 + output), 1),
        ]);
    }
    let size = parameters.polynomial_size;
    let parts = packed(inputs, weights);
    BootstrapCircuit {
        packed: parts,
        parameters,
        tables: vec![
            table(size, |phase| phase.max(0.0) / 64.0),
            (0..size)
                .map(|i| ((i as f64 / (2 * size) as f64 - 0.25) / 16.0 / SCALE) as i64 as u64)
                .collect(),
        ],
        steps: vec![
            Step::Lookup {
                first: 0,
                count: hidden as u32,
                factor: 4,
                offset: 1 << 62,
                table: 0,
            },
            Step::Linear {
                rows: second,
                constants: vec![1 << 58, 0, 3 << 57, 0],
            },
            Step::Lookup {
                first: skipped as u32,
                count: 4,
                factor: 1,
                offset: 0,
                table: 1,
            },
            Step::Linear {
                rows: third,
                constants: vec![0; outputs as usize],
            },
        ],
        outputs: (0..outputs)
            .map(|output| last as u32 + 4 + output)
            .collect(),
    }
}

#[test]
fn networks_err_as_their_simulation_does() {
    let mut data = TestData::new(5);
    let circuit = Circuit::new(network(parameters(), &mut data));
    let records: Vec<i16> = (0..100 * 10).map(|_| data.signed(100) as i16).collect();
    let expected = circuit.in_clear(&records);
    let found = variance(&circuit.evaluate(&records), &expected);
    let accumulators = circuit.accumulators(&records);
    let simulated: Vec<f64> = (0..20)
        .map(|_| {
            let phases = circuit
                .server
                .circuit()
                .simulate(&accumulators, &[], &mut || data.normal());
            variance(&relative(&phases.unwrap().phases), &expected)
        })
        .collect();
    let predicted = simulated.iter().sum::<f64>() / simulated.len() as f64;
    let spread = expected.iter().map(|phase| phase.powi(2)).sum::<f64>() / expected.len() as f64;
    println!("outputs: variance {spread:.3e}");
    assert!(spread > 10.0 * found);
    assert_variance("outputs", found, predicted, 0.35);
}

/// A value near the edge of a table: noise takes it over, and what is read is negated.
#[test]
#[ignore = "takes minutes"]
fn lookups_fail_as_often_as_predicted() {
    let noise = BootstrapNoise::of(&parameters()).unwrap();
    let size = parameters().polynomial_size;
    // A feature a look-up, each encrypted by itself: equal ciphertexts would fail together.
    let features = 25;
    let identity = (0..features * features)
        .map(|i| i8::from(i % (features + 1) == 0))
        .collect();
    let circuit = Circuit::new(BootstrapCircuit {
        packed: packed(features, identity),
        parameters: parameters(),
        tables: vec![vec![1 << 61; size]],
        steps: vec![Step::Lookup {
            first: 0,
            count: features as u32,
            factor: 1,
            offset: 0,
            table: 0,
        }],
        outputs: (features as u32..2 * features as u32).collect(),
    });
    // Two standard deviations from the edge, which is half an entry below zero.
    let deviation = noise.reading().sqrt();
    let unit = f64::from(1 << MESSAGE_BITS);
    let edge = -0.25 / size as f64;
    let phase = ((edge + 2.0 * deviation) * unit).round();
    let margin = phase / unit - edge;
    let mut failures = 0;
    let mut lookups = 0;
    while lookups < 100_000 {
        for found in circuit.evaluate(&vec![phase as i16; features * size]) {
            failures += usize::from(found < 0.0);
            lookups += 1;
        }
    }
    let found = failures as f64 / lookups as f64;
    let predicted = normal_tail(margin / deviation);
    println!(
        "{failures} of {lookups} failed, {:.3} of the prediction",
        found / predicted
    );
    // Binomial noise is 2 %; the tail at two deviations moves by five times what the deviation moves.
    assert!(
        (found / predicted - 1.0).abs() < 0.25,
        "{found} {predicted}"
    );
}

/// A circuit of one look-up, and a block for it.
fn single_lookup() -> (Circuit, Vec<u8>) {
    let circuit = Circuit::new(BootstrapCircuit {
        packed: packed(1, vec![1]),
        parameters: parameters(),
        tables: vec![vec![1 << 61; parameters().polynomial_size]],
        steps: vec![Step::Lookup {
            first: 0,
            count: 1,
            factor: 1,
            offset: 0,
            table: 0,
        }],
        outputs: vec![1],
    });
    let block = circuit
        .client
        .encrypt(&Activations::from_records(&[1000, 2000], 1), 7)
        .unwrap();
    (circuit, block)
}

#[test]
fn what_does_not_belong_together_is_refused_in_one_line() {
    let (circuit, block) = single_lookup();
    let (other, _) = single_lookup();
    let refused = |keys: &BootstrapKeys, block: &[u8]| {
        let result = circuit.server.evaluate(keys, block, 2, &mut || false);
        let message = result.unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    let message = refused(&other.keys, &block);
    assert!(message.contains("are under client key"), "{message}");
    assert!(message.contains("the evaluation key is of client key"));

    let mut damaged = block.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let message = refused(&circuit.keys, &damaged);
    assert!(message.contains("payload does not match"), "{message}");
    assert!(refused(&circuit.keys, &block[..130]).contains("truncated or too long"));

    let results = circuit
        .server
        .evaluate(&circuit.keys, &block, 2, &mut || false)
        .unwrap();
    let message = refused(&circuit.keys, &results);
    assert!(message.contains("holds LookupResults"), "{message}");
    let unread = |results: &[u8], number| {
        let result = circuit.results.decrypt(results, number, 2);
        result.unwrap_err().to_string()
    };
    assert!(unread(&results, 8).contains("block 7 came back for block 8"));
    assert!(unread(&block, 7).contains("holds Activations"));
    assert!(unread(&results[..150], 7).contains("truncated or too long"));
    let foreign = other.results.decrypt(&results, 7, 2).unwrap_err();
    assert!(
        foreign.to_string().contains("under client key"),
        "{foreign}"
    );

    let stopped = circuit
        .server
        .evaluate(&circuit.keys, &block, 2, &mut || true);
    assert_eq!(stopped, Err(Error::Stopped));
}

#[test]
fn keys_of_other_parameters_are_refused() {
    let (circuit, block) = single_lookup();
    let other = BootstrapParameters {
        keyswitch: Decomposition {
            base_log: 4,
            levels: 2,
        },
        ..parameters()
    };
    let shape = SecretKeyShape {
        glwe_dimension: other.glwe_dimension,
        polynomial_size: other.polynomial_size,
        limbs: 5,
        bodies: 1,
    };
    let key = &circuit.key;
    let file = key
        .evaluation_key(&other, &shape, 2, &mut |_| true)
        .unwrap();
    let keys = BootstrapKeys::expand(&EvaluationKey::decode(&file).unwrap(), 2).unwrap();
    let error = circuit
        .server
        .evaluate(&keys, &block, 1, &mut || false)
        .unwrap_err();
    assert!(
        error.to_string().contains("has other parameters"),
        "{error}"
    );
    let stopped = key.evaluation_key(&other, &shape, 2, &mut |share| share < 0.5);
    assert_eq!(stopped, Err(Error::Stopped));
    let wrong_shape = SecretKeyShape { limbs: 4, ..shape };
    let error = key.evaluation_key(&other, &wrong_shape, 2, &mut |_| true);
    assert!(error.unwrap_err().to_string().contains("no secret key for"));
}

/// Records are cut to batches and threads in every way.
#[test]
fn any_number_of_records_and_threads_gives_the_same_values() {
    let mut data = TestData::new(9);
    let circuit = Circuit::new(network(parameters(), &mut data));
    for (records, threads) in [(1, 1), (1, 3), (3, 2), (7, 4)] {
        let records: Vec<i16> = (0..10 * records).map(|_| data.signed(100) as i16).collect();
        let block = circuit
            .client
            .encrypt(&Activations::from_records(&records, 10), 7)
            .unwrap();
        let evaluate = |threads| {
            let results = circuit
                .server
                .evaluate(&circuit.keys, &block, threads, &mut || false);
            relative(&circuit.results.decrypt(&results.unwrap(), 7, 1).unwrap())
        };
        let (one, some) = (evaluate(1), evaluate(threads));
        for (one, some) in one.iter().zip(&some) {
            // Transforms round alike whatever shares a batch; only which table entry is read could differ.
            assert_eq!(one, some);
        }
    }
}

/// P(standard normal > x), by its continued fraction.
fn normal_tail(x: f64) -> f64 {
    let fraction = (1..200).rev().fold(x, |below, k| x + f64::from(k) / below);
    (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() / fraction
}
