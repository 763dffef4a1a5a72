//! What a filter answers to each call of one architecture.
//!
//! Of several rules for a call the first without arguments decides; with arguments only, the first whose tests all
//! hold, else the default. Rules that repeat the default add nothing. A call newer than the newest one the rules
//! name fails with ENOSYS, unless the default lets calls pass: C libraries then fall back to older calls, which
//! they do not after EPERM. Names an architecture lacks are passed over.
//!
//! Source: runtime-spec config-linux.md, "Seccomp"; libseccomp and runc where that says nothing.

use std::collections::BTreeMap;

use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

use super::super::super::error::{Error, Result};
use super::profile::{NOTIFY_DEFAULT, answer};
use super::{machine, numbers};

/// `SECCOMP_RET_ERRNO` with ENOSYS.
pub const UNKNOWN: u32 = 0x0005_0000 | libc::ENOSYS as u32;

/// How a call is answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Always with this value.
    Always(u32),
    /// By its arguments: with the value of the first rule whose tests all hold, else with `otherwise`.
    Depends {
        /// In the order written.
        rules: Vec<Rule>,
        /// The default's value.
        otherwise: u32,
    },
}

/// Tests that must all hold, and the value then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// At least one.
    pub tests: Vec<Test>,
    /// `SECCOMP_RET_*`.
    pub answer: u32,
}

/// A comparison of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Test {
    /// 0 to 5.
    pub argument: u32,
    /// Whether the argument has 64 bits; else only the low halves are compared.
    pub wide: bool,
    /// With what.
    pub compare: Compare,
}

/// The operators, reduced to those whose opposite is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compare {
    /// `argument & mask == value`, or not.
    Masked {
        /// All ones for plain equality.
        mask: u64,
        /// Compared with.
        value: u64,
        /// Whether they must be equal.
        equal: bool,
    },
    /// `argument >= value`, or below.
    AtLeast {
        /// Compared with.
        value: u64,
        /// Whether it must be; else it must be less.
        holds: bool,
    },
    /// `argument > value`, or not.
    Above {
        /// Compared with.
        value: u64,
        /// Whether it must be; else it must not.
        holds: bool,
    },
}

/// The answers of one architecture.
pub struct Table {
    /// By number.
    pub answers: BTreeMap<u32, Answer>,
    /// To calls between them.
    pub default: u32,
    /// The greatest number the rules name, and the answer to those above it.
    pub newer: Option<(u32, u32)>,
}

/// The value of the default action.
///
/// # Errors
/// `invalid_argument` for an action that cannot be it.
pub fn default(seccomp: &LinuxSeccomp) -> Result<u32> {
    if seccomp.default_action() == LinuxSeccompAction::ScmpActNotify {
        return Err(Error::invalid(format!("seccomp defaultAction: {NOTIFY_DEFAULT}")));
    }
    answer(seccomp.default_action(), seccomp.default_errno_ret())
        .map_err(|what| Error::invalid(format!("seccomp defaultErrnoRet: {what}")))
}

/// The answers to calls newer than any the rules know.
pub fn newer(seccomp: &LinuxSeccomp, default: u32) -> u32 {
    match seccomp.default_action() {
        LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog | LinuxSeccompAction::ScmpActTrace => default,
        _ => UNKNOWN,
    }
}

impl Table {
    /// Of the rules for an architecture.
    ///
    /// # Errors
    /// `invalid_argument` for rules that cannot be meant.
    pub fn new(seccomp: &LinuxSeccomp, arch: Arch) -> Result<Table> {
        let default = default(seccomp)?;
        let apart = numbers::apart(arch);
        let mut newest = None;
        let mut rules: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
        for (at, call) in seccomp.syscalls().iter().flatten().enumerate() {
            let wrong =
                |what: String| Error::invalid(format!("seccomp rule {at} ({}): {what}", call.names().join(", ")));
            let value = answer(call.action(), call.errno_ret()).map_err(wrong)?;
            let tests = tests(call, arch).map_err(wrong)?;
            for name in call.names() {
                let Some(number) = numbers::number(arch, name) else { continue };
                if !apart.contains(&number) {
                    newest = newest.max(Some(number));
                }
                if value == default {
                    continue;
                }
                if let Some((number, rule)) = multiplexed(arch, name, &tests, value, default) {
                    rules.entry(number).or_default().push(rule);
                }
                rules.entry(number).or_default().push(Rule { tests: tests.clone(), answer: value });
            }
        }
        let mut answers: BTreeMap<u32, Answer> =
            rules.into_iter().map(|(number, rules)| (number, Answer::of(rules, default))).collect();
        for number in apart {
            answers.entry(number).or_insert(Answer::Always(default));
        }
        Ok(Table { answers, default, newer: newest.map(|newest| (newest, newer(seccomp, default))) })
    }
}

impl Answer {
    fn of(rules: Vec<Rule>, otherwise: u32) -> Answer {
        match rules.iter().find(|rule| rule.tests.is_empty()) {
            Some(rule) => Answer::Always(rule.answer),
            None => Answer::Depends { rules, otherwise },
        }
    }
}

/// The rule for the multiplexer through which i386 programs reach the call too.
///
/// It carries the arguments in memory, where no filter can look, so a rule with tests applies to it as a whole if
/// it refuses, and not at all if it opens what the default refuses.
fn multiplexed(arch: Arch, name: &str, tests: &[Test], value: u32, default: u32) -> Option<(u32, Rule)> {
    let (multiplexer, call) = numbers::multiplexer(arch, name)?;
    // The kernel's values, as signed numbers, ascend from killing the process to allowing.
    let strictness = |value: u32| value as i32;
    if !tests.is_empty() && strictness(value) > strictness(default) {
        return None;
    }
    // ipc(2) keeps a version in the upper half.
    let mask = if multiplexer == "ipc" { 0xffff } else { u64::MAX };
    let compare = Compare::Masked { mask, value: u64::from(call), equal: true };
    let rule = Rule { tests: vec![Test { argument: 0, wide: false, compare }], answer: value };
    numbers::number(arch, multiplexer).map(|number| (number, rule))
}

fn tests(call: &LinuxSyscall, arch: Arch) -> std::result::Result<Vec<Test>, String> {
    call.args().iter().flatten().map(|test| translate(test, machine::is_wide(arch))).collect()
}

fn translate(test: &LinuxSeccompArg, wide: bool) -> std::result::Result<Test, String> {
    let argument = u32::try_from(test.index()).ok().filter(|index| *index < 6);
    let argument = argument.ok_or_else(|| format!("argument {} is not one, they are 0 to 5", test.index()))?;
    let value = test.value();
    let equal = |equal: bool| Compare::Masked { mask: u64::MAX, value, equal };
    let compare = match test.op() {
        LinuxSeccompOperator::ScmpCmpEq => equal(true),
        LinuxSeccompOperator::ScmpCmpNe => equal(false),
        LinuxSeccompOperator::ScmpCmpGe => Compare::AtLeast { value, holds: true },
        LinuxSeccompOperator::ScmpCmpLt => Compare::AtLeast { value, holds: false },
        LinuxSeccompOperator::ScmpCmpGt => Compare::Above { value, holds: true },
        LinuxSeccompOperator::ScmpCmpLe => Compare::Above { value, holds: false },
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            Compare::Masked { mask: value, value: test.value_two().unwrap_or(0), equal: true }
        }
    };
    Ok(Test { argument, wide, compare })
}
