//! The contract: what decrypts equals the quantised layer in clear, bit for bit.

mod common;

use common::{TestData, layer, message_bits};
use fhe_client::{Outputs, Records};
use fhe_core::parameters::PackedParameters;
use proptest::prelude::*;

/// (k, N, limbs): every modulus and every polynomial size, n at 132-bit security with room for messages.
const SHAPES: [(usize, usize, usize); 10] = [
    (15, 64, 3),
    (8, 128, 3),
    (5, 256, 4),
    (10, 128, 4),
    (3, 512, 5),
    (25, 64, 5),
    (7, 256, 5),
    (1, 2048, 6),
    (2, 1024, 6),
    (9, 256, 7),
];

/// Bytes of an entry that somebody keeps, where the modulus has as many.
#[derive(Clone, Copy)]
struct Kept {
    body: usize,
    output: usize,
    output_body: usize,
}

fn parameters(shape: usize, kept: Kept, bodies: usize) -> PackedParameters {
    let (glwe_dimension, polynomial_size, limbs) = SHAPES[shape];
    let body_limbs = kept.body.min(limbs);
    let output_limbs = kept.output.min(limbs);
    PackedParameters {
        glwe_dimension,
        polynomial_size,
        limbs,
        body_limbs,
        output_limbs,
        output_body_limbs: kept.output_body.min(body_limbs).min(output_limbs),
        message_bits: 2,
        bodies,
        summands: 1,
        flooding: 0,
    }
}

struct Case {
    shape: usize,
    kept: Kept,
    inputs: usize,
    outputs: usize,
    records: usize,
    weight_bits: u32,
    activation_bits: usize,
    adversarial: bool,
    seed: u64,
}

