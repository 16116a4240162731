//! Examples in the description: of every parameter, request and answer, made from the types.
//!
//! A field shows the example that its type or its attributes give, else what [`WORDS`] says
//! for its name, so that the same thing looks the same everywhere.

use serde_json::{Map, Value, json};

/// How deep types lie in each other.
const MAX_DEPTH: usize = 12;

/// Parameters, and what has the form that they have where they are texts.
const PATHS: [(&str, &str); 10] = [
    ("account", "LocalName"),
    ("conversation", "ConversationId"),
    ("message", "MessageId"),
    ("device", "DeviceId"),
    ("id", "JamiId"),
    ("member", "JamiId"),
    ("before", "MessageId"),
    ("after", "MessageId"),
    ("around", "MessageId"),
    ("author", "JamiId"),
];

/// What fields and parameters hold, by their names, where their types do not say it. JSON.
const WORDS: &[(&str, &str)] = &[
    (
        "Idempotency-Key",
        r#""0f8fad5b-d9cb-469f-a165-70867728950e""#,
    ),
    ("If-None-Match", r#""\"a69f73cca23a9ac5\"""#),
    ("Range", r#""bytes=0-1023""#),
    ("from", r#""867e21b1ff56e0ba0f31d8c1d7a6b1ab97d3f0a5""#),
    (
        "host_account",
        r#""867e21b1ff56e0ba0f31d8c1d7a6b1ab97d3f0a5""#,
    ),
    (
        "host_device",
        r#""2b4e0f3c9d6a1875c0e2f4a6b8d0c1e3f5a7b9d1c3e5f7092b4d6f8a0c2e4f61""#,
    ),
    ("id", r#""867e21b1ff56e0ba0f31d8c1d7a6b1ab97d3f0a5""#),
    ("reply_to", r#""4f2a8b1c3d5e6f708192a3b4c5d6e7f809112233""#),
    ("accounts", r#""d78438f0fb854c5a""#),
    ("addresses", r#""0.0.0.0:4222""#),
    (
        "advice",
        r#""Look whether this machine has a way to the internet.""#,
    ),
    ("after", r#"" this evening""#),
    ("archive", r#""H4sIAAAAAAAA""#),
    ("arrived", "true"),
    ("avatar", r#""iVBORw0KGgo=""#),
    ("before", r#""Dinner ""#),
    ("body", r#""Shall we meet at noon?""#),
    ("bootstrap", r#""bootstrap.example.net:4222""#),
    ("bytes", "81920"),
    (
        "channels",
        r#""git:9b1de7c60f0a4c41b8d2a3e5f60718293a4b5c6d""#,
    ),
    ("checks", r#""dht""#),
    ("chosen", "true"),
    ("client", r#""Mozilla/5.0 (X11; Linux x86_64)""#),
    (
        "code",
        r#""5d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6""#,
    ),
    ("confirmed", "true"),
    (
        "conversations",
        r#""9b1de7c60f0a4c41b8d2a3e5f60718293a4b5c6d""#,
    ),
    ("cursor", "1284"),
    ("current", "true"),
    ("delivered", "true"),
    ("description", r#""Walks at the weekend""#),
    ("detail", r#""the author may not do that""#),
    ("details", "{}"),
    ("dht_addresses", r#""0.0.0.0:4222""#),
    ("directory", r#""/home/amina/backups""#),
    ("display_name", r#""Amina""#),
    ("emoji", r#""👍""#),
    ("enabled", "true"),
    ("error", r#""the disk is full""#),
    ("expires_in", "300"),
    ("fields", "{}"),
    ("file", r#""/home/amina/backups/friday.baraza""#),
    (
        "file_id",
        r#""4f2a8b1c3d5e6f708192a3b4c5d6e7f809112233_1807.pdf""#,
    ),
    ("find", r#""amina""#),
    ("found", r#""at eight""#),
    (
        "hint",
        r#""`baraza account list` shows those that there are""#,
    ),
    ("kind", r#""owner""#),
    ("label", r#""Echo bot""#),
    ("limit", "100"),
    ("members", r#""867e21b1ff56e0ba0f31d8c1d7a6b1ab97d3f0a5""#),
    ("memory", "48234496"),
    ("message", r#""Hello, this is Amina""#),
    ("mode", "2"),
    ("name", r#""Amina""#),
    ("never", r#""867e21b1ff56e0ba0f31d8c1d7a6b1ab97d3f0a5""#),
    ("new_password", r#""another long sentence""#),
    ("next", "1285"),
    ("parent", r#""0f8fad5b-d9cb-469f-a165-70867728950e""#),
    ("password", r#""a long sentence of one's own""#),
    ("password_file", r#""/home/amina/.backup-password""#),
    (
        "path",
        r#""/home/amina/.local/share/baraza/files/notes.pdf""#,
    ),
    ("picture", r#""iVBORw0KGgo=""#),
    ("picture_type", r#""image/png""#),
    ("pid", "4711"),
    ("pin", r#""4vss3kcs""#),
    ("prefix", r#""jm_sk_0123abcd""#),
    ("problems", r#""its archive has a password""#),
    ("proposed", r#""https://names.example""#),
    ("reason", r#""none of their devices is found now""#),
    ("registered_name", r#""amina""#),
    ("rule", r#""membership""#),
    ("running", "true"),
    ("scopes", r#""read""#),
    (
        "secret",
        r#""whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=""#,
    ),
    ("server", r#""http://127.0.0.1:8460""#),
    ("session", "3"),
    (
        "sha3sum",
        r#""a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a615b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26""#,
    ),
    ("signed", "true"),
    ("size", "52428"),
    ("since", r#""4f2a8b1c3d5e6f708192a3b4c5d6e7f809112233""#),
    ("step", r#""account_key""#),
    ("text", r#""noon""#),
    ("time", "1796040000"),
    ("timestamp", "1796040000"),
    ("title", r#""Hikers""#),
    (
        "token",
        r#""jm_sk_0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd""#,
    ),
    (
        "token_svg",
        r#""<svg xmlns=\"http://www.w3.org/2000/svg\"/>""#,
    ),
    ("took", "12"),
    ("type", r#""text/plain""#),
    ("types", r#""message_received""#),
    ("unreachable", r#""no answer in time""#),
    ("uptime", "86400"),
    ("url", r#""http://127.0.0.1:9000/baraza""#),
    ("version", r#""0.1.0""#),
    ("webhook", r#""a1b2c3d4e5f60718""#),
];

/// What a file is in the description, and an example of one.
const BYTES: &str = "application/octet-stream";

/// Adds examples wherever the types say enough.
pub(super) fn add(document: &mut Value) {
    let types = Types(document.pointer("/components/schemas").cloned());
    let Some(Value::Object(paths)) = document.get_mut("paths") else {
        return;
    };
    let items = paths.values_mut().filter_map(Value::as_object_mut);
    for operation in items.flat_map(|item| item.values_mut()) {
        let parameters = operation.get_mut("parameters");
        for parameter in parameters
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(example) = types.parameter(parameter) {
                set(parameter, example);
            }
        }
        if let Some(content) = operation.pointer_mut("/requestBody/content") {
            types.fill(content, Side::Request);
        }
        let responses = operation
            .get_mut("responses")
            .and_then(Value::as_object_mut);
        for (status, response) in responses.into_iter().flatten() {
            if let (true, Some(content)) = (status.starts_with('2'), response.get_mut("content")) {
                types.fill(content, Side::Answer);
            }
        }
    }
}

fn set(thing: &mut Value, example: Value) {
    if let Some(thing) = thing.as_object_mut() {
        thing.insert("example".to_owned(), example);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Answer,
}

/// The types that the description names.
struct Types(Option<Value>);

impl Types {
    fn fill(&self, content: &mut Value, side: Side) {
        for (kind, media) in content.as_object_mut().into_iter().flatten() {
            if kind == BYTES {
                if let Some(media) = media.as_object_mut() {
                    let bytes = json!({ "type": "string", "format": "binary" });
                    media.insert("schema".to_owned(), bytes);
                }
                set(media, json!("what the file holds"));
                continue;
            }
            let schema = media.get("schema").cloned().unwrap_or_default();
            if let Some(example) = self.example(&schema, "", side, 0) {
                set(media, example);
            }
        }
    }

    fn named(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.get(name)
    }

    fn parameter(&self, parameter: &Value) -> Option<Value> {
        if parameter.get("example").is_some() {
            return None;
        }
        let name = parameter.get("name")?.as_str()?;
        let schema = parameter.get("schema")?;
        let of_type = PATHS.iter().find(|(known, _)| *known == name);
        match (of_type, kind_of(schema)) {
            (Some((_, kind)), Some("string")) => {
                self.example(self.named(kind)?, name, Side::Answer, 0)
            }
            _ => self.example(schema, name, Side::Answer, 0),
        }
    }

    /// An example of a type; `name` is that of the field which is of it.
    fn example(&self, schema: &Value, name: &str, side: Side, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        let given = schema.get("example");
        if let Some(given) = given.or_else(|| schema.pointer("/examples/0")) {
            return Some(given.clone());
        }
        if let Some(first) = schema.pointer("/enum/0") {
            return Some(first.clone());
        }
        let deeper = |schema: &Value| self.example(schema, name, side, depth.saturating_add(1));
        if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
            return deeper(self.named(path.rsplit('/').next()?)?);
        }
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            let mut whole = Map::new();
            for part in all {
                if let Value::Object(part) = deeper(part)? {
                    whole.extend(part);
                }
            }
            return Some(Value::Object(whole));
        }
        if let Some(one) = schema.get("oneOf").and_then(Value::as_array) {
            let nothing = json!("null");
            return one
                .iter()
                .find(|one| one.get("type") != Some(&nothing))
                .and_then(deeper);
        }
        let word = || {
            let known = WORDS.iter().find(|(known, _)| *known == name);
            known.and_then(|(_, word)| serde_json::from_str::<Value>(word).ok())
        };
        match kind_of(schema)? {
            "object" if schema.get("properties").is_some() => {
                self.object(schema, side, depth).map(Value::Object)
            }
            "object" => word()
                .filter(Value::is_object)
                .or_else(|| Some(json!({ "color": "#3f51b5" }))),
            "array" => match schema.get("prefixItems").and_then(Value::as_array) {
                Some(items) => items.iter().map(deeper).collect(),
                None => Some(json!([deeper(schema.get("items")?)?])),
            },
            "boolean" => word().filter(Value::is_boolean).or(Some(json!(false))),
            "integer" => word()
                .filter(Value::is_u64)
                .or_else(|| {
                    schema
                        .get("minimum")
                        .filter(|least| least.as_u64() > Some(0))
                        .cloned()
                })
                .or(Some(json!(2))),
            "string" => word().filter(Value::is_string),
            _ => None,
        }
    }

    fn object(&self, schema: &Value, side: Side, depth: usize) -> Option<Map<String, Value>> {
        let required: Vec<_> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut object = Map::new();
        for (name, field) in schema.get("properties")?.as_object()? {
            // What may be left out of a request is, where something has to be given.
            let optional = !required.contains(&name.as_str());
            let can_be_null = field.get("oneOf").is_some()
                || field.get("type").is_some_and(Value::is_array)
                || kind_of(field) == Some("array");
            if side == Side::Request && optional && can_be_null && !required.is_empty() {
                continue;
            }
            let value = self.example(field, name, side, depth.saturating_add(1))?;
            object.insert(name.clone(), value);
        }
        Some(object)
    }
}

/// The type that is not null.
fn kind_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::Array(types) => types
            .iter()
            .filter_map(Value::as_str)
            .find(|one| *one != "null"),
        one => one.as_str(),
    }
}
