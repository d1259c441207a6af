//! Random bytes: a ChaCha20 generator, seeded from all the entropy there is.

use core::arch::asm;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use arch::clock;
use sync::IrqSpinLock;

const SEED_SIZE: usize = 32;
/// Tries before RDRAND counts as exhausted (SDM volume 1, 7.3.17).
const RDRAND_ATTEMPTS: usize = 10;
/// Samples of the TSC for one byte of jitter.
const JITTER_SAMPLES: usize = 16;

static GENERATOR: IrqSpinLock<Option<ChaCha20Rng>> = IrqSpinLock::new(None);

/// Seeds the generator from the CPU. Devices may add to it with [`add_entropy`].
pub fn init() {
    let mut seed = [0; SEED_SIZE];
    jitter(&mut seed);
    let has_rdrand = raw_cpuid::CpuId::new().get_feature_info().is_some_and(|features| features.has_rdrand());
    if has_rdrand {
        for chunk in seed.chunks_exact_mut(8) {
            mix(chunk, &rdrand().unwrap_or(0).to_le_bytes());
        }
    }
    *GENERATOR.lock() = Some(ChaCha20Rng::from_seed(seed));
    add_entropy(&clock::realtime_ns().to_le_bytes());
}

/// Mixes `entropy` into the generator's state: its output from now on depends on both.
pub fn add_entropy(entropy: &[u8]) {
    let mut generator = GENERATOR.lock();
    let Some(current) = generator.as_mut() else { return };
    for chunk in entropy.chunks(SEED_SIZE) {
        let mut seed = [0; SEED_SIZE];
        current.fill_bytes(&mut seed);
        mix(&mut seed, chunk);
        *current = ChaCha20Rng::from_seed(seed);
    }
}

/// Fills `bytes` with random bytes.
pub fn fill(bytes: &mut [u8]) {
    // In pieces, so that interrupts do not stay off for long.
    const PIECE: usize = 4096;
    for piece in bytes.chunks_mut(PIECE) {
        if let Some(generator) = GENERATOR.lock().as_mut() {
            generator.fill_bytes(piece);
        }
    }
}

/// A random number.
pub fn next_u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

fn mix(into: &mut [u8], from: &[u8]) {
    for (byte, other) in into.iter_mut().zip(from) {
        *byte ^= other;
    }
}

fn rdrand() -> Option<u64> {
    (0..RDRAND_ATTEMPTS).find_map(|_| {
        let (value, valid): (u64, u8);
        // SAFETY: CPUID says that the instruction exists.
        unsafe { asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) valid, options(nomem, nostack)) };
        (valid != 0).then_some(value)
    })
}

/// Collects what varies in the time that memory and branches take.
fn jitter(bytes: &mut [u8]) {
    let mut state = clock::tsc();
    for byte in bytes {
        for _ in 0..JITTER_SAMPLES {
            let before = clock::tsc();
            core::hint::black_box(state.wrapping_mul(before | 1));
            state = state.rotate_left(7) ^ clock::tsc().wrapping_sub(before) ^ before;
        }
        *byte ^= (state ^ state >> 32) as u8;
    }
}
