//! The commands of the command line, through the program: flags, formats, images, commands of one's own.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

#[path = "support/engine.rs"]
#[allow(dead_code)]
mod engine;
#[path = "support/home.rs"]
mod home;

use home::{Home, parts};

#[test]
fn bad_command_lines_name_what_is_wrong() {
    let home = Home::new();
    let many = "needs at least 1 argument";
    for (line, status, message, hint) in [
        ("run --nmae x y", 125, "run: unknown flag '--nmae'", "did you mean '--name'?"),
        ("run -p 80:80 x", 125, "run: unknown flag '-p'", "`moonshell run --help` lists the flags"),
        ("run", 125, &format!("run: {many}") as &str, "usage: moonshell run [OPTIONS] IMAGE [COMMAND] [ARG...]"),
        ("run -m", 125, "run: flag '--memory' needs a value", "`moonshell run --help` lists the flags"),
        ("run --cpus many x", 125, "run: invalid value 'many' for '--cpus': not a number", "`moonshell run --help`"),
        ("run --stop-timeout 1.5 x", 125, "run: invalid value '1.5' for '--stop-timeout': not a whole number", ""),
        ("run --shm-size big x", 125, "run: invalid value 'big' for '--shm-size': invalid size 'big'", ""),
        ("run --health-interval 3x x", 125, "run: invalid value '3x' for '--health-interval'", ""),
        ("run --pull often x", 125, "run: invalid value 'often' for '--pull'", "one of always, missing, never"),
        ("run --rm --restart=always x", 125, "run: flags '--rm' and '--restart' cannot be given together", ""),
        ("run --name= x", 125, "run: invalid value '' for '--name': it is empty", ""),
        ("run --rm=perhaps x", 125, "run: invalid value 'perhaps' for '--rm'", ""),
        ("run -e =1 x", 125, "invalid value '=1' for '--env'", "write NAME=VALUE"),
        ("run --add-host x x", 125, "invalid value 'x' for '--add-host'", "write NAME:ADDRESS"),
        ("run --sysctl x x", 125, "invalid value 'x' for '--sysctl'", "write NAME=VALUE"),
        ("create", 125, "create: needs at least 1 argument", ""),
        ("exec one", 125, "exec: needs at least 2 arguments", "exec [OPTIONS] CONTAINER COMMAND [ARG...]"),
        ("start", 125, "start: needs at least 1 argument", ""),
        ("stop", 2, "stop: needs at least 1 argument", ""),
        ("stop --tim 3 x", 2, "stop: unknown flag '--tim'", "did you mean '--time'?"),
        ("stop -t soon x", 2, "stop: invalid value 'soon' for '--time': not a whole number", ""),
        ("rename x", 2, "rename: takes 2 arguments, got 1", "usage: moonshell rename CONTAINER NEW_NAME"),
        ("rename x y z", 2, "rename: takes 2 arguments, got 3", ""),
        ("ps x", 2, "ps: takes no arguments", ""),
        ("ps --last x", 2, "ps: invalid value 'x' for '--last': not a whole number", ""),
        ("ps -f x", 1, "invalid filter 'x'", "write KEY=VALUE"),
        ("images -f lable=x", 1, "unknown filter 'lable'", "did you mean 'label'?"),
        ("images -f dangling=maybe", 1, "invalid filter 'dangling=maybe'", "true or false"),
        ("images --format {{.", 1, "invalid format: '{{' without '}}'", ""),
        ("images --format i..", 1, "invalid format 'i..'", ""),
        ("logs --tail some x", 1, "no such container 'x'", ""),
        ("cp a b", 1, "neither side is in a container", "write CONTAINER:/PATH"),
        ("cp a:/x b:/y", 1, "copying from container to container is not possible", ""),
        ("update x", 1, "nothing to change", "`moonshell update --help` lists what can be changed"),
        ("login -p x --password-stdin", 2, "login: flags '--password' and '--password-stdin' cannot be given", ""),
        ("tag nosuch x", 1, "no such image 'nosuch'", ""),
        ("inspect nosuch", 1, "no such container or image 'nosuch'", ""),
        ("image sl", 2, "no such command 'image sl'", "did you mean 'image ls'?"),
        ("image nonsense", 2, "no such command 'image nonsense'", "`moonshell image` lists them"),
        ("imgaes", 2, "no such file or command: 'imgaes'", "did you mean 'images'?"),
        ("help imgaes", 2, "no help for 'imgaes'", "did you mean 'images'?"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let (got, stdout, stderr) = home.run(&words);
        assert_eq!(got, status, "{line}: {stderr}");
        let mut lines = stderr.lines();
        let first = lines.next().unwrap_or_default();
        assert!(first.starts_with(&format!("error: {message}")), "{line}: {stderr}");
        assert!(hint.is_empty() || lines.next().unwrap_or_default().contains(hint), "{line}: {stderr}");
        assert!(stdout.is_empty() || line == "inspect nosuch", "{line}: {stdout}");
    }
}

#[test]
fn words_and_flags() {
    let home = Home::new();
    home.add_test("flags.lua");
    for (line, expected) in [
        ("", r#"{"args":"","flags":{},"rest":{}}"#),
        ("-so a", r#"{"args":"a","flags":{"other_switch":true,"switch":true},"rest":{}}"#),
        ("-s=false -o=true a", r#"{"args":"a","flags":{"other_switch":true,"switch":false},"rest":{}}"#),
        ("-s -s --switch=0", r#"{"args":"","flags":{"switch":false},"rest":{}}"#),
        ("-sttext a -s --no b", r#"{"args":"a","flags":{"switch":true,"text":"text"},"rest":["-s","--no","b"]}"#),
        ("-t=x -t y", r#"{"args":"","flags":{"text":"y"},"rest":{}}"#),
        ("-l a --list=b --items c", r#"{"args":"","flags":{"list":["a","b","c"]},"rest":{}}"#),
        ("-n -5 --secret", r#"{"args":"","flags":{"number":-5,"secret":true},"rest":{}}"#),
        ("-- -s", r#"{"args":"-s","flags":{},"rest":{}}"#),
        ("a -- b", r#"{"args":"a","flags":{},"rest":["--","b"]}"#),
        ("a --help", r#"{"args":"a","flags":{},"rest":["--help"]}"#),
    ] {
        let words: Vec<&str> = ["flags"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty())).collect();
        assert_eq!(home.out(&words), format!("{expected}\n"), "{line}");
    }
    let help = home.out(&["flags", "--help"]);
    assert!(help.contains("Usage: moonshell flags [OPTIONS] [FIRST] [REST...]") && !help.contains("secret"), "{help}");
    assert_eq!(home.out(&["flags", "-h"]), help);
    assert_eq!(home.out(&["help", "flags"]), help);
}

#[test]
fn what_commands_share() {
    let home = Home::new();
    for name in ["templates", "words"] {
        home.add_test(&format!("{name}.lua"));
        assert_eq!(home.out(&[name]), "all fine\n");
    }
}

#[test]
fn the_users_folder_adds_and_replaces_commands() {
    let home = Home::new();
    home.add("hello.lua", "return { summary = 'Greet', run = function() print('hello') return 3 end }");
    home.add("ps.lua", "return { summary = 'Mine', run = function() print('mine') end }");
    home.add("image/squash.lua", "return { summary = 'Squash', run = function() print('squashed') end }");
    home.add("syntax.lua", "return {");
    home.add("nothing.lua", "");
    home.add("badly.lua", "return { summry = 'x', run = print }");
    home.add(
        "twice.lua",
        "return { summary = 'x', flags = {{long='a', help='x'}, {long='a', help='y'}}, run = print }",
    );
    home.add("raises.lua", "return { summary = 'x',\nrun = function() image.get() end }");
    assert_eq!(home.run(&["hello"]), (3, "hello\n".into(), String::new()));
    assert_eq!(home.out(&["ps"]), "mine\n");
    assert_eq!(home.out(&["container", "ls"]), "mine\n");
    assert_eq!(home.out(&["image", "squash"]), "squashed\n");
    assert!(home.out(&["image"]).contains("  squash   Squash\n"));
    let help = home.out(&["help"]);
    assert!(help.contains("  hello    Greet\n") && help.contains("  syntax   (cannot be loaded)\n"), "{help}");
    for (name, message) in [
        ("syntax", "unexpected symbol near <eof>"),
        ("nothing", "command 'nothing' does not return a table with a function 'run'"),
        ("badly", "command 'badly' is badly described"),
        ("twice", "command 'twice' is badly described: flag 'a' is there twice"),
        ("raises", "image.get: argument 1 'name' must be a string, got nil"),
    ] {
        let (status, _, stderr) = home.run(&[name]);
        assert!(status == 1 && stderr.contains(message), "{name}: {status} {stderr}");
    }
    assert!(home.run(&["raises"]).2.contains("raises.lua:2"));
}

#[test]
fn a_command_wins_over_a_file_of_its_name() {
    let home = Home::new();
    std::fs::write(home.dir.path().join("version"), "print('a file')").unwrap();
    assert!(home.out(&["version"]).starts_with("moonshell\n"));
    assert_eq!(home.out(&["./version"]), "a file\n");
}

#[test]
fn images_by_command() {
    let Some(home) = Home::with_image() else { return };
    let list = home.out(&["images"]);
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split("   ").map(str::trim).collect()).collect();
    let headings: Vec<&str> = lines[0].iter().copied().filter(|word| !word.is_empty()).collect();
    assert_eq!(headings, ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    assert!(list.contains("busybox") && list.contains("registry.example/app") && list.lines().count() == 3, "{list}");
    assert!(list.lines().all(|line| !line.ends_with(' ')));
    let id = home.out(&["images", "-q"]);
    assert_eq!(id.trim().len(), 12);
    let names = home.out(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert_eq!(names, "busybox:1\nregistry.example/app:2\n");
    assert_eq!(home.out(&["images", "--format", "{{.ID}}", "busybox"]), id);
    assert_eq!(
        home.out(&["images", "--format", "table {{.Tag}}\\t{{.ID}}", "busy*"]),
        format!("TAG       IMAGE ID\n1         {id}")
    );
    assert_eq!(home.out(&["images", "-f", "label=kind=test", "-f", "reference=*box", "-q"]), id);
    assert_eq!(home.out(&["images", "-f", "label=kind=other", "-q"]), "");
    assert_eq!(home.out(&["images", "-f", "dangling=true", "-q"]), "");
    let json = home.out(&["images", "--format", "json", "busybox"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["Repository"].as_str(), json["Tag"].as_str()), (Some("busybox"), Some("1")));
    assert_eq!(home.out(&["images", "--format", "i.config.config.Cmd[1]", "busybox"]), "sh\n");
    assert_eq!(home.run(&["images", "--format", "{{.Tga}}"]).0, 1);

    let inspected: serde_json::Value = serde_json::from_str(&home.out(&["inspect", "busybox:1"])).unwrap();
    assert_eq!(inspected[0]["RepoTags"], serde_json::json!(["busybox:1", "registry.example/app:2"]));
    assert_eq!(inspected[0]["RootFS"]["Layers"].as_array().unwrap().len(), 1);
    assert_eq!(home.out(&["image", "inspect", "-f", "{{.Config.Labels.kind}} {{.Os}}", "busybox:1"]), "test linux\n");
    let (status, stdout, stderr) = home.run(&["image", "inspect", "-f", "{{.Os}}", "busybox:1", "nosuch"]);
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (1, "linux\n", "error: no such image 'nosuch'\n"));

    let history = home.out(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", "busybox:1"]);
    assert_eq!(history.lines().next(), Some("CMD [\"sh\"]"));
    assert!(home.out(&["image", "tree"]).contains("busybox:1, registry.example/app:2"));
    assert!(home.out(&["info", "-f", "{{.Images}}"]).starts_with('1'));

    home.out(&["tag", "busybox:1", "other:3"]);
    assert_eq!(home.out(&["rmi", "other:3"]), "Untagged: other:3\n");
    let (status, stdout, stderr) = home.run(&["rmi", "nosuch", "busybox:1"]);
    assert_eq!((status, stdout.as_str()), (1, "Untagged: busybox:1\n"));
    assert!(stderr.contains("no such image 'nosuch'"), "{stderr}");
}

#[test]
fn archives_travel_through_pipes() {
    let Some(home) = Home::with_image() else { return };
    for format in ["docker-archive", "oci-archive"] {
        let saved = home.command(&["save", "--format", format, "busybox:1"]).output().unwrap();
        assert!(saved.status.success() && saved.stdout.len() > 10_000, "{saved:?}");
        let other = Home::new();
        let mut load = other.command(&["load", "-q"]);
        let mut child = load.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&saved.stdout).unwrap();
        let (status, stdout, stderr) = parts(child.wait_with_output().unwrap());
        assert_eq!((status, stdout.as_str(), stderr.as_str()), (0, "Loaded image: busybox:1\n", ""));
        assert_eq!(other.out(&["images", "-q"]), home.out(&["images", "-q"]));
        assert_eq!(home.out(&["save", "-o", "a.tar", "busybox:1"]), "");
        assert!(Path::new(&home.dir.path().join("a.tar")).is_file());
    }
}

#[test]
fn a_reader_that_goes_ends_a_command_silently() {
    let home = Home::new();
    home.add("much.lua", "local c = ... return { summary = 'x', run = function() while true do c.print('x') end end }");
    for name in ["much", "help"] {
        let mut child = home.command(&[name]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let (status, _, stderr) = parts(child.wait_with_output().unwrap());
        assert!(stderr.is_empty() && [0, 141].contains(&status), "{name}: {status} {stderr}");
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (status, _, stderr) = parts(home.command(&["version"]).stdout(full).output().unwrap());
    assert!(status == 1 && stderr.starts_with("error: write standard output: "), "{status} {stderr}");
}

#[test]
fn a_unit_starts_what_starts_with_the_host() {
    let home = Home::new();
    let unit = home.out(&["boot", "--unit"]);
    let root = home.dir.path().join("root");
    let line = format!("\nExecStart=\"{}\" --root \"{}\" boot\n", env!("CARGO_BIN_EXE_moonshell"), root.display());
    assert!(unit.contains(&line) && unit.contains("\n[Install]\n"), "{unit}");
    assert!(!root.exists());
}

#[test]
fn passwords_are_read_and_forgotten() {
    let home = Home::new();
    let (status, _, stderr) = home.run(&["login", "-u", "me", "registry.example"]);
    assert!(status == 1 && stderr.contains("there is no terminal to ask for the password"), "{stderr}");
    let (status, _, stderr) = home.run(&["login", "-u", "me", "--password-stdin", "registry.example"]);
    assert_eq!((status, stderr.as_str()), (1, "error: the password is empty\n"));
    assert_eq!(home.out(&["logout", "registry.example"]), "Not logged in to registry.example\n");
}
