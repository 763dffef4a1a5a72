//! A registry inside the test, small and unreliable on demand.
//!
//! It serves manifests and blobs from memory over plain HTTP, one request a connection, and notes each request. A
//! rule sees every request first and may answer it in any wrong way.

#![allow(dead_code)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use moonshell::engine::digest::Digest;
use serde_json::{Value, json};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// How often this method and path came before.
    pub before: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
    pub fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }
}

/// An answer, right or wrong.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Send only so many bytes of the body, then close.
    pub cut: Option<usize>,
    /// Send only so many bytes of the body, then stay silent.
    pub stall: Option<usize>,
    /// Send the body without saying how long it is.
    pub unsized_body: bool,
    /// Send these bytes instead of everything else.
    pub raw: Option<Vec<u8>>,
}

impl Answer {
    pub fn status(status: u16) -> Answer {
        Answer { status, ..Answer::default() }
    }
    pub fn ok(body: impl Into<Vec<u8>>) -> Answer {
        Answer { body: body.into(), ..Answer::status(200) }
    }
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.into(), value.into()));
        self
    }
}

type Rule = Box<dyn Fn(&Asked) -> Option<Answer> + Send + Sync>;

#[derive(Default)]
struct Content {
    manifests: HashMap<String, (String, Vec<u8>)>,
    blobs: HashMap<String, Vec<u8>>,
}

struct Shared {
    content: Mutex<Content>,
    rule: Mutex<Rule>,
    asked: Mutex<Vec<Asked>>,
    sent: Mutex<u64>,
}

pub struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Registry {
    pub fn start() -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            content: Mutex::default(),
            rule: Mutex::new(Box::new(|_| None)),
            asked: Mutex::default(),
            sent: Mutex::default(),
        });
        let copy = shared.clone();
        // Ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = copy.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Registry { address, shared }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }
    pub fn rule(&self, rule: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
    }
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
    /// Bytes of bodies sent.
    pub fn sent(&self) -> u64 {
        *self.shared.sent.lock().unwrap()
    }
    pub fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.shared.content.lock().unwrap().blobs.insert(digest.to_string(), bytes.to_vec());
        digest
    }
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.shared.content.lock().unwrap().blobs.contains_key(&digest.to_string())
    }
    pub fn manifest(&self, tag: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let mut content = self.shared.content.lock().unwrap();
        for name in [tag.to_string(), digest.to_string()] {
            content.manifests.insert(name, (media_type.to_string(), bytes.to_vec()));
        }
        digest
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let Some(mut asked) = read_request(&stream) else { return };
    {
        let mut list = shared.asked.lock().unwrap();
        asked.before = list.iter().filter(|other| other.method == asked.method && other.path == asked.path).count();
        list.push(asked.clone());
    }
    let special = (shared.rule.lock().unwrap())(&asked);
    let answer = special.unwrap_or_else(|| honest(&asked, &mut shared.content.lock().unwrap()));
    if let Some(raw) = answer.raw {
        let _ = stream.write_all(&raw);
        return;
    }
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", answer.status);
    if !answer.unsized_body && !answer.headers.iter().any(|(name, _)| name == "Content-Length") {
        head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
    }
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let most = answer.cut.or(answer.stall).unwrap_or(answer.body.len()).min(answer.body.len());
    let body = if asked.method == "HEAD" { &[][..] } else { &answer.body[..most] };
    *shared.sent.lock().unwrap() += body.len() as u64;
    let _ =
        stream.write_all(head.as_bytes()).and_then(|_| stream.write_all(b"\r\n")).and_then(|_| stream.write_all(body));
    if answer.stall.is_some() {
        // Until the other side gives up.
        let _ = stream.read(&mut [0]);
    }
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_string(), words.next()?.to_string());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
    }
    let length = headers.get("content-length").and_then(|text: &String| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body, before: 0 })
}

