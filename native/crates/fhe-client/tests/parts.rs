//! Blocks in parts: the values of the whole block, and nothing else is accepted.

mod common;

use std::ops::Range;
use std::rc::Rc;

use common::{Layer, TestData, layer, message_bits};
use fhe_client::{Outputs, Records};
use fhe_core::block::HEADER_BYTES;
use fhe_core::parameters::PackedParameters;

const INPUTS: usize = 12;
const OUTPUTS: usize = 7;
/// Two bodies, the second not full, its last panel narrow.
const RECORDS: usize = 700;
const NUMBER: u64 = 9;

fn layer_of_two_bodies() -> Layer {
    let mut data = TestData::new(5);
    let weights: Vec<i8> = (0..INPUTS * OUTPUTS)
        .map(|_| data.signed(127) as i8 | 1)
        .collect();
    let mut parameters = PackedParameters {
        glwe_dimension: 3,
        polynomial_size: 512,
        limbs: 5,
        body_limbs: 5,
        output_limbs: 4,
        output_body_limbs: 3,
        message_bits: 2,
        bodies: 2,
        summands: 1,
        flooding: 0,
    };
    parameters.message_bits = message_bits(&parameters, &weights, INPUTS);
    layer(parameters, INPUTS, OUTPUTS, weights, 8)
}

struct Sent {
    layer: Rc<Layer>,
    block: Vec<u8>,
    scales: Vec<f32>,
}

fn sent() -> Sent {
    sent_by(Rc::new(layer_of_two_bodies()))
}

fn sent_by(layer: Rc<Layer>) -> Sent {
    let mut data = TestData::new(6);
    let values: Vec<f32> = (0..INPUTS * RECORDS)
        .map(|_| data.normal() as f32)
        .collect();
    let records = Records::table(&values, INPUTS).unwrap();
    let mut scales = vec![0.0; RECORDS];
    let mut block = vec![0; layer.client.block_bytes(RECORDS)];
    layer
        .client
        .encrypt_records(&records, &mut scales, NUMBER, 1, &mut block)
        .unwrap();
    Sent {
        layer,
        block,
        scales,
    }
}

impl Sent {
    /// Results of the mask, and of the runs of records between these.
    fn results(&self, cuts: &[usize]) -> Vec<Vec<u8>> {
        let (client, server) = (&self.layer.client, &self.layer.server);
        let mut mask = vec![0; HEADER_BYTES];
        client.cut_mask(&self.block, &mut mask).unwrap();
        let mut results = vec![server.evaluate(&mask).unwrap()];
        for cut in cuts.windows(2) {
            let mut part = vec![0; client.block_bytes(cut[1] - cut[0])];
            client
                .cut_records(&self.block, cut[0]..cut[1], &mut part)
                .unwrap();
            results.push(server.evaluate(&part).unwrap());
        }
        results
    }

    fn decrypt(&self, results: &[&[u8]], number: u64) -> Result<Vec<f32>, String> {
        let mut out = vec![f32::NAN; RECORDS * OUTPUTS];
        let places = Outputs::table(&mut out, OUTPUTS).unwrap();
        self.layer
            .client
            .decrypt_parts_to_floats(results, number, &self.scales, 2, places)
            .map_err(|error| error.to_string())?;
        Ok(out)
    }

    fn whole(&self) -> Vec<f32> {
        let result = self.layer.server.evaluate(&self.block).unwrap();
        let mut out = vec![f32::NAN; RECORDS * OUTPUTS];
        let places = Outputs::table(&mut out, OUTPUTS).unwrap();
        self.layer
            .client
            .decrypt_to_floats(&result, NUMBER, &self.scales, 1, places)
            .unwrap();
        out
    }
}

fn slices(results: &[Vec<u8>]) -> Vec<&[u8]> {
    results.iter().map(Vec::as_slice).collect()
}

#[test]
fn parts_have_the_values_of_the_whole() {
    let sent = sent();
    let whole = sent.whole();
    let cuts: [&[usize]; 4] = [
        &[0, 700],
        &[0, 64, 700],
        &[0, 512, 640, 700],
        &[0, 128, 192, 576, 700],
    ];
    for cuts in cuts {
        assert!(
            sent.decrypt(&slices(&sent.results(cuts)), NUMBER) == Ok(whole.clone()),
            "{cuts:?}"
        );
    }
}

#[test]
fn results_that_are_not_all_of_the_block_are_refused() {
    let sent = sent();
    let results = sent.results(&[0, 256, 512, 700]);
    let [mask, first, second, third] = slices(&results)[..] else {
        panic!("four parts")
    };
    // Under the same key, and of the same number and records: but of another mask.
    let other = sent_by(sent.layer.clone());
    let others = other.results(&[0, 256, 512, 700]);
    let mut damaged = second.to_vec();
    damaged[HEADER_BYTES + 5] ^= 1;
    let wrong: [(&[&[u8]], &str); 9] = [
        (&[], "have 0 records where 700 were sent"),
        (&[mask], "have 0 records where 700 were sent"),
        (
            &[mask, first, second],
            "have 512 records where 700 were sent",
        ),
        (&[mask, second, first, third], "part 1"),
        (&[mask, first, first, third], "part 2"),
        (&[first, mask, second, third], "holds BodyResults"),
        (&[mask, first, &others[2], third], "part 2"),
        (&[&others[0], first, second, third], "part 1"),
        (
            &[mask, first, &damaged, third],
            "does not match its checksum",
        ),
    ];
    for (parts, reason) in wrong {
        let error = sent.decrypt(parts, NUMBER).unwrap_err();
        assert!(error.contains(reason), "{error} instead of {reason}");
    }
    let error = sent.decrypt(&[mask, first, second, third], 10).unwrap_err();
    assert!(error.contains("part 0"), "{error}");
}

#[test]
fn cuts_through_panels_and_beyond_the_block_are_refused() {
    let sent = sent();
    let client = &sent.layer.client;
    for records in [
        0..63,
        1..64,
        64..64,
        640..701,
        704..710,
        Range {
            start: 128,
            end: 64,
        },
    ] {
        let mut part = vec![0; client.block_bytes(records.len())];
        let error = client
            .cut_records(&sent.block, records.clone(), &mut part)
            .unwrap_err();
        assert!(
            error.to_string().contains("are no part of it"),
            "{records:?}: {error}"
        );
    }
    let mut part = vec![0; client.block_bytes(64) + 1];
    assert!(client.cut_records(&sent.block, 0..64, &mut part).is_err());
    assert!(client.cut_mask(&sent.block, &mut part).is_err());
    let mut order = vec![0; HEADER_BYTES];
    client.cut_mask(&sent.block, &mut order).unwrap();
    assert!(client.cut_mask(&order.clone(), &mut order).is_err());
}
