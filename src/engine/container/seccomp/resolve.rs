//! A profile's conditions decided: what is left is the form of the OCI runtime specification.

use std::collections::HashSet;

use oci_spec::runtime::{Arch, Capability, LinuxSeccomp, LinuxSeccompArgBuilder, LinuxSyscall, LinuxSyscallBuilder};

use super::super::super::error::{Error, Kind, Result};
use super::machine::Machine;
use super::profile::{Argument, Conditions, KernelVersion, Profile, Rule};

impl Profile {
    /// The rules that hold for a container with this bounding set, on this machine and its kernel.
    ///
    /// # Errors
    /// `unsupported` on architectures other than x86-64, aarch64 and riscv64.
    pub fn resolve(&self, bounding: &HashSet<Capability>) -> Result<LinuxSeccomp> {
        let release = rustix::system::uname();
        let kernel = KernelVersion::of(&release.release().to_string_lossy())?;
        self.resolve_for(&Facts { bounding, machine: Machine::host()?, kernel })
    }

    /// The same for any machine and kernel.
    pub(super) fn resolve_for(&self, facts: &Facts<'_>) -> Result<LinuxSeccomp> {
        let mut seccomp = LinuxSeccomp::default();
        let rules = self.syscalls.iter().flatten().filter(|rule| facts.select(rule));
        let rules = rules.map(syscall).collect::<Result<Vec<_>>>()?;
        seccomp
            .set_default_action(self.default_action)
            .set_default_errno_ret(self.default_errno_ret)
            .set_architectures(self.architectures_on(facts.machine))
            .set_flags(self.flags.clone())
            .set_listener_path(self.listener_path.as_ref().map(Into::into))
            .set_listener_metadata(self.listener_metadata.clone())
            .set_syscalls(Some(rules));
        Ok(seccomp)
    }

    fn architectures_on(&self, machine: Machine) -> Option<Vec<Arch>> {
        let Some(map) = self.arch_map.as_ref().filter(|map| !map.is_empty()) else {
            return self.architectures.clone();
        };
        let own = machine.architectures()[0];
        let family = map.iter().find(|family| family.architecture == own);
        Some(
            [own]
                .into_iter()
                .chain(family.into_iter().flat_map(|f| f.sub_architectures.iter().flatten().copied()))
                .collect(),
        )
    }
}

/// What conditions ask about.
pub(super) struct Facts<'a> {
    pub bounding: &'a HashSet<Capability>,
    pub machine: Machine,
    pub kernel: KernelVersion,
}

impl Facts<'_> {
    /// Whether a rule is part of the filter: everything it includes holds (every capability, one of the
    /// architectures), and nothing it excludes does.
    fn select(&self, rule: &Rule) -> bool {
        rule.includes.as_ref().is_none_or(|conditions| self.meets(conditions))
            && !rule.excludes.as_ref().is_some_and(|conditions| self.touches(conditions))
    }

    fn meets(&self, conditions: &Conditions) -> bool {
        conditions.caps.iter().flatten().all(|capability| self.bounding.contains(capability))
            && conditions.arches.as_ref().is_none_or(|list| list.is_empty() || self.among(list))
            && conditions.min_kernel.is_none_or(|least| self.kernel >= least)
    }

    fn touches(&self, conditions: &Conditions) -> bool {
        conditions.caps.iter().flatten().any(|capability| self.bounding.contains(capability))
            || conditions.arches.as_ref().is_some_and(|list| self.among(list))
            || conditions.min_kernel.is_some_and(|least| self.kernel >= least)
    }

    fn among(&self, arches: &[String]) -> bool {
        arches.iter().any(|arch| arch == self.machine.name())
    }
}

impl KernelVersion {
    /// From a release like `6.1.0-23-amd64`.
    pub(super) fn of(release: &str) -> Result<KernelVersion> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(first)), Some(Ok(second))) => Ok(KernelVersion(first, second)),
            _ => {
                Err(Error::new(Kind::Unsupported, format!("kernel release '{release}' does not begin with a version")))
            }
        }
    }
}

fn syscall(rule: &Rule) -> Result<LinuxSyscall> {
    let internal = |e: oci_spec::OciSpecError| Error::new(Kind::Internal, format!("seccomp rule: {e}"));
    let argument = |test: &Argument| {
        let builder = LinuxSeccompArgBuilder::default().index(test.index).value(test.value).op(test.op);
        let builder = match test.value_two {
            Some(second) => builder.value_two(second),
            None => builder,
        };
        builder.build().map_err(internal)
    };
    let names: Vec<String> = rule.names.iter().flatten().cloned().collect();
    let mut call = LinuxSyscallBuilder::default().names(names).action(rule.action).build().map_err(internal)?;
    let args = rule.args.iter().flatten().map(argument).collect::<Result<Vec<_>>>()?;
    call.set_errno_ret(rule.errno_ret).set_args((!args.is_empty()).then_some(args));
    Ok(call)
}
