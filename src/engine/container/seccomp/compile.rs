//! Compiling the OCI form to one classic BPF program for all architectures a kernel runs.
//!
//! Calls of an architecture that is not listed end the thread, as with libseccomp; the machine's own is always
//! part. x32's calls, which only a bit in the number tells from x86-64's, fail with ENOSYS unless x32 is listed, as
//! they do on kernels without it.

use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag};

use super::super::super::error::{Error, Result};
use super::answers::{self, Answer, Table, UNKNOWN};
use super::machine::{self, Machine, X32_BIT};
use super::program::{ARCHITECTURE, NUMBER, Writer, code};

/// `SECCOMP_RET_KILL_THREAD`.
const KILL: u32 = 0;

/// The most instructions the kernel takes (BPF_MAXINSNS).
const MOST: usize = 4096;

/// A filter ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// An array of struct sock_filter, in native byte order.
    pub bytes: Vec<u8>,
    /// `SECCOMP_FILTER_FLAG_*` for seccomp(2).
    pub flags: u32,
    /// Whether loading it gives a listener, because some calls are to be decided by another process.
    pub notifies: bool,
}

/// Compiles a resolved filter for this machine.
///
/// # Errors
/// `unsupported` on architectures other than x86-64, aarch64 and riscv64; `invalid_argument` for rules that cannot
/// be meant, and for more of them than a program can hold.
pub fn compile(seccomp: &LinuxSeccomp) -> Result<Program> {
    compile_for(seccomp, Machine::host()?)
}

/// The same for any machine.
pub(super) fn compile_for(seccomp: &LinuxSeccomp, machine: Machine) -> Result<Program> {
    let own = machine.architectures()[0];
    let listed = |arch: Arch| arch == own || seccomp.architectures().iter().flatten().any(|other| *other == arch);
    let mut writer = Writer::default();
    let mut next = writer.end(KILL);
    // Written from the end: the machine's own architecture, which is asked for first, comes last.
    for arch in machine.architectures().iter().rev().copied().filter(|arch| *arch != Arch::ScmpArchX32) {
        if listed(arch) {
            let runs = runs(seccomp, arch, listed(Arch::ScmpArchX32))?;
            let search = writer.search(&runs);
            // A load goes on with what was written last, which a search of one run, a bare answer, need not be.
            writer.fall_to(search);
            let begin = writer.load(NUMBER);
            next = writer.branch(code::EQUAL, machine::audit(arch), begin, next);
        }
    }
    writer.load(ARCHITECTURE);
    if writer.len() > MOST {
        return Err(Error::invalid(format!(
            "the seccomp filter is too large: {} instructions, the kernel takes {MOST}",
            writer.len()
        )));
    }
    let notifies = notifies(seccomp);
    Ok(Program { bytes: writer.finish(), flags: flags(seccomp, notifies), notifies })
}

fn notifies(seccomp: &LinuxSeccomp) -> bool {
    seccomp.syscalls().iter().flatten().any(|call| call.action() == LinuxSeccompAction::ScmpActNotify)
}

/// Source: seccomp(2); linux/seccomp.h. Killable waits and a listener belong together; a listener and TSYNC need
/// TSYNC_ESRCH (Linux 5.7), because both return a number.
fn flags(seccomp: &LinuxSeccomp, notifies: bool) -> u32 {
    let mut flags = if notifies { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    for flag in seccomp.flags().iter().flatten() {
        flags |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync if notifies => {
                libc::SECCOMP_FILTER_FLAG_TSYNC | libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH
            }
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => libc::SECCOMP_FILTER_FLAG_TSYNC,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv if notifies => {
                libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
            }
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => 0,
        };
    }
    flags as u32
}

/// All numbers of an architecture value as runs of equal answers, each with its first number.
fn runs(seccomp: &LinuxSeccomp, arch: Arch, x32: bool) -> Result<Vec<(u32, Answer)>> {
    let table = Table::new(seccomp, arch)?;
    let mut runs = Runs::default();
    if arch != Arch::ScmpArchX86_64 {
        runs.add(&table, 0, u32::MAX);
        return Ok(runs.0);
    }
    runs.add(&table, 0, X32_BIT - 1);
    if x32 {
        runs.add(&Table::new(seccomp, Arch::ScmpArchX32)?, X32_BIT, u32::MAX - 1);
    } else {
        runs.push(X32_BIT, &Answer::Always(UNKNOWN));
    }
    // What a tracer leaves of a call that it skips is no call of x32.
    runs.push(u32::MAX, &Answer::Always(answers::newer(seccomp, table.default)));
    Ok(runs.0)
}

#[derive(Default)]
struct Runs(Vec<(u32, Answer)>);

impl Runs {
    fn push(&mut self, from: u32, answer: &Answer) {
        if self.0.last().is_none_or(|(_, last)| last != answer) {
            self.0.push((from, answer.clone()));
        }
    }

    /// The numbers from `first` to `last`.
    fn add(&mut self, table: &Table, first: u32, last: u32) {
        let mut from = Some(first);
        for (number, answer) in table.answers.range(first..=last) {
            if let Some(from) = from.filter(|from| from < number) {
                self.fill(table, from, number - 1);
            }
            self.push(*number, answer);
            from = number.checked_add(1);
        }
        if let Some(from) = from.filter(|from| *from <= last) {
            self.fill(table, from, last);
        }
    }

    /// Numbers without rules.
    fn fill(&mut self, table: &Table, from: u32, to: u32) {
        let (newest, newer) = table.newer.unwrap_or((u32::MAX, table.default));
        if from <= newest {
            self.push(from, &Answer::Always(table.default));
        }
        if to > newest {
            self.push(from.max(newest + 1), &Answer::Always(newer));
        }
    }
}
