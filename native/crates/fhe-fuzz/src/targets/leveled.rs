//! Leveled circuits: their files, keys, blocks and results. The smallest that is secure is no small one.

use fhe_core::block::{BlockHeader, HEADER_BYTES};
use fhe_leveled::{
    ActivationForm, LeveledActivation, LeveledCircuit, LeveledClient, LeveledClientKey,
    LeveledLayer, LeveledParameters, LeveledSpec, PreparedLeveledCircuit, RelinearizationKey,
    SentBlock, largest_output_scale, levels_needed, nominal_scale,
};

use super::fixtures::{BLOCK_NUMBER, KEY_ID};
use crate::Target;

const POLYNOMIAL_SIZE: usize = 8192;
/// Of all bytes of a payload: every residue is below every prime.
const FILLER: u8 = 0x11;
/// Products of weights and records that a circuit takes that is evaluated.
const MOST_PRODUCTS: usize = 1 << 20;

/// Of so many inputs; the last has two hidden layers.
fn circuits() -> Vec<LeveledCircuit> {
    use ActivationForm::{EvenPlusLinear, General};
    vec![
        circuit(&[1, 1, 1], &[(General, 1)]),
        circuit(&[3, 5, 2], &[(EvenPlusLinear, 7)]),
        circuit(&[2, 4, 3, 1], &[(General, 2), (General, 1)]),
    ]
}

fn circuit(widths: &[usize], activations: &[(ActivationForm, usize)]) -> LeveledCircuit {
    let layer = |pair: &[usize]| LeveledLayer {
        outputs: pair[1],
        weights: (0..pair[0] * pair[1]).map(|w| w as i8 * 5 - 7).collect(),
        multipliers: vec![1.0 / 1024.0; pair[1]],
        biases: vec![0.125; pair[1]],
    };
    let activation =
        |(&(form, degree), &neurons): (&(ActivationForm, usize), &usize)| LeveledActivation {
            form,
            degree,
            coefficients: vec![0.0625; neurons * (degree + 1)],
            linear: match form {
                ActivationForm::General => vec![],
                ActivationForm::EvenPlusLinear => vec![0.25; neurons],
            },
        };
    LeveledCircuit {
        parameters: LeveledParameters {
            polynomial_size: POLYNOMIAL_SIZE,
            levels: levels_needed(activations),
        },
        module_key: "seq".into(),
        inputs: widths[0],
        layers: widths.windows(2).map(layer).collect(),
        activations: activations
            .iter()
            .zip(&widths[1..])
            .map(activation)
            .collect(),
        input_scale: nominal_scale() / 1024.0,
        output_scale: largest_output_scale(POLYNOMIAL_SIZE),
    }
}

/// A circuit that is read is what is written again; it evaluates in clear.
pub(super) fn circuit_file() -> Target {
    Target {
        name: "leveled-circuit",
        share: 60,
        seeds: circuits().iter().map(LeveledCircuit::encode).collect(),
        most_bytes: (64, 1 << 20),
        check: Box::new(|input| {
            let Ok(circuit) = LeveledCircuit::decode(input) else {
                return false;
            };
            assert!(circuit.encode() == input);
            let prepared = PreparedLeveledCircuit::open(input).expect("it was read before");
            let neurons: usize = circuit.layers.iter().map(|layer| layer.outputs).sum();
            if circuit.inputs * neurons < MOST_PRODUCTS {
                let noise = &mut || 1.0;
                let inputs = vec![1.0; circuit.inputs];
                let outputs = prepared.evaluate_in_clear(&inputs, Some(noise));
                assert_eq!(outputs.expect("a record").len(), circuit.outputs());
            }
            true
        }),
    }
}

