//! Seccomp profiles in Docker's JSON format, which contains the form of the OCI runtime specification.
//!
//! ```text
//! { defaultAction, defaultErrnoRet, archMap: [{architecture, subArchitectures}] or architectures: [..],
//!   flags, listenerPath, listenerMetadata,
//!   syscalls: [{ names or name, action, errnoRet, args: [{index, value, valueTwo, op}], comment,
//!                includes: {caps, arches, minKernel}, excludes: {the same} }] }
//! ```
//!
//! Unknown properties at the top are passed over, as other engines do; in a rule they are refused, because a rule
//! with a condition misspelt would hold where it was not meant to.
//!
//! Source: docs.docker.com "Seccomp security profiles"; runtime-spec config-linux.md, "Seccomp".

use std::collections::HashSet;

use oci_spec::runtime::{Arch, Capability, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSeccompOperator};
use serde::{Deserialize, Deserializer};

use super::super::super::error::{Error, Result};

/// A profile as written, with the conditions of its rules still open.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    pub(super) default_action: LinuxSeccompAction,
    pub(super) default_errno_ret: Option<u32>,
    pub(super) architectures: Option<Vec<Arch>>,
    pub(super) arch_map: Option<Vec<Family>>,
    pub(super) flags: Option<Vec<LinuxSeccompFilterFlag>>,
    pub(super) listener_path: Option<String>,
    pub(super) listener_metadata: Option<String>,
    pub(super) syscalls: Option<Vec<Rule>>,
}

/// An architecture and those its kernel runs besides.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Family {
    pub architecture: Arch,
    pub sub_architectures: Option<Vec<Arch>>,
}

/// What happens to some calls, and when the rule is part of the filter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rule {
    #[serde(default)]
    pub names: Option<Vec<String>>,
    /// The old form, for one call.
    name: Option<String>,
    pub action: LinuxSeccompAction,
    pub errno_ret: Option<u32>,
    pub args: Option<Vec<Argument>>,
    pub includes: Option<Conditions>,
    pub excludes: Option<Conditions>,
    /// For readers.
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

/// A comparison of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Argument {
    pub index: usize,
    pub value: u64,
    pub value_two: Option<u64>,
    pub op: LinuxSeccompOperator,
}

/// Facts about the container and its host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Conditions {
    pub caps: Option<HashSet<Capability>>,
    pub arches: Option<Vec<String>>,
    pub min_kernel: Option<KernelVersion>,
}

/// The first two numbers of a kernel's release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KernelVersion(pub u32, pub u32);

impl<'de> Deserialize<'de> for KernelVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parts = text.split_once('.').and_then(|(first, second)| Some((first.parse().ok()?, second.parse().ok()?)));
        let wrong =
            || serde::de::Error::custom(format!("invalid kernel version '{text}', expected two numbers as 4.8"));
        parts.map(|(first, second)| KernelVersion(first, second)).ok_or_else(wrong)
    }
}

/// Reads a profile: Docker's format or the OCI form.
///
/// # Errors
/// `invalid_argument`, with line and column for what is not the format, with the rule's place (counted from 0, as
/// JSON pointers do) for what cannot be meant.
pub fn parse(text: &str) -> Result<Profile> {
    let mut profile: Profile =
        serde_json::from_str(text).map_err(|e| Error::invalid(format!("invalid seccomp profile: {e}")))?;
    let wrong = |place: &str, what: &str| Error::invalid(format!("invalid seccomp profile: {place}: {what}"));
    if profile.architectures.as_ref().is_some_and(|list| !list.is_empty())
        && profile.arch_map.as_ref().is_some_and(|list| !list.is_empty())
    {
        return Err(wrong("archMap", "cannot be together with architectures"));
    }
    for (at, rule) in profile.syscalls.iter_mut().flatten().enumerate() {
        let place = format!("syscalls[{at}]");
        rule.settle_names().map_err(|what| wrong(&place, what))?;
        for (argument, test) in rule.args.iter().flatten().enumerate() {
            if test.index > 5 {
                let place = format!("{place}.args[{argument}].index");
                return Err(wrong(&place, &format!("{} is not an argument, they are 0 to 5", test.index)));
            }
        }
        answer(rule.action, rule.errno_ret).map_err(|what| wrong(&format!("{place}.errnoRet"), &what))?;
    }
    answer(profile.default_action, profile.default_errno_ret).map_err(|what| wrong("defaultErrnoRet", &what))?;
    if profile.default_action == LinuxSeccompAction::ScmpActNotify {
        return Err(wrong("defaultAction", NOTIFY_DEFAULT));
    }
    Ok(profile)
}

