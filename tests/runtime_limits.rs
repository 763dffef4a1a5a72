//! The Lua state under limits that a host of untrusted code would set: what exceeds them fails with an error scripts
//! can catch, and the state stays usable.

#[path = "support/engine.rs"]
#[allow(dead_code)]
mod engine_support;

use engine_support::host;
use moonshell::runtime::{Options, Runtime};

fn runtime() -> (engine_support::Host, Runtime) {
    let host = host();
    let runtime = Runtime::new(host.engine.config().clone(), Options::default()).unwrap();
    (host, runtime)
}

#[test]
fn a_memory_limit_is_an_error_that_can_be_caught() {
    let (_host, runtime) = runtime();
    let lua = runtime.lua();
    lua.set_memory_limit(lua.used_memory() + (4 << 20)).unwrap();
    let (ok, message): (bool, String) =
        lua.load("local ok, e = pcall(string.rep, 'x', 64 * 1024 * 1024) return ok, tostring(e)").eval().unwrap();
    assert!(!ok && message.contains("not enough memory"), "{message}");
    assert_eq!(lua.load("return #string.rep('x', 1024)").eval::<usize>().unwrap(), 1024);
}

#[test]
fn an_instruction_budget_ends_a_loop_that_never_ends() {
    let (_host, runtime) = runtime();
    let lua = runtime.lua();
    let triggers = mlua::HookTriggers::new().every_nth_instruction(10_000);
    lua.set_hook(triggers, |_, _| Err(mlua::Error::RuntimeError("budget is spent".into()))).unwrap();
    let message: String =
        lua.load("local _, e = pcall(function() while true do end end) return tostring(e)").eval().unwrap();
    assert!(message.contains("budget is spent"), "{message}");
    lua.remove_hook();
    assert_eq!(lua.load("local n = 0 for i = 1, 100000 do n = n + 1 end return n").eval::<usize>().unwrap(), 100_000);
}

#[test]
fn a_state_without_libraries_still_takes_only_text() {
    let safe =
        mlua::StdLib::COROUTINE | mlua::StdLib::TABLE | mlua::StdLib::STRING | mlua::StdLib::UTF8 | mlua::StdLib::MATH;
    let lua = mlua::Lua::new_with(safe, mlua::LuaOptions::default()).unwrap();
    for name in ["io", "os", "require", "debug", "package"] {
        assert!(lua.globals().get::<mlua::Value>(name).unwrap().is_nil(), "{name}");
    }
    // Our own state has them, and refuses compiled chunks in every function that loads.
    let (_host, runtime) = runtime();
    let refused: bool = runtime
        .lua()
        .load("local chunk = string.dump(function() end) return load(chunk) == nil and not pcall(load, chunk, 'x', 'b') or load(chunk, 'x', 'b') == nil")
        .eval()
        .unwrap();
    assert!(refused);
}
