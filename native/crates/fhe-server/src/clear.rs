//! The layer in clear, on integers: what an encrypted evaluation decrypts to.
//!
//! Integer products in double precision, which are exact while no sum can exceed 2⁵³, so that a matrix
//! library does the work. It shares nothing with the kernels that it is compared with.

use std::cell::RefCell;

use matrixmultiply::dgemm;

/// Records at a time: with these doubles a piece of both matrices stays in the caches.
const RECORDS: usize = 256;

/// Outputs at a time.
const OUTPUTS: usize = 256;

/// Doubles hold every integer to here.
const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

#[derive(Default)]
struct Doubles {
    activations: Vec<f64>,
    weights: Vec<f64>,
    sums: Vec<f64>,
}

thread_local! {
    static DOUBLES: RefCell<Doubles> = RefCell::default();
}

/// `accumulators[records][outputs] = activations[records][inputs] · weights[outputs][inputs]ᵀ`.
pub(crate) fn multiply(
    activations: &[i32],
    weights: &[i8],
    inputs: usize,
    outputs: usize,
    accumulators: &mut [i64],
) {
    let largest = activations.iter().map(|a| a.unsigned_abs()).max();
    let bound = u64::from(largest.unwrap_or(0)) * 128;
    if bound
        .checked_mul(inputs as u64)
        .is_none_or(|sum| sum > EXACT)
    {
        return multiply_integers(activations, weights, inputs, outputs, accumulators);
    }
    DOUBLES.with_borrow_mut(|doubles| {
        for (first, rows) in weights.chunks(OUTPUTS * inputs).enumerate() {
            widen(rows, &mut doubles.weights);
            let columns = rows.len() / inputs;
            for (records, sums) in activations
                .chunks(RECORDS * inputs)
                .zip(accumulators.chunks_mut(RECORDS * outputs))
            {
                widen(records, &mut doubles.activations);
                doubles.sums.resize(RECORDS * OUTPUTS, 0.0);
                product(doubles, records.len() / inputs, inputs, columns);
                for (to, from) in sums
                    .chunks_exact_mut(outputs)
                    .zip(doubles.sums.chunks_exact(columns))
                {
                    let to = &mut to[first * OUTPUTS..][..columns];
                    for (to, &from) in to.iter_mut().zip(from) {
                        *to = from as i64;
                    }
                }
            }
        }
    });
}

fn widen<T: Copy + Into<f64>>(integers: &[T], doubles: &mut Vec<f64>) {
    doubles.clear();
    doubles.extend(integers.iter().map(|&integer| integer.into()));
}

/// `sums[rows][columns] = activations[rows][inputs] · weights[columns][inputs]ᵀ`.
fn product(doubles: &mut Doubles, rows: usize, inputs: usize, columns: usize) {
    assert!(doubles.activations.len() >= rows * inputs);
    assert!(doubles.weights.len() >= columns * inputs);
    assert!(doubles.sums.len() >= rows * columns);
    // SAFETY: with these strides the routine reads rows · inputs and inputs · columns elements and
    // writes rows · columns, all of them inside the vectors, which do not overlap.
    unsafe {
        dgemm(
            rows,
            inputs,
            columns,
            1.0,
            doubles.activations.as_ptr(),
            inputs as isize,
            1,
            doubles.weights.as_ptr(),
            1,
            inputs as isize,
            0.0,
            doubles.sums.as_mut_ptr(),
            columns as isize,
            1,
        );
    }
}

/// The same for integers that doubles may not hold.
fn multiply_integers(
    activations: &[i32],
    weights: &[i8],
    inputs: usize,
    outputs: usize,
    accumulators: &mut [i64],
) {
    for (record, sums) in activations
        .chunks_exact(inputs)
        .zip(accumulators.chunks_exact_mut(outputs))
    {
        for (row, sum) in weights.chunks_exact(inputs).zip(sums) {
            *sum = record
                .iter()
                .zip(row)
                .map(|(&x, &w)| i64::from(x) * i64::from(w))
                .sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(activations: &[i32], weights: &[i8], inputs: usize) {
        let outputs = weights.len() / inputs;
        let mut sums = vec![0; activations.len() / inputs * outputs];
        let mut expected = sums.clone();
        multiply(activations, weights, inputs, outputs, &mut sums);
        multiply_integers(activations, weights, inputs, outputs, &mut expected);
        assert!(sums == expected);
    }

    proptest! {
        #[test]
        fn doubles_give_the_integers(
            (inputs, activations, weights) in (1usize..70).prop_flat_map(|inputs| (
                Just(inputs),
                (0usize..400).prop_flat_map(move |records| {
                    prop::collection::vec(-(1 << 15)..=(1 << 15), records * inputs)
                }),
                (1usize..300).prop_flat_map(move |outputs| {
                    prop::collection::vec(any::<i8>(), outputs * inputs)
                }),
            ))
        ) {
            check(&activations, &weights, inputs);
        }
    }

    #[test]
    fn integers_that_doubles_cannot_hold_are_summed_exactly() {
        let inputs = 1 << 15;
        let mut activations = vec![i32::MIN; 2 * inputs];
        activations[5] = i32::MAX;
        let mut weights = vec![-128; 2 * inputs];
        weights[7] = 127;
        check(&activations, &weights, inputs);
        // The last that doubles hold.
        activations[5] = i32::MIN;
        check(&activations[..inputs], &weights[inputs..], inputs);
        check(
            &activations[..inputs / 2],
            &weights[..inputs / 2],
            inputs / 2,
        );
    }
}
