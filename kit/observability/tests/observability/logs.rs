//! What an index finds, and that the same document twice is one.

use kit_observability::logs::{Bool, Document, Index, Order, Put, Query, Range, Search};
use serde_json::{Value, json};

fn document(value: &Value) -> Document {
    value.as_object().cloned().expect("an object")
}

fn index() -> Index {
    let mut index = Index::default();
    for (id, time, pod, level, code, log) in [
        ("a", "2026-05-01T10:00:01Z", "web-1", "info", json!(200), "GET /cart"),
        ("b", "2026-05-01T10:00:00.5Z", "web-2", "error", json!(500), "cannot reach the Payment service"),
        ("c", "2026-05-01T10:00:03Z", "web-1", "error", json!("503"), "payment service: timeout"),
    ] {
        let said = json!({"@timestamp": time, "log": log, "log_processed": {"level": level, "code": code, "tags": ["x", id]},
            "kubernetes": {"pod_name": pod, "labels": {"app.kubernetes.io/name": "shop"}}});
        assert_eq!(index.put(id, document(&said)), Put::Created);
    }
    index
}

fn found(index: &Index, query: Query) -> String {
    let search = Search { query, ..Search::default() };
    index.search(&search).hits.iter().map(|hit| hit.id).collect()
}

#[test]
fn queries_find_what_fits() {
    let index = index();
    let term = |field: &str, value: Value| Query::Term(field.into(), value);
    let text = |text: &str, all| Query::Match { field: Some("log".into()), text: text.into(), all };
    let phrase = |text: &str, open| Query::Phrase { field: Some("log".into()), text: text.into(), open };
    let wildcard = |form: &str| Query::Wildcard { field: Some("log".into()), form: form.into() };
    let range = |field: &str, range: Range| Query::Range(field.into(), Box::new(range));
    let gte = |value: Value| Range { gte: Some(value), ..Range::default() };
    let either =
        Bool { should: vec![term("log_processed.level", json!("info")), text("timeout", false)], ..Bool::default() };
    let errors_elsewhere = Bool {
        must: vec![term("log_processed.level", json!("error"))],
        must_not: vec![term("kubernetes.pod_name", json!("web-1"))],
        ..Bool::default()
    };
    for (query, expected) in [
        (Query::All, "bac"),
        (term("log_processed.level", json!("error")), "bc"),
        (term("log_processed.level.keyword", json!("error")), "bc"),
        (term("log_processed.code", json!(503)), "c"),
        (term("log_processed.tags", json!("a")), "a"),
        (term("kubernetes.labels.app.kubernetes.io/name", json!("shop")), "bac"),
        (term("level", json!("error")), ""),
        (text("PAYMENT cart", false), "bac"),
        (text("payment timeout", true), "c"),
        (text("", true), ""),
        (Query::Match { field: None, text: "web".into(), all: true }, "bac"),
        (phrase("payment service", false), "bc"),
        (phrase("service payment", false), ""),
        (phrase("payment serv", true), "bc"),
        (phrase("", false), ""),
        (wildcard("pay*"), "bc"),
        (wildcard("GET /c?rt"), "a"),
        (wildcard("pay"), ""),
        (range("@timestamp", gte(json!("2026-05-01T12:00:01+02:00"))), "ac"),
        (range("log_processed.code", Range { lt: Some(json!(500)), ..Range::default() }), "a"),
        (range("log_processed.code", Range { gt: Some(json!(500)), lte: Some(json!(503)), ..Range::default() }), "c"),
        (Query::Exists("kubernetes.pod_name".into()), "bac"),
        (Query::Exists("kubernetes.pod".into()), ""),
        (Query::Ids(vec!["c".into(), "x".into()]), "c"),
        (Query::Bool(either), "ac"),
        (Query::Bool(errors_elsewhere), "b"),
        (Query::Bool(Bool::default()), "bac"),
    ] {
        assert_eq!(found(&index, query.clone()), expected, "{query:?}");
    }
}

#[test]
fn the_same_document_twice_is_one() {
    let mut index = index();
    let again = document(&json!({"@timestamp": "2026-05-01T10:00:00Z", "log": "anew"}));
    assert_eq!(index.create("a", again.clone()), Put::Conflict);
    assert_eq!(index.get("a").map(|stored| stored.version), Some(1));
    assert_eq!(index.put("a", again), Put::Updated);
    assert_eq!((index.len(), index.get("a").map(|stored| stored.version)), (3, Some(2)));
    let sort = vec![("log_processed.level".into(), Order::Ascending), ("@timestamp".into(), Order::Descending)];
    let search = Search { sort, from: 1, size: 2, ..Search::default() };
    let hits = index.search(&search);
    // What lacks the field comes last, whichever way it is sorted.
    assert_eq!((hits.total, hits.hits.iter().map(|hit| hit.id).collect::<String>()), (3, "ba".into()));
    assert!(index.delete("a") && !index.delete("a"));
}
