//! Foreign bytes: altered files and blocks are refused with an error or do no harm, past their checksums too.

mod common;

use common::{KEY_ID, Shape, Sides, circuit, random};
use fhe_core::Error;
use fhe_core::block::HEADER_BYTES;
use fhe_core::checksum::crc32c;
use fhe_leveled::ActivationForm::{EvenPlusLinear, General};
use fhe_leveled::{
    LeveledCircuit, LeveledClientKey, PreparedLeveledCircuit, RelinearizationKey,
    largest_output_scale,
};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

fn small_circuit() -> LeveledCircuit {
    let shape = Shape {
        polynomial_size: 8192,
        widths: &[3, 4, 2],
        activations: &[(EvenPlusLinear, 3)],
        output_scale: largest_output_scale(8192),
    };
    circuit(&shape, &mut random(1)).validate().unwrap()
}

/// The checksum at the end.
fn sealed(mut file: Vec<u8>) -> Vec<u8> {
    if let Some((body, checksum)) = file.split_last_chunk_mut() {
        *checksum = crc32c(body).to_le_bytes();
    }
    file
}

/// Changes a few bytes, of the first `head` more often than not, or the length.
fn mutated(file: &[u8], head: usize, random: &mut SmallRng) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..random.random_range(1..=3) {
        let range = if random.random() {
            head.min(file.len())
        } else {
            file.len()
        };
        let at = random.random_range(0..range);
        match random.random_range(0..6) {
            0 => file[at] ^= 1 << random.random_range(0..8),
            1 => file[at] = random.random(),
            2 => {
                let extreme: u64 = *[
                    0,
                    1,
                    u64::MAX,
                    1 << 31,
                    f64::NAN.to_bits(),
                    f64::INFINITY.to_bits(),
                    1e300f64.to_bits(),
                ]
                .choose(random)
                .unwrap();
                let width = *[4, 8].choose(random).unwrap();
                let end = file.len().min(at + width);
                file[at..end].copy_from_slice(&extreme.to_le_bytes()[..end - at]);
            }
            3 => file.truncate(at.max(8)),
            4 => file.extend_from_within(..at),
            _ => random.fill_bytes(&mut file[at..][..1]),
        }
    }
    file
}

