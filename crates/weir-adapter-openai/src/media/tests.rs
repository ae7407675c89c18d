use std::sync::Arc;

use bytes::Bytes;
use http::Request as HttpRequest;
use serde_json::{Value, json};
use weir_adapter::{Adapter, Descriptor, EncodeOptions, Operation, ReplyForm, Request, Upload, WireBody};

use crate::adapter::OpenAi;

fn adapter(more: &str) -> OpenAi {
    let yaml = format!(
        "name: x\ndialect: openai\ntitle: X\nevidence: declared\nsource: test\ndate: 2026-01-01\nauth: bearer\n\
         operations: [rerank, moderations, images, speech, transcriptions]\n{more}"
    );
    OpenAi::new(serde_saphyr::from_str::<Descriptor>(&yaml).unwrap())
}

fn request(operation: Operation, body: Value) -> Request {
    let raw = Bytes::from(body.to_string());
    let (head, ()) = HttpRequest::new(()).into_parts();
    let peek = crate::front().peek(operation, &head, &raw).unwrap();
    Request::new(operation, crate::front(), raw, peek)
}

fn sent(adapter: &OpenAi, request: &Request) -> (String, Value, Vec<String>) {
    let wire = adapter.encode(request, &EncodeOptions::new("upstream")).unwrap();
    let WireBody::Bytes(body) = &wire.body else { panic!("bytes") };
    (wire.path.into_owned(), serde_json::from_slice(body).unwrap(), wire.dropped)
}

fn read(adapter: &OpenAi, request: &Request, body: &str) -> (String, Option<Value>) {
    let ReplyForm::Native(mut reader) = adapter.reply_form(request) else { panic!("native") };
    reader.whole(body.as_bytes()).unwrap();
    let rewritten = reader.rewritten().map(|bytes| serde_json::from_slice(&bytes).unwrap());
    (format!("{:?}", reader.usage().cloned().unwrap_or_default()), rewritten)
}

const VOYAGE: &str = "calls: {rerank: {parameters: {rename: {top_n: top_k}, drop: [max_tokens_per_doc]}, reply: {data: results}}}";

