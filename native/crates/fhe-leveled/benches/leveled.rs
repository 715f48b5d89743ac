//! Parts of an evaluation, and whole blocks of a small network: one thread.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use common::{Shape, Sides, circuit, random, records};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fhe_leveled::ActivationForm::EvenPlusLinear;
use fhe_leveled::bench::{BenchProduct, BenchTransform};
use fhe_leveled::{LeveledClientKey, RelinearizationKey, largest_output_scale, max_levels};

fn transforms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transform");
    for n in [4096, 8192, 16384, 32768] {
        let mut transform = BenchTransform::new(n).unwrap();
        group.bench_function(format!("forward/{n}"), |b| b.iter(|| transform.forward()));
        group.bench_function(format!("inverse/{n}"), |b| b.iter(|| transform.inverse()));
    }
}

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    for n in [8192, 16384] {
        let levels = max_levels(n).unwrap().min(8);
        let secret = LeveledClientKey::derive(&[1; 16], common::KEY_ID, n).unwrap();
        let file = secret
            .relinearization_key(levels, 1, &mut |_| true)
            .unwrap();
        let key = RelinearizationKey::open(&file, 1).unwrap();
        for level in 2..=levels {
            let mut product = BenchProduct::new(&key, level).unwrap();
            group.bench_function(format!("{n}/{level}"), |b| {
                b.iter(|| product.multiply().unwrap())
            });
        }
    }
}

/// An MLP 64-32-10, of which the activation has degree 14 or 30 in u.
fn networks(criterion: &mut Criterion) {
    for (n, degree) in [(8192, 7), (16384, 15)] {
        let shape = Shape {
            polynomial_size: n,
            widths: &[64, 32, 10],
            activations: &[(EvenPlusLinear, degree)],
            output_scale: largest_output_scale(n),
        };
        let random = &mut random(1);
        let sides = Sides::new(circuit(&shape, random));
        let records = records(n, 64, random);
        let block = sides.client.encrypt(&sides.secret, &records, 5).unwrap();
        let accepted = sides.server.accept(&sides.key, &block).unwrap();
        let mut results = vec![0; accepted.result_bytes()];

        let mut group = criterion.benchmark_group(format!("mlp 64-32-10, degree {}", 2 * degree));
        group.sample_size(10);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function("evaluate a record", |b| {
            b.iter(|| {
                let go_on = &mut || false;
                sides
                    .server
                    .evaluate_into(&sides.key, &accepted, &mut results, 1, go_on)
                    .unwrap();
            });
        });
        group.throughput(Throughput::Elements(records.len() as u64));
        group.bench_function("encrypt a value", |b| {
            b.iter(|| black_box(sides.client.encrypt(&sides.secret, &records, 5).unwrap()));
        });
        group.throughput(Throughput::Elements(10 * n as u64));
        group.bench_function("decrypt a value", |b| {
            let sent = sides.sent(&records);
            b.iter(|| {
                black_box(
                    sides
                        .client
                        .decrypt(&sides.secret, &sent, &results)
                        .unwrap(),
                )
            });
        });
    }
}

criterion_group!(benches, transforms, products, networks);
criterion_main!(benches);
