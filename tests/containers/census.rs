//! What is on the host because of a state folder: mounts, control groups, processes, files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where containers leave something.
const FOLDERS: [&str; 6] = ["containers", "names", "run", "volumes", "tmp", "locks"];

/// One look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    mounts: Vec<String>,
    cgroups: Vec<String>,
    processes: Vec<String>,
    files: Vec<String>,
}

impl Census {
    /// Looks.
    pub fn take(root: &Path) -> Census {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let inside = format!("{}/", root.display());
        let mounts = table.lines().filter(|line| line.contains(&inside)).map(String::from).collect();
        let processes = users(root).into_iter().map(|(pid, name)| format!("{pid} {name}")).collect();
        let mut files = Vec::new();
        for folder in FOLDERS {
            files.extend(names(&root.join(folder)).into_iter().map(|name| format!("{folder}/{name}")));
        }
        Census { mounts, cgroups: cgroups(root), processes, files }
    }

    /// True when no process is at work.
    pub fn is_at_rest(&self) -> bool {
        self.processes.is_empty()
    }
}

/// The names in a folder, sorted; none if it is not there.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The control groups of all containers the folder ever had.
fn cgroups(root: &Path) -> Vec<String> {
    let ids: BTreeSet<String> = ["events.log.1", "events.log"]
        .iter()
        .flat_map(|name| {
            fs::read_to_string(root.join(name)).unwrap_or_default().lines().map(String::from).collect::<Vec<_>>()
        })
        .filter_map(|line| Some(serde_json::from_str::<serde_json::Value>(&line).ok()?["id"].as_str()?.to_string()))
        .collect();
    let mut found = Vec::new();
    for hierarchy in names(Path::new("/sys/fs/cgroup")).iter().map(String::as_str).chain([""]) {
        let folder = Path::new("/sys/fs/cgroup").join(hierarchy).join("moonshell");
        found.extend(
            names(&folder).into_iter().filter(|name| ids.contains(name)).map(|name| format!("{hierarchy}/{name}")),
        );
    }
    found
}

/// The processes, but for this one, that have something of the folder open, or their root file system in it.
pub fn users(root: &Path) -> Vec<(i32, String)> {
    let inside = format!("{}/", root.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if pid == std::process::id() as i32 {
            continue;
        }
        let open = fs::read_dir(entry.path().join("fd")).is_ok_and(|fds| {
            fds.flatten()
                .filter_map(|fd| fs::read_link(fd.path()).ok())
                .any(|target| target.to_string_lossy().starts_with(&inside))
        });
        let rooted = || fs::read_to_string(entry.path().join("mountinfo")).is_ok_and(|table| table.contains(&inside));
        if open || rooted() {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push((pid, name.trim().to_string()));
        }
    }
    found
}
