//! The measured noise against the predicted one, on both sides of the evaluation.

mod common;

use common::{Layer, TestData, column_norms, layer, message_bits};
use fhe_client::Activations;
use fhe_core::block::{BlockHeader, HEADER_BYTES};
use fhe_core::noise::{ColumnNorms, OutputNoise, fresh_standard_deviation};
use fhe_core::parameters::PackedParameters;

/// With so many limbs of bodies on the way up, of mask entries and of bodies on the way down.
fn parameters(
    body_limbs: usize,
    output_limbs: usize,
    output_body_limbs: usize,
) -> PackedParameters {
    PackedParameters {
        glwe_dimension: 3,
        polynomial_size: 512,
        limbs: 5,
        body_limbs,
        output_limbs,
        output_body_limbs,
        message_bits: 16,
        bodies: 4,
        summands: 1,
        flooding: 0,
    }
}

fn standard_deviation(samples: &[f64]) -> f64 {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    (samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// Mean over standard error, which is of the order of one if the noise is centred.
fn bias_in_standard_errors(samples: &[f64]) -> f64 {
    let count = samples.len() as f64;
    samples.iter().sum::<f64>() / count / (standard_deviation(samples) / count.sqrt())
}

/// Encrypts random records, evaluates, and returns the noise `[T][d_out]`.
fn noise_of(layer: &Layer, records: usize, inputs: usize) -> Vec<f64> {
    let mut data = TestData::new(3);
    let activations: Vec<i16> = (0..records * inputs)
        .map(|_| data.signed(15) as i16)
        .collect();
    let activations = Activations::from_records(&activations, inputs);
    let block = layer.client.encrypt(&activations, 0).unwrap();
    layer
        .client
        .residual_noise(&layer.server.evaluate(&block).unwrap())
        .unwrap()
}

#[test]
fn fresh_noise_has_the_published_deviation() {
    // The identity gives back each fresh ciphertext.
    let inputs = 64;
    let mut identity = vec![0i8; inputs * inputs];
    for i in 0..inputs {
        identity[i * inputs + i] = 1;
    }
    let layer = layer(parameters(5, 5, 5), inputs, inputs, identity, 5);
    let noise = noise_of(&layer, 2048, inputs);
    let predicted = fresh_standard_deviation(1536, 5).unwrap();
    let ratio = standard_deviation(&noise) / predicted;
    // 131,072 samples: the deviation is known to 0.2 %.
    assert!((ratio - 1.0).abs() < 0.01, "measured / predicted = {ratio}");
    assert!(bias_in_standard_errors(&noise).abs() < 5.5);
    let largest = noise.iter().fold(0f64, |max, e| max.max(e.abs()));
    let bound = f64::from(fhe_core::noise::fresh_noise_bound_log2(1536, 5).unwrap()).exp2()
        * (-40f64).exp2();
    assert_eq!(largest, bound, "TUniform reaches its bound and no further");
}

#[test]
fn output_noise_has_the_predicted_deviation() {
    let (inputs, outputs) = (256, 16);
    let mut data = TestData::new(11);
    // Columns of equal norm, so that one deviation holds for all outputs.
    let weights: Vec<i8> = (0..inputs * outputs)
        .map(|_| {
            if data.next() >> 40 & 1 == 1 {
                100
            } else {
                -100
            }
        })
        .collect();
    let mut full = parameters(5, 5, 5);
    full.message_bits = message_bits(&full, &weights, inputs);
    let noise = noise_of(
        &layer(full, inputs, outputs, weights.clone(), 5),
        2048,
        inputs,
    );
    let predicted = OutputNoise::of(&full, column_norms(&weights, inputs))
        .unwrap()
        .standard_deviation;
    let ratio = standard_deviation(&noise) / predicted;
    assert!((ratio - 1.0).abs() < 0.02, "measured / predicted = {ratio}");
    assert!(bias_in_standard_errors(&noise).abs() < 5.5);
}

#[test]
fn rounded_results_are_centred_and_stay_below_their_prediction() {
    // Weights so small that what is left is the rounding to three limbs. Every output has a mask of its
    // own, and all records of an output share its rounding errors: outputs are the independent samples.
    let (inputs, outputs, records) = (16, 512, 2048);
    let mut data = TestData::new(5);
    let weights: Vec<i8> = (0..inputs * outputs)
        .map(|_| if data.next() >> 40 & 1 == 1 { 1 } else { -1 })
        .collect();
    let mut truncated = parameters(5, 3, 3);
    truncated.message_bits = message_bits(&truncated, &weights, inputs);
    let noise = noise_of(
        &layer(truncated, inputs, outputs, weights, 5),
        records,
        inputs,
    );
    let norms = ColumnNorms { l1: 16.0, l2: 4.0 };
    let predicted = OutputNoise::of(&truncated, norms).unwrap();
    let mean_square = noise.iter().map(|e| e * e).sum::<f64>() / noise.len() as f64;
    let ratio = mean_square.sqrt() / predicted.standard_deviation;
    // The prediction takes a secret of Hamming weight n/2 + 4.5·√n; the ratio at n/2 is 0.90.
    assert!(
        (0.86..0.97).contains(&ratio),
        "measured / predicted = {ratio}"
    );
    let means: Vec<f64> = (0..outputs)
        .map(|j| noise.iter().skip(j).step_by(outputs).sum::<f64>() / records as f64)
        .collect();
    assert!(bias_in_standard_errors(&means).abs() < 5.5);
}

#[test]
fn rounded_bodies_have_the_predicted_noise_on_both_ways() {
    // Bodies travel up in four limbs and down in three; both roundings are of the order of the rest.
    let (inputs, outputs, records) = (64, 64, 2048);
    let mut data = TestData::new(13);
    let weights: Vec<i8> = (0..inputs * outputs)
        .map(|_| if data.next() >> 40 & 1 == 1 { 3 } else { -3 })
        .collect();
    let mut rounded = parameters(4, 5, 3);
    rounded.message_bits = message_bits(&rounded, &weights, inputs);
    let predicted = OutputNoise::of(&rounded, column_norms(&weights, inputs)).unwrap();
    let noise = noise_of(
        &layer(rounded, inputs, outputs, weights, 5),
        records,
        inputs,
    );
    let ratio = standard_deviation(&noise) / predicted.standard_deviation;
    assert!((ratio - 1.0).abs() < 0.02, "measured / predicted = {ratio}");
    let mean = noise.iter().sum::<f64>() / noise.len() as f64;
    let error = standard_deviation(&noise) / (noise.len() as f64).sqrt();
    assert!(mean.abs() < predicted.bias + 5.5 * error, "mean {mean}");
}

#[test]
fn two_encryptions_never_share_a_mask_or_a_body() {
    let layer = layer(parameters(5, 4, 4), 3, 2, vec![1; 6], 5);
    let mut seeds = std::collections::HashSet::new();
    let mut bodies = std::collections::HashSet::new();
    let activations = Activations::from_records(&[1, 2, 3, 4, 5, 6], 3);
    for _ in 0..300 {
        let block = layer.client.encrypt(&activations, 0).unwrap();
        let (header, payload) = BlockHeader::parse(&block).unwrap();
        assert_ne!(header.mask_seed, [0; 16]);
        assert!(seeds.insert(header.mask_seed), "a mask seed came twice");
        assert!(bodies.insert(payload.to_vec()), "a body came twice");
        assert_eq!(block.len(), HEADER_BYTES + 6 * 5);
    }
}
