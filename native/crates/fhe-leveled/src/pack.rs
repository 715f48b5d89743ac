//! Residues of 30 bits without gaps, little-endian: four in 15 bytes.

/// Residues that fill whole bytes together.
const GROUP: usize = 4;
const GROUP_BYTES: usize = 15;
const MASK: u32 = (1 << 30) - 1;

/// Writes residues below 2^30, a multiple of four of them, to 15 bytes each four.
pub(crate) fn pack(residues: &[u32], bytes: &mut [u8]) {
    let (groups, rest) = residues.as_chunks::<GROUP>();
    let (out, left) = bytes.as_chunks_mut::<GROUP_BYTES>();
    assert!(rest.is_empty() && left.is_empty() && groups.len() == out.len());
    for (group, out) in groups.iter().zip(out) {
        let [a, b, c, d] = group.map(u128::from);
        let word = a | b << 30 | c << 60 | d << 90;
        out.copy_from_slice(&word.to_le_bytes()[..GROUP_BYTES]);
    }
}

/// Reads residues; says whether all are below `p`.
#[must_use]
pub(crate) fn unpack(bytes: &[u8], p: u32, residues: &mut [u32]) -> bool {
    let (out, rest) = residues.as_chunks_mut::<GROUP>();
    let (groups, left) = bytes.as_chunks::<GROUP_BYTES>();
    assert!(rest.is_empty() && left.is_empty() && groups.len() == out.len());
    let mut largest = 0;
    for (group, out) in groups.iter().zip(out) {
        let mut word = [0; 16];
        word[..GROUP_BYTES].copy_from_slice(group);
        let word = u128::from_le_bytes(word);
        *out = [0, 30, 60, 90].map(|bits| (word >> bits) as u32 & MASK);
        largest = out
            .iter()
            .fold(largest, |largest, &residue| largest.max(residue));
    }
    largest < p
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn residues_come_back(residues in prop::collection::vec(0..=MASK, 1..40)) {
            let residues = &residues[..residues.len() & !3];
            let mut bytes = vec![0; residues.len() / 4 * 15];
            pack(residues, &mut bytes);
            let bit = |i: usize| bytes[i / 8] >> (i % 8) & 1;
            for (k, residue) in residues.iter().enumerate() {
                let read = (0..30).fold(0, |value, i| value | u32::from(bit(30 * k + i)) << i);
                prop_assert_eq!(read, *residue);
            }
            let mut back = vec![1; residues.len()];
            let largest = residues.iter().copied().max().unwrap_or(0);
            prop_assert!(unpack(&bytes, largest + 1, &mut back));
            prop_assert_eq!(&back, residues);
            prop_assert!(residues.is_empty() || !unpack(&bytes, largest, &mut back));
        }
    }
}
