//! Streams cut into frames, and objects changed in place.

use bytes::Bytes;
use weir_adapter::testkit::stream;
use weir_wire::framing::Framing;
use weir_wire::peek::Members;
use weir_wire::splice::ObjectSplice;

use crate::dialects::{chosen, cuts};

/// Frames are the same however a stream is cut, and together they are the stream.
pub(crate) fn frames(input: &[u8]) {
    let (choice, stream) = chosen(input);
    for framing in [Framing::Sse, Framing::JsonLines] {
        let whole = stream::frames(framing, stream, &[]);
        let pieces = stream::frames(framing, stream, &cuts(stream.len(), choice));
        assert_eq!(whole.concat(), stream, "{framing:?} loses bytes");
        assert_eq!(pieces.concat(), stream, "{framing:?} loses bytes where it is cut");
        // An LF behind a cut within CR LF may stand in a frame of its own: that says nothing.
        let said = |frames: &[Bytes]| -> Vec<Vec<u8>> {
            let plain = frames.iter().map(|frame| frame.trim_ascii().to_vec());
            plain.filter(|frame| !frame.is_empty()).collect()
        };
        assert_eq!(said(&whole), said(&pieces), "{framing:?}");
        for frame in &whole {
            let _ = weir_wire::framing::sse::data(frame);
        }
    }
}

/// What a glance takes for an object is one to a parser, too, and stays one when members are taken out.
pub(crate) fn splices(input: &[u8]) {
    let (choice, body) = chosen(input);
    let Ok(members) = Members::read(body) else { return };
    let parsed: Result<serde_json::Value, _> = serde_json::from_slice(body);
    let Ok(serde_json::Value::Object(object)) = parsed else { return };
    assert_eq!(object.len(), members.list.len(), "members are counted alike");
    let mut splice = ObjectSplice::new(&members);
    let taken = members.list.len().checked_sub(1).map(|last| choice.min(last));
    if let Some(index) = taken {
        splice.remove(index);
    }
    let out = splice.apply(&Bytes::copy_from_slice(body));
    let left: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&out).expect("an object remains");
    assert_eq!(left.len(), object.len() - usize::from(taken.is_some()));
    assert!(left.iter().all(|(name, value)| object.get(name) == Some(value)), "the others stay as they are");
}
