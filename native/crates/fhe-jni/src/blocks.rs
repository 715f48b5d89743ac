//! Batches of blocks through the Arrow C Data Interface.

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::{Array, LargeBinaryArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use fhe_core::{Error, Result};
use fhe_leveled::{AcceptedLeveled, PreparedLeveledCircuit, RelinearizationKey};
use fhe_server::{
    AcceptedBlock, AcceptedLookups, BootstrapKeys, PreparedBootstrapCircuit, PreparedCircuit,
    PublicKey,
};

use crate::result_memory::ResultMemory;

/// Takes over the array that Java exported at these addresses.
///
/// # Safety
/// Both must point to C Data Interface structures that the caller owns and that describe valid memory.
pub unsafe fn import(
    array: *mut FFI_ArrowArray,
    schema: *mut FFI_ArrowSchema,
) -> Result<LargeBinaryArray> {
    // SAFETY: the caller's promise; both structures are moved out and released when dropped.
    let (array, schema) = unsafe {
        (
            FFI_ArrowArray::from_raw(array),
            FFI_ArrowSchema::from_raw(schema),
        )
    };
    // SAFETY: Java's exporter filled both for the same vector.
    let data = unsafe { from_ffi(array, &schema) }
        .map_err(|error| Error::Internal(format!("Arrow import: {error}")))?;
    if data.data_type() != &DataType::LargeBinary {
        return Err(Error::Internal(format!(
            "a batch of blocks is {}, must be LargeBinary",
            data.data_type()
        )));
    }
    data.validate_full()
        .map_err(|error| Error::Internal(format!("Arrow import: {error}")))?;
    Ok(LargeBinaryArray::from(data))
}

/// Gives `results` to Java at these addresses.
///
/// # Safety
/// Both must point to writable, empty C Data Interface structures.
pub unsafe fn export(
    results: LargeBinaryArray,
    array: *mut FFI_ArrowArray,
    schema: *mut FFI_ArrowSchema,
) -> Result<()> {
    let (ffi_array, ffi_schema) = to_ffi(&results.to_data())
        .map_err(|error| Error::Internal(format!("Arrow export: {error}")))?;
    // SAFETY: the caller's promise; Java owns the structures from here on and releases them.
    unsafe {
        array.write(ffi_array);
        schema.write(ffi_schema);
    }
    Ok(())
}

/// What evaluates blocks.
pub trait Evaluator {
    /// A block that passed its checks.
    type Accepted<'a>
    where
        Self: 'a;

    /// Checks a block.
    fn accept<'a>(&'a self, block: &'a [u8]) -> Result<Self::Accepted<'a>>;

    /// Bytes of its results.
    fn result_bytes(accepted: &Self::Accepted<'_>) -> usize;

    /// Writes its results.
    fn evaluate_into(
        &self,
        accepted: &Self::Accepted<'_>,
        output: &mut [u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<()>;
}

/// A packed circuit, and the public key to re-randomise its results with, if it does.
pub struct PackedEvaluator<'k> {
    /// The circuit.
    pub circuit: &'k PreparedCircuit,
    /// The client's public key.
    pub public_key: Option<&'k PublicKey>,
}

impl<'k> Evaluator for PackedEvaluator<'k> {
    type Accepted<'a>
        = AcceptedBlock<'a>
    where
        Self: 'a;

    fn accept<'a>(&'a self, block: &'a [u8]) -> Result<AcceptedBlock<'a>> {
        self.circuit.accept_under(self.public_key, block)
    }

    fn result_bytes(accepted: &AcceptedBlock<'_>) -> usize {
        accepted.result_bytes()
    }

    fn evaluate_into(
        &self,
        accepted: &AcceptedBlock<'_>,
        output: &mut [u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        self.circuit
            .evaluate_into(accepted, output, threads, should_stop)
    }
}

/// A circuit with look-ups, and the keys to evaluate it with.
pub struct KeyedCircuit<'k> {
    /// The circuit.
    pub circuit: &'k PreparedBootstrapCircuit,
    /// The client's evaluation key.
    pub keys: &'k BootstrapKeys,
}

impl Evaluator for KeyedCircuit<'_> {
    type Accepted<'a>
        = AcceptedLookups<'a>
    where
        Self: 'a;

    fn accept<'a>(&'a self, block: &'a [u8]) -> Result<AcceptedLookups<'a>> {
        self.circuit.accept(self.keys, block)
    }

    fn result_bytes(accepted: &AcceptedLookups<'_>) -> usize {
        accepted.result_bytes()
    }

    fn evaluate_into(
        &self,
        accepted: &AcceptedLookups<'_>,
        output: &mut [u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        self.circuit
            .evaluate_into(self.keys, accepted, output, threads, should_stop)
    }
}

/// A leveled circuit, and the key to evaluate it with.
pub struct LeveledEvaluator<'k> {
    /// The circuit.
    pub circuit: &'k PreparedLeveledCircuit,
    /// The client's relinearisation key.
    pub key: &'k RelinearizationKey,
}

impl Evaluator for LeveledEvaluator<'_> {
    type Accepted<'a>
        = AcceptedLeveled<'a>
    where
        Self: 'a;

    fn accept<'a>(&'a self, block: &'a [u8]) -> Result<AcceptedLeveled<'a>> {
        self.circuit.accept(self.key, block)
    }

    fn result_bytes(accepted: &AcceptedLeveled<'_>) -> usize {
        accepted.result_bytes()
    }

    fn evaluate_into(
        &self,
        accepted: &AcceptedLeveled<'_>,
        output: &mut [u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        self.circuit
            .evaluate_into(self.key, accepted, output, threads, should_stop)
    }
}

/// Evaluates every block of a batch with up to `threads` threads; results lie one after the other in one
/// buffer.
///
/// # Errors
/// The first block's error, with its row in the batch; [`Error::Stopped`] if `should_stop` said so.
pub fn evaluate<E: Evaluator>(
    circuit: &E,
    blocks: &LargeBinaryArray,
    threads: usize,
    should_stop: &mut dyn FnMut() -> bool,
) -> Result<LargeBinaryArray> {
    let mut accepted = Vec::with_capacity(blocks.len());
    let mut offsets = Vec::with_capacity(blocks.len() + 1);
    let mut bytes = 0usize;
    offsets.push(0i64);
    for row in 0..blocks.len() {
        if blocks.is_null(row) {
            return Err(Error::invalid(format!(
                "row {row} of the batch holds no block"
            )));
        }
        let block = circuit
            .accept(blocks.value(row))
            .map_err(|error| in_row(row, error))?;
        bytes += E::result_bytes(&block);
        offsets.push(bytes as i64);
        accepted.push(block);
    }
    let mut results = ResultMemory::of(bytes)?;
    let mut rest = results.as_mut_slice();
    for (row, block) in accepted.iter().enumerate() {
        let (output, after) = rest.split_at_mut(E::result_bytes(block));
        circuit
            .evaluate_into(block, output, threads, should_stop)
            .map_err(|error| in_row(row, error))?;
        rest = after;
    }
    Ok(LargeBinaryArray::new(
        OffsetBuffer::new(ScalarBuffer::from(offsets)),
        results.into_buffer(),
        None,
    ))
}

fn in_row(row: usize, error: Error) -> Error {
    match error {
        Error::InvalidInput(message) => {
            Error::invalid(format!("row {row} of the batch: {message}"))
        }
        other => other,
    }
}
