//! Circuits with look-ups: their blocks and results.

use fhe_client::{ClientKey, LookupClient, LookupResultsSpec, Outputs};
use fhe_core::block::{BlockHeader, BlockKind};
use fhe_core::bootstrap::{
    BootstrapCircuit, BootstrapParameters, Decomposition, EvaluationKey, EvaluationKeyHeader,
    SparseRows, Step,
};
use fhe_core::circuit::PackedCircuit;
use fhe_core::parameters::PackedParameters;
use fhe_server::{BootstrapKeys, PreparedBootstrapCircuit};

use super::fixtures::{BLOCK_NUMBER, KEY_ID, data, fill, key_file, shape_of};
use crate::Target;

/// n.
pub(super) const LWE_DIMENSION: usize = 900;

fn parameters() -> BootstrapParameters {
    let p = packed_parameters();
    BootstrapParameters {
        lwe_dimension: LWE_DIMENSION,
        glwe_dimension: p.glwe_dimension,
        polynomial_size: p.polynomial_size,
        bootstrap: Decomposition {
            base_log: 15,
            levels: 1,
        },
        keyswitch: Decomposition {
            base_log: 4,
            levels: 2,
        },
        output_bytes: 2,
    }
}

pub(super) fn packed_parameters() -> PackedParameters {
    PackedParameters {
        glwe_dimension: 4,
        polynomial_size: 256,
        limbs: 5,
        body_limbs: 5,
        output_limbs: 5,
        output_body_limbs: 5,
        message_bits: 16,
        bodies: 1,
        summands: 1,
        flooding: 0,
    }
}

/// An evaluation key for [`circuits`].
pub(super) fn evaluation_key_file() -> Vec<u8> {
    let header = EvaluationKeyHeader {
        key_id: KEY_ID,
        parameters: parameters(),
        keyswitch_seed: [1; 16],
        bootstrap_seed: [2; 16],
    };
    let words = |count| {
        let bytes = data(3, 8 * count);
        let words = bytes.as_chunks().0.iter();
        words
            .map(|word| u64::from_le_bytes(*word))
            .collect::<Vec<_>>()
    };
    let (keyswitch, bootstrap) = (
        words(header.keyswitch_words()),
        words(header.bootstrap_words()),
    );
    EvaluationKey::encode(&header, &keyswitch, &bootstrap)
}

fn linear(rows: &[&[(u32, i32)]]) -> Step {
    let mut sparse = SparseRows::default();
    for row in rows {
        sparse.push(row.iter().copied());
    }
    Step::Linear {
        constants: (0..rows.len() as u64).map(|row| row << 60).collect(),
        rows: sparse,
    }
}

fn lookup(first: u32, count: u32, table: u32) -> Step {
    Step::Lookup {
        first,
        count,
        factor: 3,
        offset: 1 << 59,
        table,
    }
}

/// The first has no look-up.
pub(super) fn circuits() -> Vec<BootstrapCircuit> {
    let table = |slope: u64| {
        (0..256)
            .map(|entry| (entry * slope) << 40)
            .collect::<Vec<u64>>()
    };
    let circuit = |tables, steps, outputs| BootstrapCircuit {
        packed: PackedCircuit {
            parameters: packed_parameters(),
            module_key: "seq".into(),
            inputs: 2,
            outputs: 3,
            weights: vec![1, -2, 3, 4, 5, -127],
        },
        parameters: parameters(),
        tables,
        steps,
        outputs,
    };
    vec![
        circuit(
            vec![],
            vec![linear(&[&[(0, 3), (2, -2)], &[], &[(1, i32::MIN)]])],
            vec![0, 3, 5],
        ),
        circuit(vec![table(1)], vec![lookup(0, 2, 0)], vec![3, 4]),
        circuit(
            vec![table(1), table(7)],
            vec![
                linear(&[&[(0, 1), (1, 1)], &[(2, 5)]]),
                lookup(3, 2, 1),
                linear(&[&[(5, 1), (6, -1)]]),
                lookup(7, 1, 0),
            ],
            vec![8, 7],
        ),
    ]
}

fn client_key() -> ClientKey {
    let shape = shape_of(&packed_parameters());
    ClientKey::decode(&key_file(&[shape], &[LWE_DIMENSION])).expect("a key file")
}

fn activations(circuit: &PreparedBootstrapCircuit, records: usize) -> BlockHeader {
    let packed = &circuit.circuit().packed;
    BlockHeader::of(
        BlockKind::Activations,
        &packed.parameters,
        *circuit.digest(),
        KEY_ID,
        packed.inputs,
        records,
        BLOCK_NUMBER,
    )
}

fn open() -> Vec<PreparedBootstrapCircuit> {
    let open = |circuit: &BootstrapCircuit| PreparedBootstrapCircuit::open(&circuit.encode());
    circuits()
        .iter()
        .map(|circuit| open(circuit).expect("a circuit"))
        .collect()
}

/// Blocks of results decrypt, to phases and to floats, or neither.
pub(super) fn results() -> Target {
    let circuit = open().swap_remove(2);
    let outputs = circuit.circuit().outputs.len();
    let client = LookupClient::new(
        LookupResultsSpec {
            circuit: *circuit.digest(),
            parameters: parameters(),
            scales: vec![1.0, -3e30],
            bias: vec![0.5; outputs],
        },
        Some(&client_key()),
    )
    .expect("a client");
    let seeds = [1, 4].map(|records| {
        let sent = activations(&circuit, records);
        fill(&BlockHeader::of_lookups(&sent, &parameters(), outputs))
    });
    Target {
        name: "decrypt-lookups",
        share: 85,
        seeds: seeds.into(),
        most_bytes: (64, 1 << 20),
        check: Box::new(move |input| {
            let Ok(phases) = client.decrypt(input, BLOCK_NUMBER, 1) else {
                return false;
            };
            let mut floats = vec![0.0; phases.len()];
            let places = Outputs::table(&mut floats, outputs).expect("places");
            let doubtful = client.decrypt_to_floats(input, BLOCK_NUMBER, 1, places);
            assert!(doubtful.expect("it was decrypted") <= phases.len());
            true
        }),
    }
}

/// Blocks of activations are evaluated if the circuit has no look-up, else only accepted: a look-up takes ten
/// thousand times as long as reading a block.
pub(super) fn evaluation() -> Target {
    let circuits = open();
    let key = evaluation_key_file();
    let key = EvaluationKey::decode(&key).expect("an evaluation key");
    let keys = BootstrapKeys::expand(&key, 1).expect("memory");
    let seeds = circuits.iter().flat_map(|circuit| {
        [1, 2].map(|records| {
            let mut header = activations(circuit, records);
            header.mask_seed = [4; 16];
            fill(&header)
        })
    });
    Target {
        name: "evaluate-lookups",
        share: 2,
        seeds: seeds.collect(),
        most_bytes: (64, 64 << 20),
        check: Box::new(move |input| {
            let mut is_accepted = false;
            for circuit in &circuits {
                let Ok(accepted) = circuit.accept(&keys, input) else {
                    continue;
                };
                is_accepted = true;
                if circuit.circuit().lookups() > 0 || accepted.result_bytes() > 1 << 15 {
                    continue;
                }
                let mut output = vec![0; accepted.result_bytes()];
                let evaluated =
                    circuit.evaluate_into(&keys, &accepted, &mut output, 1, &mut || false);
                assert_eq!(evaluated.is_ok(), BlockHeader::parse(input).is_ok());
                if evaluated.is_ok() {
                    BlockHeader::parse(&output).expect("a block of results");
                }
            }
            is_accepted
        }),
    }
}
