//! What device rules come to.

use super::*;

fn rules(list: &[LinuxDeviceCgroup]) -> Vec<Rule> {
    parse(list).unwrap()
}

#[test]
fn defaults_refuse_all_but_the_harmless() {
    let allowed = evaluate(&rules(&default_devices())).unwrap();
    assert!(!allowed.others);
    let lines: Vec<String> = allowed.exceptions.iter().map(Devices::line).collect();
    let expected = [
        "c *:* m",
        "b *:* m",
        "c 1:3 rwm",
        "c 1:5 rwm",
        "c 1:7 rwm",
        "c 1:8 rwm",
        "c 1:9 rwm",
        "c 5:0 rwm",
        "c 5:1 rwm",
        "c 5:2 rwm",
        "c 136:* rwm",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_partial_rule_for_all_devices_is_one_of_each_type() {
    let list = rules(&[rule(true, LinuxDeviceType::A, Some(-1), Some(-1), "r")]);
    let devices = |typ| Rule::Some(true, Devices { typ, major: None, minor: None, access: READ });
    assert_eq!(list, [devices(Type::Block), devices(Type::Character)]);
}

#[test]
fn refusing_takes_out_of_what_was_allowed() {
    let list = rules(&[
        rule(true, LinuxDeviceType::C, Some(1), Some(3), "rw"),
        rule(true, LinuxDeviceType::C, Some(1), Some(3), "m"),
        rule(true, LinuxDeviceType::C, Some(1), Some(5), "r"),
        rule(false, LinuxDeviceType::C, Some(1), None, "rm"),
    ]);
    let allowed = evaluate(&list).unwrap();
    assert_eq!(allowed.exceptions.iter().map(Devices::line).collect::<Vec<_>>(), ["c 1:3 w"]);
}

#[test]
fn what_v1_cannot_express_is_said() {
    let list = rules(&[
        rule(true, LinuxDeviceType::C, Some(1), None, "rwm"),
        rule(false, LinuxDeviceType::C, Some(1), Some(3), "w"),
    ]);
    let error = evaluate(&list).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert_eq!(error.message(), "device_cgroup_rule 'c 1:3 w': cgroup v1 cannot except it from 'c 1:* rwm'");
}

#[test]
fn malformed_rules_are_named() {
    for (wrong, part) in [
        (rule(true, LinuxDeviceType::C, Some(1), Some(3), "x"), "access is made of r, w, m"),
        (rule(true, LinuxDeviceType::C, Some(-7), None, "r"), "no device has the number -7"),
        (rule(true, LinuxDeviceType::P, None, None, "r"), "a pipe is no device"),
    ] {
        let error = parse(&[wrong]).unwrap_err();
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn lines_are_read_as_written() {
    for line in ["c 1:3 rwm", "b *:* m", "c 136:* rw"] {
        assert_eq!(read_line(line).unwrap().line(), line);
    }
    assert_eq!(read_line("a *:* rwm"), None);
}
