//! The prompt, through a pseudo-terminal. No sleeps: each step waits for what must appear.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use nix::pty::{Winsize, openpty};

#[path = "support/engine.rs"]
#[allow(dead_code)]
mod engine;
#[path = "support/home.rs"]
mod home;

const PROMPT: &str = "moonshell> ";
const LIMIT: Duration = Duration::from_secs(30);

struct Session {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Session {
    fn start(home: &Path, color: bool) -> Session {
        let size = Winsize { ws_row: 40, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        // A program that holds its own terminal's other end would never see it close.
        for fd in [&pty.master, &pty.slave] {
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_moonshell"));
        command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
        command.env("MOONSHELL_ROOT", home.join("root")).current_dir(home);
        if !color {
            command.env("NO_COLOR", "1");
        }
        let end = |fd: &OwnedFd| File::from(fd.try_clone().unwrap());
        command.stdin(end(&pty.slave)).stdout(end(&pty.slave)).stderr(end(&pty.slave));
        // The terminal belongs to the program's own session, so that Ctrl-C reaches it as a signal.
        let setsid = ["setsid", "--ctty", "--wait"];
        let program = command.get_program().to_os_string();
        let mut wrapped = Command::new(setsid[0]);
        wrapped.args(&setsid[1..]).arg(program).env_clear().current_dir(home);
        wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        wrapped.stdin(end(&pty.slave)).stdout(end(&pty.slave)).stderr(end(&pty.slave));
        // setsid forks only when it leads a group.
        wrapped.process_group(0);
        let child = wrapped.spawn().unwrap();
        drop(command);
        drop(wrapped);
        drop(pty.slave);
        let mut reader = File::from(pty.master.try_clone().unwrap());
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO: the program has closed the terminal.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Session { child, keyboard: File::from(pty.master), screen, seen: String::new() }
    }

    /// Waits until `text` appears and returns what came before it.
    fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let before = self.seen[..at].to_string();
                self.seen.drain(..at + text.len());
                return before;
            }
            match self.screen.recv_timeout(LIMIT) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => panic!("waited for {text:?}, have {:?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("ended before {text:?}: {:?}", self.seen),
            }
        }
    }

    fn keys(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Types a line and returns what it prints: the text between the line's echo and the next prompt.
    fn line(&mut self, text: &str) -> String {
        self.keys(text);
        self.keys("\r");
        // The editor redraws while typing; output starts after it turns bracketed paste off.
        self.until("\x1b[?2004l");
        let output = self.until(PROMPT);
        // What the editor does to the screen is not output.
        let editing = ["\x1b[?2004h", "\x1b[?2026h", "\x1b[?2026l", "\x1b[K", "\r"];
        let output = editing.iter().fold(output, |text, sequence| text.replace(sequence, ""));
        output.trim_matches('\n').to_string()
    }

    /// Ctrl-C, and waits for a fresh prompt: the editor repaints the old one while it edits.
    fn drop_line(&mut self) {
        self.keys("\x03");
        self.until("\x1b[?2004l");
        self.until(PROMPT);
    }

    /// Ctrl-D on an empty line; returns the exit status.
    fn end(mut self) -> i32 {
        self.keys("\x04");
        self.child.wait().unwrap().code().unwrap()
    }
}

fn session(home: &Path) -> Session {
    let mut session = Session::start(home, false);
    let greeting = session.until(PROMPT);
    assert!(greeting.contains("help() explains"), "{greeting}");
    session
}

#[test]
fn expressions_print_statements_run_and_locals_survive() {
    let home = tempfile::tempdir().unwrap();
    let mut s = session(home.path());
    assert_eq!(s.line("1 + 1"), "2");
    assert_eq!(s.line("_ + 1"), "3");
    assert_eq!(s.line("local x <const>, y = 4"), "");
    assert_eq!(s.line("x, y"), "4\nnil");
    assert_eq!(s.line("print('printed')"), "printed");
    assert_eq!(s.line("{1, 2, a = {b = 'text'}, [true] = {}}"), "{1, 2, [true] = {}, a = {b = \"text\"}}");
    assert_eq!(s.line("{{{{{}}}}}"), "{{{{{}}}}}");
    assert_eq!(s.line("{{{{{1}}}}}"), "{{{{{...}}}}}");
    assert_eq!(s.line("local function f() return 'from f' end"), "");
    assert_eq!(s.line("f()"), "from f");
    assert_eq!(s.line("fs.write('file', 'x')"), "");
    assert_eq!(s.line("t = {} t.t = t"), "");
    assert_eq!(s.line("t"), "{t = {<loop>}}");
    assert_eq!(s.line("host.run('echo from a program')").lines().next(), Some("from a program"));
    assert_eq!(s.end(), 0);
}

#[test]
fn what_is_typed_ahead_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let mut s = session(home.path());
    // All at once: some is read together with the first line, the rest while the prompt is away.
    s.keys("x = 1\rx = x + 1\rhost.run('true') x = x + 1\rprint('x is ' .. x)\r");
    s.until("x is 3");
    s.until(PROMPT);
    assert_eq!(s.end(), 0);
}

#[test]
fn open_blocks_go_on_and_errors_do_not_end_the_session() {
    let home = tempfile::tempdir().unwrap();
    let mut s = session(home.path());
    s.keys("for i = 1, 2 do\r");
    assert_eq!(s.line("print('i', i) end"), "i\t1\ni\t2");
    assert_eq!(s.line("x = = 1"), "error: unexpected symbol near '='\n  at prompt:1");
    let text = s.line("fs.raed()");
    assert_eq!(text, "error: fs has no function 'raed'\n  at prompt:1\n  hint: did you mean 'read'?");
    assert_eq!(s.line("error({message = 'mine'})"), "error: mine\n  at prompt:1");
    assert!(s.line("fs.read?").starts_with("fs.read(path) -> string"));
    assert!(s.line("os.exit").contains("function"));
    s.keys("os.exit(5)\r");
    assert_eq!(s.child.wait().unwrap().code(), Some(5));
}

