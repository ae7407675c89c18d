//! The engine: the tower stack, routing, dispatch, upstream connections.
