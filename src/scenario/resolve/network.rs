//! How the server is reached: the keys and flags of the network become a [`Network`].

use super::super::overrides::NetworkFlags;
use super::super::raw::Settings;
use super::Resolver;
use crate::network::Network;

/// Lets each flag take the place of its key.
pub(super) fn give_way_to_flags(settings: &mut Settings, flags: &NetworkFlags) {
    let connect_timeout = &mut settings.connect_timeout;
    connect_timeout.give_way("--connect-timeout", flags.connect_timeout);
}

impl Resolver<'_> {
    pub(super) fn network(&self, settings: &Settings) -> Network {
        Network {
            connect_timeout: self.above_zero(&settings.connect_timeout),
            ..Network::default()
        }
    }
}
