//! The wire format of encrypted blocks.
//!
//! A 128-byte header, then the payload in panels ([`crate::panel`]):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `FHEB` |
//! | 4 | 2 | format version |
//! | 6 | 1 | kind: on the way up 1 activations, 3 mask order, 5 bodies; on the way down 2, 4, 6, their results, and 7, what look-ups made of activations; 8 sums of results; 9 leveled activations, 10 their results |
//! | 7 | 1 | zero |
//! | 8 | 32 | SHA-256 of the circuit |
//! | 40 | 16 | key id |
//! | 56 | 16 | mask seed; zero in results of activations |
//! | 72 | 4 | GLWE dimension k |
//! | 76 | 4 | polynomial size N |
//! | 80 | 4 | bytes of a mask entry |
//! | 84 | 4 | records T; zero in mask orders and their results |
//! | 88 | 4 | features |
//! | 92 | 4 | bytes of a body entry |
//! | 96 | 8 | block number, given by the client and returned; of sums those of all results added up, mod 2^64 |
//! | 104 | 8 | payload bytes |
//! | 112 | 4 | slot of the first record; zero but for bodies and their results |
//! | 116 | 4 | CRC-32C of the payload |
//! | 120 | 4 | zero |
//! | 124 | 4 | CRC-32C of the header's first 124 bytes |
//!
//! Activations carry T body rows (the mask is its seed); results carry k·N mask rows, then T body rows, each
//! with its own panels and bytes of an entry.
//!
//! Both can also go in two steps, so that the mask's part is done before there are records. A mask order is
//! a seed and no payload; its results are k·N mask rows. Bodies are rows of records in slots that follow each
//! other, of the K·N that the mask of the seed has, packed as if there were no others; their results are
//! body rows alone. The rows are those that activations and results carry.
//!
//! Look-up results ([`crate::bootstrap`]) are one LWE ciphertext a record and feature, rounded to the bytes of
//! an entry: the masks, `[record][feature][n]`, then the bodies, `[record][feature]`, little-endian. Their
//! header has n in place of k and T in place of N.
//!
//! Leveled activations and results (crate fhe-leveled) are residues of 30 bits, a polynomial N of them, little-endian
//! and without gaps: the bodies `[feature][prime][N]` under masks of the seed, with the number of primes in place of
//! k, and the results `[output][2][N]` modulo one prime. Both entry fields are 4.

use crate::bootstrap::BootstrapParameters;
use crate::checksum::crc32c;
use crate::mask::MaskSeed;
use crate::panel::PanelLayout;
use crate::parameters::{MAX_LIMBS, PackedParameters};
use crate::wire::Reader;
use crate::{Error, Result};

/// Bytes of a block's header.
pub const HEADER_BYTES: usize = 128;

const MAGIC: &[u8; 4] = b"FHEB";
const VERSION: u16 = 4;

/// Bytes that residues of leveled ciphertexts take in memory; on the wire they take [`LEVELED_ENTRY_BITS`].
const LEVELED_ENTRY_BYTES: usize = 4;

/// Bits of a residue of a leveled ciphertext.
pub const LEVELED_ENTRY_BITS: usize = 30;

/// Bytes of a polynomial of a leveled ciphertext, N residues without gaps.
pub fn leveled_polynomial_bytes(polynomial_size: usize) -> usize {
    (polynomial_size * LEVELED_ENTRY_BITS).div_ceil(8)
}

/// SHA-256 of a circuit file.
pub type CircuitDigest = [u8; 32];

/// Random name of a client key.
pub type KeyId = [u8; 16];

