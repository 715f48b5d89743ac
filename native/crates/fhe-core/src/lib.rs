//! What the client and the server of packed (common-mask) GLWE circuits share.
//!
//! One GLWE ciphertext holds one FEATURE of N records a body; K bodies share k mask polynomials, so a
//! linear layer is the integer matrix product `Y = X · W mod q` over mask rows and body rows.

pub mod block;
pub mod bootstrap;
pub mod checksum;
pub mod circuit;
pub mod error;
pub mod keystream;
pub mod mask;
pub mod memory;
pub mod noise;
pub mod panel;
pub mod parameters;
pub mod public_key;
pub mod random;
pub mod wire;
pub mod workers;

pub use error::{Error, Result};
