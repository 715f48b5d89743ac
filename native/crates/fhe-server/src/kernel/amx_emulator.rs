//! AMX int8 in software, so that a kernel's real instructions run in tests on CPUs without AMX.
//!
//! An AMX instruction raises SIGILL there. The handler decodes it, carries it out on tiles that belong to
//! the thread, and steps over it. Where the CPU has AMX and Linux permits it, nothing is emulated.
//!
//! Semantics: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, the instructions'
//! pages, and section "Intel AMX" of volume 1 for palette 1. Not emulated: an interrupted load or store
//! (`start_row`), the bfloat16 and fp16 products, addresses relative to FS or GS.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::sync::Once;

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Register};

/// Tiles of palette 1.
const TILES: usize = 8;
/// Rows of a tile at most.
const ROWS: usize = 16;
/// Bytes of a tile's row at most.
const ROW_BYTES: usize = 64;
/// Bytes of the configuration that `ldtilecfg` reads.
const CONFIGURATION_BYTES: usize = 64;
/// Bytes of an x86 instruction at most.
const INSTRUCTION_BYTES: usize = 15;

/// `arch_prctl`'s code that asks for an extended processor state, and the number of AMX's tile data.
const ARCH_REQ_XCOMP_PERM: c_int = 0x1023;
const XFEATURE_XTILEDATA: c_int = 18;

/// What the CPU would raise a fault for.
type Fault = &'static str;

/// One tile register: its shape, zero if it is not configured, and its rows.
#[derive(Clone, Copy)]
struct Tile {
    rows: usize,
    row_bytes: usize,
    data: [[u8; ROW_BYTES]; ROWS],
}

impl Tile {
    const UNCONFIGURED: Tile = Tile {
        rows: 0,
        row_bytes: 0,
        data: [[0; ROW_BYTES]; ROWS],
    };
}

/// How the bytes of a product's two operands are read.
#[derive(Clone, Copy)]
enum Signedness {
    Signed,
    Unsigned,
}

impl Signedness {
    fn read(self, byte: u8) -> i32 {
        match self {
            Signedness::Signed => i32::from(byte as i8),
            Signedness::Unsigned => i32::from(byte),
        }
    }
}

/// The AMX state of a thread.
struct Tiles {
    configuration: [u8; CONFIGURATION_BYTES],
    tiles: [Tile; TILES],
}

impl Tiles {
    const RELEASED: Tiles = Tiles {
        configuration: [0; CONFIGURATION_BYTES],
        tiles: [Tile::UNCONFIGURED; TILES],
    };

    /// `ldtilecfg`: sets the shapes and zeroes the tiles.
    ///
    /// Byte 0: palette; 1: start row; 16 to 31: bytes a row, u16 a tile; 48 to 55: rows, u8 a tile; all
    /// others are reserved.
    fn configure(&mut self, configuration: &[u8; CONFIGURATION_BYTES]) -> Result<(), Fault> {
        let mut configured = Tiles::RELEASED;
        match configuration[0] {
            0 => {}
            1 => {
                if configuration[1] != 0 {
                    return Err("start rows other than 0 are not emulated");
                }
                let reserved = [2..16, 32..48, 56..64];
                if reserved
                    .into_iter()
                    .any(|range| configuration[range].iter().any(|&byte| byte != 0))
                {
                    return Err("ldtilecfg: reserved bytes are not zero");
                }
                configured.configuration = *configuration;
                for (number, tile) in configured.tiles.iter_mut().enumerate() {
                    let at = 16 + 2 * number;
                    tile.row_bytes =
                        u16::from_le_bytes([configuration[at], configuration[at + 1]]).into();
                    tile.rows = configuration[48 + number].into();
                    if tile.rows > ROWS || tile.row_bytes > ROW_BYTES {
                        return Err("ldtilecfg: a tile is larger than 16 rows of 64 bytes");
                    }
                    if (tile.rows == 0) != (tile.row_bytes == 0) {
                        return Err(
                            "ldtilecfg: a tile has rows without bytes or bytes without rows",
                        );
                    }
                }
            }
            _ => return Err("ldtilecfg: unknown palette"),
        }
        *self = configured;
        Ok(())
    }

