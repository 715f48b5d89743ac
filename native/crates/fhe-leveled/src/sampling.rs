//! Residues, secrets and errors from streams of AES.

use fhe_core::keystream::Keystream;
use zeroize::Zeroizing;

use crate::lanes::{LANES, Lane8, Lanes, Task, dispatch};

/// Variance of an error: half the bits that it is the balance of, 21 against 21, as in SEAL; its standard deviation
/// is 3.24.
pub(crate) const ERROR_VARIANCE: f64 = 10.5;

/// Variance of a coefficient of the secret.
pub(crate) const SECRET_VARIANCE: f64 = 2.0 / 3.0;

/// Bytes that are drawn at a time.
const CHUNK: usize = 4096;

/// Blocks of 16 bytes that lie between the starts of streams under one seed: more than 2^15 residues take.
const STREAM_BLOCKS: u64 = 1 << 16;

/// Number of the stream of a feature's mask modulo a prime, in a block of so many levels.
pub(crate) fn input_stream(feature: usize, prime: usize, levels: usize) -> u64 {
    (feature * levels + prime) as u64
}

/// Uniform residues modulo p: 30 bits at a time of stream number `stream`, those from p on left out.
pub(crate) fn uniform(keystream: &Keystream, stream: u64, p: u32, residues: &mut [u32]) {
    let mut bytes = [0; CHUNK];
    let mut block = stream * STREAM_BLOCKS;
    let mut rest = residues;
    while !rest.is_empty() {
        keystream.fill(block, &mut bytes);
        block += (CHUNK / 16) as u64;
        let candidates = bytes.as_chunks().0.as_chunks().0;
        let filled = dispatch(Accept {
            candidates,
            p,
            residues: rest,
        });
        rest = &mut rest[filled..];
    }
}

/// Writes the residues among candidates; gives their number.
struct Accept<'a> {
    candidates: &'a [[[u8; 4]; LANES]],
    p: u32,
    residues: &'a mut [u32],
}

impl Task for Accept<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> usize {
        let most = lanes.splat(self.p - 1);
        let mut filled = 0;
        for words in self.candidates {
            let words: Lane8 = words.map(u32::from_le_bytes);
            let candidates = lanes.shift_right::<2>(lanes.load(&words));
            let room = self.residues[filled..].first_chunk_mut();
            if let Some(room) = room
                && lanes.all_at_most(candidates, most)
            {
                lanes.store(candidates, room);
                filled += LANES;
                continue;
            }
            let accepted = words.into_iter().map(|word| word >> 2);
            for candidate in accepted.filter(|&candidate| candidate < self.p) {
                let Some(residue) = self.residues.get_mut(filled) else {
                    break;
                };
                *residue = candidate;
                filled += 1;
            }
        }
        filled
    }
}

/// Uniform coefficients of -1, 0 and 1: pairs of bits, those that are 3 left out.
pub(crate) fn ternary(keystream: &Keystream, coefficients: &mut [i8]) {
    let mut bytes = Zeroizing::new([0; CHUNK]);
    let mut block = 0;
    let mut filled = 0;
    while filled < coefficients.len() {
        keystream.fill(block, &mut *bytes);
        block += (CHUNK / 16) as u64;
        let pairs = bytes
            .iter()
            .flat_map(|byte| [0, 2, 4, 6].map(|bits| byte >> bits & 3));
        for pair in pairs.filter(|&pair| pair < 3) {
            let Some(coefficient) = coefficients.get_mut(filled) else {
                break;
            };
            *coefficient = pair as i8 - 1;
            filled += 1;
        }
    }
}

/// Errors, and their stream: the centred binomial distribution of 21 bits against 21.
pub(crate) struct Errors {
    keystream: Keystream,
    bytes: Zeroizing<[u8; CHUNK]>,
    block: u64,
}

impl Errors {
    /// The errors of a seed that nothing else uses.
    pub(crate) fn new(seed: &[u8; 16]) -> Self {
        Errors {
            keystream: Keystream::new(seed),
            bytes: Zeroizing::new([0; CHUNK]),
            block: 0,
        }
    }

    /// Hands the next error to each of `coefficients`.
    pub(crate) fn add_to<'a>(&mut self, coefficients: impl IntoIterator<Item = &'a mut i64>) {
        const BITS: u64 = (1 << 21) - 1;
        let mut coefficients = coefficients.into_iter().peekable();
        while coefficients.peek().is_some() {
            self.keystream.fill(self.block, &mut *self.bytes);
            self.block += (CHUNK / 16) as u64;
            for (word, coefficient) in self.bytes.as_chunks().0.iter().zip(&mut coefficients) {
                let word = u64::from_le_bytes(*word);
                let (up, down) = (word & BITS, word >> 21 & BITS);
                *coefficient += i64::from(up.count_ones()) - i64::from(down.count_ones());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residues_are_uniform_and_streams_differ() {
        let keystream = Keystream::new(&[3; 16]);
        let p = (1 << 30) - (1 << 27);
        let mut residues = vec![0; 1 << 15];
        let mut counts = [0f64; 16];
        for stream in 0..8 {
            uniform(&keystream, stream, p, &mut residues);
            for &residue in &residues {
                counts[(u64::from(residue) * 16 / u64::from(p)) as usize] += 1.0;
            }
        }
        let expected = f64::from(8 << 15) / 16.0;
        let chi_squared: f64 = counts
            .iter()
            .map(|c| (c - expected).powi(2) / expected)
            .sum();
        // 15 degrees of freedom: a fair sampler exceeds it once in 10^9.
        assert!(chi_squared < 80.0, "{chi_squared}");
        // One by one.
        let mut bytes = vec![0; 4 << 16];
        keystream.fill(7 * STREAM_BLOCKS, &mut bytes);
        let words = bytes.as_chunks().0.iter();
        let candidates = words.map(|&word| u32::from_le_bytes(word) >> 2);
        let expected: Vec<u32> = candidates.filter(|&c| c < p).take(residues.len()).collect();
        assert!(residues == expected);
        let mut other = residues.clone();
        uniform(&keystream, 8, p, &mut other);
        assert!(residues != other);
        uniform(&keystream, 7, p, &mut other);
        assert!(residues == other);
    }

    #[test]
    fn secrets_are_uniform() {
        let mut coefficients = vec![0; 30_000];
        ternary(&Keystream::new(&[5; 16]), &mut coefficients);
        for value in -1..=1 {
            let count = coefficients.iter().filter(|&&c| c == value).count() as f64;
            // Eight standard deviations.
            assert!((count - 10_000.0).abs() < 8.0 * 82.0, "{value}: {count}");
        }
    }

    #[test]
    fn errors_have_their_variance_and_do_not_repeat() {
        let mut errors = Errors::new(&[7; 16]);
        let mut first = vec![0; 100_000];
        errors.add_to(&mut first);
        let mut second = vec![0; 100_000];
        errors.add_to(&mut second);
        assert_ne!(first, second);
        let all = || first.iter().chain(&second).map(|&e| e as f64);
        let count = 200_000.0;
        let mean = all().sum::<f64>() / count;
        let variance = all().map(|e| e * e).sum::<f64>() / count;
        // Eight standard deviations each; the fourth moment is about three times the variance squared.
        assert!(mean.abs() < 8.0 * (ERROR_VARIANCE / count).sqrt(), "{mean}");
        let spread = ERROR_VARIANCE * (2.0 / count).sqrt();
        assert!(
            (variance - ERROR_VARIANCE).abs() < 8.0 * spread,
            "{variance}"
        );
    }
}
