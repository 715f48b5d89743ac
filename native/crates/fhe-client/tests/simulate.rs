//! Simulation against real encryption, evaluation and decryption, and against the prediction.

mod common;

use common::{Layer, TestData, column_norms, layer, message_bits};
use fhe_client::Activations;
use fhe_core::noise::{OutputNoise, fresh_standard_deviation, mask_rounding_deviation};
use fhe_core::parameters::PackedParameters;

const INPUTS: usize = 64;
const RECORDS: usize = 2048;

/// Bytes kept of a body on the way up, of a mask entry of a result and of its body; q = 2^40.
#[derive(Debug, Clone, Copy)]
struct Kept(usize, usize, usize);

/// Nothing is rounded; bodies are, both ways; masks are, so that this outweighs all else; everything is.
const KEPT: [Kept; 4] = [Kept(5, 5, 5), Kept(4, 5, 3), Kept(5, 3, 3), Kept(4, 4, 3)];

fn parameters(Kept(body_limbs, output_limbs, output_body_limbs): Kept) -> PackedParameters {
    PackedParameters {
        glwe_dimension: 3,
        polynomial_size: 512,
        limbs: 5,
        body_limbs,
        output_limbs,
        output_body_limbs,
        message_bits: 2,
        bodies: 4,
        summands: 1,
        flooding: 0,
    }
}

/// Columns of odd weights ±w, w from 1 to `largest` in steps, so that noise differs by column.
fn weights(outputs: usize, largest: i64) -> Vec<i8> {
    let mut data = TestData::new(17);
    (0..INPUTS * outputs)
        .map(|index| {
            let magnitude = ((index / INPUTS) as i64 * largest / outputs as i64) | 1;
            (magnitude * (2 * (data.next() as i64 >> 40 & 1) - 1)) as i8
        })
        .collect()
}

/// Integers `[T][INPUTS]` in the range of a quantiser.
fn activations() -> Vec<i32> {
    let mut data = TestData::new(3);
    (0..RECORDS * INPUTS)
        .map(|_| data.signed(15) as i32)
        .collect()
}

fn evaluated(layer: &Layer, activations: &[i32]) -> Vec<u8> {
    let narrow: Vec<i16> = activations.iter().map(|&x| x as i16).collect();
    let block = layer
        .client
        .encrypt(&Activations::from_records(&narrow, INPUTS), 0)
        .unwrap();
    layer.server.evaluate(&block).unwrap()
}

fn simulated(layer: &Layer, activations: &[i32]) -> Vec<i64> {
    layer
        .client
        .simulate(activations, |x, y| layer.server.multiply_row(x, y))
        .unwrap()
}

/// Of each column of values `[T][columns]`, the mean of what `of` makes of them.
fn column_means<T: Copy>(values: &[T], columns: usize, of: impl Fn(T) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; columns];
    for row in values.chunks_exact(columns) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += of(value);
        }
    }
    let rows = (values.len() / columns) as f64;
    sums.into_iter().map(|sum| sum / rows).collect()
}

/// Variance of the simulated error of an output with weights of one magnitude, relative to q².
fn predicted_variance(parameters: &PackedParameters, l2: f64) -> f64 {
    let fresh = fresh_standard_deviation(parameters.lwe_dimension(), parameters.limbs).unwrap();
    let rounding = |limbs: usize, kept: usize| {
        if kept == limbs {
            0.0
        } else {
            (-16.0 * kept as f64).exp2() / 12.0
        }
    };
    (fresh * fresh + rounding(parameters.limbs, parameters.body_limbs)) * l2 * l2
        + mask_rounding_deviation(parameters).powi(2)
        + rounding(parameters.body_limbs, parameters.output_body_limbs)
}

/// P(|Z| > t) of a standard normal variable, by the trapezoidal rule.
fn two_sided_tail(t: f64) -> f64 {
    let step = 1e-4;
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let steps = (10.0 / step) as usize;
    2.0 * step
        * (0..steps)
            .map(|i| density(t + (i as f64 + 0.5) * step))
            .sum::<f64>()
}

#[test]
fn simulated_noise_has_the_variance_of_the_real_one_and_of_the_prediction() {
    let outputs = 2048;
    let activations = activations();
    for kept in KEPT {
        let weights = weights(outputs, 15);
        let mut parameters = parameters(kept);
        parameters.message_bits = message_bits(&parameters, &weights, INPUTS);
        let layer = layer(parameters, INPUTS, outputs, weights.clone(), 5);
        let real = layer
            .client
            .residual_noise(&evaluated(&layer, &activations))
            .unwrap();
        let simulated = layer
            .client
            .simulated_noise(&activations, |x, y| layer.server.multiply_row(x, y))
            .unwrap();
        let real = column_means(&real, outputs, |x| x * x);
        let simulated = column_means(&simulated, outputs, |x| x * x);
        // Groups of like weights. Where masks are rounded the records of an output are no independent
        // samples: there it takes all outputs to know the real variance to some per cent.
        let groups = if kept.1 < 5 { 1 } else { 8 };
        for group in 0..groups {
            let columns = group * outputs / groups..(group + 1) * outputs / groups;
            let sum = |means: &[f64]| means[columns.clone()].iter().sum::<f64>();
            let predicted: f64 = columns
                .clone()
                .map(|j| {
                    let norms = column_norms(&weights[j * INPUTS..][..INPUTS], INPUTS);
                    predicted_variance(&parameters, norms.l2)
                })
                .sum();
            let of_prediction = sum(&simulated) / predicted;
            let of_real = sum(&simulated) / sum(&real);
            println!(
                "{kept:?}, columns {columns:?}: variance {of_prediction:.3} of the prediction, {of_real:.3} of the real one"
            );
            assert!((of_prediction - 1.0).abs() < 0.03, "{of_prediction}");
            assert!((of_real - 1.0).abs() < 0.1, "{of_real}");
        }
    }
}

