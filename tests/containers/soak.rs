//! Many rounds, and many at once: nothing adds up.

use std::time::Instant;

use crate::stand::Stand;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn rounds_of_create_start_exec_remove_leave_nothing() {
    let stand = Stand::new();
    let rounds = number("MOONSHELL_SOAK_ROUNDS", 100);
    let before = stand.census();
    // The engine's own descriptors and memory, too, by a single program that does it all.
    let code = format!(
        r#"
        local function open() return #fs.list("/proc/self/fd") end
        local function round()
            local c = container.create("bb:1", "sleep 1000", {{volumes={{"/data"}}, memory="64m"}})
            c:start()
            assert(c:out("echo inside") == "inside")
            c:remove{{force=true, volumes=true}}
        end
        round()
        local before, start = open(), os.time()
        for _ = 1, {rounds} do round() end
        print(before == open(), os.time() - start)
        "#
    );
    let run = Stand::start(&stand, &code);
    while !run.wait(std::time::Duration::from_secs(30)) {}
    let ended = run.end();
    assert!(ended.out.starts_with("true"), "{} {}", ended.out, ended.err);
    println!("{rounds} rounds in {} s", ended.out[4..].trim());
    stand.check_same(&before);
}

#[test]
fn many_at_once() {
    let stand = Stand::new();
    let many = number("MOONSHELL_MANY", 30);
    let before = stand.census();
    let code = format!(
        r#"
        local function ms(f) local t = host.time and host.time() or os.clock() f() return ((host.time and host.time() or os.clock()) - t) * 1000 end
        for n = 1, {many} do container.start("bb:1", "sleep 1000", {{name="many-" .. n}}) print("started") io.flush() end
        "#
    );
    let run = stand.start(&code);
    let mut times = Vec::new();
    let mut last = Instant::now();
    for n in 1..=many {
        crate::stand::until("a start", || run.out().lines().count() >= n);
        times.push(last.elapsed());
        last = Instant::now();
    }
    assert_eq!(run.end().status, 0);
    let mean = |part: &[std::time::Duration]| part.iter().sum::<std::time::Duration>() / part.len() as u32;
    let few = many.min(20) / 2;
    println!(
        "{many} at once: first {few} starts {:?} each, last {few} {:?} each",
        mean(&times[1..=few]),
        mean(&times[many - few..])
    );
    let start = Instant::now();
    assert_eq!(stand.ok("print(#container.list())"), format!("{many}\n"));
    println!("listed in {:?}", start.elapsed());
    assert_eq!(stand.monitors().len(), many);
    let start = Instant::now();
    stand.ok("for _, c in ipairs(container.list()) do c:stop{timeout=0} end print(container.prune().bytes)");
    println!("stopped and removed in {:?}", start.elapsed());
    stand.check_same(&before);
}
