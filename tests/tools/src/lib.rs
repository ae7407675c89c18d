//! weir-tools
