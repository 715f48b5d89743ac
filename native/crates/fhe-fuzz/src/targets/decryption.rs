//! Decryption of what a server sends back.

use fhe_client::{ModuleClient, Outputs, Records};
use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES};
use fhe_core::checksum::crc32c;

use super::fixtures::{BLOCK_NUMBER, key, module_for_sums, modules};
use crate::Target;

/// Stands for the seed of a mask that the client has just drawn.
const ANY_SEED: [u8; 16] = [0xa5; 16];

/// Records that an input says it has, if it can be read; else one.
fn records(input: &[u8]) -> usize {
    BlockHeader::parse(input).map_or(1, |(header, _)| header.records)
}

/// Blocks of results decrypt, to integers and to floats, or neither.
pub(super) fn results() -> Target {
    let modules = modules();
    let key = key(&modules);
    let clients: Vec<_> = modules.iter().map(|module| module.client(&key)).collect();
    let seeds = modules.iter().flat_map(|module| {
        let most = module.circuit.parameters.max_records();
        [1, 3, most.min(66)].map(|records| module.block(BlockKind::Results, records))
    });
    Target {
        name: "decrypt",
        share: 90,
        seeds: seeds.collect(),
        most_bytes: (64, 1 << 20),
        check: Box::new(move |input| {
            let mut is_accepted = false;
            for client in &clients {
                let integers = client.decrypt(input);
                let Ok(integers) = integers else {
                    continue;
                };
                is_accepted = true;
                let outputs = client.spec().outputs;
                let scales = vec![0.5; records(input)];
                assert_eq!(integers.len(), scales.len() * outputs);
                let mut floats = vec![0.0; integers.len()];
                let places = Outputs::table(&mut floats, outputs).expect("places");
                let (header, _) = BlockHeader::parse(input).expect("it was decrypted");
                client
                    .decrypt_to_floats(input, header.block_number, &scales, 1, places)
                    .expect("it was decrypted");
                assert_eq!(
                    client.residual_noise(input).map(|n| n.len()),
                    Ok(integers.len())
                );
            }
            is_accepted
        }),
    }
}

/// Sums of blocks decrypt, to integers and to floats, or neither.
pub(super) fn sums() -> Target {
    let module = module_for_sums();
    let key = key(std::slice::from_ref(&module));
    let client = module.client(&key);
    let seeds = [1, 3, 65].map(|records| {
        let mut header = module.header(BlockKind::Sums, records);
        header.summands = 5 * records;
        super::fixtures::fill(&header)
    });
    Target {
        name: "decrypt-sums",
        share: 40,
        seeds: seeds.into(),
        most_bytes: (64, 1 << 20),
        check: Box::new(move |input| {
            let Ok(integers) = client.decrypt_sums(input) else {
                return false;
            };
            let outputs = client.spec().outputs;
            let mut floats = vec![0.0; integers.len()];
            for count in [0, u64::MAX] {
                let counts = vec![count; records(input)];
                let places = Outputs::table(&mut floats, outputs).expect("places");
                let decrypted = client.decrypt_sums_to_floats(input, &counts, 1, places);
                assert_eq!(decrypted.is_ok(), count == 0);
            }
            true
        }),
    }
}

/// Results of a mask, and of bodies under it.
pub(super) fn ahead() -> Target {
    let module = modules().swap_remove(1);
    let key = key(std::slice::from_ref(&module));
    let client = module.client(&key);
    let mut masks = module.header(BlockKind::MaskResults, 0);
    masks.mask_seed = ANY_SEED;
    let bodies = [1, 3].map(|records| {
        let mut header = module.header(BlockKind::BodyResults, records);
        header.mask_seed = ANY_SEED;
        super::fixtures::fill(&header)
    });
    let mut seeds = vec![super::fixtures::fill(&masks)];
    seeds.extend(bodies);
    Target {
        name: "decrypt-ahead",
        share: 13,
        most_bytes: (64, 1 << 20),
        check: Box::new({
            let masks = seeds[0].clone();
            move |input| ahead_of_records(&client, &masks, input)
        }),
        seeds,
    }
}

/// Gives an input first as the results of a mask, then as those of bodies under a mask.
fn ahead_of_records(client: &ModuleClient, masks: &[u8], input: &[u8]) -> bool {
    let order = || client.order_mask(4, BLOCK_NUMBER).expect("an order");
    let first = order();
    let answer = with_seed(input, &first.block());
    let is_mask = client.prepare_mask(first, &answer, 1).is_ok();

    let second = order();
    let block = second.block();
    let mask = client
        .prepare_mask(second, &with_seed(masks, &block), 1)
        .expect("its own results");
    let (inputs, outputs) = (client.spec().inputs, client.spec().outputs);
    let records = vec![0.25; 3 * inputs];
    let mut bodies = vec![0; client.block_bytes(3)];
    let mut scales = [0.0; 3];
    let table = Records::table(&records, inputs).expect("records");
    let slot = client
        .encrypt_ahead(&mask, &table, &mut scales, BLOCK_NUMBER, &mut bodies)
        .expect("slots are left")
        .expect("slots are left");
    let mut floats = vec![0.0; 3 * outputs];
    let places = Outputs::table(&mut floats, outputs).expect("places");
    let answer = with_seed(input, &block);
    let decrypted = client.decrypt_ahead(&mask, slot, &answer, BLOCK_NUMBER, &scales, places);
    is_mask || decrypted.is_ok()
}

/// An input with the seed of an order in the place of [`ANY_SEED`]; its header stays sealed if it was.
fn with_seed(input: &[u8], order: &[u8]) -> Vec<u8> {
    let mut answer = input.to_vec();
    const SEED: std::ops::Range<usize> = 56..72;
    if answer.len() < HEADER_BYTES || answer[SEED] != ANY_SEED {
        return answer;
    }
    let (end, checksum) = (HEADER_BYTES - 4, HEADER_BYTES - 4..HEADER_BYTES);
    let is_sealed = crc32c(&answer[..end]).to_le_bytes() == answer[checksum.clone()];
    answer[SEED].copy_from_slice(&order[SEED]);
    if is_sealed {
        let sealed = crc32c(&answer[..end]).to_le_bytes();
        answer[checksum].copy_from_slice(&sealed);
    }
    answer
}
