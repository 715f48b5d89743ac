//! What both sides refuse, and what one record can do to the others of its block.

mod common;

use common::{KEY_ID, Shape, Sides, circuit, random, records};
use fhe_core::Error;
use fhe_leveled::ActivationForm::{EvenPlusLinear, General};
use fhe_leveled::{LeveledClientKey, RelinearizationKey, SentBlock, largest_output_scale};

fn sides() -> Sides {
    let shape = Shape {
        polynomial_size: 8192,
        widths: &[4, 5, 2],
        activations: &[(EvenPlusLinear, 7)],
        output_scale: largest_output_scale(8192),
    };
    Sides::new(circuit(&shape, &mut random(1)))
}

fn refusal<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::InvalidInput(message)) => message,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was accepted"),
    }
}

#[test]
fn records_that_cannot_be_encrypted_are_named() {
    let sides = sides();
    let mut inputs = records(3, 4, &mut random(2));
    let refused = |inputs: &[f32]| refusal(sides.client.encrypt(&sides.secret, inputs, 12));
    inputs[6] = f32::NAN;
    assert!(refused(&inputs).contains("block 12: feature 2 of record 1 is NaN, must be at most"));
    inputs[6] = 3e30;
    assert!(refused(&inputs).contains("feature 2 of record 1 is 3"));
    inputs[6] = f32::NEG_INFINITY;
    assert!(refused(&inputs).contains("feature 2 of record 1 is -inf"));
    for wrong in [vec![], vec![0.0; 5], vec![0.0; 4 * 8193]] {
        assert!(refused(&wrong).contains("are not 1 to 8192 records of 4"));
    }
}

#[test]
fn blocks_of_others_are_refused_by_both_sides() {
    let sides = sides();
    let inputs = records(3, 4, &mut random(2));
    let block = sides.client.encrypt(&sides.secret, &inputs, 5).unwrap();
    let results = sides
        .server
        .evaluate(&sides.key, &block, 1, &mut || false)
        .unwrap();
    let evaluated = |key: &RelinearizationKey, block: &[u8]| {
        refusal(sides.server.evaluate(key, block, 1, &mut || false))
    };
    assert!(
        evaluated(&sides.key, &results)
            .contains("holds LeveledResults, a leveled circuit takes LeveledActivations")
    );
    assert!(evaluated(&sides.key, &block[..100]).contains("truncated"));

    let other_id = LeveledClientKey::derive(&[3; 16], [1; 16], 8192).unwrap();
    let other_key = other_id.relinearization_key(6, 1, &mut |_| true).unwrap();
    let other_key = RelinearizationKey::open(&other_key, 1).unwrap();
    assert!(
        evaluated(&other_key, &block)
            .contains("the relinearisation key is of client key 0101010101010101")
    );
    let few_levels = sides
        .secret
        .relinearization_key(5, 1, &mut |_| true)
        .unwrap();
    let few_levels = RelinearizationKey::open(&few_levels, 1).unwrap();
    assert!(
        evaluated(&few_levels, &block)
            .contains("has polynomial size 8192 and 5 levels, the circuit takes 8192 and 6")
    );

    let decrypted = |key: &LeveledClientKey, number, records, block: &[u8]| {
        refusal(
            sides
                .client
                .decrypt(key, &SentBlock { number, records }, block),
        )
    };
    assert!(
        decrypted(&other_id, 5, 3, &results)
            .contains("is of client key 0909090909090909, not of client key 0101010101010101")
    );
    assert!(decrypted(&sides.secret, 6, 3, &results).contains("expected is block 6"));
    assert!(decrypted(&sides.secret, 5, 4, &results).contains("3 records and 2 outputs"));
    assert!(
        decrypted(&sides.secret, 5, 3, &block)
            .contains("holds LeveledActivations, expected LeveledResults")
    );
    let small = LeveledClientKey::derive(&[3; 16], KEY_ID, 4096).unwrap();
    assert!(
        decrypted(&small, 5, 3, &results).contains("polynomial size 4096, the circuit has 8192")
    );
    assert!(refusal(small.relinearization_key(3, 1, &mut |_| true)).contains("allow 1 to 2"));
    assert!(
        refusal(LeveledClientKey::derive(&[3; 16], KEY_ID, 2048).map(|_| ()))
            .contains("polynomial size is 2048")
    );

    // Under another secret, results are noise.
    let other_secret = LeveledClientKey::derive(&[4; 16], KEY_ID, 8192).unwrap();
    assert!(
        decrypted(&other_secret, 5, 3, &results)
            .contains("results of encrypted block 5 are broken: slot")
    );
    let mut other_circuit = sides.circuit.clone();
    other_circuit.layers[0].weights[0] ^= 1;
    let other = Sides::new(other_circuit);
    assert!(
        refusal(other.server.accept(&sides.key, &block).map(|_| ())).contains("is for circuit")
    );
    assert!(
        refusal(
            other
                .client
                .decrypt(&sides.secret, &sides.sent(&inputs), &results)
        )
        .contains("is of circuit")
    );
}

/// Scaled so that one record's inputs of the hidden neurons are `factor`.
fn with_one_record(
    inputs: &mut [f32],
    record: usize,
    weights: &[i8],
    multiplier: f64,
    factor: f64,
) {
    let norm: f64 = weights.iter().map(|&w| f64::from(w).powi(2)).sum();
    for (x, &w) in inputs[4 * record..].iter_mut().zip(weights) {
        *x = (factor * f64::from(w) / norm / multiplier) as f32;
    }
}

