//! The book that stands in the repository has nothing that a reader could trip over.

use std::process::Command;

#[test]
fn the_book_has_no_complaints() {
    let output = Command::new(env!("CARGO_BIN_EXE_book"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("test")
        .output()
        .expect("the book's program starts");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "cargo book test\n{}", String::from_utf8_lossy(&said));
}
