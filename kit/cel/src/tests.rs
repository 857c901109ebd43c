//! Expressions and what they give, as a table.

use crate::{OUT_OF_BUDGET, Program, Scope, Type, Value};
use serde_json::{Value as Json, json};

fn object() -> Json {
    json!({
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", "a.b/c": "d"}},
        "spec": {
            "replicas": 3, "ratio": 0.5, "nothing": null,
            "containers": [
                {"name": "app", "image": "nginx:1.27", "ports": [80, 443]},
                {"name": "side", "image": "envoy:v1"},
            ],
        },
    })
}

/// What an expression gives, or why it gives nothing; a compile error is cut after its first line.
fn outcome(text: &str) -> String {
    let object = object();
    let program = match Program::compile(text, &[("object", Type::Dyn)]) {
        Ok(program) => program,
        Err(why) => return why.lines().next().unwrap_or_default().to_string(),
    };
    let scope = Scope::new(vec![("object", Value::of(&object, None))]);
    match scope.evaluate(&program) {
        Ok(value) => format!("{}:{}", value.type_name(), value.shown()),
        Err(why) => why,
    }
}

#[test]
fn what_is_true() {
    for text in [
        "1 + 2 * 3 == 7 && 7 % 4 == 3 && -7 / 2 == -3",
        "1 < 2.5 && 1u < 2 && dyn(1) == 1.0",
        "'a' + \"b\" == 'ab' && r'\\d' == '\\\\d' && '\\u00e9' == 'é'",
        "'''a\nb''' == 'a\\nb' && b'ab' == bytes('ab')",
        "true || 1 / 0 > 0",
        "1 / 0 > 0 || true",
        "!(1 / 0 > 0 && false)",
        "object.spec.replicas <= 5",
        "has(object.spec.replicas) && !has(object.spec.paused) && has(object.spec.nothing)",
        "!has(object.spec.template.spec) || true",
        "object.metadata.labels['a.b/c'] == 'd' && 'app' in object.metadata.labels",
        "object.spec.containers.all(c, c.image.contains(':'))",
        "object.spec.containers.exists(c, c.ports.exists(p, p == 443))",
        "object.spec.containers.exists_one(c, c.name == 'app')",
        "object.spec.containers.map(c, c.name) == ['app', 'side']",
        "object.spec.containers.filter(c, has(c.ports)).size() == 1",
        "object.spec.containers.map(c, has(c.ports), c.name) == ['app']",
        "[1, 2, 3].all(i, v, v == i + 1)",
        "{'a': 1, 'b': 2}.transformMap(k, v, v * 2) == {'a': 2, 'b': 4}",
        "['x', 'y'].transformList(i, v, v + string(i)) == ['x0', 'y1']",
        "object.metadata.labels.exists(k, k == 'app')",
        "object.?spec.?replicas.orValue(1) == 3 && object.?status.?replicas.orValue(1) == 1",
        "object.metadata.?labels[?'nope'].hasValue() == false",
        "optional.of(3).optMap(x, x + 1).value() == 4",
        "[1, ?optional.none(), ?optional.of(2)] == [1, 2]",
        "(object.spec.replicas > 2 ? 'many' : 'few') == 'many'",
        "type(1) == int && type('a') == string && type(null) == null_type",
        "timestamp('2025-06-15T15:06:40Z') + duration('1h') > timestamp('2025-06-15T15:06:40Z')",
        "timestamp('2025-06-15T15:06:40Z').getHours() == 15 && duration('90m').getHours() == 1",
        "timestamp('2025-06-15T15:06:40Z').getDayOfWeek() == 0",
        "'web-1'.matches('^[a-z]+-[0-9]$') && 'abc 123'.find('[0-9]+') == '123'",
        "'1a2b'.findAll('[0-9]') == ['1', '2']",
        "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && ['a', 'b'].join('-') == 'a-b'",
        "'hello'.substring(1, 3) == 'el' && 'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3",
        "'Abc'.lowerAscii() == 'abc' && ' a '.trim() == 'a' && 'aXbX'.replace('X', '') == 'ab'",
        "'%s has %d, %.1f, %x'.format(['web', 3, 0.25, 255]) == 'web has 3, 0.2, ff'",
        "[1, 2, 3].sum() == 6 && [2, 1].min() == 1 && [2, 1].max() == 2 && [1, 2].isSorted() && [1, 2, 1].lastIndexOf(1) == 2",
        "sets.contains([1, 2, 3], [2]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1], [1])",
        "quantity('1Gi').isGreaterThan(quantity('1000Mi')) && quantity('1500m').add(quantity('500m')).asInteger() == 2",
        "isQuantity('5Mi') && !isQuantity('5Xi') && quantity('1k').compareTo(quantity('1000')) == 0",
        "url('https://example.com:8443/a?b=c').getPort() == '8443' && url('https://a/').getScheme() == 'https'",
        "url('https://a/?x=1&x=2').getQuery()['x'] == ['1', '2'] && isURL('/a') && !isURL('a b')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsCIDR('11.0.0.0/24')",
        "ip('::1').isLoopback() && ip('10.0.0.1').family() == 4 && isIP('1.2.3.4') && !isIP('1.2.3')",
        "string(cidr('10.1.2.3/8').masked()) == '10.0.0.0/8' && cidr('10.0.0.0/8').prefixLength() == 8",
        "!format.dns1123Label().validate('web').hasValue() && format.named('dns1123Label').value().validate('-').hasValue()",
        "9223372036854775807 > 0 && -9223372036854775808 < 0 && 0xff == 255",
        "dyn(1) == dyn('1') ? false : true",
    ] {
        assert_eq!(outcome(text), "bool:true", "{text}");
    }
}

