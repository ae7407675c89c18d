//! Tests of [`super`].

use weir_adapter::ErrorKind;
use weir_wire::Class;

use super::*;

fn reader(operation: Operation, choices: u32) -> NativeReader {
    NativeReader::new(operation, Convention::default(), choices)
}

/// What a stream of these data lines is seen as, and what is added at its end.
fn stream(frames: &[&str]) -> Result<(String, Bytes, NativeReader), ProviderError> {
    let mut reader = reader(Operation::Chat, 1);
    let mut seen = String::new();
    for frame in frames {
        let frame = if frame.contains('\n') { (*frame).to_owned() } else { format!("data: {frame}\n\n") };
        let glance = reader.frame(frame.as_bytes())?;
        seen.push(match glance {
            Glance { withhold: true, .. } => 'x',
            Glance { usage_only: true, .. } => 'u',
            Glance { semantic: true, .. } => 's',
            _ => '.',
        });
        if let Some(end) = glance.usage_end {
            assert_eq!(frame.as_bytes()[end], b'}');
            assert!(
                serde_json::from_str::<Value>(&format!(
                    "{}}}",
                    &frame[frame.find("\"usage\":").unwrap() + 8..end]
                ))
                .is_ok()
            );
        }
    }
    let added = reader.end()?;
    Ok((seen, added, reader))
}

#[track_caller]
fn check(frames: &[&str], seen: &str, added: &str) -> NativeReader {
    let (found, end, reader) = stream(frames).unwrap();
    assert_eq!((found.as_str(), &end[..]), (seen, added.as_bytes()));
    reader
}

#[track_caller]
fn check_fails(frames: &[&str], kind: ErrorKind) -> ProviderError {
    let error = stream(frames).err().expect("it fails");
    assert_eq!(error.kind, kind, "{error}");
    error
}

const ROLE: &str = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#;
const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

#[test]
fn openais_stream() {
    let reader = check(&[ROLE, TEXT, STOP, USAGE, "[DONE]"], ".ssu.", "");
    let expected = Usage::new().with(Class::Input, 3).with(Class::Output, 2);
    assert_eq!(reader.usage(), Some(&expected));
}

#[test]
fn the_end_mark_comes_once() {
    check(&[ROLE, TEXT, STOP], ".ss", "data: [DONE]\n\n");
    check(&[TEXT, STOP, "[DONE]", "[DONE]", TEXT], "ss.xx", "");
    check(&[TEXT, "[DONE]"], "s.", "");
}

#[test]
fn usage_stands_in_five_places() {
    let finish = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}"#;
    check(&[TEXT, finish], "ss", "data: [DONE]\n\n");
    let groq = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":9}}}"#;
    let reader = check(&[TEXT, groq, "[DONE]"], "ss.", "");
    assert_eq!(reader.usage().unwrap().tokens(Class::Input), 9);
    check(&[TEXT, groq, USAGE, "[DONE]"], "ssu.", "");
    let after = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":{"prompt_tokens":4}}"#;
    check(&[TEXT, STOP, after, "[DONE]"], "ssu.", "");
    check(&[after, TEXT, STOP], ".ss", "data: [DONE]\n\n");
    let each = r#"{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":4,"cost":{"total_cost":1}}}"#;
    check(&[each, each, finish], "sss", "data: [DONE]\n\n");
    let unread = r#"{"choices":[],"usage":"none"}"#;
    check(&[TEXT, unread, STOP], "s.s", "data: [DONE]\n\n");
}

