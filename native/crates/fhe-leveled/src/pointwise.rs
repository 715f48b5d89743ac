//! Arithmetic on points: products in the ring are products of points.

use crate::lanes::{LANES, Lane8, Lanes, Task, dispatch};
use crate::ring::{Factor, Modulus, splat_factor};

/// Points as vectors.
pub(crate) fn vectors(points: &[u32]) -> &[Lane8] {
    let (vectors, rest) = points.as_chunks::<LANES>();
    debug_assert!(rest.is_empty());
    vectors
}

/// Points as vectors to be written.
pub(crate) fn vectors_mut(points: &mut [u32]) -> &mut [Lane8] {
    let (vectors, rest) = points.as_chunks_mut::<LANES>();
    debug_assert!(rest.is_empty());
    vectors
}

/// sum + a·b in place of `sum`.
pub(crate) fn add_product(modulus: &Modulus, sum: &mut [u32], a: &[u32], b: &[u32]) {
    dispatch(AddProduct::<false> { modulus, sum, a, b });
}

/// sum - a·b in place of `sum`.
pub(crate) fn subtract_product(modulus: &Modulus, sum: &mut [u32], a: &[u32], b: &[u32]) {
    dispatch(AddProduct::<true> { modulus, sum, a, b });
}

struct AddProduct<'a, const SUBTRACTS: bool> {
    modulus: &'a Modulus,
    sum: &'a mut [u32],
    a: &'a [u32],
    b: &'a [u32],
}

impl<const SUBTRACTS: bool> Task for AddProduct<'_, SUBTRACTS> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let factors = vectors(self.a).iter().zip(vectors(self.b));
        for (sum, (a, b)) in vectors_mut(self.sum).iter_mut().zip(factors) {
            let product = m.reduce_wide(lanes.mul_wide(lanes.load(a), lanes.load(b)));
            let total = match SUBTRACTS {
                false => m.add(lanes.load(sum), product),
                true => m.sub(lanes.load(sum), product),
            };
            lanes.store(total, sum);
        }
    }
}

/// sum + factor·a in place of `sum`.
pub(crate) fn add_multiple(modulus: &Modulus, sum: &mut [u32], a: &[u32], factor: Factor) {
    dispatch(AddMultiple {
        modulus,
        sum,
        a,
        factor,
    });
}

struct AddMultiple<'a> {
    modulus: &'a Modulus,
    sum: &'a mut [u32],
    a: &'a [u32],
    factor: Factor,
}

impl Task for AddMultiple<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let factor = splat_factor(lanes, self.factor);
        for (sum, a) in vectors_mut(self.sum).iter_mut().zip(vectors(self.a)) {
            let product = m.mul_factor(lanes.load(a), factor);
            lanes.store(m.add(lanes.load(sum), product), sum);
        }
    }
}

/// factor·a in place of `product`.
pub(crate) fn multiply(modulus: &Modulus, product: &mut [u32], a: &[u32], factor: Factor) {
    dispatch(Multiply {
        modulus,
        product,
        a,
        factor,
    });
}

struct Multiply<'a> {
    modulus: &'a Modulus,
    product: &'a mut [u32],
    a: &'a [u32],
    factor: Factor,
}

impl Task for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let factor = splat_factor(lanes, self.factor);
        for (product, a) in vectors_mut(self.product).iter_mut().zip(vectors(self.a)) {
            lanes.store(m.mul_factor(lanes.load(a), factor), product);
        }
    }
}

/// sum + constant in place of `sum`.
pub(crate) fn add_constant(modulus: &Modulus, sum: &mut [u32], constant: u32) {
    dispatch(AddConstant {
        modulus,
        sum,
        constant,
    });
}

struct AddConstant<'a> {
    modulus: &'a Modulus,
    sum: &'a mut [u32],
    constant: u32,
}

impl Task for AddConstant<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let m = self.modulus.lanes(lanes);
        let constant = lanes.splat(self.constant);
        for sum in vectors_mut(self.sum) {
            lanes.store(m.add(lanes.load(sum), constant), sum);
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
        fn points_are_computed_with_one_by_one(points in any::<[[u32; 16]; 3]>(), constant in any::<u32>()) {
            let modulus = Modulus::new(Primes::find(4096, 2).unwrap().levels[1]);
            let p = u64::from(modulus.p());
            let [a, b, c] = points.map(|points| points.map(|point| (u64::from(point) % p) as u32));
            let expected = |f: &dyn Fn(u64, u64, u64) -> u64| -> Vec<u32> {
                (0..16).map(|i| (f(a[i].into(), b[i].into(), c[i].into()) % p) as u32).collect()
            };
            let constant = constant % modulus.p();
            let k = u64::from(constant);
            let mut found = c;
            add_product(&modulus, &mut found, &a, &b);
            prop_assert_eq!(&found[..], &expected(&|a, b, c| a * b + c)[..]);
            subtract_product(&modulus, &mut found, &a, &b);
            prop_assert_eq!(found, c);
            let factor = modulus.factor(constant);
            add_multiple(&modulus, &mut found, &a, factor);
            prop_assert_eq!(&found[..], &expected(&|a, _, c| k * a + c)[..]);
            let mut product = found;
            multiply(&modulus, &mut product, &a, factor);
            prop_assert_eq!(&product[..], &expected(&|a, _, _| k * a)[..]);
            add_constant(&modulus, &mut found, constant);
            prop_assert_eq!(&found[..], &expected(&|a, _, c| k * a + c + k)[..]);
        }
    }
}