#[test]
fn a_descriptor_says_what_differs() {
    let voyage = adapter(VOYAGE);
    let asked = request(
        Operation::Rerank,
        json!({"model": "m", "query": "q", "documents": ["a"], "top_n": 1, "max_tokens_per_doc": 5}),
    );
    let (path, body, dropped) = sent(&voyage, &asked);
    assert_eq!(path, "/rerank");
    assert_eq!(body, json!({"model": "upstream", "query": "q", "documents": ["a"], "top_k": 1}));
    assert_eq!(dropped, ["max_tokens_per_doc"]);
    // As recorded.
    let reply = r#"{"object":"list","data":[{"relevance_score":0.57,"index":1}],"model":"rerank-2.5","usage":{"total_tokens":12}}"#;
    let (usage, rewritten) = read(&voyage, &asked, reply);
    assert_eq!(usage, r#"{"input": 12}"#);
    assert_eq!(rewritten.unwrap()["results"][0]["index"], 1);
}

#[test]
fn moderations_have_openais_default_and_always_say_whether() {
    let asked = request(Operation::Moderations, json!({"input": "x"}));
    assert_eq!(asked.model(), "omni-moderation-latest");
    assert_eq!(sent(&adapter(""), &asked).1, json!({"input": "x", "model": "upstream"}));
    let (_, rewritten) = read(
        &adapter(""),
        &asked,
        r#"{"id":"m","model":"mistral-moderation-2411","results":[{"categories":{"pii":true},"category_scores":{"pii":0.9}}]}"#,
    );
    assert_eq!(rewritten.unwrap()["results"][0]["flagged"], true);
    let (_, own) = read(&adapter(""), &asked, r#"{"results":[{"flagged":false,"categories":{}}]}"#);
    assert_eq!(own, None, "what says it passes as it is");
}

#[test]
fn images_count_themselves_beside_their_tokens() {
    let asked = request(Operation::Images, json!({"model": "m", "prompt": "p", "n": 2}));
    let (usage, _) = read(&adapter(""), &asked, r#"{"created":1,"data":[{"url":"u"},{"url":"v"}]}"#);
    assert_eq!(usage, r#"{"image": 2}"#);
    let (usage, _) = read(
        &adapter(""),
        &asked,
        r#"{"data":[{"b64_json":"YQ=="}],"usage":{"input_tokens":10,"output_tokens":272,"total_tokens":282}}"#,
    );
    assert_eq!(usage, r#"{"input": 10, "output": 272, "image": 1}"#);
    let ReplyForm::Native(mut reader) = adapter("").reply_form(&asked) else { panic!("native") };
    assert!(reader.whole(br#"{"data":[]}"#).is_err(), "no image is no answer");
}

#[test]
fn image_streams_end_with_their_last_image() {
    let asked =
        request(Operation::Images, json!({"model": "m", "prompt": "p", "stream": true, "partial_images": 1}));
    let ReplyForm::Native(mut reader) = adapter("").reply_form(&asked) else { panic!("native") };
    let frame = |value: Value| format!("event: x\ndata: {value}\n\n").into_bytes();
    let partial =
        json!({"type": "image_generation.partial_image", "b64_json": "YQ==", "partial_image_index": 0});
    assert!(reader.frame(&frame(partial)).unwrap().semantic);
    assert!(reader.end().is_err(), "cut before the image");
    let whole = json!({"type": "image_generation.completed", "b64_json": "YQ==", "usage": {"input_tokens": 5, "output_tokens": 100}});
    assert!(reader.frame(&frame(whole)).unwrap().usage_end.is_some());
    assert!(reader.end().is_ok());
    assert_eq!(format!("{:?}", reader.usage().unwrap()), r#"{"input": 5, "output": 100, "image": 1}"#);
}

#[test]
fn speech_is_counted_in_characters_and_may_come_in_json() {
    let asked = request(Operation::Speech, json!({"model": "m", "input": "h\u{e9}llo", "voice": "v"}));
    let ReplyForm::Native(reader) = adapter("").reply_form(&asked) else { panic!("native") };
    assert!(reader.is_opaque());
    assert_eq!(format!("{:?}", reader.usage().unwrap()), r#"{"character": 5}"#);
    let mistral = adapter("calls: {speech: {audio: audio_data}}");
    let ReplyForm::Native(mut reader) = mistral.reply_form(&asked) else { panic!("native") };
    assert!(!reader.is_opaque());
    reader.whole(br#"{"audio_data":"SUQz"}"#).unwrap();
    assert_eq!(
        (reader.rewritten().unwrap().as_ref(), reader.content_type()),
        (&b"ID3"[..], Some("audio/mpeg"))
    );
    assert!(reader.whole(br#"{"audio":"SUQz"}"#).is_err());
}

#[test]
fn transcriptions_tell_seconds_tokens_or_nothing() {
    let asked = request(Operation::Transcriptions, json!({"model": "m"}));
    let of = |body: &str| read(&adapter(""), &asked, body).0;
    assert_eq!(of(r#"{"text":"a","usage":{"type":"duration","seconds":7}}"#), r#"{"duration": 7000}"#);
    assert_eq!(
        of(r#"{"task":"transcribe","duration":3.25,"text":"a","segments":[]}"#),
        r#"{"duration": 3250}"#
    );
    assert_eq!(of("1\n00:00:00,000 --> 00:00:03,000\nhello\n"), "{}");
    let ReplyForm::Native(mut reader) = adapter("").reply_form(&asked) else { panic!("native") };
    assert!(reader.whole(b"<html>").is_err());
}

#[test]
fn a_form_goes_on_with_its_own_type_and_the_models_name() {
    let mut asked = request(Operation::Transcriptions, json!({"model": "m"}));
    let kind = http::HeaderValue::from_static("multipart/form-data; boundary=b");
    asked.upload = Some(Arc::new(Upload::whole(kind.clone(), Bytes::from_static(b"--m--"), Some(2..3))));
    let wire = adapter("").encode(&asked, &EncodeOptions::new("whisper-1")).unwrap();
    let WireBody::Bytes(body) = &wire.body else { panic!("bytes") };
    assert_eq!((&body[..], &wire.headers["content-type"]), (&b"--whisper-1--"[..], &kind));
    assert_eq!(wire.path, "/audio/transcriptions");
}
