//! Which tools give what others need: a property of one tool's output schema that is
//! a required argument of another.
//!
//! Names decide, and types where both schemas have one. Pure; start at [`Links::of`].

use std::collections::HashMap;

use serde_json::Value;

use crate::json_schema::words_of;
use crate::protocol::ToolDescription;

/// Properties of a tool that are looked at, of its output and of its input.
const N_PROPERTIES_MAX: usize = 200;
/// Objects and arrays inside an output.
const DEPTH_MAX: usize = 4;
/// Tools that must be called one after the other before another.
const CHAIN_MAX: usize = 8;

/// What these words name alone is of another kind in each tool: it is the same only
/// where the tools, or what is around it, have a word in common.
const GENERIC: &[&str] = &[
    "content", "count", "data", "date", "id", "key", "kind", "message", "name", "path", "query",
    "result", "status", "text", "title", "type", "uri", "url", "value",
];

/// What another tool's answer gives for a required argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// The argument.
    pub(super) argument: String,
    /// The tool that gives it, by its number.
    pub(super) source: usize,
    /// Where in the answer's result, as JSONPath.
    pub(super) path: String,
}

/// The links of all tools.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// By the number of the tool that needs them.
    of_targets: HashMap<usize, Vec<Link>>,
}

/// A property of a tool's output.
struct ToolOutput {
    source: usize,
    path: String,
    kind: Option<String>,
    /// The words of its name, of what is around it, and of its tool.
    words: Vec<String>,
    around: Vec<String>,
}

impl Links {
    /// What `tools` need of each other.
    pub(super) fn of(tools: &[&ToolDescription]) -> Self {
        let mut outputs: HashMap<String, Vec<ToolOutput>> = HashMap::new();
        for (source, tool) in tools.iter().enumerate() {
            let Some(schema) = &tool.output_schema else {
                continue;
            };
            let inputs = tool.input_schema.to_value();
            let mut found = Vec::new();
            let around = words_of(&tool.name);
            let path = "$.structuredContent".to_string();
            find_outputs(&schema.to_value(), source, path, &around, 0, &mut found);
            for (name, output) in found {
                // What it is given, it does not give.
                if inputs["properties"].get(&name).is_none() {
                    outputs
                        .entry(output.words.concat())
                        .or_default()
                        .push(output);
                }
            }
        }
        let mut links = Self::default();
        if outputs.is_empty() {
            return links;
        }
        // What nobody can guess comes first: it decides which way round a circle goes.
        for is_guessed in [false, true] {
            for (target, tool) in tools.iter().enumerate() {
                links.find(target, tool, is_guessed, &outputs);
            }
        }
        links
    }

    /// What a tool needs of others, first what nobody can guess.
    pub(super) fn needs_of(&self, target: usize) -> &[Link] {
        self.of_targets.get(&target).map_or(&[], Vec::as_slice)
    }

    /// The tools that must be called before this one, each after what it needs itself.
    pub(super) fn before(&self, target: usize) -> Vec<usize> {
        let mut before = Vec::new();
        self.add_before(target, &mut before);
        before
    }

    fn add_before(&self, target: usize, before: &mut Vec<usize>) {
        for link in self.needs_of(target) {
            if !before.contains(&link.source) {
                self.add_before(link.source, before);
                before.push(link.source);
            }
        }
    }

    fn find(
        &mut self,
        target: usize,
        tool: &ToolDescription,
        is_guessed: bool,
        outputs: &HashMap<String, Vec<ToolOutput>>,
    ) {
        let schema = tool.input_schema.to_value();
        let required = schema["required"].as_array().into_iter().flatten();
        let required = required.filter_map(Value::as_str).take(N_PROPERTIES_MAX);
        for name in required {
            let words = words_of(name);
            let is_secret = words.last().is_some_and(|last| is_handle(last));
            let rule = &schema["properties"][name];
            if is_secret == is_guessed || is_known(rule) {
                continue;
            }
            let around = words_of(&tool.name);
            let candidates = outputs.get(&words.concat()).into_iter().flatten();
            let found = candidates.take(N_PROPERTIES_MAX).find(|output| {
                let is_same_kind = match (&output.kind, kind_of(rule)) {
                    (Some(given), Some(needed)) => *given == needed,
                    _ => true,
                };
                let is_generic = words.len() == 1 && GENERIC.contains(&words[0].as_str());
                let is_meant = !is_generic || output.around.iter().any(|it| around.contains(it));
                let before = self.before(output.source);
                let goes_round = output.source == target || before.contains(&target);
                is_same_kind && is_meant && !goes_round && before.len() < CHAIN_MAX
            });
            if let Some(output) = found {
                self.of_targets.entry(target).or_default().push(Link {
                    argument: name.to_string(),
                    source: output.source,
                    path: output.path.clone(),
                });
            }
        }
    }
}

/// Whether values of that name are given out, and cannot be guessed.
fn is_handle(last_word: &str) -> bool {
    const HANDLES: &[&str] = &[
        "code",
        "cursor",
        "handle",
        "hash",
        "id",
        "key",
        "ref",
        "reference",
        "session",
        "ticket",
        "token",
        "uuid",
    ];
    HANDLES.contains(&last_word)
}

/// Whether the schema of an argument tells a value for it.
fn is_known(rule: &Value) -> bool {
    let words = ["const", "default", "enum", "example", "examples"];
    words.iter().any(|word| rule.get(word).is_some())
}

fn kind_of(rule: &Value) -> Option<String> {
    rule["type"].as_str().map(str::to_string)
}

