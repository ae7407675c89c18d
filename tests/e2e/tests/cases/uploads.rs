//! Forms with files: they stream, whichever order their fields have, and are priced by what they hold.

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench, client};

use crate::media::{bench, invoice};

const TRANSCRIBE: &str = "/v1/audio/transcriptions";

/// A WAV file of silence: 16 kHz, mono, 16 bit.
fn wav(seconds: u32) -> Vec<u8> {
    let size = seconds * 32_000;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + size).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(16_000u32.to_le_bytes());
    file.extend(32_000u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(size.to_le_bytes());
    file.resize(44 + size as usize, 0);
    file
}

/// One part: a name, a file's name where it is one, and its content.
type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, file, content) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        form.extend(format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
        form.extend_from_slice(content);
        form.extend(b"\r\n");
    }
    form.extend(b"--XX--\r\n");
    form
}

async fn send(bench: &Bench, path: &str, form: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
    let mut request = client().post(format!("{}{path}", bench.weir.url)).body(form);
    request = request.header("content-type", "multipart/form-data; boundary=XX");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::read(request.send().await.unwrap_or_else(|cause| panic!("{cause:?}\n{}", bench.weir.log()))).await
}

/// The bodies of the calls that reached the provider. That weir asks `lab` for its models, aside, is no call.
fn captured(bench: &Bench) -> Vec<String> {
    let calls = bench.sim.state.captured().into_iter();
    calls
        .filter(|request| (&*request.method, &*request.path) != ("GET", "/v1/models"))
        .map(|request| request.body)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_found_wherever_it_stands() {
    let bench = bench("models: { ears: openai/whisper-1 }\n").await;
    let (small, large) = (wav(3), wav(40));
    for (file, seconds) in [(&small, 3.0), (&large, 40.0)] {
        let file: Part<'_> = ("file", Some("a.wav"), file);
        let (model, format): (Part<'_>, Part<'_>) =
            (("model", None, b"ears"), ("response_format", None, b"verbose_json"));
        for parts in [[model, format, file], [file, model, format], [format, file, model]] {
            let answer = send(&bench, TRANSCRIBE, form(&parts), &[]).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json()["duration"], json!(seconds as u64));
            assert_eq!((answer.header("x-weir-model"), answer.header("x-weir-route")), ("whisper-1", "ears"));
            let cost: f64 = answer.header("x-weir-cost").parse().unwrap();
            assert!((cost - seconds * 0.0001).abs() < 1e-9, "{cost}");
        }
    }
    let bodies = captured(&bench);
    assert_eq!(bodies.len(), 6);
    for body in bodies {
        assert!(body.contains("name=\"model\"\r\n\r\nwhisper-1\r\n") && !body.contains("ears"));
    }
    let (rows, _) = bench.rows_of(6).await;
    let invoice = invoice(&bench);
    for row in rows {
        assert_eq!(row.cost_nanousd, Some(invoice[&format!("{}-1", row.id)]));
        assert!(row.units.unwrap().contains("duration"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_events_and_translations_pass_and_cost_what_they_hold() {
    let bench = bench("").await;
    let sound = wav(5);
    let ask = async |path: &str, model: &str, more: &[Part<'_>]| {
        let parts =
            [&[("model", None, model.as_bytes())], more, &[("file", Some("a.wav"), &sound[..])]].concat();
        send(&bench, path, form(&parts), &[]).await
    };
    for (format, kind, part) in [
        ("text", "text/plain", "river"),
        ("srt", "application/x-subrip", "00:00:05,000"),
        ("vtt", "text/vtt", "WEBVTT"),
    ] {
        let answer =
            ask(TRANSCRIBE, "openai/whisper-1", &[("response_format", None, format.as_bytes())]).await;
        assert!(answer.status == 200 && answer.header("content-type").starts_with(kind), "{}", answer.text());
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    let stream = ask(TRANSCRIBE, "openai/gpt-4o-transcribe", &[("stream", None, b"true")]).await;
    let last = stream.chunks().last().cloned().unwrap();
    assert_eq!((&last["type"], &last["usage"]["input_tokens"]), (&json!("transcript.text.done"), &json!(50)));
    assert!(last["usage"]["cost"].is_number(), "{last}");
    let english =
        ask("/v1/audio/translations", "openai/whisper-1", &[("response_format", None, b"verbose_json")])
            .await;
    assert_eq!(english.json()["task"], "translate");
    let image = form(&[
        ("model", None, b"openai/gpt-image-1"),
        ("prompt", None, b"a weir"),
        ("image", Some("a.png"), b"\x89PNG"),
    ]);
    let edited = send(&bench, "/v1/images/edits", image, &[]).await;
    assert_eq!(
        (edited.status, &edited.json()["usage"]["input_tokens_details"]["image_tokens"]),
        (200, &json!(323)),
        "{}",
        edited.text()
    );
    let like =
        form(&[("image", Some("a.png"), b"\x89PNG"), ("model", None, b"openai/dall-e-3"), ("n", None, b"2")]);
    let varied = send(&bench, "/v1/images/variations", like, &[]).await;
    assert_eq!(
        (varied.status, varied.json()["data"].as_array().map(Vec::len)),
        (200, Some(2)),
        "{}",
        varied.text()
    );
    let (rows, _) = bench.rows_of(7).await;
    let invoice = invoice(&bench);
    for row in rows {
        // What texts leave out is known from the file.
        assert_eq!(row.cost_nanousd, Some(invoice[&format!("{}-1", row.id)]), "{}", row.operation);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_streams_is_tried_once_and_a_small_one_again() {
    let more = "models:\n  ears: { targets: [openai/whisper-1+status=500, openai/whisper-1], retry: { attempts: 1 } }\n";
    let bench = bench(more).await;
    let of = |seconds| form(&[("model", None, b"ears"), ("file", Some("a.wav"), &wav(seconds))]);
    let small = send(&bench, TRANSCRIBE, of(2), &[]).await;
    assert_eq!((small.status, small.header("x-weir-attempts")), (200, "2"), "{}", small.text());
    let large = send(&bench, TRANSCRIBE, of(60), &[]).await;
    assert_eq!((large.status, large.header("x-weir-attempts")), (500, "1"), "{}", large.text());
    let key = [("idempotency-key", "k")];
    let first = send(&bench, TRANSCRIBE, of(2), &key).await;
    let again = send(&bench, TRANSCRIBE, of(2), &key).await;
    assert_eq!((first.status, again.header("idempotent-replayed")), (200, "true"));
    assert_eq!(send(&bench, TRANSCRIBE, of(3), &key).await.status, 409, "another file is another request");
    assert_eq!(send(&bench, TRANSCRIBE, of(60), &[("idempotency-key", "l")]).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_authorized_is_what_is_sent() {
    let bench = bench("keys: [{ name: ears, key: e, models: [openai/whisper-1] }]\n").await;
    let key = [("authorization", "Bearer e")];
    let (small, large) = (wav(1), wav(60));
    let wrong = [
        form(&[("model", None, b"openai/tts-1"), ("file", Some("a.wav"), &small)]),
        form(&[
            ("model", None, b"openai/whisper-1"),
            ("file", Some("a.wav"), &small),
            ("model", None, b"gpt-4o-transcribe"),
        ]),
        form(&[
            ("model", None, b"openai/whisper-1"),
            ("file", Some("a.wav"), &large),
            ("model", None, b"gpt-4o-transcribe"),
        ]),
        form(&[("file", Some("a.wav"), &small)]),
        form(&[("model", None, b"openai/whisper-1")]),
        form(&[("model", None, b"openai/whisper-1"), ("file", Some("a.wav"), &large)])[..1_000_000].to_vec(),
        b"--YY\r\n".to_vec(),
    ];
    for (index, body) in wrong.into_iter().enumerate() {
        let answer = send(&bench, TRANSCRIBE, body, &key).await;
        let expected = if index == 0 { 403 } else { 400 };
        assert_eq!(answer.status, expected, "{index}: {}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(error["weir"]["blame"], "client", "{index}: {error}");
    }
    assert_eq!(captured(&bench).len(), 0, "no whole form has left");
    let fine = send(
        &bench,
        TRANSCRIBE,
        form(&[("model", None, b"openai/whisper-1"), ("file", Some("a.wav"), &small)]),
        &key,
    )
    .await;
    assert_eq!(fine.status, 200, "{}", fine.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_hold_sound_whose_length_shows() {
    let bench = bench("keys: [{ name: ears, key: e, budgets: [{ limit: 0.001, period: total }] }]\n").await;
    let ask = async |name: &str, file: &[u8]| {
        let form = form(&[("model", None, b"openai/whisper-1"), ("file", Some(name), file)]);
        send(&bench, TRANSCRIBE, form, &[("authorization", "Bearer e")]).await
    };
    let unknown = ask("a.ogg", b"OggS and so on").await;
    let error = unknown.json()["error"].clone();
    assert_eq!((unknown.status, &error["code"]), (400, &json!("unbounded_cost")));
    assert!(error["message"].as_str().unwrap().contains("WAV or MP3"), "{error}");
    assert_eq!(ask("a.wav", &wav(11)).await.status, 429, "0.0011 of 0.001");
    assert_eq!(ask("a.wav", &wav(8)).await.status, 200);
    assert_eq!(ask("a.wav", &wav(3)).await.status, 429, "0.0003 of 0.0002");
    let body: Value = bench.get("/openapi.json").await.json();
    assert!(
        body["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]["content"]["multipart/form-data"]
            .is_object()
    );
}