/// What a block carries, and which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Encrypted activations, client to server: seed and body rows.
    Activations,
    /// Encrypted accumulators, server to client: mask rows and body rows.
    Results,
    /// A mask whose results are wanted ahead of any records, client to server: a seed.
    MaskOrder,
    /// Results of a mask alone, server to client: mask rows.
    MaskResults,
    /// Encrypted activations under a mask that was ordered, client to server: body rows.
    Bodies,
    /// Their accumulators, server to client: body rows.
    BodyResults,
    /// What a circuit with look-ups made of activations, server to client: LWE ciphertexts.
    LookupResults,
    /// Results of several blocks, added: mask rows and body rows.
    Sums,
    /// Encrypted activations of a leveled circuit, client to server: seed and body polynomials.
    LeveledActivations,
    /// What a leveled circuit made of them, server to client: ciphertexts modulo one prime.
    LeveledResults,
}

impl BlockKind {
    const ALL: [BlockKind; 10] = [
        BlockKind::Activations,
        BlockKind::Results,
        BlockKind::MaskOrder,
        BlockKind::MaskResults,
        BlockKind::Bodies,
        BlockKind::BodyResults,
        BlockKind::LookupResults,
        BlockKind::Sums,
        BlockKind::LeveledActivations,
        BlockKind::LeveledResults,
    ];

    fn code(self) -> u8 {
        match self {
            BlockKind::Activations => 1,
            BlockKind::Results => 2,
            BlockKind::MaskOrder => 3,
            BlockKind::MaskResults => 4,
            BlockKind::Bodies => 5,
            BlockKind::BodyResults => 6,
            BlockKind::LookupResults => 7,
            BlockKind::Sums => 8,
            BlockKind::LeveledActivations => 9,
            BlockKind::LeveledResults => 10,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        BlockKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// What the server makes of it; nothing of what it has made itself.
    pub fn results(self) -> Option<Self> {
        match self {
            BlockKind::Activations => Some(BlockKind::Results),
            BlockKind::MaskOrder => Some(BlockKind::MaskResults),
            BlockKind::Bodies => Some(BlockKind::BodyResults),
            BlockKind::LeveledActivations => Some(BlockKind::LeveledResults),
            BlockKind::Results
            | BlockKind::MaskResults
            | BlockKind::BodyResults
            | BlockKind::LookupResults
            | BlockKind::Sums
            | BlockKind::LeveledResults => None,
        }
    }

    fn has_mask_rows(self) -> bool {
        matches!(
            self,
            BlockKind::Results
                | BlockKind::MaskResults
                | BlockKind::LookupResults
                | BlockKind::Sums
        )
    }

    fn has_records(self) -> bool {
        !matches!(self, BlockKind::MaskOrder | BlockKind::MaskResults)
    }

    fn has_slots(self) -> bool {
        matches!(self, BlockKind::Bodies | BlockKind::BodyResults)
    }

    /// Whether it belongs to a leveled circuit.
    pub fn is_leveled(self) -> bool {
        self.leveled_parts().is_some()
    }

    /// Polynomials of a feature for each prime, if it is leveled.
    fn leveled_parts(self) -> Option<usize> {
        match self {
            BlockKind::LeveledActivations => Some(1),
            BlockKind::LeveledResults => Some(2),
            _ => None,
        }
    }

    /// Whether it can be added to others.
    pub fn has_summands(self) -> bool {
        matches!(self, BlockKind::Results | BlockKind::Sums)
    }
}

/// Where mask and bodies lie in a payload: one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLayout {
    /// Mask rows; none on the way up, nor in results of bodies.
    pub mask: PanelLayout,
    /// Body rows, one a record.
    pub bodies: PanelLayout,
}

impl BlockLayout {
    /// Payload length in bytes.
    pub fn bytes(&self) -> usize {
        self.mask.bytes() + self.bodies.bytes()
    }
}

/// A payload and what its checksum must be.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// Of the length that the header's shape implies.
    pub bytes: &'a [u8],
    checksum: u32,
}

impl Payload<'_> {
    /// Compares with the CRC-32C of the bytes.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is another.
    pub fn verify(&self, found: u32) -> Result<()> {
        if found != self.checksum {
            return Err(Error::invalid(
                "encrypted block is damaged: its payload does not match its checksum",
            ));
        }
        Ok(())
    }
}

