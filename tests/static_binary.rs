//! The program needs nothing of the host's: no loader, no libraries; yet names are resolved and TLS works.

#![allow(dead_code)]

mod support;

use std::fs;
use std::process::Command;

use object::read::elf::{FileHeader, ProgramHeader};
use support::{RegistryServer, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_moonshell");

#[test]
fn the_program_is_static() {
    let bytes = fs::read(PROGRAM).unwrap();
    let header = object::elf::FileHeader64::<object::Endianness>::parse(&*bytes).unwrap();
    let endian = header.endian().unwrap();
    let kinds: Vec<_> =
        header.program_headers(endian, &*bytes).unwrap().iter().map(|part| part.p_type(endian)).collect();
    assert!(!kinds.contains(&object::elf::PT_INTERP), "it asks for a loader");
    assert!(!kinds.contains(&object::elf::PT_DYNAMIC), "it is linked dynamically");
}

/// Runs the program in a mount namespace where `/etc/hosts` and `/etc/nsswitch.conf` are ours.
fn run_among(hosts: &str, environment: &[(&str, &str)], code: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hosts"), hosts).unwrap();
    // What a static program must not believe: services that only shared objects provide.
    fs::write(dir.path().join("nsswitch.conf"), "hosts: mymachines resolve [!UNAVAIL=return] nothing\n").unwrap();
    let script = format!(
        "mount --bind {0}/hosts /etc/hosts && mount --bind {0}/nsswitch.conf /etc/nsswitch.conf && exec \"$@\"",
        dir.path().display()
    );
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", &script, "sh", PROGRAM, "--progress", "none", "--root"])
        .arg(dir.path().join("root"))
        .args(["-e", code])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn names_are_resolved_and_certificates_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
    let (key_text, certificate_text) = (key.display().to_string(), certificate.display().to_string());
    let config = dir.path().join("openssl.cnf");
    // No authority of its own, just one certificate that is trusted.
    let extensions = "basicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:registry.test\n";
    let text = format!("[req]\ndistinguished_name = dn\nx509_extensions = ext\n[dn]\n[ext]\n{extensions}");
    fs::write(&config, text).unwrap();
    let mut arguments: Vec<&str> =
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' ').collect();
    let config_text = config.display().to_string();
    arguments.extend(["-subj", "/CN=registry.test", "-config", &config_text]);
    arguments.extend(["-keyout", &key_text, "-out", &certificate_text]);
    run("openssl", &arguments);
    let registry = RegistryServer::with_tls(&certificate, &key);
    let name = format!("registry.test:{}/nothing:1", registry.port());
    let code = format!("image.pull({name:?})");
    let trusting = [("SSL_CERT_FILE", certificate_text.as_str())];
    let hosts = "127.0.0.1 registry.test other.test\n";
    let (_, text) = run_among(hosts, &trusting, &code);
    assert!(text.contains("error: no such image") || text.contains("not found in"), "{text}");
    let (ok, text) = run_among(hosts, &[("SSL_CERT_FILE", "/dev/null")], &code);
    assert!(!ok && text.contains("cannot reach registry registry.test") && text.contains("ertificate"), "{text}");
    let (ok, text) = run_among(hosts, &trusting, &code.replace("registry.test", "other.test"));
    assert!(!ok && text.contains("ertificate"), "{text}");
    let (ok, text) = run_among("127.0.0.1 localhost\n", &trusting, &code);
    assert!(!ok && text.contains("cannot reach registry registry.test"), "{text}");
}