#[test]
fn too_many_message_bits_give_as_many_wrong_integers_as_in_reality_and_as_predicted() {
    let outputs = 256;
    let activations = activations();
    for kept in KEPT {
        // All columns alike, so that one rate holds for all.
        let weights: Vec<i8> = weights(outputs, 1).iter().map(|w| w * 7).collect();
        let norms = column_norms(&weights, INPUTS);
        let parameters = parameters(kept);
        let deviation = predicted_variance(&parameters, norms.l2).sqrt();
        // Half the distance of messages is then 1.5 to 3 deviations.
        let parameters = PackedParameters {
            message_bits: (-(1.5 * deviation).log2()).floor() as usize - 1,
            ..parameters
        };
        let layer = layer(parameters, INPUTS, outputs, weights, 5);
        let clear = layer.server.accumulate(&activations);
        let wrong = |values: &[i64]| {
            let flags: Vec<bool> = values.iter().zip(&clear).map(|(a, b)| a != b).collect();
            let rates = column_means(&flags, outputs, |flag| f64::from(u8::from(flag)));
            let rate = rates.iter().sum::<f64>() / outputs as f64;
            // Outputs are independent, the records of one are not: they share the mask's rounding.
            let spread = rates.iter().map(|r| (r - rate).powi(2)).sum::<f64>();
            (rate, spread.sqrt() / outputs as f64)
        };
        let (real, real_error) = wrong(
            &layer
                .client
                .decrypt(&evaluated(&layer, &activations))
                .unwrap(),
        );
        let (simulated, error) = wrong(&simulated(&layer, &activations));
        let distance = (-(parameters.message_bits as f64 + 1.0)).exp2();
        let normal = two_sided_tail(distance / deviation);
        println!(
            "{kept:?}, p = {}: simulated {simulated:.5} ± {error:.5}, real {real:.5} ± {real_error:.5}, normal {normal:.5}",
            parameters.message_bits
        );
        // A secret's weight shifts the real variance by some per cent where the mask's rounding counts.
        let tolerance = 5.0 * error.hypot(real_error) + 0.1 * real;
        assert!(real > 0.001 && real < 0.2, "{kept:?}: {real} are wrong");
        assert!(
            (simulated - real).abs() < tolerance,
            "{kept:?}: {simulated} wrong in simulation, {real} in reality"
        );
        let bound = OutputNoise::of(&parameters, norms)
            .unwrap()
            .log2_failure_probability(parameters.message_bits);
        assert!(simulated < bound.exp2(), "{kept:?}: bound 2^{bound}");
        // Of a sum of hundreds of terms; the rounding of a result's body is one term and counts for more.
        if kept.2 == kept.0 {
            assert!(
                (simulated - normal).abs() < 5.0 * error,
                "{kept:?}: {simulated} wrong in simulation, {normal} predicted"
            );
        }
    }
}

#[test]
fn parameters_that_decrypt_right_simulate_right() {
    let outputs = 40;
    let activations = activations();
    for kept in KEPT {
        let weights = weights(outputs, 7);
        let mut parameters = parameters(kept);
        parameters.message_bits = message_bits(&parameters, &weights, INPUTS);
        let layer = layer(parameters, INPUTS, outputs, weights, 5);
        let clear = layer.server.accumulate(&activations);
        let half = 1 << (parameters.message_bits - 1);
        assert!(clear.iter().all(|value| (-half..half).contains(value)));
        assert!(simulated(&layer, &activations) == clear, "{kept:?}");
    }
}

#[test]
fn noise_at_the_end_of_the_range_wraps_as_decryption_does() {
    // The deviation is eight units, the accumulator the largest of eight bits.
    let mut parameters = parameters(Kept(5, 1, 1));
    parameters.message_bits = 8;
    let outputs = 512;
    let layer = layer(parameters, INPUTS, outputs, vec![1; INPUTS * outputs], 5);
    let mut record = [2; INPUTS];
    record[0] = 1;
    let values = simulated(&layer, &record.repeat(64));
    assert!(values.iter().all(|value| (-128..128).contains(value)));
    let wrapped = values.iter().filter(|&&value| value < 0).count();
    let share = wrapped as f64 / values.len() as f64;
    assert!((0.44..0.51).contains(&share), "{share}");
}

#[test]
fn two_simulations_differ_and_halves_of_records_are_refused() {
    let mut weak = parameters(Kept(5, 5, 5));
    weak.message_bits = 38;
    let layer = layer(weak, INPUTS, 4, vec![1; 4 * INPUTS], 5);
    let activations = vec![0; 8 * INPUTS];
    assert_ne!(
        simulated(&layer, &activations),
        simulated(&layer, &activations)
    );
    let error = layer
        .client
        .simulate(&activations[1..], |x, y| layer.server.multiply_row(x, y))
        .unwrap_err();
    assert!(error.to_string().contains("whole records"), "{error}");
}
