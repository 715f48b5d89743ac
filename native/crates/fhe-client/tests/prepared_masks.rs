//! Masks ahead of the data: the same values as the ordinary way, and nothing else is accepted.

mod common;

use common::{Layer, TestData, layer, message_bits};
use fhe_client::{ColumnRun, Outputs, PreparedMask, Records, Unfolding};
use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES};
use fhe_core::parameters::PackedParameters;
use proptest::prelude::*;

/// (k, N, limbs, body limbs, output limbs, output body limbs).
const SHAPES: [[usize; 6]; 6] = [
    [15, 64, 3, 3, 3, 2],
    [10, 128, 4, 4, 4, 3],
    [3, 512, 5, 5, 4, 3],
    [7, 256, 5, 4, 5, 4],
    [2, 1024, 6, 4, 5, 3],
    [9, 256, 7, 6, 6, 5],
];

fn random_layer(shape: usize, inputs: usize, outputs: usize, data: &mut TestData) -> Layer {
    let [
        glwe_dimension,
        polynomial_size,
        limbs,
        body_limbs,
        output_limbs,
        output_body_limbs,
    ] = SHAPES[shape];
    let mut weights: Vec<i8> = (0..inputs * outputs)
        .map(|_| data.signed(127) as i8)
        .collect();
    for row in weights.chunks_exact_mut(inputs) {
        row[0] = 127;
    }
    let mut parameters = PackedParameters {
        glwe_dimension,
        polynomial_size,
        limbs,
        body_limbs,
        output_limbs,
        output_body_limbs,
        message_bits: 2,
        bodies: 2,
        summands: 1,
        flooding: 0,
    };
    parameters.message_bits = message_bits(&parameters, &weights, inputs);
    layer(parameters, inputs, outputs, weights, 8)
}

fn prepared(layer: &Layer, slots: usize) -> PreparedMask {
    let order = layer.client.order_mask(slots, 3).unwrap();
    let results = layer.server.evaluate(&order.block()).unwrap();
    layer.client.prepare_mask(order, &results, 2).unwrap()
}

fn table(values: &[f32], inputs: usize) -> Records<'_> {
    Records::table(values, inputs).unwrap()
}

/// Outputs by the ordinary way, which other tests compare with the clear layer.
fn ordinary(layer: &Layer, records: &[f32], count: usize) -> Vec<f32> {
    let mut scales = vec![0.0; count];
    let mut block = vec![0; layer.client.block_bytes(count)];
    let spec = layer.client.spec();
    let records = Records::table(records, spec.inputs).unwrap();
    layer
        .client
        .encrypt_records(&records, &mut scales, 9, 1, &mut block)
        .unwrap();
    let results = layer.server.evaluate(&block).unwrap();
    let mut out = vec![f32::NAN; count * spec.outputs];
    let places = Outputs::table(&mut out, spec.outputs).unwrap();
    layer
        .client
        .decrypt_to_floats(&results, 9, &scales, 1, places)
        .unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn slots_taken_in_odd_pieces_decrypt_to_the_values_of_an_ordinary_block(
        shape in 0..SHAPES.len(),
        (inputs, outputs) in prop_oneof![(1usize..=60, 1usize..=60), (200usize..=900, 1usize..=9)],
        pieces in prop::collection::vec(prop_oneof![1usize..4, 1usize..80], 1..4),
        spare in 0usize..3,
        seed in any::<u64>(),
    ) {
        let data = &mut TestData::new(seed);
        let layer = random_layer(shape, inputs, outputs, data);
        let most = layer.client.spec().parameters.max_records();
        let slots = (pieces.iter().sum::<usize>() + spare).min(most);
        let mask = prepared(&layer, slots);
        for (number, count) in pieces.into_iter().enumerate() {
            let records: Vec<f32> = (0..count * inputs)
                .map(|_| data.signed(1 << 20) as f32 / 1024.0)
                .collect();
            let mut scales = vec![0.0; count];
            let mut block = vec![0; layer.client.block_bytes(count)];
            let left = mask.slots_left();
            let number = number as u64;
            let first = layer
                .client
                .encrypt_ahead(&mask, &table(&records, inputs), &mut scales, number, &mut block)
                .unwrap();
            if left < count {
                prop_assert_eq!((first, mask.slots_left()), (None, left));
                continue;
            }
            prop_assert_eq!(first, Some(slots - left));
            let results = layer.server.evaluate(&block).unwrap();
            prop_assert!(layer.server.evaluate(&block).unwrap() == results);
            let mut out = vec![f32::NAN; count * outputs];
            let places = Outputs::table(&mut out, outputs).unwrap();
            layer
                .client
                .decrypt_ahead(&mask, first.unwrap(), &results, number, &scales, places)
                .unwrap();
            prop_assert!(out == ordinary(&layer, &records, count));
        }
    }
}

