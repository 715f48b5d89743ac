//! The data owner's side: keys, encryption, decryption.

mod ball;
mod cipher;
mod key;

pub use ball::RecordBall;
pub use cipher::{LeveledClient, LeveledSpec, SentBlock};
pub use key::LeveledClientKey;