/// Encrypts, evaluates, decrypts, and compares with the layer in clear; more records than a block
/// holds go as several blocks.
fn assert_exact(case: &Case) -> Result<(), TestCaseError> {
    let mut data = TestData::new(case.seed);
    let max_weight = (1i64 << (case.weight_bits - 1)) - 1;
    let weights: Vec<i8> = (0..case.inputs * case.outputs)
        .map(|_| {
            if case.adversarial {
                (max_weight * (2 * (data.next() as i64 >> 40 & 1) - 1)) as i8
            } else {
                data.signed(max_weight) as i8
            }
        })
        .collect();
    let mut weights = weights;
    for row in weights.chunks_exact_mut(case.inputs) {
        // As the compiler's quantisation does: the largest weight of a column is 2^(b-1) - 1, which is odd.
        row[0] = max_weight as i8;
    }
    let mut parameters = parameters(case.shape, case.kept, 2);
    parameters.message_bits = message_bits(&parameters, &weights, case.inputs);
    let layer = layer(
        parameters,
        case.inputs,
        case.outputs,
        weights.clone(),
        case.activation_bits,
    );
    let records: Vec<f32> = (0..case.records * case.inputs)
        .map(|index| {
            if case.adversarial {
                // Signs aligned with one row of the weights: the largest sums there can be.
                let row = index / case.inputs % case.outputs;
                1e6 * f32::from(weights[row * case.inputs + index % case.inputs].signum())
            } else {
                data.signed(1 << 20) as f32 / 1024.0
            }
        })
        .collect();
    let block_records = parameters.max_records();
    for (number, records) in records.chunks(block_records * case.inputs).enumerate() {
        let records = Records::table(records, case.inputs).unwrap();
        let (activations, scales) = layer.client.quantize(&records).unwrap();
        let integers: Vec<i32> = activations
            .to_records()
            .into_iter()
            .map(i32::from)
            .collect();
        let expected = layer.server.accumulate(&integers);
        let block = layer.client.encrypt(&activations, number as u64).unwrap();
        let result = layer.server.evaluate(&block).unwrap();
        let decrypted = layer.client.decrypt(&result).unwrap();
        let wrong = decrypted
            .iter()
            .zip(&expected)
            .filter(|(a, b)| a != b)
            .count();
        prop_assert_eq!(wrong, 0, "of {} accumulators are wrong", expected.len());
        let mut floats = vec![f32::NAN; expected.len()];
        let places = Outputs::table(&mut floats, case.outputs).unwrap();
        layer
            .client
            .decrypt_to_floats(&result, number as u64, &scales, 1, places)
            .unwrap();
        let mut by_threads = vec![f32::NAN; expected.len()];
        let threads = 2 + number % 3;
        let places = Outputs::table(&mut by_threads, case.outputs).unwrap();
        layer
            .client
            .decrypt_to_floats(&result, number as u64, &scales, threads, places)
            .unwrap();
        prop_assert!(
            by_threads == floats,
            "the floats of {} threads differ",
            threads
        );
        let mut clear = vec![f32::NAN; expected.len()];
        let places = Outputs::table(&mut clear, case.outputs).unwrap();
        layer.client.dequantize(&expected, &scales, places).unwrap();
        prop_assert!(floats == clear, "the floats differ");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn decryption_equals_the_clear_layer_over_random_shapes(
        shape in 0..SHAPES.len(),
        (body, output, output_body) in (3usize..=7, 3usize..=7, 2usize..=7),
        (inputs, outputs) in prop_oneof![
            (1usize..=80, 1usize..=512),
            (80usize..=600, 1usize..=64),
            (600usize..=4096, 1usize..=16),
        ],
        records in prop_oneof![1usize..70, 70usize..1200],
        weight_bits in 2u32..=8,
        activation_bits in 4usize..=16,
        adversarial in any::<bool>(),
        seed in any::<u64>(),
    ) {
        assert_exact(&Case {
            shape, kept: Kept { body, output, output_body }, inputs, outputs, records, weight_bits, activation_bits, adversarial, seed,
        })?;
    }
}

#[test]
fn columns_of_zeros_are_exact_whatever_is_dropped() {
    for (shape, body, output, output_body) in
        [(4, 5, 3, 3), (7, 4, 4, 3), (2, 4, 3, 2), (9, 6, 5, 4)]
    {
        let kept = Kept {
            body,
            output,
            output_body,
        };
        let (inputs, outputs, records) = (64, 3, 2048);
        let mut data = TestData::new(9);
        let mut weights: Vec<i8> = (0..inputs * outputs)
            .map(|_| data.signed(7) as i8)
            .collect();
        weights[..inputs].fill(0);
        weights[inputs] = 7;
        weights[2 * inputs] = -7;
        let mut parameters = parameters(shape, kept, 4);
        parameters.message_bits = message_bits(&parameters, &weights, inputs);
        let layer = layer(parameters, inputs, outputs, weights, 8);
        let records: Vec<f32> = (0..records.min(parameters.max_records()) * inputs)
            .map(|_| data.signed(1000) as f32)
            .collect();
        let records = Records::table(&records, inputs).unwrap();
        let (activations, _) = layer.client.quantize(&records).unwrap();
        let integers: Vec<i32> = activations
            .to_records()
            .into_iter()
            .map(i32::from)
            .collect();
        let block = layer.client.encrypt(&activations, 0).unwrap();
        let result = layer.server.evaluate(&block).unwrap();
        assert!(layer.client.decrypt(&result).unwrap() == layer.server.accumulate(&integers));
    }
}

#[test]
fn a_layer_of_zeros_is_exact() {
    let mut parameters = parameters(
        2,
        Kept {
            body: 3,
            output: 3,
            output_body: 2,
        },
        1,
    );
    parameters.message_bits = 2;
    let layer = layer(parameters, 3, 2, vec![0; 6], 16);
    let records = Records::table(&[1e9, -3.0, 0.5], 3).unwrap();
    let (activations, _) = layer.client.quantize(&records).unwrap();
    let block = layer.client.encrypt(&activations, 0).unwrap();
    let result = layer.server.evaluate(&block).unwrap();
    assert_eq!(layer.client.decrypt(&result).unwrap(), [0, 0]);
}

#[test]
fn the_corners_of_the_shapes_are_exact() {
    for (inputs, outputs, records, shape, weight_bits, activation_bits) in [
        (1, 1, 1, 2, 2, 4),
        (4096, 1, 1, 4, 8, 16),
        (4096, 512, 3, 6, 8, 8),
        (1, 512, 513, 3, 8, 16),
        (4096, 7, 65, 9, 8, 16),
        (3, 2, 4097, 7, 5, 11),
    ] {
        for adversarial in [false, true] {
            assert_exact(&Case {
                shape,
                kept: Kept {
                    body: 5,
                    output: 4,
                    output_body: 3,
                },
                inputs,
                outputs,
                records,
                weight_bits,
                activation_bits,
                adversarial,
                seed: 7,
            })
            .unwrap();
        }
    }
}
