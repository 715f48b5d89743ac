//! Secret randomness.
//!
//! Seeds and key bits come from the operating system; noise from AES-128 in counter mode under a fresh
//! seed, the construction of tfhe-rs's own CSPRNG (see `fhe_core::mask`).

use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr128LE;
use fhe_core::{Error, Result};
use zeroize::Zeroizing;

/// Fills `out` from the operating system's CSPRNG.
pub fn fill_from_os(out: &mut [u8]) -> Result<()> {
    getrandom::fill(out)
        .map_err(|error| Error::Internal(format!("the system's random source failed: {error}")))
}

/// A stream of TUniform(-2^b, 2^b) samples under a seed that nothing else uses.
pub struct NoiseStream {
    cipher: Ctr128LE<Aes128>,
    bound_log2: u32,
    bytes: Zeroizing<Vec<u8>>,
}

impl NoiseStream {
    /// A stream with a fresh seed.
    pub fn from_os(bound_log2: u32) -> Result<Self> {
        let mut seed = Zeroizing::new([0u8; 16]);
        fill_from_os(seed.as_mut_slice())?;
        Ok(NoiseStream {
            cipher: Ctr128LE::<Aes128>::new((&*seed).into(), &[0u8; 16].into()),
            bound_log2,
            bytes: Zeroizing::new(Vec::new()),
        })
    }

    /// Fills `out` with samples: uniform on [-2^b, 2^b], the ends half as likely.
    ///
    /// A sample is (b+1 uniform bits) + (one more bit) - 2^b, as in tfhe-rs.
    #[inline(always)]
    pub fn fill(&mut self, out: &mut [i64]) {
        let bits = self.bound_log2 + 2;
        let width = bits.div_ceil(8) as usize;
        assert!(width <= 7, "noise of {bits} bits");
        self.bytes.clear();
        self.bytes.resize(out.len() * width, 0);
        self.cipher.apply_keystream(&mut self.bytes);
        match width {
            1 => self.convert::<1>(out),
            2 => self.convert::<2>(out),
            3 => self.convert::<3>(out),
            4 => self.convert::<4>(out),
            5 => self.convert::<5>(out),
            6 => self.convert::<6>(out),
            _ => self.convert::<7>(out),
        }
    }

    #[inline(always)]
    fn convert<const WIDTH: usize>(&self, out: &mut [i64]) {
        let uniform_mask = (1u64 << (self.bound_log2 + 1)) - 1;
        for (sample, bytes) in out.iter_mut().zip(self.bytes.as_chunks::<WIDTH>().0) {
            let word = (0..WIDTH).fold(0, |word, i| word | u64::from(bytes[i]) << (8 * i));
            let uniform = word & uniform_mask;
            let bit = (word >> (self.bound_log2 + 1)) & 1;
            *sample = (uniform + bit) as i64 - (1i64 << self.bound_log2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_tuniform() {
        let bound_log2 = 4;
        let mut samples = vec![0i64; 1 << 20];
        NoiseStream::from_os(bound_log2).unwrap().fill(&mut samples);
        let bound = 1i64 << bound_log2;
        let mut counts = vec![0f64; 2 * bound as usize + 1];
        for &sample in &samples {
            counts[(sample + bound) as usize] += 1.0;
        }
        let inner = samples.len() as f64 / (2 * bound) as f64;
        let chi_squared: f64 = counts
            .iter()
            .enumerate()
            .map(|(index, &count)| {
                let at_end = index == 0 || index == counts.len() - 1;
                let expected = if at_end { inner / 2.0 } else { inner };
                (count - expected).powi(2) / expected
            })
            .sum();
        // 32 degrees of freedom; a fair sampler exceeds 100 once in 10^8 runs.
        assert!(chi_squared < 100.0, "chi squared {chi_squared}");
    }
}