/// What a good registry answers.
fn honest(asked: &Asked, content: &mut Content) -> Answer {
    let path = asked.path.split('?').next().unwrap();
    let last = path.rsplit('/').next().unwrap();
    let get = asked.method == "GET" || asked.method == "HEAD";
    if get && path.contains("/manifests/") {
        return match content.manifests.get(last) {
            Some((media_type, bytes)) => Answer::ok(bytes.clone())
                .header("Content-Type", media_type)
                .header("Docker-Content-Digest", Digest::of(bytes).to_string()),
            None => Answer::status(404),
        };
    }
    if get && path.contains("/blobs/") {
        let Some(bytes) = content.blobs.get(last) else { return Answer::status(404) };
        let start = asked.header("range").and_then(|range| range.strip_prefix("bytes="));
        let start = start.and_then(|range| range.trim_end_matches('-').parse::<usize>().ok());
        return match start {
            Some(start) => Answer { body: bytes[start..].to_vec(), ..Answer::status(206) }
                .header("Content-Range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len())),
            None => Answer::ok(bytes.clone()),
        };
    }
    if asked.is("POST", "/blobs/uploads/") {
        return Answer::status(202).header("Location", "/v2/upload/blobs/uploads/1?state=x");
    }
    if asked.is("PUT", "/blobs/uploads/") {
        let digest = Digest::of(&asked.body).to_string();
        if !asked.path.contains(&digest.replace(':', "%3A")) {
            return Answer::status(400);
        }
        content.blobs.insert(digest, asked.body.clone());
        return Answer::status(201);
    }
    if asked.is("PUT", "/manifests/") {
        let media_type = asked.header("content-type").unwrap_or("").to_string();
        let digest = Digest::of(&asked.body).to_string();
        content.manifests.insert(last.to_string(), (media_type, asked.body.clone()));
        return Answer::status(201).header("Docker-Content-Digest", digest);
    }
    match path {
        "/v2/" => Answer::ok("{}"),
        _ => Answer::status(404),
    }
}

/// An image of one or more layers, ready to be served or spoilt.
pub struct Sample {
    pub layers: Vec<Vec<u8>>,
    pub diff_ids: Vec<Digest>,
    pub config: Value,
    pub manifest: Value,
}

impl Sample {
    /// Each layer holds one file of `size` bytes that do not compress.
    pub fn new(layers: usize, size: usize) -> Sample {
        let tars: Vec<Vec<u8>> = (0..layers).map(|number| tar_of(number, size)).collect();
        let diff_ids: Vec<Digest> = tars.iter().map(Digest::of).collect();
        let layers: Vec<Vec<u8>> = tars.iter().map(|tar| gzip(tar)).collect();
        let config = json!({
            "architecture": moonshell::engine::image::Platform::host().architecture,
            "os": "linux",
            "config": { "Cmd": ["/bin/true"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let manifest = manifest_of(&config, &layers);
        Sample { layers, diff_ids, config, manifest }
    }

    pub fn layer_digest(&self, number: usize) -> Digest {
        Digest::of(&self.layers[number])
    }
    pub fn config_digest(&self) -> Digest {
        Digest::of(self.config.to_string())
    }

    /// Puts everything into `registry` as `:1`.
    pub fn put(&self, registry: &Registry) -> Digest {
        registry.blob(self.config.to_string().as_bytes());
        for layer in &self.layers {
            registry.blob(layer);
        }
        registry.manifest("1", MANIFEST, self.manifest.to_string().as_bytes())
    }
}

pub fn manifest_of(config: &Value, layers: &[Vec<u8>]) -> Value {
    let config = config.to_string();
    let list: Vec<Value> = layers
        .iter()
        .map(|bytes| json!({ "mediaType": LAYER, "digest": Digest::of(bytes), "size": bytes.len() }))
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": Digest::of(&config), "size": config.len() },
        "layers": list,
    })
}

fn tar_of(number: usize, size: usize) -> Vec<u8> {
    // A small generator, so that the layer does not shrink to nothing.
    let mut state = 0x9e37_79b9_u32.wrapping_add(number as u32);
    let content: Vec<u8> = (0..size)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, format!("file{number}"), content.as_slice()).unwrap();
    builder.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
