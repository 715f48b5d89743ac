//! Time of look-ups over parameters, and the constants of `fhe_core::bootstrap::LookupTime` fitted to it.
//!
//! One thread, in full batches; the least of some runs. A circuit without look-ups but with outputs takes a
//! keyswitch for each, one with look-ups a bootstrap besides.

use std::time::Instant;

use fhe_client::{
    Activations, ClientKey, Dequantizer, ModuleClient, ModuleSpec, Quantizer, SecretKeyShape,
    WeightNorms,
};
use fhe_core::bootstrap::{
    BootstrapCircuit, BootstrapParameters, Decomposition, EvaluationKey, LookupTime, Step,
};
use fhe_core::circuit::PackedCircuit;
use fhe_core::parameters::PackedParameters;
use fhe_server::{BootstrapKeys, PreparedBootstrapCircuit};

/// Of a block; whole batches.
const RECORDS: usize = 32;
const RUNS: usize = 3;

fn main() {
    // Cargo passes --bench, and a filter nobody needs.
    let mut rows = Vec::new();
    println!("n, k, N, base/levels: seconds a keyswitch, a bootstrap (as predicted)");
    for (lwe_dimension, glwe_dimension, polynomial_size, levels, keyswitch_levels) in [
        (900, 8, 256, 1, 4),
        (900, 4, 512, 1, 4),
        (900, 3, 512, 2, 6),
        (1000, 4, 512, 2, 3),
        (900, 2, 1024, 1, 4),
        (1000, 2, 1024, 2, 6),
        (900, 1, 2048, 1, 4),
        (1000, 1, 2048, 2, 6),
        (900, 1, 2048, 3, 2),
    ] {
        let parameters = BootstrapParameters {
            lwe_dimension,
            glwe_dimension,
            polynomial_size,
            bootstrap: Decomposition {
                base_log: 40 / (levels + 1),
                levels,
            },
            keyswitch: Decomposition {
                base_log: 18 / keyswitch_levels,
                levels: keyswitch_levels,
            },
            output_bytes: 2,
        };
        let found = measure(&parameters);
        let predicted = LookupTime::of(&parameters);
        println!(
            "{lwe_dimension}, {glwe_dimension}, {polynomial_size}, {levels}, {keyswitch_levels}: {:.3e} ({:.2}), {:.3e} ({:.2})",
            found.keyswitch,
            found.keyswitch / predicted.keyswitch,
            found.bootstrap,
            found.bootstrap / predicted.bootstrap
        );
        rows.push((parameters, found));
    }
    // Least squares of relative errors.
    let work = |parameters| LookupTime::work(parameters);
    let mut normal = [[0.0; 2]; 2];
    let mut right = [0.0; 2];
    let (mut keyswitch, mut weight) = (0.0, 0.0);
    for (parameters, found) in &rows {
        let work = work(parameters);
        let x = [
            work.transforms / found.bootstrap,
            work.products / found.bootstrap,
        ];
        for i in 0..2 {
            for j in 0..2 {
                normal[i][j] += x[i] * x[j];
            }
            right[i] += x[i];
        }
        let x = work.keyswitch / found.keyswitch;
        keyswitch += x;
        weight += x * x;
    }
    let determinant = normal[0][0] * normal[1][1] - normal[0][1] * normal[1][0];
    println!(
        "fitted: keyswitch {:.3e}, transforms {:.3e}, products {:.3e}",
        keyswitch / weight,
        (right[0] * normal[1][1] - right[1] * normal[0][1]) / determinant,
        (right[1] * normal[0][0] - right[0] * normal[1][0]) / determinant
    );
}

fn measure(parameters: &BootstrapParameters) -> LookupTime {
    let packed = PackedCircuit {
        parameters: PackedParameters {
            glwe_dimension: parameters.glwe_dimension,
            polynomial_size: parameters.polynomial_size,
            limbs: 5,
            body_limbs: 5,
            output_limbs: 5,
            output_body_limbs: 5,
            message_bits: 16,
            bodies: 1,
            summands: 1,
            flooding: 0,
        },
        module_key: "bench".into(),
        inputs: 1,
        outputs: 1,
        weights: vec![1],
    };
    let shape = SecretKeyShape {
        glwe_dimension: parameters.glwe_dimension,
        polynomial_size: parameters.polynomial_size,
        limbs: 5,
        bodies: 1,
    };
    let key =
        ClientKey::generate_for_lookups([0; 32], &[shape], &[parameters.lwe_dimension]).unwrap();
    let start = Instant::now();
    let file = key
        .evaluation_key(parameters, &shape, 2, &mut |_| true)
        .unwrap();
    let made = start.elapsed().as_secs_f64();
    let keys = BootstrapKeys::expand(&EvaluationKey::decode(&file).unwrap(), 2).unwrap();
    println!(
        "  key: {} bytes, {made:.1} s, expanded in {:.1} s to {} bytes",
        file.len(),
        start.elapsed().as_secs_f64() - made,
        keys.memory_bytes()
    );
    let time = |lookups: usize, outputs: usize| {
        let circuit = BootstrapCircuit {
            packed: packed.clone(),
            parameters: *parameters,
            tables: vec![vec![1 << 60; parameters.polynomial_size]],
            steps: vec![
                Step::Lookup {
                    first: 0,
                    count: 1,
                    factor: 1,
                    offset: 0,
                    table: 0,
                };
                lookups
            ],
            outputs: vec![0; outputs],
        };
        let server = PreparedBootstrapCircuit::open(&circuit.encode()).unwrap();
        let spec = ModuleSpec {
            circuit: *server.digest(),
            parameters: packed.parameters,
            inputs: 1,
            outputs: 1,
            quantizer: Quantizer {
                activation_bits: 12,
                static_scale: 1.0,
                message_bits: 16,
                norms: WeightNorms {
                    max_l1: 1,
                    max_l2_squared: 1,
                    max_abs: 1,
                },
            },
            dequantizer: Dequantizer {
                weight_scales: vec![1.0],
                bias: vec![],
            },
        };
        let client = ModuleClient::new(spec, Some(&key)).unwrap();
        let records: Vec<i16> = (0..RECORDS as i16).collect();
        let block = client
            .encrypt(&Activations::from_records(&records, 1), 1)
            .unwrap();
        (0..RUNS)
            .map(|_| {
                let start = Instant::now();
                server.evaluate(&keys, &block, 1, &mut || false).unwrap();
                start.elapsed().as_secs_f64()
            })
            .fold(f64::INFINITY, f64::min)
    };
    let outputs = time(0, 1);
    let keyswitch = (time(0, 9) - outputs) / (8 * RECORDS) as f64;
    let lookup = (time(3, 1) - outputs) / (3 * RECORDS) as f64;
    LookupTime {
        keyswitch,
        bootstrap: lookup - keyswitch,
    }
}
