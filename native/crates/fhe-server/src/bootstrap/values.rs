//! Values of records: LWE ciphertexts of dimension k·N, mask then body.

use fhe_core::bootstrap::SparseRows;
use fhe_core::panel::{PANEL_ROWS, PanelLayout};
use fhe_core::parameters::PackedParameters;

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
    pub(crate) fn new(
        parameters: &PackedParameters,
        outputs: usize,
        records: usize,
        payload: &[u8],
    ) -> Self {
        let layout = |rows, limbs| PanelLayout {
            rows,
            features: outputs,
            limbs,
        };
        let mask = layout(parameters.lwe_dimension(), parameters.limbs);
        let body = layout(records, parameters.body_limbs);
        let (mask_bytes, body_bytes) = payload.split_at(mask.bytes());
        PackedResults {
            masks: entries(&mask, mask_bytes),
            bodies: entries(&body, body_bytes),
            records,
            polynomial_size: parameters.polynomial_size,
            lwe_dimension: parameters.lwe_dimension(),
        }
    }

    /// The value of an output for a record: its coefficient, extracted.
    pub(crate) fn extract(&self, output: usize, record: usize) -> Vec<u64> {
        let size = self.polynomial_size;
        let masks = &self.masks[output * self.lwe_dimension..][..self.lwe_dimension];
        let mut value = Vec::with_capacity(self.lwe_dimension + 1);
        for polynomial in masks.chunks_exact(size) {
            // Coefficient r of A·S is Σ A[r - i]·S[i] for i up to r, less Σ A[N + r - i]·S[i] beyond.
            value.extend(polynomial[..=record].iter().rev());
            value.extend(
                polynomial[record + 1..]
                    .iter()
                    .rev()
                    .map(|entry| entry.wrapping_neg()),
            );
        }
        value.push(self.bodies[output * self.records + record]);
        value
    }
}

/// `[feature][row]`, from planar limbs.
fn entries(layout: &PanelLayout, bytes: &[u8]) -> Vec<u64> {
    let mut entries = vec![0u64; layout.rows * layout.features];
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
    entries
}

/// A row of integer combinations, and its constant.
pub(crate) fn combine(
    rows: &SparseRows,
    row: usize,
    constant: u64,
    values: &[Vec<u64>],
    length: usize,
) -> Vec<u64> {
    let mut sum = vec![0u64; length];
    for (value, weight) in rows.row(row) {
        let weight = weight as i64 as u64;
        for (sum, &entry) in sum.iter_mut().zip(&values[value]) {
            *sum = sum.wrapping_add(entry.wrapping_mul(weight));
        }
    }
    if let Some(body) = sum.last_mut() {
        *body = body.wrapping_add(constant);
    }
    sum
}

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
            let value = results.extract(0, record);
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
            let read = entries(&layout, &bytes);
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
