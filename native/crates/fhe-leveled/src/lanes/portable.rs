//! Plain loops over arrays.

use std::array::from_fn;

use super::{LANES, Lane8, Lanes};

/// Any machine.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Lanes for Portable {
    type V = Lane8;
    type Wide = [u64; LANES];

    #[inline(always)]
    fn splat(self, value: u32) -> Lane8 {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, values: &Lane8) -> Lane8 {
        *values
    }

    #[inline(always)]
    fn store(self, vector: Lane8, values: &mut Lane8) {
        *values = vector;
    }

    #[inline(always)]
    fn add(self, a: Lane8, b: Lane8) -> Lane8 {
        from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn sub(self, a: Lane8, b: Lane8) -> Lane8 {
        from_fn(|i| a[i].wrapping_sub(b[i]))
    }

    #[inline(always)]
    fn min(self, a: Lane8, b: Lane8) -> Lane8 {
        from_fn(|i| a[i].min(b[i]))
    }

    #[inline(always)]
    fn all_at_most(self, a: Lane8, most: Lane8) -> bool {
        a.iter().zip(&most).all(|(a, most)| a <= most)
    }

    #[inline(always)]
    fn mul_low(self, a: Lane8, b: Lane8) -> Lane8 {
        from_fn(|i| a[i].wrapping_mul(b[i]))
    }

    #[inline(always)]
    fn mul_high(self, a: Lane8, b: Lane8) -> Lane8 {
        from_fn(|i| ((u64::from(a[i]) * u64::from(b[i])) >> 32) as u32)
    }

    #[inline(always)]
    fn and(self, a: Lane8, b: Lane8) -> Lane8 {
        from_fn(|i| a[i] & b[i])
    }

    #[inline(always)]
    fn or(self, a: Lane8, b: Lane8) -> Lane8 {
        from_fn(|i| a[i] | b[i])
    }

    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: Lane8) -> Lane8 {
        a.map(|a| a << BITS)
    }

    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: Lane8) -> Lane8 {
        a.map(|a| a >> BITS)
    }

    #[inline(always)]
    fn reverse(self, a: Lane8) -> Lane8 {
        from_fn(|i| a[LANES - 1 - i])
    }

    #[inline(always)]
    fn transpose(self, rows: [Lane8; LANES]) -> [Lane8; LANES] {
        from_fn(|column| from_fn(|row| rows[row][column]))
    }

    #[inline(always)]
    fn dot_halves(self, a: Lane8, b: Lane8) -> Lane8 {
        let product = |a: u32, b: u32| i32::from(a as i16) * i32::from(b as i16);
        from_fn(|i| product(a[i], b[i]).wrapping_add(product(a[i] >> 16, b[i] >> 16)) as u32)
    }

    #[inline(always)]
    fn mul_wide(self, a: Lane8, b: Lane8) -> [u64; LANES] {
        from_fn(|i| u64::from(a[i]) * u64::from(b[i]))
    }

    #[inline(always)]
    fn add_wide(self, a: [u64; LANES], b: [u64; LANES]) -> [u64; LANES] {
        from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn low(self, a: [u64; LANES]) -> Lane8 {
        a.map(|a| a as u32)
    }

    #[inline(always)]
    fn shift_right_wide<const BITS: i32>(self, a: [u64; LANES]) -> Lane8 {
        a.map(|a| (a >> BITS) as u32)
    }

    #[inline(always)]
    fn montgomery(self, a: [u64; LANES], p: Lane8, negated_inverse: Lane8) -> Lane8 {
        from_fn(|i| {
            let m = (a[i] as u32).wrapping_mul(negated_inverse[i]);
            (a[i].wrapping_add(u64::from(m) * u64::from(p[i])) >> 32) as u32
        })
    }
}
