//! The machines filters are made for, and the system call interfaces (ABIs) each of their kernels offers.
//!
//! Source: linux/audit.h (`AUDIT_ARCH_*`), arch/x86/include/uapi/asm/unistd.h (x32's bit).

use oci_spec::runtime::Arch;

use super::super::super::error::{Error, Kind, Result};

/// Set in every x32 call number; such calls come with the architecture value of x86-64.
pub const X32_BIT: u32 = 0x4000_0000;

/// A processor family with its 64-bit kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// With i386 and x32.
    X86_64,
    /// With 32-bit ARM.
    Aarch64,
    /// On its own.
    Riscv64,
}

impl Machine {
    /// The one this program runs on.
    ///
    /// # Errors
    /// `unsupported` on any other.
    pub fn host() -> Result<Machine> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Machine::X86_64),
            "aarch64" => Ok(Machine::Aarch64),
            "riscv64" => Ok(Machine::Riscv64),
            other => Err(Error::new(Kind::Unsupported, format!("no seccomp filter for architecture {other}"))
                .with_hint("run with seccomp=\"unconfined\" to go without")),
        }
    }

    /// What its kernel can run, its own architecture first.
    pub fn architectures(self) -> &'static [Arch] {
        match self {
            Machine::X86_64 => &[Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32],
            Machine::Aarch64 => &[Arch::ScmpArchAarch64, Arch::ScmpArchArm],
            Machine::Riscv64 => &[Arch::ScmpArchRiscv64],
        }
    }

    /// Its name in the `arches` of a profile.
    pub fn name(self) -> &'static str {
        match self {
            Machine::X86_64 => "amd64",
            Machine::Aarch64 => "arm64",
            Machine::Riscv64 => "riscv64",
        }
    }
}

/// The architecture value the kernel hands to a filter; x32 shares that of x86-64.
pub fn audit(arch: Arch) -> u32 {
    match arch {
        Arch::ScmpArchX32 => Arch::ScmpArchX86_64 as u32,
        other => other as u32,
    }
}

/// Whether arguments have 64 bits; x32 passes whole registers.
pub fn is_wide(arch: Arch) -> bool {
    !matches!(arch, Arch::ScmpArchX86 | Arch::ScmpArchArm)
}
