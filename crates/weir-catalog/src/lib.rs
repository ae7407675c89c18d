//! The data: models, prices, capabilities, and exact money arithmetic.
//!
//! Prices are integers, picodollars per counted unit; a call's cost is summed in picodollars and rounded once,
//! half up, to nanodollars. A price that is not known is `None`, never 0. Nothing here does I/O, parses YAML or
//! reads the clock: files come in as deserialized [`ModelFile`]s and time as seconds since 1970.
//!
//! The way of a price: [`ModelFile`] and overrides ([`PriceFields`]) → [`Catalog`] → [`Schedule`] (what a model
//! costs from when) → [`Price`] (what it costs now) → [`Price::cost`].

pub mod capability;
pub mod catalog;
pub mod date;
pub mod family;
pub mod fields;
pub mod file;
pub mod model;
pub mod money;
pub mod price;
pub mod rate;
mod rates;
pub mod schedule;

pub use capability::{Capabilities, Capability, Modalities, Modality, Mode, Modes};
pub use catalog::{Catalog, CatalogError};
pub use date::Date;
pub use fields::{ModelPrice, PriceFields, ServiceTier, StepFields, TierFields, Tiers};
pub use file::{ModelFields, ModelFile, PriceFile};
pub use model::Model;
pub use money::{MoneyError, NanoUsd, Picodollars};
pub use price::{Bound, Line, Price};
pub use rate::{PerMillion, PerSecond, PerUnit, Rate};
pub use schedule::Schedule;
