//! Progress for programs: a JSON object for each event.
//!
//! ```text
//! {"event":"start","id":7,"what":"step","name":"RUN make","step":"RUN make","label":"[build 3/7] RUN make","time":...}
//! {"event":"output","id":7,"step":...,"label":...,"stream":"stderr","text":"a line","time":...}
//! {"event":"end","id":7,"step":...,"label":...,"outcome":"done","cached":false,"seconds":1.25,"time":...}
//! {"event":"advance","id":8,"bytes":65536}      {"event":"warning","text":...}
//! ```

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::work::{Ending, Work};
use crate::engine::container::streams::Stream;
use crate::engine::progress::{Event, Sink};

/// Objects as they come.
pub struct Json<W> {
    state: Mutex<(W, HashMap<u64, Known>)>,
}

/// What is running, and what every object about it says.
struct Known {
    work: Work,
    about: Value,
}

impl<W: Write + Send> Json<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Json<W> {
        Json { state: Mutex::new((out, HashMap::new())) }
    }
}

impl<W: Write + Send> Sink for Json<W> {
    fn event(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (out, works) = &mut *state;
        let mut objects = Vec::new();
        match event {
            Event::Start { id, what, name, label, total_bytes } => {
                let mut about = json!({ "id": id, "what": what, "name": name });
                if what == "step" {
                    about["step"] = json!(name);
                    about["label"] = json!(label.as_ref().unwrap_or(&name));
                }
                let more = json!({ "total_bytes": total_bytes, "time": now() });
                objects.push(object("start", &about, more));
                works.insert(id, Known { work: Work::new(what, &name, label), about });
            }
            Event::Advance { id, bytes } => objects.push(json!({ "event": "advance", "id": id, "bytes": bytes })),
            Event::Output { id, stream, bytes } => {
                if let Some(known) = works.get_mut(&id) {
                    let lines = known.work.add(stream, &bytes);
                    objects.extend(lines.iter().map(|text| line(&known.about, stream, text)));
                }
            }
            Event::End { id, outcome } => {
                if let Some(mut known) = works.remove(&id) {
                    let rest = known.work.rest();
                    objects.extend(rest.iter().map(|(stream, text)| line(&known.about, *stream, text)));
                    let seconds = (known.work.seconds() * 1000.0).round() / 1000.0;
                    let cached = Ending::of(&outcome) == Ending::Cached;
                    let more = json!({ "outcome": outcome, "cached": cached, "seconds": seconds, "time": now() });
                    objects.push(object("end", &known.about, more));
                }
            }
            Event::Warning(text) => objects.push(json!({ "event": "warning", "text": text })),
        }
        for object in objects {
            // Progress is a courtesy: a closed standard error must not fail the work.
            let _ = writeln!(out, "{object}");
        }
    }
}

fn line(about: &Value, stream: Stream, text: &str) -> Value {
    let stream = match stream {
        Stream::Out => "stdout",
        Stream::Err => "stderr",
    };
    object("output", about, json!({ "stream": stream, "text": text, "time": now() }))
}

fn object(event: &str, about: &Value, more: Value) -> Value {
    let mut object = json!({ "event": event });
    for part in [about, &more] {
        for (key, value) in part.as_object().into_iter().flatten() {
            object[key] = value.clone();
        }
    }
    object
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::work::tests::{end, output, start, step};
    use super::*;

    #[test]
    fn objects_say_whose_they_are() {
        let sink = Json::new(Vec::new());
        let events = [
            step(1, "RUN make", Some("[a 1/2] RUN make")),
            start(2, "pull", "abc"),
            output(1, Stream::Err, b"half "),
            output(1, Stream::Out, b"other\n"),
            output(1, Stream::Err, b"line\nrest"),
            end(1, "CACHED"),
            Event::Advance { id: 2, bytes: 5 },
            end(2, "done"),
            Event::Warning("careful".into()),
        ];
        events.into_iter().for_each(|event| sink.event(event));
        let text = String::from_utf8(sink.state.into_inner().unwrap().0).unwrap();
        let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |key: &str| objects.iter().map(|object| object[key].to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(of("event"), r#""start" "start" "output" "output" "output" "end" "advance" "end" "warning""#);
        assert_eq!(of("text"), r#"null null "other" "half line" "rest" null null null "careful""#);
        assert_eq!(of("stream"), r#"null null "stdout" "stderr" "stderr" null null null null"#);
        assert_eq!(of("cached"), "null null null null null true null false null");
        for object in objects.iter().filter(|object| object["id"] == 1) {
            assert_eq!((&object["step"], &object["label"]), (&json!("RUN make"), &json!("[a 1/2] RUN make")));
            assert!(object["time"].is_string());
        }
        assert!(objects[5]["seconds"].is_number() && objects[1]["label"].is_null());
    }
}
