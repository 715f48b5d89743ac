//! The client's side of circuits with look-ups ([`fhe_core::bootstrap`]): evaluation keys and results.

mod evaluation_key;
mod results;

pub use results::{LookupClient, LookupResultsSpec};