    fn configured(&mut self, number: usize) -> Result<&mut Tile, Fault> {
        let tile = &mut self.tiles[number];
        if tile.rows == 0 {
            return Err("the instruction names a tile that is not configured");
        }
        Ok(tile)
    }

    /// A tile that can be loaded, stored or multiplied.
    fn of_words(&mut self, number: usize) -> Result<&mut Tile, Fault> {
        let tile = self.configured(number)?;
        if !tile.row_bytes.is_multiple_of(4) {
            return Err("the instruction names a tile whose rows are not whole 32-bit words");
        }
        Ok(tile)
    }

    /// `tilezero`.
    fn zero(&mut self, number: usize) -> Result<(), Fault> {
        self.configured(number)?.data = [[0; ROW_BYTES]; ROWS];
        Ok(())
    }

    /// `tileloadd`: row r comes from `start + r·stride`, wrapping.
    ///
    /// # Safety
    /// Every row of the tile's shape must be readable.
    unsafe fn load(&mut self, number: usize, start: u64, stride: u64) -> Result<(), Fault> {
        let tile = self.of_words(number)?;
        tile.data = [[0; ROW_BYTES]; ROWS];
        for (row, bytes) in (0u64..).zip(&mut tile.data[..tile.rows]) {
            let address = start.wrapping_add(row.wrapping_mul(stride)) as *const u8;
            // SAFETY: the caller's promise; a row has at most `ROW_BYTES`.
            unsafe { address.copy_to(bytes.as_mut_ptr(), tile.row_bytes) };
        }
        Ok(())
    }

    /// `tilestored`: row r goes to `start + r·stride`, wrapping.
    ///
    /// # Safety
    /// Every row of the tile's shape must be writable.
    unsafe fn store(&mut self, number: usize, start: u64, stride: u64) -> Result<(), Fault> {
        let tile = self.of_words(number)?;
        for (row, bytes) in (0u64..).zip(&tile.data[..tile.rows]) {
            let address = start.wrapping_add(row.wrapping_mul(stride)) as *mut u8;
            // SAFETY: the caller's promise; a row has at most `ROW_BYTES`.
            unsafe { address.copy_from(bytes.as_ptr(), tile.row_bytes) };
        }
        Ok(())
    }

    /// `tdpb..d`: `sums[m][n] += Σ_k Σ_i left[m][4k + i] · right[k][4n + i]`, wrapping s32.
    fn multiply(
        &mut self,
        [sums, left, right]: [usize; 3],
        [left_sign, right_sign]: [Signedness; 2],
    ) -> Result<(), Fault> {
        if sums == left || sums == right || left == right {
            return Err("a product names a tile twice");
        }
        let left = *self.of_words(left)?;
        let right = *self.of_words(right)?;
        let sums = self.of_words(sums)?;
        if sums.rows != left.rows
            || right.rows != left.row_bytes / 4
            || sums.row_bytes != right.row_bytes
        {
            return Err("the shapes of a product's tiles do not fit together");
        }
        for (sums, left) in sums.data[..sums.rows].iter_mut().zip(&left.data) {
            let (sums, _) = sums[..right.row_bytes].as_chunks_mut::<4>();
            let (left, _) = left.as_chunks::<4>();
            for (column, sum) in sums.iter_mut().enumerate() {
                let mut total = i32::from_le_bytes(*sum);
                for (left, right) in left.iter().zip(&right.data[..right.rows]) {
                    for (&left, &right) in left.iter().zip(&right[4 * column..]) {
                        total = total.wrapping_add(left_sign.read(left) * right_sign.read(right));
                    }
                }
                *sum = total.to_le_bytes();
            }
        }
        Ok(())
    }

