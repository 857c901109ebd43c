//! Selectors: which objects a query or a controller means, by their labels or by their fields.

mod field;
mod label;
mod parse;

pub use field::FieldSelector;
pub use label::{Labels, Operator, Requirement, Selector, format, matches};
