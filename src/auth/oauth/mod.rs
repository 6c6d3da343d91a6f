//! Tokens by OAuth 2.1, as MCP's authorization asks for them.
//!
//! Start at [`standing`]: where the tokens of a run come from, by what the user says and
//! what is kept. [`login()`] makes what is kept. The HTTP here is blocking and of its own
//! (`wire.rs`): nothing of it passes through the engine, and no worker waits for it.
//! Judgements are pure: `urls.rs`, `challenge.rs`, `grant.rs`.

mod callback;
mod challenge;
mod client;
mod discover;
mod endpoint;
mod grant;
mod login;
mod source;
mod store;
mod urls;
mod wire;
mod wish;

pub use login::{BROWSER_TIMEOUT, LoggedIn, login};
pub use store::store_path;
pub use wish::{Standing, login_command, standing};
