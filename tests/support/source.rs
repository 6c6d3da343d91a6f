//! A source file as `tests/tidy.rs` sees it: the paths that it names, its types, the
//! modules that it declares for tests.
//!
//! `syn` finds the items. The paths in them are found among their tokens, so that
//! those passed to a macro or an attribute count, too.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::Item;

/// What the rules need to know of a source file.
pub(crate) struct Source {
    pub(crate) name: String,
    /// `["http", "transport"]` for `src/http/transport.rs`; empty for those that are free.
    pub(crate) module: Vec<String>,
    pub(crate) paths: Vec<PathUse>,
    /// The types at the top level.
    pub(crate) types: Vec<String>,
    /// The modules declared under `#[cfg(test)]`.
    pub(crate) test_modules: Vec<Vec<String>>,
}

/// A path as code names it.
#[derive(Clone, Default)]
pub(crate) struct PathUse {
    pub(crate) line: usize,
    /// Its first segment.
    pub(crate) root: String,
    /// From the crate's root, if it is a path of this crate.
    pub(crate) absolute: Vec<String>,
    pub(crate) in_test: bool,
    /// Whether a `pub use` names it.
    pub(crate) is_handed_on: bool,
}

impl Source {
    pub(crate) fn read(name: &str, file: &syn::File) -> Self {
        let inner = name.trim_start_matches("src/").trim_end_matches(".rs");
        // `jsonrpc_tests.rs` is the module `tests` of `jsonrpc.rs`.
        let inner = inner.trim_end_matches("/mod").replace("_tests", "/tests");
        let is_free = matches!(inner.as_str(), "lib" | "main") || inner.starts_with("bin/");
        let modules = inner.split('/').filter(|_| !is_free);
        let mut source = Self {
            name: name.to_string(),
            module: modules.map(str::to_string).collect(),
            paths: Vec::new(),
            types: Vec::new(),
            test_modules: Vec::new(),
        };
        let attributes = file.attrs.iter().map(ToTokens::to_token_stream);
        let here = PathUse {
            absolute: source.module.clone(),
            in_test: is_for_tests(attributes.collect()),
            ..PathUse::default()
        };
        source.items(&file.items, &here);
        source
    }

    /// Reads the items of a module, the file's or an inline one. `here` is its path.
    fn items(&mut self, items: &[Item], here: &PathUse) {
        for item in items {
            let tokens = item.to_token_stream();
            let mut here = here.clone();
            here.in_test |= is_for_tests(tokens.clone());
            match item {
                Item::Mod(module) => {
                    here.absolute.push(module.ident.to_string());
                    if here.in_test {
                        self.test_modules.push(here.absolute.clone());
                    }
                    let content = module.content.iter();
                    content.for_each(|(_, items)| self.items(items, &here));
                    continue;
                }
                Item::Use(item) => {
                    here.is_handed_on = !matches!(item.vis, syn::Visibility::Inherited)
                }
                Item::Struct(syn::ItemStruct { ident, .. })
                | Item::Enum(syn::ItemEnum { ident, .. })
                | Item::Union(syn::ItemUnion { ident, .. })
                | Item::Trait(syn::ItemTrait { ident, .. })
                | Item::Type(syn::ItemType { ident, .. })
                    if here.absolute == self.module && !here.in_test =>
                {
                    self.types.push(ident.to_string());
                }
                _ => {}
            }
            self.tokens(tokens, &[], &here);
        }
    }

    /// Reads the paths among these tokens, which in a `use` tree are below `prefix`.
    fn tokens(&mut self, tokens: TokenStream, prefix: &[String], here: &PathUse) {
        let (mut line, mut path, mut n_colons, mut is_alias) = (0, Vec::new(), 0, false);
        // One more, which ends the last path.
        for token in tokens.into_iter().map(Some).chain([None]) {
            let goes_on = n_colons == 2 && !path.is_empty();
            let is =
                |c: char| matches!(&token, Some(TokenTree::Punct(mark)) if mark.as_char() == c);
            n_colons = if is(':') { n_colons + 1 } else { 0 };
            match &token {
                _ if n_colons > 0 => {}
                Some(TokenTree::Ident(name)) if goes_on => path.push(name.to_string()),
                _ if goes_on && is('*') => path.push("*".to_string()),
                Some(TokenTree::Group(group)) if goes_on => {
                    self.tokens(group.stream(), &[prefix, &path].concat(), here);
                    path.clear();
                }
                _ => {
                    if !path.is_empty() && prefix.len() + path.len() > 1 {
                        self.path(line, &[prefix, &path].concat(), here);
                    }
                    path.clear();
                    if let Some(TokenTree::Group(group)) = &token {
                        self.tokens(group.stream(), &[], here);
                    }
                    if let Some(TokenTree::Ident(name)) = &token {
                        line = name.span().start().line;
                        let word = name.to_string();
                        path.extend(
                            Some(word)
                                .filter(|word| !KEYWORDS.contains(&word.as_str()) && !is_alias),
                        );
                        is_alias = name == "as" && !prefix.is_empty();
                    }
                }
            }
        }
    }

    fn path(&mut self, line: usize, written: &[String], here: &PathUse) {
        let root = written[0].clone();
        let mut path = PathUse {
            line,
            root,
            ..here.clone()
        };
        for segment in written {
            match segment.as_str() {
                "crate" => path.absolute.clear(),
                "super" => _ = path.absolute.pop(),
                "self" | "*" => {}
                name => path.absolute.push(name.to_string()),
            }
        }
        self.paths.push(path);
    }
}

/// Words that can be before a path and are not part of it.
const KEYWORDS: &[&str] = &[
    "as", "box", "const", "dyn", "else", "for", "if", "impl", "in", "let", "match", "move", "mut",
    "pub", "ref", "return", "static", "unsafe", "use", "where", "while",
];

/// Whether `#[cfg(test)]` is among the attributes that these tokens start with.
/// `cfg(any(test, …))` is not: it is compiled otherwise too.
fn is_for_tests(tokens: TokenStream) -> bool {
    let mut tokens = tokens
        .into_iter()
        .filter(|token| !matches!(token, TokenTree::Punct(_)));
    while let Some(TokenTree::Group(attribute)) = tokens.next() {
        let text = attribute.stream().to_string();
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let is_condition =
            words.next() == Some("cfg") && !words.clone().any(|word| matches!(word, "not" | "any"));
        if is_condition && words.any(|word| word == "test") {
            return true;
        }
    }
    false
}
