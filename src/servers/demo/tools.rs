//! The tools: what each says of itself, and what it does.
//!
//! Together they hold what a client has to cope with: nested objects, arrays,
//! formats and constants in a schema, a tool that destroys, one that always
//! fails, one that takes its time, one whose arguments travel in headers too,
//! two that ask back, one that becomes a task, some that need what another gave (`shop.rs`), and one
//! whose answers break its output schema at times. All are deterministic. It
//! knows neither HTTP nor the eras' envelopes.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::asking::{Consultation, size_form};
use super::jobs::{DemoWork, WorkOutcome};
use super::schema;
use super::shop::{CART_MAX, ITEMS, Shop};

/// A tool of the server.
pub(super) struct DemoTool {
    pub(super) name: &'static str,
    /// The entry of `tools/list`.
    pub(super) definition: Value,
    /// Properties that are repeated in a header: property, and what follows
    /// `Mcp-Param-`.
    pub(super) param_headers: Vec<(String, String)>,
    run: fn(&Value, &mut Shop) -> ToolOutcome,
}

/// What became of a tool's call.
#[derive(Debug, PartialEq)]
pub(super) enum ToolOutcome {
    Text(String),
    /// The text, and the same as data.
    Data(String, Value),
    /// `isError`, with the reason.
    Failed(String),
    /// The text, after this time.
    Later(Duration, String),
    /// The text, after a number of steps of this length, each of which is told as progress.
    Steps(u32, Duration, String),
    /// Needs an answer to an elicitation before it can say this.
    Asks(Question),
    /// Asks the client for something, and says what it was answered.
    Consults(Consultation),
    /// Takes its time, as a task where the client declares tasks.
    Works(DemoWork),
}

/// What a tool asks back.
#[derive(Debug, PartialEq)]
pub(super) struct Question {
    /// The name of the question among the call's input requests.
    pub(super) key: &'static str,
    pub(super) message: String,
    /// The schema of the answer.
    pub(super) schema: Value,
    /// The text for an answer that the schema accepts, up to the chosen value.
    pub(super) then: String,
}

impl DemoTool {
    /// Runs the tool, or says what is wrong with the arguments.
    pub(super) fn call(&self, arguments: &Value, shop: &mut Shop) -> ToolOutcome {
        match schema::fault(&self.definition["inputSchema"], arguments) {
            Some(fault) => ToolOutcome::Failed(format!("bad arguments: {fault}")),
            None => (self.run)(arguments, shop),
        }
    }

    /// The same with the schema of what it gives.
    fn giving(mut self, output_schema: Value) -> Self {
        self.definition["outputSchema"] = output_schema;
        self
    }
}

