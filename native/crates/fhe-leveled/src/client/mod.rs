//! The data owner's side: keys, encryption, decryption.

mod cipher;
mod key;

pub use cipher::{LeveledClient, LeveledSpec, SentBlock};
pub use key::LeveledClientKey;
