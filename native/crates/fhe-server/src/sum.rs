//! Sums of blocks of results: ciphertexts add entry by entry, mod q, and so do the values in them. Block numbers add up
//! too, mod 2^64, so that the client sees which blocks a sum is of, and that none is in it twice.

use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES, short_hex};
use fhe_core::checksum::crc32c;
use fhe_core::panel::{PANEL_ROWS, PanelLayout};
use fhe_core::{Error, Result};

/// Makes a block of results the first of a sum.
///
/// # Errors
/// [`Error::InvalidInput`] if the block is damaged or cannot be added to others.
pub fn start_sum(block: &[u8]) -> Result<Vec<u8>> {
    let (header, _) = parse_summand(block)?;
    let mut sum = block.to_vec();
    as_sum(&header, header.summands, header.block_number).seal(&mut sum);
    Ok(sum)
}

/// Adds a block of results, or a sum of such, to a sum. Blocks must be of different records: a block that is added
/// twice has its noise added twice, which the circuit's noise budget does not provide for.
///
/// # Errors
/// [`Error::InvalidInput`] if either is damaged, they do not belong together, or the circuit was not compiled for
/// sums of so many; `sum` is then as it was.
pub fn add_to_sum(sum: &mut [u8], block: &[u8]) -> Result<()> {
    let (header, payload) = parse_summand(block)?;
    let (of_sum, _) = parse_summand(sum)?;
    let count = summands(&of_sum, &header)?;
    let layout = of_sum.layout();
    let (mask_sum, body_sum) = sum[HEADER_BYTES..].split_at_mut(layout.mask.bytes());
    let (mask, bodies) = payload.split_at(layout.mask.bytes());
    add_entries(&layout.mask, mask_sum, mask);
    add_entries(&layout.bodies, body_sum, bodies);
    let checksum = crc32c(&sum[HEADER_BYTES..]);
    let number = of_sum.block_number.wrapping_add(header.block_number);
    as_sum(&of_sum, count, number).seal_with(checksum, sum);
    Ok(())
}

fn as_sum(header: &BlockHeader, summands: usize, block_number: u64) -> BlockHeader {
    BlockHeader {
        kind: BlockKind::Sums,
        summands,
        block_number,
        ..header.clone()
    }
}

fn parse_summand(block: &[u8]) -> Result<(BlockHeader, &[u8])> {
    let (header, payload) = BlockHeader::parse(block)?;
    let number = header.block_number;
    match header.kind {
        BlockKind::Results | BlockKind::Sums => {}
        BlockKind::LookupResults => {
            return Err(Error::invalid(format!(
                "encrypted block {number} holds results of look-ups, which cannot be added: only results of linear modules can"
            )));
        }
        kind => {
            return Err(Error::invalid(format!(
                "encrypted block {number} holds {kind:?}, only Results can be added"
            )));
        }
    }
    if !(1..=header.max_summands).contains(&header.summands) {
        return Err(Error::invalid(format!(
            "encrypted block {number} says it is the sum of {} results, of at most {}",
            header.summands, header.max_summands
        )));
    }
    Ok((header, payload))
}

/// Results that the sum of a sum and a block holds, if they may be added.
fn summands(sum: &BlockHeader, block: &BlockHeader) -> Result<usize> {
    let number = block.block_number;
    if block.circuit != sum.circuit {
        return Err(Error::invalid(format!(
            "encrypted block {number} is a result of circuit {}, the sum it is added to of circuit {}",
            short_hex(&block.circuit),
            short_hex(&sum.circuit)
        )));
    }
    if block.key_id != sum.key_id {
        return Err(Error::invalid(format!(
            "encrypted block {number} is under key {}, the sum it is added to under key {}",
            short_hex(&block.key_id),
            short_hex(&sum.key_id)
        )));
    }
    for (name, found, wanted) in [
        ("GLWE dimension", block.glwe_dimension, sum.glwe_dimension),
        (
            "polynomial size",
            block.polynomial_size,
            sum.polynomial_size,
        ),
        ("limbs", block.limbs, sum.limbs),
        ("body limbs", block.body_limbs, sum.body_limbs),
        ("features", block.features, sum.features),
        ("limit of summands", block.max_summands, sum.max_summands),
    ] {
        if found != wanted {
            return Err(Error::invalid(format!(
                "encrypted block {number} has {name} {found}, the sum it is added to has {wanted}"
            )));
        }
    }
    if block.records != sum.records {
        return Err(Error::invalid(format!(
            "encrypted block {number} has {} records, the sum it is added to has {}: pad short blocks with records of zeros when they are encrypted",
            block.records, sum.records
        )));
    }
    // Both are below 2^32.
    let count = sum.summands + block.summands;
    if count > sum.max_summands {
        return Err(Error::invalid(format!(
            "the sum of {count} results would exceed the {} that circuit {} was compiled for: compile with --sums {count} or more",
            sum.max_summands,
            short_hex(&sum.circuit)
        )));
    }
    Ok(count)
}

