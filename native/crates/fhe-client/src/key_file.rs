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
use crate::passphrase::{Passphrase, is_encrypted};
use fhe_core::random::fill_from_os;

/// Larger files are no keys.
const MAX_BYTES: u64 = 64 << 20;

impl ClientKey {
    /// Writes the key to a new file with mode 0600; directories above it are made. With a passphrase the file is
    /// an age file of what it else would be.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the file exists (a key is never overwritten) or cannot be written.
    pub fn save(&self, file: &Path, passphrase: Option<&Passphrase>) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::invalid(match error.kind() {
                ErrorKind::AlreadyExists => format!(
                    "client key {} exists and is not overwritten: give another directory, or --rotate to replace it and keep the old one",
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
        let plain = self.encode();
        let encrypted = passphrase
            .map(|passphrase| passphrase.encrypt(&plain))
            .transpose()?;
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
            .write_all(encrypted.as_deref().unwrap_or(&plain))
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
    /// not a key, or if the passphrase is missing, wrong or of no use.
    pub fn load(file: &Path, passphrase: Option<&Passphrase>) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::invalid(match error.kind() {
                ErrorKind::NotFound => format!(
                    "client key {} does not exist: give the folder that keygen wrote, or make a key with keygen",
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
        Self::open(&bytes, passphrase)
            .map_err(|error| Error::invalid(format!("{}: {error}", file.display())))
    }

    fn open(bytes: &[u8], passphrase: Option<&Passphrase>) -> Result<Self> {
        match (is_encrypted(bytes), passphrase) {
            (false, None) => ClientKey::decode(bytes),
            (true, Some(passphrase)) => ClientKey::decode(&passphrase.decrypt(bytes)?),
            (true, None) => Err(Error::invalid(
                "this client key is protected by a passphrase: give it with --passphrase-file FILE, in FHE_SPARK_PASSPHRASE, or on a terminal with --passphrase",
            )),
            // Whoever gives one relies on it, so a file that was exchanged for a plain one must not pass.
            (false, Some(_)) => Err(Error::invalid(
                "this client key is not protected by a passphrase, and one was given: leave it out, or protect the key with age --passphrase",
            )),
        }
    }
}
