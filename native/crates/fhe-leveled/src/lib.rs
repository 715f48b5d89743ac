//! Leveled circuits: small networks, whole, with polynomial activations, in RNS-CKKS without rotations or
//! bootstrapping.
//!
//! A ciphertext holds one FEATURE of n records, a record a slot, in the conjugate-invariant ring (Kim and Song, ePrint
//! 2018/952), whose slots are real. Weights are clear integers, so that a linear layer is an integer matrix product
//! of ciphertexts; an activation is a polynomial, evaluated by products of ciphertexts.

mod circuit;
mod client;
mod lanes;
mod noise;
mod parameters;
mod ring;
mod security;

pub use circuit::{
    ActivationForm, LeveledActivation, LeveledCircuit, LeveledLayer, largest_output_scale,
    levels_needed, nominal_scale,
};
pub use client::RecordBall;
pub use parameters::LeveledParameters;
pub use security::max_levels;
