//! Simulated providers that speak the real wire formats and fail on script.
