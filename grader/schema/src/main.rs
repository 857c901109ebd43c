//! Prints a schema: of the wire of one exercise, or of the result document.

fn main() -> anyhow::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let schema = match std::env::args().nth(1) {
        Some(exercise) => schema::wire(&root, &exercise)?,
        None => schema::result(&root)?,
    };
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}