/// All tools, in the order of `tools/list`.
pub(super) fn all() -> Vec<DemoTool> {
    let read_only = json!({"readOnlyHint": true, "openWorldHint": false});
    vec![
        tool(
            "echo",
            "Gives back the text",
            &read_only,
            object(
                &["text"],
                json!({"text": {"type": "string", "description": "what to give back"}}),
            ),
            echo,
        ),
        tool(
            "add",
            "Adds two numbers",
            &read_only,
            object(
                &["a", "b"],
                json!({"a": {"type": "number"}, "b": {"type": "number"}}),
            ),
            add,
        )
        .giving(object(&["sum"], json!({"sum": {"type": "number"}}))),
        tool(
            "search",
            "Searches the archive; the answer is some kilobytes long",
            &read_only,
            object(
                &["query", "kind"],
                json!({
                    "query": {"type": "string", "minLength": 1, "examples": ["meeting"]},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10},
                    "kind": {"type": "string", "enum": ["notes", "files", "people"]}
                }),
            ),
            search,
        ),
        tool(
            "slow",
            "Answers after this many milliseconds, on top of the server's latency",
            &read_only,
            object(
                &[],
                json!({"ms": {"type": "integer", "minimum": 0, "maximum": 60_000, "default": 100}}),
            ),
            slow,
        ),
        tool(
            "stepwise",
            "Works through steps of this many milliseconds, and tells of each where the client \
             gives a progress token",
            &read_only,
            object(
                &[],
                json!({
                    "steps": {"type": "integer", "minimum": 1, "maximum": 100, "default": 5},
                    "ms": {"type": "integer", "minimum": 0, "maximum": 10_000, "default": 20}
                }),
            ),
            stepwise,
        ),
        tool(
            "book_meeting",
            "Books a meeting",
            &json!({"readOnlyHint": false, "destructiveHint": false, "idempotentHint": true}),
            closed(object(
                &["version", "title", "starts_at", "organizer", "attendees"],
                json!({
                    "version": {"const": 1},
                    "title": {"type": "string", "minLength": 3},
                    "starts_at": {"type": "string", "format": "date-time"},
                    "organizer": closed(object(
                        &["name", "email"],
                        json!({
                            "name": {"type": "string"},
                            "email": {"type": "string", "format": "email"}
                        }),
                    )),
                    "attendees": {
                        "type": "array",
                        "items": object(
                            &["email"],
                            json!({
                                "email": {"type": "string", "format": "email"},
                                "optional": {"type": "boolean", "default": false}
                            }),
                        ),
                        "minItems": 1,
                        "maxItems": 20
                    }
                }),
            )),
            book_meeting,
        ),
        tool(
            "delete_note",
            "Deletes a note for good (there are none: nothing happens)",
            &json!({"readOnlyHint": false, "destructiveHint": true, "idempotentHint": true}),
            object(&["id"], json!({"id": {"type": "integer", "minimum": 1}})),
            |arguments, _| ToolOutcome::Text(format!("deleted note {}", arguments["id"])),
        ),
        tool(
            "region_report",
            "Reports on a region, which a proxy may route by",
            &read_only,
            object(
                &["region"],
                json!({
                    "region": {"type": "string", "x-mcp-header": "Region", "examples": ["eu-west"]},
                    "days": {
                        "type": "integer", "minimum": 1, "maximum": 365,
                        "x-mcp-header": "Days"
                    },
                    "detailed": {"type": "boolean", "x-mcp-header": "Detailed"}
                }),
            ),
            region_report,
        ),
        tool(
            "order_coffee",
            "Orders a drink, and asks for its size where the client can be asked",
            &json!({"readOnlyHint": false, "destructiveHint": false}),
            object(
                &["drink"],
                json!({"drink": {"type": "string", "enum": ["espresso", "latte", "tea"]}}),
            ),
            order_coffee,
        ),
        tool(
            "ask_client",
            "Asks the client on the stream of the call, and tells what it was answered",
            &read_only,
            object(
                &[],
                json!({
                    "kind": {
                        "type": "string",
                        "enum": ["elicitation", "sampling", "roots", "ping"],
                        "default": "elicitation"
                    }
                }),
            ),
            |arguments, _| ToolOutcome::Consults(Consultation::of(&arguments["kind"])),
        ),
        tool(
            "crunch",
            "Works for this many milliseconds: as a task where the client declares tasks",
            &read_only,
            object(
                &[],
                json!({
                    "ms": {"type": "integer", "minimum": 0, "maximum": 60_000, "default": 100},
                    "asks": {
                        "type": "boolean", "default": false,
                        "description": "a task asks half way, and goes on with the answer"
                    },
                    "outcome": {
                        "type": "string", "enum": ["done", "tool_error", "error"],
                        "default": "done"
                    }
                }),
            ),
            crunch,
        ),
        tool(
            "fail",
            "Always fails",
            &read_only,
            object(&[], json!({})),
            |_, _| ToolOutcome::Failed("this tool always fails".to_string()),
        ),
        tool(
            "login",
            "Signs a user in, with any password but `wrong` or with none, and gives the token \
             that other tools want",
            &read_only,
            object(
                &["user"],
                json!({
                    "user": {"type": "string", "minLength": 1, "maxLength": 100},
                    "password": {"type": "string", "minLength": 1, "maxLength": 100}
                }),
            ),
            login,
        )
        .giving(object(
            &["token", "items"],
            json!({"token": {"type": "string"}, "items": items_schema(&["id"])}),
        )),
        tool(
            "whoami",
            "Tells who has the token",
            &read_only,
            object(&["token"], json!({"token": {"type": "string"}})),
            whoami,
        )
        .giving(object(&["user"], json!({"user": {"type": "string"}}))),
        tool(
            "cart",
            "Puts an item into the cart that goes with the token, or lists what is in it",
            &json!({}),
            object(
                &["token"],
                json!({
                    "token": {"type": "string"},
                    "action": {"type": "string", "enum": ["list", "add"], "default": "list"},
                    "item": {"type": "integer", "minimum": 1, "maximum": ITEMS}
                }),
            ),
            cart,
        )
        .giving(object(
            &["items"],
            json!({"items": items_schema(&["id", "count"])}),
        )),
        tool(
            "stock",
            "Tells how many of an item are left; some answers break the output schema, as the \
             option `--off-schema` says",
            &read_only,
            object(
                &["item"],
                json!({"item": {"type": "integer", "minimum": 1, "maximum": ITEMS}}),
            ),
            stock,
        )
        .giving(object(
            &["item", "left"],
            json!({"item": {"type": "integer"}, "left": {"type": "integer", "minimum": 0}}),
        )),
    ]
}

