//! What weir writes to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use weir_config::{LogFormat, Logging};

/// Begins to log. Later calls change nothing.
pub fn start(logging: &Logging) {
    let level = logging.level.as_str();
    let filter = EnvFilter::new(format!("{level},hyper=warn,h2=warn,sqlx=warn,rustls=warn"));
    let json = match logging.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started =
        if json { builder.json().try_init() } else { builder.with_target(false).compact().try_init() };
    drop(started);
}
