//! The file format of circuits with look-ups.
//!
//! Magic `FHEC`, version u16, kind u16 (2: bootstrap); the length (u32) and bytes of the packed layer's own
//! circuit file; eight u32 fields ([`BootstrapParameters::fields`]); the number of tables (u32), each N words;
//! the number of steps (u32), each a kind (u32, 1 linear, 2 look-up) and its fields; the number of outputs
//! (u32) and the value (u32) of each; a CRC-32C of all that. Its SHA-256 is the circuit's digest. All integers
//! are little-endian.

use crate::checksum::crc32c;
use crate::circuit::{MAGIC, PackedCircuit, VERSION};
use crate::wire::Reader;
use crate::{Error, Result};

use super::BootstrapParameters;

/// The kind in the file.
const BOOTSTRAP: u16 = 2;
const LINEAR: u32 = 1;
const LOOKUP: u32 = 2;

/// Most values of a circuit.
const MAX_VALUES: usize = 1 << 24;

/// Largest factor before a look-up.
const MAX_FACTOR: u64 = 1 << 40;

/// A packed linear layer, then steps. Values are numbered: the packed layer's outputs first, then those of
/// each step in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapCircuit {
    /// The first layer; K = 1, and its results are not rounded.
    pub packed: PackedCircuit,
    /// Of keys and look-ups.
    pub parameters: BootstrapParameters,
    /// N torus elements each, for the phases i/(2N) of half the torus; the other half reads their negatives.
    pub tables: Vec<Vec<u64>>,
    /// What happens after the packed layer.
    pub steps: Vec<Step>,
    /// The values that are the result.
    pub outputs: Vec<u32>,
}

/// Makes values of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Integer combinations, and a constant added to each.
    Linear {
        /// A row a value.
        rows: SparseRows,
        /// A torus element a row.
        constants: Vec<u64>,
    },
    /// `table[factor · value + offset]` for some values in a row.
    Lookup {
        /// The first of them.
        first: u32,
        /// Their number.
        count: u32,
        /// What they are multiplied by.
        factor: i64,
        /// A torus element.
        offset: u64,
        /// Which table.
        table: u32,
    },
}

impl Step {
    fn check(&self, values: usize) -> std::result::Result<(), String> {
        match self {
            Step::Linear { rows, constants } => {
                if constants.len() != rows.rows() {
                    return Err(format!(
                        "{} constants for {} rows",
                        constants.len(),
                        rows.rows()
                    ));
                }
                rows.validate(values)
            }
            Step::Lookup {
                first,
                count,
                factor,
                ..
            } => {
                if *first as usize + *count as usize > values {
                    return Err(format!(
                        "it reads values {first} and {count} on of {values}"
                    ));
                }
                if *factor == 0 || factor.unsigned_abs() > MAX_FACTOR {
                    return Err(format!("its factor is {factor}"));
                }
                Ok(())
            }
        }
    }

    /// How many values it makes.
    pub fn values(&self) -> usize {
        match self {
            Step::Linear { rows, .. } => rows.rows(),
            Step::Lookup { count, .. } => *count as usize,
        }
    }
}

/// A sparse integer matrix, by rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SparseRows {
    /// Where each row ends in the two others.
    pub ends: Vec<u32>,
    /// The values that are combined.
    pub columns: Vec<u32>,
    /// Their weights.
    pub weights: Vec<i32>,
}

impl SparseRows {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    /// Appends a row of values and weights.
    pub fn push(&mut self, entries: impl IntoIterator<Item = (u32, i32)>) {
        for (column, weight) in entries {
            self.columns.push(column);
            self.weights.push(weight);
        }
        self.ends.push(self.columns.len() as u32);
    }

