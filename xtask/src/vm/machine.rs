//! The machines: which kernels, on which architecture, and what differs between the two.

use crate::build;
use anyhow::{Result, ensure};
use std::process::{Command, Stdio};

#[derive(Debug)]
pub struct Machine {
    pub name: &'static str,
    /// Of the kernel, as in the package's name.
    pub series: &'static str,
    pub arch: Arch,
}

pub const MACHINES: [Machine; 3] = [
    Machine { name: "6.1", series: "6.1", arch: Arch::X86_64 },
    Machine { name: "6.12", series: "6.12", arch: Arch::X86_64 },
    Machine { name: "6.1-arm64", series: "6.1", arch: Arch::Aarch64 },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Aarch64,
}

impl Arch {
    /// As `cargo xtask build` knows it.
    pub fn build(self) -> build::Arch {
        match self {
            Arch::X86_64 => build::Arch::X86_64,
            Arch::Aarch64 => build::Arch::Aarch64,
        }
    }

    /// Debian's name.
    pub fn debian(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
            Arch::Aarch64 => "arm64",
        }
    }

    pub fn target(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64-unknown-linux-gnu",
            Arch::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    pub fn linker(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64-linux-gnu-gcc",
            Arch::Aarch64 => "aarch64-linux-gnu-gcc",
        }
    }

    pub fn console(self) -> &'static str {
        match self {
            Arch::X86_64 => "ttyS0",
            Arch::Aarch64 => "ttyAMA0",
        }
    }

    pub fn qemu(self) -> &'static str {
        match self {
            Arch::X86_64 => "qemu-system-x86_64",
            Arch::Aarch64 => "qemu-system-aarch64",
        }
    }

    pub fn qemu_machine(self) -> &'static [&'static str] {
        match self {
            Arch::X86_64 => &[],
            Arch::Aarch64 => &["-machine", "virt", "-cpu", "neoverse-n1"],
        }
    }

    /// Debian packages that carry the programs below.
    fn packages(self) -> &'static str {
        match self {
            Arch::X86_64 => "qemu-system-x86 gcc libc6-dev",
            Arch::Aarch64 => "qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
        }
    }

    pub fn require_tools(self) -> Result<()> {
        for tool in ["apt-get", "dpkg"] {
            ensure!(
                starts(tool),
                "`{tool}` is missing: the kernels come from Debian's archive, run this on Debian"
            );
        }
        for tool in [self.qemu(), self.linker()] {
            let packages = self.packages();
            ensure!(starts(tool), "`{tool}` is missing: apt-get install --no-install-recommends {packages}");
        }
        Ok(())
    }
}

fn starts(tool: &str) -> bool {
    let status = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
