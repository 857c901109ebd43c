//! Which fields an object has, which of them differ between two versions, and who owns them: what server-side apply works
//! with (`apimachinery/pkg/util/managedfields` upstream).

mod merge;
mod set;

pub use merge::{Difference, Seen, compare, equal, fields, merge, prune, undeclared};
pub use set::{Set, Step};
