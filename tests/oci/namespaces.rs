//! Namespaces: new ones, joined ones, mappings, clocks, settings.

use std::fs;

use serde_json::{Value, json};

use crate::bundle::{Bundle, is_root};

fn state(bundle: &Bundle, id: &str) -> Value {
    serde_json::from_str(&bundle.ok(&["state", id])).unwrap()
}

#[test]
fn a_user_namespace_with_mappings() {
    if !is_root() {
        return;
    }
    let script = "id -u; cat /proc/self/uid_map | tr -s ' '; touch /new && stat -c %u /new; mknod /n c 1 3 2>/dev/null \
                  || echo no nodes; echo x >/dev/null && cat /proc/self/gid_map | tr -s ' '; mount | grep -c ' /proc '";
    let mut bundle = Bundle::new(script);
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
    assert!(bundle.fails(&["run", &bundle.id("x")]).contains("needs uidMappings"));
    let mapping = json!([{ "containerID": 0, "hostID": 100000, "size": 65536 }]);
    bundle.config["linux"]["uidMappings"] = mapping.clone();
    bundle.config["linux"]["gidMappings"] = mapping;
    std::os::unix::fs::chown(bundle.root(), Some(100000), Some(100000)).unwrap();
    // The container's root may not enter the folders above its own.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(bundle.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(bundle.run(), "0\n 0 100000 65536\n0\nno nodes\n 0 100000 65536\n1");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(bundle.root().join("new")).unwrap()), 100000);
    // A bind source that only the host's root may reach.
    fs::create_dir(bundle.path().join("source")).unwrap();
    fs::write(bundle.path().join("source/file"), "content").unwrap();
    bundle.mount(json!({ "destination": "/mnt", "source": "source", "options": ["bind"] }));
    bundle.config["process"]["args"][2] = "cat /mnt/file".into();
    assert_eq!(bundle.run(), "content");
    // Further processes enter it as well.
    bundle.config["process"]["args"][2] = "while :; do sleep 0.05; done".into();
    bundle.config["process"]["oomScoreAdj"] = 5.into();
    bundle.config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 100 }]);
    let id = &bundle.id("a");
    bundle.ok(&["run", "-d", id]);
    let inside = bundle.ok(&[
        "exec",
        id,
        "sh",
        "-c",
        "id -u; cat /proc/self/uid_map /proc/self/oom_score_adj | tr -s ' '; ulimit -n",
    ]);
    assert_eq!(inside, "0\n 0 100000 65536\n5\n100");
    bundle.config["linux"]["uidMappings"][0]["containerID"] = 1.into();
    let text = bundle.fails(&["run", &bundle.id("x")]);
    assert!(text.contains("root is not mapped"), "{text}");
}

#[test]
fn namespaces_of_another_container() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("while :; do sleep 0.05; done");
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
    let mapping = json!([{ "containerID": 0, "hostID": 100000, "size": 65536 }]);
    bundle.config["linux"]["uidMappings"] = mapping.clone();
    bundle.config["linux"]["gidMappings"] = mapping.clone();
    std::os::unix::fs::chown(bundle.root(), Some(100000), Some(100000)).unwrap();
    let first = &bundle.id("a");
    bundle.ok(&["run", "-d", first]);
    let pid = state(&bundle, first)["pid"].to_string();
    let own = |kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string();
    let kinds = [("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"), ("network", "net"), ("user", "user")];
    let mut list: Vec<Value> =
        kinds.iter().map(|(kind, file)| json!({ "type": kind, "path": format!("/proc/{pid}/ns/{file}") })).collect();
    list.push(json!({ "type": "mount" }));
    bundle.namespaces(list.into());
    bundle.config["linux"].as_object_mut().unwrap().remove("uidMappings");
    bundle.config["linux"].as_object_mut().unwrap().remove("gidMappings");
    bundle.config["linux"]["uidMappings"] = json!([]);
    bundle.config["process"]["args"][2] =
        "for n in pid ipc uts net user; do readlink /proc/self/ns/$n; done; ps | grep -c sleep".into();
    let text = bundle.run();
    let expected: Vec<String> = kinds.iter().map(|(_, file)| own(file)).collect();
    assert!(text.starts_with(&expected.join("\n")), "{text}\n{expected:?}");
    // Only some of them, beside new ones.
    bundle.namespaces(json!([
        { "type": "pid" }, { "type": "mount" }, { "type": "network", "path": format!("/proc/{pid}/ns/net") },
        { "type": "uts", "path": format!("/proc/{pid}/ns/uts") },
    ]));
    bundle.config["process"]["args"][2] = "readlink /proc/self/ns/net; hostname; echo $$".into();
    assert_eq!(bundle.run(), format!("{}\nbox\n1", own("net")));
    // Joined before a user namespace of its own is made, which could not.
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
    bundle.config["linux"]["uidMappings"] = mapping.clone();
    bundle.config["linux"]["gidMappings"] = mapping;
    // Over the other's host name it has no power.
    bundle.config.as_object_mut().unwrap().remove("hostname");
    assert_eq!(bundle.run(), format!("{}\nbox\n1", own("net")));
    bundle.namespaces(json!([{ "type": "mount" }, { "type": "network", "path": "/proc/version" }]));
    assert!(bundle.fails(&["run", &bundle.id("x")]).contains("/proc/version is not a namespace"));
}