/// sum += terms, mod 2^(8·limbs), entry by entry.
fn add_entries(layout: &PanelLayout, sum: &mut [u8], terms: &[u8]) {
    for panel in 0..layout.panels() {
        let range = layout.panel_range(panel);
        let (sum, terms) = (&mut sum[range.clone()], &terms[range]);
        let width = layout.panel_width(panel);
        let entry_bytes = width * layout.limbs;
        let lines = sum
            .chunks_exact_mut(entry_bytes)
            .zip(terms.chunks_exact(entry_bytes));
        for (sum, terms) in lines {
            let mut carries = [0; PANEL_ROWS];
            if width == PANEL_ROWS {
                let limbs = sum.as_chunks_mut().0.iter_mut();
                for (sum, terms) in limbs.zip(terms.as_chunks().0) {
                    add_limb::<PANEL_ROWS>(sum, terms, &mut carries);
                }
            } else {
                let limbs = sum.chunks_exact_mut(width);
                for (sum, terms) in limbs.zip(terms.chunks_exact(width)) {
                    add_few(sum, terms, &mut carries);
                }
            }
        }
    }
}

/// Adds a limb of so many rows and the carries from the limb below.
#[inline(always)]
fn add_limb<const ROWS: usize>(sum: &mut [u8; ROWS], terms: &[u8; ROWS], carries: &mut [u8; ROWS]) {
    // Of a fixed length, so that rows go through vectors.
    for row in 0..ROWS {
        (sum[row], carries[row]) = add_byte(sum[row], terms[row], carries[row]);
    }
}

fn add_few(sum: &mut [u8], terms: &[u8], carries: &mut [u8]) {
    for ((sum, &term), carry) in sum.iter_mut().zip(terms).zip(carries) {
        (*sum, *carry) = add_byte(*sum, term, *carry);
    }
}

/// The sum of two bytes and a carry, and the carry to the next.
#[inline(always)]
fn add_byte(a: u8, b: u8, carry: u8) -> (u8, u8) {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(carry);
    (sum, u8::from(first | second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Entry `row` of a line of planar limbs.
    fn entry(line: &[u8], width: usize, row: usize) -> u64 {
        line.chunks_exact(width)
            .rev()
            .fold(0, |value, limb| value << 8 | u64::from(limb[row]))
    }

    proptest! {
        #[test]
        fn entries_add_modulo_their_limbs(
            rows in 1usize..140,
            features in 1usize..4,
            limbs in 1usize..=7,
            seed in any::<u64>(),
        ) {
            let layout = PanelLayout { rows, features, limbs };
            let mut state = seed | 1;
            // Bytes of all ones often, so that carries run far.
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if state >> 60 < 6 { 255 } else { (state >> 20) as u8 }
            };
            let before: Vec<u8> = (0..layout.bytes()).map(|_| next()).collect();
            let terms: Vec<u8> = (0..layout.bytes()).map(|_| next()).collect();
            let mut sum = before.clone();
            add_entries(&layout, &mut sum, &terms);
            let modulus = 1u64 << (8 * limbs);
            for panel in 0..layout.panels() {
                let width = layout.panel_width(panel);
                for feature in 0..features {
                    let range = layout.feature_range(panel, feature);
                    for row in 0..width {
                        let of = |bytes: &[u8]| entry(&bytes[range.clone()], width, row);
                        prop_assert_eq!(of(&sum), (of(&before) + of(&terms)) % modulus);
                    }
                }
            }
        }
    }
}
