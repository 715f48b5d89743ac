//! Evaluation of circuits with look-ups: [`fhe_core::bootstrap`].

mod evaluate;
mod keys;
mod keyswitch;
mod lookup;
mod values;
mod vectors;

pub use evaluate::{AcceptedLookups, PreparedBootstrapCircuit};
pub use keys::BootstrapKeys;
