//! Cluster IPs and node ports.
//!
//! Upstream picks at random, so what is checked of a random allocation is that the recorded choice was one of those that
//! could be made: free, and in the band whose turn it is. The sequence goes on with the recorded choice.

use kit_server::allocate::range::{AddressRange, Band, PortRange, Refused};
use serde_json::{Value, json};
use std::net::IpAddr;

fn band(band: Band) -> &'static str {
    match band {
        Band::Static => "static",
        Band::Dynamic => "dynamic",
    }
}

fn same(what: &str, expected: &Value, answer: Value) -> Result<(), String> {
    if *expected == answer { Ok(()) } else { Err(format!("{what}: expected {expected}, got {answer}")) }
}

/// What the two kinds of ranges have in common.
trait Pool: Clone {
    type Item: Copy;
    fn item(value: &Value) -> Result<Self::Item, String>;
    fn allocate(&mut self, item: Self::Item) -> Result<(), Refused>;
    fn allocate_next(&mut self) -> Result<Self::Item, Refused>;
    fn release(&mut self, item: Self::Item);
    fn has(&self, item: Self::Item) -> bool;
    fn band_of(&self, item: Self::Item) -> Band;
    fn counts(&self) -> (u128, usize);
}

macro_rules! pool {
    ($Range:ty, $Item:ty, $item:expr) => {
        impl Pool for $Range {
            type Item = $Item;
            fn item(value: &Value) -> Result<$Item, String> {
                $item(value).ok_or_else(|| format!("{value} is none"))
            }
            fn allocate(&mut self, item: $Item) -> Result<(), Refused> {
                self.allocate(item)
            }
            fn allocate_next(&mut self) -> Result<$Item, Refused> {
                self.allocate_next()
            }
            fn release(&mut self, item: $Item) {
                self.release(item);
            }
            fn has(&self, item: $Item) -> bool {
                self.has(item)
            }
            fn band_of(&self, item: $Item) -> Band {
                self.band_of(item)
            }
            fn counts(&self) -> (u128, usize) {
                (self.free(), self.used())
            }
        }
    };
}
pool!(AddressRange, IpAddr, |value: &Value| value.as_str()?.parse().ok());
pool!(PortRange, i64, Value::as_i64);

/// Plays the steps; `field` is where a random choice stands.
fn sequence<P: Pool>(case: &Value, field: &str, mut pool: P) -> Result<(), String> {
    for (at, step) in case["steps"].as_array().into_iter().flatten().enumerate() {
        let what = |field: &str| format!("step {}, {field}", at + 1);
        let answer = if let Some(asked) = step.get("allocate") {
            pool.allocate(P::item(asked)?)
        } else if let Some(given) = step.get("release") {
            pool.release(P::item(given)?);
            same(&what("free"), &step["free"], json!(pool.counts().0))?;
            Ok(())
        } else {
            let own = pool.clone().allocate_next();
            if let Ok(own) = own {
                same(&what("band"), &step["band"], band(pool.band_of(own)).into())?;
                let recorded = P::item(&step[field])?;
                same(&what("band of the recorded choice"), &step["band"], band(pool.band_of(recorded)).into())?;
                same(&what("the recorded choice is taken"), &false.into(), pool.has(recorded).into())?;
                pool.allocate(recorded).map_err(|e| e.to_string())?;
            }
            own.map(drop)
        };
        let error = answer.err().map_or(Value::Null, |error| error.to_string().into());
        same(&what("error"), step.get("error").unwrap_or(&Value::Null), error)?;
    }
    let (free, used) = pool.counts();
    same("free", &case["free"], json!(free))?;
    same("used", &case["used"], json!(used))
}

pub fn cluster_ips(case: &Value) -> Result<(), String> {
    let range = AddressRange::new(case["cidr"].as_str().unwrap_or_default())?;
    if case["op"] == "sequence" {
        return sequence(case, "ip", range);
    }
    same("firstAddress", &case["firstAddress"], range.first().to_string().into())?;
    same("lastAddress", &case["lastAddress"], range.last().to_string().into())?;
    same("dynamicFrom", &case["dynamicFrom"], range.dynamic_from().to_string().into())?;
    same("staticBandSize", &case["staticBandSize"], json!(range.static_band()))?;
    same("size", &case["size"], range.size().to_string().into())
}

pub fn node_ports(case: &Value) -> Result<(), String> {
    let text = case["range"].as_str().unwrap_or_default();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.parse().map_err(|e| format!("`{text}` is no port: {e}"));
    let range = PortRange::new(port(first)?, port(last)?)?;
    if case["op"] == "sequence" {
        return sequence(case, "port", range);
    }
    same("dynamicFrom", &case["dynamicFrom"], json!(range.dynamic_from()))?;
    same("staticBandSize", &case["staticBandSize"], json!(range.static_band()))
}
