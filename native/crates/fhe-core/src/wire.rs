//! Reading fixed little-endian fields from bytes nobody has checked yet.

use crate::{Error, Result};

/// A cursor over untrusted bytes; `what` names them in errors.
pub struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Reader {
            what,
            bytes,
            position: 0,
        }
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there are not as many, as all that reads here.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.position.checked_add(length);
        match end.and_then(|end| self.bytes.get(self.position..end)) {
            Some(slice) => {
                self.position += length;
                Ok(slice)
            }
            None => Err(Error::invalid(format!(
                "{} is truncated: {} bytes, at least {} expected",
                self.what,
                self.bytes.len(),
                self.position.saturating_add(length)
            ))),
        }
    }

    /// An array of bytes.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH]> {
        let mut array = [0; LENGTH];
        array.copy_from_slice(self.take(LENGTH)?);
        Ok(array)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A u32 that counts something.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn count(&mut self) -> Result<usize> {
        Ok(self.u32()? as usize)
    }

    /// So many u32.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn integers(&mut self, count: usize) -> Result<Vec<u32>> {
        let bytes = self.take(count.saturating_mul(4))?;
        Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|&word| u32::from_le_bytes(word))
            .collect())
    }

    /// So many u64.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn words(&mut self, count: usize) -> Result<Vec<u64>> {
        let bytes = self.take(count.saturating_mul(8))?;
        Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|&word| u64::from_le_bytes(word))
            .collect())
    }

    /// Checks that nothing follows.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if something does.
    pub fn expect_end(&self) -> Result<()> {
        if self.position == self.bytes.len() {
            Ok(())
        } else {
            Err(Error::invalid(format!(
                "{} is too long: {} bytes",
                self.what,
                self.bytes.len()
            )))
        }
    }

    /// Checks magic and version.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the one that differs.
    pub fn expect_format(&mut self, magic: &[u8; 4], version: u16) -> Result<()> {
        if self.take(4)? != magic {
            let article = if self.what.starts_with(['a', 'e', 'i', 'o', 'u']) {
                "an"
            } else {
                "a"
            };
            return Err(Error::invalid(format!(
                "not {article} {}: its first bytes are not {:?}",
                self.what,
                String::from_utf8_lossy(magic)
            )));
        }
        let found = self.u16()?;
        if found != version {
            return Err(Error::invalid(format!(
                "{} has format version {found}, this library reads version {version}",
                self.what
            )));
        }
        Ok(())
    }
}
