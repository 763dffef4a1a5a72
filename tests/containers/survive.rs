//! Who outlives whom: containers in the background their creators, those in the foreground nobody.

use rustix::process::Signal;

use crate::stand::Stand;

/// Prints what the container `c` is doing.
const LOOK: &str = "local c = container.get('c1') print(c.status, c:out('echo inside'))";

#[test]
fn a_container_goes_on_when_its_creator_ends_or_is_killed() {
    let stand = Stand::new();
    stand.ok("container.start('bb:1', 'sleep 1000', {name='c1'})");
    assert_eq!(stand.ok(LOOK), "running\tinside\n");
    stand.ok("container.get('c1'):remove{force=true}");
    let creator =
        stand.start("container.start('bb:1', 'sleep 1000', {name='c1'}) print('up') io.flush() host.run('sleep 1000')");
    creator.until_printed("up\n");
    creator.signal(Signal::KILL);
    assert_eq!(creator.end().status, 137);
    assert_eq!(stand.ok(LOOK), "running\tinside\n");
    // One that has left its creator has left its terminal, folder and standard streams, too.
    let monitor = stand.monitors()[0];
    for fd in 0..3 {
        let target = std::fs::read_link(format!("/proc/{monitor}/fd/{fd}")).unwrap_or_default();
        assert!(!target.to_string_lossy().contains("/out"), "{}", target.display());
    }
    assert_eq!(std::fs::read_link(format!("/proc/{monitor}/cwd")).unwrap().to_str(), Some("/"));
    stand.ok("container.get('c1'):stop{timeout=0}");
    assert_eq!(stand.ok("print(container.get('c1').exit_code)"), "137\n");
}

#[test]
fn a_killed_foreground_takes_its_container_along() {
    let stand = Stand::new();
    let before = stand.census();
    for how in ["", ", {memory='64m', volumes={'/data'}}", ", {rm=false, name='kept'}"] {
        let code = format!("container.run('bb:1', 'echo up; sleep 4321; echo over'{how})");
        let run = stand.start(&code);
        run.until_printed("up\n");
        run.signal(Signal::KILL);
        assert_eq!(run.end().status, 137);
        if how.contains("kept") {
            let state = "local c = container.get('kept') print(c:wait(), c.status, c.error) c:remove()";
            assert_eq!(stand.ok(state), "137\texited\tnil\n");
        }
        stand.check_same(&before);
    }
}

#[test]
fn a_restarted_host_is_told_and_policies_are_followed() {
    let stand = Stand::new();
    stand.ok(
        "for name, policy in pairs{no='no', fail='on-failure', always='always', unless='unless-stopped', stopped='unless-stopped'} do
            container.start('bb:1', 'sleep 1000', {name=name .. '-1', restart=policy})
        end
        container.get('stopped-1'):stop{timeout=0}
        container.create('bb:1', 'sleep 1000', {name='fresh', restart='always'})",
    );
    // As after a power cut: nobody runs, no lock is held, the boot is another one.
    for monitor in stand.monitors() {
        rustix::process::kill_process(rustix::process::Pid::from_raw(monitor).unwrap(), Signal::KILL).unwrap();
    }
    crate::stand::until("the end of all", || stand.census().is_at_rest());
    for id in crate::census::names(&stand.root().join("containers")) {
        let path = stand.root().join("containers").join(id).join("state.json");
        if let Ok(text) = std::fs::read_to_string(&path) {
            let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
            state["boot"] = "another".into();
            std::fs::write(&path, state.to_string()).unwrap();
        }
    }
    for name in crate::census::names(&stand.root().join("run")) {
        std::fs::remove_file(stand.root().join("run").join(name)).unwrap();
    }
    let look = "for _, name in ipairs{'always-1', 'fail-1', 'fresh', 'no-1', 'stopped-1', 'unless-1'} do
        local c = container.get(name) print(name, c.status, c.exit_code, c.error) end";
    let down = "always-1\texited\t255\tthe host was restarted\nfail-1\texited\t255\tthe host was restarted\nfresh\tcreated\t0\tnil\n\
                no-1\texited\t255\tthe host was restarted\nstopped-1\texited\t137\tnil\nunless-1\texited\t255\tthe host was restarted\n";
    assert_eq!(stand.ok("print(#container.list())"), "0\n");
    assert_eq!(stand.ok(look), down);
    assert_eq!(stand.ok("local n = container.boot() table.sort(n) print(table.concat(n, ' '))"), "always-1 unless-1\n");
    assert_eq!(stand.ok("print(#container.list())"), "2\n");
    assert_eq!(stand.ok("print(#container.boot())"), "0\n");
}
