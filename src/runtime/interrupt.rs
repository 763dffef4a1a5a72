//! Stops Lua code that runs when a signal arrives. The one file outside the engine that needs `unsafe`.
//!
//! A hook that is always installed makes loops 2.3 times slower, whatever its interval, so none is: the signal
//! handler installs it, as the reference interpreter does, on the coroutine that runs at that moment. The prelude
//! tells which that is (`enter`, `leave` around every resume).
//!
//! The hook suspends the coroutine where it can be suspended; the prelude then closes everything, and no `pcall`
//! can prevent it. Elsewhere (a sort comparator, say) it first waits for Lua to come back to where it can be
//! suspended. Code that does not come back gets an error, and from then on everything counts as clean-up for a
//! while, so that the `<close>` handlers the error runs are not cut short. A second signal ends the process at once.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use mlua::{Lua, Table, ffi};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::engine::cancel::Cancel;

/// The coroutine that runs now; null while no Lua code does.
static CURRENT: AtomicPtr<ffi::lua_State> = AtomicPtr::new(ptr::null_mut());
/// The program has been asked to end, by a signal or by `os.exit`.
static STOPPING: AtomicBool = AtomicBool::new(false);
/// How many clean-ups are running: they are not to be interrupted.
static MASKED: AtomicUsize = AtomicUsize::new(0);
/// An error is on its way out of code that could not be suspended; what runs is clean-up.
static UNWINDING: AtomicBool = AtomicBool::new(false);
/// Instructions the hook still lets pass.
static PATIENCE: AtomicUsize = AtomicUsize::new(0);
/// Instructions code that cannot be suspended gets to come back, and clean-up gets to end: a fraction of a second.
const ENOUGH: usize = 2_000_000;
/// The first signal that arrived, or 0.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// At the prompt Ctrl-C never ends the session.
static PROMPT: AtomicBool = AtomicBool::new(false);
/// The prompt waits for a line.
static INPUT: AtomicBool = AtomicBool::new(false);
/// Signals belong to a container in the foreground.
static PASSED_ON: AtomicBool = AtomicBool::new(false);
/// The thread that runs Lua: only it may touch a Lua state, also in a signal handler.
static LUA_THREAD: AtomicU64 = AtomicU64::new(0);

