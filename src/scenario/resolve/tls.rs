//! The keys and flags of TLS become [`TlsOptions`].

use std::path::PathBuf;

use super::super::document::{Field, Origin};
use super::super::raw::Settings;
use super::super::shown::Shown;
use super::Resolver;
use crate::address;
use crate::network::{TlsOptions, TlsPlaces};

impl Resolver<'_> {
    /// `url` is that of the server; empty where it is at fault.
    pub(super) fn tls(&mut self, settings: &Settings, url: &str) -> TlsOptions {
        let insecure = settings.insecure.value.unwrap_or(false);
        let is_plain = self.tell_unused(settings, url);
        if insecure && !is_plain {
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
            places: self.places(settings),
        }
    }

    fn places(&self, settings: &Settings) -> TlsPlaces {
        let usual = TlsPlaces::default();
        let place = |origin: &Option<Origin>, usual: String| {
            let given = origin
                .as_ref()
                .map(|origin| self.document.place(origin).to_string());
            given.unwrap_or(usual)
        };
        TlsPlaces {
            ca: place(&settings.ca.origin, usual.ca),
            client_cert: place(&settings.client_cert.origin, usual.client_cert),
            client_key: place(&settings.client_key.origin, usual.client_key),
            server_name: place(&settings.server_name.origin, usual.server_name),
        }
    }

    /// Tells what a server without TLS makes no use of; whether it is such a one.
    fn tell_unused(&mut self, settings: &Settings, url: &str) -> bool {
        let is_plain = address::authority(url).is_some_and(|(is_https, _, _)| !is_https);
        if !is_plain || self.has_default_url(settings) {
            return false;
        }
        let insecure = &settings.insecure;
        let insecure = insecure
            .origin
            .as_ref()
            .filter(|_| insecure.value == Some(true));
        let given = [
            settings.ca.origin.as_ref(),
            settings.client_cert.origin.as_ref(),
            settings.server_name.origin.as_ref(),
            insecure,
        ];
        let given = given.into_iter().flatten();
        let given: Vec<String> = given.map(|origin| format!("`{}`", origin.key)).collect();
        if !given.is_empty() {
            self.notices.push(format!(
                "the server is spoken to without TLS (`http://`), so nothing comes of {} but with \
                 an issuer of tokens over `https`",
                given.join(", ")
            ));
        }
        true
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
