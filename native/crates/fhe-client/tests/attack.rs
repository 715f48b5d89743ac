//! Our own attacks on the weights of a 384 × 384 module, with and without re-randomised results.

mod common;

use common::TestData;
use fhe_client::Target;
use fhe_core::circuit::PackedCircuit;
use fhe_core::parameters::PackedParameters;
use fhe_server::{PreparedCircuit, PublicKey};

const SIZE: usize = 384;
const KEY_ID: [u8; 16] = [3; 16];

/// What compile chooses for such a layer at the time of writing, but for the limbs of the result's mask.
fn parameters(output_limbs: usize, flooding: usize) -> PackedParameters {
    PackedParameters {
        glwe_dimension: 2,
        polynomial_size: 1024,
        limbs: 5,
        body_limbs: 5,
        output_limbs,
        output_body_limbs: 3,
        message_bits: 22,
        bodies: 4,
        summands: 1,
        flooding,
    }
}

/// As p = 22 allows at most.
const FLOODING: usize = 40 - 22 - 2;

struct Attacked {
    server: PreparedCircuit,
    target: Target,
    public_key: PublicKey,
}

impl Attacked {
    fn of(parameters: PackedParameters) -> Self {
        let mut data = TestData::new(17);
        let circuit = PackedCircuit {
            parameters,
            module_key: "secret".into(),
            inputs: SIZE,
            outputs: SIZE,
            weights: (0..SIZE * SIZE).map(|_| data.next() as i8).collect(),
        };
        let server = PreparedCircuit::open(&circuit.validate().unwrap().encode()).unwrap();
        let target = Target {
            circuit: *server.digest(),
            parameters,
            inputs: SIZE,
            outputs: SIZE,
        }
        .validate()
        .unwrap();
        let public_key = PublicKey::open(&target.public_key(KEY_ID).unwrap()).unwrap();
        Attacked {
            server,
            target,
            public_key,
        }
    }

    /// A block of chosen bodies, and its results.
    fn ask(&self, records: usize) -> (Vec<u8>, Vec<u8>) {
        let block = self.target.block(KEY_ID, records).unwrap();
        let accepted = self.server.accept_under(Some(&self.public_key), &block);
        let accepted = accepted.unwrap();
        let mut result = vec![0; accepted.result_bytes()];
        self.server
            .evaluate_into(&accepted, &mut result, 2, &mut || false)
            .unwrap();
        (block, result)
    }

    /// Weights that the bodies of so many records give, and how many of them are right.
    fn by_bodies(&self, records: usize) -> (usize, usize) {
        let (_, result) = self.ask(records);
        let found = self.target.weights_of_bodies(&result).unwrap();
        let features = found.len() / SIZE;
        let weights = &self.server.circuit().weights;
        let rows = found.chunks_exact(features).zip(weights.chunks_exact(SIZE));
        let right = rows
            .flat_map(|(found, weights)| found.iter().zip(weights))
            .filter(|(found, weight)| found == weight)
            .count();
        (found.len(), right)
    }
}

#[test]
fn the_masks_of_one_record_give_every_weight() {
    let attacked = Attacked::of(parameters(5, 0));
    let (block, result) = attacked.ask(1);
    let found = attacked.target.weights_of_masks(&block, &result).unwrap();
    assert!(found.as_ref() == Some(&attacked.server.circuit().weights));
}

#[test]
fn one_block_of_chosen_records_gives_every_weight_where_masks_are_rounded() {
    let attacked = Attacked::of(parameters(4, 0));
    assert_eq!(attacked.target.weights_per_record(), 3);
    assert_eq!(attacked.target.records_needed(), 128);
    assert_eq!(attacked.by_bodies(1), (3 * SIZE, 3 * SIZE));
    assert_eq!(attacked.by_bodies(128), (SIZE * SIZE, SIZE * SIZE));
}

#[test]
fn with_protection_it_takes_a_record_for_each_two_weights_of_an_output() {
    for output_limbs in [4, 5] {
        let attacked = Attacked::of(parameters(output_limbs, FLOODING));
        let (block, result) = attacked.ask(1);
        assert_eq!(
            attacked.target.weights_of_masks(&block, &result).unwrap(),
            None
        );
        assert_eq!(attacked.target.weights_per_record(), 2);
        let half = SIZE / 2;
        assert_eq!(attacked.target.records_needed(), half);
        assert_eq!(attacked.by_bodies(1), (2 * SIZE, 2 * SIZE));
        // One record less leaves two columns of weights unknown.
        let most = (SIZE - 2) * SIZE;
        assert_eq!(attacked.by_bodies(half - 1), (most, most));
        assert_eq!(attacked.by_bodies(half), (SIZE * SIZE, SIZE * SIZE));
    }
}

#[test]
fn a_third_weight_is_drowned_by_the_flooding() {
    // The attack believes that results are not flooded.
    let mut attacked = Attacked::of(parameters(5, FLOODING));
    let plain = PackedParameters {
        flooding: 0,
        ..attacked.target.parameters
    };
    attacked.target.parameters = plain;
    let (found, right) = attacked.by_bodies(128);
    assert_eq!(found, SIZE * SIZE);
    // Two of three digits, less what the third carries into them, and the third about one time in two.
    assert!(right < found * 9 / 10, "{right} of {found}");
}
