//! What a row is charged to.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::row::{Micros, Text};

/// A budget, and the window of it, that pays for an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The budget's id.
    pub budget: Text,
    /// The beginning of the window that admitted the attempt.
    pub window: Micros,
    /// Which lease of the process pays, as [`Window::lease`](super::Window::lease) says; `None` for a soft budget.
    pub lease: Option<Micros>,
}

/// All that pay for an attempt. Costs nothing where there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Charges(Option<Arc<[Charge]>>);

impl From<Vec<Charge>> for Charges {
    fn from(charges: Vec<Charge>) -> Charges {
        Charges((!charges.is_empty()).then(|| charges.into()))
    }
}

impl Deref for Charges {
    type Target = [Charge];

    fn deref(&self) -> &[Charge] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Charges {
    /// Whether nothing pays.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }
}