#[test]
fn windows_of_images_and_several_tensors_decrypt_to_the_values_of_an_ordinary_block() {
    let unfolding = Unfolding {
        channels: 3,
        extent: [6, 7],
        kernel: [3, 2],
        strides: [1, 2],
        pads_begin: [1, 0],
        pads_end: [1, 1],
        dilations: [1, 1],
    };
    let (inputs, positions) = (unfolding.window_values(), unfolding.positions());
    // Positions 5 to the end of one image, then all of another.
    let count = 2 * positions - 5;
    let widths = [70, 3, 9];
    let outputs = widths.iter().sum();
    let data = &mut TestData::new(8);
    let layer = random_layer(2, inputs, outputs, data);
    let images: Vec<f32> = (0..2 * unfolding.image_values())
        .map(|_| data.signed(1 << 20) as f32 / 1024.0)
        .collect();
    let images = images.split_at(unfolding.image_values());
    let records = Records::windows(
        unfolding,
        [(images.0, 5, positions - 5), (images.1, 0, positions)],
    )
    .unwrap();
    // Rows, images and rows.
    let decrypt = |decrypt: &dyn Fn(Outputs<f32>)| {
        let mut values = vec![f32::NAN; count * outputs];
        let (first, rest) = values.split_at_mut(count * widths[0]);
        let (second, third) = rest.split_at_mut(count * widths[1]);
        let mut places = Outputs::new();
        let rows = first.chunks_exact_mut(widths[0]).collect();
        places.push_rows(widths[0], rows).unwrap();
        let (one, other) = second.split_at_mut((positions - 5) * widths[1]);
        let runs = [(one, positions - 5), (other, positions)].map(|(image, positions)| {
            // SAFETY: the images are disjoint, and borrowed as long as the places.
            unsafe { ColumnRun::new(image.as_mut_ptr(), positions, widths[1], positions) }
        });
        places.push_columns(widths[1], runs.to_vec()).unwrap();
        let rows = third.chunks_exact_mut(widths[2]).collect();
        places.push_rows(widths[2], rows).unwrap();
        decrypt(places);
        values
    };

    let (client, server) = (&layer.client, &layer.server);
    let mut scales = vec![0.0; count];
    let mut block = vec![0; client.block_bytes(count)];
    client
        .encrypt_records(&records, &mut scales, 9, 1, &mut block)
        .unwrap();
    let results = server.evaluate(&block).unwrap();
    let expected = decrypt(&|places| {
        client
            .decrypt_to_floats(&results, 9, &scales, 1, places)
            .unwrap();
    });
    assert!(expected.iter().all(|value| value.is_finite()));

    let mask = prepared(&layer, count + 1);
    let first = client.encrypt_ahead(&mask, &records, &mut scales, 2, &mut block);
    let results = server.evaluate(&block).unwrap();
    let found = decrypt(&|places| {
        let first = first.clone().unwrap().unwrap();
        client
            .decrypt_ahead(&mask, first, &results, 2, &scales, places)
            .unwrap();
    });
    assert!(found == expected);
    assert_eq!(mask.slots_left(), 1);
}

/// A block with its header changed, and sealed again: what a peer could send, not what the way could damage.
fn resealed(block: &[u8], change: impl FnOnce(&mut BlockHeader)) -> Vec<u8> {
    let (mut header, payload) = BlockHeader::parse(block).unwrap();
    change(&mut header);
    let mut block = vec![0; HEADER_BYTES];
    block.extend_from_slice(payload);
    header.seal(&mut block);
    block
}

