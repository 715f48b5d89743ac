//! Results that are re-randomised: exact, of the predicted noise, and under the client's public key alone.

mod common;

use common::{Layer, TestData, column_norms, evaluate_under, layer, public_key};
use fhe_client::{Activations, SecretKeyShape};
use fhe_core::block::{BlockHeader, BlockKind};
use fhe_core::mask::MaskStream;
use fhe_core::noise::OutputNoise;
use fhe_core::parameters::PackedParameters;
use fhe_server::PublicKey;

fn parameters(limbs: usize, flooding: usize) -> PackedParameters {
    PackedParameters {
        glwe_dimension: 4,
        polynomial_size: 512,
        limbs,
        body_limbs: limbs,
        output_limbs: limbs,
        output_body_limbs: limbs - 1,
        message_bits: 16,
        bodies: 2,
        summands: 1,
        flooding,
    }
}

fn signs(inputs: usize, outputs: usize, magnitude: i8) -> Vec<i8> {
    let mut data = TestData::new(11);
    (0..inputs * outputs)
        .map(|_| [magnitude, -magnitude][(data.next() >> 40 & 1) as usize])
        .collect()
}

fn records(records: usize, inputs: usize) -> Vec<i16> {
    let mut data = TestData::new(3);
    (0..records * inputs)
        .map(|_| data.signed(15) as i16)
        .collect()
}

#[test]
fn re_randomised_results_are_exact_for_every_width_and_modulus() {
    let (inputs, outputs) = (32, 9);
    for limbs in [4, 5, 6, 7] {
        let mut parameters = parameters(limbs, 8 * limbs - 16 - 2);
        // Bodies that travel up without their last byte.
        parameters.body_limbs = limbs.min(5);
        parameters.output_body_limbs = 3;
        let layer = layer(parameters, inputs, outputs, signs(inputs, outputs, 5), 5);
        let key = public_key(&layer);
        for (count, threads) in [(1, 1), (70, 2), (95, 3), (1024, 2)] {
            let integers = records(count, inputs);
            let activations = Activations::from_records(&integers, inputs);
            let block = layer.client.encrypt(&activations, 7).unwrap();
            let result = evaluate_under(&layer, &key, &block, threads);
            let wide: Vec<i32> = integers.into_iter().map(i32::from).collect();
            assert_eq!(
                layer.client.decrypt(&result).unwrap(),
                layer.server.accumulate(&wide),
                "{limbs} limbs, {count} records"
            );
        }
    }
}

/// Measured over predicted deviation of evaluation and of simulation, over some client keys.
fn ratios(parameters: PackedParameters, keys: u64) -> [f64; 2] {
    let (inputs, outputs, count) = (64, 128, 1024);
    let weights = signs(inputs, outputs, 1);
    let predicted = OutputNoise::of(&parameters, column_norms(&weights, inputs)).unwrap();
    let integers = records(count, inputs);
    let activations = Activations::from_records(&integers, inputs);
    let wide: Vec<i32> = integers.into_iter().map(i32::from).collect();
    let mut squares = [0.0; 2];
    for number in 0..keys {
        let layer = layer(parameters, inputs, outputs, weights.clone(), 5);
        let block = layer.client.encrypt(&activations, number).unwrap();
        let result = evaluate_under(&layer, &public_key(&layer), &block, 2);
        let simulated = layer
            .client
            .simulated_noise(&wide, |row, out| layer.server.multiply_row(row, out));
        let noises = [
            layer.client.residual_noise(&result).unwrap(),
            simulated.unwrap(),
        ];
        for (square, noise) in squares.iter_mut().zip(noises) {
            *square += noise.iter().map(|e| e * e).sum::<f64>() / noise.len() as f64;
        }
    }
    squares.map(|square| (square / keys as f64).sqrt() / predicted.standard_deviation)
}

#[test]
fn noise_of_encryptions_of_zero_and_flooding_is_the_predicted_one() {
    // Little flooding: what is left is the encryption of zero. The prediction takes secrets of weight
    // n/2 + 4.5·√n; the ratio at n/2 is 0.92.
    for ratio in ratios(parameters(5, 1), 4) {
        assert!(
            (0.90..0.94).contains(&ratio),
            "measured / predicted {ratio}"
        );
    }
    for ratio in ratios(parameters(5, 20), 1) {
        assert!(
            (0.98..1.02).contains(&ratio),
            "measured / predicted {ratio}"
        );
    }
}

#[test]
fn a_known_mask_times_the_weights_is_not_in_the_result() {
    let (inputs, outputs) = (2, 3);
    let plain = parameters(5, 0);
    let layer_of = |parameters| layer(parameters, inputs, outputs, vec![1, 0, 0, 1, 1, 1], 5);
    // Rows of the result's mask, less the first feature's mask: zero if weights were 1 and 0 and nothing else.
    let is_first_mask = |layer: &Layer, key: Option<&PublicKey>| {
        let activations = Activations::from_records(&[1, 2], inputs);
        let block = layer.client.encrypt(&activations, 0).unwrap();
        let (header, _) = BlockHeader::parse(&block).unwrap();
        let result = match key {
            Some(key) => evaluate_under(layer, key, &block, 1),
            None => layer.server.evaluate(&block).unwrap(),
        };
        let (of_result, payload) = BlockHeader::parse(&result).unwrap();
        assert_eq!(of_result.kind, BlockKind::Results);
        let mut mask = vec![0; 5 * 64];
        MaskStream::new(&header.mask_seed, &plain).fill_panel(0, 0, &mut mask);
        payload[..5 * 64] == mask
    };
    let unprotected = layer_of(plain);
    assert!(is_first_mask(&unprotected, None));
    let protected = layer_of(parameters(5, 20));
    let key = public_key(&protected);
    assert!(!is_first_mask(&protected, Some(&key)));
    // Every evaluation draws anew.
    let activations = Activations::from_records(&[1, 2], inputs);
    let block = protected.client.encrypt(&activations, 0).unwrap();
    let [first, second] = [0, 1].map(|_| evaluate_under(&protected, &key, &block, 1));
    let same = first.iter().zip(&second).filter(|(a, b)| a == b).count();
    assert!(same < first.len() / 50, "{same} of {}", first.len());
}

#[test]
fn what_cannot_be_re_randomised_is_refused_by_one_line() {
    let layer_of = |parameters| layer(parameters, 2, 1, vec![1, 2], 5);
    let (layer, other) = (layer_of(parameters(5, 20)), layer_of(parameters(5, 20)));
    let activations = Activations::from_records(&[1, 2], 2);
    let block = layer.client.encrypt(&activations, 0).unwrap();
    let refusal = |key: Option<&PublicKey>| {
        let accepted = layer.server.accept_under(key, &block);
        accepted.err().unwrap().to_string()
    };
    assert!(refusal(None).contains("needs the client's public key"));
    assert!(refusal(Some(&public_key(&other))).contains("the public key is of key"));
    let narrower = PackedParameters {
        bodies: 3,
        ..parameters(5, 20)
    };
    let of_other_shape = layer_of(narrower);
    let shape = SecretKeyShape {
        glwe_dimension: 4,
        polynomial_size: 512,
        limbs: 5,
        bodies: 2,
    };
    assert!(of_other_shape.key.public_key(&[shape]).is_err());
    let error = layer.client.order_mask(8, 0).err().unwrap().to_string();
    assert!(error.contains("cannot be prepared ahead"), "{error}");
}
