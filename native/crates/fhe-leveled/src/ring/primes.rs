//! The primes of the modulus.

use fhe_core::{Error, Result};

use super::Modulus;
use crate::security::PRIME_BITS;

/// The largest primes below 2^30 that have roots of unity of order 4n: the special prime P, then q_0, q_1, … in
/// falling order. More levels keep the primes of fewer, so that a key serves every circuit of its ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Primes {
    /// P.
    pub special: u32,
    /// q_0 … q_(L-1).
    pub levels: Vec<u32>,
}

impl Primes {
    /// Those of a polynomial size and so many levels.
    ///
    /// # Errors
    /// [`Error::Internal`] if there are not enough: never for secure parameters.
    pub(crate) fn find(polynomial_size: usize, levels: usize) -> Result<Self> {
        let step = 4 * polynomial_size as u32;
        let below = 1u32 << PRIME_BITS;
        let mut found = (1..below / step)
            .map(|multiple| below - multiple * step + 1)
            // As `Modulus` needs them.
            .take_while(|&candidate| candidate > below / 4 * 3)
            .filter(|&candidate| is_prime(candidate));
        let missing = || {
            Error::Internal(format!(
                "{levels} primes at polynomial size {polynomial_size}"
            ))
        };
        let special = found.next().ok_or_else(missing)?;
        let levels: Vec<u32> = found.take(levels).collect();
        Ok(Primes { special, levels })
    }

    /// log2 of the product of all.
    pub(crate) fn modulus_bits(&self) -> f64 {
        let primes = self.levels.iter().chain([&self.special]);
        primes.map(|&prime| f64::from(prime).log2()).sum()
    }
}

/// The deterministic test of Miller and Rabin: these bases decide every 32-bit number (Jaeschke 1993).
fn is_prime(candidate: u32) -> bool {
    if candidate < 64 || candidate.is_multiple_of(2) {
        return matches!(
            candidate,
            2 | 3 | 5 | 7 | 11 | 13 | 17 | 19 | 23 | 29 | 31 | 37 | 41 | 43 | 47 | 53 | 59 | 61
        );
    }
    let twos = (candidate - 1).trailing_zeros();
    let odd = (candidate - 1) >> twos;
    let modulo = u64::from(candidate);
    [2, 7, 61].into_iter().all(|base| {
        let mut power = Modulus::power_of(base, odd, candidate);
        if power == 1 {
            return true;
        }
        for _ in 0..twos {
            if power == candidate - 1 {
                return true;
            }
            power = (u64::from(power) * u64::from(power) % modulo) as u32;
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_prime_and_have_the_roots() {
        for n in [256, 4096, 8192, 16384, 32768] {
            let Primes { special, levels } = Primes::find(n, 27).unwrap();
            let mut before = 1 << 30;
            for p in [special].into_iter().chain(levels) {
                assert!(p < before && p > 3 << 28);
                assert_eq!(p as usize % (4 * n), 1);
                assert!(
                    (2..)
                        .take_while(|d| d * d <= p)
                        .all(|d| !p.is_multiple_of(d)),
                    "{p}"
                );
                before = p;
            }
        }
    }

    #[test]
    fn primality_is_decided() {
        let by_division = |c: u32| {
            c > 1
                && (2..)
                    .take_while(|d| d * d <= c)
                    .all(|d| !c.is_multiple_of(d))
        };
        for candidate in 0..5000 {
            assert_eq!(is_prime(candidate), by_division(candidate), "{candidate}");
        }
        // Strong pseudoprimes to one or two of the bases.
        for composite in [2047, 314_821, 25_326_001, 3_215_031_751] {
            assert!(!is_prime(composite), "{composite}");
        }
    }

    #[test]
    fn fewer_levels_are_a_prefix() {
        let (few, many) = (
            Primes::find(8192, 2).unwrap(),
            Primes::find(8192, 6).unwrap(),
        );
        assert_eq!(
            (few.special, &few.levels[..]),
            (many.special, &many.levels[..2])
        );
    }
}
