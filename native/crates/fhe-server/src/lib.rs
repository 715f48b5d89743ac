//! The untrusted side of packed GLWE circuits: it holds weights and ciphertexts, never a key.

mod bootstrap;
mod clear;
mod evaluate;
mod kernel;
mod prepared;
mod rerandomize;
mod sum;
mod workspace;

pub use bootstrap::{AcceptedLookups, BootstrapKeys, PreparedBootstrapCircuit};
pub use evaluate::AcceptedBlock;
pub use kernel::{FewRows, Kernel, PreparedWeights, Scratch};
pub use prepared::PreparedCircuit;
pub use rerandomize::PublicKey;
pub use sum::{add_to_sum, start_sum};
