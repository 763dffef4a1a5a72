//! Many programs at once, on the same containers and on their own.

use crate::stand::Stand;

#[test]
fn eight_programs_fight_over_the_same_containers() {
    let stand = Stand::new();
    let before = stand.census();
    let code = r#"
        local rounds, seed = 40, ...
        math.randomseed(SEED)
        local names = {"one", "two", "three"}
        local allowed = {not_found=true, already_exists=true, in_use=true, invalid_argument=true}
        local acts = {
            function(n) container.create("bb:1", "sleep 1000", {name=n}) end,
            function(n) container.start("bb:1", "sleep 1000", {name=n, rm=math.random() < 0.5}) end,
            function(n) container.run("bb:1", "true", {name=n}) end,
            function(n) container.get(n):start() end,
            function(n) container.get(n):stop{timeout=0} end,
            function(n) container.get(n):kill() end,
            function(n) container.get(n):restart{timeout=0} end,
            -- Never left paused: what somebody else runs inside would wait for ever.
            function(n) local c = container.get(n) c:pause() c:unpause() end,
            function(n) container.get(n):unpause() end,
            function(n) container.get(n):remove() end,
            function(n) container.get(n):remove{force=true} end,
            function(n) container.get(n):exec("true") end,
            function(n) container.get(n):update{memory="64m"} end,
            function(n) container.get(n):rename(names[math.random(3)]) end,
            function(n) container.prune() end,
            function(n) container.get(n):inspect() end,
            function(n) for _ in container.get(n):logs() do end end,
        }
        for _ = 1, rounds do
            local at, n = math.random(#acts), names[math.random(3)]
            local ok, e = pcall(acts[at], n)
            -- A name that nobody has gives nil, and a killed program its status.
            local fine = ok or type(e) == "string" and e:find("nil value")
                or type(e) == "table" and (allowed[e.kind] or e.kind == "exit" and (e.exit_code == 137 or at == 12))
            if not fine then error(("act %d on %s: %s %s"):format(at, n, type(e) == "table" and e.kind or "", tostring(e))) end
        end
    "#;
    let runs: Vec<_> = (0..8).map(|seed| stand.start(&code.replace("SEED", &seed.to_string()))).collect();
    for run in runs {
        let ended = run.end();
        assert_eq!(ended.status, 0, "{}", ended.err);
    }
    stand.ok("for _, c in ipairs(container.list{all=true}) do c:remove{force=true} end");
    stand.check_same(&before);
}

#[test]
fn eight_programs_with_containers_of_their_own() {
    let stand = Stand::new();
    let code = r#"
        for _ = 1, 8 do
            local c = container.start("bb:1", "sleep 1000")
            assert(c:out("echo inside") == "inside")
            c:stop{timeout=0}
            c:start()
            c:restart{timeout=0}
            c:remove{force=true}
        end
    "#;
    let runs: Vec<_> = (0..8).map(|_| stand.start(code)).collect();
    for run in runs {
        let ended = run.end();
        assert_eq!(ended.status, 0, "{}", ended.err);
    }
}

#[test]
fn all_who_start_one_container_find_it_running() {
    let stand = Stand::new();
    stand.ok("container.create('bb:1', 'sleep 1000', {name='c1'})");
    for _ in 0..10 {
        let starts: Vec<_> = (0..6).map(|_| stand.start("container.get('c1'):start()")).collect();
        starts.into_iter().for_each(|run| assert_eq!(run.end().status, 0));
        assert_eq!(stand.monitors().len(), 1);
        let stops: Vec<_> = (0..6).map(|_| stand.start("container.get('c1'):stop{timeout=0}")).collect();
        stops.into_iter().for_each(|run| assert_eq!(run.end().status, 0));
        assert_eq!(stand.ok("print(container.get('c1').status)"), "exited\n");
    }
}
