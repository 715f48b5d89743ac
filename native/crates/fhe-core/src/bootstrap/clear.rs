//! A circuit with look-ups in clear: on phases, exactly, or with the noise that is predicted.

use super::{BootstrapCircuit, BootstrapNoise, Step, packed_variance};
use crate::Result;

/// q.
const MODULUS: f64 = 18_446_744_073_709_551_616.0;

/// Standard deviations of the noise in a circuit, relative to the torus.
struct Deviations {
    /// Of each output of the packed layer.
    packed: Vec<f64>,
    reading: f64,
    bootstrap: f64,
    sending: f64,
}

impl Deviations {
    fn of(circuit: &BootstrapCircuit) -> Result<Self> {
        let noise = BootstrapNoise::of(&circuit.parameters)?;
        let fresh = packed_variance(&circuit.packed.parameters)?.sqrt();
        let norm = |row: &[i8]| {
            row.iter()
                .map(|&w| f64::from(w).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        Ok(Deviations {
            packed: circuit
                .packed
                .weights
                .chunks_exact(circuit.packed.inputs)
                .map(|row| fresh * norm(row))
                .collect(),
            reading: noise.reading().sqrt(),
            bootstrap: noise.bootstrap.sqrt(),
            sending: noise.sending().sqrt(),
        })
    }
}

/// Which arguments of a look-up its table is made for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LookupRange {
    /// Their largest magnitude, in turns of the torus.
    pub reach: f64,
    /// Turns that constants on the way to the argument leave out, being torus elements.
    pub whole_turns: i32,
}

/// What a circuit gives in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearResults {
    /// Phases `[records][outputs]`, in units of 2^-64 of the torus.
    pub phases: Vec<i64>,
    /// Arguments of look-ups, of all records, that were out of their range.
    pub outside: u64,
}

impl BootstrapCircuit {
    /// Phases `[records][outputs]`, in units of 2^-64 of the torus, of accumulators `[records][d_out]` of the
    /// packed layer: what encrypted evaluation decrypts to, but for its noise. A look-up takes the nearest entry
    /// of its table. Arguments out of `ranges`, of each look-up in order, are counted; none are if that is empty.
    ///
    /// # Panics
    /// If `accumulators` are not whole records.
    pub fn evaluate_in_clear(&self, accumulators: &[i64], ranges: &[LookupRange]) -> ClearResults {
        self.run(accumulators, ranges, &mut |_| 0.0, &self.silent())
    }

    /// The same with the noise that these parameters are predicted to have, from a source of standard normal
    /// samples.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] if the parameters are out of range.
    ///
    /// # Panics
    /// If `accumulators` are not whole records.
    pub fn simulate(
        &self,
        accumulators: &[i64],
        ranges: &[LookupRange],
        normal: &mut dyn FnMut() -> f64,
    ) -> Result<ClearResults> {
        let deviations = Deviations::of(self)?;
        Ok(self.run(
            accumulators,
            ranges,
            &mut |deviation| normal() * deviation,
            &deviations,
        ))
    }

    fn silent(&self) -> Deviations {
        Deviations {
            packed: vec![0.0; self.packed.outputs],
            reading: 0.0,
            bootstrap: 0.0,
            sending: 0.0,
        }
    }

    /// `noise` gives a sample of a standard deviation. Values are in units of 2^-64 of the torus and do not wrap
    /// around it, so that those out of range are known; their low words are the phases.
    fn run(
        &self,
        accumulators: &[i64],
        ranges: &[LookupRange],
        noise: &mut dyn FnMut(f64) -> f64,
        deviations: &Deviations,
    ) -> ClearResults {
        let outputs = self.packed.outputs;
        assert_eq!(accumulators.len() % outputs, 0, "whole records");
        let mut noisy =
            |value: i128, deviation: f64| value.wrapping_add((noise(deviation) * MODULUS) as i128);
        let unit = 64 - self.packed.parameters.message_bits;
        let mut phases = Vec::with_capacity(accumulators.len() / outputs * self.outputs.len());
        let mut outside = 0;
        for record in accumulators.chunks_exact(outputs) {
            let mut ranges = ranges.iter();
            let mut values: Vec<i128> = record
                .iter()
                .zip(&deviations.packed)
                .map(|(&sum, &deviation)| noisy(i128::from(sum) << unit, deviation))
                .collect();
            for step in &self.steps {
                match step {
                    Step::Linear { rows, constants } => {
                        let made: Vec<i128> = constants
                            .iter()
                            .enumerate()
                            .map(|(row, &constant)| {
                                let constant = i128::from(constant as i64);
                                rows.row(row).fold(constant, |sum, (value, weight)| {
                                    sum.wrapping_add(values[value].wrapping_mul(weight.into()))
                                })
                            })
                            .collect();
                        values.extend(made);
                    }
                    Step::Lookup {
                        first,
                        count,
                        factor,
                        offset,
                        table,
                    } => {
                        let range = *first as usize..*first as usize + *count as usize;
                        for value in range {
                            let argument = values[value]
                                .wrapping_mul((*factor).into())
                                .wrapping_add((*offset as i64).into());
                            let is_outside = ranges.next().is_some_and(|range| {
                                let turns = argument as f64 / MODULUS;
                                (turns + f64::from(range.whole_turns)).abs() > range.reach
                            });
                            outside += u64::from(is_outside);
                            let read = noisy(argument, deviations.reading) as u64;
                            let found = look_up(&self.tables[*table as usize], read) as i64;
                            values.push(noisy(found.into(), deviations.bootstrap));
                        }
                    }
                }
            }
            phases.extend(
                self.outputs
                    .iter()
                    .map(|&output| noisy(values[output as usize], deviations.sending) as i64),
            );
        }
        ClearResults { phases, outside }
    }
}

/// The entry nearest to a phase: the table's for half the torus, its negative for the other.
fn look_up(table: &[u64], phase: u64) -> u64 {
    let size = table.len();
    let log2 = (2 * size).trailing_zeros();
    let half = 1u64 << (63 - log2);
    let index = (phase.wrapping_add(half) >> (64 - log2)) as usize;
    if index < size {
        table[index]
    } else {
        table[index - size].wrapping_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_at_the_nearest_entry_and_negated_beyond_half_the_torus() {
        let table: Vec<u64> = (0..256).map(|i| 1000 + i).collect();
        let entry = 1u64 << (64 - 9);
        for (phase, expected) in [
            (0, 1000),
            (entry / 2 - 1, 1000),
            (entry / 2, 1001),
            (255 * entry, 1255),
            (256 * entry, 1000u64.wrapping_neg()),
            (511 * entry, 1255u64.wrapping_neg()),
            (u64::MAX, 1000),
        ] {
            assert_eq!(look_up(&table, phase), expected, "{phase}");
        }
    }
}