#[test]
fn a_record_at_the_bound_does_not_harm_the_others() {
    let mut sides = sides();
    let mut circuit = sides.circuit.clone();
    circuit.layers[0].biases.fill(0.0);
    // One neuron, so that its input alone is at the bound.
    circuit.layers[0].weights[4..].fill(0);
    sides = Sides::new(circuit);
    let layer = &sides.circuit.layers[0];
    let mut inputs = records(8192, 4, &mut random(7));
    let without = sides.execute(&inputs);
    with_one_record(
        &mut inputs,
        100,
        &layer.weights[..4],
        layer.multipliers[0],
        0.999_999,
    );
    let with = sides.execute(&inputs);
    let exact = sides.references(&inputs);
    for record in 0..8192 {
        for output in 0..2 {
            let at = 2 * record + output;
            assert!(
                (f64::from(with[at]) - exact[at]).abs() < 2e-2,
                "record {record}"
            );
            assert!(
                record == 100 || (with[at] - without[at]).abs() < 2e-2,
                "record {record}"
            );
        }
    }
}

#[test]
fn a_record_beyond_the_bound_breaks_its_block_and_that_is_told() {
    let sides = sides();
    let layer = &sides.circuit.layers[0];
    let mut inputs = records(50, 4, &mut random(7));
    with_one_record(
        &mut inputs,
        20,
        &layer.weights[..4],
        layer.multipliers[0],
        30.0,
    );
    let block = sides.client.encrypt(&sides.secret, &inputs, 5).unwrap();
    let results = sides
        .server
        .evaluate(&sides.key, &block, 1, &mut || false)
        .unwrap();
    let error = refusal(
        sides
            .client
            .decrypt(&sides.secret, &sides.sent(&inputs), &results),
    );
    assert!(
        error.contains("results of encrypted block 5 are broken"),
        "{error}"
    );
}

#[test]
fn evaluation_stops_on_request_and_threads_do_not_change_results() {
    let sides = sides();
    let inputs = records(10, 4, &mut random(3));
    let block = sides.client.encrypt(&sides.secret, &inputs, 5).unwrap();
    let one = sides
        .server
        .evaluate(&sides.key, &block, 1, &mut || false)
        .unwrap();
    let mut asked = 0;
    let three = sides.server.evaluate(&sides.key, &block, 3, &mut || {
        asked += 1;
        false
    });
    assert!(three.unwrap() == one && asked > 0);
    for most in [0, 5, 13] {
        let mut asked = 0;
        let stopped = sides.server.evaluate(&sides.key, &block, 1, &mut || {
            asked += 1;
            asked > most
        });
        assert_eq!(stopped, Err(Error::Stopped));
    }
    let stopped = sides
        .secret
        .relinearization_key(6, 1, &mut |share| share < 0.5);
    assert_eq!(stopped, Err(Error::Stopped));
}

/// With few threads the inputs go by, with many the neurons do.
#[test]
fn whether_inputs_or_neurons_are_kept_does_not_change_results() {
    let shape = Shape {
        polynomial_size: 8192,
        widths: &[21, 5, 3],
        activations: &[(General, 3)],
        output_scale: largest_output_scale(8192),
    };
    let sides = Sides::new(circuit(&shape, &mut random(11)));
    let inputs = records(10, 21, &mut random(12));
    let block = sides.client.encrypt(&sides.secret, &inputs, 5).unwrap();
    let [few, many] = [1, 10].map(|threads| {
        let go_on = &mut || false;
        sides
            .server
            .evaluate(&sides.key, &block, threads, go_on)
            .unwrap()
    });
    assert!(few == many);
    let exact = sides.references(&inputs);
    for (found, exact) in sides.execute(&inputs).into_iter().zip(exact) {
        assert!((f64::from(found) - exact).abs() < 1e-2, "{found} {exact}");
    }
}

#[test]
fn two_encryptions_share_nothing() {
    let sides = sides();
    let [a, b] = [5, 5].map(|number| {
        sides
            .client
            .encrypt(&sides.secret, &[0.25; 4], number)
            .unwrap()
    });
    assert_ne!(a[56..72], b[56..72], "seeds of masks");
    let same = a[128..]
        .iter()
        .zip(&b[128..])
        .filter(|(a, b)| a == b)
        .count();
    assert!(
        (same as f64) < 1.1 * (a.len() - 128) as f64 / 256.0,
        "{same}"
    );
}

#[test]
fn a_key_of_more_levels_serves_circuits_of_fewer() {
    let shape = Shape {
        polynomial_size: 8192,
        widths: &[2, 2, 1],
        activations: &[(General, 2)],
        output_scale: largest_output_scale(8192),
    };
    let mut sides = Sides::new(circuit(&shape, &mut random(9)));
    assert_eq!(sides.circuit.parameters.levels, 4);
    let file = sides
        .secret
        .relinearization_key(6, 2, &mut |_| true)
        .unwrap();
    sides.key = RelinearizationKey::open(&file, 1).unwrap();
    let inputs = records(100, 2, &mut random(10));
    let exact = sides.references(&inputs);
    for (found, exact) in sides.execute(&inputs).into_iter().zip(exact) {
        assert!((f64::from(found) - exact).abs() < 1e-2, "{found} {exact}");
    }
}
