use super::*;

#[test]
fn rows_are_told_as_ranges() {
    assert_eq!(ranges(&[]), "");
    assert_eq!(ranges(&[3, 4, 5, 9, 11, 12]), "3–5, 9, 11–12");
}
