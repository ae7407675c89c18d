//! What unit tests and fixture tests share.

pub(crate) mod front;
pub(crate) mod spec;

use weir_adapter::Descriptor;

/// The descriptor that ships.
pub(crate) fn descriptor() -> Descriptor {
    let yaml = include_str!("../../../../config/providers/gemini.yaml");
    serde_saphyr::from_str(yaml).expect("the descriptor reads")
}
