//! Which fields an object has, which of them differ between two versions, and who owns them: what server-side apply works
//! with (`apimachinery/pkg/util/managedfields` upstream).

mod check;
mod compare;
mod merge;
mod seen;
mod set;

pub use check::mistyped;
pub use compare::{Difference, compare, equal};
pub use merge::{fields, merge, prune};
pub use seen::Seen;
pub use set::{Set, Step};
