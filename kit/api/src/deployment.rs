//! The arithmetic of rolling updates.
//!
//! Source: `pkg/controller/deployment/util/deployment_util.go`. Numbers wrap around as Go's do.

use crate::int_or_percent::{IntOrString, Round, scaled};

/// How far a rolling update may go beyond and below the number of replicas.
#[derive(Debug, Clone, PartialEq)]
pub struct RollingUpdate {
    /// `maxSurge`; a percentage is rounded up.
    pub max_surge: IntOrString,
    /// `maxUnavailable`; a percentage is rounded down.
    pub max_unavailable: IntOrString,
}

/// The numbers that a [`RollingUpdate`] comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenceposts {
    /// Pods beyond the number of replicas.
    pub surge: i32,
    /// Pods below it.
    pub unavailable: i32,
}

impl RollingUpdate {
    /// Both numbers for so many replicas (`ResolveFenceposts`). Where both come to 0, one pod may be unavailable,
    /// since otherwise nothing could move.
    ///
    /// # Errors
    ///
    /// That of [`scaled`].
    pub fn fenceposts(&self, replicas: i32) -> Result<Fenceposts, String> {
        let surge = scaled(&self.max_surge, replicas, Round::Up)?;
        let unavailable = scaled(&self.max_unavailable, replicas, Round::Down)?;
        Ok(Fenceposts { surge, unavailable: if surge == 0 && unavailable == 0 { 1 } else { unavailable } })
    }

    /// The pods that may be unavailable, at most all (`MaxUnavailable`). As upstream, what can't be resolved is 0.
    pub fn max_unavailable(&self, replicas: i32) -> i32 {
        if replicas == 0 {
            return 0;
        }
        self.fenceposts(replicas).map_or(0, |posts| posts.unavailable.min(replicas))
    }

    /// The pods that must stay available (`MinAvailable`).
    pub fn min_available(&self, replicas: i32) -> i32 {
        replicas.wrapping_sub(self.max_unavailable(replicas))
    }

    /// The pods that may exist beyond the number of replicas (`MaxSurge`).
    pub fn max_surge(&self, replicas: i32) -> i32 {
        self.fenceposts(replicas).map_or(0, |posts| posts.surge)
    }

    /// The size that the new replica set gets in one sync, where all sets together ask for `current` pods
    /// (`NewRSNewReplicas`).
    ///
    /// # Errors
    ///
    /// That of [`scaled`].
    pub fn new_replicas(&self, replicas: i32, new: i32, current: i32) -> Result<i32, String> {
        let most = replicas.wrapping_add(scaled(&self.max_surge, replicas, Round::Up)?);
        Ok(if current >= most {
            new
        } else {
            new.wrapping_add(most.wrapping_sub(current).min(replicas.wrapping_sub(new)))
        })
    }
}

/// One replica set's share when its deployment is scaled while it rolls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The replica set's own replicas.
    pub replicas: i32,
    /// Its annotation `deployment.kubernetes.io/max-replicas`: how many pods its deployment could have when this
    /// set was last sized.
    pub max_replicas_before: Option<i32>,
}

impl Share {
    /// The pods that this set gains or loses (`GetProportion`).
    ///
    /// `deployment` and `max_surge` are the deployment's replicas and surge now, `status_replicas` the pods in its
    /// status; of the `to_add` pods that all sets gain or lose together, `added` are given out already.
    pub fn of(self, deployment: i32, max_surge: i32, status_replicas: i32, to_add: i32, added: i32) -> i32 {
        if self.replicas == 0 || to_add == 0 || to_add == added {
            return 0;
        }
        let fraction = self.fraction(deployment, max_surge, status_replicas);
        let allowed = to_add.wrapping_sub(added);
        if to_add > 0 { fraction.min(allowed) } else { fraction.max(allowed) }
    }

    fn fraction(self, deployment: i32, max_surge: i32, status_replicas: i32) -> i32 {
        if deployment == 0 {
            return self.replicas.wrapping_neg();
        }
        let most = deployment.wrapping_add(max_surge);
        let before = self.max_replicas_before.filter(|&n| n != 0).unwrap_or(status_replicas);
        if before == 0 {
            return 0;
        }
        let size = f64::from(self.replicas.wrapping_mul(most)) / f64::from(before);
        // Away from zero at a half, as upstream's RoundToInt32.
        (size.round() as i32).wrapping_sub(self.replicas)
    }
}
