//! Sums of results: they decrypt to the sums of the accumulators, as many as the circuit was made for and no more.

mod common;

use common::{
    Layer, TestData, column_norms, evaluate_under, layer_with_scale, message_bits, public_key,
};
use fhe_client::{Outputs, Records};
use fhe_core::block::BlockHeader;
use fhe_core::noise::OutputNoise;
use fhe_core::parameters::PackedParameters;
use fhe_server::{add_to_sum, start_sum};

const INPUTS: usize = 24;
const OUTPUTS: usize = 3;
const SUMMANDS: usize = 1000;
const SCALE: f32 = 0.01;

/// A layer for sums, whose results are rounded, mask and bodies.
fn layer(summands: usize) -> Layer {
    let mut data = TestData::new(5);
    let mut weights: Vec<i8> = (0..INPUTS * OUTPUTS)
        .map(|_| data.signed(127) as i8)
        .collect();
    for row in weights.chunks_exact_mut(INPUTS) {
        row[0] = 127;
    }
    let mut parameters = PackedParameters {
        glwe_dimension: 36,
        polynomial_size: 64,
        limbs: 7,
        body_limbs: 6,
        output_limbs: 6,
        output_body_limbs: 5,
        message_bits: 2,
        bodies: 2,
        summands,
        flooding: 0,
    };
    parameters.message_bits = message_bits(&parameters, &weights, INPUTS);
    layer_with_scale(parameters, INPUTS, OUTPUTS, weights, 8, SCALE)
}

/// A block of records, and their accumulators.
fn encrypted(layer: &Layer, records: &[f32], number: u64) -> (Vec<u8>, Vec<i64>) {
    let records = Records::table(records, INPUTS).unwrap();
    let (activations, scales) = layer.client.quantize(&records).unwrap();
    assert!(scales.iter().all(|&scale| scale == SCALE));
    let integers: Vec<i32> = activations
        .to_records()
        .into_iter()
        .map(i32::from)
        .collect();
    let block = layer.client.encrypt(&activations, number).unwrap();
    (block, layer.server.accumulate(&integers))
}

/// Results of a block of records, and their accumulators.
fn evaluated(layer: &Layer, records: &[f32], number: u64) -> (Vec<u8>, Vec<i64>) {
    let (block, accumulators) = encrypted(layer, records, number);
    (layer.server.evaluate(&block).unwrap(), accumulators)
}

fn records(data: &mut TestData, count: usize) -> Vec<f32> {
    // Some are beyond the range and saturate.
    (0..count * INPUTS)
        .map(|_| data.signed(1 << 20) as f32 / 600_000.0)
        .collect()
}

