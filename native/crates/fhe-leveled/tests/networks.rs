//! Whole networks: ciphertexts against exact arithmetic, and the noise against its prediction.

mod common;

use std::f64::consts::SQRT_2;

use common::{Shape, Sides, circuit, random, records};
use fhe_leveled::ActivationForm::{EvenPlusLinear, General};
use fhe_leveled::{ActivationForm, largest_output_scale};
use rand::RngExt;
use rand_distr::StandardNormal;

/// What the largest of so many errors stays below, in standard deviations, but for a probability of 2^-20.
///
/// Rounding meets the slots of the secret. Both are complex normal numbers, and the real part of their product has a
/// Laplace distribution: it is beyond x deviations with probability exp(-√2·x).
fn largest_deviations(errors: usize) -> f64 {
    (errors as f64 * 20f64.exp2()).ln() / SQRT_2
}

fn sides(
    polynomial_size: usize,
    widths: &[usize],
    activations: &[(ActivationForm, usize)],
    seed: u64,
) -> Sides {
    let output_scale = largest_output_scale(polynomial_size);
    let shape = Shape {
        polynomial_size,
        widths,
        activations,
        output_scale,
    };
    Sides::new(circuit(&shape, &mut random(seed)))
}

/// Root of the mean square, and the largest magnitude.
fn spread(errors: &[f64]) -> (f64, f64) {
    let squares: f64 = errors.iter().map(|e| e * e).sum();
    let largest = errors
        .iter()
        .fold(0.0, |largest: f64, e| largest.max(e.abs()));
    ((squares / errors.len() as f64).sqrt(), largest)
}

/// Runs a network in all three ways. Slots' noise differs with those of the secret, so that there must be thousands to
/// measure it.
fn check(sides: &Sides, count: usize, seed: u64) {
    let inputs = records(count, sides.circuit.inputs, &mut random(seed));
    let exact = sides.references(&inputs);
    let wide: Vec<f64> = inputs.iter().map(|&x| f64::from(x)).collect();
    let clear = sides.server.evaluate_in_clear(&wide, None).unwrap();
    let errors = |found: &[f64]| {
        found
            .iter()
            .zip(&exact)
            .map(|(f, e)| f - e)
            .collect::<Vec<_>>()
    };
    let (_, largest) = spread(&errors(&clear));
    assert!(largest < 1e-6, "in clear {largest:e}");

    let random = &mut random(seed + 1);
    let mut normal = || random.sample(StandardNormal);
    let simulated = sides
        .server
        .evaluate_in_clear(&wide, Some(&mut normal))
        .unwrap();
    let (predicted, _) = spread(&errors(&simulated));

    let executed: Vec<f64> = sides.execute(&inputs).into_iter().map(f64::from).collect();
    let (measured, largest) = spread(&errors(&executed));
    println!("{measured:e}, {predicted:e} predicted, {largest:e} at most");
    assert!(
        measured < 1.3 * predicted && predicted < 1.3 * measured,
        "{measured:e}, {predicted:e} predicted"
    );
    assert!(
        largest < largest_deviations(executed.len()) * predicted,
        "{largest:e}, {predicted:e} predicted"
    );
}

#[test]
fn one_hidden_layer_of_the_even_form_follows_exact_arithmetic() {
    check(
        &sides(8192, &[16, 6, 3], &[(EvenPlusLinear, 7)], 1),
        8192,
        2,
    );
}

#[test]
fn one_hidden_layer_of_the_general_form_follows_exact_arithmetic() {
    check(&sides(8192, &[5, 5, 2], &[(General, 14)], 3), 8000, 4);
}

#[test]
fn every_small_degree_follows_exact_arithmetic() {
    for degree in 1..=15 {
        check(
            &sides(16384, &[3, 2, 1], &[(General, degree)], degree as u64),
            4000,
            5,
        );
        check(
            &sides(
                16384,
                &[3, 2, 1],
                &[(EvenPlusLinear, degree)],
                degree as u64,
            ),
            4000,
            6,
        );
    }
}

#[test]
fn two_hidden_layers_follow_exact_arithmetic() {
    check(
        &sides(
            16384,
            &[7, 9, 5, 2],
            &[(EvenPlusLinear, 3), (General, 12)],
            7,
        ),
        16384,
        8,
    );
}
