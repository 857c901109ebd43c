//! One exercise's module on a stage: scripts that put it among others and look at what it does there.
//!
//! Scenarios of functions and reconcilers need no stage: they are questions, or whole clusters. A module that acts among
//! others, such as a member of a Raft group or one of several writers, is played here, in the file that has the name of
//! its exercise.

pub mod control_plane;
pub mod design;
pub mod failure;
pub mod fresh;
pub mod network;
pub mod node;
pub mod objects;
pub mod observability;
pub mod scheduler;
pub mod storage;
mod values;
pub mod variation;
pub mod workloads;
