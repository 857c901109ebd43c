//! How long a container that ends again and again has to wait, and an image that can't be pulled.
//!
//! Sources: `doBackOff` of `pkg/kubelet/kuberuntime/kuberuntime_manager.go`, `EnsureImageExists` of
//! `pkg/kubelet/images/image_manager.go`, and how `pkg/kubelet/kubelet.go` sets both up.

use kit_client::back_off::{BackOff, Limits};
use kit_time::agenda::Instant;

/// `backOffPeriod`, and `MaxCrashLoopBackOff` or `MaxImageBackOff`.
const LIMITS: Limits = Limits { first: Instant::seconds(10), most: Instant::seconds(300) };

/// The back-off of one container.
pub const NEW: BackOff = BackOff::new(LIMITS);
