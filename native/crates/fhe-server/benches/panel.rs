//! The limb GEMM on one panel of 64 ciphertext rows, with every kernel of this machine; elements are
//! multiply-accumulates of u8 × s8. And the sum of two blocks of results, checksums included; bytes are those of one.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES};
use fhe_core::panel::PANEL_ROWS;
use fhe_core::parameters::PackedParameters;
use fhe_server::{Kernel, PreparedWeights, Scratch, add_to_sum, start_sum};
use std::hint::black_box;

const SHAPES: [(usize, usize); 2] = [(768, 768), (768, 3072)];
const LIMBS: [usize; 2] = [4, 5];

/// Random bytes: zeros would be too fast.
fn random_bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn multiply_panel(criterion: &mut Criterion) {
    let mut scratch = Scratch::default();
    for (inputs, outputs) in SHAPES {
        let weights: Vec<i8> = random_bytes(inputs * outputs)
            .iter()
            .map(|&byte| (byte as i8).max(-127))
            .collect();
        for limbs in LIMBS {
            // As circuits have it: one limb fewer comes out than went in.
            let kept = limbs - 1;
            let panel = random_bytes(inputs * limbs * PANEL_ROWS);
            let mut product = vec![0u8; outputs * kept * PANEL_ROWS];
            let mut group = criterion.benchmark_group(format!("panel {inputs}x{outputs}"));
            group.throughput(Throughput::Elements(
                (PANEL_ROWS * limbs * inputs * outputs) as u64,
            ));
            for kernel in Kernel::available() {
                let prepared = PreparedWeights::new(kernel, &weights, inputs, outputs);
                let id = BenchmarkId::new(kernel.name(), format!("{limbs} limbs"));
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        prepared.multiply_panel(
                            black_box(&panel),
                            limbs,
                            &mut product,
                            kept,
                            &mut scratch,
                        );
                    });
                });
            }
            group.finish();
        }
    }
}

fn add_results(criterion: &mut Criterion) {
    let parameters = PackedParameters {
        glwe_dimension: 9,
        polynomial_size: 256,
        limbs: 7,
        body_limbs: 6,
        output_limbs: 6,
        output_body_limbs: 5,
        message_bits: 32,
        bodies: 16,
        // More than it can be run.
        summands: 1 << 20,
        flooding: 0,
    };
    let header = BlockHeader::of(
        BlockKind::Results,
        &parameters,
        [0; 32],
        [0; 16],
        384,
        4096,
        0,
    );
    let mut block = random_bytes(HEADER_BYTES + header.layout().bytes());
    header.seal(&mut block);
    let mut sum = start_sum(&block).unwrap();
    let mut group = criterion.benchmark_group("sum");
    group.throughput(Throughput::Bytes(block.len() as u64));
    group.bench_function("384 outputs, 4096 records", |bencher| {
        bencher.iter(|| add_to_sum(&mut sum, black_box(&block)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, multiply_panel, add_results);
criterion_main!(benches);
