//! What pods and containers get of CPU and memory, in the terms of the kernel's cgroups.
//!
//! [`container`] is what the runtime is told of one container, [`pod`] what the kubelet writes into the cgroup around a pod's
//! containers, [`name`] where that cgroup is, and [`throttling`] what a CPU quota does to threads.
//!
//! Sources: `pkg/kubelet/cm/helpers_linux.go` and `pkg/kubelet/cm/cgroup_manager_linux.go`; of [`runtime_weight`]
//! `utils.go` of github.com/opencontainers/cgroups.

pub mod container;
pub mod name;
pub mod pod;
pub mod throttling;

/// The period of a CPU quota in microseconds (`--cpu-cfs-quota-period`).
pub const PERIOD: i64 = 100_000;

const SHARES: (i64, i64) = (2, 262_144);
const WEIGHTS: (i64, i64) = (1, 10_000);
/// The kernel takes no smaller quota, in microseconds.
const LEAST_QUOTA: i64 = 1_000;

/// The shares of a request in thousandths of a CPU (`MilliCPUToShares`): its part of the time when there is too little.
pub fn shares(milli_cpu: i64) -> i64 {
    (milli_cpu.saturating_mul(1024) / 1000).clamp(SHARES.0, SHARES.1)
}

/// The quota of a limit in thousandths of a CPU: microseconds of CPU time in each period of so many; 0 for no limit
/// (`MilliCPUToQuota`).
pub fn quota(milli_cpu: i64, period: i64) -> i64 {
    match milli_cpu {
        0 => 0,
        _ => (milli_cpu.saturating_mul(period) / 1000).max(LEAST_QUOTA),
    }
}

/// The weight of shares on cgroup v2, as the kubelet writes it for pods and classes: linear (`getCPUWeight`).
pub fn weight(shares: i64) -> i64 {
    match shares {
        0 => 0,
        _ => {
            WEIGHTS.0 + (shares.clamp(SHARES.0, SHARES.1) - SHARES.0) * (WEIGHTS.1 - WEIGHTS.0) / (SHARES.1 - SHARES.0)
        }
    }
}

/// The shares that the kubelet reads back from a weight (`cpuWeightToCPUShares`).
pub fn shares_of_weight(weight: i64) -> i64 {
    match weight {
        0 => 0,
        _ => SHARES.0 + (weight - WEIGHTS.0) * (SHARES.1 - SHARES.0) / (WEIGHTS.1 - WEIGHTS.0),
    }
}

/// The weight that a runtime from runc 1.3.2 on writes for a container: through 1024 shares and weight 100, both the
/// defaults (`ConvertCPUSharesToCgroupV2Value`).
pub fn runtime_weight(shares: i64) -> i64 {
    if shares <= 0 {
        return 0;
    }
    if shares <= SHARES.0 {
        return WEIGHTS.0;
    }
    if shares >= SHARES.1 {
        return WEIGHTS.1;
    }
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    10f64.powf(exponent).ceil() as i64
}
