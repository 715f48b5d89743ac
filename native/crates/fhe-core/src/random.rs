//! Secret randomness.
//!
//! Seeds and key bits come from the operating system; noise from AES-128 in counter mode under a fresh
//! seed, the construction of tfhe-rs's own CSPRNG (see [`crate::keystream`]).

use crate::keystream::Keystream;
use crate::panel::PANEL_ROWS;
use crate::{Error, Result};

/// Fills `out` from the operating system's CSPRNG.
///
/// # Errors
/// [`Error::Internal`] if the system has no randomness to give; `out` must not be used then.
pub fn fill_from_os(out: &mut [u8]) -> Result<()> {
    getrandom::fill(out)
        .map_err(|error| Error::Internal(format!("the system's random source failed: {error}")))
}

/// A stream of TUniform(-2^b, 2^b) samples under a seed that nothing else uses.
///
/// A sample is (b+1 uniform bits) + (one more bit) - 2^b, as in tfhe-rs: uniform on [-2^b, 2^b], the ends
/// half as likely.
pub struct NoiseStream {
    keystream: Keystream,
    bound_log2: u32,
}

impl NoiseStream {
    /// The stream of a seed.
    ///
    /// # Panics
    /// If `bound_log2` is above 54: a sample would not fit 7 bytes.
    pub fn new(seed: &[u8; 16], bound_log2: u32) -> Self {
        assert!(bound_log2 + 2 <= 56, "noise of 2^{bound_log2}");
        NoiseStream {
            keystream: Keystream::new(seed),
            bound_log2,
        }
    }

    /// Bytes of 64 samples.
    pub fn panel_bytes(&self) -> usize {
        PANEL_ROWS * (self.bound_log2 + 2).div_ceil(8) as usize
    }

    /// Draws the samples of whole panels to `bytes`: panel `first` of the stream and those after it.
    pub fn fill_panels(&self, first: usize, bytes: &mut [u8]) {
        // Panels are whole blocks: 64 samples of any number of bytes.
        let panel_blocks = (self.panel_bytes() / 16) as u64;
        self.keystream.fill(first as u64 * panel_blocks, bytes);
    }

    /// Adds a panel of samples, drawn by `fill_panels`, to entries.
    #[inline(always)]
    pub fn add(&self, bytes: &[u8], entries: &mut [u64; PANEL_ROWS]) {
        if let Ok(bytes) = <&[u8; PANEL_ROWS]>::try_from(bytes) {
            // Up to 2^6, bytes hold all there is.
            let (uniform_mask, bit) = (self.uniform_mask() as u8, self.bound_log2 + 1);
            let bound = 1u8 << self.bound_log2;
            for (entry, &byte) in entries.iter_mut().zip(bytes) {
                let sample = (byte & uniform_mask) + (byte >> bit & 1);
                let signed = sample.wrapping_sub(bound) as i8;
                *entry = entry.wrapping_add(signed as u64);
            }
        } else {
            match bytes.len() / PANEL_ROWS {
                2 => self.add_wide::<2>(bytes, entries),
                3 => self.add_wide::<3>(bytes, entries),
                4 => self.add_wide::<4>(bytes, entries),
                5 => self.add_wide::<5>(bytes, entries),
                6 => self.add_wide::<6>(bytes, entries),
                _ => self.add_wide::<7>(bytes, entries),
            }
        }
    }

    #[inline(always)]
    fn add_wide<const WIDTH: usize>(&self, bytes: &[u8], entries: &mut [u64; PANEL_ROWS]) {
        let uniform_mask = self.uniform_mask();
        for (entry, bytes) in entries.iter_mut().zip(bytes.as_chunks::<WIDTH>().0) {
            let word = (0..WIDTH).fold(0, |word, i| word | u64::from(bytes[i]) << (8 * i));
            let sample = (word & uniform_mask) + (word >> (self.bound_log2 + 1) & 1);
            *entry = entry.wrapping_add(sample.wrapping_sub(1 << self.bound_log2));
        }
    }

    fn uniform_mask(&self) -> u64 {
        (1 << (self.bound_log2 + 1)) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_tuniform() {
        for bound_log2 in [4, 6, 7] {
            let mut seed = [0; 16];
            fill_from_os(&mut seed).unwrap();
            let noise = NoiseStream::new(&seed, bound_log2);
            let panels = 1 << 14;
            let mut bytes = vec![0; panels * noise.panel_bytes()];
            noise.fill_panels(3, &mut bytes);
            let bound = 1i64 << bound_log2;
            let mut counts = vec![0f64; 2 * bound as usize + 1];
            for bytes in bytes.chunks_exact(noise.panel_bytes()) {
                let mut entries = [1000; PANEL_ROWS];
                noise.add(bytes, &mut entries);
                for entry in entries {
                    counts[(entry as i64 - 1000 + bound) as usize] += 1.0;
                }
            }
            let inner = (panels * PANEL_ROWS) as f64 / (2 * bound) as f64;
            let chi_squared: f64 = counts
                .iter()
                .enumerate()
                .map(|(index, &count)| {
                    let at_end = index == 0 || index == counts.len() - 1;
                    let expected = if at_end { inner / 2.0 } else { inner };
                    (count - expected).powi(2) / expected
                })
                .sum();
            // Of mean 2^(b+1) and standard deviation 2^(b/2+1): a fair sampler exceeds this once in 10^8 runs.
            let freedom = 2.0 * bound as f64;
            let limit = freedom + 8.5 * (2.0 * freedom).sqrt();
            assert!(
                chi_squared < limit,
                "b = {bound_log2}: chi squared {chi_squared}"
            );
        }
    }

    #[test]
    fn panels_have_noise_of_their_own() {
        for bound_log2 in [6, 7, 20] {
            let noise = NoiseStream::new(&[7; 16], bound_log2);
            let mut stream = vec![0; 9 * noise.panel_bytes()];
            noise.fill_panels(0, &mut stream);
            let mut parts = vec![0; stream.len()];
            let mut rest = &mut parts[..];
            for panels in [0..2, 2..3, 3..9] {
                let (part, next) = rest.split_at_mut(panels.len() * noise.panel_bytes());
                noise.fill_panels(panels.start, part);
                rest = next;
            }
            assert!(parts == stream);
            let panels: std::collections::HashSet<_> =
                stream.chunks_exact(noise.panel_bytes()).collect();
            assert_eq!(panels.len(), 9);
        }
    }
}
