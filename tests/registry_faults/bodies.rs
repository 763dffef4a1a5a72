//! Bodies of blobs: cut short, silent, wrong, too long, missing.

use super::*;

#[test]
fn a_body_cut_short_once_is_resumed() {
    let case = Case::new();
    case.spoil_layer(|asked, content| {
        if asked.before > 0 {
            return None;
        }
        Some(Answer { cut: Some(content.len() / 2), ..Answer::ok(content) })
    });
    case.works();
    let blobs: Vec<Asked> = case.registry.asked().into_iter().filter(|it| it.path.contains("/blobs/")).collect();
    let ranges: Vec<&str> = blobs.iter().filter_map(|it| it.header("range")).collect();
    assert_eq!(ranges, [format!("bytes={}-", case.layer().1 / 2)]);
    let whole = case.layer().1 + case.sample.config.to_string().len() + case.sample.manifest.to_string().len();
    assert!(case.registry.sent() as usize <= whole * 11 / 10, "{} of {whole}", case.registry.sent());
}

#[test]
fn a_body_always_cut_short_is_an_error_with_the_number_of_tries() {
    let case = Case::new();
    // Each answer brings nothing but its first byte.
    case.spoil_layer(|asked, content| Some(Answer { cut: Some(1), ..rest(asked, content).1 }));
    let (digest, size) = case.layer();
    let message = format!("blob {digest} from {} was cut short at 5 of {size} bytes (tried 5 times)", case.host());
    case.fails(Kind::Network, &message);
}

#[test]
fn a_silent_body_is_resumed() {
    let case = Case::new();
    case.spoil_layer(
        |asked, content| {
            if asked.before > 0 { None } else { Some(Answer { stall: Some(1000), ..Answer::ok(content) }) }
        },
    );
    case.works();
}

#[test]
fn a_body_that_always_falls_silent_is_an_error() {
    let case = Case::new();
    case.spoil_layer(|asked, content| Some(Answer { stall: Some(0), ..rest(asked, content).1 }));
    let (digest, size) = case.layer();
    let message = format!("blob {digest} from {} was cut short at 0 of {size} bytes (tried 5 times)", case.host());
    case.fails(Kind::Network, &message);
}

#[test]
fn a_server_without_ranges_starts_again() {
    let case = Case::new();
    case.spoil_layer(|asked, content| {
        let cut = if asked.before == 0 { Some(content.len() / 2) } else { None };
        Some(Answer { cut, ..Answer::ok(content) })
    });
    case.works();
}

#[test]
fn the_wrong_range_is_refused() {
    let case = Case::new();
    case.spoil_layer(|asked, content| match asked.before {
        0 => Some(Answer { cut: Some(100), ..Answer::ok(content) }),
        _ => Some(
            Answer { body: content[50..].to_vec(), ..Answer::status(206) }
                .header("Content-Range", format!("bytes 50-{}/{}", content.len() - 1, content.len())),
        ),
    });
    let message = format!("registry {} sent another part of blob {} than asked for", case.host(), case.layer().0);
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_layer_with_the_wrong_digest_is_refused() {
    let case = Case::new();
    let mut wrong = case.sample.layers[0].clone();
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    let message = format!("content has digest {}, expected {}", Digest::of(&wrong), case.layer().0);
    case.spoil_layer(move |_, _| Some(Answer::ok(wrong.clone())));
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_configuration_with_the_wrong_digest_is_refused() {
    let case = Case::new();
    let wrong = case.sample.config.to_string().replace("/bin/true", "/bin/evil");
    let message = format!("content has digest {}, expected {}", Digest::of(&wrong), case.sample.config_digest());
    let path = format!("/blobs/{}", case.sample.config_digest());
    case.registry.rule(move |asked| asked.is("GET", &path).then(|| Answer::ok(wrong.clone())));
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_blob_of_another_size_is_refused() {
    let case = Case::new();
    case.spoil_layer(|_, content| Some(Answer::ok(&content[1..])));
    let (digest, size) = case.layer();
    let message = format!("blob {digest} has {} bytes in {}, expected {size}", size - 1, case.host());
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_body_longer_than_announced_is_refused() {
    let case = Case::new();
    case.spoil_layer(|_, content| {
        let body = [content, b"more"].concat();
        Some(Answer { unsized_body: true, ..Answer::ok(body) })
    });
    let (digest, size) = case.layer();
    case.fails(Kind::Integrity, &format!("{digest} is longer than its {size} bytes"));
}

#[test]
fn a_missing_blob_is_named() {
    let case = Case::new();
    case.spoil_layer(|_, _| Some(Answer::status(404)));
    case.fails(Kind::NotFound, &format!("blob {} not found in {}", case.layer().0, case.host()));
}

#[test]
fn a_damaged_layer_with_the_right_digest_is_refused() {
    let mut sample = Sample::new(1, 1000);
    sample.layers[0].truncate(600);
    sample.manifest = manifest_of(&sample.config, &sample.layers);
    let case = Case::of(sample);
    let error = case.pull().unwrap_err();
    assert!(error.message().starts_with("gzip data of the layer cannot be read"), "{error:?}");
    case.expect(&error, Kind::Integrity, error.message());
}

#[test]
fn a_layer_that_unpacks_to_something_else_is_refused() {
    let mut sample = Sample::new(1, 1000);
    let other = Sample::new(2, 1000);
    sample.config["rootfs"]["diff_ids"] = json!([other.diff_ids[1]]);
    sample.manifest = manifest_of(&sample.config, &sample.layers);
    let case = Case::of(sample);
    let message = format!(
        "layer {} unpacks to {}, but the image's configuration says {}",
        case.layer().0,
        case.sample.diff_ids[0],
        other.diff_ids[1]
    );
    case.fails(Kind::Integrity, &message);
}

#[test]
fn one_bad_layer_stops_the_others() {
    let case = Case::of(Sample::new(3, 5000));
    let bad = format!("/blobs/{}", case.layer().0);
    let (path, content) = (case.sample.layer_digest(1).to_string(), case.sample.layers[1].clone());
    // The second would take for ever; it ends because the first fails.
    case.registry.rule(move |asked| {
        if asked.is("GET", &bad) {
            return Some(Answer::status(403));
        }
        asked.is("GET", &path).then(|| Answer { stall: Some(10), ..Answer::ok(content.clone()) })
    });
    let start = Instant::now();
    let patience = Patience { read: Duration::from_secs(60), ..PATIENCE };
    let error = case.pull_with("test/app:1", &PullOptions { patience, ..PullOptions::default() }).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20));
    case.expect(
        &error,
        Kind::Permission,
        &format!("registry {} denied access to blob {}", case.host(), case.layer().0),
    );
}