fn refusal(result: fhe_core::Result<()>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_thousand_results_add_up_exactly_and_one_more_is_refused() {
    let layer = layer(SUMMANDS);
    let mut data = TestData::new(7);
    // Two panels, one of them narrow.
    let rows = 70;
    let (first, mut expected) = evaluated(&layer, &records(&mut data, rows), 0);
    let mut sum = start_sum(&first).unwrap();
    for number in 1..SUMMANDS as u64 {
        // The last is as large as records can be, all signs with the first output's weights.
        let values = if number == 999 {
            (0..rows * INPUTS)
                .map(|i| f32::from(layer.server.circuit().weights[i % INPUTS]))
                .collect()
        } else {
            records(&mut data, rows)
        };
        let (block, accumulators) = evaluated(&layer, &values, number);
        add_to_sum(&mut sum, &block).unwrap();
        for (sum, accumulator) in expected.iter_mut().zip(accumulators) {
            *sum += accumulator;
        }
    }
    let (header, _) = BlockHeader::parse(&sum).unwrap();
    assert_eq!(header.summands, SUMMANDS);
    assert_eq!(header.block_number, (0..SUMMANDS as u64).sum::<u64>());
    assert_eq!(layer.client.decrypt_sums(&sum).unwrap(), expected);

    let before = sum.clone();
    let message = refusal(add_to_sum(&mut sum, &first));
    assert!(
        message.contains("the sum of 1001 results would exceed the 1000 that circuit")
            && message.contains("--sums"),
        "{message}"
    );
    assert_eq!(sum, before);

    let mut floats = vec![0f32; rows * OUTPUTS];
    let mut counts = vec![SUMMANDS as u64; rows];
    counts[3] = 999;
    let places = Outputs::table(&mut floats, OUTPUTS).unwrap();
    layer
        .client
        .decrypt_sums_to_floats(&sum, &counts, 2, places)
        .unwrap();
    for (index, (&float, &integer)) in floats.iter().zip(&expected).enumerate() {
        // Weight scales are 1, the bias of output j is j.
        let (record, output) = (index / OUTPUTS, index % OUTPUTS);
        let exact = integer as f64 * f64::from(SCALE) + output as f64 * counts[record] as f64;
        assert_eq!(float, exact as f32, "{index}");
    }
    counts[3] = 1001;
    let places = Outputs::table(&mut floats, OUTPUTS).unwrap();
    let message = refusal(
        layer
            .client
            .decrypt_sums_to_floats(&sum, &counts, 2, places),
    );
    assert!(message.contains("1001 records"), "{message}");
}

/// A layer for sums of re-randomised results: weights of two bits, so that noise is all but that of encryptions of
/// zero, and as many message bits as the bound on failures allows.
fn re_randomised_layer() -> Layer {
    let mut data = TestData::new(5);
    let weights: Vec<i8> = (0..INPUTS * OUTPUTS)
        .map(|i| {
            if i % INPUTS == 0 {
                1
            } else {
                data.signed(1) as i8
            }
        })
        .collect();
    let norms = column_norms(&weights, INPUTS);
    let parameters = (2..=40)
        .map(|message_bits| {
            let plain = PackedParameters {
                glwe_dimension: 26,
                polynomial_size: 64,
                limbs: 6,
                body_limbs: 6,
                output_limbs: 6,
                output_body_limbs: 6,
                message_bits,
                bodies: 2,
                summands: SUMMANDS,
                flooding: 0,
            };
            PackedParameters {
                flooding: plain.most_flooding(),
                ..plain
            }
        })
        .take_while(|parameters| {
            let noise = OutputNoise::of(parameters, norms).unwrap();
            noise.log2_failure_probability(parameters.message_bits) <= -40.0
        })
        .last()
        .unwrap();
    layer_with_scale(parameters, INPUTS, OUTPUTS, weights, 8, SCALE)
}

#[test]
fn re_randomised_results_add_up_exactly_for_every_key() {
    let rows = 64;
    for key in 0..3 {
        let layer = re_randomised_layer();
        let parameters = layer.client.spec().parameters;
        // A sum of a thousand has room for no more flooding.
        assert_eq!(
            parameters.flooding,
            8 * 6 - parameters.message_bits - 2 - 10
        );
        let public_key = public_key(&layer);
        let mut data = TestData::new(15 + key);
        let mut sum = Vec::new();
        let mut expected = vec![0; rows * OUTPUTS];
        for number in 0..SUMMANDS as u64 {
            let (block, accumulators) = encrypted(&layer, &records(&mut data, rows), number);
            let result = evaluate_under(&layer, &public_key, &block, 1);
            if number == 0 {
                sum = start_sum(&result).unwrap();
            } else {
                add_to_sum(&mut sum, &result).unwrap();
            }
            for (sum, accumulator) in expected.iter_mut().zip(accumulators) {
                *sum += accumulator;
            }
        }
        assert_eq!(
            layer.client.decrypt_sums(&sum).unwrap(),
            expected,
            "{parameters:?}"
        );
    }
}

#[test]
fn sums_of_sums_add_up_whatever_their_order() {
    let layer = layer(8);
    let mut data = TestData::new(9);
    let mut sums = Vec::new();
    let mut expected = vec![0; 5 * OUTPUTS];
    let numbers = [u64::MAX, 7, 0, u64::MAX - 3, 1 << 63, 12];
    for number in numbers {
        let (block, accumulators) = evaluated(&layer, &records(&mut data, 5), number);
        for (sum, accumulator) in expected.iter_mut().zip(accumulators) {
            *sum += accumulator;
        }
        sums.push(start_sum(&block).unwrap());
    }
    let mut all = sums.pop().unwrap();
    while let (Some(mut left), Some(right)) = (sums.pop(), sums.pop().or(Some(Vec::new()))) {
        if !right.is_empty() {
            add_to_sum(&mut left, &right).unwrap();
        }
        add_to_sum(&mut all, &left).unwrap();
    }
    assert_eq!(layer.client.decrypt_sums(&all).unwrap(), expected);
    let (header, _) = BlockHeader::parse(&all).unwrap();
    let added = numbers.into_iter().fold(0, u64::wrapping_add);
    assert_eq!(header.block_number, added);
}

#[test]
fn what_does_not_belong_together_is_refused_by_name() {
    let (first, other) = (layer(4), layer(4));
    let mut data = TestData::new(11);
    let (block, _) = evaluated(&first, &records(&mut data, 4), 1);
    let sum = start_sum(&block).unwrap();
    let refused = |block: &[u8]| {
        let mut copy = sum.clone();
        let message = refusal(add_to_sum(&mut copy, block));
        assert_eq!(copy, sum);
        message
    };
    let (foreign, _) = evaluated(&other, &records(&mut data, 4), 2);
    assert!(
        refused(&foreign).contains("is under key"),
        "{}",
        refused(&foreign)
    );
    let (short, _) = evaluated(&first, &records(&mut data, 3), 3);
    let message = refused(&short);
    assert!(
        message.contains("block 3 has 3 records, the sum it is added to has 4: pad"),
        "{message}"
    );
    let (of_more, _) = evaluated(&layer(5), &records(&mut data, 4), 4);
    assert!(refused(&of_more).contains("circuit"));
    let activations = {
        let values = records(&mut data, 4);
        let (activations, _) = first
            .client
            .quantize(&Records::table(&values, INPUTS).unwrap())
            .unwrap();
        first.client.encrypt(&activations, 5).unwrap()
    };
    assert!(refused(&activations).contains("holds Activations, only Results"));
    for position in 0..sum.len() {
        if position % 97 == 0 || position < 128 {
            let mut damaged = block.clone();
            damaged[position] ^= 1;
            refused(&damaged);
        }
    }
    // Results are no sum until one is started, and a sum no block of results.
    assert!(first.client.decrypt_sums(&block).is_err());
    assert!(first.client.decrypt(&sum).is_err());
    assert_eq!(
        first.client.decrypt_sums(&sum).unwrap(),
        first.client.decrypt(&block).unwrap()
    );
}

#[test]
fn results_of_a_circuit_that_was_not_made_for_sums_are_not_added() {
    let layer = layer(1);
    let mut data = TestData::new(13);
    let (block, _) = evaluated(&layer, &records(&mut data, 2), 1);
    let mut sum = start_sum(&block).unwrap();
    let message = refusal(add_to_sum(&mut sum, &block));
    assert!(
        message.contains("the sum of 2 results would exceed the 1 that"),
        "{message}"
    );
}