    /// Values and weights of a row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, i32)> {
        let start = row
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        let entries = start..self.ends[row] as usize;
        self.columns[entries.clone()]
            .iter()
            .map(|&column| column as usize)
            .zip(self.weights[entries].iter().copied())
    }

    fn validate(&self, values: usize) -> std::result::Result<(), String> {
        let entries = self.columns.len();
        if self.weights.len() != entries
            || self.ends.last().map_or(0, |&end| end as usize) != entries
        {
            return Err(format!("its rows do not end with its {entries} entries"));
        }
        if !self.ends.is_sorted() {
            return Err("its rows are out of order".into());
        }
        match self
            .columns
            .iter()
            .find(|&&column| column as usize >= values)
        {
            Some(column) => Err(format!("it reads value {column} of {values}")),
            None => Ok(()),
        }
    }
}

impl BootstrapCircuit {
    /// Checks parameters, shapes and that every step reads values that are there.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong.
    pub fn validate(self) -> Result<Self> {
        self.parameters.validate()?;
        self.parameters.expect_packed(&self.packed.parameters)?;
        let wrong = |what: String| {
            Error::invalid(format!(
                "bootstrap circuit of module {:?}: {what}",
                self.packed.module_key
            ))
        };
        if self.packed.parameters.protects_weights() {
            return Err(wrong("results of look-ups are not re-randomised".into()));
        }
        for (table, entries) in self.tables.iter().enumerate() {
            if entries.len() != self.parameters.polynomial_size {
                return Err(wrong(format!(
                    "table {table} has {} entries, {} expected",
                    entries.len(),
                    self.parameters.polynomial_size
                )));
            }
        }
        Self::check_steps(self.packed.outputs, &self.steps, &self.outputs).map_err(|error| {
            match error {
                Error::InvalidInput(what) => wrong(what),
                other => other,
            }
        })?;
        for (number, step) in self.steps.iter().enumerate() {
            if let Step::Lookup { table, .. } = step
                && *table as usize >= self.tables.len()
            {
                return Err(wrong(format!(
                    "step {number}: it reads table {table} of {}",
                    self.tables.len()
                )));
            }
        }
        Ok(self)
    }

    /// Checks that every step, and the outputs, read values that are there.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the first that does not.
    pub fn check_steps(packed_outputs: usize, steps: &[Step], outputs: &[u32]) -> Result<()> {
        let mut values = packed_outputs;
        for (number, step) in steps.iter().enumerate() {
            step.check(values)
                .map_err(|what| Error::invalid(format!("step {number}: {what}")))?;
            values += step.values();
            if values > MAX_VALUES {
                return Err(Error::invalid(format!(
                    "it has more than {MAX_VALUES} values"
                )));
            }
        }
        if outputs.is_empty() {
            return Err(Error::invalid("it has no output"));
        }
        match outputs.iter().find(|&&output| output as usize >= values) {
            Some(output) => Err(Error::invalid(format!(
                "value {output} of {values} is an output"
            ))),
            None => Ok(()),
        }
    }

    /// Number of values.
    pub fn values(&self) -> usize {
        self.packed.outputs + self.steps.iter().map(Step::values).sum::<usize>()
    }

