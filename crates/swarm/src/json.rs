//! JSON as existing peers write it into commits: no blanks, keys in byte order, everything
//! above U+007F escaped (docs/protocol/05-swarm.md section 3.3). Readers take any JSON; who
//! writes this one makes the same commit as the reference, byte for byte.

use serde_json::{Map, Value};

/// Writes a JSON object canonically.
pub fn write_object(fields: &Map<String, Value>) -> String {
    let mut out = String::new();
    object(fields, &mut out);
    out
}

fn object(fields: &Map<String, Value>, out: &mut String) {
    let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
    sorted.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    out.push('{');
    for (index, (key, field)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(key, out);
        out.push(':');
        value(field, out);
    }
    out.push('}');
}

fn value(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => string(text, out),
        Value::Object(fields) => object(fields, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                self::value(item, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='\u{7f}' => out.push(letter),
            _ => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Value) -> String {
        let Value::Object(fields) = value else {
            panic!("an object");
        };
        write_object(&fields)
    }

    #[test]
    fn writes_what_the_reference_writes() {
        let mixed = serde_json::json!({
            "type": "text/plain",
            "body": "é \u{1f600} \"q\" \\ / \u{8}\u{c}\n\r\t\u{1}\u{7f}",
            "mode": 0,
        });
        assert_eq!(
            written(mixed),
            r#"{"body":"\u00e9 \ud83d\ude00 \"q\" \\ / \b\f\n\r\t\u0001"#.to_owned()
                + "\u{7f}\",\"mode\":0,\"type\":\"text/plain\"}"
        );
        assert_eq!(written(serde_json::json!({})), "{}");
        let nested = serde_json::json!({"b": [1, null, {"y": true, "x": "é"}], "B": {}});
        assert_eq!(
            written(nested),
            r#"{"B":{},"b":[1,null,{"x":"\u00e9","y":true}]}"#
        );
    }

    fn any_json() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn reads_back_whatever_was_written(
            fields in proptest::collection::btree_map(
                proptest::prelude::any::<String>(), any_json(), 0..5)
        ) {
            let fields: Map<String, Value> = fields.into_iter().collect();
            let text = write_object(&fields);
            proptest::prop_assert!(text.is_ascii());
            let read: Map<String, Value> = serde_json::from_str(&text).unwrap();
            proptest::prop_assert_eq!(write_object(&read), text);
            proptest::prop_assert_eq!(Value::Object(read), Value::Object(fields));
        }
    }
}
