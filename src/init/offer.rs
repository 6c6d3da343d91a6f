//! What a server offers, as discovery found it: all that a starter config is
//! made of.
//!
//! Texts are as the server sent them, of any length and with any characters.

use std::collections::HashSet;

use crate::protocol::{
    PromptArgument, PromptDescription, ResourceDescription, ResourceTemplateDescription,
    ServerIdentity, ToolDescription, ToolSchema,
};
use crate::redact::Redactor;
use crate::units::plural;

/// Everything found on a server, and what the config should remember of the
/// command line.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Offer {
    /// The server's address. Credentials in its query are not written.
    pub url: String,
    /// Who the server says that it is.
    pub server: Option<ServerIdentity>,
    /// The protocol's revision that was spoken, such as `2025-11-25`.
    pub revision: String,
    /// When it was asked, as text for a comment; `None`: left out.
    pub asked_at: Option<String>,
    /// All tools, in the server's order.
    pub tools: Vec<ToolDescription>,
    /// All resources.
    pub resources: Vec<ResourceDescription>,
    /// All resource templates.
    pub templates: Vec<ResourceTemplateDescription>,
    /// All prompts.
    pub prompts: Vec<PromptDescription>,
    /// What could not be read, one sentence each; shown as comments.
    pub problems: Vec<String>,
    /// Names that a server gave and that hold one of the user's secrets: what is
    /// named so cannot be called by the name that is written.
    pub masked_names: HashSet<String>,
    /// How many lists could not be read at all, though they should be there.
    pub n_unread_lists: usize,
    /// The names of the headers given on the command line, whose values are
    /// secrets: the config refers to environment variables instead.
    pub auth_header_names: Vec<String>,
    /// Tools that may change something are switched on, too.
    pub with_all: bool,
}

impl Offer {
    /// The same without the user's secrets, in whatever text the server sent them
    /// back: all of this goes into a file.
    #[must_use]
    pub fn cleaned(self, redactor: &Redactor) -> Self {
        // Every field by its name, so that a new one is not forgotten.
        let Self {
            url,
            server,
            revision,
            asked_at,
            tools,
            resources,
            templates,
            prompts,
            problems,
            mut masked_names,
            n_unread_lists,
            auth_header_names,
            with_all,
        } = self;
        let clean = |text: String| redactor.clean(text);
        let clean_some = |text: Option<String>| text.map(clean);
        let clean_schema = |schema: &ToolSchema| match redactor.find(schema.text()).is_empty() {
            // With its digits, which a value has not.
            true => schema.clone(),
            false => (&redactor.clean_json(schema.to_value())).into(),
        };
        let mut name = |text: String| {
            let cleaned = redactor.clean(text.clone());
            if cleaned != text {
                masked_names.insert(cleaned.clone());
            }
            cleaned
        };
        let server = server.map(|server| ServerIdentity {
            name: clean(server.name),
            version: clean(server.version),
            title: clean_some(server.title),
        });
        let tools = tools
            .into_iter()
            .map(|tool| ToolDescription {
                name: name(tool.name),
                title: clean_some(tool.title),
                description: clean_some(tool.description),
                input_schema: clean_schema(&tool.input_schema),
                output_schema: tool.output_schema.as_ref().map(clean_schema),
                annotations: tool.annotations,
                param_headers: tool.param_headers.map_err(clean),
            })
            .collect();
        let resources = resources
            .into_iter()
            .map(|resource| ResourceDescription {
                uri: name(resource.uri),
                name: clean(resource.name),
                description: clean_some(resource.description),
                mime_type: clean_some(resource.mime_type),
            })
            .collect();
        let templates = templates
            .into_iter()
            .map(|template| ResourceTemplateDescription {
                uri_template: name(template.uri_template),
                name: clean(template.name),
                description: clean_some(template.description),
                mime_type: clean_some(template.mime_type),
            })
            .collect();
        let prompts = prompts
            .into_iter()
            .map(|prompt| PromptDescription {
                name: name(prompt.name),
                description: clean_some(prompt.description),
                arguments: prompt
                    .arguments
                    .into_iter()
                    .map(|argument| PromptArgument {
                        name: clean(argument.name),
                        description: clean_some(argument.description),
                        required: argument.required,
                    })
                    .collect(),
            })
            .collect();
        Self {
            // Its own secrets become references, which needs them to be there.
            url,
            server,
            revision: clean(revision),
            asked_at,
            tools,
            resources,
            templates,
            prompts,
            problems: problems.into_iter().map(clean).collect(),
            masked_names,
            n_unread_lists,
            auth_header_names,
            with_all,
        }
    }

    /// `9 tools`, `2 resources`, `0 resource templates`, `1 prompt`.
    pub fn counts(&self) -> [String; 4] {
        let count = |n: usize, one, many| plural(n as u64, one, many);
        [
            count(self.tools.len(), "tool", "tools"),
            count(self.resources.len(), "resource", "resources"),
            count(
                self.templates.len(),
                "resource template",
                "resource templates",
            ),
            count(self.prompts.len(), "prompt", "prompts"),
        ]
    }

    /// Whether nothing was found that a step could be made of.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
            && self.resources.is_empty()
            && self.templates.is_empty()
            && self.prompts.is_empty()
    }
}
