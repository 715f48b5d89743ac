//! Key files: never overwritten, never readable by others, never half-written.
//!
//! Reading and writing happen here and not in Java, whose heap and I/O buffers would keep copies.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use fhe_core::{Error, Result};
use zeroize::Zeroizing;

use crate::ClientKey;
use crate::random::fill_from_os;

/// Larger files are no keys.
const MAX_BYTES: u64 = 64 << 20;

impl ClientKey {
    /// Writes the key to a new file with mode 0600; directories above it are made.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the file exists (a key is never overwritten) or cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::invalid(match error.kind() {
                ErrorKind::AlreadyExists => format!(
                    "client key {} exists and is not overwritten: give another directory or remove it",
                    file.display()
                ),
                _ => format!("client key {} cannot be written: {error}", file.display()),
            })
        };
        if let Some(directory) = file.parent() {
            // A file where a directory should be also "exists", but is no key.
            fs::create_dir_all(directory).map_err(|error| {
                Error::invalid(format!(
                    "client key {} cannot be written: {}: {error}",
                    file.display(),
                    directory.display()
                ))
            })?;
        }
        if file.exists() {
            return Err(failed(ErrorKind::AlreadyExists.into()));
        }
        let mut random = [0u8; 8];
        fill_from_os(&mut random)?;
        let suffix: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".tmp-{suffix}"));
        let temporary = file.with_file_name(name);
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed)?;
        // A hard link fails where a rename would replace a key that another process made meanwhile.
        let written = out
            .write_all(&self.encode())
            .and_then(|()| out.sync_all())
            .and_then(|()| fs::hard_link(&temporary, file));
        // Whatever happened, the temporary name must go; what counts is the first error.
        let removed = fs::remove_file(&temporary);
        written.and(removed).map_err(failed)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the file if it is missing, readable by others, truncated, altered or
    /// not a key.
    pub fn load(file: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::invalid(match error.kind() {
                ErrorKind::NotFound => format!(
                    "client key {} does not exist: make one with keygen",
                    file.display()
                ),
                _ => format!("client key {} cannot be read: {error}", file.display()),
            })
        };
        let mut input = File::open(file).map_err(failed)?;
        let metadata = input.metadata().map_err(failed)?;
        let mode = metadata.permissions().mode() & 0o777;
        if metadata.is_file() && mode & 0o077 != 0 {
            return Err(Error::invalid(format!(
                "client key {} is open to other users (mode {mode:o}): chmod 600 it, and make a new key if they may have read it",
                file.display()
            )));
        }
        if metadata.is_file() && metadata.len() > MAX_BYTES {
            return Err(Error::invalid(format!(
                "{}: not a client key: {} bytes",
                file.display(),
                metadata.len()
            )));
        }
        // Read into one allocation: growing would leave copies behind.
        let mut bytes = Zeroizing::new(vec![0u8; metadata.len() as usize]);
        input.read_exact(&mut bytes).map_err(failed)?;
        ClientKey::decode(&bytes)
            .map_err(|error| Error::invalid(format!("{}: {error}", file.display())))
    }
}
