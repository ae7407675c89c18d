//! The data: models, prices, capabilities, and exact money arithmetic.
