//! A process whose memory ends on the way: each call gives its result or an error, and the process lives on.

// Written for the tests of the client, and used here as it is.
#[path = "../../fhe-client/tests/common/mod.rs"]
mod common;

use std::fs;
use std::hint::black_box;
use std::process::Command;

use arrow_array::LargeBinaryArray;
use common::TestData;
use fhe_client::{Outputs, Records};
use fhe_core::Result;
use fhe_core::parameters::PackedParameters;
use fhe_server::PreparedCircuit;

use crate::blocks::{self, PackedEvaluator};
use crate::call::without_panic;
use crate::reserve;

const HEADROOM: &str = "FHE_SPARK_TEST_HEADROOM";
/// How often a process goes on with too little memory: the first call may use up what is kept back.
const CALLS: usize = 2;
const RECORDS: usize = 512;
const INPUTS: usize = 256;
const OUTPUTS: usize = 1024;
const MODULE: PackedParameters = PackedParameters {
    glwe_dimension: 1,
    polynomial_size: 2048,
    limbs: 5,
    body_limbs: 5,
    output_limbs: 5,
    output_body_limbs: 5,
    message_bits: 2,
    bodies: 1,
    summands: 1,
    flooding: 0,
};

#[test]
fn without_memory_a_call_is_an_error_and_the_process_lives_on() {
    let mut outcomes = Vec::new();
    // None, then 4 KiB to 512 MiB beyond what the process has when it begins.
    for headroom in std::iter::once(0).chain((12..=29).map(|bits| 1usize << bits)) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "scarce_memory::child",
                "--ignored",
                "--nocapture",
            ])
            .env(HEADROOM, headroom.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(
            child.status.success(),
            "with {headroom} bytes: {}, {said}, {}",
            child.status,
            String::from_utf8_lossy(&child.stderr)
        );
        let begun = outcomes.len();
        outcomes.extend(
            said.lines()
                .filter_map(|line| line.strip_prefix("outcome: "))
                .map(str::to_owned),
        );
        assert_eq!(outcomes.len(), begun + CALLS, "{said}");
    }
    let (done, refused): (Vec<_>, Vec<_>) = outcomes.iter().partition(|told| *told == "done");
    assert!(
        refused.len() > 3 && refused.iter().all(|told| told.contains("memory")),
        "{outcomes:?}"
    );
    assert!(
        done.len() > 3 && outcomes.ends_with(&["done".into(), "done".into()]),
        "{outcomes:?}"
    );
}

/// Run by the other test, in a process of its own.
#[test]
#[ignore = "limits the memory of its process"]
fn child() {
    let headroom: usize = std::env::var(HEADROOM).unwrap().parse().unwrap();
    let mut data = TestData::new(7);
    let mut numbers = |count: usize, max: i64| -> Vec<i64> {
        std::iter::repeat_with(|| data.signed(max))
            .take(count)
            .collect()
    };
    let weights: Vec<i8> = numbers(INPUTS * OUTPUTS, 127)
        .iter()
        .map(|&w| w as i8 | 1)
        .collect();
    let parameters = PackedParameters {
        message_bits: common::message_bits(&MODULE, &weights, INPUTS),
        ..MODULE
    };
    let layer = common::layer(parameters, INPUTS, OUTPUTS, weights, 8);
    let file = layer.server.circuit().encode();
    let values: Vec<f32> = numbers(INPUTS * RECORDS, 1000)
        .iter()
        .map(|&v| v as f32)
        .collect();
    let records = Records::table(&values, INPUTS).unwrap();
    let mut block = vec![0; layer.client.block_bytes(RECORDS)];

    let mut score = |out: &mut [f32]| -> Result<()> {
        without_panic(|| {
            reserve::require()?;
            // What a call asks for without a way out, and more than the heaps of threads have left.
            black_box(vec![1u8; reserve::BYTES - (1 << 20)]);
            let circuit = PreparedCircuit::open(&file)?;
            let mut scales = [0.0; RECORDS];
            layer
                .client
                .encrypt_records(&records, &mut scales, 3, 1, &mut block)?;
            let evaluator = PackedEvaluator {
                circuit: &circuit,
                public_key: None,
            };
            let batch = LargeBinaryArray::from_vec(vec![&block]);
            let results = blocks::evaluate(&evaluator, &batch, 1, &mut || false)?;
            let places = Outputs::table(out, OUTPUTS)?;
            layer
                .client
                .decrypt_to_floats(results.value(0), 3, &scales, 1, places)
        })
    };
    // As after any other call.
    reserve::require().unwrap();
    let mut found = [(); CALLS].map(|()| vec![0.0; RECORDS * OUTPUTS]);
    let mut expected = vec![0.0; RECORDS * OUTPUTS];
    limit_memory(mapped_bytes() + headroom);
    let outcomes = found.each_mut().map(|values| score(values));
    limit_memory(libc::RLIM_INFINITY as usize);
    // With memory again.
    score(&mut expected).unwrap();
    for (outcome, found) in outcomes.into_iter().zip(found) {
        match outcome {
            Ok(()) => {
                assert!(found == expected);
                println!("\noutcome: done");
            }
            Err(error) => println!("\noutcome: {error}"),
        }
    }
}

/// Bytes of address space that this process has.
fn mapped_bytes() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').next().unwrap().parse().unwrap();
    pages * 4096
}

fn limit_memory(bytes: usize) {
    let limit = libc::rlimit {
        rlim_cur: bytes as libc::rlim_t,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the limit is read alone.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}
