//! The keys and flags of TLS become [`TlsOptions`].

use std::path::PathBuf;

use super::super::document::{Field, Origin};
use super::super::overrides::TlsFlags;
use super::super::raw::Settings;
use super::super::shown::Shown;
use super::Resolver;
use crate::network::TlsOptions;

/// Lets each flag take the place of its key.
pub(super) fn give_way_to_flags(settings: &mut Settings, flags: &TlsFlags) {
    let ca = Some(flags.ca.clone()).filter(|list| !list.is_empty());
    settings.ca.give_way("--ca", ca);
    // A certificate of the command line does not go with a key of the config.
    if flags.client_cert.is_some() {
        settings.client_key = Field::default();
    }
    let certificate = &mut settings.client_cert;
    certificate.give_way("--client-cert", flags.client_cert.clone().map(Shown::from));
    let key = &mut settings.client_key;
    key.give_way("--client-key", flags.client_key.clone().map(Shown::from));
    let name = &mut settings.server_name;
    name.give_way("--server-name", flags.server_name.clone().map(Shown::from));
    settings.insecure.give_way("--insecure", flags.insecure);
}

impl Resolver<'_> {
    pub(super) fn tls(&mut self, settings: &Settings) -> TlsOptions {
        let insecure = settings.insecure.value.unwrap_or(false);
        if insecure {
            self.notices.push(
                "certificates are NOT checked (`--insecure`): whoever answers is believed, and \
                 gets all tokens and secrets of this run"
                    .to_string(),
            );
        }
        if settings.client_key.value.is_some() && settings.client_cert.value.is_none() {
            let what = "is of no use without a certificate";
            let accepted = "`--client-cert FILE`, or `client_cert`, names it";
            self.refuse(&settings.client_key, what, accepted);
        }
        let certificate = self.path(&settings.client_cert);
        TlsOptions {
            ca: self.paths(&settings.ca),
            client: certificate.map(|certificate| {
                let key = self.path(&settings.client_key);
                (certificate.clone(), key.unwrap_or(certificate))
            }),
            server_name: settings
                .server_name
                .value
                .as_ref()
                .map(|it| it.value.clone()),
            insecure,
            resumption: settings.tls_resumption.value.unwrap_or(true),
        }
    }

    fn path(&self, given: &Field<Shown<String>>) -> Option<PathBuf> {
        let text = given.value.as_ref()?;
        Some(self.path_from(given.origin.as_ref(), &text.value))
    }

    fn paths(&self, given: &Field<Vec<String>>) -> Vec<PathBuf> {
        let texts = given.value.iter().flatten();
        texts
            .map(|text| self.path_from(given.origin.as_ref(), text))
            .collect()
    }

    /// Those of a config are from its folder on, those of the command line from here.
    fn path_from(&self, origin: Option<&Origin>, text: &str) -> PathBuf {
        match origin.is_some_and(Origin::is_flag) {
            true => PathBuf::from(text),
            false => self.document.beside(text),
        }
    }
}
