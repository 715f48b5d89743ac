//! What moduli are secure: the one table everything else asks.

/// log2 of the largest modulus for 128 bits of security against classical attacks, by polynomial size: uniform
/// ternary secrets, errors of standard deviation 3.19 or more. "Security Guidelines for Implementing Homomorphic
/// Encryption", ePrint 2024/463, the ternary tables' classical column. In the conjugate-invariant ring n
/// coefficients are as hard as n coefficients are elsewhere (Kim and Song, ePrint 2018/952, section 3).
const LARGEST_MODULUS_BITS: [(usize, u32); 6] = [
    (1024, 26),
    (2048, 53),
    (4096, 106),
    (8192, 214),
    (16384, 430),
    (32768, 868),
];

/// Bits that every prime takes at most.
pub(crate) const PRIME_BITS: u32 = 30;

/// Most levels of any polynomial size.
pub(crate) const MOST_LEVELS: usize = 868 / PRIME_BITS as usize - 1;

/// log2 of the largest modulus of a polynomial size, the special prime included; nothing for sizes that are not in the
/// table.
pub fn largest_modulus_bits(polynomial_size: usize) -> Option<u32> {
    LARGEST_MODULUS_BITS
        .into_iter()
        .find(|&(size, _)| size == polynomial_size)
        .map(|(_, bits)| bits)
}

/// Most levels of a polynomial size at 128 bits of security; nothing for sizes that give none.
pub fn max_levels(polynomial_size: usize) -> Option<usize> {
    let primes = largest_modulus_bits(polynomial_size)? / PRIME_BITS;
    // One of them is the special prime.
    (primes as usize)
        .checked_sub(1)
        .filter(|&levels| levels > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_table() {
        let sizes = [1024, 2048, 4096, 8192, 16384, 32768, 65536, 0, 8191];
        let levels = [
            None,
            None,
            Some(2),
            Some(6),
            Some(13),
            Some(27),
            None,
            None,
            None,
        ];
        assert_eq!(sizes.map(max_levels), levels);
        assert_eq!(max_levels(32768), Some(MOST_LEVELS));
    }
}
