//! Evaluation of a circuit with look-ups on an encrypted block.

use fhe_core::block::{BlockHeader, BlockKind, CircuitDigest, HEADER_BYTES};
use fhe_core::bootstrap::{BootstrapCircuit, Step};
use fhe_core::circuit::PackedCircuit;
use fhe_core::memory::zeros;
use fhe_core::workers::share;
use fhe_core::{Error, Result};

use super::BootstrapKeys;
use super::lookup::Lookups;
use super::values::{PackedResults, Values};
use crate::{AcceptedBlock, Kernel, PreparedCircuit};

/// Memory of the values of records that are worked on together.
const GROUP_BYTES: usize = 64 << 20;

/// Most memory of one record's values.
const MAX_RECORD_BYTES: usize = 8 << 30;

/// A block that passed every check against a circuit with look-ups and its keys, but for its payload's checksum.
pub struct AcceptedLookups<'a> {
    packed: AcceptedBlock<'a>,
    result: BlockHeader,
}

impl AcceptedLookups<'_> {
    /// Bytes of the block of results.
    pub fn result_bytes(&self) -> usize {
        HEADER_BYTES + self.result.layout().bytes()
    }
}

/// A checked circuit with look-ups; immutable, shared by all threads.
pub struct PreparedBootstrapCircuit {
    circuit: BootstrapCircuit,
    /// The packed layer; its blocks carry the whole circuit's digest.
    packed: PreparedCircuit,
    /// The step that reads a value last; values that only are outputs stay to the end.
    last_reads: Vec<usize>,
    /// Most memory of a record's values at a time.
    record_bytes: usize,
}

impl PreparedBootstrapCircuit {
    /// Prepares a circuit file for the kernel of [`Kernel::choose`].
    ///
    /// # Errors
    /// As [`BootstrapCircuit::decode`] and [`Kernel::choose`]; [`Error::InvalidInput`] if a record takes more
    /// memory than any should.
    pub fn open(bytes: &[u8]) -> Result<Self> {
        let circuit = BootstrapCircuit::decode(bytes)?;
        let digest = PackedCircuit::digest(bytes);
        let last_reads = last_reads(&circuit);
        let record_bytes =
            8 * (circuit.parameters.value_dimension() + 1) * most_values(&circuit, &last_reads);
        if record_bytes > MAX_RECORD_BYTES {
            return Err(Error::invalid(format!(
                "bootstrap circuit of module {:?} takes {} MiB of memory a record, at most {} are given: cut the module into smaller ones",
                circuit.packed.module_key,
                record_bytes >> 20,
                MAX_RECORD_BYTES >> 20
            )));
        }
        Ok(PreparedBootstrapCircuit {
            packed: PreparedCircuit::of(circuit.packed.clone(), digest, Kernel::choose()?),
            last_reads,
            record_bytes,
            circuit,
        })
    }

    /// Bytes of memory that its weights and tables take, and the working memory that evaluations have left for the
    /// next.
    pub fn memory_bytes(&self) -> usize {
        let tables: usize = self.circuit.tables.iter().map(Vec::len).sum();
        self.circuit.packed.weights.len() + size_of::<u64>() * tables + self.packed.memory_bytes()
    }

    /// The circuit.
    pub fn circuit(&self) -> &BootstrapCircuit {
        &self.circuit
    }

    /// SHA-256 of its file.
    pub fn digest(&self) -> &CircuitDigest {
        self.packed.digest()
    }