/// Everything a block says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    /// What it carries, and which way.
    pub kind: BlockKind,
    /// The circuit it is for, or that made it.
    pub circuit: CircuitDigest,
    /// The key it is encrypted under.
    pub key_id: KeyId,
    /// Seed of the mask; zero in results of activations.
    pub mask_seed: MaskSeed,
    /// k.
    pub glwe_dimension: usize,
    /// N.
    pub polynomial_size: usize,
    /// Bytes of a mask entry.
    pub limbs: usize,
    /// Bytes of a body's entry.
    pub body_limbs: usize,
    /// T, the records it holds.
    pub records: usize,
    /// Slot of the first record under a mask that was ordered, else zero.
    pub first_slot: usize,
    /// Results it is the sum of, 1 if it is one; 0 in what cannot be added.
    pub summands: usize,
    /// The most that such a sum may hold by its circuit; 0 in what cannot be added.
    pub max_summands: usize,
    /// Columns: d_in on the way up, d_out on the way down.
    pub features: usize,
    /// The client's number for the block.
    pub block_number: u64,
}

impl BlockHeader {
    /// The header of an empty-handed block of this kind for a circuit.
    pub fn of(
        kind: BlockKind,
        parameters: &PackedParameters,
        circuit: CircuitDigest,
        key_id: KeyId,
        features: usize,
        records: usize,
        block_number: u64,
    ) -> Self {
        let (limbs, body_limbs) = match kind.results() {
            Some(_) => (parameters.limbs, parameters.body_limbs),
            None => (parameters.output_limbs, parameters.output_body_limbs),
        };
        let (summands, max_summands) = if kind.has_summands() {
            (1, parameters.summands)
        } else {
            (0, 0)
        };
        BlockHeader {
            kind,
            circuit,
            key_id,
            mask_seed: [0; 16],
            glwe_dimension: parameters.glwe_dimension,
            polynomial_size: parameters.polynomial_size,
            limbs,
            body_limbs,
            records,
            first_slot: 0,
            summands,
            max_summands,
            features,
            block_number,
        }
    }

    /// The header of look-up results for the records of an activation block.
    pub fn of_lookups(
        activations: &BlockHeader,
        parameters: &BootstrapParameters,
        features: usize,
    ) -> Self {
        BlockHeader {
            kind: BlockKind::LookupResults,
            mask_seed: [0; 16],
            glwe_dimension: parameters.lwe_dimension,
            polynomial_size: activations.records,
            limbs: parameters.output_bytes,
            body_limbs: parameters.output_bytes,
            first_slot: 0,
            features,
            ..activations.clone()
        }
    }

    /// The header of the encrypted activations of a leveled circuit with so many primes.
    pub fn of_leveled(
        levels: usize,
        polynomial_size: usize,
        circuit: CircuitDigest,
        key_id: KeyId,
        features: usize,
        records: usize,
        block_number: u64,
    ) -> Self {
        BlockHeader {
            kind: BlockKind::LeveledActivations,
            circuit,
            key_id,
            mask_seed: [0; 16],
            glwe_dimension: levels,
            polynomial_size,
            limbs: LEVELED_ENTRY_BYTES,
            body_limbs: LEVELED_ENTRY_BYTES,
            records,
            first_slot: 0,
            summands: 0,
            max_summands: 0,
            features,
            block_number,
        }
    }

    /// The header of a leveled circuit's results for the records of a block of activations.
    pub fn of_leveled_results(activations: &BlockHeader, outputs: usize) -> Self {
        BlockHeader {
            kind: BlockKind::LeveledResults,
            mask_seed: [0; 16],
            glwe_dimension: 1,
            features: outputs,
            ..activations.clone()
        }
    }

    /// Bytes of the payload.
    pub fn payload_bytes(&self) -> usize {
        match self.kind.leveled_parts() {
            Some(parts) => {
                let polynomials = self.features * self.glwe_dimension * parts;
                polynomials * leveled_polynomial_bytes(self.polynomial_size)
            }
            None => self.layout().bytes(),
        }
    }

