//! temporary
mod discover;
mod offer;
pub use discover::{DiscoverOptions, discover};
pub use offer::Offer;
pub fn scaffold(_: &Offer) -> String {
    String::new()
}
pub fn template() -> String {
    String::new()
}
