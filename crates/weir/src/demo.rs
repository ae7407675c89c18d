//! The demo provider: a simulator in this very process, which answers without a key.

use std::sync::Arc;

use weir_gateway::upstream::InProcess;
use weir_sim::{SimConfig, SimState, serve_connection};

/// How much of an answer may wait in the pipe between gateway and simulator, in bytes.
const PIPE: usize = 64 << 10;

/// Opens connections to the simulator; it is made at the first.
pub fn connect() -> InProcess {
    let state: Arc<std::sync::OnceLock<Option<Arc<SimState>>>> = Arc::default();
    Arc::new(move || {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let made = state.get_or_init(|| {
            SimState::new(SimConfig::demo())
                .map_err(|error| tracing::error!(%error, "the demo provider can't start"))
                .ok()
        });
        if let Some(state) = made.clone() {
            tokio::spawn(serve_connection(state, theirs));
        }
        ours
    })
}
