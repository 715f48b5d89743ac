//! CRC-32C (Castagnoli), the checksum of blocks, circuits and key files.
//!
//! The bytes go through `crc-fast`, which folds with carry-less multiplications where the machine has
//! them, chosen at run time. Putting parts together is done here: it is needed once a panel and thread, and
//! the crate's own way takes ten microseconds each time.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32C of bytes that come in parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checksum {
    crc: u32,
    bytes: u64,
}

impl Checksum {
    /// Of no bytes yet.
    pub fn new() -> Self {
        Checksum::default()
    }

    /// Takes more bytes; runs of some kilobytes are as fast as one piece.
    pub fn update(&mut self, bytes: &[u8]) {
        let state = u64::from(!self.crc);
        let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, state);
        digest.update(bytes);
        self.crc = digest.finalize() as u32;
        self.bytes += bytes.len() as u64;
    }

    /// Appends the bytes that `next` has seen, in time logarithmic in their number.
    pub fn append(&mut self, next: Checksum) {
        self.crc = times_power_of_x(self.crc, next.bytes) ^ next.crc;
        self.bytes += next.bytes;
    }

    /// CRC-32C of all bytes so far.
    pub fn value(&self) -> u32 {
        self.crc
    }
}

/// The polynomial x^32 + x^28 + …, bit-reversed as all polynomials here: the top bit is the coefficient of
/// x^0.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x^(8·2^i) mod P.
const POWERS_OF_X: [u32; 64] = {
    let mut powers = [1 << (31 - 8); 64];
    let mut i = 1;
    while i < 64 {
        powers[i] = multiply(powers[i - 1], powers[i - 1]);
        i += 1;
    }
    powers
};

/// crc · x^(8·bytes) mod P: what `bytes` zero bytes make of a checksum without its complements.
fn times_power_of_x(crc: u32, bytes: u64) -> u32 {
    (0..64)
        .filter(|i| bytes >> i & 1 == 1)
        .fold(crc, |crc, i| multiply(crc, POWERS_OF_X[i]))
}

/// a·b mod P.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut power = 0;
    while power < 32 {
        product ^= b & (a << power >> 31).wrapping_neg();
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
        power += 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn reference(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg())
            })
        })
    }

    #[test]
    fn the_check_value_of_the_catalogue_holds() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(Checksum::new().value(), crc32c(b""));
    }

    proptest! {
        #[test]
        fn parts_give_the_checksum_of_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..5000),
            cuts in any::<[prop::sample::Index; 2]>(),
        ) {
            let mut cuts = cuts.map(|cut| cut.index(bytes.len() + 1));
            cuts.sort();
            let expected = reference(&bytes);
            prop_assert_eq!(crc32c(&bytes), expected);
            let [first, second, third] =
                [&bytes[..cuts[0]], &bytes[cuts[0]..cuts[1]], &bytes[cuts[1]..]];
            let mut checksum = Checksum::new();
            checksum.update(first);
            checksum.update(second);
            let mut last = Checksum::new();
            last.update(third);
            checksum.append(last);
            prop_assert_eq!(checksum.value(), expected);
        }
    }
}
