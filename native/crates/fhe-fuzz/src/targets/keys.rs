//! Key files.

use fhe_client::{ClientKey, SecretKeyShape};
use fhe_core::bootstrap::EvaluationKey;
use fhe_core::public_key::{PublicKeyFile, PublicKeySet};
use fhe_server::PublicKey;

use super::fixtures::{KEY_ID, data, key_file, module_for_sums, modules, re_randomised_module};
use super::lookups::{LWE_DIMENSION, evaluation_key_file};
use crate::Target;

/// A client key that is read is what is written again.
pub(super) fn client_key() -> Target {
    let shapes: Vec<SecretKeyShape> = modules().iter().map(|module| module.shape()).collect();
    Target {
        name: "client-key",
        share: 60,
        seeds: vec![
            key_file(&shapes[..1], &[]),
            key_file(&shapes[1..3], &[LWE_DIMENSION]),
            key_file(&[], &[901, 4096]),
        ],
        // Bits become transforms of doubles.
        most_bytes: (256, 1 << 20),
        check: Box::new(|input| {
            let Ok(key) = ClientKey::decode(input) else {
                return false;
            };
            // A file of the version before is written as one of today's.
            let written = key.encode();
            let is_of_today = input[4..6] == written[4..6];
            assert!(!is_of_today || *written == input);
            let again = ClientKey::decode(&written).expect("what was written is read");
            assert!(*again.encode() == *written);
            true
        }),
    }
}

/// A public key that is read is what is written again, and can be made ready.
pub(super) fn public_key() -> Target {
    let set = |shape: SecretKeyShape| {
        let mut set = PublicKeySet {
            glwe_dimension: shape.glwe_dimension,
            polynomial_size: shape.polynomial_size,
            limbs: shape.limbs,
            bodies: shape.bodies,
            mask_seed: [0x5e; 16],
            payload: Vec::new(),
        };
        set.payload = data(1, set.layout().bytes());
        set
    };
    let file = |sets| PublicKeyFile {
        key_id: KEY_ID,
        sets,
    };
    let small = modules().swap_remove(0).shape();
    let files = [
        file(vec![set(small)]),
        file(vec![set(re_randomised_module().shape())]),
        file(vec![set(module_for_sums().shape()), set(small)]),
        file(vec![]),
    ];
    Target {
        name: "public-key",
        share: 30,
        seeds: files.iter().map(PublicKeyFile::encode).collect(),
        // Masks are expanded from a seed: k² polynomials for K·k bodies.
        most_bytes: (4096, 1 << 20),
        check: Box::new(|input| {
            let Ok(file) = PublicKeyFile::decode(input) else {
                return false;
            };
            assert!(file.encode() == input);
            assert_eq!(
                PublicKey::open(input).expect("it was read").id(),
                &file.key_id
            );
            true
        }),
    }
}

/// An evaluation key that is read is what is written again. It is not expanded: that takes minutes for the largest.
pub(super) fn evaluation_key() -> Target {
    Target {
        name: "evaluation-key",
        share: 2,
        seeds: vec![evaluation_key_file()],
        most_bytes: (2, 4096),
        check: Box::new(|input| {
            let Ok(key) = EvaluationKey::decode(input) else {
                return false;
            };
            let (keyswitch, bootstrap) = (key.keyswitch_words(), key.bootstrap_words());
            assert!(EvaluationKey::encode(&key.header, &keyswitch, &bootstrap) == input);
            true
        }),
    }
}