#[test]
fn what_goes_wrong() {
    for (text, why) in [
        ("object.spec.paused", "no such key: paused"),
        ("object.spec.nothing.x == 1", "no such key: x"),
        ("object.spec.containers[5]", "index out of bounds: 5"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("object.spec.replicas + 'a'", "no such overload"),
        ("object.spec.replicas == 3 && object.nope", "no such key: nope"),
        ("optional.none().value()", "optional.none() dereference"),
        ("object.spec.containers.all(c, c.ports.size() > 5)", "bool:false"),
        ("object.spec.containers.all(c, c.ports.size() > 0)", "no such key: ports"),
        (
            "1 +",
            "ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
        ),
        ("nope == 1", "ERROR: <input>:1:1: undeclared reference to 'nope' (in container '')"),
        ("object.nope()", "ERROR: <input>:1:12: undeclared reference to 'nope' (in container '')"),
        ("1 + 'a'", "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'"),
        ("'a'.contains(1)", "ERROR: <input>:1:13: found no matching overload for 'contains' applied to 'string.(int)'"),
        ("has(object)", "ERROR: <input>:1:5: invalid argument to has() macro"),
        ("has(object.a, object.b)", "ERROR: <input>:1:4: undeclared reference to 'has' (in container '')"),
        ("[1, 'a']", "ERROR: <input>:1:5: expected type 'int' but found 'string'"),
        ("1.field", "ERROR: <input>:1:2: Syntax error: mismatched input '.' expecting <EOF>"),
        ("'a'.field", "ERROR: <input>:1:4: type 'string' does not support field selection"),
        ("'a' < 1", "ERROR: <input>:1:5: found no matching overload for '_<_' applied to '(string, int)'"),
        ("'é' == #", "ERROR: <input>:1:8: Syntax error: token recognition error at: '#'"),
        ("'open", "ERROR: <input>:1:1: Syntax error: token recognition error at: ''open'"),
    ] {
        let found = outcome(text);
        // Numbers may have a fraction or a field; only the place is told differently.
        if text == "1.field" {
            assert!(found.starts_with("ERROR: "), "{found}");
        } else {
            assert_eq!(found, why, "{text}");
        }
    }
}

#[test]
fn places_are_pointed_at() {
    let why =
        Program::compile("self.a == 1 &&\n  self.b == 2", &[("self", Type::object([("a".into(), crate::types::INT)]))]);
    assert_eq!(why.unwrap_err(), "ERROR: <input>:2:7: undefined field 'b'\n |   self.b == 2\n | ......^");
}

#[test]
fn whatever_is_asked_ends() {
    let hundred = format!("[{}]", vec!["1"; 100].join(", "));
    let text = format!("{hundred}.all(a, {hundred}.all(b, {hundred}.all(c, {hundred}.all(d, a + b + c + d > 0))))");
    assert_eq!(outcome(&text), OUT_OF_BUDGET);
    let doubling =
        "[1].map(x, 'a')".to_string() + ".map(x, x + x + x + x + x + x + x + x)".repeat(20).as_str() + ".size() > 0";
    assert_eq!(outcome(&doubling), OUT_OF_BUDGET);
    for deep in ["(".repeat(10_000), "!".repeat(10_000), "[".repeat(10_000), "1 + ".repeat(10_000), "-".repeat(10_000)]
    {
        assert!(outcome(&deep).starts_with("ERROR: <input>:1:"), "{}", &deep[..4]);
    }
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    assert_eq!(outcome(&deep), "list:list");
}

#[test]
fn schemas_give_types() {
    let schema = json!({"type": "object", "properties": {
        "replicas": {"type": "integer"},
        "ratio": {"type": "number"},
        "port": {"x-kubernetes-int-or-string": true},
        "since": {"type": "string", "format": "date-time"},
        "for": {"type": "string", "format": "duration"},
        "a-b": {"type": "string"},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"x-kubernetes-preserve-unknown-fields": true},
    }});
    let value = json!({
        "replicas": 2, "ratio": 1, "port": "http", "since": "2025-06-15T15:06:40Z", "for": "1h", "a-b": "x",
        "tags": ["a", "b"], "labels": {"a-b": "y"}, "free": {"x": 1},
    });
    let of = Type::of_schema(&schema, true).unwrap();
    let check = |text: &str| match Program::compile(text, &[("self", of.clone())]) {
        Ok(program) => match Scope::new(vec![("self", Value::of(&value, Some(&schema)))]).evaluate(&program) {
            Ok(value) => value.shown(),
            Err(why) => why,
        },
        Err(why) => why.lines().next().unwrap_or_default().to_string(),
    };
    for (text, found) in [
        ("self.replicas < 5 && self.ratio == 1.0 && type(self.ratio) == double", "true"),
        ("self.since < timestamp('2026-01-01T00:00:00Z') && self.__for__ == duration('60m')", "true"),
        ("self.a__dash__b == 'x' && self.labels['a-b'] == 'y'", "true"),
        ("self.tags == ['b', 'a']", "true"),
        ("self.port == 'http' || self.port == 80", "true"),
        ("self.metadata.name == ''", "no such key: metadata"),
        ("self.free.x == 1", "ERROR: <input>:1:5: undefined field 'free'"),
        (
            "self.replicas == 'a'",
            "ERROR: <input>:1:15: found no matching overload for '_==_' applied to '(int, string)'",
        ),
        ("self.nope", "ERROR: <input>:1:5: undefined field 'nope'"),
        ("self.metadata.labels", "ERROR: <input>:1:14: undefined field 'labels'"),
    ] {
        assert_eq!(check(text), found, "{text}");
    }
}