    /// Number of look-ups of a record.
    pub fn lookups(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| matches!(step, Step::Lookup { .. }))
            .map(Step::values)
            .sum()
    }

    /// The circuit file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut file = Writer(Vec::new());
        file.0.extend_from_slice(MAGIC);
        file.0.extend_from_slice(&VERSION.to_le_bytes());
        file.0.extend_from_slice(&BOOTSTRAP.to_le_bytes());
        let packed = self.packed.encode();
        file.u32(packed.len() as u32);
        file.0.extend_from_slice(&packed);
        for field in self.parameters.fields() {
            file.u32(field);
        }
        file.u32(self.tables.len() as u32);
        self.tables
            .iter()
            .flatten()
            .for_each(|&entry| file.u64(entry));
        file.u32(self.steps.len() as u32);
        for step in &self.steps {
            match step {
                Step::Linear { rows, constants } => {
                    file.u32(LINEAR);
                    file.u32(rows.ends.len() as u32);
                    file.u32(rows.columns.len() as u32);
                    rows.ends.iter().for_each(|&end| file.u32(end));
                    rows.columns.iter().for_each(|&column| file.u32(column));
                    rows.weights
                        .iter()
                        .for_each(|&weight| file.u32(weight as u32));
                    constants.iter().for_each(|&constant| file.u64(constant));
                }
                Step::Lookup {
                    first,
                    count,
                    factor,
                    offset,
                    table,
                } => {
                    file.u32(LOOKUP);
                    file.u32(*first);
                    file.u32(*count);
                    file.u32(*table);
                    file.u64(*factor as u64);
                    file.u64(*offset);
                }
            }
        }
        file.u32(self.outputs.len() as u32);
        self.outputs.iter().for_each(|&output| file.u32(output));
        let checksum = crc32c(&file.0);
        file.u32(checksum);
        file.0
    }

    /// Reads and checks a circuit file.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong; lengths are checked before anything is allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("circuit", bytes);
        reader.expect_format(MAGIC, VERSION)?;
        let kind = reader.u16()?;
        if kind != BOOTSTRAP {
            return Err(Error::invalid(format!(
                "circuit has kind {kind}, a bootstrap circuit has {BOOTSTRAP}"
            )));
        }
        // Before the fields, which are lengths: damage is told as such.
        if let Some((body, checksum)) = bytes.split_last_chunk()
            && crc32c(body).to_le_bytes() != *checksum
        {
            return Err(Error::invalid(
                "circuit is damaged: it does not match its checksum",
            ));
        }
        let packed = reader.count()?;
        let packed = PackedCircuit::decode(reader.take(packed)?)?;
        let mut fields = [0; BootstrapParameters::FIELDS];
        for field in &mut fields {
            *field = reader.u32()?;
        }
        let parameters = BootstrapParameters::of_fields(fields).validate()?;
        let tables = reader.count()?;
        let entries = reader.words(tables.saturating_mul(parameters.polynomial_size))?;
        let tables = entries
            .chunks_exact(parameters.polynomial_size)
            .map(<[u64]>::to_vec)
            .collect();
        let mut steps = Vec::new();
        for _ in 0..reader.count()? {
            steps.push(Self::decode_step(&mut reader)?);
        }
        let outputs = reader.count()?;
        let outputs = reader.integers(outputs)?;
        reader.u32()?;
        reader.expect_end()?;
        BootstrapCircuit {
            packed,
            parameters,
            tables,
            steps,
            outputs,
        }
        .validate()
    }

    fn decode_step(reader: &mut Reader<'_>) -> Result<Step> {
        match reader.u32()? {
            LINEAR => {
                let (rows, entries) = (reader.count()?, reader.count()?);
                Ok(Step::Linear {
                    rows: SparseRows {
                        ends: reader.integers(rows)?,
                        columns: reader.integers(entries)?,
                        weights: reader
                            .integers(entries)?
                            .into_iter()
                            .map(|weight| weight as i32)
                            .collect(),
                    },
                    constants: reader.words(rows)?,
                })
            }
            LOOKUP => {
                let (first, count, table) = (reader.u32()?, reader.u32()?, reader.u32()?);
                Ok(Step::Lookup {
                    first,
                    count,
                    table,
                    factor: reader.u64()? as i64,
                    offset: reader.u64()?,
                })
            }
            kind => Err(Error::invalid(format!(
                "circuit has a step of the unknown kind {kind}"
            ))),
        }
    }
}

