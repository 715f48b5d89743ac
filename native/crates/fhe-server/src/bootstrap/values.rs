//! Values of records: LWE ciphertexts of dimension k·N, mask then body.

use std::ops::Range;

use fhe_core::Result;
use fhe_core::bootstrap::SparseRows;
use fhe_core::memory::zeros;
use fhe_core::panel::{PANEL_ROWS, PanelLayout};
use fhe_core::parameters::PackedParameters;

use super::vectors::Vectors;

/// The results of the packed layer, unpacked: one GLWE ciphertext an output, a coefficient a record.
pub(crate) struct PackedResults {
    /// `[output][k·N]`.
    masks: Vec<u64>,
    /// `[output][records]`.
    bodies: Vec<u64>,
    records: usize,
    polynomial_size: usize,
    lwe_dimension: usize,
}

impl PackedResults {
    /// Reads a payload of mask rows and body rows. Entries modulo 2^(8·limbs) become torus elements.
    ///
    /// # Errors
    /// As [`zeros`].
    pub(crate) fn new(
        parameters: &PackedParameters,
        outputs: usize,
        records: usize,
        payload: &[u8],
    ) -> Result<Self> {
        let layout = |rows, limbs| PanelLayout {
            rows,
            features: outputs,
            limbs,
        };
        let mask = layout(parameters.lwe_dimension(), parameters.limbs);
        let body = layout(records, parameters.body_limbs);
        let (mask_bytes, body_bytes) = payload.split_at(mask.bytes());
        Ok(PackedResults {
            masks: entries(&mask, mask_bytes)?,
            bodies: entries(&body, body_bytes)?,
            records,
            polynomial_size: parameters.polynomial_size,
            lwe_dimension: parameters.lwe_dimension(),
        })
    }

    /// Writes the value of an output for a record: its coefficient, extracted.
    pub(crate) fn extract(&self, output: usize, record: usize, value: &mut [u64]) {
        let size = self.polynomial_size;
        let masks = &self.masks[output * self.lwe_dimension..][..self.lwe_dimension];
        let (to, body) = value.split_at_mut(self.lwe_dimension);
        for (polynomial, to) in masks.chunks_exact(size).zip(to.chunks_exact_mut(size)) {
            // Coefficient r of A·S is Σ A[r - i]·S[i] for i up to r, less Σ A[N + r - i]·S[i] beyond.
            let (up_to, beyond) = to.split_at_mut(record + 1);
            for (to, &entry) in up_to.iter_mut().zip(polynomial[..=record].iter().rev()) {
                *to = entry;
            }
            for (to, entry) in beyond.iter_mut().zip(polynomial[record + 1..].iter().rev()) {
                *to = entry.wrapping_neg();
            }
        }
        body[0] = self.bodies[output * self.records + record];
    }
}

/// `[feature][row]`, from planar limbs.
fn entries(layout: &PanelLayout, bytes: &[u8]) -> Result<Vec<u64>> {
    let mut entries = zeros(layout.rows * layout.features)?;
    let shift = 64 - 8 * layout.limbs;
    for panel in 0..layout.panels() {
        let width = layout.panel_width(panel);
        for feature in 0..layout.features {
            let lines = &bytes[layout.feature_range(panel, feature)];
            let start = feature * layout.rows + panel * PANEL_ROWS;
            let places = &mut entries[start..start + width];
            for (limb, line) in lines.chunks_exact(width).enumerate() {
                for (entry, &byte) in places.iter_mut().zip(line) {
                    *entry |= u64::from(byte) << (8 * limb + shift);
                }
            }
        }
    }
    Ok(entries)
}

/// The values that some records have so far.
pub(crate) struct Values {
    records: usize,
    /// Words of a value.
    words: usize,
    made: Vec<Made>,
    /// Which of those made a value.
    makers: Vec<u32>,
}

/// The values of the packed layer or of a step.
struct Made {
    /// The number of the first.
    first: usize,
    count: usize,
    /// `[records][count][words]`, empty when no step reads them any more.
    words: Vec<u64>,
}

impl Values {
    pub(crate) fn new(records: usize, words: usize) -> Self {
        Values {
            records,
            words,
            made: Vec::new(),
            makers: Vec::new(),
        }
    }

    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Adds values `[records][count][words]`.
    pub(crate) fn push(&mut self, count: usize, words: Vec<u64>) {
        let first = self.makers.len();
        self.makers.resize(first + count, self.made.len() as u32);
        self.made.push(Made {
            first,
            count,
            words,
        });
    }