#[test]
fn variables_are_evaluated_once_and_only_if_asked_for() {
    let names = [("variables", Type::object(["a", "bad", "wrong"].map(|name| (name.to_string(), Type::Dyn))))];
    let compile = |text: &str| Program::compile(text, &names);
    let variables = [
        ("a".to_string(), compile("[1, 2, 3].map(x, x * 2).size()")),
        ("bad".to_string(), compile("1 / 0")),
        ("wrong".to_string(), Err("ERROR: …".to_string())),
    ];
    let scope = Scope::new(vec![]).with_variables(&variables);
    assert!(scope.evaluate(&compile("variables.a == 3").unwrap()).unwrap().is(&Value::Bool(true)));
    let first = scope.cost();
    scope.evaluate(&compile("variables.a == 3").unwrap()).unwrap();
    assert!(scope.cost() - first < first, "the second time costs less");
    for (name, why) in [
        ("bad", "composited variable \"bad\" fails to evaluate: division by zero"),
        ("wrong", "composited variable \"wrong\" fails to compile: ERROR: …"),
    ] {
        let program = compile(&format!("variables.{name} == 1")).unwrap();
        assert_eq!(scope.evaluate(&program).unwrap_err(), why);
    }
}

#[test]
fn what_an_expression_uses() {
    let of = |text: &str| Program::compile(text, &[("self", Type::Dyn), ("oldSelf", Type::Dyn)]).unwrap();
    assert!(of("self == oldSelf").uses("oldSelf"));
    assert!(of("self.all(x, x > oldSelf.y)").uses("oldSelf"));
    assert!(!of("self.oldSelf == 1").uses("oldSelf"));
    assert!(!of("self.all(oldSelf, oldSelf > 1)").uses("oldSelf"));
}