    /// Checks a block of encrypted activations against this circuit and keys.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block's header is damaged or belongs to another circuit, or the keys are
    /// another client's or of other parameters.
    pub fn accept<'a>(&self, keys: &BootstrapKeys, block: &'a [u8]) -> Result<AcceptedLookups<'a>> {
        let (header, _) = BlockHeader::parse_header(block)?;
        keys.header()
            .expect(&header.key_id, &self.circuit.parameters)?;
        if header.kind != BlockKind::Activations {
            return Err(Error::invalid(format!(
                "encrypted block {} holds {:?}, a circuit with look-ups takes {:?}",
                header.block_number,
                header.kind,
                BlockKind::Activations
            )));
        }
        let packed = self.packed.accept(block)?;
        let result = BlockHeader::of_lookups(
            &header,
            &self.circuit.parameters,
            self.circuit.outputs.len(),
        );
        Ok(AcceptedLookups { packed, result })
    }

    /// Evaluates the circuit on a block of activations with up to `threads` threads, this one among them;
    /// returns the block of results.
    ///
    /// # Errors
    /// As [`PreparedBootstrapCircuit::accept`] and [`PreparedBootstrapCircuit::evaluate_into`].
    pub fn evaluate(
        &self,
        keys: &BootstrapKeys,
        block: &[u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<u8>> {
        let accepted = self.accept(keys, block)?;
        let mut results = vec![0; accepted.result_bytes()];
        self.evaluate_into(keys, &accepted, &mut results, threads, should_stop)?;
        Ok(results)
    }

    /// Evaluates the circuit on a block accepted with these keys, with up to `threads` threads, this one among
    /// them; writes the block of results to `output`.
    ///
    /// `should_stop` is asked on this thread, before each batch of its look-ups.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the payload is damaged; [`Error::Stopped`] if `should_stop` said so.
    ///
    /// # Panics
    /// If `output` is not [`AcceptedLookups::result_bytes`] long.
    pub fn evaluate_into(
        &self,
        keys: &BootstrapKeys,
        accepted: &AcceptedLookups<'_>,
        output: &mut [u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        let result = &accepted.result;
        let accepted = &accepted.packed;
        let mut packed: Vec<u8> = zeros(accepted.result_bytes())?;
        self.packed
            .evaluate_into(accepted, &mut packed, threads, should_stop)?;
        let packed = PackedResults::new(
            &self.circuit.packed.parameters,
            self.circuit.packed.outputs,
            result.records,
            &packed[HEADER_BYTES..],
        )?;
        let (masks, bodies) = output[HEADER_BYTES..].split_at_mut(result.layout().mask.bytes());
        let group = (GROUP_BYTES / self.record_bytes).clamp(1, result.records);
        let mut run = Run {
            circuit: self,
            keys,
            threads: threads.max(1),
            should_stop,
        };
        let mask_bytes = group * masks.len() / result.records;
        let body_bytes = group * bodies.len() / result.records;
        for (part, (masks, bodies)) in masks
            .chunks_mut(mask_bytes)
            .zip(bodies.chunks_mut(body_bytes))
            .enumerate()
        {
            let first = part * group;
            let count = group.min(result.records - first);
            let mut values = run.packed_values(&packed, first, count)?;
            run.steps(&mut values)?;
            run.send(&values, masks, bodies)?;
        }
        result.seal(output);
        Ok(())
    }

    /// Accumulators `[records][d_out]` of the packed layer in clear, of integer activations `[records][d_in]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the activations are not whole records.
    pub fn accumulate(&self, activations: &[i32]) -> Result<Vec<i64>> {
        let inputs = self.circuit.packed.inputs;
        if !activations.len().is_multiple_of(inputs) {
            return Err(Error::invalid(format!(
                "{} activations are not whole records of {inputs}",
                activations.len()
            )));
        }
        Ok(self.packed.accumulate(activations))
    }

    /// Words of a value.
    fn value_words(&self) -> usize {
        self.circuit.parameters.value_dimension() + 1
    }
}

fn last_reads(circuit: &BootstrapCircuit) -> Vec<usize> {
    let mut last = vec![0; circuit.values()];
    for (number, step) in circuit.steps.iter().enumerate() {
        match step {
            Step::Linear { rows, .. } => {
                for &column in &rows.columns {
                    last[column as usize] = number;
                }
            }
            Step::Lookup { first, count, .. } => {
                last[*first as usize..][..*count as usize].fill(number);
            }
        }
    }
    for &output in &circuit.outputs {
        last[output as usize] = usize::MAX;
    }
    last
}

/// Most values that are there at a time. Those of a step go together.
fn most_values(circuit: &BootstrapCircuit, last_reads: &[usize]) -> usize {
    let made = [circuit.packed.outputs]
        .into_iter()
        .chain(circuit.steps.iter().map(Step::values));
    let (mut first, mut live, mut most) = (0, Vec::new(), 0);
    for (after, count) in made.enumerate() {
        let last = last_reads[first..first + count].iter().max();
        live.push((count, last.copied().unwrap_or(0)));
        first += count;
        most = most.max(live.iter().map(|(count, _)| count).sum());
        // What the step that made these read last is gone.
        live.retain(|&(_, last)| last >= after);
    }
    most
}

/// One evaluation.
struct Run<'a> {
    circuit: &'a PreparedBootstrapCircuit,
    keys: &'a BootstrapKeys,
    threads: usize,
    should_stop: &'a mut dyn FnMut() -> bool,
}

impl Run<'_> {
    /// The packed layer's values of some records.
    fn packed_values(
        &mut self,
        packed: &PackedResults,
        first: usize,
        count: usize,
    ) -> Result<Values> {
        let outputs = self.circuit.circuit.packed.outputs;
        let words = self.circuit.value_words();
        let mut made = zeros(count * outputs * words)?;
        let parts = made.chunks_mut(words).enumerate();
        self.share(parts, |_, (item, value)| {
            packed.extract(item % outputs, first + item / outputs, value);
        })?;
        let mut values = Values::new(count, words);
        values.push(outputs, made);
        Ok(values)
    }

    /// Takes some records through the steps; afterwards their outputs are there.
    fn steps(&mut self, values: &mut Values) -> Result<()> {
        let circuit = self.circuit;
        let words = circuit.value_words();
        for (number, step) in circuit.circuit.steps.iter().enumerate() {
            let count = step.values();
            let mut made = zeros(values.records() * count * words)?;
            match step {
                Step::Linear { rows, constants } => {
                    let some = count
                        .div_ceil(self.threads.div_ceil(values.records()))
                        .max(1);
                    let parts = made
                        .chunks_mut((count * words).max(1))
                        .enumerate()
                        .flat_map(|(record, made)| {
                            let parts = made.chunks_mut(some * words).enumerate();
                            parts.map(move |(part, made)| (record, part * some, made))
                        });
                    self.share(parts, |_, (record, first, made)| {
                        let range = first..first + made.len() / words;
                        values.combine(rows, range, constants, record, made);
                    })?;
                }
                Step::Lookup {
                    first,
                    factor,
                    offset,
                    table,
                    ..
                } => {
                    let table = &circuit.circuit.tables[*table as usize];
                    let batch = self.batch(values.records() * count);
                    let parts = made.chunks_mut(batch * words).enumerate();
                    self.share(parts, |worker, (part, made)| {
                        let items = part * batch..part * batch + made.len() / words;
                        worker.gather(items.map(|item| {
                            values.value(item / count, *first as usize + item % count)
                        }));
                        worker
                            .lookups
                            .look_up(table, &worker.values, *factor, *offset, made);
                    })?;
                }
            }
            values.push(count, made);
            values.free(number, &circuit.last_reads);
        }
        Ok(())
    }

    /// Writes the outputs of some records, switched and rounded.
    fn send(&mut self, values: &Values, masks: &mut [u8], bodies: &mut [u8]) -> Result<()> {
        let outputs = &self.circuit.circuit.outputs;
        let bytes = self.circuit.circuit.parameters.output_bytes;
        let dimension = self.circuit.circuit.parameters.lwe_dimension;
        let batch = self.batch(values.records() * outputs.len());
        let parts = masks
            .chunks_mut(batch * dimension * bytes)
            .zip(bodies.chunks_mut(batch * bytes))
            .enumerate();
        self.share(parts, |worker, (part, (masks, bodies))| {
            let items = part * batch..part * batch + bodies.len() / bytes;
            worker.gather(items.map(|item| {
                let output = outputs[item % outputs.len()];
                values.value(item / outputs.len(), output as usize)
            }));
            worker.lookups.send(&worker.values, masks, bodies);
        })
    }

    /// How many of so many items are worked on at a time, so that all threads have work.
    fn batch(&self, items: usize) -> usize {
        let rounds = items.div_ceil(self.threads * Lookups::BATCH).max(1);
        items.div_ceil(self.threads * rounds).max(1)
    }

    /// Does work on parts, on all threads.
    fn share<T: Send>(
        &mut self,
        parts: impl Iterator<Item = T> + Send,
        work: impl Fn(&mut Worker<'_>, T) + Sync,
    ) -> Result<()> {
        let keys = self.keys;
        let buffers = || {
            Ok(Worker {
                lookups: Lookups::new(keys),
                values: Vec::new(),
            })
        };
        share(
            parts,
            self.threads,
            &mut *self.should_stop,
            buffers,
            |worker, part| {
                work(worker, part);
                Ok(())
            },
        )
    }
}

/// The buffers of a thread.
struct Worker<'a> {
    lookups: Lookups<'a>,
    /// Values that are worked on together.
    values: Vec<u64>,
}

