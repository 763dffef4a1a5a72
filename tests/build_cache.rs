//! The build cache with many processes at once: some build, some prune all they can, and nobody notices.

#[path = "support/engine.rs"]
#[allow(dead_code)]
mod engine;
#[path = "support/home.rs"]
mod home;

use std::process::{Child, Stdio};

use home::{Home, parts};

/// Takes a chain of steps, each of which needs what those before it have made, and says what came out.
const BUILD: &str = r#"
    local which = WHICH
    local s = build.from("busybox:1"):run("echo base > /0")
    for n = 1, 6 do
      -- Half of the chain is what others build as well.
      s = s:run(("cat /%d > /%d; echo %s >> /%d"):format(n - 1, n, n > 3 and which or "same", n))
    end
    io.write((s:read("/6"):gsub("\n", " ")), s:out("wc -l < /6"))
    s:commit("built:" .. which)
"#;

const PRUNE: &str = "for _ = 1, 8 do cache.prune{all = true}; cache.list() end";

#[test]
fn many_build_while_many_prune() {
    let Some(home) = Home::with_image() else { return };
    for round in 0..2 {
        let start = |number: usize| -> Child {
            let code = match number % 2 {
                0 => PRUNE.to_string(),
                _ => BUILD.replace("WHICH", &format!("'{}'", number % 8)),
            };
            let mut command = home.command(&["-e", &code]);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let running: Vec<Child> = (0..32).map(start).collect();
        for (number, child) in running.into_iter().enumerate() {
            let (status, output, errors) = parts(child.wait_with_output().unwrap());
            assert_eq!(status, 0, "round {round}, process {number}: {errors}");
            if number % 2 == 1 {
                let which = number % 8;
                assert_eq!(output, format!("base same same same {which} {which} {which} 7"), "{errors}");
            }
        }
    }
    // What is left is sound: the images run, and all of the cache can go without them.
    home.out(&["-e", "assert(cache.prune{all = true}.layers == 0)"]);
    assert_eq!(home.out(&["-e", r#"io.write(build.from("built:3"):read("/6"))"#]), "base\nsame\nsame\nsame\n3\n3\n3\n");
    assert_eq!(home.out(&["-e", "print(#cache.list())"]), "0\n");
}

#[test]
fn a_step_that_is_taken_again_leaves_others_what_they_stand_on() {
    let Some(home) = Home::with_image() else { return };
    // One process stands on a result while another one takes the step anew and content is swept.
    let code = format!(
        r#"
        local s = build.from("busybox:1"):run("cat /proc/sys/kernel/random/uuid > /u")
        local before = s:read "/u"
        host.run{{ {:?}, "--progress", "none", "-e", [[
          build.from("busybox:1"):run("cat /proc/sys/kernel/random/uuid > /u", {{cache = false}})
        ]] }}
        host.run{{ {:?}, "--progress", "none", "-e", "cache.prune{{all = true}} image.prune()" }}
        assert(s:read "/u" == before)
        assert(s:run("cp /u /v"):read "/v" == before)
        "#,
        env!("CARGO_BIN_EXE_moonshell"),
        env!("CARGO_BIN_EXE_moonshell"),
    );
    home.out(&["-e", &code]);
    // Nobody stands on it any more.
    home.out(&["-e", "cache.prune{all = true}"]);
    let left = std::fs::read_dir(home.dir.path().join("root/cache/steps")).unwrap().count();
    assert_eq!(left, 0);
}
