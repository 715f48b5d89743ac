//! How far noise is amplified on its way through a circuit, whatever its parameters.

use super::{SparseRows, Step};

/// What the noise of a value is made of, in variances: so many times that of a fresh encryption, and so many
/// times that of a look-up's result.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Amplification {
    /// Of fresh noise.
    pub packed: f64,
    /// Of a look-up's noise.
    pub lookups: f64,
}

impl Amplification {
    /// The variance, from those two.
    pub fn variance(&self, fresh: f64, bootstrap: f64) -> f64 {
        self.packed * fresh + self.lookups * bootstrap
    }

    fn add(self, other: Amplification, weight: f64) -> Amplification {
        Amplification {
            packed: self.packed + weight * weight * other.packed,
            lookups: self.lookups + weight * weight * other.lookups,
        }
    }

    fn largest(values: impl Iterator<Item = Amplification>) -> Amplification {
        values.fold(Amplification::default(), |most, value| Amplification {
            packed: most.packed.max(value.packed),
            lookups: most.lookups.max(value.lookups),
        })
    }
}

/// Of a circuit.
#[derive(Debug, Clone, PartialEq)]
pub struct CircuitAmplification {
    /// The largest of the packed layer's outputs.
    pub packed: Amplification,
    /// The largest of each step's values; for a look-up of what it reads, its factor among it.
    pub steps: Vec<Amplification>,
    /// The largest of the outputs.
    pub outputs: Amplification,
}

impl CircuitAmplification {
    /// Of a circuit's packed weights, s8 `[d_out][d_in]`, its steps and outputs.
    ///
    /// Outputs of the packed layer count as independent, though they share the noise of their inputs: it is
    /// far below that of a keyswitch. Linear maps of linear maps are multiplied out, up to a limit.
    ///
    /// # Panics
    /// If a step reads a value that is not there.
    pub fn of(inputs: usize, weights: &[i8], steps: &[Step], outputs: &[u32]) -> Self {
        let mut values = Values::default();
        for row in weights.chunks_exact(inputs) {
            values.push_source(Amplification {
                packed: row.iter().map(|&weight| f64::from(weight).powi(2)).sum(),
                lookups: 0.0,
            });
        }
        let packed = Amplification::largest((0..values.len()).map(|value| values.of(value)));
        let steps = steps.iter().map(|step| values.step(step)).collect();
        CircuitAmplification {
            packed,
            steps,
            outputs: Amplification::largest(
                outputs.iter().map(|&output| values.of(output as usize)),
            ),
        }
    }
}

/// Most terms of sums that are kept.
const MAX_TERMS: usize = 1 << 22;

/// Values as sums of independent sources.
#[derive(Default)]
struct Values {
    sources: Vec<Amplification>,
    /// Source and weight of each term of each value.
    terms: Vec<(u32, f32)>,
    /// Where the terms of a value end.
    ends: Vec<usize>,
    /// Sum of a row, by source.
    sum: Vec<f32>,
    touched: Vec<u32>,
}

impl Values {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn terms(&self, value: usize) -> std::ops::Range<usize> {
        value.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[value]
    }

    fn of(&self, value: usize) -> Amplification {
        self.terms[self.terms(value)]
            .iter()
            .fold(Amplification::default(), |sum, &(source, weight)| {
                sum.add(self.sources[source as usize], f64::from(weight))
            })
    }

    fn push_source(&mut self, source: Amplification) {
        self.terms.push((self.sources.len() as u32, 1.0));
        self.ends.push(self.terms.len());
        self.sources.push(source);
        self.sum.push(0.0);
    }

    /// Adds the values of a step; gives the largest amplification.
    fn step(&mut self, step: &Step) -> Amplification {
        let first = self.len();
        match step {
            Step::Linear { rows, .. } => {
                for row in 0..rows.rows() {
                    self.push_row(rows, row);
                }
                Amplification::largest((first..self.len()).map(|value| self.of(value)))
            }
            Step::Lookup {
                first,
                count,
                factor,
                ..
            } => {
                let (first, factor) = (*first as usize, *factor as f64);
                let read = (first..first + *count as usize)
                    .map(|value| Amplification::default().add(self.of(value), factor));
                let largest = Amplification::largest(read);
                for _ in 0..*count {
                    self.push_source(Amplification {
                        packed: 0.0,
                        lookups: 1.0,
                    });
                }
                largest
            }
        }
    }

    fn push_row(&mut self, rows: &SparseRows, row: usize) {
        for (value, weight) in rows.row(row) {
            for &(source, own) in &self.terms[self.terms(value)] {
                let sum = &mut self.sum[source as usize];
                if *sum == 0.0 {
                    self.touched.push(source);
                }
                *sum += own * weight as f32;
            }
        }
        let start = self.terms.len();
        for &source in &self.touched {
            let weight = std::mem::take(&mut self.sum[source as usize]);
            if weight != 0.0 {
                self.terms.push((source, weight));
            }
        }
        self.touched.clear();
        self.ends.push(self.terms.len());
        if self.terms.len() > MAX_TERMS {
            let amplification = self.of(self.len() - 1);
            self.ends.pop();
            self.terms.truncate(start);
            self.push_source(amplification);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(row: &[(u32, i32)]) -> Step {
        let mut rows = SparseRows::default();
        rows.push(row.iter().copied());
        Step::Linear {
            rows,
            constants: vec![0],
        }
    }

    #[test]
    fn squares_of_weights_add_and_what_cancels_is_gone() {
        let lookup = |first| Step::Lookup {
            first,
            count: 2,
            factor: -3,
            offset: 0,
            table: 0,
        };
        let steps = [
            lookup(0),
            linear(&[(2, 2), (3, 5)]),
            linear(&[(4, 1), (2, -2), (0, 7)]),
            lookup(4),
        ];
        let found = CircuitAmplification::of(2, &[1, 2, 3, 4], &steps, &[2, 5]);
        let amplification = |packed, lookups| Amplification { packed, lookups };
        assert_eq!(found.packed, amplification(25.0, 0.0));
        assert_eq!(
            found.steps,
            [
                amplification(9.0 * 25.0, 0.0),
                amplification(0.0, 29.0),
                // Twice value 2 is gone again.
                amplification(49.0 * 5.0, 25.0),
                amplification(9.0 * 49.0 * 5.0, 9.0 * 29.0),
            ]
        );
        assert_eq!(found.outputs, amplification(49.0 * 5.0, 25.0));
    }
}