#[test]
fn control_c_drops_the_line_or_stops_the_call() {
    let home = tempfile::tempdir().unwrap();
    let mut s = session(home.path());
    s.keys("half a li");
    s.until("half a li");
    s.drop_line();
    assert_eq!(s.line("1"), "1");
    for running in
        ["while true do io.write('') end", "host.run('sleep 1000; true')", "parallel(function() while true do end end)"]
    {
        s.keys(&format!("print('READY') io.stdout:flush() {running}\r"));
        s.until("\x1b[?2004l");
        s.until("READY");
        s.keys("\x03");
        assert!(s.until(PROMPT).contains("error: interrupted"), "{running}");
        // The session is as before, and so is its cancel token.
        assert_eq!(s.line("host.out('echo alive')"), "alive");
    }
    assert_eq!(s.end(), 0);
}

#[test]
fn tab_completes() {
    let home = tempfile::tempdir().unwrap();
    let mut s = session(home.path());
    let mut completes = |typed: &str, expected: &str| {
        s.keys(typed);
        s.keys("\t");
        s.until(expected);
        s.drop_line();
    };
    completes("fs.tem", "fs.tempdir");
    completes("para", "parallel");
    completes("host.run('x', {ti", "timeout");
    completes("registry.lo", "log");
    let mut s = session(home.path());
    s.line("local d = fs.tempdir()");
    s.keys("d:re\t");
    s.until("d:remove");
    s.keys("()\r");
    s.until("\x1b[?2004l");
    s.until(PROMPT);
    s.keys("string.for\t");
    s.until("string.format");
    s.drop_line();
    assert_eq!(s.end(), 0);
}

#[test]
fn history_keeps_whole_entries_between_sessions() {
    let home = tempfile::tempdir().unwrap();
    let mut s = session(home.path());
    s.keys("function g()\r");
    s.line("return 'several lines' end");
    assert_eq!(s.end(), 0);
    assert!(home.path().join(".local/state/moonshell/history").is_file());
    let mut s = session(home.path());
    s.keys("\x1b[A\r");
    s.until("\x1b[?2004l");
    s.until(PROMPT);
    assert_eq!(s.line("g()"), "several lines");
    assert_eq!(s.end(), 0);
}

#[test]
fn colours_unless_told_otherwise() {
    let home = tempfile::tempdir().unwrap();
    let mut s = Session::start(home.path(), true);
    s.until("> ");
    s.keys("local x = 1");
    s.until("\x1b[35mlocal\x1b[0m");
    s.drop_line();
    assert_eq!(s.end(), 0);
    let mut s = session(home.path());
    s.keys("local x = 1");
    let before = s.until("= 1");
    assert!(!before.contains("\x1b[35m"), "{before:?}");
    s.drop_line();
    assert_eq!(s.end(), 0);
}

#[test]
fn commands_at_the_prompt() {
    let home = tempfile::tempdir().unwrap();
    let mut s = session(home.path());
    assert_eq!(s.line(":images --format 'table {{.ID}}'"), "IMAGE ID");
    assert_eq!(s.line(":tag nosuch \"a b\""), "error: no such image 'nosuch'");
    assert_eq!(s.line(":imgaes"), "error: no such command 'imgaes'\n  hint: did you mean ':images'?");
    assert_eq!(s.line(":tag 'x"), "error: a quotation mark is not closed");
    assert_eq!(s.line(":"), "");
    assert_eq!(s.line("1 + 1"), "2");
    assert_eq!(s.end(), 0);
}

#[test]
fn a_terminal_of_a_container_at_the_prompt() {
    let Some(home) = home::Home::with_image() else { return };
    let mut s = session(home.dir.path());
    s.keys(":run --rm -it busybox:1 sh\r");
    s.until("/ # ");
    s.keys("echo in$((3 + 4))side; stty size\r");
    s.until("in7side\r\n40 200\r\n");
    s.keys("exit 3\r");
    s.until(PROMPT);
    // The terminal is the editor's again.
    assert_eq!(s.line("1 + 1"), "2");
    assert_eq!(s.line(":run --rm busybox:1 echo hello"), "hello");
    assert_eq!(s.line(":ps -aq"), "");
    assert_eq!(s.end(), 0);
}

#[test]
fn a_build_on_a_terminal() {
    let Some(home) = home::Home::with_image() else { return };
    let mut s = session(home.dir.path());
    let gate = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gate.local_addr().unwrap().port();
    s.keys(&format!("b = build.from 'busybox:1':run 'echo half way; busybox nc 127.0.0.1 {port}; echo gone'\r"));
    s.until("\x1b[?2004l");
    // Its last line is seen while it runs, below its name.
    s.until(&format!("RUN echo half way; busybox nc 127.0.0.1 {port}; echo gone 0."));
    s.until("│ half way");
    drop(gate.accept().unwrap());
    let drawn = s.until(&format!("RUN echo half way; busybox nc 127.0.0.1 {port}; echo gone: done ("));
    assert!(!drawn.contains("| half way"), "{drawn:?}");
    s.until(PROMPT);
    // Of one that fails the output stays.
    s.keys("pcall(b.run, b, 'printf \"why\\\\033[2J \\\\ttab\"; exit 3')\r");
    s.until("; exit 3: failed (");
    s.until("│ why     tab");
    s.until(PROMPT);
    assert_eq!(s.line("1 + 1"), "2");
    assert_eq!(s.end(), 0);
}
