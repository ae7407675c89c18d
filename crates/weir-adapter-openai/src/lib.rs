//! OpenAI's dialect, and every provider that speaks it, by descriptor.