#[test]
fn answers_to_other_orders_are_refused() {
    let layer = random_layer(1, 6, 4, &mut TestData::new(5));
    let refusal = |answer: &dyn Fn(&[u8]) -> Vec<u8>| {
        let order = layer.client.order_mask(10, 3).unwrap();
        let results = layer.server.evaluate(&order.block()).unwrap();
        let result = layer.client.prepare_mask(order, &answer(&results), 1);
        result.err().expect("a refusal").to_string()
    };
    for (answer, part) in [
        (
            &(|block: &[u8]| resealed(block, |header| header.mask_seed[0] ^= 1))
                as &dyn Fn(&[u8]) -> Vec<u8>,
            "under the mask of seed",
        ),
        (
            &|block| resealed(block, |header| header.key_id[0] ^= 1),
            "under key",
        ),
        (
            &|block| resealed(block, |header| header.circuit[0] ^= 1),
            "is for circuit",
        ),
        (
            &|block| resealed(block, |header| header.block_number = 4),
            "block 4 came back where block 3",
        ),
        (
            &|block| resealed(block, |header| header.first_slot = 1),
            "from slot 1 on",
        ),
        (
            &|block| resealed(block, |header| header.kind = BlockKind::Results),
            "holds Results and has records 0",
        ),
        (
            &|block| {
                resealed(block, |header| {
                    std::mem::swap(&mut header.glwe_dimension, &mut header.polynomial_size);
                })
            },
            "has GLWE dimension 128",
        ),
        (&|block| block[..block.len() - 1].to_vec(), "truncated"),
        (&|block| block[..HEADER_BYTES].to_vec(), "truncated"),
        (&|_| Vec::new(), "truncated"),
        (
            &|block| {
                let mut block = block.to_vec();
                block[HEADER_BYTES + 7] ^= 1;
                block
            },
            "damaged",
        ),
    ] {
        let message = refusal(answer);
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn results_of_other_records_are_refused() {
    let layer = random_layer(1, 6, 4, &mut TestData::new(6));
    let client = &layer.client;
    let (mask, other_mask) = (prepared(&layer, 100), prepared(&layer, 100));
    let encrypt = |mask: &PreparedMask, count: usize| {
        let mut block = vec![0; client.block_bytes(count)];
        let (records, mut scales) = (vec![1.5; 6 * count], vec![0.0; count]);
        let first = client
            .encrypt_ahead(mask, &table(&records, 6), &mut scales, 1, &mut block)
            .unwrap()
            .unwrap();
        (first, layer.server.evaluate(&block).unwrap())
    };
    let scales = [1.0; 2];
    let refusal = |first: usize, block: &[u8], count: usize| {
        let mut out = vec![0.0; 4 * count];
        let places = Outputs::table(&mut out, 4).unwrap();
        let result = client.decrypt_ahead(&mask, first, block, 1, &scales[..count], places);
        result.expect_err("a refusal").to_string()
    };
    let (first, results) = encrypt(&mask, 2);
    let (second, other_slots) = encrypt(&mask, 2);
    let (_, under_other) = encrypt(&other_mask, 2);
    assert_eq!((first, second), (0, 2));
    for (message, part) in [
        (refusal(0, &under_other, 2), "under the mask of seed"),
        (
            refusal(0, &other_slots, 2),
            "has 2 records from slot 2 on, where 2 from slot 0",
        ),
        (refusal(1, &results, 2), "where 2 from slot 1 on"),
        (refusal(0, &results, 1), "where 1 from slot 0"),
        (
            refusal(4, &resealed(&results, |header| header.first_slot = 4), 2),
            "from slot 4 on were sent",
        ),
        (
            refusal(
                usize::MAX,
                &resealed(&results, |header| header.first_slot = 255),
                2,
            ),
            "at most 254",
        ),
        (
            refusal(0, &resealed(&results, |header| header.block_number = 2), 2),
            "block 2 came back where block 1",
        ),
        (
            refusal(
                0,
                &resealed(&results, |header| header.kind = BlockKind::Bodies),
                2,
            ),
            "holds Bodies, expected BodyResults",
        ),
        (refusal(0, &results[..results.len() - 1], 2), "truncated"),
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let mut out = [0.0; 12];
    for (values, columns) in [(12, 4), (8, 2), (4, 4)] {
        let places = Outputs::table(&mut out[..values], columns).unwrap();
        let error = client.decrypt_ahead(&mask, 0, &results, 1, &scales, places);
        let message = error.expect_err("a refusal").to_string();
        assert!(message.contains("where 2 of 4 are expected"), "{message}");
    }
    assert_eq!(out, [0.0; 12]);
    let places = Outputs::table(&mut out[..8], 4).unwrap();
    client
        .decrypt_ahead(&mask, 0, &results, 1, &scales, places)
        .unwrap();
    // The ordinary way has no pads for them.
    assert!(client.decrypt(&results).is_err());
}

#[test]
fn the_server_refuses_orders_and_bodies_that_are_out_of_shape() {
    let layer = random_layer(1, 6, 4, &mut TestData::new(7));
    let order = layer.client.order_mask(10, 3).unwrap().block();
    let mask = prepared(&layer, 200);
    let mut block = vec![0; layer.client.block_bytes(3)];
    let records = [2.5; 18];
    layer
        .client
        .encrypt_ahead(&mask, &table(&records, 6), &mut [0.0; 3], 1, &mut block)
        .unwrap();
    let refusal = |block: &[u8]| {
        layer
            .server
            .evaluate(block)
            .expect_err("a refusal")
            .to_string()
    };
    for (message, part) in [
        (
            refusal(&resealed(&block, |h| h.first_slot = 254)),
            "from slot 254 on",
        ),
        (
            refusal(&resealed(&block, |h| h.first_slot = u32::MAX as usize)),
            "from slot 4294967295 on",
        ),
        (
            refusal(&resealed(&block, |h| h.kind = BlockKind::BodyResults)),
            "holds BodyResults, expected Activations",
        ),
        (
            refusal(&resealed(&order, |h| h.first_slot = 1)),
            "from slot 1 on",
        ),
        (
            refusal(&resealed(&order, |h| h.kind = BlockKind::Bodies)),
            "has records 0, must be in",
        ),
        (
            refusal(&resealed(&block, |h| h.circuit[0] ^= 1)),
            "is for circuit",
        ),
        (refusal(&block[..block.len() - 1]), "truncated"),
        (refusal(&order[..HEADER_BYTES - 1]), "truncated"),
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // A mask order has no records, whatever it says.
    let with_records = resealed(&order, |_| {});
    let mut bytes = with_records.clone();
    bytes[84] = 1;
    assert!(layer.server.evaluate(&bytes).is_err());
    assert!(layer.server.evaluate(&with_records).is_ok());
}
