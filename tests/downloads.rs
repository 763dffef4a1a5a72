//! Files from the web in builds: what is asked of the server, what is kept, what is refused.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use moonshell::engine::build::{AddOptions, Context, ContextOptions, ContextSource, CopySource, State};
use moonshell::engine::cancel::Cancel;
use moonshell::engine::digest::Digest;
use moonshell::engine::{Config, Engine};

/// A web server: `/file` with the current content, its digest as ETag and a time; `/plain` without either; `/away`
/// leads to `/file`; nothing else.
struct Web {
    address: String,
    content: Arc<Mutex<Vec<u8>>>,
    // The answers so far: path and status.
    log: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn start(content: &[u8]) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let web = Web { address, content: Arc::new(Mutex::new(content.to_vec())), log: Arc::default() };
        let (content, log) = (web.content.clone(), web.log.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let content = content.lock().unwrap().clone();
                log.lock().unwrap().push(answer(stream.unwrap(), &content));
            }
        });
        web
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

fn answer(mut stream: TcpStream, content: &[u8]) -> String {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_string();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let etag = format!("\"{}\"", Digest::of(content).short());
    let known = headers.contains(&format!("if-none-match: {etag}"));
    let validators = format!("ETag: {etag}\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    let (status, headers, body): (_, _, &[u8]) = match path.as_str() {
        "/file" if known => ("304 Not Modified", validators, b""),
        "/file" => ("200 OK", validators, content),
        "/plain" => ("200 OK", String::new(), content),
        "/away" => ("302 Found", "Location: /file\r\n".into(), b""),
        _ => ("404 Not Found", String::new(), b""),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    format!("{path} {}", &status[..3])
}

fn engine(root: &std::path::Path) -> Engine {
    Engine::open(Config::new(root, "/bin/false", Cancel::new().unwrap())).unwrap()
}

fn add(engine: &Engine, url: &str, target: &str, options: &AddOptions) -> moonshell::engine::error::Result<State> {
    State::scratch().add(engine, &CopySource::Host("/".into()), &[url.to_string()], target, options)
}

#[test]
fn a_download_is_asked_for_again_and_fetched_when_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, web) = (engine(dir.path()), Web::start(b"first"));
    let options = AddOptions::default();
    let one = add(&engine, &web.url("/file"), "/to/", &options).unwrap();
    assert_eq!(one.read(&engine, "/to/file").unwrap(), b"first");
    let entry = &one.list(&engine, "/to").unwrap()[0];
    assert_eq!((entry.mode, entry.mtime, entry.uid), (0o600, 784_111_777, 0));
    assert_eq!(web.log(), ["/file 200"]);
    let two = add(&engine, &web.url("/file"), "/to/", &options).unwrap();
    assert_eq!((two.key(), two.step().cached), (one.key(), true));
    assert_eq!(web.log(), ["/file 304"]);
    *web.content.lock().unwrap() = b"second".to_vec();
    let three = add(&engine, &web.url("/file"), "/to/", &options).unwrap();
    assert_eq!(three.read(&engine, "/to/file").unwrap(), b"second");
    assert!(three.key() != one.key());
    assert_eq!(web.log(), ["/file 200"]);
    let through = add(&engine, &web.url("/away"), "/there", &options).unwrap();
    assert_eq!(through.read(&engine, "/there").unwrap(), b"second");
    *web.content.lock().unwrap() = b"third".to_vec();
    let plain = add(&engine, &web.url("/plain"), "/there", &options).unwrap();
    assert_eq!(plain.list(&engine, "/").unwrap()[0].mtime, 0);
}

#[test]
fn a_checksum_is_held_and_known_content_needs_no_server() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, web) = (engine(dir.path()), Web::start(b"content"));
    let with = |content: &str| AddOptions { checksum: Some(Digest::of(content)), ..AddOptions::default() };
    let url = web.url("/plain");
    let error = add(&engine, &url, "/x", &with("other")).unwrap_err();
    assert_eq!(error.kind().name(), "integrity");
    let expected = format!("{url} has digest {}, expected {}", Digest::of("content"), Digest::of("other"));
    assert_eq!(error.message(), expected);
    assert_eq!(add(&engine, &url, "/x", &with("content")).unwrap().read(&engine, "/x").unwrap(), b"content");
    assert_eq!(web.log(), ["/plain 200", "/plain 200"]);
    add(&engine, &url, "/y", &with("content")).unwrap();
    assert!(web.log().is_empty());
}

#[test]
fn what_cannot_be_had_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, web) = (engine(dir.path()), Web::start(b"content"));
    let kind = |url: &str, target: &str| {
        add(&engine, url, target, &AddOptions::default()).map(|_| ()).unwrap_err().kind().name()
    };
    assert_eq!(kind(&web.url("/none"), "/x"), "not_found");
    assert_eq!(kind("http://", "/x"), "invalid_argument");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(kind(&format!("http://{closed}/x"), "/x"), "network");
    let error = add(&engine, &web.url("/file"), "/x", &AddOptions { unpack: Some(true), ..AddOptions::default() });
    assert_eq!(error.unwrap_err().kind().name(), "integrity");
}

#[test]
fn archives_of_the_web_are_unpacked_when_asked_and_as_contexts() {
    let mut header = tar::Header::new_ustar();
    header.set_size(4);
    header.set_mode(0o640);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, "inner/name", &b"text"[..]).unwrap();
    let (dir, web) = (tempfile::tempdir().unwrap(), Web::start(&builder.into_inner().unwrap()));
    let (engine, url) = (engine(dir.path()), web.url("/file"));
    let options = AddOptions { unpack: Some(true), ..AddOptions::default() };
    let state = add(&engine, &url, "/to", &options).unwrap();
    assert_eq!(state.read(&engine, "/to/inner/name").unwrap(), b"text");
    assert!(add(&engine, &url, "/to", &AddOptions::default()).unwrap().read(&engine, "/to/inner/name").is_err());
    let context = Context::open(&engine, ContextSource::Name(url), &ContextOptions::default()).unwrap();
    assert_eq!(context.read("inner/name").unwrap().as_deref(), Some(&b"text"[..]));
    let folder = context.folder().to_path_buf();
    assert!(folder.is_dir());
    drop(context);
    assert!(!folder.exists());
}
