//! Memory whose size a caller decides.

use crate::{Error, Result};

/// Zeros.
///
/// # Errors
/// [`Error::Internal`] if there is no memory: that must fail the task, not the executor.
pub fn zeros<T: Clone + Default>(count: usize) -> Result<Vec<T>> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(count).map_err(|_| {
        Error::Internal(format!(
            "no memory for {} bytes",
            count.saturating_mul(size_of::<T>())
        ))
    })?;
    zeros.resize(count, T::default());
    Ok(zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_there_is_not_is_an_error() {
        assert_eq!(zeros::<u16>(3).unwrap(), [0, 0, 0]);
        // More than any address space has, so that no allocator is asked.
        let error = zeros::<u16>(usize::MAX / 2).unwrap_err();
        let bytes = usize::MAX / 2 * 2;
        assert_eq!(
            error.to_string(),
            format!("internal error: no memory for {bytes} bytes")
        );
    }
}
