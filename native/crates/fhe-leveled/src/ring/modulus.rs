//! Arithmetic modulo one prime.

use crate::lanes::Lanes;

/// A prime p with 3·2^28 < p < 2^30: sums of a few residues fit 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Modulus {
    p: u32,
    /// ⌊2^61/p⌋, for Barrett's reduction.
    barrett: u32,
    /// -1/p mod 2^32, for Montgomery's.
    negated_inverse: u32,
}

/// A constant to multiply by, and ⌊constant · 2^32/p⌋ (Shoup).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Factor {
    pub value: u32,
    pub shoup: u32,
}

impl Modulus {
    /// Arithmetic modulo a prime of 30 bits.
    pub(crate) fn new(p: u32) -> Self {
        assert!(p >> 28 == 3, "{p}");
        // Newton's iteration doubles the bits that hold.
        let inverse = (0..5).fold(p, |x, _| {
            x.wrapping_mul(2u32.wrapping_sub(p.wrapping_mul(x)))
        });
        Modulus {
            p,
            barrett: ((1u64 << 61) / u64::from(p)) as u32,
            negated_inverse: inverse.wrapping_neg(),
        }
    }

    pub(crate) fn p(&self) -> u32 {
        self.p
    }

    /// a·b mod p.
    pub(crate) fn mul(&self, a: u32, b: u32) -> u32 {
        (u64::from(a) * u64::from(b) % u64::from(self.p)) as u32
    }

    /// base^exponent mod p.
    pub(crate) fn power(&self, base: u32, exponent: u32) -> u32 {
        Self::power_of(base, exponent, self.p)
    }

    /// base^exponent mod any `modulo`.
    pub(crate) fn power_of(base: u32, mut exponent: u32, modulo: u32) -> u32 {
        let modulo = u64::from(modulo);
        let (mut power, mut base) = (1, u64::from(base) % modulo);
        while exponent > 0 {
            if exponent & 1 == 1 {
                power = power * base % modulo;
            }
            base = base * base % modulo;
            exponent >>= 1;
        }
        power as u32
    }

    /// 1/a mod p.
    pub(crate) fn inverse(&self, a: u32) -> u32 {
        self.power(a, self.p - 2)
    }

    /// -a mod p of a residue.
    pub(crate) fn negate(&self, a: u32) -> u32 {
        if a == 0 { 0 } else { self.p - a }
    }

    /// The residue of an integer.
    pub(crate) fn of_integer(&self, integer: i128) -> u32 {
        integer.rem_euclid(i128::from(self.p)) as u32
    }

    /// A constant of this modulus, made ready to multiply by.
    pub(crate) fn factor(&self, value: u32) -> Factor {
        let value = value % self.p;
        let shoup = ((u64::from(value) << 32) / u64::from(self.p)) as u32;
        Factor { value, shoup }
    }

    /// 2^32 mod p: what a product by Montgomery's reduction lacks.
    pub(crate) fn montgomery_one(&self) -> u32 {
        ((1u64 << 32) % u64::from(self.p)) as u32
    }

    /// The same in vectors.
    #[inline(always)]
    pub(crate) fn lanes<L: Lanes>(&self, lanes: L) -> ModulusLanes<L> {
        ModulusLanes {
            lanes,
            p: lanes.splat(self.p),
            two_p: lanes.splat(2 * self.p),
            barrett: lanes.splat(self.barrett),
            negated_inverse: lanes.splat(self.negated_inverse),
        }
    }
}

/// Arithmetic modulo one prime, eight residues at a time.
#[derive(Clone, Copy)]
pub(crate) struct ModulusLanes<L: Lanes> {
    pub lanes: L,
    pub p: L::V,
    pub two_p: L::V,
    barrett: L::V,
    negated_inverse: L::V,
}

impl<L: Lanes> ModulusLanes<L> {
    /// The residue of a number below 4p.
    #[inline(always)]
    pub(crate) fn reduce(&self, a: L::V) -> L::V {
        self.lanes.reduce(self.lanes.reduce(a, self.two_p), self.p)
    }

    /// a + b of residues.
    #[inline(always)]
    pub(crate) fn add(&self, a: L::V, b: L::V) -> L::V {
        self.lanes.reduce(self.lanes.add(a, b), self.p)
    }

    /// a - b of residues.
    #[inline(always)]
    pub(crate) fn sub(&self, a: L::V, b: L::V) -> L::V {
        self.lanes.lift(self.lanes.sub(a, b), self.p)
    }

