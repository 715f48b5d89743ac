//! Weights as the kernels read them.

/// Outputs are padded to a multiple of this, the rows of an AMX tile.
pub const OUTPUT_PADDING: usize = 16;

/// Inputs are padded to a multiple of this, the bytes of an AMX tile's row.
pub const INPUT_PADDING: usize = 64;

/// s8 weights `[d_out][d_in]`, row-major, padded with zeros in both directions and aligned to 64 bytes.
pub struct PaddedWeights {
    /// Lines of 64 bytes, so that rows are aligned.
    lines: Vec<Line>,
    inputs: usize,
    outputs: usize,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([i8; INPUT_PADDING]);

impl PaddedWeights {
    /// Copies weights `[outputs][inputs]`.
    ///
    /// # Panics
    /// If `weights` is not `outputs · inputs` long.
    pub fn new(weights: &[i8], inputs: usize, outputs: usize) -> Self {
        assert_eq!(weights.len(), inputs * outputs, "weights");
        let lines_per_row = inputs.div_ceil(INPUT_PADDING);
        let rows = outputs.next_multiple_of(OUTPUT_PADDING);
        let mut lines = vec![Line([0; INPUT_PADDING]); rows * lines_per_row];
        for (row, padded) in weights
            .chunks_exact(inputs)
            .zip(lines.chunks_exact_mut(lines_per_row))
        {
            for (part, line) in row.chunks(INPUT_PADDING).zip(padded) {
                line.0[..part.len()].copy_from_slice(part);
            }
        }
        PaddedWeights {
            lines,
            inputs,
            outputs,
        }
    }

    /// d_in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// d_out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes from one row to the next.
    pub fn stride(&self) -> usize {
        self.inputs.next_multiple_of(INPUT_PADDING)
    }

    /// All rows, padding included, `[outputs rounded up][stride]`.
    pub fn rows(&self) -> &[i8] {
        let bytes = self.lines.len() * INPUT_PADDING;
        // SAFETY: `Line` is exactly its 64 bytes, and the lines lie one after the other.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), bytes) }
    }

    /// The weights of one output, `[d_in]`.
    pub fn row(&self, output: usize) -> &[i8] {
        &self.rows()[output * self.stride()..][..self.inputs]
    }
}