    /// Layout of the payload, unless it is leveled.
    pub fn layout(&self) -> BlockLayout {
        let mask_rows = if self.kind.has_mask_rows() {
            self.glwe_dimension * self.polynomial_size
        } else {
            0
        };
        BlockLayout {
            mask: PanelLayout {
                rows: mask_rows,
                features: self.features,
                limbs: self.limbs,
            },
            bodies: PanelLayout {
                rows: self.records,
                features: self.features,
                limbs: self.body_limbs,
            },
        }
    }

    /// Reads and checks a block: format, both checksums and every length.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong. Nothing in the block is trusted before.
    pub fn parse(bytes: &[u8]) -> Result<(BlockHeader, &[u8])> {
        let (header, payload) = Self::parse_header(bytes)?;
        payload.verify(crc32c(payload.bytes))?;
        Ok((header, payload.bytes))
    }

    /// Reads and checks a block but for its payload's checksum, which is left to whoever reads the payload.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is wrong.
    pub fn parse_header(bytes: &[u8]) -> Result<(BlockHeader, Payload<'_>)> {
        let mut reader = Reader::new("encrypted block", bytes);
        reader.expect_format(MAGIC, VERSION)?;
        let head = bytes.get(..HEADER_BYTES).ok_or_else(|| {
            Error::invalid(format!(
                "encrypted block is truncated: {} bytes, its header has {HEADER_BYTES}",
                bytes.len()
            ))
        })?;
        let kind = reader.array::<1>()?[0];
        let mut zeros_hold = reader.array::<1>()? == [0];
        let circuit = reader.array()?;
        let key_id = reader.array()?;
        let mask_seed = reader.array()?;
        let glwe_dimension = reader.count()?;
        let polynomial_size = reader.count()?;
        let limbs = reader.count()?;
        let records = reader.count()?;
        let features = reader.count()?;
        let body_limbs = reader.count()?;
        let block_number = reader.u64()?;
        let payload_bytes = reader.u64()?;
        let slot_or_summands = reader.count()?;
        let payload_checksum = reader.u32()?;
        let max_summands = reader.count()?;
        let header_checksum = reader.u32()?;
        if crc32c(&head[..HEADER_BYTES - 4]) != header_checksum {
            return Err(Error::invalid(
                "encrypted block is damaged: its header does not match its checksum",
            ));
        }
        let kind = BlockKind::of_code(kind).ok_or_else(|| {
            Error::invalid(format!("encrypted block has the unknown kind {kind}"))
        })?;
        let (first_slot, summands) = if kind.has_summands() {
            (0, slot_or_summands)
        } else {
            zeros_hold &= max_summands == 0;
            (slot_or_summands, 0)
        };
        if !zeros_hold {
            return Err(Error::invalid(
                "encrypted block has reserved fields that are not zero",
            ));
        }
        let header = BlockHeader {
            kind,
            circuit,
            key_id,
            mask_seed,
            glwe_dimension,
            polynomial_size,
            limbs,
            body_limbs,
            records,
            first_slot,
            summands,
            max_summands,
            features,
            block_number,
        };
        let payload = &bytes[HEADER_BYTES..];
        // The fields are 32 bits wide: a product of three fits u128, one of four may not.
        let mask_bytes = if kind.has_mask_rows() {
            (glwe_dimension as u128 * polynomial_size as u128)
                .checked_mul(features as u128 * limbs as u128)
        } else {
            Some(0)
        };
        let body_bytes = records as u128 * features as u128 * body_limbs as u128;
        let expected = match kind.leveled_parts() {
            Some(parts) => {
                let polynomials = (features * parts) as u128 * glwe_dimension as u128;
                Some(polynomials * leveled_polynomial_bytes(polynomial_size) as u128)
            }
            None => mask_bytes.and_then(|bytes| bytes.checked_add(body_bytes)),
        };
        if expected != Some(payload.len() as u128) || payload_bytes != payload.len() as u64 {
            return Err(Error::invalid(format!(
                "encrypted block is truncated or too long: {} payload bytes, its header says {payload_bytes}",
                payload.len()
            )));
        }
        header.check_shape()?;
        let payload = Payload {
            bytes: payload,
            checksum: payload_checksum,
        };
        Ok((header, payload))
    }

