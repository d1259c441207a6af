//! Building the address space of a new program.

use alloc::sync::Arc;
use alloc::vec::Vec;
use elf_loader::layout::{Layout, Random};
use elf_loader::stack::{Aux, Spec};
use elf_loader::{BaseChoice, ElfError, LoadPlan, ReadAt};
use linux_raw_sys::general::RLIMIT_STACK;
use syscall_shim::{Errno, SysResult};

use super::ExecError;
use super::program::{self, Program, ProgramFile};
use crate::credentials::Credentials;
use crate::current;
use arch::{boot, fpu, msr};
use observe::mmap_events;
use platform::rng;
use vm::{AddressSpace, MapFile, MapFlags, MapRequest, MapTarget, Prot};

/// What the new program starts with.
pub struct Image {
    /// Its address space.
    pub mm: Arc<AddressSpace>,
    /// Where it starts: the interpreter's entry point if it has one.
    pub entry: u64,
    /// At `argc`.
    pub stack_pointer: u64,
    /// The auxiliary vector, for /proc/PID/auxv.
    pub auxv: Vec<(u64, u64)>,
    /// Where its interpreter is.
    pub interpreter: Option<fs::Path>,
}

/// Stack mapped below what the strings take, as Linux's `setup_arg_pages` does.
const STACK_EXPAND: u64 = 128 * 1024;
const PAGE: u64 = base::addr::PAGE_SIZE as u64;
/// `AT_HWCAP2`: the program may use the instructions that read and write the bases of FS and GS.
const HWCAP2_FSGSBASE: u64 = 1 << 1;
/// `sizeof(Elf64_Ehdr)`
const ELF_HEADER_SIZE: u64 = 64;
/// `sizeof(struct rt_sigframe)` without the FPU state, and the room for its alignment.
const SIGNAL_FRAME_SIZE: u64 = 440 + 128 + 64 + 4;

/// Maps `program`, its interpreter, its stack and the vDSO.
pub fn build(program: &Program, envp: &[Vec<u8>], credentials: &Credentials, secure: bool) -> Result<Image, ExecError> {
    let fail = |errno| ExecError::new(errno, &program.name);
    let mm = AddressSpace::new().map_err(fail)?;
    mmap_events::space_made(&mm);
    // It outlives the program (prctl(2)).
    mm.disable_huge_pages(current().process.mm().huge_pages_disabled());
    let stack_limit = current().process.rlimit(RLIMIT_STACK);
    let layout = Layout::new(random(), stack_limit);
    // mmap places below this already while the program is being mapped.
    mm.set_layout(vm::Layout { mmap_base: layout.mmap_base, ..vm::Layout::default() });

    let plan = &program.plan;
    let unmappable = |errno| ExecError::mapping(errno, &program.name);
    let bias = map_file(&mm, &program.file, plan, &layout).map_err(unmappable)?;
    let (entry, interpreter_base, interpreter) = match &plan.interp {
        None => (bias.wrapping_add(plan.entry), 0, None),
        Some(name) => {
            let (entry, base, path) = map_interpreter(&mm, name, &layout).map_err(ExecError::of_interpreter)?;
            (entry, base, Some(path))
        }
    };
    let end = bias.wrapping_add(plan.end);
    let in_mmap_area = matches!(plan.base, BaseChoice::Mmap { .. });
    let start_brk = layout.brk_start(end, in_mmap_area);

    let exec_stack = if plan.exec_stack { Prot::EXEC } else { Prot::empty() };
    let mut seed = [0; 16];
    rng::fill(&mut seed);
    let mut aux = Aux {
        vdso: None,
        minsigstksz: SIGNAL_FRAME_SIZE + fpu::area_size() as u64,
        hwcap: u64::from(core::arch::x86_64::__cpuid(1).edx),
        hwcap2: if msr::has_fsgsbase() { HWCAP2_FSGSBASE } else { 0 },
        phdr: if plan.phdr == 0 { 0 } else { bias.wrapping_add(plan.phdr) },
        phent: plan.phent,
        phnum: plan.phnum,
        base: interpreter_base,
        entry: bias.wrapping_add(plan.entry),
        uid: credentials.uid,
        euid: credentials.euid,
        gid: credentials.gid,
        egid: credentials.egid,
        secure,
        random: seed,
        rseq: None,
    };
    let stack_with = |aux: &Aux| {
        let (argv, execfn, offset) = (&program.argv[..], &program.execfn[..], layout.stack_offset());
        elf_loader::stack::build(layout.stack_top, &Spec { argv, envp, execfn, aux, stack_limit, offset })
            .map_err(|error| fail(error.errno()))
    };
    // The vDSO goes near the stack pointer, and its address is on the stack: size it first.
    let size = stack_with(&aux)?;
    let stack_start = (size.sp & !(PAGE - 1)).saturating_sub(STACK_EXPAND);
    let flags = MapFlags::FIXED | MapFlags::GROWSDOWN | MapFlags::NORESERVE;
    let prot = Prot::READ | Prot::WRITE | exec_stack;
    mm.mmap(MapRequest::anonymous(stack_start, layout.stack_top - stack_start, prot, flags), current()).map_err(fail)?;
    aux.vdso = crate::vdso::map(&mm, current(), |len| layout.vdso_hint(size.sp, len)).map_err(fail)?;
    let stack = stack_with(&aux)?;
    mm.write_exact(stack.sp, &stack.bytes).map_err(|_| fail(Errno::ENOMEM))?;

    mm.set_layout(vm::Layout {
        mmap_base: layout.mmap_base,
        start_brk,
        start_code: bias.wrapping_add(plan.code.0),
        end_code: bias.wrapping_add(plan.code.1),
        start_data: bias.wrapping_add(plan.data.0),
        end_data: bias.wrapping_add(plan.data.1),
        start_stack: stack.sp,
        arg_start: stack.args.0,
        arg_end: stack.args.1,
        env_start: stack.env.0,
        env_end: stack.env.1,
    });
    Ok(Image { mm, entry, stack_pointer: stack.sp, auxv: stack.auxv, interpreter })
}

