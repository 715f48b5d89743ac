//! Products of ciphertexts, added to sums.

use super::ciphertext::{Ciphertext, Tensor};
use crate::lanes::{Lanes, Task, dispatch};
use crate::pointwise::{vectors, vectors_mut};
use crate::ring::{Modulus, Ring};

/// Adds a·b, or 2·a·b: a_0·b_0, a_0·b_1 + a_1·b_0 and a_1·b_1.
pub(crate) fn add_product(
    ring: &Ring,
    sum: &mut Tensor,
    a: &Ciphertext,
    b: &Ciphertext,
    is_doubled: bool,
) {
    sum.is_quadratic = true;
    for prime in 0..sum.level {
        let modulus = ring.level(prime).modulus();
        let parts = sum.parts_mut(prime);
        let [a, b] = [a, b].map(|c| [c.points(0, prime), c.points(1, prime)]);
        dispatch(AddProduct {
            modulus,
            sum: parts,
            a,
            b,
            is_doubled,
        });
    }
}

struct AddProduct<'a> {
    modulus: &'a Modulus,
    sum: [&'a mut [u32]; 3],
    a: [&'a [u32]; 2],
    b: [&'a [u32]; 2],
    is_doubled: bool,
}

impl Task for AddProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        match self.is_doubled {
            true => self.add::<L, true>(lanes),
            false => self.add::<L, false>(lanes),
        }
    }
}

impl AddProduct<'_> {
    #[inline(always)]
    fn add<L: Lanes, const DOUBLES: bool>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let [a0, a1] = self.a.map(vectors);
        let [b0, b1] = self.b.map(vectors);
        let [d0, d1, d2] = self.sum.map(vectors_mut);
        let factors = a0.iter().zip(a1).zip(b0.iter().zip(b1));
        for (((d0, d1), d2), ((a0, a1), (b0, b1))) in d0.iter_mut().zip(d1).zip(d2).zip(factors) {
            let (a0, a1) = (lanes.load(a0), lanes.load(a1));
            let (mut b0, mut b1) = (lanes.load(b0), lanes.load(b1));
            if DOUBLES {
                (b0, b1) = (m.add(b0, b0), m.add(b1, b1));
            }
            let mixed = lanes.add_wide(lanes.mul_wide(a0, b1), lanes.mul_wide(a1, b0));
            for (sum, product) in [
                (d0, lanes.mul_wide(a0, b0)),
                (d1, mixed),
                (d2, lanes.mul_wide(a1, b1)),
            ] {
                lanes.store(m.add(lanes.load(sum), m.reduce_wide(product)), sum);
            }
        }
    }
}
