//! Terms added to sums.

use super::ciphertext::{Ciphertext, Tensor, Terms};
use crate::lanes::{Lanes, Task, dispatch};
use crate::pointwise::{self, vectors, vectors_mut};
use crate::ring::{Modulus, Ring};

/// Adds a·b, or 2·a·b: a_0·b_0, a_0·b_1 + a_1·b_0 and a_1·b_1.
pub(crate) fn add_product(
    ring: &Ring,
    sum: &mut Tensor,
    a: &Ciphertext,
    b: &Ciphertext,
    is_doubled: bool,
) {
    let terms = sum.terms;
    for prime in 0..sum.level {
        let modulus = ring.level(prime).modulus();
        let parts = sum.parts_mut(prime);
        let [a, b] = [a, b].map(|c| [c.points(0, prime), c.points(1, prime)]);
        dispatch(AddProduct {
            modulus,
            sum: parts,
            terms,
            a,
            b,
            is_doubled,
        });
    }
    sum.terms = Terms::Quadratic;
}

/// Adds a·factor.
pub(crate) fn add_multiple(ring: &Ring, sum: &mut Tensor, a: &Ciphertext, factor: i128) {
    let is_empty = sum.terms == Terms::None;
    for prime in 0..sum.level {
        let modulus = ring.level(prime).modulus();
        let factor = modulus.factor(modulus.of_integer(factor));
        for part in 0..2 {
            let points = sum.points_mut(part, prime);
            match is_empty {
                true => pointwise::multiply(modulus, points, a.points(part, prime), factor),
                false => pointwise::add_multiple(modulus, points, a.points(part, prime), factor),
            }
        }
    }
    sum.terms = sum.terms.max(Terms::Linear);
}

/// Adds a constant.
pub(crate) fn add_constant(ring: &Ring, sum: &mut Tensor, constant: i128) {
    for prime in 0..sum.level {
        let modulus = ring.level(prime).modulus();
        if sum.terms == Terms::None {
            sum.points_mut(0, prime).fill(0);
            sum.points_mut(1, prime).fill(0);
        }
        let constant = modulus.of_integer(constant);
        pointwise::add_constant(modulus, sum.points_mut(0, prime), constant);
    }
    sum.terms = sum.terms.max(Terms::Linear);
}

struct AddProduct<'a> {
    modulus: &'a Modulus,
    sum: [&'a mut [u32]; 3],
    terms: Terms,
    a: [&'a [u32]; 2],
    b: [&'a [u32]; 2],
    is_doubled: bool,
}

impl Task for AddProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let [a0, a1] = self.a.map(vectors);
        let [b0, b1] = self.b.map(vectors);
        let [d0, d1, d2] = self.sum.map(vectors_mut);
        let factors = a0.iter().zip(a1).zip(b0.iter().zip(b1));
        for (((d0, d1), d2), ((a0, a1), (b0, b1))) in d0.iter_mut().zip(d1).zip(d2).zip(factors) {
            let (a0, a1) = (lanes.load(a0), lanes.load(a1));
            let (mut b0, mut b1) = (lanes.load(b0), lanes.load(b1));
            if self.is_doubled {
                (b0, b1) = (m.add(b0, b0), m.add(b1, b1));
            }
            let mut c0 = m.reduce_wide(lanes.mul_wide(a0, b0));
            let mixed = lanes.add_wide(lanes.mul_wide(a0, b1), lanes.mul_wide(a1, b0));
            let mut c1 = m.reduce_wide(mixed);
            let mut c2 = m.reduce_wide(lanes.mul_wide(a1, b1));
            if self.terms >= Terms::Linear {
                c0 = m.add(c0, lanes.load(d0));
                c1 = m.add(c1, lanes.load(d1));
            }
            if self.terms == Terms::Quadratic {
                c2 = m.add(c2, lanes.load(d2));
            }
            lanes.store(c0, d0);
            lanes.store(c1, d1);
            lanes.store(c2, d2);
        }
    }
}
