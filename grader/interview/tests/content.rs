//! All that interviews ask is what it must be, and what the engine does.

use interview::content::{Content, check, root};

#[test]
fn the_content_is_sound() {
    let root = root().expect("the kit is here");
    let content = Content::load(&root).expect("it can be read");
    assert_eq!(check::check(&root, &content), Vec::<String>::new());
    let count = (content.each_warmup().count(), content.incidents.len(), content.designs.len());
    assert!(count.0 >= 150 && count.1 >= 12 && count.2 >= 8, "{count:?}");
}
