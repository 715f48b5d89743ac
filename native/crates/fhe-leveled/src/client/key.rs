//! The secret key, and the relinearisation key made from it.

use fhe_core::block::KeyId;
use fhe_core::keystream::Keystream;
use fhe_core::random::fill_from_os;
use fhe_core::{Error, Result};
use zeroize::Zeroizing;

use crate::buffer::Buffer;
use crate::key_file::{self, RelinearizationKeyHeader};
use crate::pack::pack;
use crate::pointwise::{add_multiple, add_product, subtract_product};
use crate::ring::{PAD, Ring, Transform};
use crate::sampling::{Errors, ternary, uniform};
use crate::{LeveledParameters, max_levels};
use fhe_core::workers::share;

/// A secret polynomial, for circuits of one polynomial size with any number of levels.
///
/// It cannot be copied or printed, and is wiped when it is dropped.
pub struct LeveledClientKey {
    key_id: KeyId,
    ring: Ring,
    /// Points modulo every prime of the ring, P last.
    points: Vec<Zeroizing<Vec<u32>>>,
}

impl LeveledClientKey {
    /// The key of a secret seed that serves nothing else: coefficients of -1, 0 and 1, uniform.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if no circuit has this polynomial size.
    pub fn derive(seed: &[u8; 16], key_id: KeyId, polynomial_size: usize) -> Result<Self> {
        let levels = max_levels(polynomial_size).unwrap_or(0);
        LeveledParameters {
            polynomial_size,
            levels,
        }
        .validate()?;
        Self::of_ring(seed, key_id, Ring::new(polynomial_size, levels)?)
    }

    fn of_ring(seed: &[u8; 16], key_id: KeyId, ring: Ring) -> Result<Self> {
        let mut secret = Zeroizing::new(vec![0; ring.n()]);
        ternary(&Keystream::new(seed), &mut secret);
        let mut padded = Zeroizing::new(vec![0; ring.n() + PAD]);
        for (padded, &coefficient) in padded.iter_mut().zip(&*secret) {
            *padded = i32::from(coefficient) as u32;
        }
        let points = |transform: &Transform| {
            let mut points = Zeroizing::new(vec![0; ring.n()]);
            transform.forward(&padded, &mut points);
            points
        };
        Ok(LeveledClientKey {
            key_id,
            points: ring.all().map(points).collect(),
            ring,
        })
    }

    /// For tests of rings that are too small to be secure.
    #[cfg(test)]
    pub(crate) fn insecure(n: usize, levels: usize) -> Self {
        let ring = Ring::new(n, levels).expect("primes");
        Self::of_ring(&[1; 16], [2; 16], ring).expect("memory")
    }

    /// The client key that it is part of.
    pub fn id(&self) -> &KeyId {
        &self.key_id
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Points modulo q_level.
    pub(crate) fn level(&self, level: usize) -> &[u32] {
        &self.points[level]
    }

    /// Points modulo P.
    fn special(&self) -> &[u32] {
        &self.points[self.ring.levels()]
    }

    /// Makes the key that servers relinearise with, for circuits of at most so many levels, on up to `threads`
    /// threads: the file's bytes.
    ///
    /// The seeds of masks and of errors are drawn anew from the system's CSPRNG: making it twice gives two keys, both
    /// good. `progress` is told the share that is done, up to 1, and says whether to go on.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if so many levels are not secure; [`Error::Stopped`] if `progress` said so.
    pub fn relinearization_key(
        &self,
        levels: usize,
        threads: usize,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Vec<u8>> {
        let parameters = LeveledParameters {
            polynomial_size: self.ring.n(),
            levels,
        };
        self.relinearization_key_of(parameters.validate()?, threads, progress)
    }

    /// The same, whether it is secure or not.
    pub(crate) fn relinearization_key_of(
        &self,
        parameters: LeveledParameters,
        threads: usize,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Vec<u8>> {
        let mut seed = [0; 16];
        fill_from_os(&mut seed)?;
        let header = RelinearizationKeyHeader {
            key_id: self.key_id,
            parameters,
            seed,
        };
        let mut file = header.start_file()?;
        let masks = Keystream::new(&seed);
        let digit_bytes = (parameters.levels + 1) * header.polynomial_bytes();
        let digits = key_file::bodies_mut(&mut file).chunks_exact_mut(digit_bytes);
        let mut begun = 0;
        let mut should_stop = || {
            begun += 1;
            !progress((begun - 1) as f64 / parameters.levels as f64)
        };
        let buffers = || DigitBuffers::new(parameters.polynomial_size);
        share(
            digits.enumerate(),
            threads,
            &mut should_stop,
            buffers,
            |buffers, (digit, bytes)| self.encrypt_digit(&header, &masks, digit, buffers, bytes),
        )?;
        key_file::seal(&mut file);
        match progress(1.0) {
            true => Ok(file),
            false => Err(Error::Stopped),
        }
    }

    /// Bodies -mask·s + error + P·s² modulo the digit's prime, without the last term modulo all others.
    fn encrypt_digit(
        &self,
        header: &RelinearizationKeyHeader,
        masks: &Keystream,
        digit: usize,
        buffers: &mut DigitBuffers,
        bytes: &mut [u8],
    ) -> Result<()> {
        let DigitBuffers {
            errors,
            error,
            mask,
            body,
        } = buffers;
        let n = self.ring.n();
        let mut coefficients = Zeroizing::new(vec![0; n]);
        errors.add_to(coefficients.iter_mut());
        for (padded, &coefficient) in error.iter_mut().zip(&*coefficients) {
            *padded = coefficient as i32 as u32;
        }
        let levels = header.parameters.levels;
        for (prime, bytes) in bytes
            .chunks_exact_mut(header.polynomial_bytes())
            .enumerate()
        {
            let (transform, secret) = match prime == levels {
                true => (self.ring.special(), self.special()),
                false => (self.ring.level(prime), self.level(prime)),
            };
            let modulus = transform.modulus();
            transform.forward(error, body);
            uniform(masks, header.stream(digit, prime), modulus.p(), mask);
            subtract_product(modulus, body, mask, secret);
            if prime == digit {
                mask.fill(0);
                add_product(modulus, mask, secret, secret);
                let special = self.ring.special().modulus().p();
                add_multiple(modulus, body, mask, modulus.factor(special));
            }
            pack(body, bytes);
        }
        Ok(())
    }
}

/// Buffers of a thread that makes keys.
struct DigitBuffers {
    errors: Errors,
    error: Zeroizing<Vec<u32>>,
    /// A mask, then s².
    mask: Zeroizing<Vec<u32>>,
    body: Buffer,
}

impl DigitBuffers {
    fn new(n: usize) -> Result<Self> {
        let mut seed = Zeroizing::new([0; 16]);
        fill_from_os(&mut *seed)?;
        Ok(DigitBuffers {
            errors: Errors::new(&seed),
            error: Zeroizing::new(vec![0; n + PAD]),
            mask: Zeroizing::new(vec![0; n]),
            body: Buffer::zeros(n)?,
        })
    }
}
