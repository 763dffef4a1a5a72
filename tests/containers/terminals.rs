//! Containers with a terminal, on a terminal.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::stand::{Run, Stand, until};
use crate::terminal::Terminal;

const SHELL: &str = "container.run('bb:1', {'sh'}, {tty=true, interactive=true, name='c1', rm=RM, check=false})";

fn shell(rm: bool) -> String {
    SHELL.replace("RM", if rm { "true" } else { "false" })
}

#[test]
fn a_shell_on_a_terminal() {
    let stand = Stand::new();
    let terminal = Terminal::new();
    let run = terminal.start(&stand, &format!("os.exit({}.exit_code)", shell(true)));
    terminal.until("# ");
    assert!(terminal.is_raw());
    terminal.type_in("stty size; tty; echo $TERM-$((40 + 2))\r");
    terminal.until("xterm-42");
    assert!(terminal.screen().contains("33 77\r\n/dev/pts/0\r\n"), "{}", terminal.screen());
    terminal.resize(11, 22);
    until("the new size", || {
        terminal.type_in("stty size\r");
        terminal.screen().contains("11 22\r\n")
    });
    // Ctrl-C is the container's.
    terminal.type_in("sleep 1000\r");
    until("the sleep", || stand.ok("print((container.get('c1'):out('ps')):find('sleep 1000') ~= nil)") == "true\n");
    terminal.type_in("\x03");
    terminal.type_in("echo alive-$((1 + 1))\r");
    terminal.until("alive-2");
    terminal.type_in("exit 5\r");
    assert_eq!(terminal.end(run).status, 5);
}

/// The shell of a state, here of one that a failed step left: the usual one, on the terminal, and it forgets.
#[test]
fn a_shell_in_a_state() {
    let stand = Stand::new();
    let terminal = Terminal::new();
    let code = "local s = build.from 'bb:1' local e = select(2, pcall(s.run, s, 'echo half > /left; exit 1'))
        local status = e.state:shell{mounts={'type=cache,target=/c'}}
        io.stdout:write('status-', status, ' ', tostring(e.state:exists '/made'), ' ', e.state:out('cat /c/kept', {mounts={'type=cache,target=/c'}}))";
    let run = terminal.start(&stand, code);
    terminal.until("# ");
    assert!(terminal.is_raw());
    terminal.type_in("stty size; tty; cat /left; echo x > /made; echo $((40 + 2)) > /c/kept\r");
    terminal.until("half");
    assert!(terminal.screen().contains("33 77\r\n/dev/pts/0\r\n"), "{}", terminal.screen());
    // Ctrl-C is the shell's; before the command runs it would be a letter of the line.
    terminal.type_in("echo asleep-$((1 + 1)); sleep 1000\r");
    terminal.until("asleep-2");
    terminal.type_in("\x03");
    terminal.type_in("echo alive-$((1 + 1))\r");
    terminal.until("alive-2");
    terminal.type_in("exit 6\r");
    terminal.until("status-6 false 42");
    assert!(!terminal.is_raw());
    assert_eq!(terminal.end(run).status, 0);
}

/// `moonshell build --on-error shell`: a shell where the step failed; the build has failed all the same.
#[test]
fn a_shell_where_a_build_fails() {
    let stand = Stand::new();
    let file = stand.dir.path().join("Dockerfile");
    std::fs::write(
        &file,
        "FROM bb:1 AS one\nENV KEPT=yes\nRUN echo half > /left; exit 7\nFROM bb:1\nCOPY --from=one /left /\n",
    )
    .unwrap();
    let folder = stand.dir.path().display().to_string();
    let words = ["build", "--on-error", "shell", &folder];
    let terminal = Terminal::new();
    let run = terminal.start_program(stand.program(&words));
    terminal.until("# ");
    assert!(terminal.is_raw());
    assert!(terminal.screen().contains("Dockerfile:3: command exited with code 7"), "{}", terminal.screen());
    terminal.type_in("cat /left; echo $KEPT-$((40 + 2))\r");
    terminal.until("half\r\n");
    terminal.until("yes-42");
    terminal.type_in("exit 0\r");
    assert_eq!(terminal.end(run).status, 1);
    // Without a terminal it says why there is no shell, and what failed.
    let ended = Run::start(stand.program(&words).stdin(Stdio::null())).end();
    assert_eq!(ended.status, 1);
    assert!(ended.err.contains("--on-error shell opens no shell"), "{}", ended.err);
    assert!(ended.err.contains("Dockerfile:3: command exited with code 7"), "{}", ended.err);
}

#[test]
fn the_terminal_is_as_before_however_it_ends() {
    let stand = Stand::new();
    for how in ["kill", "stop", "monitor", "TERM", "HUP"] {
        let terminal = Terminal::new();
        let run = terminal.start(&stand, &shell(true));
        terminal.until("# ");
        assert!(terminal.is_raw());
        match how {
            "kill" => drop(stand.ok("container.get('c1'):kill()")),
            "stop" => drop(stand.ok("container.get('c1'):stop{timeout=0}")),
            "monitor" => kill_process(Pid::from_raw(stand.monitors()[0]).unwrap(), Signal::KILL).unwrap(),
            "TERM" => run.signal(Signal::TERM),
            _ => run.signal(Signal::HUP),
        }
        println!("{how}: {:?}", terminal.end(run));
        until("the end of the container", || stand.monitors().is_empty());
        assert_eq!(stand.ok("print(container.get('c1'))"), "nil\n", "{how}");
    }
}

#[test]
fn leaving_and_coming_again() {
    let stand = Stand::new();
    let terminal = Terminal::new();
    let run = terminal.start(&stand, &shell(false));
    terminal.until("# ");
    terminal.type_in("x=kept\r");
    terminal.type_in("\x10\x11");
    assert_eq!(terminal.end(run).status, 0);
    assert_eq!(stand.ok("print(container.get('c1').status)"), "running\n");
    // Two at once, one with keys of its own.
    let (one, two) = (Terminal::new(), Terminal::new());
    let first = one.start(&stand, "print('one', container.get('c1'):attach())");
    until("raw", || one.is_raw());
    let second = two.start(&stand, "print('two', container.get('c1'):attach{detach_keys='ctrl-a,x'})");
    until("raw", || two.is_raw());
    one.type_in("echo $x-it\r");
    one.until("kept-it");
    two.until("kept-it");
    two.type_in("echo by-$((1 + 1))\r");
    one.until("by-2");
    two.type_in("\x01x");
    assert_eq!(two.end(second).status, 0);
    two.until("two\tnil");
    one.type_in("exit 4\r");
    assert_eq!(one.end(first).status, 0);
    one.until("one\t4");
    assert_eq!(stand.ok("print(container.get('c1').exit_code)"), "4\n");
}

#[test]
fn programs_inside_with_a_terminal() {
    let stand = Stand::new();
    stand.ok("container.start('bb:1', 'sleep 1000', {name='c1'})");
    let terminal = Terminal::new();
    let run = terminal.start(&stand, "print(container.get('c1'):shell())");
    terminal.until("# ");
    terminal.type_in("stty size; exit 3\r");
    assert_eq!(terminal.end(run).status, 0);
    terminal.until("33 77");
    until("the status", || terminal.screen().trim_end().ends_with("\n3"));
    let terminal = Terminal::new();
    let run = terminal.start(&stand, "container.get('c1'):exec({'sh'}, {tty=true, interactive=true})");
    terminal.until("# ");
    stand.ok("container.get('c1'):kill()");
    terminal.end(run);
}
