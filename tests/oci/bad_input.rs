//! What cannot be meant: one clear line, status 1, nothing left.

use std::fs;

use serde_json::{Value, json};

use crate::bundle::{Bundle, is_root};

#[test]
fn specifications_that_cannot_be_meant() {
    if !is_root() {
        return;
    }
    let cases: [(&str, Value, &str); 14] = [
        ("/ociVersion", "2.0.0".into(), "ociVersion '2.0.0'"),
        ("/process/args", json!([]), "process.args is empty"),
        ("/process/cwd", "relative".into(), "process.cwd 'relative' is not an absolute path"),
        ("/process/args/0", "/no/such".into(), "executable file not found in $PATH"),
        ("/process/rlimits", json!([{ "type": "RLIMIT_FLY", "soft": 1, "hard": 1 }]), "RLIMIT_FLY"),
        ("/process/user/uid", (-1).into(), "not a runtime specification"),
        ("/root/path", "missing".into(), "root file system missing: no such file"),
        ("/mounts/0/type", "nosuchfs".into(), "nosuchfs"),
        ("/mounts/0/destination", "/".into(), "nothing can be mounted on /"),
        ("/linux/rootfsPropagation", "sideways".into(), "unknown rootfsPropagation 'sideways'"),
        ("/linux/resources", json!({ "memory": { "limit": 1, "swap": 0 } }), ""),
        ("/linux/intelRdt", json!({ "closID": "x" }), "intelRdt"),
        ("/process/apparmorProfile", "nope".into(), "'nope' is"),
        ("/process/selinuxLabel", "a:b:c".into(), "'a:b:c' is asked for"),
    ];
    for (place, value, expected) in cases {
        let mut bundle = Bundle::new("true");
        match bundle.config.pointer_mut(place) {
            Some(slot) => *slot = value,
            None => {
                let (parent, key) = place.rsplit_once('/').unwrap();
                bundle.config.pointer_mut(parent).unwrap()[key] = value;
            }
        }
        if expected.is_empty() {
            bundle.oci(&["run", &bundle.id("a")]);
        } else {
            let text = bundle.fails(&["run", &bundle.id("a")]);
            assert!(text.contains(expected), "{place}: {text}");
        }
        let left = fs::read_dir(bundle.path().join("state")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{place} leaves something");
    }
}

#[test]
fn command_lines_that_cannot_be_meant() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new("sleep 1000");
    let fails = |arguments: &[&str]| {
        let output = bundle.oci(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for id in ["", ".", "..", "a/b", "../x", "a b"] {
        assert!(fails(&["create", id]).contains("id"), "{id}");
    }
    assert!(fails(&["frob"]).contains("frob"));
    assert!(fails(&["create"]).contains("ID"));
    assert!(fails(&["create", "--bundel", "x"]).contains("--bundel"));
    assert!(fails(&["create", "-b", "/no/such", "x"]).contains("bundle /no/such"));
    assert!(fails(&["start", "nobody"]).contains("container 'nobody' does not exist"));
    assert!(
        fails(&["create", "--console-socket", "x", "y"]).contains("--console-socket is for a process with a terminal")
    );
    let id = &bundle.id("a");
    bundle.ok(&["create", id]);
    assert!(fails(&["kill", id, "FLY"]).contains("invalid signal 'FLY'"));
    assert!(fails(&["kill", id, "0"]).contains("invalid signal '0'"));
    assert!(fails(&["exec", id]).contains("needs a command"));
    assert!(fails(&["exec", "-p", "/no/such", id]).contains("/no/such"));
    assert!(fails(&["exec", "-u", "ann", id, "true"]).contains("invalid user 'ann'"));
    assert!(fails(&["update", "--memory", "much", id]).contains("'much' is not a size"));
    assert!(fails(&["events", "--interval", "soon", id]).contains("--interval"));
    assert!(bundle.ok(&["list", "-q"]).contains(id.as_str()));
}

#[test]
fn errors_go_to_the_log() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new("true");
    let log = bundle.path().join("log");
    let path = log.to_str().unwrap();
    bundle.fails(&["--log", path, "--log-format", "json", "state", "nobody"]);
    let line: Value = serde_json::from_str(fs::read_to_string(&log).unwrap().trim()).unwrap();
    assert_eq!((&line["level"], &line["msg"]), (&"error".into(), &"container 'nobody' does not exist".into()));
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
    bundle.fails(&["--log", path, "state", "nobody"]);
    assert!(fs::read_to_string(&log).unwrap().contains("level=error msg=\"container 'nobody' does not exist\""));
}

#[test]
fn questions_about_the_runtime_itself() {
    let bundle = Bundle::new("true");
    let version = bundle.ok(&["--version"]);
    assert!(version.starts_with("moonshell-oci version ") && version.ends_with("spec: 1.2.0"), "{version}");
    let features: Value = serde_json::from_str(&bundle.ok(&["features"])).unwrap();
    assert_eq!(features["hooks"].as_array().unwrap().len(), 6);
    assert!(features["mountOptions"].as_array().unwrap().contains(&"rro".into()));
    assert!(features["linux"]["capabilities"].as_array().unwrap().contains(&"CAP_SYS_ADMIN".into()));
    serde_json::from_value::<oci_spec::runtime::Features>(features).unwrap();
    let folder = bundle.path().join("new");
    fs::create_dir(&folder).unwrap();
    bundle.ok(&["spec", "--bundle", folder.to_str().unwrap()]);
    let spec: Value = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    assert!(spec["process"]["args"].is_array() && spec["ociVersion"].as_str().unwrap().starts_with("1."));
    assert!(bundle.fails(&["spec", "--bundle", folder.to_str().unwrap()]).contains("exists already"));
}