/// The schema of an object with these properties.
fn object(required: &[&str], properties: Value) -> Value {
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The same without any other properties.
fn closed(mut schema: Value) -> Value {
    schema["additionalProperties"] = false.into();
    schema
}

/// The schema of a list of items, of which each has these numbers.
fn items_schema(names: &[&str]) -> Value {
    let number = |name: &&str| (name.to_string(), json!({"type": "integer"}));
    let properties: Map<_, _> = names.iter().map(number).collect();
    json!({"type": "array", "items": object(names, properties.into())})
}

fn tool(
    name: &'static str,
    description: &str,
    annotations: &Value,
    input_schema: Value,
    run: fn(&Value, &mut Shop) -> ToolOutcome,
) -> DemoTool {
    let properties = input_schema["properties"].as_object();
    let in_headers = properties.into_iter().flatten();
    let in_headers = in_headers.filter_map(|(property, schema)| {
        let token = schema.get("x-mcp-header")?.as_str()?;
        Some((property.clone(), token.to_string()))
    });
    DemoTool {
        name,
        param_headers: in_headers.collect(),
        definition: json!({
            "name": name,
            "description": description,
            "inputSchema": input_schema,
            "annotations": annotations,
        }),
        run,
    }
}

fn echo(arguments: &Value, _: &mut Shop) -> ToolOutcome {
    ToolOutcome::Text(text_of(arguments, "text").to_string())
}

fn add(arguments: &Value, _: &mut Shop) -> ToolOutcome {
    let (a, b) = (&arguments["a"], &arguments["b"]);
    let whole = match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.checked_add(b).map(Value::from),
        _ => None,
    };
    let sum = whole.or_else(|| {
        let sum = a.as_f64()? + b.as_f64()?;
        serde_json::Number::from_f64(sum).map(Value::Number)
    });
    match sum {
        Some(sum) => ToolOutcome::Data(sum.to_string(), json!({"sum": sum})),
        None => ToolOutcome::Failed("the sum is too large".to_string()),
    }
}

fn search(arguments: &Value, _: &mut Shop) -> ToolOutcome {
    let query = text_of(arguments, "query");
    let kind = text_of(arguments, "kind");
    // The schema bounds it; 10 is its default.
    let limit = arguments["limit"].as_f64().map_or(10, |limit| limit as u64);
    let mut found = format!("{limit} {kind} found for \"{query}\"\n");
    for i in 1..=limit {
        found.push_str(&format!(
            "{i}. {kind}/{:04}: {query}, as it stands in the archive of the demo server, \
             which holds the same {kind} for everyone and in the same order every time\n",
            i * 37 % 1000
        ));
    }
    ToolOutcome::Text(found)
}

