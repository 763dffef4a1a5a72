//! Commands and their flags.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::NAME;

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn value(name: &'static str, what: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(what).action(ArgAction::Set).allow_hyphen_values(true).help(help)
}

fn many(name: &'static str, what: &'static str, help: &'static str) -> Arg {
    value(name, what, help).action(ArgAction::Append)
}

fn id() -> Arg {
    Arg::new("id").value_name("ID").required(true).help("the container's id")
}

/// Parses a command line without the program's name.
pub fn parse(arguments: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let all = [OsString::from(NAME)].into_iter().chain(arguments.iter().cloned());
    command().try_get_matches_from(all)
}

fn command() -> Command {
    Command::new(NAME)
        .about("moonshell as an OCI runtime for other engines")
        .disable_version_flag(true)
        .args([
            value("root", "DIR", "folder of the containers' states"),
            value("log", "FILE", "append errors to this file"),
            value("log-format", "FORMAT", "text or json").value_parser(["text", "json"]).default_value("text"),
            flag("debug", "accepted; there is nothing more to say"),
            flag("systemd-cgroup", "cgroupsPath is SLICE:PREFIX:NAME"),
            value("cgroup-manager", "NAME", "cgroupfs, systemd or disabled")
                .value_parser(["cgroupfs", "systemd", "disabled"])
                .default_value("cgroupfs"),
            value("rootless", "WHEN", "accepted; it is found out"),
            value("criu", "PATH", "accepted; there are no checkpoints").hide(true),
            flag("version", "print the version").short('v'),
        ])
        .subcommands(life())
        .subcommands(control())
        .subcommands(looking())
}

fn bundle() -> [Arg; 8] {
    [
        value("bundle", "DIR", "the bundle's folder").short('b').default_value("."),
        value("config", "FILE", "the specification, instead of the bundle's config.json").short('f'),
        value("console-socket", "SOCKET", "where the terminal is sent"),
        value("pid-file", "FILE", "where the first process's id is written"),
        value("preserve-fds", "N", "descriptors from 3 up that stay open").value_parser(clap::value_parser!(u16)),
        flag("no-pivot", "use chroot instead of pivot_root"),
        flag("no-new-keyring", "keep the session keyring"),
        flag("no-subreaper", "accepted; there is none").hide(true),
    ]
}

fn life() -> [Command; 4] {
    [
        Command::new("create").about("make a container").args(bundle()).arg(id()),
        Command::new("start").about("run the program of a created container").arg(id()),
        Command::new("run")
            .about("create, start, wait, delete")
            .args(bundle())
            .args([flag("detach", "do not wait").short('d'), flag("keep", "do not delete it afterwards")])
            .arg(id()),
        Command::new("delete").about("remove a container").args([flag("force", "also one that runs").short('f'), id()]),
    ]
}

fn control() -> [Command; 5] {
    [
        Command::new("kill").about("send a signal").args([
            flag("all", "to every process").short('a'),
            id(),
            Arg::new("signal").value_name("SIGNAL").default_value("SIGTERM").help("name or number"),
        ]),
        Command::new("pause").about("freeze all processes").arg(id()),
        Command::new("resume").about("let frozen processes run on").arg(id()),
        Command::new("update").about("change limits").args(super::resources::flags()).arg(id()),
        exec(),
    ]
}

fn exec() -> Command {
    Command::new("exec").about("run a further process").args([
        value("process", "FILE", "the process, as in a specification").short('p'),
        flag("tty", "with a terminal").short('t'),
        value("cwd", "DIR", "working folder"),
        many("env", "NAME=VALUE", "a variable").short('e'),
        value("user", "UID[:GID]", "who runs it").short('u'),
        many("additional-gids", "GID", "a further group")
            .short('g')
            .value_parser(clap::value_parser!(u32))
            .value_delimiter(','),
        many("cap", "NAME", "a further capability").short('c'),
        flag("no-new-privs", "never gain privileges"),
        value("apparmor", "PROFILE", "AppArmor profile"),
        value("process-label", "LABEL", "SELinux label"),
        value("pid-file", "FILE", "where its id is written"),
        value("console-socket", "SOCKET", "where the terminal is sent"),
        value("preserve-fds", "N", "descriptors from 3 up that stay open").value_parser(clap::value_parser!(u16)),
        flag("detach", "do not wait").short('d'),
        flag("ignore-paused", "also in a paused container"),
        flag("no-subreaper", "accepted; there is none").hide(true),
        id(),
        Arg::new("command")
            .value_name("COMMAND")
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .help("program and arguments"),
    ])
}

fn format() -> Arg {
    value("format", "FORMAT", "table or json").short('f').value_parser(["table", "json"]).default_value("table")
}

fn looking() -> [Command; 6] {
    [
        Command::new("state").about("print a container's state").arg(id()),
        Command::new("list").about("list containers").args([format(), flag("quiet", "only ids").short('q')]),
        Command::new("ps")
            .about("list a container's processes")
            .args([format(), id()])
            .arg(Arg::new("options").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true).hide(true)),
        Command::new("events").about("print figures again and again").args([
            flag("stats", "once"),
            value("interval", "TIME", "between two, such as 5s").default_value("5s"),
            id(),
        ]),
        Command::new("features").about("print what this runtime can do"),
        Command::new("spec").about("write a first config.json").args([
            value("bundle", "DIR", "where").short('b').default_value("."),
            flag("rootless", "for a user other than root"),
        ]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<ArgMatches, clap::Error> {
        parse(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn commands_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn options_before_and_after_the_id() {
        for line in ["create --bundle /b x", "create x --bundle /b", "create -b /b --pid-file p x", "create x -b=/b"] {
            let matches = parse_line(line).unwrap();
            let (_, matches) = matches.subcommand().unwrap();
            assert_eq!(matches.get_one::<String>("bundle").unwrap(), "/b", "{line}");
        }
        let matches = parse_line("exec -t --cwd /x id ls -la --color").unwrap();
        let (_, matches) = matches.subcommand().unwrap();
        let words: Vec<_> = matches.get_many::<String>("command").unwrap().collect();
        assert_eq!(words, ["ls", "-la", "--color"]);
        assert!(parse_line("kill --all x 9").is_ok() && parse_line("kill x KILL").is_ok());
    }

    #[test]
    fn wrong_words_name_themselves() {
        for (line, word) in [("create --bund x", "--bund"), ("frob x", "frob"), ("list -f xml", "xml")] {
            assert!(parse_line(line).unwrap_err().to_string().contains(word), "{line}");
        }
        assert!(parse_line("--version").unwrap().get_flag("version"));
    }
}
