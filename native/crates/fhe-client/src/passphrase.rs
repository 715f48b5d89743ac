//! Keys under a passphrase, in the age format (<https://age-encryption.org/v1>) with its scrypt recipient: the
//! `age` command opens and makes such files too.

use std::io::{ErrorKind, Read, Write};
use std::iter::once;

use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, scrypt};
use fhe_core::{Error, Result};
use zeroize::Zeroizing;

/// log2 of scrypt's N: 256 MiB and about a second for each guess; what the `age` command takes.
const WORK_FACTOR: u8 = 18;
/// Files that ask for more than this, 1 GiB, are not tried.
const MAX_WORK_FACTOR: u8 = 20;

/// What a file under a passphrase, or any other age file, begins with.
const MAGIC: &[u8] = b"age-encryption.org/";

/// Whether a file is an age file.
pub(crate) fn is_encrypted(file: &[u8]) -> bool {
    file.starts_with(MAGIC)
}

/// A passphrase, wiped when dropped.
pub struct Passphrase(SecretString);

impl Passphrase {
    /// A copy of UTF-8 text, which is taken as it is: not trimmed, not normalised.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is empty or not UTF-8.
    pub fn new(text: &[u8]) -> Result<Self> {
        match std::str::from_utf8(text) {
            Ok("") => Err(Error::invalid("the passphrase is empty")),
            Ok(text) => Ok(Passphrase(SecretString::from(text))),
            Err(_) => Err(Error::invalid("the passphrase is not UTF-8 text")),
        }
    }

    /// An age file of `plaintext`.
    ///
    /// The library frees its buffer of at most 64 KiB of plaintext without wiping it: of use to nobody who
    /// cannot read this process's memory, where the key itself lies.
    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>> {
        self.encrypt_with_work(plaintext, WORK_FACTOR)
    }

    fn encrypt_with_work(&self, plaintext: &[u8], work_factor: u8) -> Result<Vec<u8>> {
        let mut recipient = scrypt::Recipient::new(self.0.clone());
        recipient.set_work_factor(work_factor);
        let encryptor = Encryptor::with_recipients(once(&recipient as &dyn age::Recipient))
            .map_err(|error| Error::Internal(format!("age: {error}")))?;
        let write = || {
            let mut out = encryptor.wrap_output(Vec::new())?;
            out.write_all(plaintext)?;
            out.finish()
        };
        write().map_err(|error| Error::Internal(format!("age: {error}")))
    }

    /// What an age file holds.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the passphrase is wrong, or the file damaged or of another kind.
    pub(crate) fn decrypt(&self, file: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let decryptor = Decryptor::new_buffered(file).map_err(explain)?;
        if !decryptor.is_scrypt() {
            return Err(Error::invalid(
                "is encrypted to recipients of age and not by a passphrase: decrypt it with age",
            ));
        }
        let mut identity = scrypt::Identity::new(self.0.clone());
        identity.set_max_work_factor(MAX_WORK_FACTOR);
        let mut reader = decryptor
            .decrypt(once(&identity as &dyn age::Identity))
            .map_err(explain)?;
        // The plaintext is shorter than the file, so this never grows, which would leave copies behind.
        let mut plaintext = Zeroizing::new(Vec::with_capacity(file.len()));
        reader
            .read_to_end(&mut plaintext)
            .map_err(|error| explain(error.into()))?;
        Ok(plaintext)
    }
}

fn explain(error: DecryptError) -> Error {
    Error::invalid(match error {
        DecryptError::DecryptionFailed
        | DecryptError::KeyDecryptionFailed
        | DecryptError::NoMatchingKeys => "the passphrase is wrong".into(),
        DecryptError::ExcessiveWork { required, .. } => format!(
            "needs scrypt with N = 2^{required}, and at most 2^{MAX_WORK_FACTOR} is tried: encrypt it with less"
        ),
        DecryptError::UnknownFormat => "is of a version of age that is not known here".into(),
        DecryptError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "client key is truncated".into()
        }
        // The library's own words may take several lines and depend on the locale.
        _ => "client key is damaged: it does not decrypt".to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.as_bytes()).unwrap()
    }

    fn message<T>(result: Result<T>) -> String {
        result.err().expect("it is refused").to_string()
    }

    #[test]
    fn what_is_encrypted_comes_back_under_its_passphrase_alone() {
        for length in [0, 1, 1 << 16, (1 << 16) + 1] {
            let plaintext = vec![7; length];
            let file = passphrase("päss").encrypt_with_work(&plaintext, 2).unwrap();
            assert!(is_encrypted(&file));
            assert_eq!(*passphrase("päss").decrypt(&file).unwrap(), plaintext);
            let error = message(passphrase("pass").decrypt(&file));
            assert_eq!(error, "the passphrase is wrong");
        }
    }

    #[test]
    fn two_files_of_the_same_share_nothing() {
        let first = passphrase("p").encrypt_with_work(&[0; 64], 2).unwrap();
        let second = passphrase("p").encrypt_with_work(&[0; 64], 2).unwrap();
        assert_ne!(first[first.len() - 80..], second[second.len() - 80..]);
    }

    #[test]
    fn a_passphrase_is_some_text() {
        assert_eq!(message(Passphrase::new(b"")), "the passphrase is empty");
        assert!(message(Passphrase::new(&[0xff])).contains("not UTF-8"));
    }

    #[test]
    fn a_file_that_asks_for_too_much_work_is_not_tried() {
        let file = passphrase("p").encrypt_with_work(b"", 2).unwrap();
        let text = String::from_utf8_lossy(&file[..100]).into_owned();
        let end = text.find(" 2\n").unwrap();
        let mut costly = file[..end].to_vec();
        costly.extend_from_slice(b" 40");
        costly.extend_from_slice(&file[end + 2..]);
        let error = message(passphrase("p").decrypt(&costly));
        assert!(error.contains("N = 2^40"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn an_altered_or_cut_file_is_refused(
            position in any::<prop::sample::Index>(),
            change in 1u8..,
            cut in any::<bool>(),
        ) {
            let mut file = passphrase("p").encrypt_with_work(&[5; 100], 2).unwrap();
            let position = position.index(file.len());
            if cut {
                file.truncate(position);
            } else {
                file[position] ^= change;
            }
            prop_assert!(!message(passphrase("p").decrypt(&file)).contains('\n'));
        }
    }
}
