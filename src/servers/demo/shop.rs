//! What the tools of the shop remember: who has signed in, and what is in the
//! carts. It knows no JSON. Start at [`Shop`].

use std::collections::{BTreeMap, HashMap, VecDeque};

use fastrand::Rng;

/// Items have the numbers from 1 to this.
pub(super) const ITEMS: u64 = 1000;
/// This many items fit into a cart.
pub(super) const CART_MAX: u64 = 100;
/// This many tokens are known at a time, some 100 MB with full carts of different
/// items; each further one ends the oldest.
const TOKENS_MAX: usize = 20_000;
/// How many items a shopper is shown at the start.
const N_SHOWN: u64 = 2;

/// Everybody who has signed in.
pub(super) struct Shop {
    shoppers: HashMap<String, Shopper>,
    /// The tokens in the order of their begin.
    tokens: VecDeque<String>,
    /// Its own stream, apart from those of latencies and faults.
    rng: Rng,
    /// How many tokens were given out.
    pub(super) n_sign_ins: u64,
    /// The share of answers on the stock that break their schema, 0 to 1.
    off_schema_share: f64,
    n_stock_answers: u64,
    /// How many answers broke their schema.
    pub(super) n_off_schema: u64,
}

/// Who has a token.
pub(super) struct Shopper {
    pub(super) user: String,
    /// How many of each item, by the item's number.
    pub(super) cart: BTreeMap<u64, u64>,
}

impl Shop {
    pub(super) fn new(seed: u64, off_schema_share: f64) -> Self {
        Self {
            shoppers: HashMap::new(),
            tokens: VecDeque::new(),
            rng: Rng::with_seed(seed ^ 0x0070_6f68_73ca_5e11),
            n_sign_ins: 0,
            off_schema_share,
            n_stock_answers: 0,
            n_off_schema: 0,
        }
    }

    /// A new token for the user, and the items that are shown first.
    pub(super) fn sign_in(&mut self, user: &str) -> (String, Vec<u64>) {
        if self.tokens.len() >= TOKENS_MAX
            && let Some(oldest) = self.tokens.pop_front()
        {
            self.shoppers.remove(&oldest);
        }
        let token = format!("{:016x}", self.rng.u64(..));
        let shopper = Shopper {
            user: user.to_string(),
            cart: BTreeMap::new(),
        };
        self.shoppers.insert(token.clone(), shopper);
        self.tokens.push_back(token.clone());
        let first = self.n_sign_ins * N_SHOWN;
        self.n_sign_ins += 1;
        let items = (first..first + N_SHOWN).map(|i| i % ITEMS + 1).collect();
        (token, items)
    }

    /// Who has the token.
    pub(super) fn shopper(&mut self, token: &str) -> Option<&mut Shopper> {
        self.shoppers.get_mut(token)
    }

    /// Whether the next answer on the stock breaks its schema. Of any number of
    /// answers it is the share, rounded down.
    pub(super) fn stock_breaks(&mut self) -> bool {
        self.n_stock_answers += 1;
        let due = self.n_stock_answers as f64 * self.off_schema_share;
        let breaks = due.floor() > self.n_off_schema as f64;
        self.n_off_schema += u64::from(breaks);
        breaks
    }
}

impl Shopper {
    /// Puts an item into the cart, if there is room.
    pub(super) fn add(&mut self, item: u64) -> bool {
        let has_room = self.cart.values().sum::<u64>() < CART_MAX;
        if has_room {
            *self.cart.entry(item).or_default() += 1;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_tokens_end_where_there_are_too_many() {
        let mut shop = Shop::new(1, 0.0);
        let (first, items) = shop.sign_in("ada");
        assert_eq!(items, [1, 2]);
        let (second, _) = shop.sign_in("bob");
        for _ in 2..TOKENS_MAX {
            shop.sign_in("cy");
        }
        assert!(shop.shopper(&first).is_some());
        shop.sign_in("dee");
        assert!(shop.shopper(&first).is_none());
        assert_eq!(shop.shopper(&second).expect("known").user, "bob");
        assert_eq!(shop.shoppers.len(), TOKENS_MAX);
        assert_eq!(shop.n_sign_ins, TOKENS_MAX as u64 + 1);
    }

    #[test]
    fn the_share_that_breaks_is_that_of_any_number() {
        for share in [0.0, 0.1, 0.3, 1.0] {
            let mut shop = Shop::new(1, share);
            for n in 1..=1000 {
                shop.stock_breaks();
                // In floating point, as it is decided: 0.1 × 30 is 3.
                let expected = (f64::from(n) * share).floor() as u64;
                assert_eq!(shop.n_off_schema, expected, "{share} of {n}");
            }
        }
    }
}
