//! The data owner's side of packed GLWE circuits.
//!
//! The data's way: [`Quantizer`] (float records to integers) → [`ModuleClient::encrypt`] → a block for the
//! server … a block of results → [`ModuleClient::decrypt`] → [`Dequantizer`] (accumulators to floats).

mod activations;
mod buffer;
mod cache;
mod decrypt;
mod dequantize;
mod encrypt;
mod key;
mod key_file;
mod mask;
mod module;
mod negacyclic;
mod planes;
mod quantize;
mod random;
mod rows;
mod staging;
mod threads;
mod transpose;

pub use activations::Activations;
pub use dequantize::Dequantizer;
pub use key::{ClientKey, SecretKeyShape};
pub use module::{ModuleClient, ModuleSpec};
pub use quantize::{Quantizer, WeightNorms};