#[test]
fn altered_circuits_are_refused_or_harmless() {
    let circuit = small_circuit();
    let file = circuit.encode();
    assert_eq!(LeveledCircuit::decode(&file), Ok(circuit));
    let random = &mut random(2);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let altered = mutated(&file, 120, random);
        assert!(altered == file || LeveledCircuit::decode(&altered).is_err());
        let altered = sealed(altered);
        match LeveledCircuit::decode(&altered) {
            Ok(circuit) => {
                accepted += 1;
                assert!(circuit.encode() == altered);
                let prepared = PreparedLeveledCircuit::open(&altered).unwrap();
                let inputs = vec![0.5; circuit.inputs];
                let noise = &mut || 1.0;
                let outputs = prepared.evaluate_in_clear(&inputs, Some(noise)).unwrap();
                assert!(outputs.iter().all(|y| !y.is_nan()));
            }
            Err(Error::InvalidInput(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(accepted > 500, "{accepted}");
}

#[test]
fn what_is_wrong_with_a_circuit_is_named() {
    let good = small_circuit();
    let refusal = |change: &dyn Fn(&mut LeveledCircuit)| {
        let mut circuit = good.clone();
        change(&mut circuit);
        let error = circuit.clone().validate().unwrap_err();
        // A file says the same.
        assert_eq!(
            LeveledCircuit::decode(&circuit.encode()).unwrap_err(),
            error
        );
        error.to_string()
    };
    for (what, change) in [
        ("it has 5 levels, its activations and layers take 5", None),
        (
            "it has 6 levels, its activations and layers take 5",
            Some::<&dyn Fn(&mut LeveledCircuit)>(&|c| c.parameters.levels = 6),
        ),
        (
            "7 levels at polynomial size 8192, 128 bits of security allow 1 to 6",
            Some(&|c| c.parameters.levels = 7),
        ),
        (
            "polynomial size is 2048",
            Some(&|c| c.parameters.polynomial_size = 2048),
        ),
        ("its output scale is", Some(&|c| c.output_scale *= 1.001)),
        (
            "its output scale is NaN",
            Some(&|c| c.output_scale = f64::NAN),
        ),
        ("its input scale is 0", Some(&|c| c.input_scale = 0.0)),
        (
            "a multiplier of its first layer is",
            Some(&|c| c.layers[0].multipliers[1] *= 1.001),
        ),
        (
            "one of multipliers of layer 1 is inf",
            Some(&|c| c.layers[1].multipliers[0] = f64::INFINITY),
        ),
        (
            "one of biases of layer 0 is NaN",
            Some(&|c| c.layers[0].biases[3] = f64::NAN),
        ),
        (
            "one of coefficients of activation 0 is 2e30",
            Some(&|c| c.activations[0].coefficients[5] = 2e30),
        ),
        (
            "one of linear terms of activation 0 is -inf",
            Some(&|c| c.activations[0].linear[0] = f64::NEG_INFINITY),
        ),
        ("its key has 4097 bytes", None),
    ] {
        if let Some(change) = change {
            let error = refusal(change);
            assert!(error.contains(what), "{error}: {what}");
        }
    }
    let mut long = good.clone();
    long.module_key = "k".repeat(4097);
    assert!(
        long.validate()
            .unwrap_err()
            .to_string()
            .contains("its key has 4097 bytes")
    );
    let mut uneven = good.clone();
    uneven.activations[0].form = General;
    let error = uneven.validate().unwrap_err().to_string();
    assert!(
        error.contains("it has 4 for linear terms of activation 0, must be 0"),
        "{error}"
    );
    let mut shallow = good;
    shallow.layers.truncate(1);
    shallow.activations.clear();
    let error = shallow.validate().unwrap_err().to_string();
    assert!(
        error.contains("it has 1 for linear layers, must be in 2..="),
        "{error}"
    );
}

#[test]
fn altered_keys_are_refused_or_harmless() {
    let secret = LeveledClientKey::derive(&[3; 16], KEY_ID, 4096).unwrap();
    let file = secret.relinearization_key(1, 1, &mut |_| true).unwrap();
    let random = &mut random(3);
    let mut accepted = 0;
    for _ in 0..3000 {
        let altered = mutated(&file, 48, random);
        assert!(altered == file || RelinearizationKey::open(&altered, 1).is_err());
        match RelinearizationKey::open(&sealed(altered), 1) {
            Ok(_) => accepted += 1,
            Err(Error::InvalidInput(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(accepted > 100, "{accepted}");
}

#[test]
fn keys_that_would_take_much_memory_are_refused_by_their_length() {
    let secret = LeveledClientKey::derive(&[3; 16], KEY_ID, 4096).unwrap();
    let mut file = secret.relinearization_key(1, 1, &mut |_| true).unwrap();
    file[24..28].copy_from_slice(&32768u32.to_le_bytes());
    file[28..32].copy_from_slice(&27u32.to_le_bytes());
    let error = RelinearizationKey::open(&sealed(file), 1)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("truncated or damaged"), "{error}");
}

#[test]
fn residues_that_are_none_are_refused() {
    let sides = Sides::new(small_circuit());
    let mut file = sides
        .secret
        .relinearization_key(5, 1, &mut |_| true)
        .unwrap();
    let length = file.len();
    file[length - 20..length - 4].fill(0xff);
    let error = RelinearizationKey::open(&sealed(file), 1)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("residue of digit 4 that is not below its prime"),
        "{error}"
    );

    let mut block = sides.client.encrypt(&sides.secret, &[0.5; 3], 5).unwrap();
    let length = block.len();
    block[length - 8..].fill(0xff);
    reseal(&mut block);
    let error = sides
        .server
        .evaluate(&sides.key, &block, 1, &mut || false)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("residue of feature 2 that is not below its prime"),
        "{error}"
    );
}

/// Checksums of a block.
fn reseal(block: &mut [u8]) {
    let payload = crc32c(&block[HEADER_BYTES..]);
    block[116..120].copy_from_slice(&payload.to_le_bytes());
    let header = crc32c(&block[..HEADER_BYTES - 4]);
    block[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
}

#[test]
fn altered_blocks_are_refused() {
    let sides = Sides::new(small_circuit());
    let records = [0.5; 6];
    let block = sides.client.encrypt(&sides.secret, &records, 5).unwrap();
    let results = sides
        .server
        .evaluate(&sides.key, &block, 1, &mut || false)
        .unwrap();
    let random = &mut random(4);
    for _ in 0..2000 {
        let altered = mutated(&block, HEADER_BYTES, random);
        assert!(
            altered == block
                || sides
                    .server
                    .evaluate(&sides.key, &altered, 1, &mut || false)
                    .is_err()
        );
        let altered = mutated(&results, HEADER_BYTES, random);
        assert!(
            altered == results
                || sides
                    .client
                    .decrypt(&sides.secret, &sides.sent(&records), &altered)
                    .is_err()
        );
    }
    // Fields of headers alone, with right checksums.
    for at in 0..HEADER_BYTES - 4 {
        // The mask's seed, the block's number and the number of records may be any; the payload's checksum is right.
        let is_free =
            |places: &[std::ops::Range<usize>]| places.iter().any(|place| place.contains(&at));
        if (116..120).contains(&at) {
            continue;
        }
        for bits in [1, 0x80] {
            let mut altered = block.clone();
            altered[at] ^= bits;
            reseal(&mut altered);
            let accepted = sides.server.accept(&sides.key, &altered).is_ok();
            let may_be = is_free(&[56..72, 84..86, 96..104]);
            assert!(!accepted || may_be, "byte {at}");
            let mut altered = results.clone();
            altered[at] ^= bits;
            reseal(&mut altered);
            let decrypted = sides
                .client
                .decrypt(&sides.secret, &sides.sent(&records), &altered);
            assert!(decrypted.is_err(), "byte {at}");
        }
    }
}
