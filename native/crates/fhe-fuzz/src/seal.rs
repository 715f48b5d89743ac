//! Makes checksums, and lengths, of a mutated input right again.

use fhe_core::block::{HEADER_BYTES, LEVELED_ENTRY_BITS};
use fhe_core::checksum::crc32c;
use rand::{Rng, RngExt};

use crate::bytes::{read, write};

/// Offset of the packed circuit in a circuit with look-ups, after its length.
const INNER: usize = 12;
/// A block whose fields ask for a longer payload stays as it is.
const LONGEST_PAYLOAD: usize = 1 << 16;

/// Seals an input of the format that its first bytes name.
pub(crate) fn seal(input: &mut Vec<u8>, random: &mut impl Rng) {
    match input.get(..4) {
        Some(b"FHEB") => {
            if random.random_ratio(3, 4) {
                fit_payload(input);
            }
            seal_block(input);
        }
        Some(b"FHEC") if input.get(6) == Some(&2) => {
            if let Some(length) = read(input, 8, 4) {
                let end = INNER.saturating_add(length as usize);
                if let Some(inner) = input.get_mut(INNER..end) {
                    seal_file(inner);
                }
            }
            seal_file(input);
        }
        _ => seal_file(input),
    }
}

/// A CRC-32C at the end.
fn seal_file(file: &mut [u8]) {
    if let Some((body, checksum)) = file.split_last_chunk_mut::<4>() {
        *checksum = crc32c(body).to_le_bytes();
    }
}

/// Makes a block's payload as long as its fields say, if that is not long.
fn fit_payload(block: &mut Vec<u8>) {
    if block.len() < HEADER_BYTES {
        return;
    }
    let field = |offset| read(block, offset, 4).unwrap_or(0) as usize;
    let polynomials = match block[6] {
        9 => Some(field(72)),
        10 => Some(field(72).saturating_mul(2)),
        _ => None,
    };
    if let Some(polynomials) = polynomials {
        let polynomial = field(76).saturating_mul(LEVELED_ENTRY_BITS).div_ceil(8);
        let bytes = polynomials
            .saturating_mul(polynomial)
            .saturating_mul(field(88));
        if bytes <= LONGEST_PAYLOAD {
            block.resize(HEADER_BYTES + bytes, 0x5a);
        }
        return;
    }
    let has_mask_rows = matches!(block[6], 2 | 4 | 7 | 8);
    let mask_rows = if has_mask_rows {
        field(72).saturating_mul(field(76))
    } else {
        0
    };
    let mask = mask_rows.saturating_mul(field(80));
    let bodies = field(84).saturating_mul(field(92));
    let bytes = mask.saturating_add(bodies).saturating_mul(field(88));
    if bytes <= LONGEST_PAYLOAD {
        block.resize(HEADER_BYTES + bytes, 0x5a);
    }
}

/// Length and checksums of a block.
fn seal_block(block: &mut [u8]) {
    if let Some((_, payload)) = block.split_at_checked(HEADER_BYTES) {
        let (length, checksum) = (payload.len() as u64, crc32c(payload));
        write(block, 104, 8, length);
        write(block, 116, 4, checksum.into());
        let header = crc32c(&block[..HEADER_BYTES - 4]);
        write(block, HEADER_BYTES - 4, 4, header.into());
    }
}
