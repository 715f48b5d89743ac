//! Signed integers, and their residues modulo every prime.

use fhe_core::Result;
use zeroize::Zeroizing;

use super::{Modulus, PAD, splat_factor};
use crate::lanes::{Lanes, Task, dispatch};
use crate::pointwise::{vectors, vectors_mut};

/// Bits of the lower part of an integer.
const LOW_BITS: u32 = 30;

/// Coefficients below 2^58 in magnitude, in two parts: low + 2^30·high with 0 ≤ low < 2^30. They are wiped.
pub(crate) struct Integers {
    low: Zeroizing<Vec<u32>>,
    high: Zeroizing<Vec<u32>>,
}

impl Integers {
    /// n zeros.
    pub(crate) fn zeros(n: usize) -> Result<Self> {
        Ok(Integers {
            low: Zeroizing::new(fhe_core::memory::zeros(n)?),
            high: Zeroizing::new(fhe_core::memory::zeros(n)?),
        })
    }

    /// Takes other integers.
    pub(crate) fn set(&mut self, integers: &[i64]) {
        let parts = self.low.iter_mut().zip(self.high.iter_mut());
        for ((low, high), integer) in parts.zip(integers) {
            *low = *integer as u32 & ((1 << LOW_BITS) - 1);
            *high = (integer >> LOW_BITS) as u32;
        }
    }

    /// Numbers below 2p that are congruent to the integers, to the first n of `residues`, which has [`PAD`] more.
    pub(crate) fn residues(&self, modulus: &Modulus, residues: &mut [u32]) {
        let (residues, pad) = residues.split_at_mut(self.low.len());
        assert_eq!(pad.len(), PAD);
        let (low, high) = (&self.low, &self.high);
        dispatch(Residues {
            modulus,
            low,
            high,
            residues,
        });
    }
}

struct Residues<'a> {
    modulus: &'a Modulus,
    low: &'a [u32],
    high: &'a [u32],
    residues: &'a mut [u32],
}

impl Task for Residues<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let shift = splat_factor(lanes, self.modulus.factor(1 << LOW_BITS));
        let parts = vectors(self.low).iter().zip(vectors(self.high));
        for (residue, (low, high)) in vectors_mut(self.residues).iter_mut().zip(parts) {
            let high = lanes.lift(lanes.load(high), m.p);
            let product = lanes.mul_shoup(high, shift.0, shift.1, m.p);
            // Below 4p.
            let sum = lanes.add(lanes.load(low), product);
            lanes.store(lanes.reduce(sum, m.two_p), residue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Primes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn residues_are_congruent(integers in prop::collection::vec(-(1i64 << 58)..1 << 58, 16)) {
            let modulus = Modulus::new(Primes::find(8192, 6).unwrap().levels[5]);
            let mut parts = Integers::zeros(16).unwrap();
            parts.set(&integers);
            let mut residues = vec![0; 16 + PAD];
            parts.residues(&modulus, &mut residues);
            for (&residue, &integer) in residues.iter().zip(&integers) {
                prop_assert!(residue < 2 * modulus.p());
                prop_assert_eq!(residue % modulus.p(), modulus.of_integer(integer.into()));
            }
        }
    }
}
