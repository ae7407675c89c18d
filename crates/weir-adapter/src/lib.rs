//! The seam: the Adapter and Front traits, provider descriptors, and the conformance test kit.