impl Worker<'_> {
    fn gather<'v>(&mut self, values: impl Iterator<Item = &'v [u64]>) {
        self.values.clear();
        values.for_each(|value| self.values.extend_from_slice(value));
    }
}

#[cfg(test)]
mod tests {
    use fhe_core::bootstrap::{BootstrapParameters, Decomposition, SparseRows};
    use fhe_core::parameters::PackedParameters;

    use super::*;

    fn circuit(steps: Vec<Step>, outputs: Vec<u32>) -> BootstrapCircuit {
        BootstrapCircuit {
            packed: PackedCircuit {
                parameters: PackedParameters {
                    glwe_dimension: 4,
                    polynomial_size: 512,
                    limbs: 5,
                    body_limbs: 5,
                    output_limbs: 5,
                    output_body_limbs: 5,
                    message_bits: 16,
                    bodies: 1,
                    summands: 1,
                    flooding: 0,
                },
                module_key: "mlp".into(),
                inputs: 1,
                outputs: 3,
                weights: vec![1; 3],
            },
            parameters: BootstrapParameters {
                lwe_dimension: 900,
                glwe_dimension: 4,
                polynomial_size: 512,
                bootstrap: Decomposition {
                    base_log: 23,
                    levels: 1,
                },
                keyswitch: Decomposition {
                    base_log: 4,
                    levels: 3,
                },
                output_bytes: 2,
            },
            tables: vec![],
            steps,
            outputs,
        }
    }

    fn rows(count: usize, column: u32) -> Step {
        let mut rows = SparseRows::default();
        for _ in 0..count {
            rows.push([(column, 1)]);
        }
        Step::Linear {
            rows,
            constants: vec![0; count],
        }
    }

    #[test]
    fn values_count_until_they_are_read_for_the_last_time() {
        let most = |steps, outputs| {
            let circuit = circuit(steps, outputs);
            most_values(&circuit, &last_reads(&circuit))
        };
        assert_eq!(most(vec![], vec![0]), 3);
        // Three and ten, then ten and four.
        assert_eq!(most(vec![rows(10, 0), rows(4, 5)], vec![14]), 14);
        assert_eq!(most(vec![rows(10, 0), rows(4, 5)], vec![0, 14]), 17);
        assert_eq!(
            most(vec![rows(10, 0), rows(20, 5), rows(1, 20)], vec![33]),
            30
        );
    }

    #[test]
    fn a_circuit_that_takes_all_memory_is_refused() {
        let circuit = circuit(vec![rows(1 << 20, 0)], vec![9]);
        let error = PreparedBootstrapCircuit::open(&circuit.encode()).err();
        let message = error.unwrap().to_string();
        assert!(message.contains("MiB of memory a record"), "{message}");
    }
}
