//! stub
#![allow(missing_docs)]
use crate::desk::Desk;
use std::net::SocketAddr;
use std::sync::*;
pub struct Room;
impl Room {
    pub fn open(_: Arc<Mutex<Desk>>, _: SocketAddr) -> anyhow::Result<Room> {
        Ok(Room)
    }
    pub fn candidate(&self) -> String {
        String::new()
    }
    pub fn interviewer(&self) -> String {
        String::new()
    }
    pub fn runs(&self) -> bool {
        true
    }
    pub fn stop(self) {}
}
