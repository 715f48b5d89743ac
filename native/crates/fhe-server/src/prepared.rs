//! Circuits made ready for evaluation, once per process.

use fhe_core::block::CircuitDigest;
use fhe_core::circuit::PackedCircuit;
use fhe_core::{Error, Result};

use crate::clear;
use crate::kernel::{Kernel, PreparedWeights};
use crate::workspace::Workspaces;

/// A checked circuit with its kernel chosen; immutable, shared by all threads.
pub struct PreparedCircuit {
    pub(crate) circuit: PackedCircuit,
    pub(crate) digest: CircuitDigest,
    pub(crate) weights: PreparedWeights,
    pub(crate) workspaces: Workspaces,
}

impl PreparedCircuit {
    /// Prepares a circuit file for the kernel of [`Kernel::choose`].
    ///
    /// # Errors
    /// As [`PackedCircuit::decode`] and [`Kernel::choose`].
    pub fn open(bytes: &[u8]) -> Result<Self> {
        Self::with_kernel(bytes, Kernel::choose()?)
    }

    /// Prepares a circuit file for a given kernel.
    ///
    /// # Errors
    /// As [`PackedCircuit::decode`]; [`Error::Internal`] if there is no memory for its weights.
    pub fn with_kernel(bytes: &[u8], kernel: Kernel) -> Result<Self> {
        // As they are, and as the kernel streams through them.
        Vec::<u8>::new()
            .try_reserve_exact(2 * bytes.len())
            .map_err(|_| {
                Error::Internal(format!(
                    "no memory for the weights of a circuit of {} bytes",
                    bytes.len()
                ))
            })?;
        let circuit = PackedCircuit::decode(bytes)?;
        Ok(Self::of(circuit, PackedCircuit::digest(bytes), kernel))
    }

    /// Prepares a checked circuit whose blocks carry this digest.
    pub(crate) fn of(circuit: PackedCircuit, digest: CircuitDigest, kernel: Kernel) -> Self {
        PreparedCircuit {
            weights: PreparedWeights::new(
                kernel,
                &circuit.weights,
                circuit.inputs,
                circuit.outputs,
            ),
            circuit,
            digest,
            workspaces: Workspaces::default(),
        }
    }

    /// The circuit.
    pub fn circuit(&self) -> &PackedCircuit {
        &self.circuit
    }

    /// Bytes of memory that its weights take, and the working memory that evaluations have left for the next.
    pub fn memory_bytes(&self) -> usize {
        self.circuit.weights.len() + self.weights.memory_bytes() + self.workspaces.memory_bytes()
    }

    /// SHA-256 of its file.
    pub fn digest(&self) -> &CircuitDigest {
        &self.digest
    }

    /// The layer in clear: accumulators `[records][d_out]` of integer activations `[records][d_in]`, what
    /// an encrypted evaluation decrypts to.
    ///
    /// # Panics
    /// If `activations` is not `records · d_in` long.
    pub fn accumulate(&self, activations: &[i32]) -> Vec<i64> {
        let inputs = self.circuit.inputs;
        assert_eq!(activations.len() % inputs, 0, "whole records");
        let outputs = self.circuit.outputs;
        let mut accumulators = vec![0; activations.len() / inputs * outputs];
        clear::multiply(
            activations,
            &self.circuit.weights,
            inputs,
            outputs,
            &mut accumulators,
        );
        accumulators
    }

    /// Products mod 2^64 of one row of entries `[d_in]` with the weights, to `products` `[d_out]`: the layer on
    /// what ciphertexts hold, scaled to q = 2^64.
    ///
    /// # Panics
    /// If a length is another.
    pub fn multiply_row(&self, entries: &[u64], products: &mut [u64]) {
        assert_eq!(entries.len(), self.circuit.inputs, "entries of a row");
        assert_eq!(products.len(), self.circuit.outputs, "products of a row");
        let rows = self.circuit.weights.chunks_exact(entries.len());
        for (product, row) in products.iter_mut().zip(rows) {
            *product = entries.iter().zip(row).fold(0, |sum: u64, (&x, &w)| {
                sum.wrapping_add(x.wrapping_mul(i64::from(w) as u64))
            });
        }
    }
}