/// A key's file for circuits of the fewest levels, with residues that mean nothing.
fn key_file() -> Vec<u8> {
    let secret = LeveledClientKey::derive(&[7; 16], KEY_ID, POLYNOMIAL_SIZE).expect("a size");
    let levels = circuits()[0].parameters.levels;
    let mut file = secret
        .relinearization_key(levels, 1, &mut |_| true)
        .expect("a key");
    // Seeds are drawn anew in every run.
    let length = file.len();
    file[32..length - 4].fill(FILLER);
    let checksum = fhe_core::checksum::crc32c(&file[..length - 4]);
    file[length - 4..].copy_from_slice(&checksum.to_le_bytes());
    file
}

/// A relinearisation key is expanded or refused.
pub(super) fn key() -> Target {
    Target {
        name: "relinearisation-key",
        share: 2,
        seeds: vec![key_file()],
        most_bytes: (8, 1 << 20),
        check: Box::new(|input| {
            let Ok(key) = RelinearizationKey::open(input, 1) else {
                return false;
            };
            assert_eq!(key.header().file_bytes(), input.len());
            true
        }),
    }
}

fn block(header: &BlockHeader, filler: u8) -> Vec<u8> {
    let mut block = vec![filler; HEADER_BYTES + header.payload_bytes()];
    header.seal(&mut block);
    block
}

fn activations(circuit: &PreparedLeveledCircuit, records: usize) -> BlockHeader {
    let header = BlockHeader::of_leveled(
        circuit.circuit().parameters.levels,
        POLYNOMIAL_SIZE,
        *circuit.digest(),
        KEY_ID,
        circuit.circuit().inputs,
        records,
        BLOCK_NUMBER,
    );
    BlockHeader {
        mask_seed: [4; 16],
        ..header
    }
}

fn smallest() -> PreparedLeveledCircuit {
    PreparedLeveledCircuit::open(&circuits()[0].encode()).expect("a circuit")
}

/// Blocks of activations are evaluated, to a block of results, or refused.
pub(super) fn evaluation() -> Target {
    let circuit = smallest();
    let key = RelinearizationKey::open(&key_file(), 1).expect("a key");
    let seeds = [1, POLYNOMIAL_SIZE].map(|records| block(&activations(&circuit, records), FILLER));
    Target {
        name: "evaluate-leveled",
        share: 3,
        seeds: seeds.into(),
        most_bytes: (16, 4 << 20),
        check: Box::new(move |input| {
            let Ok(results) = circuit.evaluate(&key, input, 1, &mut || false) else {
                return false;
            };
            let (header, _) = BlockHeader::parse(&results).expect("a block of results");
            assert_eq!(header.features, circuit.circuit().outputs());
            true
        }),
    }
}

/// Blocks of results are decrypted, to outputs within their range, or refused.
pub(super) fn results() -> Target {
    let circuit = smallest();
    let LeveledCircuit {
        parameters,
        inputs,
        input_scale,
        output_scale,
        ..
    } = *circuit.circuit();
    let spec = LeveledSpec {
        circuit: *circuit.digest(),
        parameters,
        inputs,
        outputs: 1,
        input_scale,
        output_scale,
    };
    let client = LeveledClient::new(spec).expect("a client");
    let secret = LeveledClientKey::derive(&[7; 16], KEY_ID, POLYNOMIAL_SIZE).expect("a size");
    let sent = SentBlock {
        number: BLOCK_NUMBER,
        records: 3,
    };
    let results = BlockHeader::of_leveled_results(&activations(&circuit, sent.records), 1);
    Target {
        name: "decrypt-leveled",
        share: 10,
        // Of zeros, which are an encryption of zeros; most of what is made of them are no outputs, and refused.
        seeds: vec![block(&results, 0)],
        most_bytes: (16, 4 << 20),
        check: Box::new(move |input| {
            let Ok(outputs) = client.decrypt(&secret, &sent, input) else {
                return false;
            };
            assert_eq!(outputs.len(), sent.records);
            assert!(outputs.iter().all(|y| y.abs() < 1.1));
            true
        }),
    }
}