#[test]
fn the_tier_is_the_one_that_the_answer_names() {
    for (named, tier) in [
        (r#""priority""#, Some("priority")),
        (r#""flex""#, Some("flex")),
        (r#""default""#, Some("default")),
        (r#""on_demand""#, None),
        ("null", None),
    ] {
        let usage = format!(r#"{{"choices":[],"service_tier":{named},"usage":{{"prompt_tokens":3}}}}"#);
        assert_eq!(check(&[TEXT, STOP, &usage, "[DONE]"], "ssu.", "").tier(), tier, "{named}");
    }
}

#[test]
fn what_is_content() {
    for (delta, semantic) in [
        (r#"{"role":"assistant"}"#, false),
        (r#"{}"#, false),
        (r#"{"content":null,"tool_calls":null}"#, false),
        (r#"{"content":" "}"#, true),
        (r#"{"reasoning_content":"x"}"#, true),
        (r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}"#, true),
        (r#"{"refusal":"no"}"#, true),
    ] {
        let frame =
            format!(r#"data: {{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}{}"#, "\n\n");
        let glance = reader(Operation::Chat, 1).frame(frame.as_bytes()).unwrap();
        assert_eq!(glance.semantic, semantic, "{delta}");
    }
    let azure = r#"{"choices":[],"id":"","model":"","prompt_filter_results":[{"content_filter_results":{"hate":{"filtered":false}}}]}"#;
    let filter = r#"{"choices":[{"index":0,"content_filter_results":{},"finish_reason":null}]}"#;
    check(&[azure, ROLE, TEXT, filter, STOP, "[DONE]"], "..s.s.", "");
    check(&[": OPENROUTER PROCESSING\n\n", TEXT, "\n", STOP, "[DONE]"], ".s.s.", "");
}

#[test]
fn failures_under_status_200() {
    let error = check_fails(
        &[
            TEXT,
            "event: error\ndata: {\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"tool_use_failed\",\"status_code\":400}}\n\n",
        ],
        ErrorKind::InvalidRequest,
    );
    assert_eq!(
        (error.status, error.error.code.as_deref(), error.retry),
        (400, Some("tool_use_failed"), weir_adapter::Retry::Elsewhere)
    );
    check_fails(
        &[
            r#"{"choices":[{"delta":{"content":""},"finish_reason":"stop"}],"error":{"code":502,"message":"x"}}"#,
        ],
        ErrorKind::Server,
    );
    check_fails(&[r#"{"error":{"message":"Rate limit","code":429}}"#], ErrorKind::RateLimit);
    check_fails(&["event: error\ndata: {\"message\":\"gone\"}\n\n"], ErrorKind::Server);
    check_fails(&["{\n  \"error\": {\"message\": \"x\", \"code\": 503}\n}\n"], ErrorKind::Overloaded);
    check_fails(&["{\"choices\": [\n]}\n"], ErrorKind::Nonsense);
    check_fails(&["nonsense"], ErrorKind::Nonsense);
    check_fails(&[r#"{"usage":{"a":1},,}"#], ErrorKind::Nonsense);
    check_fails(&[r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#], ErrorKind::Server);
    check_fails(
        &[r#"{"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}"#],
        ErrorKind::Overloaded,
    );
    check(
        &[r#"{"choices":[{"delta":{"content":"say \"error\": 1"}}],"error":null}"#, STOP],
        "ss",
        "data: [DONE]\n\n",
    );
}

#[test]
fn streams_that_end_early() {
    check_fails(&[TEXT], ErrorKind::Truncated);
    check_fails(&[ROLE], ErrorKind::Empty);
    check_fails(&[], ErrorKind::Empty);
    check_fails(&[ROLE, "[DONE]"], ErrorKind::Empty);
    let mut two = reader(Operation::Chat, 2);
    for frame in [TEXT, STOP] {
        two.frame(format!("data: {frame}\n\n").as_bytes()).unwrap();
    }
    assert_eq!(two.end().unwrap_err().kind, ErrorKind::Truncated);
    two.frame(format!("data: {}\n\n", STOP.replace(":0", ":1")).as_bytes()).unwrap();
    assert_eq!(two.end().unwrap(), "data: [DONE]\n\n");
}

#[test]
fn text_completions() {
    let mut reader = reader(Operation::Completions, 1);
    assert_eq!(reader.framing(), Framing::Sse);
    let glance = reader.frame(b"data: {\"choices\":[{\"text\":\"ab\",\"finish_reason\":null}]}\n\n").unwrap();
    assert_eq!((glance.semantic, glance.output_bytes), (true, 2));
    assert!(
        reader
            .frame(b"data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}]}\n\n")
            .unwrap()
            .semantic
    );
    assert!(reader.end().is_ok());
}

#[track_caller]
fn whole(operation: Operation, body: &str) -> Result<(Option<usize>, usize), ErrorKind> {
    let mut reader = reader(operation, 1);
    let glance = reader.whole(body.as_bytes()).map_err(|error| error.kind)?;
    assert!(glance.semantic && reader.end().unwrap().is_empty());
    Ok((glance.usage_end, glance.output_bytes))
}

#[test]
fn whole_replies() {
    use Operation::{Chat, Embeddings};
    let reply = r#"   {"choices":[{"message":{"role":"assistant","content":"abc"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}} "#;
    // What was said is counted where nothing else tells.
    assert_eq!(whole(Chat, reply), Ok((Some(reply.rfind("}}").unwrap()), 0)));
    assert_eq!(whole(Chat, &reply.replace("\"usage\"", "\"use\"")), Ok((None, 7)));
    assert_eq!(whole(Chat, r#"{"choices":[{}],"usage":null}"#), Ok((None, 0)));
    assert_eq!(whole(Chat, r#"{"choices":[{}],"usage":{"prompt_tokens":1,"cost":0.1}}"#), Ok((None, 0)));
    assert_eq!(whole(Chat, r#"{"choices":[]}"#), Err(ErrorKind::Empty));
    assert_eq!(whole(Chat, r#"{"id":"x"}"#), Err(ErrorKind::Nonsense));
    assert_eq!(whole(Chat, "<html>"), Err(ErrorKind::Nonsense));
    assert_eq!(whole(Chat, r#"{"error":{"message":"x","code":429}}"#), Err(ErrorKind::RateLimit));
    assert_eq!(whole(Chat, r#"{"error":{"code":502},"choices":[{"message":{}}]}"#), Err(ErrorKind::Server));
    assert_eq!(
        whole(Chat, r#"{"object":"error","message":"Invalid model","code":400}"#),
        Err(ErrorKind::NotFound)
    );
    assert_eq!(
        whole(Chat, r#"{"choices":[{"message":{},"finish_reason":"error"}]}"#),
        Err(ErrorKind::Server)
    );
    assert_eq!(
        whole(Embeddings, r#"{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":1}}"#),
        Ok((Some(54), 0))
    );
    assert_eq!(whole(Embeddings, r#"{"choices":[{}]}"#), Err(ErrorKind::Nonsense));
}
