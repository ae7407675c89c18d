pub(crate) mod error;
use crate::reply::Outcome;
use crate::service::Call;
use bytes::Bytes;
pub(crate) const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";
pub(crate) fn answer(call: &Call<'_>) -> Outcome {
    Err(error::by_status(404, call.model))
}
pub(crate) fn error_event() -> Bytes {
    Bytes::new()
}
