//! A web server on the loopback address for one case: its folder, with times, and git repositories in it through
//! git's own program for this. It ends with the value.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The server.
pub struct Web {
    port: u16,
    ended: Arc<AtomicBool>,
}

impl Web {
    /// Serves `folder`.
    pub fn serve(folder: &Path) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let ended = Arc::new(AtomicBool::new(false));
        let (folder, seen) = (folder.to_path_buf(), ended.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                let folder = folder.clone();
                // A client that hangs up has its reasons.
                std::thread::spawn(move || answer(stream, &folder).is_ok());
            }
        });
        Web { port, ended }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_string();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request { method, path: path.into(), query: query.into(), headers: Vec::new(), body: Vec::new() };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            request.headers.push((name.to_lowercase(), value.trim().into()));
        }
    }
    if request.header("transfer-encoding") == "chunked" {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk)?;
            if size == 0 {
                break;
            }
            request.body.extend_from_slice(&chunk[..size]);
        }
    } else if let Ok(length) = request.header("content-length").parse::<u64>() {
        reader.take(length).read_to_end(&mut request.body)?;
    }
    Ok(request)
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let request = read(&stream)?;
    if request.path.starts_with("/git/") {
        return git(stream, folder, &request);
    }
    if let Some(target) = request.path.strip_prefix("/moved/") {
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: /{target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let path: PathBuf = folder.join(request.path.trim_start_matches('/'));
    let Ok(bytes) = std::fs::read(&path) else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    // One time for all of them.
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nLast-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len()
    )?;
    if request.method == "HEAD" { Ok(()) } else { stream.write_all(&bytes) }
}

/// `git http-backend`, a CGI program.
fn git(mut stream: TcpStream, folder: &Path, request: &Request) -> std::io::Result<()> {
    let mut program = Command::new("git");
    program.arg("http-backend").env("GIT_PROJECT_ROOT", folder.join("git")).env("GIT_HTTP_EXPORT_ALL", "1");
    program.env("REQUEST_METHOD", &request.method).env("QUERY_STRING", &request.query);
    program.env("PATH_INFO", request.path.trim_start_matches("/git"));
    program.env("CONTENT_TYPE", request.header("content-type"));
    program.env("CONTENT_LENGTH", request.body.len().to_string());
    program.env("HTTP_CONTENT_ENCODING", request.header("content-encoding"));
    program.env("GIT_PROTOCOL", request.header("git-protocol"));
    // The repositories are this test's own, whoever owns the folder.
    program.envs([("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")]);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = program.spawn()?;
    let (mut input, body) = (child.stdin.take(), request.body.clone());
    let writer = std::thread::spawn(move || input.as_mut().map(|input| input.write_all(&body)).is_some());
    let output = child.wait_with_output()?;
    let _ = writer.join();
    let end = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0);
    let head = String::from_utf8_lossy(&output.stdout[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    write!(stream, "HTTP/1.1 {status}\r\n{head}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&output.stdout[(end + 4).min(output.stdout.len())..])
}
