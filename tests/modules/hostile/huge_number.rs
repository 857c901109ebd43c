//! Kind: protocol — it answers a number that no type holds

use std::io::Write;

fn main() {
    let mut out = std::io::stdout();

    for (id, _) in std::io::stdin().lines().enumerate() {
        let answer = if id == 0 { b"null".to_vec() } else { b"1e999999999".to_vec() };
        let line = [format!("{{\"id\":{id},\"answer\":").as_bytes(), &answer[..], b"}\n"].concat();
        let _ = out.write_all(&line);
    }
}
