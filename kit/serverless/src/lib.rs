//! The same day of traffic on functions and on a cluster: what it costs, how long answers take, what fails.
//!
//! A [`load`] is a profile of a day as requests. [`function`] is a platform as AWS documents Lambda: an environment for each
//! request that runs, cold starts, limits. [`cluster`] is this kit's own cluster, with an HPA and the Cluster Autoscaler, under
//! the same load, and [`service`] the requests on its pods. [`compare`] plays both and pays with [`prices`]; [`curve`] says from
//! which load on one of them is cheaper; [`show`] writes all this down, and [`script`] is a day in a scenario.

pub mod cluster;
pub mod compare;
pub mod curve;
pub mod function;
pub mod load;
pub mod measure;
pub mod prices;
pub mod script;
pub mod service;
pub mod show;
