//! The one error type of the native side.

/// What a native call can fail with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller gave something unusable; the message is one line that says what and where.
    #[error("{0}")]
    InvalidInput(String),
    /// The caller asked to stop.
    #[error("stopped on request")]
    Stopped,
    /// The library itself failed.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// An [`Error::InvalidInput`] from anything printable.
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::InvalidInput(message.into())
    }
}

/// Result of a native call.
pub type Result<T> = std::result::Result<T, Error>;
