//! Circuit files.

use fhe_core::block::{BlockHeader, BlockKind};
use fhe_core::bootstrap::{BootstrapCircuit, CircuitNoise};
use fhe_core::circuit::PackedCircuit;
use fhe_server::{Kernel, PreparedBootstrapCircuit, PreparedCircuit};

use super::fixtures::{fill, modules, re_randomised_module};
use super::lookups::circuits;
use crate::Target;

/// Products of mask rows and weights that evaluation of an accepted circuit may take.
const MOST_PRODUCTS: usize = 1 << 20;
/// Values of a circuit with look-ups that is evaluated.
const MOST_VALUES: usize = 1 << 12;

/// A circuit that is read is what is written again, and evaluates a block made for it, on every kernel that this
/// machine has.
pub(super) fn packed() -> Target {
    let mut seeds: Vec<_> = modules().into_iter().map(|module| module.file).collect();
    seeds.push(re_randomised_module().file);
    let kernels = Kernel::available();
    Target {
        name: "packed-circuit",
        share: 140,
        seeds,
        // Of what evaluation takes the mask of all inputs is the most.
        most_bytes: (64, 32 << 20),
        check: Box::new(move |input| {
            let Ok(circuit) = PackedCircuit::decode(input) else {
                return false;
            };
            assert!(circuit.encode() == input, "{:?}", circuit.parameters);
            let p = circuit.parameters;
            let rows = p.lwe_dimension() + 1;
            if p.protects_weights() || rows * circuit.inputs * circuit.outputs > MOST_PRODUCTS {
                return true;
            }
            let kernel = kernels[input.len() % kernels.len()];
            let circuit = PreparedCircuit::with_kernel(input, kernel).expect("it was read before");
            let header = BlockHeader::of(
                BlockKind::Activations,
                &p,
                *circuit.digest(),
                [1; 16],
                circuit.circuit().inputs,
                1,
                1,
            );
            let results = circuit.evaluate(&fill(&header)).expect("a block for it");
            let (header, _) = BlockHeader::parse(&results).expect("a block of results");
            assert_eq!(header.features, circuit.circuit().outputs);
            true
        }),
    }
}

/// A circuit with look-ups that is read is what is written again; it evaluates in clear, and its noise is bounded.
pub(super) fn lookups() -> Target {
    Target {
        name: "lookup-circuit",
        share: 110,
        seeds: circuits().iter().map(BootstrapCircuit::encode).collect(),
        // A look-up step of few bytes makes as many values as there are already; of all of them it is noted where
        // they are read last.
        most_bytes: (64, 256 << 20),
        check: Box::new(|input| {
            let Ok(circuit) = BootstrapCircuit::decode(input) else {
                return false;
            };
            assert!(circuit.encode() == input);
            if PreparedBootstrapCircuit::open(input).is_err() || circuit.values() > MOST_VALUES {
                return true;
            }
            for extreme in [0, i64::MIN, i64::MAX] {
                let accumulators = vec![extreme; circuit.packed.outputs];
                let results = circuit.evaluate_in_clear(&accumulators, &[]);
                assert_eq!(results.phases.len(), circuit.outputs.len());
            }
            let _ = CircuitNoise::of(&circuit);
            true
        }),
    }
}
