//! A container on a full disk goes on, and its end is told truthfully.

use crate::stand::{Stand, until};
use crate::support::run;

/// A memory file system of the test's own.
struct Disk(tempfile::TempDir);

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").args(["-l"]).arg(self.0.path()).status();
    }
}

#[test]
fn a_container_outlives_a_full_disk() {
    let disk = Disk(tempfile::tempdir().unwrap());
    let path = disk.0.path().to_str().unwrap();
    run("mount", &["-t", "tmpfs", "-o", "size=40m", "tmpfs", path]);
    let stand = Stand::at(tempfile::tempdir().unwrap(), disk.0.path().join("state"));
    stand.ok(
        "container.start('bb:1', 'echo before; while ! [ -e /dev/shm/go ]; do sleep 0.05; done; yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 50000000; touch /dev/shm/done; \
            while ! [ -e /dev/shm/more ]; do sleep 0.05; done; echo after; while :; do sleep 1; done', {name='c1'})
        container.get('c1'):exec('touch /dev/shm/go; while ! [ -e /dev/shm/done ]; do sleep 0.05; done')",
    );
    let left = || rustix::fs::statvfs(disk.0.path()).map(|stat| stat.f_bavail).unwrap();
    assert!(left() < 4, "{} blocks", left());
    // It runs, programs run in it, and there is room again for its log.
    assert_eq!(stand.ok("local c = container.get('c1') print(c.status, c:out('echo inside'))"), "running\tinside\n");
    run("mount", &["-o", "remount,size=80m", path]);
    stand.ok("container.get('c1'):exec('touch /dev/shm/more')");
    until("the line after", || {
        stand.ok("for line in container.get('c1'):logs{tail=1} do print(line) end") == "after\n"
    });
    // Full again at its end.
    run("mount", &["-o", "remount,size=40m", path]);
    stand.run("container.get('c1'):stop{timeout=0}");
    until("its end", || stand.monitors().is_empty());
    let told = stand.ok("local c = container.get('c1') print(c.status, c.exit_code, c.pid)");
    assert_eq!(told, "exited\t137\t0\n");
    run("mount", &["-o", "remount,size=80m", path]);
    stand.ok("local c = container.get('c1') c:start() assert(c.status == 'running') c:remove{force=true}");
}
