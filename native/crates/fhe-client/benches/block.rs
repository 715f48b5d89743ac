//! A block of records on its way to the server and back, on one thread; elements are values.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fhe_client::{Outputs, Records};
use fhe_core::parameters::PackedParameters;
use std::hint::black_box;

#[path = "../tests/common/mod.rs"]
mod common;

const INPUTS: usize = 768;
const OUTPUTS: usize = 768;
const ACTIVATION_BITS: usize = 8;

/// A block of 4096 records.
fn parameters(glwe_dimension: usize, polynomial_size: usize) -> PackedParameters {
    PackedParameters {
        glwe_dimension,
        polynomial_size,
        limbs: 5,
        body_limbs: 5,
        output_limbs: 4,
        output_body_limbs: 4,
        message_bits: 2,
        bodies: 4096 / polynomial_size,
        summands: 1,
        flooding: 0,
    }
}

fn block(criterion: &mut Criterion) {
    let mut data = common::TestData::new(1);
    let weights: Vec<i8> = (0..INPUTS * OUTPUTS)
        .map(|_| data.signed(127) as i8)
        .collect();
    for (glwe_dimension, polynomial_size) in [(3, 512), (6, 256)] {
        let parameters = parameters(glwe_dimension, polynomial_size);
        let parameters = PackedParameters {
            message_bits: common::message_bits(&parameters, &weights, INPUTS),
            ..parameters
        };
        let layer = common::layer(
            parameters,
            INPUTS,
            OUTPUTS,
            weights.clone(),
            ACTIVATION_BITS,
        );
        let count = parameters.max_records();
        let records: Vec<f32> = (0..count * INPUTS)
            .map(|_| data.signed(1 << 20) as f32)
            .collect();
        let records = Records::table(&records, INPUTS).unwrap();
        let (activations, scales) = layer.client.quantize(&records).unwrap();
        let block = layer.client.encrypt(&activations, 0).unwrap();
        let result = layer.server.evaluate(&block).unwrap();
        let mut outputs = vec![0f32; count * OUTPUTS];

        let mut group =
            criterion.benchmark_group(format!("block ({glwe_dimension}, {polynomial_size})"));
        group.sample_size(20);
        group.throughput(Throughput::Elements((count * INPUTS) as u64));
        group.bench_function("quantize", |bencher| {
            bencher.iter_with_large_drop(|| layer.client.quantize(black_box(&records)).unwrap());
        });
        let mut block = vec![0; layer.client.block_bytes(count)];
        group.bench_function("encrypt", |bencher| {
            bencher.iter(|| {
                layer
                    .client
                    .encrypt_into(black_box(&activations), 0, 1, &mut block)
                    .unwrap();
            });
        });
        let mut scales = scales;
        group.bench_function("quantize and encrypt", |bencher| {
            bencher.iter(|| {
                layer
                    .client
                    .encrypt_records(black_box(&records), &mut scales, 0, 1, &mut block)
                    .unwrap();
            });
        });
        group.throughput(Throughput::Elements((count * OUTPUTS) as u64));
        group.bench_function("decrypt", |bencher| {
            bencher.iter(|| {
                let places = Outputs::table(&mut outputs, OUTPUTS).unwrap();
                layer
                    .client
                    .decrypt_to_floats(black_box(&result), 0, &scales, 1, places)
                    .unwrap();
            });
        });
        group.finish();
    }
}

criterion_group!(benches, block);
criterion_main!(benches);