    /// Checks that there are rows, and bytes in each: the length of a payload bounds the lengths of its parts only
    /// if none of them is zero.
    fn check_shape(&self) -> Result<()> {
        let records = match self.kind.has_records() {
            true => 1..=u32::MAX as usize,
            false => 0..=0,
        };
        let entry = 1..=MAX_LIMBS;
        for (name, found, allowed) in [
            ("features", self.features, &(1..=u32::MAX as usize)),
            ("limbs", self.limbs, &entry),
            ("body limbs", self.body_limbs, &entry),
            ("records", self.records, &records),
        ] {
            if !allowed.contains(&found) {
                return Err(Error::invalid(format!(
                    "encrypted block {} holds {:?} and has {name} {found}, must be in {}..={}",
                    self.block_number,
                    self.kind,
                    allowed.start(),
                    allowed.end()
                )));
            }
        }
        if self.glwe_dimension == 0 || self.polynomial_size == 0 {
            return Err(Error::invalid(format!(
                "encrypted block {} has GLWE dimension {} and polynomial size {}, must be at least 1",
                self.block_number, self.glwe_dimension, self.polynomial_size
            )));
        }
        Ok(())
    }

    /// Writes the header before a finished payload: `block` is 128 bytes of any content, then the
    /// payload.
    ///
    /// # Panics
    /// If `block` is not as long as the header says.
    pub fn seal(&self, block: &mut [u8]) {
        let checksum = crc32c(&block[HEADER_BYTES..]);
        self.seal_with(checksum, block);
    }

