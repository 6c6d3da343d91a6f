//! What a server offers, as discovery found it: all that a starter config is
//! made of.
//!
//! Texts are as the server sent them, of any length and with any characters.

use crate::protocol::{
    PromptDescription, ResourceDescription, ResourceTemplateDescription, ServerIdentity,
    ToolDescription,
};

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
    /// The names of the headers given on the command line, whose values are
    /// secrets: the config refers to environment variables instead.
    pub auth_header_names: Vec<String>,
}
