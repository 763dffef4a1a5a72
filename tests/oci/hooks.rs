//! Hooks of all six kinds: their turns, namespaces, input and failures.

use std::fs;

use serde_json::{Value, json};

use crate::bundle::{Bundle, is_root};

fn hook(script: &str) -> Value {
    json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin", "X=y"] })
}

#[test]
fn order_namespaces_and_state() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("echo program >>/log; test -e /from-create-container && echo seen >>/log");
    let root = bundle.root();
    let log = root.join("log");
    fs::write(&log, "").unwrap();
    let line = |name: &str| {
        let log = log.display();
        hook(&format!(
            "read -r s; echo {name} $(echo $s | grep -o '\"status\":\"[a-z]*\"') $X $(readlink /proc/self/ns/mnt) >>{log}"
        ))
    };
    bundle.config["hooks"] = json!({
        "prestart": [line("prestart")],
        "createRuntime": [line("createRuntime")],
        "createContainer": [line("createContainer"), hook(&format!("touch {}/from-create-container", root.display()))],
        "startContainer": [{ "path": "/bin/sh", "args": ["sh", "-c",
            "read -r s; echo startContainer $(echo $s | busybox grep -o '\"pid\":[0-9]*') >>/log"] }],
        "poststart": [line("poststart")],
        "poststop": [line("poststop")],
    });
    let id = &bundle.id("a");
    bundle.ok(&["create", id]);
    let state: Value = serde_json::from_str(&bundle.ok(&["state", id])).unwrap();
    let host = fs::read_link("/proc/self/ns/mnt").unwrap().display().to_string();
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], format!("prestart \"status\":\"creating\" y {host}"));
    assert_eq!(lines[1], format!("createRuntime \"status\":\"creating\" y {host}"));
    assert!(lines[2].starts_with("createContainer \"status\":\"creating\" y mnt:") && !lines[2].ends_with(&host));
    bundle.ok(&["start", id]);
    bundle.wait_status(id, "stopped");
    bundle.ok(&["delete", id]);
    let text = fs::read_to_string(&log).unwrap();
    let find =
        |word: &str| text.lines().position(|line| line.starts_with(word)).unwrap_or_else(|| panic!("{word}: {text}"));
    assert!(find("startContainer") == 3 && find("program") > 3 && find("seen") > 4, "{text}");
    assert!(text.contains(&format!("startContainer \"pid\":{}", state["pid"])), "{text}");
    assert!(text.contains(&format!("poststart \"status\":\"running\" y {host}")), "{text}");
    assert!(text.ends_with(&format!("poststop \"status\":\"stopped\" y {host}\n")), "{text}");
}

#[test]
fn failures_and_time_limits() {
    if !is_root() {
        return;
    }
    for turn in ["prestart", "createRuntime", "createContainer"] {
        let mut bundle = Bundle::new("true");
        bundle.config["hooks"] = json!({ turn: [hook("echo reason >&2; exit 3")] });
        let text = bundle.fails(&["create", &bundle.id("a")]);
        assert!(text.contains(&format!("{turn} hook /bin/sh")) && text.contains("exit status: 3: reason"), "{text}");
        assert_eq!(bundle.ok(&["list", "-q"]), "");
    }
    let mut bundle = Bundle::new("sleep 1000");
    bundle.config["hooks"] =
        json!({ "createRuntime": [{ "path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1 }] });
    assert!(bundle.fails(&["create", &bundle.id("a")]).contains("still running after 1 seconds"));
    bundle.config["hooks"] = json!({ "createRuntime": [{ "path": "relative" }] });
    assert!(bundle.fails(&["create", &bundle.id("a")]).contains("not absolute"));
    bundle.config["hooks"] = json!({ "startContainer": [{ "path": "/no/such" }] });
    let id = &bundle.id("b");
    bundle.ok(&["create", id]);
    assert!(bundle.fails(&["start", id]).contains("startContainer hook /no/such"));
    bundle.wait_status(id, "stopped");
    bundle.ok(&["delete", id]);
    bundle.config["hooks"] = json!({ "poststart": [hook("exit 1")] });
    let id = &bundle.id("c");
    bundle.ok(&["create", id]);
    assert!(bundle.fails(&["start", id]).contains("poststart hook"));
    bundle.wait_status(id, "stopped");
    bundle.config["hooks"] = json!({ "poststop": [hook("exit 1"), hook("echo ran >done")] });
    bundle.config["process"]["args"][2] = "true".into();
    bundle.ok(&["run", &bundle.id("d")]);
    assert_eq!(bundle.wait_for("done"), "ran\n");
}
