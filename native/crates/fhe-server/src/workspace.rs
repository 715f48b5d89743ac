//! Work buffers, reused from panel to panel and from block to block: fresh ones would cost more than the
//! arithmetic.

use std::sync::{Mutex, PoisonError};

use crate::kernel::Scratch;

/// Buffers of one thread.
#[derive(Default)]
pub struct Workspace {
    /// The kernel's.
    pub scratch: Scratch,
    /// A panel of entries.
    pub panel: Vec<u8>,
    /// A panel of results.
    pub product: Vec<u8>,
    /// Entries of a few rows.
    pub digits: Vec<i16>,
}

/// Workspaces that no thread uses now: as many as once worked at the same time.
#[derive(Default)]
pub struct Workspaces {
    idle: Mutex<Vec<Workspace>>,
}

impl Workspace {
    fn memory_bytes(&self) -> usize {
        self.scratch.memory_bytes()
            + self.panel.capacity()
            + self.product.capacity()
            + size_of::<i16>() * self.digits.capacity()
    }
}

impl Workspaces {
    /// Bytes of memory of those that no thread uses now.
    pub fn memory_bytes(&self) -> usize {
        self.idle().iter().map(Workspace::memory_bytes).sum()
    }

    /// Lends a workspace to `work`.
    pub fn with<T>(&self, work: impl FnOnce(&mut Workspace) -> T) -> T {
        let mut workspace = self.idle().pop().unwrap_or_default();
        let result = work(&mut workspace);
        self.idle().push(workspace);
        result
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Workspace>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