fn slow(arguments: &Value, _: &mut Shop) -> ToolOutcome {
    let ms = arguments["ms"].as_f64().map_or(100, |ms| ms as u64);
    ToolOutcome::Later(Duration::from_millis(ms), format!("waited {ms} ms"))
}

fn stepwise(arguments: &Value, _: &mut Shop) -> ToolOutcome {
    let number = |name: &str, default| arguments[name].as_f64().map_or(default, |n| n as u32);
    let (steps, ms) = (number("steps", 5), number("ms", 20));
    let every = Duration::from_millis(u64::from(ms));
    ToolOutcome::Steps(steps, every, format!("{steps} steps of {ms} ms"))
}

fn crunch(arguments: &Value, _: &mut Shop) -> ToolOutcome {
    let ms = arguments["ms"].as_f64().map_or(100, |ms| ms as u64);
    ToolOutcome::Works(DemoWork {
        time: Duration::from_millis(ms),
        asks: arguments["asks"] == true,
        outcome: match arguments["outcome"].as_str() {
            Some("tool_error") => WorkOutcome::ToolError,
            Some("error") => WorkOutcome::Error,
            _ => WorkOutcome::Done,
        },
    })
}

fn book_meeting(arguments: &Value, _: &mut Shop) -> ToolOutcome {
    let n_attendees = arguments["attendees"].as_array().map_or(0, Vec::len);
    ToolOutcome::Text(format!(
        "booked \"{}\" at {} for {} and {n_attendees} more",
        text_of(arguments, "title"),
        text_of(arguments, "starts_at"),
        text_of(&arguments["organizer"], "name"),
    ))
}

fn region_report(arguments: &Value, _: &mut Shop) -> ToolOutcome {
    let days = arguments["days"].as_f64().map_or(7, |days| days as u64);
    let is_detailed = arguments["detailed"] == true;
    let detail = if is_detailed { " in detail" } else { "" };
    let region = text_of(arguments, "region");
    ToolOutcome::Text(format!(
        "the last {days} days of {region}{detail}: all well"
    ))
}

fn order_coffee(arguments: &Value, _: &mut Shop) -> ToolOutcome {
    let drink = text_of(arguments, "drink");
    ToolOutcome::Asks(Question {
        key: "size",
        message: format!("Which size of {drink}?"),
        schema: size_form(),
        then: format!("ordered: {drink}"),
    })
}

fn login(arguments: &Value, shop: &mut Shop) -> ToolOutcome {
    if arguments["password"] == "wrong" {
        return ToolOutcome::Failed("wrong password".to_string());
    }
    let (token, items) = shop.sign_in(text_of(arguments, "user"));
    let items: Vec<Value> = items.into_iter().map(|id| json!({"id": id})).collect();
    data(json!({"token": token, "items": items}))
}

fn whoami(arguments: &Value, shop: &mut Shop) -> ToolOutcome {
    match shop.shopper(text_of(arguments, "token")) {
        Some(shopper) => data(json!({"user": shopper.user})),
        None => not_signed_in(),
    }
}

fn cart(arguments: &Value, shop: &mut Shop) -> ToolOutcome {
    let Some(shopper) = shop.shopper(text_of(arguments, "token")) else {
        return not_signed_in();
    };
    if arguments["action"] == "add" {
        let Some(item) = arguments["item"].as_f64() else {
            return ToolOutcome::Failed("`item` is required to add one".to_string());
        };
        // The schema bounds it.
        if !shopper.add(item as u64) {
            return ToolOutcome::Failed(format!("the cart is full: it holds {CART_MAX} items"));
        }
    }
    let items = shopper.cart.iter();
    let items: Vec<Value> = items
        .map(|(id, count)| json!({"id": id, "count": count}))
        .collect();
    data(json!({"items": items}))
}

