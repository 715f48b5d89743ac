//! Evaluation of blocks that clients send.

use fhe_core::block::{BlockHeader, BlockKind};
use fhe_core::public_key::{PublicKeyFile, PublicKeySet};
use fhe_server::{PreparedCircuit, PublicKey};

use super::fixtures::{KEY_ID, Module, data, modules, re_randomised_module};
use crate::Target;

fn evaluate(circuit: &PreparedCircuit, key: Option<&PublicKey>, input: &[u8]) -> bool {
    let Ok(accepted) = circuit.accept_under(key, input) else {
        return false;
    };
    let mut output = vec![0; accepted.result_bytes()];
    let evaluated = circuit.evaluate_into(&accepted, &mut output, 1, &mut || false);
    // Of an accepted block only the payload's checksum is left to check.
    assert_eq!(evaluated.is_ok(), BlockHeader::parse(input).is_ok());
    if evaluated.is_ok() {
        let (header, _) = BlockHeader::parse(&output).expect("a block of results");
        assert_eq!(header.features, circuit.circuit().outputs);
    }
    evaluated.is_ok()
}

fn blocks(module: &Module) -> Vec<Vec<u8>> {
    let most = module.circuit.parameters.max_records();
    let mut ahead = module.header(BlockKind::Bodies, 2);
    ahead.mask_seed = [9; 16];
    ahead.first_slot = most - 2;
    vec![
        module.block(BlockKind::Activations, 1),
        module.block(BlockKind::Activations, 3),
        module.block(BlockKind::Activations, most.min(66)),
        module.block(BlockKind::Bodies, 2),
        super::fixtures::fill(&ahead),
        module.block(BlockKind::MaskOrder, 0),
    ]
}

/// Blocks for several circuits, each given to all of them.
pub(super) fn plain() -> Target {
    let modules = modules();
    let circuits: Vec<_> = modules
        .iter()
        .map(|module| PreparedCircuit::open(&module.file).expect("a circuit"))
        .collect();
    Target {
        name: "evaluate",
        share: 90,
        seeds: modules.iter().flat_map(blocks).collect(),
        most_bytes: (64, 4 << 20),
        check: Box::new(move |input| {
            let evaluated = circuits
                .iter()
                .map(|circuit| evaluate(circuit, None, input));
            evaluated.fold(false, |any, one| any | one)
        }),
    }
}

/// Blocks whose results are re-randomised.
pub(super) fn re_randomised() -> Target {
    let module = re_randomised_module();
    let shape = module.shape();
    let mut set = PublicKeySet {
        glwe_dimension: shape.glwe_dimension,
        polynomial_size: shape.polynomial_size,
        limbs: shape.limbs,
        bodies: shape.bodies,
        mask_seed: [1; 16],
        payload: Vec::new(),
    };
    set.payload = data(2, set.layout().bytes());
    let file = PublicKeyFile {
        key_id: KEY_ID,
        sets: vec![set],
    };
    let key = PublicKey::open(&file.encode()).expect("a public key");
    let circuit = PreparedCircuit::open(&module.file).expect("a circuit");
    Target {
        name: "evaluate-re-randomised",
        share: 10,
        seeds: blocks(&module),
        most_bytes: (64, 16 << 20),
        check: Box::new(move |input| evaluate(&circuit, Some(&key), input)),
    }
}
