//! Key files of others.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use fhe_client::{ClientKey, Passphrase, SecretKeyShape};

/// A client key that the `age` command (the one in Go, 1.3.2) encrypted under "correct horse".
const OF_THE_AGE_COMMAND: &[u8] = include_bytes!("data/client.key.age");

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&path);
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    file.write_all(bytes).unwrap();
    path
}

#[test]
fn a_file_that_the_age_command_encrypted_is_opened() {
    let file = file("of-age.key", OF_THE_AGE_COMMAND);
    let passphrase = Passphrase::new(b"correct horse").unwrap();
    let key = ClientKey::load(&file, Some(&passphrase)).unwrap();
    assert_eq!(key.id()[..], (0..16).collect::<Vec<u8>>());
    let shape = SecretKeyShape {
        glwe_dimension: 20,
        polynomial_size: 64,
        limbs: 4,
        bodies: 2,
    };
    let expected: Vec<u8> = (0..320)
        .flat_map(|byte| (0..8).map(move |bit| ((((byte * 37 + 11) % 256) >> bit) & 1) as u8))
        .collect();
    assert_eq!(*key.secret_bits(&shape).unwrap(), expected);
    let wrong = Passphrase::new(b"correct horse ").unwrap();
    let error = ClientKey::load(&file, Some(&wrong)).err().unwrap();
    assert!(error.to_string().ends_with("the passphrase is wrong"));
}
