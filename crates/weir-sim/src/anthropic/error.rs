use crate::reply::Refusal;
pub(crate) fn by_status(status: u16, message: &str) -> Refusal {
    Refusal { status, headers: vec![], body: serde_json::json!({"error": message}) }
}
pub(crate) fn invalid(message: &str) -> Refusal {
    by_status(400, message)
}