/// Random words for the layout, or `None` with `aslr=off` or `personality(ADDR_NO_RANDOMIZE)`.
fn random() -> Option<Random> {
    const ADDR_NO_RANDOMIZE: u32 = 0x0004_0000;
    let fixed = current().process.personality.load(core::sync::atomic::Ordering::Relaxed) & ADDR_NO_RANDOMIZE != 0;
    if fixed || boot::option("aslr") == Some("off") {
        return None;
    }
    let word = rng::next_u64;
    Some(Random { mmap: word(), pie: word(), stack: word(), stack_offset: word(), brk: word(), vdso: word() })
}

/// Its entry point, its base, and its place.
fn map_interpreter(mm: &AddressSpace, name: &[u8], layout: &Layout) -> Result<(u64, u64, fs::Path), ExecError> {
    let fail = |errno| ExecError::new(errno, name);
    if name.is_empty() {
        // As of a script: the working directory.
        return Err(fail(Errno::EACCES));
    }
    let (path, file) = program::open(None, name, fs::LookupFlags::FOLLOW).map_err(fail)?;
    if file.size() < ELF_HEADER_SIZE {
        return Err(ExecError::elf(ElfError::ShortInterpreter, name));
    }
    let plan = LoadPlan::parse(&*file).map_err(|error| ExecError::elf(error, name))?;
    let bias = map_file(mm, &file, &plan, layout).map_err(|errno| ExecError::mapping(errno, name))?;
    Ok((bias.wrapping_add(plan.entry), bias.wrapping_add(plan.start), path))
}

/// Carries a plan out and returns what to add to its addresses. `EINVAL` where an address does not
/// fit, `EPERM` where it is too low, `EFAULT` where the file has no page for the end of its data,
/// `ENOMEM`.
fn map_file(mm: &AddressSpace, file: &Arc<ProgramFile>, plan: &LoadPlan, layout: &Layout) -> SysResult<u64> {
    let base = match plan.base {
        BaseChoice::Fixed => plan.start,
        BaseChoice::Pie { align } => layout.pie_base_aligned(align),
        BaseChoice::Mmap { align } => reserve(mm, plan.span, align)?,
    };
    let bias = plan.bias(base);
    for mapping in &plan.mappings {
        let start = bias.wrapping_add(mapping.vaddr);
        if start.checked_add(mapping.len).is_none_or(|end| end > elf_loader::USER_TOP) {
            return Err(Errno::EINVAL);
        }
        let prot = Prot::from_bits_truncate(mapping.prot.bits() as _);
        let request = match mapping.offset {
            None => MapRequest::anonymous(start, mapping.len, prot, MapFlags::FIXED),
            Some(offset) => MapRequest {
                addr: start,
                len: mapping.len,
                prot,
                flags: MapFlags::FIXED | MapFlags::PRIVATE,
                file: Some(MapFile {
                    target: MapTarget::File(file.clone()),
                    offset,
                    may_read: true,
                    may_write: false,
                    may_exec: true,
                    write_sealed: false,
                }),
            },
        };
        let len = request.len;
        let at = mm.mmap(request, current())?;
        mmap_events::mapped(mm, at, len, prot);
        if let Some((at, len)) = mapping.zero
            && prot.contains(Prot::WRITE)
        {
            let zeroes = [0; PAGE as usize];
            let part = zeroes.get(..len as usize).ok_or(Errno::ENOEXEC)?;
            mm.write_exact(bias.wrapping_add(at), part).map_err(|_| Errno::EFAULT)?;
        }
    }
    Ok(bias)
}

/// An address for `span` bytes aligned to `align`: mmap's choice, freed again, since the segments
/// are mapped one by one.
fn reserve(mm: &AddressSpace, span: u64, align: u64) -> SysResult<u64> {
    // It takes no memory: what fails is too large for the address space.
    let len = span.checked_add(align).ok_or(Errno::EINVAL)?;
    let request = MapRequest::anonymous(0, len, Prot::empty(), MapFlags::NORESERVE);
    let found = mm.mmap(request, current()).map_err(|_| Errno::EINVAL)?;
    mm.munmap(found, len)?;
    // mmap searches downwards: the highest aligned place in what it found leaves the least gap.
    Ok((found + len - span) & !(align - 1))
}
