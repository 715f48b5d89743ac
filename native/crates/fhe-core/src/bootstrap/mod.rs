//! Circuits with non-linearities: a packed linear layer, then linear maps and table look-ups on LWE
//! ciphertexts, one a value, by programmable bootstrapping.
//!
//! The torus is 2^64 throughout. A value v with scale s is the phase v/s · 2^64; a look-up reads a table at
//! the phase's top log2(2N) bits, so it reads with an error ("analogously"): what decides is accuracy, not
//! exactness.

mod amplification;
mod circuit;
mod clear;
mod evaluation_key;
mod noise;
mod parameters;
mod search;
mod time;

pub use amplification::{Amplification, CircuitAmplification};
pub use circuit::{BootstrapCircuit, SparseRows, Step};
pub use clear::{ClearResults, LookupRange};
pub use evaluation_key::{EvaluationKey, EvaluationKeyHeader};
pub use noise::{BootstrapNoise, CircuitNoise, lwe_noise_bound_log2, packed_variance};
pub use parameters::{BootstrapParameters, Decomposition};
pub use search::{NoiseTarget, SearchChoice, SearchRequest};
pub use time::{LookupTime, LookupWork};
