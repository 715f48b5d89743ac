//! The data owner's side of packed GLWE circuits.
//!
//! The data's way: [`Quantizer`] (float records to integers) → [`ModuleClient::encrypt`] → a block for the
//! server … a block of results → [`ModuleClient::decrypt`] → [`Dequantizer`] (accumulators to floats). For
//! small batches the mask's part of all that can be done ahead: [`PreparedMask`]. What noise does to accumulators
//! can be seen without keys and blocks: [`ModuleClient::simulate`].

mod activations;
mod attack;
mod bootstrap;
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
mod outputs;
mod pads;
mod parts;
mod passphrase;
mod planes;
mod prepared_mask;
mod public_key;
mod quantize;

mod records;
mod rows;
mod seeds;
mod simulate;
mod staging;
mod threads;
mod transpose;
mod vectors;

pub use activations::Activations;
pub use attack::Target;
pub use bootstrap::{LookupClient, LookupResultsSpec};
pub use dequantize::Dequantizer;
pub use key::{ClientKey, SecretKeyShape};
pub use module::{ModuleClient, ModuleSpec};
pub use outputs::{ColumnRun, Outputs};
pub use passphrase::Passphrase;
pub use prepared_mask::{MaskOrder, PreparedMask};
pub use quantize::{Quantizer, WeightNorms};
pub use records::{Records, Unfolding};
pub use simulate::NormalSamples;