    /// The residue of x·factor, for any x.
    #[inline(always)]
    pub(crate) fn mul_factor(&self, x: L::V, factor: (L::V, L::V)) -> L::V {
        let product = self.lanes.mul_shoup(x, factor.0, factor.1, self.p);
        self.lanes.reduce(product, self.p)
    }

    /// The residue of a number below 2^61 (Barrett): the quotient that is estimated is at most 3 too small.
    #[inline(always)]
    pub(crate) fn reduce_wide(&self, wide: L::Wide) -> L::V {
        let lanes = self.lanes;
        let estimate = lanes.mul_wide(lanes.shift_right_wide::<30>(wide), self.barrett);
        let quotient = lanes.shift_right_wide::<31>(estimate);
        self.reduce(lanes.sub(lanes.low(wide), lanes.mul_low(quotient, self.p)))
    }

    /// The residue of wide / 2^32 for numbers below 2^63 (Montgomery): what is reduced is below 2^31 + p < 4p.
    #[inline(always)]
    pub(crate) fn reduce_montgomery(&self, wide: L::Wide) -> L::V {
        self.reduce(self.lanes.montgomery(wide, self.p, self.negated_inverse))
    }
}

/// A factor in every lane.
#[inline(always)]
pub(crate) fn splat_factor<L: Lanes>(lanes: L, factor: Factor) -> (L::V, L::V) {
    (lanes.splat(factor.value), lanes.splat(factor.shoup))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::{LANES, Lane8, Task, on_every_path};
    use crate::ring::Primes;
    use proptest::prelude::*;

    struct Operations {
        modulus: Modulus,
        a: Lane8,
        b: Lane8,
        factor: Factor,
    }

    impl Task for Operations {
        type Output = [Lane8; 6];

        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> [Lane8; 6] {
            let m = self.modulus.lanes(lanes);
            let (a, b) = (lanes.load(&self.a), lanes.load(&self.b));
            let product = lanes.mul_wide(a, b);
            [
                m.add(a, b),
                m.sub(a, b),
                m.mul_factor(a, splat_factor(lanes, self.factor)),
                m.reduce_wide(lanes.add_wide(product, lanes.mul_wide(b, b))),
                m.reduce_montgomery(lanes.add_wide(product, product)),
                m.reduce(lanes.add(lanes.add(a, b), lanes.add(a, b))),
            ]
            .map(|vector| {
                let mut lane = [0; LANES];
                lanes.store(vector, &mut lane);
                lane
            })
        }
    }

    proptest! {
        #[test]
        fn residues_are_those_of_integers(
            a in any::<Lane8>(), b in any::<Lane8>(), c in any::<u32>(), prime in 0usize..27, ends in any::<bool>(),
        ) {
            let p = Primes::find(8192, 27).unwrap().levels[prime];
            let modulus = Modulus::new(p);
            let (a, b) = (a.map(|a| a % p), b.map(|b| if ends { p - 1 } else { b % p }));
            let factor = modulus.factor(c);
            let inverse = modulus.inverse(modulus.montgomery_one());
            for [sum, difference, scaled, wide, montgomery, four] in
                on_every_path(|| Operations { modulus, a, b, factor })
            {
                for i in 0..LANES {
                    let (a, b, m) = (u128::from(a[i]), u128::from(b[i]), u128::from(p));
                    prop_assert_eq!(u128::from(sum[i]), (a + b) % m);
                    prop_assert_eq!(u128::from(difference[i]), (a + m - b) % m);
                    prop_assert_eq!(u128::from(scaled[i]), a * u128::from(c) % m);
                    prop_assert_eq!(u128::from(wide[i]), (a * b + b * b) % m);
                    prop_assert_eq!(u128::from(montgomery[i]), 2 * a * b % m * u128::from(inverse) % m);
                    prop_assert_eq!(u128::from(four[i]), 2 * (a + b) % m);
                }
            }
        }

        #[test]
        fn constants_are_right(a in 1u32..1 << 29, integer in any::<i128>(), prime in 0usize..27) {
            let p = Primes::find(4096, 27).unwrap().levels[prime];
            let modulus = Modulus::new(p);
            prop_assert_eq!(modulus.mul(a, modulus.inverse(a)), 1);
            prop_assert_eq!(modulus.mul(a, modulus.negate(modulus.inverse(a))), p - 1);
            prop_assert_eq!(i128::from(modulus.of_integer(integer)), integer.rem_euclid(i128::from(p)));
            prop_assert_eq!(modulus.negated_inverse.wrapping_mul(p), u32::MAX);
        }
    }
}
