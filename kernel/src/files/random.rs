//! /dev/random and /dev/urandom (random(4)): there is always enough, and what programs add is mixed
//! in.

use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};

use crate::usermem::UserAddr;
use fd::io::{Sink, Source};
use fd::poll::{PollTable, ev};
use fd::{FileOps, OpenFile, capable};
use platform::rng;

/// Bits that the pool has, and holds (`POOL_BITS`).
const POOL_BITS: i32 = 256;
/// Requests of linux/random.h.
const RNDGETENTCNT: u32 = 0x8004_5200;
const RNDADDTOENTCNT: u32 = 0x4004_5201;
const RNDADDENTROPY: u32 = 0x4008_5203;
const RNDZAPENTCNT: u32 = 0x5204;
const RNDCLEARPOOL: u32 = 0x5206;
const RNDRESEEDCRNG: u32 = 0x5207;

/// One of the two.
pub enum Random {
    /// /dev/random, which on other machines may have to be waited for.
    Random,
    /// /dev/urandom.
    Urandom,
}

/// Mixes in all that there is to write.
fn add(from: &mut Source<'_>) -> SysResult<()> {
    let mut bytes = [0; 256];
    while from.remaining() > 0 {
        let n = from.take(&mut bytes)?;
        rng::add_entropy(bytes.get(..n).unwrap_or_default());
    }
    Ok(())
}

impl FileOps for Random {
    fn seekable(&self) -> bool {
        true
    }

    fn read_at(&self, _file: &OpenFile, _pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        super::devices::fill(to, |to| {
            let mut bytes = [0; 256];
            rng::fill(&mut bytes);
            to.put(&bytes)
        })
    }

    fn write_at(&self, _file: &OpenFile, pos: u64, from: &mut Source<'_>, _append: bool) -> SysResult<(usize, u64)> {
        let n = from.remaining();
        add(from)?;
        Ok((n, pos))
    }

    fn seek(&self, _file: &OpenFile, _pos: u64, _offset: i64, _whence: u32) -> SysResult<u64> {
        Ok(0)
    }

    fn poll(&self, _file: &OpenFile, _table: &mut PollTable) -> u32 {
        match self {
            Random::Random => ev::READABLE,
            Random::Urandom => ev::READABLE | ev::WRITABLE,
        }
    }

    fn pollable(&self) -> bool {
        matches!(self, Random::Random)
    }

    fn reads_now(&self) -> bool {
        true
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let admin = || if capable(g::CAP_SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM) };
        // Bits that are credited make nothing fuller than full.
        let credited = |bits: i32| if bits < 0 { Err(Errno::EINVAL) } else { Ok(()) };
        match request {
            RNDGETENTCNT => arg.cast::<i32>().write(POOL_BITS)?,
            RNDADDTOENTCNT => {
                admin()?;
                credited(arg.cast::<i32>().read()?)?;
            }
            RNDADDENTROPY => {
                admin()?;
                let [bits, len] = arg.cast::<[i32; 2]>().read()?;
                credited(bits)?;
                let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
                add(&mut Source::user(arg.add(8), len)?)?;
            }
            RNDZAPENTCNT | RNDCLEARPOOL | RNDRESEEDCRNG => admin()?,
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }
}