/// Handles SIGINT and SIGTERM from now on: the first cancels `token` and stops Lua, the second ends the process with
/// the status a shell reports for it. To be called once, in the thread that runs Lua.
///
/// # Errors
/// When the handlers or the thread cannot be made.
pub fn install(token: Cancel) -> std::io::Result<()> {
    // SAFETY: pthread_self has no preconditions.
    LUA_THREAD.store(unsafe { libc::pthread_self() } as u64, Ordering::SeqCst);
    for signal in [SIGINT, SIGTERM] {
        // SAFETY: the handler only uses atomics, pthread_self, pthread_kill, _exit and lua_sethook, all safe to call
        // in a signal handler.
        unsafe { signal_hook::low_level::register(signal, move || handle(signal)) }?;
    }
    // Cancelling takes a lock and runs callbacks, which a handler must not do.
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let terminal = rustix::termios::tcgetattr(std::io::stdin()).ok();
    let cancel = move || {
        for signal in signals.forever() {
            if signal == SIGTERM && INPUT.load(Ordering::SeqCst) {
                if let Some(terminal) = &terminal {
                    // The line editor's settings must not outlive it; if that fails nothing else can be done.
                    let _ =
                        rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, terminal);
                }
                // SAFETY: _exit has no preconditions.
                unsafe { libc::_exit(128 + signal) };
            }
            if !PASSED_ON.load(Ordering::SeqCst) {
                token.cancel();
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).stack_size(128 << 10).spawn(cancel)?;
    Ok(())
}

fn handle(signal: c_int) {
    let lua_thread = LUA_THREAD.load(Ordering::SeqCst);
    // SAFETY: both calls are async-signal-safe; the Lua thread is the main thread and lives as long as the process.
    unsafe {
        if libc::pthread_self() as u64 != lua_thread {
            libc::pthread_kill(lua_thread as libc::pthread_t, signal);
            return;
        }
    }
    if PASSED_ON.load(Ordering::SeqCst) {
        return;
    }
    let first = SIGNAL.swap(signal, Ordering::SeqCst) == 0;
    if !first && (signal != SIGINT || !PROMPT.load(Ordering::SeqCst)) {
        // SAFETY: _exit is async-signal-safe.
        unsafe { libc::_exit(128 + signal) };
    }
    stop();
    let current = CURRENT.load(Ordering::SeqCst);
    if !current.is_null() && MASKED.load(Ordering::SeqCst) == 0 {
        // SAFETY: CURRENT is the coroutine this very thread runs, kept alive by running; lua_sethook is the one Lua
        // function that may be called asynchronously.
        unsafe { set(current) };
    }
}

/// Installs the hook.
///
/// # Safety
/// `state` must be a live coroutine of the calling thread.
unsafe fn set(state: *mut ffi::lua_State) {
    // SAFETY: as this function's contract.
    unsafe { ffi::lua_sethook(state, Some(hook), ffi::LUA_MASKCOUNT, 1) };
}

fn hooked() -> bool {
    STOPPING.load(Ordering::SeqCst) && MASKED.load(Ordering::SeqCst) == 0
}

fn wanted() -> bool {
    hooked() && !UNWINDING.load(Ordering::SeqCst)
}

/// Counts an instruction; true when there have been enough.
fn impatient() -> bool {
    let left = PATIENCE.load(Ordering::Relaxed);
    PATIENCE.store(left.saturating_sub(1), Ordering::Relaxed);
    left == 0
}

/// An error starts on its way out of code that cannot be suspended.
fn unwind() {
    PATIENCE.store(ENOUGH, Ordering::SeqCst);
    UNWINDING.store(true, Ordering::SeqCst);
}

unsafe extern "C-unwind" fn hook(state: *mut ffi::lua_State, info: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls the hook with the running coroutine and a valid record. Nothing here has a destructor, so
    // lua_error may leave by a long jump; lua_yield without values is what a count hook may do.
    unsafe {
        if !hooked() {
            ffi::lua_sethook(state, None, 0, 0);
            return;
        }
        if UNWINDING.load(Ordering::SeqCst) {
            if !impatient() {
                return;
            }
            UNWINDING.store(false, Ordering::SeqCst);
        }
        // The prelude asks by itself whether to stop, at places where nothing is half done.
        ffi::lua_getinfo(state, c"S".as_ptr(), info);
        if CStr::from_ptr((*info).source).to_bytes().starts_with(b"=[moonshell") {
            return;
        }
        if ffi::lua_isyieldable(state) != 0 {
            ffi::lua_yield(state, 0);
        } else if impatient() {
            unwind();
            ffi::lua_pushstring(state, c"interrupted".as_ptr());
            ffi::lua_error(state);
        }
    }
}

/// `enter(co)`: `co` is about to be resumed or closed.
unsafe extern "C-unwind" fn enter(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: called by Lua; lua_tothread gives null for anything but a coroutine.
    unsafe {
        let co = ffi::lua_tothread(state, 1);
        if !co.is_null() {
            CURRENT.store(co, Ordering::SeqCst);
            if wanted() {
                set(co);
            }
        }
    }
    0
}

/// `leave()`: the calling coroutine runs again. Returns whether the program is to end.
unsafe extern "C-unwind" fn leave(state: *mut ffi::lua_State) -> c_int {
    CURRENT.store(state, Ordering::SeqCst);
    let stop = wanted();
    // SAFETY: called by Lua with the running coroutine.
    unsafe {
        if stop {
            set(state);
        }
        ffi::lua_pushboolean(state, stop.into());
    }
    1
}

/// `unwind()`: an error ends code that cannot be suspended; the hook takes over when that takes too long.
unsafe extern "C-unwind" fn arm_unwind(state: *mut ffi::lua_State) -> c_int {
    unwind();
    // SAFETY: called by Lua with the running coroutine.
    unsafe { set(state) };
    0
}

/// `arm()`: installs the hook on the calling coroutine, if the program is to end.
unsafe extern "C-unwind" fn arm(state: *mut ffi::lua_State) -> c_int {
    if !wanted() {
        return 0;
    }
    // SAFETY: called by Lua with the running coroutine.
    unsafe { set(state) };
    0
}

/// `disarm(co)`: takes the hook off `co`, so that its clean-up runs undisturbed.
unsafe extern "C-unwind" fn disarm(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: called by Lua; lua_tothread gives null for anything but a coroutine.
    unsafe {
        let co = ffi::lua_tothread(state, 1);
        if !co.is_null() {
            ffi::lua_sethook(co, None, 0, 0);
        }
    }
    0
}

/// Puts the functions above into `native`.
///
/// # Errors
/// When memory is short.
pub fn bind(lua: &Lua, native: &Table) -> mlua::Result<()> {
    let functions: [(&str, ffi::lua_CFunction); 5] =
        [("enter", enter), ("leave", leave), ("arm", arm), ("unwind", arm_unwind), ("disarm", disarm)];
    for (name, function) in functions {
        // SAFETY: each keeps Lua's calling convention: it returns the number of values it pushed.
        native.raw_set(name, unsafe { lua.create_c_function(function)? })?;
    }
    Ok(())
}

/// No Lua code runs any more.
pub fn idle() {
    CURRENT.store(ptr::null_mut(), Ordering::SeqCst);
}

/// Asks the program to end, as `os.exit` does.
pub fn stop() {
    PATIENCE.store(ENOUGH, Ordering::SeqCst);
    STOPPING.store(true, Ordering::SeqCst);
}

/// True when the program is to end and no clean-up is running.
pub fn stopping() -> bool {
    wanted()
}

/// True while an error leaves code that could not be suspended: its clean-up may use the engine.
pub fn unwinding() -> bool {
    UNWINDING.load(Ordering::SeqCst)
}

/// The signal that asked the program to end.
pub fn signal() -> Option<i32> {
    Some(SIGNAL.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
}

/// Starts a clean-up that is not to be interrupted.
pub fn mask() {
    MASKED.fetch_add(1, Ordering::SeqCst);
}

/// Ends it.
pub fn unmask() {
    MASKED.fetch_sub(1, Ordering::SeqCst);
}

/// While `yes`, signals are somebody else's business.
pub fn pass_on(yes: bool) {
    PASSED_ON.store(yes, Ordering::SeqCst);
}

/// From now on Ctrl-C ends lines, not the process.
pub fn prompt() {
    PROMPT.store(true, Ordering::SeqCst);
}

/// While the prompt waits for a line, SIGTERM ends the process.
pub fn waits_for_input(yes: bool) {
    INPUT.store(yes, Ordering::SeqCst);
}

/// Forgets what happened: the prompt goes on after an interrupted line. `token` is the one given to [`install`].
pub fn reset(token: &Cancel) {
    if signal().is_some() {
        // The other thread may not have cancelled it yet: it must not do so in the middle of the next line.
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(token.fd(), rustix::event::PollFlags::IN)];
        let limit = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
        while rustix::event::poll(&mut fds, Some(&limit)) == Err(rustix::io::Errno::INTR) {}
    }
    token.reset();
    SIGNAL.store(0, Ordering::SeqCst);
    STOPPING.store(false, Ordering::SeqCst);
    UNWINDING.store(false, Ordering::SeqCst);
}