fn stock(arguments: &Value, shop: &mut Shop) -> ToolOutcome {
    let item = arguments["item"].as_f64().map_or(0, |item| item as u64);
    let left = item * 37 % 100;
    let left = match shop.stock_breaks() {
        true => Value::from(format!("about {left}")),
        false => Value::from(left),
    };
    data(json!({"item": item, "left": left}))
}

fn not_signed_in() -> ToolOutcome {
    ToolOutcome::Failed("no such token: `login` gives one".to_string())
}

/// Data, and the same as JSON text, as the specification asks for.
fn data(data: Value) -> ToolOutcome {
    ToolOutcome::Data(data.to_string(), data)
}

fn text_of<'a>(arguments: &'a Value, name: &str) -> &'a str {
    arguments[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, arguments: Value) -> ToolOutcome {
        call_in(&mut Shop::new(1, 0.0), name, arguments)
    }

    fn call_in(shop: &mut Shop, name: &str, arguments: Value) -> ToolOutcome {
        let tools = all();
        let tool = tools.iter().find(|tool| tool.name == name);
        tool.expect("a tool of that name").call(&arguments, shop)
    }

    /// The data of an answer, which must be its text and fit the output schema too.
    fn good_data(shop: &mut Shop, name: &str, arguments: Value) -> Value {
        let outcome = call_in(shop, name, arguments);
        let ToolOutcome::Data(text, data) = outcome else {
            panic!("no data: {outcome:?}");
        };
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), data);
        assert_eq!(output_fault(name, &data), None);
        data
    }

    fn output_fault(name: &str, data: &Value) -> Option<String> {
        let tools = all();
        let tool = tools.iter().find(|tool| tool.name == name);
        schema::fault(&tool.expect("a tool").definition["outputSchema"], data)
    }

    #[test]
    fn a_token_leads_to_its_user_and_cart() {
        let shop = &mut Shop::new(1, 0.0);
        let sign_in = |user: &str| json!({"user": user, "password": "x"});
        let ada = good_data(shop, "login", sign_in("ada"));
        let bob = good_data(shop, "login", sign_in("bob"));
        assert_ne!(ada["token"], bob["token"]);
        good_data(shop, "login", json!({"user": "eve"}));
        let (ada, bob) = (&ada["token"], &bob["token"]);
        let who = good_data(shop, "whoami", json!({"token": ada}));
        assert_eq!(who, json!({"user": "ada"}));
        let add = |token: &Value| json!({"token": token, "action": "add", "item": 7});
        good_data(shop, "cart", add(ada));
        let cart = good_data(shop, "cart", add(ada));
        assert_eq!(cart, json!({"items": [{"id": 7, "count": 2}]}));
        assert_eq!(good_data(shop, "cart", json!({"token": ada})), cart);
        let other = good_data(shop, "cart", json!({"token": bob, "action": "list"}));
        assert_eq!(other, json!({"items": []}));
        let mut fails = |name: &str, arguments: Value, expected: &str| {
            let failed = ToolOutcome::Failed(expected.to_string());
            assert_eq!(call_in(shop, name, arguments), failed);
        };
        let unknown = "no such token: `login` gives one";
        fails("whoami", json!({"token": "x"}), unknown);
        fails("cart", json!({"token": ""}), unknown);
        let absent = "bad arguments: `arguments.token` is required";
        fails("whoami", json!({}), absent);
        let add = json!({"token": ada, "action": "add"});
        fails("cart", add, "`item` is required to add one");
        let wrong = json!({"user": "ada", "password": "wrong"});
        fails("login", wrong, "wrong password");
    }

    #[test]
    fn a_cart_is_bounded() {
        let shop = &mut Shop::new(1, 0.0);
        let login = json!({"user": "ada", "password": "x"});
        let token = good_data(shop, "login", login)["token"].clone();
        let add = json!({"token": token, "action": "add", "item": 1});
        for _ in 0..CART_MAX {
            good_data(shop, "cart", add.clone());
        }
        let full = ToolOutcome::Failed("the cart is full: it holds 100 items".to_string());
        assert_eq!(call_in(shop, "cart", add), full);
        good_data(shop, "cart", json!({"token": token}));
    }

    #[test]
    fn the_share_of_answers_breaks_the_output_schema() {
        let shop = &mut Shop::new(1, 0.25);
        let breaks: Vec<bool> = (1..=8)
            .map(|item| match call_in(shop, "stock", json!({"item": item})) {
                ToolOutcome::Data(_, data) => output_fault("stock", &data).is_some(),
                outcome => panic!("no data: {outcome:?}"),
            })
            .collect();
        let expected = [false, false, false, true, false, false, false, true];
        assert_eq!(breaks, expected);
    }

    #[test]
    fn tools_do_what_they_say() {
        let check = |name: &str, arguments: Value, expected: &str| {
            assert_eq!(
                call(name, arguments),
                ToolOutcome::Text(expected.to_string())
            );
        };
        check("echo", json!({"text": "å\n"}), "å\n");
        check("delete_note", json!({"id": 7}), "deleted note 7");
        check(
            "book_meeting",
            json!({
                "version": 1, "title": "plan", "starts_at": "2026-11-23T12:00:00Z",
                "organizer": {"name": "Ada", "email": "ada@example.com"},
                "attendees": [{"email": "bob@example.com"}]
            }),
            "booked \"plan\" at 2026-11-23T12:00:00Z for Ada and 1 more",
        );
        check(
            "region_report",
            json!({"region": "eu", "detailed": true}),
            "the last 7 days of eu in detail: all well",
        );
        assert_eq!(
            call("add", json!({"a": 1, "b": 2})),
            ToolOutcome::Data("3".to_string(), json!({"sum": 3}))
        );
        assert_eq!(
            call("add", json!({"a": 0.5, "b": 2})),
            ToolOutcome::Data("2.5".to_string(), json!({"sum": 2.5}))
        );
        assert_eq!(
            call("slow", json!({})),
            ToolOutcome::Later(Duration::from_millis(100), "waited 100 ms".to_string())
        );
        assert!(matches!(
            call("order_coffee", json!({"drink": "tea"})),
            ToolOutcome::Asks(question) if question.then == "ordered: tea"
        ));
    }

    #[test]
    fn search_is_as_long_as_its_limit() {
        let ToolOutcome::Text(found) = call("search", json!({"query": "x", "kind": "notes"}))
        else {
            panic!("no text");
        };
        assert_eq!(found.lines().count(), 11);
        let arguments = json!({"query": "x", "kind": "notes", "limit": 50});
        let ToolOutcome::Text(found) = call("search", arguments) else {
            panic!("no text");
        };
        assert_eq!(found.lines().count(), 51);
        assert!(found.len() > 4096, "{}", found.len());
    }

    #[test]
    fn failures_say_why() {
        let check = |name: &str, arguments: Value, expected: &str| {
            assert_eq!(
                call(name, arguments),
                ToolOutcome::Failed(expected.to_string())
            );
        };
        check("fail", json!({}), "this tool always fails");
        check(
            "echo",
            json!({}),
            "bad arguments: `arguments.text` is required",
        );
        check(
            "add",
            json!({"a": i64::MAX, "b": "1"}),
            "bad arguments: `arguments.b` must be of type number",
        );
        check(
            "add",
            json!({"a": 1e308, "b": 1e308}),
            "the sum is too large",
        );
    }

    #[test]
    fn annotated_properties_are_known() {
        let tools = all();
        let annotated: Vec<&DemoTool> = tools
            .iter()
            .filter(|tool| !tool.param_headers.is_empty())
            .collect();
        assert_eq!(annotated.len(), 1);
        assert_eq!(annotated[0].name, "region_report");
        assert_eq!(annotated[0].param_headers.len(), 3);
    }
}
