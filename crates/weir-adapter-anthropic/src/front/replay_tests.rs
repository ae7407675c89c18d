use super::*;

fn events(stream: &Bytes) -> Vec<String> {
    let text = std::str::from_utf8(stream).unwrap();
    let data = |frame: &str| frame.split_once("\ndata: ").map(|(_, data)| data.to_owned());
    text.split("\n\n").filter_map(data).collect()
}

fn assembled(events: &[String]) -> Option<Bytes> {
    let events: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();
    Messages.assemble(Operation::Chat, &events)
}

const WHOLE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":4,"cost":0},"content":[{"type":"thinking","thinking":"hm","signature":"s=="},{"type":"redacted_thinking","data":"d"},{"type":"text","text":"h\u00e9","citations":[{"type":"char_location","start":1}]},{"type":"tool_use","id":"t","name":"f","input":{"big": 123456789012345678901234567890, "x":1.0}},{"type":"web_search_tool_result","tool_use_id":"w","content":[{"url":"u"}]}]}"#;

#[test]
fn whole_answers_go_there_and_back() {
    let stream = Messages.stream(Operation::Chat, WHOLE.as_bytes(), true).unwrap();
    let events = events(&stream);
    assert!(events[0].starts_with(r#"{"type":"message_start""#), "{}", events[0]);
    let again = assembled(&events).unwrap();
    assert!(std::str::from_utf8(&again).unwrap().contains("123456789012345678901234567890"));
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    assert_eq!(read(WHOLE.as_bytes()), read(&again));
}

#[test]
fn puts_a_stream_together() {
    let found = assembled(&[
        r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":5,"output_tokens":1}}}"#.to_owned(),
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned(),
        r#"{"type":"ping"}"#.to_owned(),
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#.to_owned(),
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}}"#.to_owned(),
        r#"{"type":"content_block_stop","index":0}"#.to_owned(),
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#.to_owned(),
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#.to_owned(),
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}"#.to_owned(),
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":": 1}"}}"#.to_owned(),
        r#"{"type":"content_block_stop","index":1}"#.to_owned(),
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":7}}"#.to_owned(),
        r#"{"type":"message_stop"}"#.to_owned(),
    ]);
    let want = json!({"id": "m", "type": "message", "role": "assistant", "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 5, "output_tokens": 7},
        "content": [{"type": "text", "text": "ab"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]});
    assert_eq!(serde_json::from_slice::<Value>(&found.unwrap()).unwrap(), want);
}

#[test]
fn what_is_not_known_is_not_put_together() {
    let start = r#"{"type":"message_start","message":{"id":"m"}}"#.to_owned();
    let stop = r#"{"type":"message_stop"}"#.to_owned();
    assert!(assembled(&[start.clone(), stop.clone()]).is_some());
    assert!(assembled(std::slice::from_ref(&start)).is_none());
    assert!(assembled(&[start.clone(), r#"{"type":"odd"}"#.to_owned(), stop.clone()]).is_none());
    let block =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned();
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"odd_delta"}}"#.to_owned();
    assert!(assembled(&[start, block, delta, stop]).is_none());
}

#[test]
fn only_complete_answers_count() {
    for (reason, want) in [
        ("end_turn", true),
        ("tool_use", true),
        ("stop_sequence", true),
        ("max_tokens", false),
        ("refusal", false),
        ("pause_turn", false),
    ] {
        let whole = json!({"stop_reason": reason}).to_string();
        assert_eq!(Messages.is_complete(Operation::Chat, whole.as_bytes()), want, "{reason}");
    }
    assert!(!Messages.is_complete(Operation::Chat, b"{}"));
}
