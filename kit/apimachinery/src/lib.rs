//! Objects and resources of the API as all parts of the cluster know them, as `k8s.io/apimachinery` is upstream.

pub mod go;
pub mod managed;
pub mod object;
pub mod resource;
pub mod schema;