/// Why a filter cannot ask a listener about everything.
pub(super) const NOTIFY_DEFAULT: &str =
    "SCMP_ACT_NOTIFY cannot be the default: the calls that hand over the listener would wait for it";

impl Rule {
    fn settle_names(&mut self) -> std::result::Result<(), &'static str> {
        let names = self.names.get_or_insert_default();
        // Docker writes an empty one beside names.
        match self.name.take().filter(|name| !name.is_empty()) {
            Some(_) if !names.is_empty() => return Err("name and names cannot be together"),
            Some(name) => names.push(name),
            None => {}
        }
        if names.is_empty() { Err("names no system call") } else { Ok(()) }
    }
}

/// The value with which a filter answers: linux/seccomp.h, `SECCOMP_RET_*`. Errors say what is wrong.
pub(super) fn answer(action: LinuxSeccompAction, errno: Option<u32>) -> std::result::Result<u32, String> {
    let most = match action {
        // The kernel's MAX_ERRNO: what is greater would not be seen as an error.
        LinuxSeccompAction::ScmpActErrno => 4095,
        LinuxSeccompAction::ScmpActTrace => 0xffff,
        _ if errno.is_some() => return Err(format!("{action} has no errno")),
        _ => 0,
    };
    match errno {
        Some(errno) if errno > most => Err(format!("{errno} is above {most}")),
        _ => Ok(action.as_u32(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> String {
        let error = parse(text).unwrap_err();
        error.message().trim_start_matches("invalid seccomp profile: ").to_string()
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let rule = |rule: &str| fails(&format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{rule}]}}"#));
        assert_eq!(fails("{"), "EOF while parsing an object at line 1 column 1");
        assert!(fails("{}").starts_with("missing field `defaultAction`"));
        let unknown = fails("{\n \"defaultAction\": \"SCMP_ACT_DENY\"}");
        assert!(unknown.starts_with("unknown variant `SCMP_ACT_DENY`, expected one of `SCMP_ACT_KILL`"), "{unknown}");
        assert!(unknown.ends_with("at line 2 column 33"), "{unknown}");
        assert_eq!(rule(r#"{"action":"SCMP_ACT_KILL"}"#), "syscalls[0]: names no system call");
        assert_eq!(
            rule(r#"{"names":["read"],"name":"write","action":"SCMP_ACT_KILL"}"#),
            "syscalls[0]: name and names cannot be together"
        );
        assert_eq!(
            rule(r#"{"name":"a","action":"SCMP_ACT_KILL","errnoRet":1}"#),
            "syscalls[0].errnoRet: SCMP_ACT_KILL has no errno"
        );
        assert_eq!(
            rule(r#"{"name":"a","action":"SCMP_ACT_ERRNO","errnoRet":65536}"#),
            "syscalls[0].errnoRet: 65536 is above 4095"
        );
        assert_eq!(
            rule(r#"{"name":"a","action":"SCMP_ACT_KILL","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}"#),
            "syscalls[0].args[0].index: 6 is not an argument, they are 0 to 5"
        );
        let unknown = rule(r#"{"name":"a","action":"SCMP_ACT_KILL","exclude":{}}"#);
        assert!(unknown.starts_with("unknown field `exclude`, expected one of"), "{unknown}");
        let version = rule(r#"{"name":"a","action":"SCMP_ACT_KILL","includes":{"minKernel":"4.8.1"}}"#);
        assert!(version.starts_with("invalid kernel version '4.8.1', expected two numbers as 4.8"), "{version}");
        let capability = rule(r#"{"name":"a","action":"SCMP_ACT_KILL","includes":{"caps":["CAP_FLY"]}}"#);
        assert!(capability.starts_with("no variant for CAP_FLY"), "{capability}");
        let two = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
            "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":null}]}"#;
        assert_eq!(fails(two), "archMap: cannot be together with architectures");
        assert!(fails(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#).starts_with("defaultAction: SCMP_ACT_NOTIFY cannot"));
    }

    #[test]
    fn both_forms_and_old_ones_are_read() {
        let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","$schema":"x","flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[
            {"name":"read","action":"SCMP_ACT_ALLOW","args":null,"comment":"","includes":{},"excludes":{}},
            {"names":["a","b"],"name":"","action":"SCMP_ACT_TRACE","errnoRet":7}]}"#;
        let rules = parse(text).unwrap().syscalls.unwrap();
        assert_eq!(rules[0].names.as_deref(), Some(&["read".to_string()][..]));
        assert_eq!(rules[1].names.as_ref().map(Vec::len), Some(2));
        assert!(parse(super::super::DEFAULT).is_ok());
    }
}