    /// The same, with the CRC-32C of the payload known.
    ///
    /// # Panics
    /// If `block` is not as long as the header says.
    pub fn seal_with(&self, payload_checksum: u32, block: &mut [u8]) {
        let (head, payload) = block.split_at_mut(HEADER_BYTES);
        assert_eq!(payload.len(), self.payload_bytes(), "payload bytes");
        head.fill(0);
        head[0..4].copy_from_slice(MAGIC);
        head[4..6].copy_from_slice(&VERSION.to_le_bytes());
        head[6] = self.kind.code();
        head[8..40].copy_from_slice(&self.circuit);
        head[40..56].copy_from_slice(&self.key_id);
        head[56..72].copy_from_slice(&self.mask_seed);
        let counts = [
            self.glwe_dimension,
            self.polynomial_size,
            self.limbs,
            self.records,
            self.features,
            self.body_limbs,
        ];
        for (slot, count) in head[72..96].chunks_exact_mut(4).zip(counts) {
            slot.copy_from_slice(&(count as u32).to_le_bytes());
        }
        head[96..104].copy_from_slice(&self.block_number.to_le_bytes());
        head[104..112].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        let slot_or_summands = if self.kind.has_summands() {
            self.summands
        } else {
            self.first_slot
        };
        head[112..116].copy_from_slice(&(slot_or_summands as u32).to_le_bytes());
        head[116..120].copy_from_slice(&payload_checksum.to_le_bytes());
        head[120..124].copy_from_slice(&(self.max_summands as u32).to_le_bytes());
        let checksum = crc32c(&head[..HEADER_BYTES - 4]);
        head[124..128].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Checks that the block is of this kind and belongs to this circuit.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the first field that differs.
    pub fn expect(
        &self,
        kind: BlockKind,
        circuit: &CircuitDigest,
        parameters: &PackedParameters,
        features: usize,
    ) -> Result<()> {
        if self.kind != kind {
            return Err(Error::invalid(format!(
                "encrypted block {} holds {:?}, expected {kind:?}",
                self.block_number, self.kind
            )));
        }
        if &self.circuit != circuit {
            return Err(Error::invalid(format!(
                "encrypted block {} is for circuit {}, not for circuit {}",
                self.block_number,
                short_hex(&self.circuit),
                short_hex(circuit)
            )));
        }
        let expected = BlockHeader::of(kind, parameters, *circuit, self.key_id, features, 0, 0);
        for (name, found, wanted) in [
            (
                "GLWE dimension",
                self.glwe_dimension,
                expected.glwe_dimension,
            ),
            (
                "polynomial size",
                self.polynomial_size,
                expected.polynomial_size,
            ),
            ("limbs", self.limbs, expected.limbs),
            ("body limbs", self.body_limbs, expected.body_limbs),
            ("features", self.features, expected.features),
            (
                "limit of summands",
                self.max_summands,
                expected.max_summands,
            ),
        ] {
            if found != wanted {
                return Err(Error::invalid(format!(
                    "encrypted block {} has {name} {found}, its circuit has {wanted}",
                    self.block_number
                )));
            }
        }
        let most = if kind.has_records() {
            1..=parameters.max_records()
        } else {
            0..=0
        };
        if !most.contains(&self.records) {
            return Err(Error::invalid(format!(
                "encrypted block {} has {} records, its circuit takes {} to {} in {kind:?}",
                self.block_number,
                self.records,
                most.start(),
                most.end()
            )));
        }
        let most = match kind {
            BlockKind::Sums => parameters.summands,
            _ => expected.summands,
        };
        if !(expected.summands..=most).contains(&self.summands) {
            return Err(Error::invalid(format!(
                "encrypted block {} is the sum of {} results, its kind and circuit allow {} to {most}",
                self.block_number, self.summands, expected.summands
            )));
        }
        let slots = if kind.has_slots() {
            parameters.max_records() - self.records
        } else {
            0
        };
        if self.first_slot > slots {
            return Err(Error::invalid(format!(
                "encrypted block {} has records from slot {} on, its kind and circuit take at most {slots}",
                self.block_number, self.first_slot
            )));
        }
        Ok(())
    }
}

/// The first 8 bytes in hexadecimal, enough to tell digests and key ids apart in messages.
pub fn short_hex(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leveled() -> BlockHeader {
        let header = BlockHeader::of_leveled(3, 64, [8; 32], [9; 16], 2, 40, 77);
        BlockHeader {
            mask_seed: [5; 16],
            ..header
        }
    }

    fn sealed(header: &BlockHeader) -> Vec<u8> {
        let mut block = vec![7; HEADER_BYTES + header.payload_bytes()];
        header.seal(&mut block);
        block
    }

    #[test]
    fn leveled_blocks_come_back() {
        let activations = leveled();
        assert_eq!(activations.payload_bytes(), 2 * 3 * 240);
        let results = BlockHeader::of_leveled_results(&activations, 5);
        assert_eq!(results.payload_bytes(), 5 * 2 * 240);
        assert_eq!(activations.kind.results(), Some(results.kind));
        for header in [activations, results] {
            let block = sealed(&header);
            let (parsed, payload) = BlockHeader::parse(&block).unwrap();
            assert_eq!((parsed, payload), (header, &block[HEADER_BYTES..]));
        }
    }

    #[test]
    fn leveled_blocks_of_another_length_are_refused() {
        let block = sealed(&leveled());
        for length in [HEADER_BYTES, block.len() - 1, block.len() + 1] {
            let mut altered = block.clone();
            altered.resize(length, 0);
            let error = BlockHeader::parse(&altered).unwrap_err().to_string();
            assert!(error.contains("truncated or too long"), "{error}");
        }
        // k, N and features: as much as 32 bits hold.
        let mut extreme = block;
        for field in [72, 76, 88] {
            extreme[field..field + 4].fill(0xff);
        }
        let checksum = crc32c(&extreme[..HEADER_BYTES - 4]).to_le_bytes();
        extreme[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&checksum);
        let error = BlockHeader::parse(&extreme).unwrap_err().to_string();
        assert!(error.contains("truncated or too long"), "{error}");
    }
}