/// Appends little-endian integers.
struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::Decomposition;
    use super::*;
    use crate::parameters::PackedParameters;
    use proptest::prelude::*;

    fn circuit() -> BootstrapCircuit {
        let mut rows = SparseRows::default();
        rows.push([(0, 3), (3, -2)]);
        rows.push([]);
        rows.push([(2, i32::MIN)]);
        BootstrapCircuit {
            packed: PackedCircuit {
                parameters: PackedParameters {
                    glwe_dimension: 4,
                    polynomial_size: 256,
                    limbs: 5,
                    body_limbs: 5,
                    output_limbs: 5,
                    output_body_limbs: 5,
                    message_bits: 16,
                    bodies: 1,
                    summands: 1,
                    flooding: 0,
                },
                module_key: "seq".into(),
                inputs: 2,
                outputs: 3,
                weights: vec![1, 2, 3, 4, 5, 6],
            },
            parameters: BootstrapParameters {
                lwe_dimension: 950,
                glwe_dimension: 4,
                polynomial_size: 256,
                bootstrap: Decomposition {
                    base_log: 15,
                    levels: 2,
                },
                keyswitch: Decomposition {
                    base_log: 3,
                    levels: 5,
                },
                output_bytes: 2,
            },
            tables: vec![(0..256).collect()],
            steps: vec![
                Step::Lookup {
                    first: 1,
                    count: 2,
                    factor: -5,
                    offset: 1 << 62,
                    table: 0,
                },
                Step::Linear {
                    rows,
                    constants: vec![7, 8, 9],
                },
            ],
            outputs: vec![5, 7],
        }
    }

    #[test]
    fn a_circuit_survives_its_file() {
        let circuit = circuit().validate().unwrap();
        assert_eq!((circuit.values(), circuit.lookups()), (8, 2));
        assert_eq!(
            BootstrapCircuit::decode(&circuit.encode()).unwrap(),
            circuit
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |change: fn(&mut BootstrapCircuit)| {
            let mut wrong = circuit();
            change(&mut wrong);
            BootstrapCircuit::decode(&wrong.encode())
                .unwrap_err()
                .to_string()
        };
        for (change, expected) in [
            (
                (|c| c.packed.parameters.bodies = 2) as fn(&mut BootstrapCircuit),
                "body count of its packed layer is 2, must be 1",
            ),
            (
                |c| c.parameters.lwe_dimension = 500,
                "LWE dimension 500 is too small",
            ),
            (
                |c| c.parameters.output_bytes = 9,
                "bytes of a result's entry is 9",
            ),
            (|c| c.outputs = vec![8], "value 8 of 8 is an output"),
            (|c| c.outputs.clear(), "it has no output"),
            (|c| c.steps.swap(0, 1), "step 0: it reads value 3 of 3"),
            (
                |c| {
                    if let Step::Lookup { first, .. } = &mut c.steps[0] {
                        *first = 2;
                    }
                },
                "step 0: it reads values 2 and 2 on of 3",
            ),
            (
                |c| {
                    if let Step::Lookup { table, factor, .. } = &mut c.steps[0] {
                        (*table, *factor) = (0, 0);
                    }
                },
                "step 0: its factor is 0",
            ),
            (
                |c| {
                    if let Step::Linear { rows, .. } = &mut c.steps[1] {
                        rows.ends[1] = 9;
                    }
                },
                "step 1: its rows are out of order",
            ),
        ] {
            let message = message(change);
            assert!(message.contains(expected), "{message}");
        }
    }

    proptest! {
        #[test]
        fn altered_and_truncated_files_are_noticed(position in any::<prop::sample::Index>(), bits in 1u8..=255) {
            let mut bytes = circuit().encode();
            let position = position.index(bytes.len());
            prop_assert!(BootstrapCircuit::decode(&bytes[..position]).is_err());
            bytes[position] ^= bits;
            prop_assert!(BootstrapCircuit::decode(&bytes).is_err());
        }

        /// Past the checksum, as an attacker would.
        #[test]
        fn altered_files_with_a_right_checksum_do_no_harm(position in any::<prop::sample::Index>(), bits in 1u8..=255) {
            let mut bytes = circuit().encode();
            let length = bytes.len() - 4;
            bytes[position.index(length)] ^= bits;
            let checksum = crc32c(&bytes[..length]).to_le_bytes();
            bytes[length..].copy_from_slice(&checksum);
            let _ = BootstrapCircuit::decode(&bytes);
        }
    }
}
