//! What a row is charged to.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

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
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Charge>", into = "Vec<Charge>")]
pub struct Charges(Option<Arc<Listed>>);

#[derive(Debug)]
struct Listed {
    all: Vec<Charge>,
    /// As records have them: each attempt has at least two.
    written: OnceLock<Box<[u8]>>,
}

impl From<Vec<Charge>> for Charges {
    fn from(all: Vec<Charge>) -> Charges {
        Charges((!all.is_empty()).then(|| Arc::new(Listed { all, written: OnceLock::new() })))
    }
}

impl From<Charges> for Vec<Charge> {
    fn from(charges: Charges) -> Vec<Charge> {
        charges.to_vec()
    }
}

impl PartialEq for Charges {
    fn eq(&self, other: &Charges) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Charges {}

impl Deref for Charges {
    type Target = [Charge];

    fn deref(&self) -> &[Charge] {
        self.0.as_ref().map_or(&[][..], |listed| listed.all.as_slice())
    }
}

impl Charges {
    /// Whether nothing pays.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Adds them to a record: as `write` does, or as it did before.
    pub(crate) fn put(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>, &[Charge])) {
        let Some(listed) = &self.0 else { return };
        if let Some(written) = listed.written.get() {
            return out.extend_from_slice(written);
        }
        let from = out.len();
        write(out, &listed.all);
        // Somebody else may have been faster, with the same.
        let _ = listed.written.set(out[from..].into());
    }
}
