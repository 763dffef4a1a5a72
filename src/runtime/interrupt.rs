//! Stops Lua code that runs when a signal arrives. The one file outside the engine that needs `unsafe`.
//!
//! A hook that is always installed makes loops 2.3 times slower, whatever its interval, so none is: the signal
//! handler installs it, as the reference interpreter does, on the coroutine that runs at that moment. The prelude
//! tells which that is (`enter`, `leave` around every resume).
//!
//! The hook suspends the coroutine where it can be suspended; the prelude then closes everything, and no `pcall`
//! can prevent it. Elsewhere (a sort comparator, say) it raises, until Lua is back where it can be suspended. A
//! second signal ends the process at once.
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
/// The first signal that arrived, or 0.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
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
    let cancel = move || signals.forever().for_each(|_| token.cancel());
    std::thread::Builder::new().name("signals".into()).stack_size(64 << 10).spawn(cancel)?;
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
    if SIGNAL.swap(signal, Ordering::SeqCst) != 0 {
        // SAFETY: _exit is async-signal-safe.
        unsafe { libc::_exit(128 + signal) };
    }
    STOPPING.store(true, Ordering::SeqCst);
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

fn wanted() -> bool {
    STOPPING.load(Ordering::SeqCst) && MASKED.load(Ordering::SeqCst) == 0
}

unsafe extern "C-unwind" fn hook(state: *mut ffi::lua_State, info: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls the hook with the running coroutine and a valid record. Nothing here has a destructor, so
    // lua_error may leave by a long jump; lua_yield without values is what a count hook may do.
    unsafe {
        if !wanted() {
            ffi::lua_sethook(state, None, 0, 0);
            return;
        }
        // The prelude asks by itself whether to stop, at places where nothing is half done.
        ffi::lua_getinfo(state, c"S".as_ptr(), info);
        if CStr::from_ptr((*info).source).to_bytes().starts_with(b"=[moonshell") {
            return;
        }
        if ffi::lua_isyieldable(state) != 0 {
            ffi::lua_yield(state, 0);
        } else {
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

/// `arm()`: installs the hook on the calling coroutine.
unsafe extern "C-unwind" fn arm(state: *mut ffi::lua_State) -> c_int {
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
    let functions: [(&str, ffi::lua_CFunction); 4] =
        [("enter", enter), ("leave", leave), ("arm", arm), ("disarm", disarm)];
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
    STOPPING.store(true, Ordering::SeqCst);
}

/// True when the program is to end and no clean-up is running.
pub fn stopping() -> bool {
    wanted()
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

/// Forgets what happened: the prompt goes on after an interrupted line.
pub fn reset() {
    SIGNAL.store(0, Ordering::SeqCst);
    STOPPING.store(false, Ordering::SeqCst);
}
