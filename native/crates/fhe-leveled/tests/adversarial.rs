//! Records that are made to break their block: every other record keeps its result.

mod common;

use common::{Shape, Sides, circuit, random};
use fhe_leveled::ActivationForm::EvenPlusLinear;
use fhe_leveled::{RecordBall, largest_output_scale};
use rand::RngExt;
use rand::rngs::SmallRng;
use rand_distr::StandardNormal;

const INPUTS: usize = 8;
const RECORDS: usize = 256;

/// Of predicted noise: no result may err by more.
const LARGEST_ERROR: f64 = 12.0;

fn sides() -> Sides {
    let shape = Shape {
        polynomial_size: 8192,
        widths: &[INPUTS, 3, 2],
        activations: &[(EvenPlusLinear, 7)],
        output_scale: largest_output_scale(8192),
    };
    Sides::new(circuit(&shape, &mut random(17)))
}

/// A record within the ball of most, and what somebody made of it.
fn hostile(kind: usize, random: &mut SmallRng) -> [f32; INPUTS] {
    let mut record: [f32; INPUTS] = std::array::from_fn(|_| random.random_range(-0.7..=0.7));
    let feature = random.random_range(0..INPUTS);
    match kind {
        1 => record = record.map(|x| 2.0 * x),
        2 => {
            let factor = random.random_range(2.0..=1000.0);
            record = record.map(|x| factor * x);
        }
        3 => record[feature] = 1e30,
        4 => record[feature] = -f32::MAX,
        5 => record = [f32::MAX; INPUTS],
        6 => record[feature] = f32::MIN_POSITIVE,
        7 => record = record.map(|x| 1e-40 * x),
        _ => {}
    }
    record
}

/// Blocks of which so many records are hostile; gives how often a record was drawn into the ball.
fn attack(blocks: usize) -> usize {
    let sides = sides();
    let spread = [0.6; INPUTS];
    let ball = RecordBall::new(vec![0.1; INPUTS], &spread, 1.0).unwrap();
    let random = &mut random(23);
    let mut drawn = 0;
    let mut predicted = 0.0;
    for block in 0..blocks {
        // From a single hostile record to a block of nothing else.
        let share = [0.004, 0.1, 0.5, 1.0][block % 4];
        let mut inputs = Vec::with_capacity(RECORDS * INPUTS);
        while inputs.len() < RECORDS * INPUTS {
            let is_hostile = random.random_bool(share);
            let kind = if is_hostile {
                random.random_range(1..=10)
            } else {
                0
            };
            let mut record = hostile(kind, random);
            let broken = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
            if let Some(&value) = kind.checked_sub(8).and_then(|index| broken.get(index)) {
                record[random.random_range(0..INPUTS)] = value;
            }
            let mut normalized = [0.0; INPUTS];
            match ball.normalize(&record, &mut normalized) {
                Ok(factor) => {
                    drawn += usize::from(factor < 1.0);
                    inputs.extend(normalized.map(|x| x as f32));
                }
                Err(error) => assert!(kind >= 8, "{record:?}: {error}"),
            }
        }
        let exact = sides.references(&inputs);
        if predicted == 0.0 {
            let wide: Vec<f64> = inputs.iter().map(|&x| f64::from(x)).collect();
            let mut normal = || random.sample(StandardNormal);
            let noisy = sides
                .server
                .evaluate_in_clear(&wide, Some(&mut normal))
                .unwrap();
            let squares: f64 = noisy.iter().zip(&exact).map(|(n, e)| (n - e).powi(2)).sum();
            predicted = (squares / exact.len() as f64).sqrt();
        }
        for (number, (found, exact)) in sides.execute(&inputs).iter().zip(&exact).enumerate() {
            let error = (f64::from(*found) - exact).abs();
            assert!(
                error < LARGEST_ERROR * predicted,
                "block {block}, output {number}: {found} for {exact}, noise is {predicted:e}"
            );
        }
    }
    drawn
}

#[test]
fn hostile_records_harm_no_other() {
    assert!(attack(40) > 1000);
}

/// The same of thousands of blocks, for minutes.
#[test]
#[ignore = "takes minutes; `make test-rust-slow` runs it"]
fn hostile_records_harm_no_other_in_thousands_of_blocks() {
    assert!(attack(4000) > 100_000);
}

/// What the ball is for: without it one record takes its whole block along, and decryption says so.
#[test]
fn a_record_beyond_the_ball_would_break_its_block_and_that_is_noticed() {
    let sides = sides();
    let mut inputs = vec![0.1f32; RECORDS * INPUTS];
    inputs[..INPUTS].fill(1000.0);
    let sent = sides.sent(&inputs);
    let block = sides
        .client
        .encrypt(&sides.secret, &inputs, sent.number)
        .unwrap();
    let results = sides
        .server
        .evaluate(&sides.key, &block, 2, &mut || false)
        .unwrap();
    let error = sides
        .client
        .decrypt(&sides.secret, &sent, &results)
        .unwrap_err();
    assert!(error.to_string().contains("block 5"), "{error}");
}