/// The properties of an output with their names, those inside objects and in the
/// elements of arrays, too.
fn find_outputs(
    schema: &Value,
    source: usize,
    path: String,
    around: &[String],
    depth: usize,
    found: &mut Vec<(String, ToolOutput)>,
) {
    let properties = schema["properties"].as_object();
    for (name, rule) in properties.into_iter().flatten() {
        if found.len() >= N_PROPERTIES_MAX {
            return;
        }
        let words = words_of(name);
        let path = format!("{path}{}", path_step(name));
        let mut inside = around.to_vec();
        inside.extend(words.iter().map(|word| singular(word)));
        let (inner, inner_path) = match rule.get("items") {
            Some(items) => (items, format!("{path}[0]")),
            None => (rule, path.clone()),
        };
        if depth < DEPTH_MAX {
            find_outputs(inner, source, inner_path, &inside, depth + 1, found);
        }
        let output = ToolOutput {
            source,
            path,
            kind: kind_of(rule),
            words,
            around: around.to_vec(),
        };
        found.push((name.clone(), output));
    }
}

fn singular(word: &str) -> String {
    word.strip_suffix('s').unwrap_or(word).to_string()
}

/// A step of JSONPath (RFC 9535) to the member of that name.
fn path_step(name: &str) -> String {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_plain =
        name.starts_with(is_first) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_plain {
        return format!(".{name}");
    }
    // The escapes are those of JSON, and JSON writes them.
    format!("[{}]", Value::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ToolAnnotations;
    use serde_json::json;

    fn tool(name: &str, required: &[&str], output: Value) -> ToolDescription {
        let properties: serde_json::Map<String, Value> = required
            .iter()
            .map(|name| (name.to_string(), json!({"type": "string"})))
            .collect();
        let input = json!({"type": "object", "properties": properties, "required": required});
        ToolDescription {
            name: name.to_string(),
            title: None,
            description: None,
            input_schema: (&input).into(),
            output_schema: (!output.is_null()).then(|| (&output).into()),
            annotations: ToolAnnotations::default(),
            param_headers: Ok(Vec::new()),
        }
    }

    fn gives(names: &[&str]) -> Value {
        let properties: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| (name.to_string(), json!({"type": "string"})))
            .collect();
        json!({"type": "object", "properties": properties})
    }

    /// The links as text: `target.argument <- source path`.
    fn links(tools: &[ToolDescription]) -> Vec<String> {
        let tools: Vec<&ToolDescription> = tools.iter().collect();
        let links = Links::of(&tools);
        let of_target = |target: usize| {
            let of_link = |link: &Link| {
                let (target, source) = (&tools[target].name, &tools[link.source].name);
                format!("{target}.{} <- {source} {}", link.argument, link.path)
            };
            links
                .needs_of(target)
                .iter()
                .map(of_link)
                .collect::<Vec<_>>()
        };
        (0..tools.len()).flat_map(of_target).collect()
    }

    #[test]
    fn an_output_is_found_by_its_name_however_it_is_written() {
        let tools = [
            tool("login", &["user"], gives(&["access_token"])),
            tool("whoami", &["accessToken"], gives(&["user"])),
            tool("other", &["token_access", "access"], Value::Null),
        ];
        let expected = "whoami.accessToken <- login $.structuredContent.access_token";
        assert_eq!(links(&tools), [expected]);
    }

    #[test]
    fn a_generic_name_wants_a_word_in_common() {
        let item = json!({"properties": {"id": {"type": "string"}}});
        let list = json!({"properties": {"notes": {"type": "array", "items": item}}});
        let tools = [
            tool("list_all", &[], list),
            tool("get_note", &["id"], Value::Null),
            tool("get_user", &["id"], Value::Null),
        ];
        let expected = "get_note.id <- list_all $.structuredContent.notes[0].id";
        assert_eq!(links(&tools), [expected]);
    }

    #[test]
    fn what_a_tool_is_given_or_the_schema_tells_is_no_link() {
        let mut known = tool("known", &["token"], Value::Null);
        let input = json!({
            "properties": {"token": {"type": "string", "default": "a"}}, "required": ["token"]
        });
        known.input_schema = (&input).into();
        let number = json!({"properties": {"token": {"type": "integer"}}});
        let tools = [
            tool("refresh", &["token"], gives(&["token"])),
            tool("count", &[], number),
            known,
        ];
        assert_eq!(links(&tools), Vec::<String>::new());
    }

    #[test]
    fn chains_are_in_order_and_circles_are_broken() {
        let tools = [
            tool("get_order", &["order_id", "token"], gives(&["a b"])),
            tool("list_orders", &["token"], gives(&["order_id"])),
            tool("login", &["a b"], gives(&["token"])),
        ];
        let found = links(&tools);
        let expected = [
            "get_order.order_id <- list_orders $.structuredContent.order_id",
            "get_order.token <- login $.structuredContent.token",
            "list_orders.token <- login $.structuredContent.token",
        ];
        assert_eq!(found, expected);
        let tools: Vec<&ToolDescription> = tools.iter().collect();
        assert_eq!(Links::of(&tools).before(0), [2, 1]);
        assert_eq!(path_step("a b\n"), "[\"a b\\n\"]");
    }

    #[test]
    fn many_tools_are_linked_in_bounded_time() {
        let names: Vec<String> = (0..N_PROPERTIES_MAX)
            .map(|n| format!("token_{n}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let tools: Vec<ToolDescription> = (0..crate::seeds::n_seeds(200, 2_000))
            .map(|n| tool(&format!("t{n}"), &["token_1"], gives(&names[2..])))
            .chain([tool("last", &["token_2"], Value::Null)])
            .collect();
        assert_eq!(links(&tools).len(), 1);
    }
}