#[test]
fn a_pid_namespace_joined_for_the_children() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("while :; do sleep 0.05; done");
    let first = &bundle.id("a");
    bundle.ok(&["run", "-d", first]);
    let pid = state(&bundle, first)["pid"].to_string();
    bundle.namespaces(json!([{ "type": "mount" }, { "type": "pid", "path": format!("/proc/{pid}/ns/pid") }]));
    bundle.config.as_object_mut().unwrap().remove("hostname");
    bundle.config["process"]["args"][2] = "readlink /proc/self/ns/pid; ps | grep -c 'sleep 0.05'".into();
    let own = fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap().display().to_string();
    assert!(bundle.run().starts_with(&own));
}

#[test]
fn clocks_of_a_time_namespace() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("cat /proc/uptime; readlink /proc/self/ns/time");
    bundle.config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 1000000 }, "monotonic": { "secs": 5 } });
    assert!(
        bundle.fails(&["run", &bundle.id("x")]).contains("timeOffsets is set, but the container has no time namespace")
    );
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "time" }));
    let text = bundle.run();
    let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
    let host: f64 = fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((999_900.0..1_000_100.0).contains(&(uptime - host)), "{uptime} {host}");
    let own = fs::read_link("/proc/self/ns/time").unwrap().display().to_string();
    assert!(!text.contains(&own));
    bundle.config["process"]["args"][2] = "while :; do sleep 0.05; done".into();
    let id = &bundle.id("a");
    bundle.ok(&["run", "-d", id]);
    let inside = bundle.ok(&["exec", id, "cat", "/proc/uptime"]);
    assert!(inside.split(' ').next().unwrap().parse::<f64>().unwrap() > 999_000.0, "{inside}");
}

#[test]
fn kernel_settings_of_its_own_namespaces_only() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new(
        "cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/shmmni; hostname; cat /proc/sys/kernel/domainname",
    );
    bundle.config["linux"]["sysctl"] = json!({ "net.ipv4.ip_default_ttl": "33", "kernel.shmmni": "77" });
    bundle.config["domainname"] = "example".into();
    assert_eq!(bundle.run(), "33\n77\nbox\nexample");
    for (name, text) in [
        ("kernel.panic", "belongs to the host"),
        ("kernel.domainname", "x"),
        ("net.ipv4.no_such_thing", "cannot set sysctl net.ipv4.no_such_thing"),
        ("net.ipv4.ip_default_ttl", "cannot set sysctl"),
    ] {
        bundle.config["linux"]["sysctl"] = json!({ name: "not a number" });
        if text != "x" {
            assert!(bundle.fails(&["run", &bundle.id("x")]).contains(text), "{name}");
        }
    }
    bundle.config["linux"]["sysctl"] = json!({ "net.ipv4.ip_default_ttl": "33" });
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "network");
    assert!(bundle.fails(&["run", &bundle.id("x")]).contains("needs a net namespace"));
}

#[test]
fn the_hosts_namespaces_where_none_are_asked_for() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("for n in pid ipc uts net user cgroup; do readlink /proc/self/ns/$n; done");
    bundle.namespaces(json!([{ "type": "mount" }]));
    bundle.config.as_object_mut().unwrap().remove("hostname");
    let own = ["pid", "ipc", "uts", "net", "user", "cgroup"]
        .map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string());
    assert_eq!(bundle.run(), own.join("\n"));
    bundle.namespaces(json!([]));
    assert!(bundle.fails(&["run", &bundle.id("x")]).contains("without a mount namespace"));
    bundle.namespaces(json!([{ "type": "mount" }, { "type": "mount" }]));
    assert!(bundle.fails(&["run", &bundle.id("x")]).contains("names the mnt namespace twice"));
}

#[test]
fn a_user_without_any_privilege() {
    use std::os::unix::process::CommandExt;
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("id -u; cat /file; echo x >/dev/null; while :; do sleep 0.05; done");
    bundle.config["linux"]["namespaces"] =
        ["pid", "mount", "ipc", "uts", "user"].iter().map(|kind| json!({ "type": kind })).collect();
    let mapping = json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]);
    bundle.config["linux"]["uidMappings"] = mapping.clone();
    bundle.config["linux"]["gidMappings"] = mapping;
    // Another network's /sys cannot be mounted, so the host's is bound.
    bundle.mount(json!({ "destination": "/file", "source": "source", "options": ["bind", "ro"] }));
    fs::write(bundle.path().join("source"), "content\n").unwrap();
    // The folder of the build may be closed to others.
    let program = bundle.path().join("moonshell");
    fs::copy(env!("CARGO_BIN_EXE_moonshell"), &program).unwrap();
    let run = |arguments: &[&str]| {
        // Writes the specification.
        let mut command = bundle.command(arguments);
        let owned = std::process::Command::new("chown").args(["-R", "1000:1000"]).arg(bundle.path()).status();
        assert!(owned.unwrap().success());
        let (out, err) = (bundle.path().join("user-out"), bundle.path().join("user-err"));
        let mut own = std::process::Command::new(&program);
        own.args(command.get_args()).current_dir(bundle.path()).stdin(std::process::Stdio::null()).uid(1000).gid(1000);
        let file = |path: &std::path::Path| fs::File::create(path).unwrap();
        command.stdout(file(&out)).stderr(file(&err));
        let status = own.stdout(file(&out)).stderr(file(&err)).status().unwrap();
        let text = |path: &std::path::Path| fs::read_to_string(path).unwrap();
        assert!(status.success(), "{arguments:?}: {}", text(&err));
        text(&out)
    };
    let id = &bundle.id("user");
    run(&["run", "-d", id]);
    bundle.wait_for("user-out");
    let seen = run(&["exec", id, "sh", "-c", "id -u; cat /file; cat /proc/self/uid_map | tr -s ' '"]);
    assert_eq!(seen, "0\ncontent\n 0 1000 1\n");
    run(&["kill", id, "KILL"]);
    bundle.wait_status(id, "stopped");
    run(&["delete", id]);
}
