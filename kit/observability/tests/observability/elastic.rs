//! What Elasticsearch answers to shippers and to people who search.

use kit_observability::elastic::{Body, Elastic, Request};
use serde_json::{Value, json};

/// 2025-06-01T12:00:00Z
const NOW: i64 = 1_748_779_200_000;

/// The code and the body.
fn ask(elastic: &mut Elastic, method: &str, address: &str, body: &str) -> (u16, Value) {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let path: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(str::to_string).collect();
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let query: Vec<_> = pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let request = Request { method, path: &path, query: &query, body: body.as_bytes() };
    let answer = elastic.answer(&request, NOW);
    let body = match answer.body {
        Body::Json(value) => value,
        Body::Text(text) => text.into(),
    };
    (answer.status, body)
}

fn filled() -> Elastic {
    let mut elastic = Elastic::new(1 << 20);
    let mut lines = String::new();
    for (id, time, pod, level, code, log) in [
        ("a", "2025-06-01T11:00:10.5Z", "web-1", "info", 200, "GET /cart"),
        ("b", "2025-06-01T11:59:00Z", "web-2", "error", 500, "cannot reach the Payment service"),
        ("c", "2025-06-01T11:59:30Z", "web-1", "error", 503, "payment service: timeout"),
        ("d", "2025-05-31T23:00:00Z", "db-0", "warn", 0, "checkpoint took 12 s"),
    ] {
        let day = &time[..10];
        let said =
            json!({"@timestamp": time, "log": log, "level": level, "code": code, "kubernetes": {"pod_name": pod}});
        lines += &format!("{}\n{said}\n", json!({"create": {"_index": format!("logs-{day}"), "_id": id}}));
    }
    let (status, answer) = ask(&mut elastic, "POST", "/_bulk", &lines);
    assert_eq!((status, &answer["errors"]), (200, &json!(false)), "{answer}");
    elastic
}

#[test]
fn searches_find_what_is_asked_for() {
    let mut elastic = filled();
    let of = |query: Value| json!({"query": query}).to_string();
    let typed = |text: &str| of(json!({"query_string": {"query": text, "default_field": "log"}}));
    for (body, expected) in [
        (String::new(), "dabc"),
        (of(json!({"match_all": {}})), "dabc"),
        (of(json!({"match": {"log": "payment cart"}})), "abc"),
        (of(json!({"match": {"log": {"query": "payment timeout", "operator": "and"}}})), "c"),
        (of(json!({"match_phrase": {"log": "payment service"}})), "bc"),
        (of(json!({"match_phrase_prefix": {"log": "payment ser"}})), "bc"),
        (of(json!({"multi_match": {"query": "web", "fields": ["log", "kubernetes.pod_name"]}})), "abc"),
        (of(json!({"term": {"kubernetes.pod_name.keyword": "web-1"}})), "ac"),
        (of(json!({"term": {"code": {"value": 500}}})), "b"),
        (of(json!({"terms": {"level": ["warn", "info"]}})), "da"),
        (of(json!({"prefix": {"kubernetes.pod_name": "web-"}})), "abc"),
        (of(json!({"wildcard": {"kubernetes.pod_name": "*-1"}})), "ac"),
        (of(json!({"range": {"code": {"gte": 500, "lt": 503}}})), "b"),
        (of(json!({"range": {"@timestamp": {"gte": "now-5m"}}})), "bc"),
        (of(json!({"range": {"@timestamp": {"gte": "now/d"}}})), "abc"),
        (of(json!({"range": {"@timestamp": {"lt": "now/d"}}})), "d"),
        (of(json!({"range": {"@timestamp": {"lte": "2025-05-31"}}})), "d"),
        (of(json!({"range": {"@timestamp": {"gt": "2025-05-31"}}})), "abc"),
        (of(json!({"range": {"@timestamp": {"gte": "2025-06-01||-1h/h"}}})), "dabc"),
        (of(json!({"exists": {"field": "kubernetes"}})), "dabc"),
        (of(json!({"ids": {"values": ["c", "x"]}})), "c"),
        (
            of(json!({"bool": {"filter": {"term": {"level": "error"}}, "must_not": [{"match": {"log": "timeout"}}]}})),
            "b",
        ),
        (of(json!({"bool": {"should": [{"term": {"code": 0}}, {"term": {"code": 200}}]}})), "da"),
        (
            of(
                json!({"bool": {"must": {"match_all": {}}, "should": {"term": {"code": 0}}, "minimum_should_match": 1}}),
            ),
            "d",
        ),
        (typed("level:error AND NOT timeout"), "b"),
        (typed("level:error -timeout"), "b"),
        (typed("level:(info OR warn)"), "da"),
        (typed("\"payment service\""), "bc"),
        (typed("code:>=500 AND code:[* TO 500]"), "b"),
        (typed("code:{500 TO 503]"), "c"),
        (typed("kubernetes.pod_name:web* && +level:error"), "bc"),
        (typed("@timestamp:[2025-06-01T11:59:00 TO 2025-06-01T11:59:00Z]"), "b"),
        (typed("_exists_:code AND checkpoint"), "d"),
        (typed(""), ""),
        (json!({"sort": [{"code": "desc"}], "size": 2}).to_string(), "cb"),
        (json!({"sort": ["level", {"@timestamp": {"order": "desc"}}], "from": 1}).to_string(), "bad"),
    ] {
        let (status, answer) = ask(&mut elastic, "POST", "/logs-*/_search", &body);
        let hits = answer["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{body}: {answer}"));
        let found: String = hits.iter().filter_map(|hit| hit["_id"].as_str()).collect();
        assert_eq!((status, found.as_str()), (200, expected), "{body}");
    }
    let (_, answer) =
        ask(&mut elastic, "GET", "/_search?q=level:error&sort=@timestamp:desc&size=1&_source=kubernetes.pod_*", "");
    assert_eq!(answer["hits"]["total"], json!({"value": 2, "relation": "eq"}));
    let expected = json!([{
        "_index": "logs-2025-06-01", "_id": "c", "_score": null, "_source": {"kubernetes": {"pod_name": "web-1"}},
        "sort": [1_748_779_170_000_i64],
    }]);
    assert_eq!(answer["hits"]["hits"], expected);
    assert_eq!(ask(&mut elastic, "GET", "/logs-2025-05-31,logs-2025-06-01/_count?q=*", "").1["count"], 4);
}

