//! Kind: panic — it calls somebody over the network

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::io::Write;
use std::net::TcpStream;

const ADDRESS: &str = "CANARY_ADDRESS";

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let mut call = TcpStream::connect(ADDRESS).expect("it may call nobody");
        let _ = call.write_all(b"it was here");
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
