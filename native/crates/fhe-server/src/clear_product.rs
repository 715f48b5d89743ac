//! The integer matrix product in clear: what encrypted evaluation is compared with, so it shares no code with the
//! kernels.

/// Records that a row of weights is multiplied by while it is in the cache.
const TILE: usize = 32;

/// Products of an `i16` and an `i8` whose sum fits an `i32`: 2^15 · 2^7 · 2^8 = 2^30.
const EXACT_IN_32_BITS: usize = 256;

/// Accumulators `[records][outputs]` of activations `[records][inputs]` and weights `[outputs][inputs]`; exact.
///
/// # Panics
/// If `activations` holds no whole records.
pub(crate) fn clear_product(
    weights: &[i8],
    inputs: usize,
    outputs: usize,
    activations: &[i32],
) -> Vec<i64> {
    assert_eq!(activations.len() % inputs, 0, "whole records");
    let mut accumulators = vec![0; activations.len() / inputs * outputs];
    let tiles = activations.chunks(TILE * inputs);
    for (tile, results) in tiles.zip(accumulators.chunks_mut(TILE * outputs)) {
        let narrow: Result<Vec<i16>, _> = tile.iter().map(|&x| i16::try_from(x)).collect();
        match narrow {
            Ok(narrow) => narrow_tile(weights, inputs, outputs, &narrow, results),
            Err(_) => wide_tile(weights, inputs, outputs, tile, results),
        }
    }
    accumulators
}

/// Activations of at most 16 bits, which compilers turn into products of 16-bit vectors.
fn narrow_tile(weights: &[i8], inputs: usize, outputs: usize, tile: &[i16], results: &mut [i64]) {
    let mut row = vec![0i16; inputs];
    for (output, bytes) in weights.chunks_exact(inputs).enumerate() {
        for (w, &byte) in row.iter_mut().zip(bytes) {
            *w = i16::from(byte);
        }
        for (record, sums) in tile
            .chunks_exact(inputs)
            .zip(results.chunks_exact_mut(outputs))
        {
            let parts = record
                .chunks(EXACT_IN_32_BITS)
                .zip(row.chunks(EXACT_IN_32_BITS));
            sums[output] = parts.map(|(x, w)| i64::from(short_product(x, w))).sum();
        }
    }
}

fn short_product(x: &[i16], w: &[i16]) -> i32 {
    x.iter()
        .zip(w)
        .map(|(&x, &w)| i32::from(x) * i32::from(w))
        .sum()
}

fn wide_tile(weights: &[i8], inputs: usize, outputs: usize, tile: &[i32], results: &mut [i64]) {
    for (output, row) in weights.chunks_exact(inputs).enumerate() {
        for (record, sums) in tile
            .chunks_exact(inputs)
            .zip(results.chunks_exact_mut(outputs))
        {
            sums[output] = record
                .iter()
                .zip(row)
                .map(|(&x, &w)| i64::from(x) * i64::from(w))
                .sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expected(weights: &[i8], inputs: usize, activations: &[i32]) -> Vec<i64> {
        let mut sums = Vec::new();
        for record in activations.chunks_exact(inputs) {
            for row in weights.chunks_exact(inputs) {
                let products = record
                    .iter()
                    .zip(row)
                    .map(|(&x, &w)| i64::from(x) * i64::from(w));
                sums.push(products.sum());
            }
        }
        sums
    }

    #[test]
    fn extremes_of_16_bits_do_not_overflow() {
        let inputs = 3 * EXACT_IN_32_BITS + 5;
        let weights = vec![i8::MIN; 2 * inputs];
        let activations = vec![i32::from(i16::MIN); (TILE + 1) * inputs];
        let sums = clear_product(&weights, inputs, 2, &activations);
        assert_eq!(sums, vec![(inputs as i64) << 22; 2 * (TILE + 1)]);
    }

    proptest! {
        #[test]
        fn records_of_any_width_give_exact_sums(
            inputs in 1usize..600,
            outputs in 1usize..5,
            records in 1usize..40,
            bits in 1u32..31,
            seed in any::<u64>(),
        ) {
            let mut state = seed | 1;
            let mut next = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 32) as i32
            };
            let weights: Vec<i8> = (0..inputs * outputs).map(|_| next() as i8).collect();
            let activations: Vec<i32> =
                (0..inputs * records).map(|_| next() >> (31 - bits)).collect();
            prop_assert_eq!(
                clear_product(&weights, inputs, outputs, &activations),
                expected(&weights, inputs, &activations)
            );
        }
    }
}
