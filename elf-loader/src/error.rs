//! What can be wrong with a program file. Each variant's comment is its message.

use core::fmt;
use syscall_shim::Errno;

macro_rules! elf_errors {
    ($($name:ident $errno:ident $message:literal,)*) => {
        /// Why a file cannot be run.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum ElfError {
            $(#[doc = $message] $name,)*
            /// Reading the file failed.
            Read(Errno),
        }

        impl ElfError {
            /// What `execve(2)` answers.
            pub fn errno(self) -> Errno {
                match self { $(Self::$name => Errno::$errno,)* Self::Read(errno) => errno }
            }

            /// Whether Linux finds it only when the old program is gone already: what asked for the
            /// new one is then ended by `SIGSEGV`, and no errno is told.
            pub fn is_found_late(self) -> bool {
                matches!(
                    self,
                    Self::NoLoadSegments
                        | Self::FileSizeAboveMemorySize
                        | Self::Misaligned
                        | Self::AddressTooHigh
                        | Self::OffsetOverflow
                        | Self::EntryTooHigh
                )
            }

            /// The errno when the file is a `PT_INTERP`: where an executable is "not of a known
            /// format", a bad interpreter is a "corrupted shared library".
            pub fn interpreter_errno(self) -> Errno {
                match self.errno() { Errno::ENOEXEC => Errno::ELIBBAD, errno => errno }
            }
        }

        impl fmt::Display for ElfError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str($message),)*
                    Self::Read(errno) => write!(f, "reading the file failed: {errno:?}"),
                }
            }
        }
    };
}

elf_errors! {
    NotElf ENOEXEC "not an ELF file (no \\x7fELF at its start) and not a #! script",
    BadScript ENOEXEC "the #! line names no interpreter, or is cut off after 255 bytes",
    TruncatedHeader ENOEXEC "the file ends inside the ELF header",
    WrongClass ENOEXEC "a 32-bit ELF file: only 64-bit programs run here",
    WrongEndianness ENOEXEC "a big-endian ELF file: only little-endian programs run here",
    WrongVersion ENOEXEC "an ELF version other than 1",
    WrongMachine ENOEXEC "built for another processor: only x86-64 programs run here",
    WrongType ENOEXEC "neither an executable nor a shared object (an object file or a core file?)",
    BadProgramHeaderSize ENOEXEC "program headers of an unknown size (e_phentsize is not 56)",
    NoProgramHeaders ENOEXEC "no program headers",
    TooManyProgramHeaders ENOEXEC "more than 64 KiB of program headers",
    TruncatedProgramHeaders ENOEXEC "the file ends inside the program headers",
    NoLoadSegments EINVAL "no PT_LOAD segment: nothing to run",
    FileSizeAboveMemorySize EINVAL "a segment with more bytes in the file than in memory (p_filesz > p_memsz)",
    ShortInterpreter EIO "an interpreter that is shorter than an ELF header",
    Misaligned EINVAL "a segment whose address and file offset differ within a page",
    AddressTooHigh EINVAL "a segment above the application's half of the address space",
    OffsetOverflow EINVAL "a segment whose file offset is out of range",
    BadInterpreter ENOEXEC "a PT_INTERP that is no NUL-terminated path of 1 to 4095 bytes",
    EntryTooHigh EINVAL "an entry point above the application's half of the address space",
}

impl core::error::Error for ElfError {}
