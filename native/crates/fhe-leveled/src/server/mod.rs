//! The untrusted side: it holds circuits, relinearisation keys and ciphertexts, never a secret key.

mod backend;
mod ciphertext;
mod evaluate;
mod inputs;
mod key;
mod layers;
mod linear;
mod planes;
mod rescale;
mod tensor;

pub(crate) use backend::CiphertextBackend;
pub(crate) use ciphertext::Ciphertext;
pub use evaluate::{AcceptedLeveled, PreparedLeveledCircuit};
pub use key::RelinearizationKey;
