//! Names and uids that the server gives: random, but the same in every run of the same scenario.

use super::Server;
use kit_apimachinery::object::Key;
use kit_time::random::Purpose;

impl Server {
    /// Random bits for one purpose, others each time.
    pub(super) fn draw(&mut self, object: &str, reason: &str) -> u64 {
        let attempt = self.drawn.entry(format!("{reason} {object}")).or_default();
        *attempt += 1;
        self.random.bits(Purpose { component: "apiserver", object, reason, attempt: *attempt - 1 })
    }

    /// Five characters for `generateName` (`apiserver/pkg/storage/names/generate.go`).
    pub(super) fn suffix(&mut self, base: &str) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut bits = self.draw(base, "name-suffix");
        let mut letters = || {
            let letter = LETTERS[(bits % LETTERS.len() as u64) as usize];
            bits /= LETTERS.len() as u64;
            char::from(letter)
        };
        (0..5).map(|_| letters()).collect()
    }

    pub(super) fn uid(&mut self, key: &Key) -> String {
        let path = key.path();
        let (high, low) = (self.draw(&path, "uid"), self.draw(&path, "uid"));
        // Version 4, variant 1, as a random UUID has them.
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }
}
