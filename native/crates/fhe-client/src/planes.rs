//! Entries to planar limbs and back, 64 at a time: limb l of entry r is byte r of plane l.
//!
//! Compilers make poor code of it, so machines with AVX-512 and with AVX2 have their own.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

#[cfg(target_arch = "x86_64")]
pub(crate) use {avx2::Avx2, avx512::Avx512};

use fhe_core::panel::PANEL_ROWS;

use crate::activations::Column;
use crate::transpose::{self, TILE};
use crate::vectors::Vectors;

/// One limb of the 64 entries of a panel.
pub(crate) type Plane = [u8; PANEL_ROWS];

/// A way to take entries apart and to put them together, and to do arithmetic on the way.
pub(crate) trait Planes: Vectors {
    /// Writes the low bytes of `entries` to `planes`, at most 8.
    fn split(self, entries: &[u64; PANEL_ROWS], planes: &mut [Plane]);

    /// Reads entries from `planes`, at most 8.
    fn join(self, planes: &[Plane], entries: &mut [u64; PANEL_ROWS]);

    /// As [`crate::transpose::Cell::write_rows`].
    fn write_rows(self, columns: &[f32], stride: usize, rows: &mut [&mut [f32]], at: usize);

    /// As [`crate::transpose::write_columns`].
    #[inline(always)]
    fn write_columns(self, rows: &[i16], stride: usize, columns: &mut [Column; TILE], at: usize) {
        transpose::write_columns(rows, stride, columns, at);
    }
}

/// Loops over whole features, to be compiled for every instruction set.
pub(crate) trait Task {
    /// What comes out.
    type Output;

    /// Does it; implementations are `#[inline(always)]`, and so is all they call that is to be compiled for
    /// the instruction set.
    fn run<P: Planes>(self, planes: P) -> Self::Output;
}

/// Runs a task compiled for the machine at hand.
pub(crate) fn dispatch<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = Avx512::detect() {
        return avx512.run(task);
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = Avx2::detect() {
        return avx2.run(task);
    }
    task.run(Portable)
}

/// Plain loops.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Planes for Portable {
    #[inline(always)]
    fn write_rows(self, columns: &[f32], stride: usize, rows: &mut [&mut [f32]], at: usize) {
        transpose::write_rows(columns, stride, rows, at);
    }

    #[inline(always)]
    fn split(self, entries: &[u64; PANEL_ROWS], planes: &mut [Plane]) {
        for (limb, plane) in planes.iter_mut().enumerate() {
            for (byte, entry) in plane.iter_mut().zip(entries) {
                *byte = (entry >> (8 * limb)) as u8;
            }
        }
    }

    #[inline(always)]
    fn join(self, planes: &[Plane], entries: &mut [u64; PANEL_ROWS]) {
        // A known number of limbs lets the entries stay in registers.
        match planes {
            [a, b] => *entries = joined([a, b]),
            [a, b, c] => *entries = joined([a, b, c]),
            [a, b, c, d] => *entries = joined([a, b, c, d]),
            [a, b, c, d, e] => *entries = joined([a, b, c, d, e]),
            _ => {
                entries.fill(0);
                for (limb, plane) in planes.iter().enumerate() {
                    for (entry, &byte) in entries.iter_mut().zip(plane) {
                        *entry |= u64::from(byte) << (8 * limb);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn joined<const LIMBS: usize>(planes: [&Plane; LIMBS]) -> [u64; PANEL_ROWS] {
    let mut entries = [0; PANEL_ROWS];
    for (row, entry) in entries.iter_mut().enumerate() {
        for (limb, plane) in planes.iter().enumerate() {
            *entry |= u64::from(plane[row]) << (8 * limb);
        }
    }
    entries
}

/// Runs a task on every path that the machine has, plain loops first.
#[cfg(test)]
pub(crate) fn on_every_path<T: Task>(task: impl Fn() -> T) -> Vec<T::Output> {
    let mut outputs = vec![task().run(Portable)];
    #[cfg(target_arch = "x86_64")]
    {
        outputs.extend(Avx2::detect().map(|avx2| avx2.run(task())));
        outputs.extend(Avx512::detect().map(|avx512| avx512.run(task())));
    }
    outputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct RoundTrip<'a> {
        entries: &'a [u64; PANEL_ROWS],
        limbs: usize,
    }

    impl Task for RoundTrip<'_> {
        type Output = (Vec<Plane>, [u64; PANEL_ROWS]);

        #[inline(always)]
        fn run<P: Planes>(self, planes: P) -> Self::Output {
            let mut bytes = vec![[0; PANEL_ROWS]; self.limbs];
            planes.split(self.entries, &mut bytes);
            let mut entries = [u64::MAX; PANEL_ROWS];
            planes.join(&bytes, &mut entries);
            (bytes, entries)
        }
    }

    proptest! {
        #[test]
        fn planes_hold_the_low_bytes_on_every_path(
            entries in any::<[[u64; 8]; 8]>(),
            limbs in 1usize..=8,
        ) {
            let entries: &[u64; PANEL_ROWS] = entries.as_flattened().try_into().unwrap();
            let outputs = on_every_path(|| RoundTrip { entries, limbs });
            let (bytes, joined) = &outputs[0];
            for (row, entry) in entries.iter().enumerate() {
                let expected = entry & (u64::MAX >> (64 - 8 * limbs));
                prop_assert_eq!(joined[row], expected);
                for (limb, plane) in bytes.iter().enumerate() {
                    prop_assert_eq!(plane[row], entry.to_le_bytes()[limb]);
                }
            }
            prop_assert!(outputs.iter().all(|output| output == &outputs[0]));
        }
    }
}
