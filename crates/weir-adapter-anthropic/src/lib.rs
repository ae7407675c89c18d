//! Anthropic's dialect, for providers and for clients.
