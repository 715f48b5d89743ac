//! Weights in the order in which a kernel streams through them.

/// How a kernel takes weights: blocks of outputs, in each of which the outputs' chunks of inputs alternate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightOrder {
    /// Outputs of a block.
    pub block: usize,
    /// Neighbouring inputs of one output.
    pub chunk: usize,
}

/// s8 weights `[outputs / block][inputs / chunk][block][chunk]`, padded with zeros in both directions and
/// aligned to 64 bytes.
pub struct PackedWeights {
    lines: Vec<Line>,
    order: WeightOrder,
    inputs: usize,
    outputs: usize,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([i8; LINE_BYTES]);

const LINE_BYTES: usize = 64;

impl PackedWeights {
    /// Packs weights `[outputs][inputs]`.
    ///
    /// # Panics
    /// If `weights` is not `outputs · inputs` long.
    pub fn new(weights: &[i8], inputs: usize, outputs: usize, order: WeightOrder) -> Self {
        assert_eq!(weights.len(), inputs * outputs, "weights");
        let blocks = outputs.div_ceil(order.block);
        let block_bytes = block_bytes(inputs, order);
        let mut packed = PackedWeights {
            lines: vec![Line([0; LINE_BYTES]); (blocks * block_bytes).div_ceil(LINE_BYTES)],
            order,
            inputs,
            outputs,
        };
        let bytes = packed.bytes_mut();
        for (output, row) in weights.chunks_exact(inputs).enumerate() {
            let (block, member) = (output / order.block, output % order.block);
            for (index, chunk) in row.chunks(order.chunk).enumerate() {
                let start = block * block_bytes + (index * order.block + member) * order.chunk;
                bytes[start..start + chunk.len()].copy_from_slice(chunk);
            }
        }
        packed
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        LINE_BYTES * self.lines.capacity()
    }

    /// d_in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// d_out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Chunks of an output, the last one padded.
    pub fn chunks(&self) -> usize {
        self.inputs.div_ceil(self.order.chunk)
    }

    /// The weights of block `block`, `[chunks][block][chunk]`.
    pub fn block(&self, block: usize) -> &[i8] {
        let bytes = block_bytes(self.inputs, self.order);
        &self.bytes()[block * bytes..][..bytes]
    }

    fn bytes(&self) -> &[i8] {
        let bytes = self.lines.len() * LINE_BYTES;
        // SAFETY: `Line` is exactly its 64 bytes, and the lines lie one after the other.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), bytes) }
    }

    fn bytes_mut(&mut self) -> &mut [i8] {
        let bytes = self.lines.len() * LINE_BYTES;
        // SAFETY: as in `bytes`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), bytes) }
    }
}

fn block_bytes(inputs: usize, order: WeightOrder) -> usize {
    inputs.div_ceil(order.chunk) * order.chunk * order.block
}
