//! What things cost: list prices with their date and their sources, as data.

use kit_contract::design::serverless;
use serde::Deserialize;

const PRICES: &str = include_str!("../data/prices.yaml");

/// All prices, in USD.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The day on which they were looked up.
    pub date: String,
    /// Where they stand.
    pub sources: Vec<String>,
    /// Those of functions.
    pub function: FunctionPrices,
    /// Those of clusters.
    pub cluster: ClusterPrices,
}

/// What functions cost.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionPrices {
    /// A million requests.
    pub million_requests: f64,
    /// A second with a GB of memory.
    pub gb_second: f64,
    /// The same for what is kept ready.
    pub provisioned: ProvisionedPrices,
}

/// What environments cost that are kept ready.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvisionedPrices {
    /// A second of work with a GB of memory.
    pub gb_second: f64,
    /// A second of being there with a GB of memory.
    pub reserved_gb_second: f64,
}

/// What a cluster costs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterPrices {
    /// The control plane, in an hour.
    pub control_plane_hour: f64,
    /// A load balancer, in an hour.
    pub load_balancer_hour: f64,
    /// A node, in an hour.
    pub node_hour: f64,
    /// A node that was ordered for a year.
    pub reserved_node_hour: f64,
}

impl FunctionPrices {
    /// As a module is told of them: nothing is free.
    pub fn listed(&self) -> serverless::FunctionPrices {
        serverless::FunctionPrices {
            million_requests: self.million_requests,
            gb_second: self.gb_second,
            provisioned_gb_second: self.provisioned.gb_second,
            kept_gb_second: self.provisioned.reserved_gb_second,
            free_requests: 0,
            free_gb_seconds: 0.0,
        }
    }
}

impl ClusterPrices {
    /// As a module is told of them.
    pub fn listed(&self) -> serverless::ClusterPrices {
        serverless::ClusterPrices {
            fixed_hour: self.control_plane_hour + self.load_balancer_hour,
            machine_hour: self.node_hour,
            reserved_machine_hour: self.reserved_node_hour,
        }
    }
}

/// The prices.
///
/// # Panics
///
/// If the file of prices, which is part of the program, is no such file.
pub fn prices() -> Prices {
    serde_yaml::from_str(PRICES).expect("the file of prices is part of the program")
}
