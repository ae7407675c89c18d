//! The table of errors, and what a budget says.

use super::*;

#[track_caller]
fn check(error: GatewayError, status: u16, kind: &str, code: &str, blame: &str) {
    let words = error.words();
    assert_eq!(
        (error.status(), words.kind.as_str(), words.code.as_deref(), error.blame()),
        (status, kind, Some(code), blame)
    );
}

fn attempt(error: AttemptError, tried: usize) -> GatewayError {
    let one =
        Tried { provider: "p".into(), model: "m".into(), result: "upstream_error", status: None, code: None };
    GatewayError::Attempt { error, provider: "p".into(), trail: vec![one; tried] }
}

#[test]
fn the_table_of_errors() {
    check(
        InvalidRequest::missing("model").into(),
        400,
        "invalid_request_error",
        "missing_required_parameter",
        "client",
    );
    check(GatewayError::Unauthenticated("x"), 401, "invalid_request_error", "invalid_api_key", "client");
    check(
        GatewayError::UnknownModel { model: "x".into(), nearest: vec![] },
        404,
        "invalid_request_error",
        "model_not_found",
        "client",
    );
    check(GatewayError::TooLarge { limit: 1 }, 413, "invalid_request_error", "request_too_large", "client");
    let full =
        GatewayError::Overloaded { code: "ledger_full", message: "x", retry_after: Duration::from_secs(1) };
    check(full, 503, "server_error", "ledger_full", "gateway");
    let refused = AttemptError::Unreachable { what: "connection refused", sent: false, stale: false };
    check(attempt(refused.clone(), 1), 502, "upstream_error", "upstream_unreachable", "provider");
    check(attempt(refused, 2), 502, "upstream_error", "all_targets_failed", "provider");
    check(
        attempt(AttemptError::TimedOut(Wait::Idle, Duration::from_secs(1)), 1),
        504,
        "upstream_error",
        "upstream_timeout",
        "provider",
    );
    let wrong = ProviderError::reported(ErrorKind::InvalidRequest, 422, "x").code("odd");
    check(attempt(wrong.into(), 1), 422, "invalid_request_error", "odd", "client");
    check(
        attempt(ProviderError::reported(ErrorKind::Auth, 401, "x").into(), 1),
        502,
        "upstream_error",
        "upstream_auth",
        "provider",
    );
    let over = |of_provider, unavailable| OverBudget { of_provider, unavailable, ..OverBudget::default() };
    let own = GatewayError::OverBudget(Box::new(over(false, false)));
    assert!(!own.should_retry() && own.retry_after().is_none());
    check(own, 429, "insufficient_quota", "insufficient_quota", "client");
    let cut = attempt(AttemptError::OverBudget(Box::new(over(true, false))), 1);
    check(cut, 429, "insufficient_quota", "insufficient_quota", "client");
    let unsure = GatewayError::OverBudget(Box::new(over(false, true)));
    assert!(unsure.should_retry() && unsure.retry_after().is_some());
    check(unsure, 503, "server_error", "budget_unavailable", "gateway");
    let dear = GatewayError::MaxCost("x".into());
    assert!(!dear.should_retry());
    check(dear, 400, "invalid_request_error", "max_cost_exceeded", "client");
    let unknown = AttemptError::Unbounded(Unbounded::Price("a/b".into()));
    check(attempt(unknown, 1), 400, "invalid_request_error", "unknown_price", "client");
    check(GatewayError::Internal, 500, "server_error", "internal_error", "gateway");
}

#[test]
fn a_timeout_names_itself() {
    let error = attempt(AttemptError::TimedOut(Wait::FirstToken, Duration::from_millis(1500)), 1).body();
    assert!(error.message.ends_with("first_token timeout of 1500ms"), "{}", error.message);
    assert_eq!(error.weir.unwrap()["timeout"], "first_token");
}
