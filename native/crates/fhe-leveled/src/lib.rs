//! Leveled circuits: small networks, whole, with polynomial activations, in RNS-CKKS without rotations or
//! bootstrapping.
//!
//! A ciphertext holds one FEATURE of n records, a record a slot, in the conjugate-invariant ring (Kim and Song, ePrint
//! 2018/952), whose slots are real. Weights are clear integers, so that a linear layer is an integer matrix product
//! of ciphertexts; an activation is a polynomial, evaluated by products of ciphertexts.

mod activation;
#[doc(hidden)]
pub mod bench;
mod buffer;
mod circuit;
mod clear;
mod client;
mod key_file;
mod lanes;
mod noise;
mod pack;
mod parameters;
mod plan;
mod pointwise;
mod ring;
mod sampling;
mod security;
mod server;

pub use circuit::{ActivationForm, LeveledActivation, LeveledCircuit, LeveledLayer};
pub use client::{LeveledClient, LeveledClientKey, LeveledSpec, RecordBall, SentBlock};
pub use key_file::{RelinearizationKeyHeader, is_relinearization_key};
pub use parameters::LeveledParameters;
pub use plan::{largest_output_scale, levels_needed, nominal_scale};
pub use security::{largest_modulus_bits, max_levels};
pub use server::{AcceptedLeveled, PreparedLeveledCircuit, RelinearizationKey};
