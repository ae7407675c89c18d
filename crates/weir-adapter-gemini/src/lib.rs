//! Gemini's dialect, for providers.