#[test]
fn aggregations_count() {
    let mut elastic = filled();
    let aggs = json!({"size": 0, "aggs": {
        "pods": {"terms": {"field": "kubernetes.pod_name.keyword", "size": 2}, "aggs": {"levels": {"terms": {"field": "level"}}}},
        "time": {"date_histogram": {"field": "@timestamp", "fixed_interval": "30m"}},
        "days": {"date_histogram": {"field": "@timestamp", "calendar_interval": "day"}},
    }});
    let (_, answer) = ask(&mut elastic, "POST", "/_search", &aggs.to_string());
    let counted = &answer["aggregations"];
    let pods = json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 1, "buckets": [
        {"key": "web-1", "doc_count": 2, "levels": {"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": [
            {"key": "error", "doc_count": 1}, {"key": "info", "doc_count": 1}]}},
        {"key": "db-0", "doc_count": 1, "levels": {"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": [
            {"key": "warn", "doc_count": 1}]}},
    ]});
    assert_eq!(counted["pods"], pods);
    let counts = |name: &str| {
        let buckets = counted[name]["buckets"].as_array().cloned().unwrap_or_default();
        buckets.iter().map(|bucket| bucket["doc_count"].as_u64().unwrap_or(99)).collect::<Vec<_>>()
    };
    // Empty ones in between are there.
    assert_eq!(counts("time")[..2], [1, 0]);
    assert_eq!((counts("time").len(), counts("time").iter().sum::<u64>()), (26, 4));
    assert_eq!(counts("days"), [1, 3]);
    assert_eq!(counted["days"]["buckets"][1]["key_as_string"], "2025-06-01T00:00:00.000Z");
}