    /// Carries out `instruction`, or says that it is none of AMX int8.
    ///
    /// # Safety
    /// Memory that the instruction names must be accessible as it would have to be on a CPU with AMX.
    unsafe fn execute(
        &mut self,
        instruction: &Instruction,
        registers: &libc::mcontext_t,
    ) -> Result<bool, Fault> {
        use Signedness::{Signed, Unsigned};
        // SAFETY: the caller's promise; the address is that of the instruction's operand.
        unsafe {
            match instruction.code() {
                Code::VEX_Ldtilecfg_m512 => {
                    let address = address(instruction, registers)?;
                    self.configure(&(address as *const [u8; CONFIGURATION_BYTES]).read())?;
                }
                Code::VEX_Sttilecfg_m512 => {
                    let address = address(instruction, registers)?;
                    (address as *mut [u8; CONFIGURATION_BYTES]).write(self.configuration);
                }
                Code::VEX_Tilerelease => *self = Tiles::RELEASED,
                Code::VEX_Tilezero_tmm => self.zero(tile_operand(instruction, 0))?,
                Code::VEX_Tileloadd_tmm_sibmem | Code::VEX_Tileloaddt1_tmm_sibmem => self.load(
                    tile_operand(instruction, 0),
                    address(instruction, registers)?,
                    stride(instruction, registers)?,
                )?,
                Code::VEX_Tilestored_sibmem_tmm => self.store(
                    tile_operand(instruction, 1),
                    address(instruction, registers)?,
                    stride(instruction, registers)?,
                )?,
                Code::VEX_Tdpbssd_tmm_tmm_tmm => {
                    self.multiply(tile_operands(instruction), [Signed, Signed])?;
                }
                Code::VEX_Tdpbsud_tmm_tmm_tmm => {
                    self.multiply(tile_operands(instruction), [Signed, Unsigned])?;
                }
                Code::VEX_Tdpbusd_tmm_tmm_tmm => {
                    self.multiply(tile_operands(instruction), [Unsigned, Signed])?;
                }
                Code::VEX_Tdpbuud_tmm_tmm_tmm => {
                    self.multiply(tile_operands(instruction), [Unsigned, Unsigned])?;
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// The number of the tile that is operand `operand`.
fn tile_operand(instruction: &Instruction, operand: u32) -> usize {
    instruction.op_register(operand) as usize - Register::TMM0 as usize
}

/// The sums, the left and the right tile of a product.
fn tile_operands(instruction: &Instruction) -> [usize; 3] {
    [0, 1, 2].map(|operand| tile_operand(instruction, operand))
}

/// The saved value of a register of an address.
fn register(register: Register, registers: &libc::mcontext_t) -> Result<u64, Fault> {
    use libc::*;
    /// In the order of their numbers, as in [`Register`].
    const SAVED: [c_int; 16] = [
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9,
        REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
    ];
    if register == Register::None {
        return Ok(0);
    }
    let place = (register as usize)
        .checked_sub(Register::RAX as usize)
        .and_then(|number| SAVED.get(number))
        .ok_or("an address is not made of 64-bit registers")?;
    Ok(registers.gregs[*place as usize] as u64)
}

/// The address of an instruction's memory operand; for a tile in memory, that of its first row.
fn address(instruction: &Instruction, registers: &libc::mcontext_t) -> Result<u64, Fault> {
    if matches!(instruction.memory_segment(), Register::FS | Register::GS) {
        return Err("addresses relative to FS or GS are not emulated");
    }
    let displacement = instruction.memory_displacement64();
    match instruction.memory_base() {
        // The decoder has added the instruction's own address already.
        Register::RIP => Ok(displacement),
        base => Ok(register(base, registers)?.wrapping_add(displacement)),
    }
}

/// Bytes from one row of a tile in memory to the next: the scaled index register.
fn stride(instruction: &Instruction, registers: &libc::mcontext_t) -> Result<u64, Fault> {
    let index = register(instruction.memory_index(), registers)?;
    Ok(index.wrapping_mul(instruction.memory_index_scale().into()))
}

thread_local! {
    /// Constant and without destructor: reaching it neither allocates nor registers anything, so a signal
    /// handler may.
    static STATE: UnsafeCell<Tiles> = const { UnsafeCell::new(Tiles::RELEASED) };
}

/// Carries out the AMX instruction at which the thread stopped; ends the process as usual at any other.
extern "C" fn on_illegal_instruction(signal: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: Linux passes the stopped thread's `ucontext_t`, which nothing else uses meanwhile.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext };
    let at = registers.gregs[libc::REG_RIP as usize] as u64;
    // SAFETY: the thread was about to execute what lies there; behind a test's code comes more code.
    let code = unsafe { std::slice::from_raw_parts(at as *const u8, INSTRUCTION_BYTES) };
    let instruction = Decoder::with_ip(64, code, at, DecoderOptions::NONE).decode();
    let executed = STATE.with(|state| {
        // SAFETY: the state is the thread's own and the signal is blocked here, so nobody else has it; the
        // instruction's memory is as its author promised.
        unsafe { (*state.get()).execute(&instruction, registers) }
    });
    match executed {
        Ok(true) => registers.gregs[libc::REG_RIP as usize] = instruction.next_ip() as i64,
        // SAFETY: a plain system call. The instruction then runs again, and ends the process.
        Ok(false) => unsafe {
            libc::signal(signal, libc::SIG_DFL);
        },
        // SAFETY: both may be called in a signal handler; the message is as long as it says.
        Err(fault) => unsafe {
            for part in ["AMX emulator: ", fault, "\n"] {
                libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len());
            }
            libc::abort();
        },
    }
}

/// Lets every thread of this process execute AMX int8 instructions: on the CPU if it has them and Linux
/// permits, emulated otherwise. Idempotent.
///
/// An instruction that would fault on a CPU with AMX ends the process with a message.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // The decoder builds its tables on first use, which a signal handler must not do.
        let no_operation = Decoder::new(64, &[0x90], DecoderOptions::NONE).decode();
        assert_eq!(no_operation.code(), Code::Nopd);
        // SAFETY: plain system calls, and a handler that is one for SA_SIGINFO.
        unsafe {
            // Where this fails there is nothing to permit, and the handler does the work.
            libc::syscall(
                libc::SYS_arch_prctl,
                ARCH_REQ_XCOMP_PERM,
                XFEATURE_XTILEDATA,
            );
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_illegal_instruction as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            let failed = libc::sigaction(libc::SIGILL, &action, std::ptr::null_mut());
            assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::arch::asm;

    /// A configuration as `ldtilecfg` reads it, of (rows, bytes a row) for each tile from tile 0.
    fn configuration(shapes: &[(usize, usize)]) -> [u8; CONFIGURATION_BYTES] {
        let mut configuration = [0; CONFIGURATION_BYTES];
        configuration[0] = 1;
        for (number, &(rows, row_bytes)) in shapes.iter().enumerate() {
            configuration[16 + 2 * number..][..2]
                .copy_from_slice(&(row_bytes as u16).to_le_bytes());
            configuration[48 + number] = rows as u8;
        }
        configuration
    }

    /// What `sttilecfg` says on this thread.
    fn stored_configuration() -> [u8; CONFIGURATION_BYTES] {
        let mut stored = [0xff; CONFIGURATION_BYTES];
        // SAFETY: the 64 bytes are there.
        unsafe { asm!("sttilecfg [{}]", in(reg) stored.as_mut_ptr(), options(nostack)) };
        stored
    }

    /// The three tiles of a product in memory; strides are in elements.
    #[derive(Debug)]
    struct Operands {
        rows: usize,
        quads: usize,
        columns: usize,
        left: Vec<u8>,
        left_stride: usize,
        right: Vec<u8>,
        right_stride: usize,
        sums: Vec<i32>,
        sums_stride: usize,
    }

    fn operands() -> impl Strategy<Value = Operands> {
        (
            1usize..=16,
            1usize..=16,
            1usize..=16,
            0usize..9,
            0usize..9,
            0usize..3,
        )
            .prop_flat_map(|(rows, quads, columns, left_gap, right_gap, sums_gap)| {
                let left_stride = 4 * quads + left_gap;
                let right_stride = 4 * columns + right_gap;
                let sums_stride = columns + sums_gap;
                let bytes = |count| prop::collection::vec(any::<u8>(), count);
                (
                    bytes(rows * left_stride),
                    bytes(quads * right_stride),
                    prop::collection::vec(any::<i32>(), rows * sums_stride),
                )
                    .prop_map(move |(left, right, sums)| Operands {
                        rows,
                        quads,
                        columns,
                        left,
                        left_stride,
                        right,
                        right_stride,
                        sums,
                        sums_stride,
                    })
            })
    }

    /// The sums after one product, by plain arithmetic; bytes between the rows stay.
    fn expected(operands: &Operands, left: fn(u8) -> i64, right: fn(u8) -> i64) -> Vec<i32> {
        let mut sums = operands.sums.clone();
        for row in 0..operands.rows {
            for column in 0..operands.columns {
                let total: i64 = (0..4 * operands.quads)
                    .map(|depth| {
                        let place = depth / 4 * operands.right_stride + 4 * column + depth % 4;
                        left(operands.left[row * operands.left_stride + depth])
                            * right(operands.right[place])
                    })
                    .sum();
                let sum = &mut sums[row * operands.sums_stride + column];
                *sum = (i64::from(*sum) + total) as i32;
            }
        }
        sums
    }

    fn signed(byte: u8) -> i64 {
        i64::from(byte as i8)
    }

    fn unsigned(byte: u8) -> i64 {
        i64::from(byte)
    }

    /// The sums after one product, by AMX instructions; `$product` is the mnemonic.
    macro_rules! by_instructions {
        ($product:literal, $operands:expr) => {{
            let operands: &Operands = $operands;
            let mut sums = operands.sums.clone();
            let configuration = configuration(&[
                (operands.rows, 4 * operands.columns),
                (operands.rows, 4 * operands.quads),
                (operands.quads, 4 * operands.columns),
            ]);
            // SAFETY: the configuration's shapes and the strides are those of the vectors.
            unsafe {
                asm!(
                    "ldtilecfg [{configuration}]",
                    "tileloadd tmm0, [{sums} + {sums_stride}*4]",
                    "tileloadd tmm1, [{left} + {left_stride}*1]",
                    "tileloaddt1 tmm2, [{right} + {right_stride}*1]",
                    concat!($product, " tmm0, tmm1, tmm2"),
                    "tilestored [{sums} + {sums_stride}*4], tmm0",
                    "tilerelease",
                    configuration = in(reg) configuration.as_ptr(),
                    sums = in(reg) sums.as_mut_ptr(),
                    sums_stride = in(reg) operands.sums_stride,
                    left = in(reg) operands.left.as_ptr(),
                    left_stride = in(reg) operands.left_stride,
                    right = in(reg) operands.right.as_ptr(),
                    right_stride = in(reg) operands.right_stride,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _,
                    options(nostack),
                );
            }
            sums
        }};
    }

    proptest! {
        #[test]
        fn products_equal_plain_arithmetic(operands in operands()) {
            install();
            prop_assert_eq!(
                by_instructions!("tdpbssd", &operands), expected(&operands, signed, signed)
            );
            prop_assert_eq!(
                by_instructions!("tdpbsud", &operands), expected(&operands, signed, unsigned)
            );
            prop_assert_eq!(
                by_instructions!("tdpbusd", &operands), expected(&operands, unsigned, signed)
            );
            prop_assert_eq!(
                by_instructions!("tdpbuud", &operands), expected(&operands, unsigned, unsigned)
            );
        }
    }

    #[test]
    fn sums_wrap() {
        install();
        let operands = Operands {
            rows: 16,
            quads: 16,
            columns: 16,
            left: vec![0x80; 16 * 64],
            left_stride: 64,
            right: vec![0xff; 16 * 64],
            right_stride: 64,
            sums: vec![i32::MIN; 16 * 16],
            sums_stride: 16,
        };
        let sums = by_instructions!("tdpbsud", &operands);
        assert_eq!(sums, vec![i32::MIN.wrapping_sub(64 * 128 * 255); 256]);
    }

    #[test]
    fn the_highest_tiles_and_registers_are_told_apart() {
        install();
        let left: [u8; 4] = [1, 2, 3, 0xfc];
        let right: [u8; 4] = [10, 20, 30, 250];
        let mut sum = 0i32;
        let configuration = configuration(&[(1, 4); TILES]);
        // SAFETY: every tile is one row of 4 bytes, and so are the operands.
        unsafe {
            asm!(
                "ldtilecfg [r12]",
                "tilezero tmm7",
                "tileloadd tmm5, [r13 + r15]",
                "tileloadd tmm6, [r14 + r15]",
                "tdpbsud tmm7, tmm5, tmm6",
                "tilestored [r11 + r15], tmm7",
                "tilerelease",
                in("r11") &raw mut sum,
                in("r12") configuration.as_ptr(),
                in("r13") left.as_ptr(),
                in("r14") right.as_ptr(),
                in("r15") 0usize,
                out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
        assert_eq!(sum, 10 + 2 * 20 + 3 * 30 - 4 * 250);
    }

    #[test]
    fn rows_are_found_by_displacement_and_any_stride() {
        install();
        let source: [u8; 96] = std::array::from_fn(|at| at as u8);
        let configuration = configuration(&[(3, 4)]);
        let mut rows = [[0xeeu8; 8]; 9];
        // SAFETY: three rows of 4 bytes are within `source`, and within `rows`, for each of the strides.
        unsafe {
            asm!(
                "ldtilecfg [{configuration}]",
                "tileloadd tmm0, [{source} + {two}*8 + 3]",
                "tilestored [{rows} + {two}*4], tmm0",
                "tileloadd tmm0, [{source} + {back} + 90]",
                "tilestored [{rows} + {two}*4 + 24], tmm0",
                // No index: a stride of zero.
                "tileloadd tmm0, [{source} + 40]",
                "tilestored [{rows} + {two}*4 + 48], tmm0",
                "tilerelease",
                configuration = in(reg) configuration.as_ptr(),
                source = in(reg) source.as_ptr(),
                rows = in(reg) rows.as_mut_ptr(),
                two = in(reg) 2usize,
                back = in(reg) -7isize,
                out("tmm0") _,
                options(nostack),
            );
        }
        let starts = [3, 19, 35, 90, 83, 76, 40, 40, 40];
        for (row, start) in rows.iter().zip(starts) {
            let bytes: Vec<u8> = (start..start + 4).chain([0xee; 4]).collect();
            assert_eq!(row[..], bytes);
        }
    }

    #[test]
    fn addresses_may_be_relative_to_the_instruction() {
        install();
        static CONFIGURATION: [u8; CONFIGURATION_BYTES] = {
            let mut configuration = [0; CONFIGURATION_BYTES];
            configuration[0] = 1;
            configuration[16] = 8;
            configuration[48] = 2;
            configuration
        };
        // SAFETY: 64 bytes.
        unsafe { asm!("ldtilecfg [rip + {}]", sym CONFIGURATION, options(nostack)) };
        assert_eq!(stored_configuration(), CONFIGURATION);
    }

    #[test]
    fn a_configuration_is_stored_as_it_was_loaded_until_it_is_released() {
        install();
        let configuration = configuration(&[(16, 64), (3, 20), (0, 0), (1, 1)]);
        // Linux lets a new thread inherit the configuration, so the other thread begins before.
        let (configured, wait) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            wait.recv().expect("a message");
            stored_configuration()
        });
        // SAFETY: 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) configuration.as_ptr(), options(nostack)) };
        configured.send(()).expect("a thread that waits");
        let of_other = other.join().expect("a thread that does not panic");
        assert_eq!(of_other, [0; CONFIGURATION_BYTES], "another thread's");
        assert_eq!(stored_configuration(), configuration);
        // SAFETY: it touches nothing but the tiles.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
        assert_eq!(stored_configuration(), [0; CONFIGURATION_BYTES]);
    }

    #[test]
    fn a_configuration_zeroes_the_tiles() {
        install();
        let configuration = configuration(&[(16, 64)]);
        let mut tile = [0xaau8; 1024];
        // SAFETY: a tile of 16 rows of 64 bytes.
        unsafe {
            asm!(
                "ldtilecfg [{configuration}]",
                "tileloadd tmm0, [{tile} + {stride}]",
                "ldtilecfg [{configuration}]",
                "tilestored [{tile} + {stride}], tmm0",
                "tilerelease",
                configuration = in(reg) configuration.as_ptr(),
                tile = in(reg) tile.as_mut_ptr(),
                stride = in(reg) 64usize,
                out("tmm0") _,
                options(nostack),
            );
        }
        assert_eq!(tile, [0; 1024]);
    }

    #[test]
    fn bad_configurations_are_refused() {
        let changed = |at: usize, value: u8| {
            let mut configuration = configuration(&[(16, 64)]);
            configuration[at] = value;
            let mut tiles = Tiles::RELEASED;
            tiles.configure(&configuration)
        };
        assert_eq!(changed(48, 1), Ok(()));
        for (at, value, message) in [
            (0, 2, "palette"),
            (1, 1, "start row"),
            (15, 1, "reserved"),
            (32, 1, "reserved"),
            (63, 1, "reserved"),
            (48, 17, "larger"),
            (16, 65, "larger"),
            (17, 1, "larger"),
            (49, 1, "rows without bytes"),
            (18, 4, "bytes without rows"),
        ] {
            let fault = changed(at, value).expect_err(message);
            assert!(fault.contains(message), "byte {at} = {value}: {fault}");
        }
    }

    #[test]
    fn products_of_unfit_tiles_are_refused() {
        let product = |shapes: &[(usize, usize)], numbers| {
            let mut tiles = Tiles::RELEASED;
            tiles
                .configure(&configuration(shapes))
                .expect("a good configuration");
            tiles.multiply(numbers, [Signedness::Signed, Signedness::Unsigned])
        };
        let good = [(2, 12), (2, 8), (2, 12)];
        assert_eq!(product(&good, [0, 1, 2]), Ok(()));
        for (shapes, numbers, message) in [
            (good, [0, 1, 1], "twice"),
            (good, [0, 1, 3], "not configured"),
            ([(2, 12), (2, 7), (2, 12)], [0, 1, 2], "whole 32-bit"),
            ([(3, 12), (2, 8), (2, 12)], [0, 1, 2], "fit together"),
            ([(2, 12), (2, 8), (3, 12)], [0, 1, 2], "fit together"),
            ([(2, 12), (2, 8), (2, 16)], [0, 1, 2], "fit together"),
        ] {
            let fault = product(&shapes, numbers).expect_err(message);
            assert!(fault.contains(message), "{shapes:?} {numbers:?}: {fault}");
        }
    }

    #[test]
    fn other_illegal_instructions_end_the_process() {
        install();
        // SAFETY: the child runs nothing but one instruction; no allocation, no lock.
        let status = unsafe {
            let child = libc::fork();
            if child == 0 {
                asm!("ud2", options(noreturn));
            }
            assert!(child > 0, "{}", std::io::Error::last_os_error());
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            status
        };
        assert!(libc::WIFSIGNALED(status), "status {status}");
        assert_eq!(libc::WTERMSIG(status), libc::SIGILL);
    }
}
