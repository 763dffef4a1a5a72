//! Whole programs as people build them. Those with packages ask this machine, at run time, where its packages come
//! from, and hand that to the build as secrets; where nothing answers there, they are skipped, aloud.

use std::collections::HashMap;
use std::fs;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use super::build::{Program, registry};

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A name and its test.
type Whole = (&'static str, fn(&Path) -> Result<(), Failed>);

/// The trials, of the folders in `root/whole`.
pub fn trials(root: &Path) -> Vec<Trial> {
    let programs: [Whole; 3] = [("c_program", c_program), ("python_app", python_app), ("static_site", static_site)];
    let trial = |(name, test): Whole| {
        let folder = root.join("whole").join(name);
        Trial::test(format!("whole/{name}"), move || test(&folder))
    };
    let example = Trial::test("whole/debian_packages", debian_packages);
    programs.into_iter().map(trial).chain([example]).collect()
}

fn c_program(folder: &Path) -> Result<(), Failed> {
    let Some(machine) = Machine::look()? else { return Ok(()) };
    let program = Program::shared("whole")?;
    build(&program, folder, "whole/c:1", &machine.arguments()?)?;
    let (status, out) = said(&program, &["run", "--rm", "--network", "none", "whole/c:1"])?;
    assert_eq!((status, out.as_str()), (0, "usage: count < TEXT\n"));
    let (_, out) = said(&program, &["run", "--rm", "--network", "none", "--entrypoint", "id", "whole/c:1", "-u"])?;
    assert_eq!(out, "990\n");
    // Built once more nothing runs, and what the secrets said is nowhere in the image.
    let log = build(&program, folder, "whole/c:2", &machine.arguments()?)?;
    assert!(log.contains("CACHED"), "{log}");
    let (_, history) = said(&program, &["history", "--no-trunc", "whole/c:2"])?;
    assert!(machine.sites().iter().all(|site| !history.contains(site)), "{history}");
    Ok(())
}

fn python_app(folder: &Path) -> Result<(), Failed> {
    let Some(machine) = Machine::look()? else { return Ok(()) };
    let program = Program::shared("whole")?;
    build(&program, folder, "whole/python:1", &machine.arguments()?)?;
    let (status, out) = said(&program, &["run", "--rm", "--network", "none", "whole/python:1"])?;
    assert_eq!((status, out.as_str()), (0, "user    65534\nfolder  /app\n"));
    Ok(())
}

fn static_site(folder: &Path) -> Result<(), Failed> {
    let program = Program::shared("whole")?;
    build(&program, folder, "whole/site:1", &[])?;
    let (status, out) = said(&program, &["run", "-d", "--name", "site", "--network", "none", "whole/site:1"])?;
    assert_eq!(status, 0, "{out}");
    let wait = "until wget -q -O /dev/null http://127.0.0.1:8080/; do usleep 20000; done; cd /tmp; wget -q -O - http://127.0.0.1:8080/$0";
    let get = |page| said(&program, &["exec", "site", "timeout", "60", "sh", "-c", wait, page]);
    let pages = (get("hello.html")?, get("")?, get("missing")?.0);
    let removed = said(&program, &["rm", "-f", "site"])?;
    assert_eq!(pages.0, (0, "<title>Hello</title><h1>Hello</h1>\n<p>This is a page.\n".into()));
    assert_eq!(pages.1, (0, "<ul>\n<li>about.html\n<li>hello.html\n</ul>\n".into()));
    assert_ne!(pages.2, 0);
    assert_eq!(removed.0, 0, "{}", removed.1);
    Ok(())
}

/// The example of packages in `scripts/`, on a base that knows how this machine reaches them.
fn debian_packages() -> Result<(), Failed> {
    let Some(machine) = Machine::look()? else { return Ok(()) };
    let program = Program::shared("whole")?;
    let proxies: String = proxies().iter().map(|(name, value)| format!("{name} = {value:?}, ")).collect();
    let base = format!(
        "build.from \"{}/debian:bookworm\":env {{ {proxies} }}
            :write(\"/etc/apt/sources.list\", fs.read \"sources\"):write(\"/run/secrets/ca\", fs.read \"ca\")
            :write(\"/etc/apt/apt.conf.d/99machine\", fs.read \"apt\"):commit \"here/debian:1\"",
        registry()?
    );
    let run = |words: &[&str]| -> Result<String, Failed> {
        let outcome = program.run(machine.dir.path(), words, &HashMap::new(), b"")?;
        if outcome.status == 0 { Ok(outcome.log) } else { Err(outcome.log.into()) }
    };
    run(&["-e", &base])?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/debian_packages.lua");
    run(&[script, "here/debian:1", "make"])?;
    let (status, out) = said(&program, &["run", "--rm", "with-packages:1", "sh", "-c", "make -v; file -v"])?;
    assert!(status == 0 && out.contains("GNU Make") && out.contains("magic file"), "{out}");
    Ok(())
}

fn said(program: &Program, words: &[&str]) -> Result<(i32, String), Failed> {
    let outcome = program.run(program.dir.path(), words, &HashMap::new(), b"")?;
    Ok((outcome.status, outcome.log))
}

fn build(program: &Program, folder: &Path, name: &str, arguments: &[String]) -> Result<String, Failed> {
    let mut words = vec!["build", "-t", name];
    words.extend(arguments.iter().map(String::as_str));
    words.push(".");
    let outcome = program.run(folder, &words, &HashMap::new(), b"")?;
    if outcome.status == 0 { Ok(outcome.log) } else { Err(format!("{name}: {}", outcome.log).into()) }
}

/// How this machine reaches its packages.
struct Machine {
    dir: tempfile::TempDir,
    /// Lines of a `sources.list`.
    sources: String,
}

impl Machine {
    /// Asks apt and pip; `None`, aloud, where the packages cannot be reached.
    fn look() -> Result<Option<Machine>, Failed> {
        let format = "$(CREATED_BY) deb $(SITE) $(RELEASE) $(COMPONENT)";
        let targets = output("apt-get", &["indextargets", "--format", format]);
        let mut sources: Vec<&str> = targets
            .lines()
            .filter_map(|line| line.strip_prefix("Packages "))
            .filter(|line| !line.contains("/file:"))
            .collect();
        sources.sort_unstable();
        sources.dedup();
        let sources: String = sources.iter().map(|line| format!("{line}\n")).collect();
        let machine = Machine { dir: tempfile::tempdir()?, sources };
        let proxy = proxies().into_iter().map(|(_, value)| value).find(|value| value.contains("://"));
        let reachable = match (&proxy, machine.sites().first()) {
            (Some(address), _) | (None, Some(address)) => reaches(address),
            (None, None) => false,
        };
        if !reachable {
            eprintln!("skipped: no packages: where this machine gets them from does not answer");
            return Ok(None);
        }
        let write = |name: &str, text: &str| fs::write(machine.dir.path().join(name), text);
        write("sources", &machine.sources)?;
        let settings = output("apt-config", &["dump", "Acquire::http", "Acquire::https"]);
        let mut apt =
            settings.lines().filter(|line| line.contains("::")).fold(String::new(), |all, line| all + line + "\n");
        if Path::new(CERTIFICATES).exists() {
            apt.push_str("Acquire::https::CAInfo \"/run/secrets/ca\";\n");
        }
        write("apt", &apt)?;
        let mut pip = String::from("[global]\n");
        for line in output("python3", &["-m", "pip", "config", "list"]).lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            let key = key.rsplit(['.', ':']).next().unwrap_or_default();
            if ["index-url", "extra-index-url", "trusted-host", "proxy", "timeout"].contains(&key) {
                pip.push_str(&format!("{key} = {}\n", value.trim_matches('\'')));
            }
        }
        if Path::new(CERTIFICATES).exists() {
            pip.push_str("cert = /run/secrets/ca\n");
        }
        write("pip", &pip)?;
        let certificates = fs::read_to_string(CERTIFICATES).unwrap_or_default();
        write("ca", &certificates)?;
        Ok(Some(machine))
    }

    fn sites(&self) -> Vec<String> {
        self.sources.lines().filter_map(|line| line.split(' ').nth(1)).map(String::from).collect()
    }

    /// Flags for a build.
    fn arguments(&self) -> Result<Vec<String>, Failed> {
        let mut list = vec!["--network".into(), "host".into()];
        list.extend(["--build-arg".into(), format!("BASE={}/debian:bookworm", registry()?)]);
        for name in ["sources", "apt", "pip", "ca"] {
            list.extend(["--secret".into(), format!("id={name},src={}", self.dir.path().join(name).display())]);
        }
        for (name, value) in proxies() {
            list.extend(["--build-arg".into(), format!("{name}={value}")]);
        }
        Ok(list)
    }
}

/// The machine's proxy variables that are set.
fn proxies() -> Vec<(String, String)> {
    let names = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
    names.into_iter().filter_map(|name| Some((name.to_string(), std::env::var(name).ok()?))).collect()
}

fn reaches(url: &str) -> bool {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.split('/').next().unwrap_or_default().rsplit('@').next().unwrap_or_default();
    let port = if scheme == "https" { 443 } else { 80 };
    let address = if host.contains(':') { host.to_string() } else { format!("{host}:{port}") };
    let mut addresses = address.to_socket_addrs().into_iter().flatten();
    addresses.any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(10)).is_ok())
}

/// What a program prints; nothing where it is missing or fails.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