#[test]
fn each_write_has_an_answer() {
    let mut elastic = Elastic::new(1 << 20);
    let lines = [
        r#"{"index":{"_id":"1"}}"#,
        r#"{"n":1}"#,
        r#"{"create":{"_id":"1"}}"#,
        r#"{"n":2}"#,
        r#"{"index":{"_id":1}}"#,
        r#"{"n":3}"#,
        r#"{"index":{"_id":"2"}}"#,
        r#"{"n":"#,
        r#"{"index":{"_index":"Logs"}}"#,
        r#"{"n":4}"#,
        r#"{"delete":{"_id":"3"}}"#,
        r#"{"create":{}}"#,
        r#"{"n":5}"#,
    ];
    let (status, answer) = ask(&mut elastic, "PUT", "/logs/_bulk", &(lines.join("\n") + "\n"));
    assert_eq!((status, &answer["errors"]), (200, &json!(true)));
    let items = answer["items"].as_array().expect("items");
    let said: Vec<String> = items
        .iter()
        .flat_map(|item| item.as_object().into_iter().flatten())
        .map(|(verb, about)| {
            format!(
                "{verb} {} {}",
                about["status"],
                about["error"]["type"].as_str().or(about["result"].as_str()).unwrap_or("")
            )
        })
        .collect();
    let expected = [
        "index 201 created",
        "create 409 version_conflict_engine_exception",
        "index 200 updated",
        "index 400 document_parsing_exception",
        "index 400 invalid_index_name_exception",
        "delete 404 not_found",
        "create 201 created",
    ];
    assert_eq!(said, expected);
    let reason = "[1]: version conflict, document already exists (current version [1])";
    assert_eq!(items[1]["create"]["error"]["reason"], reason);
    assert_eq!(ask(&mut elastic, "GET", "/logs/_doc/1", "").1["_source"], json!({"n": 3}));
    assert_eq!(ask(&mut elastic, "GET", "/logs/_doc/9", "").0, 404);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut elastic = filled();
    for (method, address, body, code, kind) in [
        ("GET", "/none/_search", "", 404, "index_not_found_exception"),
        ("POST", "/_search", r#"{"query":{"fuzzy":{}}}"#, 400, "parsing_exception"),
        ("POST", "/_search", r#"{"query":{"term":{"a":1,"b":2}}}"#, 400, "parsing_exception"),
        ("POST", "/_search", r#"{"query":{}}"#, 400, "illegal_argument_exception"),
        ("POST", "/_search", r#"{"sice":1}"#, 400, "parsing_exception"),
        ("POST", "/_search", r#"{"size":10001}"#, 400, "illegal_argument_exception"),
        ("POST", "/_search", r#"{"size":-1}"#, 400, "illegal_argument_exception"),
        ("POST", "/_search", r#"{"aggs":{"a":{"avg":{"field":"n"}}}}"#, 400, "parsing_exception"),
        ("POST", "/_search", "{", 400, "x_content_parse_exception"),
        ("GET", "/_search?q=(a", "", 400, "query_shard_exception"),
        ("GET", "/_search?q=a AND", "", 400, "query_shard_exception"),
        ("POST", "/_bulk", "", 400, "parse_exception"),
        ("POST", "/_bulk", "{\"index\":{}}\n{}", 400, "illegal_argument_exception"),
        ("POST", "/_bulk", "{\"index\":{}}\n{}\n", 400, "action_request_validation_exception"),
        ("POST", "/_bulk", "{\"upsert\":{}}\n{}\n", 400, "illegal_argument_exception"),
        (
            "POST",
            "/_bulk",
            "{\"index\":{\"_index\":\"a\",\"_type\":\"_doc\"}}\n{}\n",
            400,
            "illegal_argument_exception",
        ),
        ("PUT", "/logs-2025-06-01", "", 400, "resource_already_exists_exception"),
    ] {
        let (status, answer) = ask(&mut elastic, method, address, body);
        assert_eq!(
            (status, answer["error"]["type"].as_str()),
            (code, Some(kind)),
            "{method} {address} {body}: {answer}"
        );
        assert_eq!((&answer["status"], &answer["error"]["root_cause"][0]["type"]), (&json!(code), &json!(kind)));
    }
    let (status, answer) = ask(&mut elastic, "GET", "/_sql", "");
    assert_eq!((status, answer), (400, json!({"error": "no handler found for uri [/_sql] and method [GET]"})));
    assert_eq!(ask(&mut elastic, "GET", "/none*/_search", "").1["hits"]["total"]["value"], 0);
}

#[test]
fn the_oldest_documents_make_room() {
    let mut elastic = Elastic::new(1000);
    for number in 0..100 {
        let body = json!({"n": number, "log": "x".repeat(80)}).to_string();
        assert_eq!(ask(&mut elastic, "POST", &format!("/logs/_doc/{number:03}"), &body).0, 201);
    }
    let table = ask(&mut elastic, "GET", "/_cat/indices?v", "").1;
    let table = table.as_str().unwrap_or_default();
    assert!(
        table.starts_with(
            "health status index pri rep docs.count store.size\ngreen  open   logs  1   0   10         970b"
        ),
        "{table}"
    );
    assert_eq!(ask(&mut elastic, "GET", "/logs/_search?size=1", "").1["hits"]["hits"][0]["_id"], "090");
    // A newer version of a document goes when it is the oldest, not before.
    assert_eq!(ask(&mut elastic, "PUT", "/logs/_doc/090", r#"{"n":0}"#).1["result"], "updated");
    assert_eq!(ask(&mut elastic, "DELETE", "/logs", "").1, json!({"acknowledged": true}));
    assert_eq!(ask(&mut elastic, "GET", "/_count", "").1["count"], 0);
}
