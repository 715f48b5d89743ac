//! Ciphertexts, and sums of products before they are rescaled.

use fhe_core::Result;

use crate::buffer::Buffer;

/// c_0 + c_1·s, as points modulo q_0 … q_(level - 1).
pub(crate) struct Ciphertext {
    pub level: usize,
    /// `[c_0, c_1][level][n]`.
    points: Buffer,
}

/// d_0 + d_1·s + d_2·s², likewise.
pub(crate) struct Tensor {
    pub level: usize,
    /// What has been written of it.
    pub terms: Terms,
    /// `[d_0, d_1, d_2][level][n]`.
    points: Buffer,
}

/// What a sum has; what it does not have counts as zero, whatever is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Terms {
    /// Nothing.
    None,
    /// d_0 and d_1.
    Linear,
    /// d_2 too.
    Quadratic,
}

impl Ciphertext {
    /// Zeros.
    pub(crate) fn zeros(n: usize, level: usize) -> Result<Self> {
        let points = Buffer::zeros(2 * level * n)?;
        Ok(Ciphertext { level, points })
    }

    /// All polynomials, those of c_0 first.
    pub(crate) fn all_points_mut(&mut self, n: usize) -> impl Iterator<Item = &mut [u32]> {
        self.points.chunks_exact_mut(n)
    }

    /// Polynomial of a part modulo a prime.
    pub(crate) fn points(&self, part: usize, prime: usize) -> &[u32] {
        let n = self.points.len() / (2 * self.level);
        &self.points[(part * self.level + prime) * n..][..n]
    }

    /// The same number at every point.
    pub(crate) fn fill(&mut self, number: u32) {
        self.points.fill(number);
    }

    pub(crate) fn points_mut(&mut self, part: usize, prime: usize) -> &mut [u32] {
        let n = self.points.len() / (2 * self.level);
        &mut self.points[(part * self.level + prime) * n..][..n]
    }
}

impl Tensor {
    pub(crate) fn points(&self, part: usize, prime: usize) -> &[u32] {
        let n = self.points.len() / (3 * self.level);
        &self.points[(part * self.level + prime) * n..][..n]
    }

    pub(crate) fn points_mut(&mut self, part: usize, prime: usize) -> &mut [u32] {
        let n = self.points.len() / (3 * self.level);
        &mut self.points[(part * self.level + prime) * n..][..n]
    }

    /// The three polynomials modulo a prime.
    pub(crate) fn parts_mut(&mut self, prime: usize) -> [&mut [u32]; 3] {
        let n = self.points.len() / (3 * self.level);
        let mut parts = self.points.chunks_exact_mut(self.level * n);
        std::array::from_fn(|_| match parts.next() {
            Some(part) => &mut part[prime * n..][..n],
            None => &mut [],
        })
    }
}

/// Memory of ciphertexts that are not needed any more, by size.
pub(crate) struct Pool {
    n: usize,
    /// By level.
    ciphertexts: Vec<Vec<Buffer>>,
    tensors: Vec<Vec<Buffer>>,
}

impl Pool {
    pub(crate) fn new(n: usize, levels: usize) -> Self {
        let none = || (0..=levels).map(|_| Vec::new()).collect();
        Pool {
            n,
            ciphertexts: none(),
            tensors: none(),
        }
    }

    /// A ciphertext of any content.
    pub(crate) fn ciphertext(&mut self, level: usize) -> Result<Ciphertext> {
        match self.ciphertexts[level].pop() {
            Some(points) => Ok(Ciphertext { level, points }),
            None => Ciphertext::zeros(self.n, level),
        }
    }

    /// Zero.
    pub(crate) fn tensor(&mut self, level: usize) -> Result<Tensor> {
        let points = match self.tensors[level].pop() {
            Some(points) => points,
            None => Buffer::zeros(3 * level * self.n)?,
        };
        Ok(Tensor {
            level,
            terms: Terms::None,
            points,
        })
    }

    pub(crate) fn release(&mut self, ciphertext: Ciphertext) {
        self.ciphertexts[ciphertext.level].push(ciphertext.points);
    }

    pub(crate) fn release_tensor(&mut self, tensor: Tensor) {
        self.tensors[tensor.level].push(tensor.points);
    }
}