    /// A value of a record.
    pub(crate) fn value(&self, record: usize, value: usize) -> &[u64] {
        let made = &self.made[self.makers[value] as usize];
        &made.words[(record * made.count + value - made.first) * self.words..][..self.words]
    }

    /// Frees the values of those that no step after `step` reads, given the last reader of each value.
    pub(crate) fn free(&mut self, step: usize, last_reads: &[usize]) {
        for made in &mut self.made {
            let readers = &last_reads[made.first..made.first + made.count];
            if readers.iter().all(|&last| last <= step) {
                made.words = Vec::new();
            }
        }
    }

    /// Integer combinations of a record's values by some rows, and their constants, to `sums` `[rows][words]`.
    pub(crate) fn combine(
        &self,
        matrix: &SparseRows,
        rows: Range<usize>,
        constants: &[u64],
        record: usize,
        sums: &mut [u64],
    ) {
        sums.fill(0);
        let vectors = Vectors::widest();
        let mut start = 0;
        while start < self.words {
            let columns = start..(start + COLUMNS).min(self.words);
            for (row, sum) in rows.clone().zip(sums.chunks_exact_mut(self.words)) {
                let sum = &mut sum[columns.clone()];
                for (value, weight) in matrix.row(row) {
                    let value = &self.value(record, value)[columns.clone()];
                    let weight = weight as i64 as u64;
                    vectors.add_product(sum, value, weight);
                }
            }
            start = columns.end;
        }
        for (row, sum) in rows.zip(sums.chunks_exact_mut(self.words)) {
            sum[self.words - 1] = sum[self.words - 1].wrapping_add(constants[row]);
        }
    }
}

/// Words of all values that are combined together, so that they stay in cache from row to row.
const COLUMNS: usize = 512;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Extraction against the product of polynomials.
        #[test]
        fn phases_are_coefficients(
            masks in prop::collection::vec(any::<u64>(), 2 * 64),
            secret in prop::collection::vec(0u64..=1, 2 * 64),
            bodies in prop::collection::vec(any::<u64>(), 64),
            record in 0usize..64,
        ) {
            let results = PackedResults {
                masks: masks.clone(),
                bodies: bodies.clone(),
                records: 64,
                polynomial_size: 64,
                lwe_dimension: 128,
            };
            let mut product = [0u64; 64];
            for (mask, secret) in masks.chunks(64).zip(secret.chunks(64)) {
                for (i, a) in mask.iter().enumerate() {
                    for (j, s) in secret.iter().enumerate() {
                        let term = a.wrapping_mul(*s);
                        let place = &mut product[(i + j) % 64];
                        *place = if i + j < 64 {
                            place.wrapping_add(term)
                        } else {
                            place.wrapping_sub(term)
                        };
                    }
                }
            }
            let mut value = vec![0; 129];
            results.extract(0, record, &mut value);
            let inner = value.iter().zip(&secret).fold(0u64, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s)));
            prop_assert_eq!(value[128].wrapping_sub(inner), bodies[record].wrapping_sub(product[record]));
        }

        #[test]
        fn entries_are_read_from_planar_limbs(
            (rows, features, limbs, bytes) in (1usize..200, 1usize..4, 1usize..8).prop_flat_map(|(rows, features, limbs)| {
                let bytes = prop::collection::vec(any::<u8>(), rows * features * limbs);
                (Just(rows), Just(features), Just(limbs), bytes)
            })
        ) {
            let layout = PanelLayout { rows, features, limbs };
            let read = entries(&layout, &bytes).unwrap();
            for row in 0..rows {
                let (panel, place) = (row / PANEL_ROWS, row % PANEL_ROWS);
                for feature in 0..features {
                    let lines = &bytes[layout.feature_range(panel, feature)];
                    let width = layout.panel_width(panel);
                    let entry = (0..limbs).fold(0, |entry, limb| {
                        entry + (u64::from(lines[limb * width + place]) << (64 - 8 * limbs + 8 * limb))
                    });
                    prop_assert_eq!(read[feature * rows + row], entry);
                }
            }
        }
    }
}
