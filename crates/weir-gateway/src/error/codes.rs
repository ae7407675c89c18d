//! Every code that stands in `error.code` and is weir's own word, with what it means. `docs/errors.md` is made of it.

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// What stands in `error.code`.
    pub code: &'static str,
    /// The status that it comes with; none where it stands in events and rows only.
    pub status: Option<u16>,
    /// What happened, and what helps.
    pub means: &'static str,
}

const fn code(code: &'static str, status: u16, means: &'static str) -> Code {
    Code { code, status: Some(status), means }
}

/// All of them, by status.
pub const CODES: &[Code] = &[
    code(
        "invalid_request",
        400,
        "the request is wrong in a way that has no code of its own, here or at the provider",
    ),
    code("invalid_json", 400, "the body is not one JSON object, or has a key twice"),
    code("invalid_value", 400, "a parameter, header or field has a value that can't be; `param` names it"),
    code("missing_required_parameter", 400, "`param` is missing"),
    code(
        "unsupported_parameter",
        400,
        "no target can do what `param` asks for; leave it out, or ask another model",
    ),
    code("context_length_exceeded", 400, "prompt and answer don't fit the model's window"),
    code("content_filter", 400, "the provider's filter refused"),
    code(
        "max_cost_exceeded",
        400,
        "the call would cost, or the stream has cost, more than `x-weir-max-cost`",
    ),
    code(
        "unknown_price",
        400,
        "no price is known, and a hard budget or `unknown_price: block` wants one; set it under `prices.overrides`",
    ),
    code(
        "unbounded_cost",
        400,
        "a hard budget applies, and nothing bounds what the call can cost; set an output limit",
    ),
    code("gateway_loop", 400, "the call passed eight gateways: they send it to each other"),
    code("invalid_api_key", 401, "no key, a wrong one, or one whose time is over"),
    code("model_not_allowed", 403, "the key may not call this model"),
    code(
        "permission_denied",
        403,
        "the key's role may not do this, or the request comes from where it may not",
    ),
    code("model_not_found", 404, "nobody serves this model; the message names the nearest"),
    code("not_found", 404, "there is nothing at this path, or of this id"),
    code("not_cached", 404, "`x-weir-cache: only`, and there is no stored answer"),
    code("previous_response_not_found", 404, "the answer to go on from is not kept, or another key's"),
    code("method_not_allowed", 405, "what is there does not answer this method"),
    code("request_timeout", 408, "the body came too slowly"),
    code("conflict", 409, "the same `idempotency-key` is under way"),
    code("idempotency_key_reused", 409, "the same `idempotency-key` came with another body"),
    code("already_exists", 409, "the name is taken"),
    code("changed_meanwhile", 409, "somebody else changed it first; read it again"),
    code("in_use", 409, "something else still needs it"),
    code("owned_by_file", 409, "`weir.yaml` declares it; change it there"),
    code("revoked", 409, "the key was revoked, and stays so"),
    code("request_too_large", 413, "the body is larger than `server.max_body`, or than the provider takes"),
    code(
        "rate_limit_exceeded",
        429,
        "a limit of weir's or of the provider's is reached; come again after `retry-after`",
    ),
    code("insufficient_quota", 429, "a budget is spent; the message names it, and until when"),
    code("request_header_fields_too_large", 431, "the head of the request is larger than 64 KiB"),
    code("internal_error", 500, "weir's own fault; the log has the cause"),
    code("upstream_error", 502, "the provider failed (the status is its own, where it has one)"),
    code("upstream_unreachable", 502, "the provider can't be reached: DNS, connection, TLS, reset"),
    code("upstream_auth", 502, "the provider refuses weir's key, which is the operator's to mend"),
    code("upstream_quota", 502, "weir's account at the provider is used up"),
    code("upstream_invalid_response", 502, "what the provider sent is no answer"),
    code("upstream_empty_response", 502, "the provider answered without an answer"),
    code("upstream_truncated", 502, "the provider's answer ended too early"),
    code(
        "all_targets_failed",
        502,
        "several attempts were made, all failed; `error.weir.attempts` has each (the status is the last one's)",
    ),
    code("upstream_overloaded", 503, "the provider has no room"),
    code("no_healthy_target", 503, "every target rests after failures; come again after `retry-after`"),
    code("overloaded", 503, "weir has no room for the call: connections, memory, or too long a queue"),
    code("ledger_full", 503, "nothing more can be recorded: the disk is full, or the database away for long"),
    code("budget_unavailable", 503, "whether a budget pays for the call can't be found out now"),
    code(
        "coordination_lost",
        503,
        "shared limits can't be asked, and `coordination.on_loss: closed` lets no call in then",
    ),
    code("store_unavailable", 503, "the database does not answer"),
    code("cache_unreachable", 503, "stored answers are in Redis, which does not answer"),
    code("not_ready", 503, "keys are not known yet: the database was not reached since the start"),
    code("shutting_down", 503, "the process ends; ask again"),
    code("upstream_timeout", 504, "a deadline passed; `error.weir.timeout` says which"),
    Code {
        code: "write_timeout",
        status: None,
        means: "in the ledger: the client took none of its answer for too long",
    },
];
