//! How the server is reached: the keys and flags of the network, and the proxies of the
//! environment, become a [`Network`].

use std::num::NonZeroU32;

use super::super::document::Field;
use super::super::fault::quoted;
use super::super::raw::Settings;
use super::Resolver;
use crate::address;
use crate::network::{
    BIND_FORM, ConnectionUse, ENTRIES_MAX, EXCEPTION_FORM, Exception, NamedProxy, Network,
    PROXY_FORM, Proxy, ProxyChoice, ProxyWay, RESOLVE_FORM, ResolveRule, ZonedIp,
};

impl Resolver<'_> {
    /// `url` is that of the server; empty where it is at fault.
    pub(super) fn network(&mut self, settings: &Settings, url: &str) -> Network {
        let calls = settings.calls_per_connection.value;
        let connection = settings.connection.value.unwrap_or_default();
        if connection == ConnectionUse::PerCall {
            let message = "does not go with a connection for each call";
            let accepted = "one of the two: `per-call` closes a connection without a word, \
                            `--no-keepalive` (`calls_per_connection = 1`) says `Connection: close`";
            self.refuse(&settings.calls_per_connection, message, accepted);
        }
        let proxy = self.proxy(settings, url);
        Network {
            tls: self.tls(settings, url),
            resolve: self.rules(settings, &proxy, url),
            proxy,
            bind: self.entries(&settings.bind, BIND_FORM, ZonedIp::parse),
            addresses: settings.addresses.value.unwrap_or_default(),
            dns_ttl: self.above_zero(&settings.dns_ttl),
            connect_timeout: self.above_zero(&settings.connect_timeout),
            calls_per_connection: calls.and_then(NonZeroU32::new),
            connection,
            backend_header: settings.backend_header.value.clone(),
        }
    }

    /// No config and no flag names the server.
    pub(super) fn has_default_url(&self, settings: &Settings) -> bool {
        self.overrides.url.is_none() && !settings.url.is_given()
    }

    /// Where names lead. It is told where the server is in none of the rules.
    fn rules(&mut self, settings: &Settings, proxy: &ProxyChoice, url: &str) -> Vec<ResolveRule> {
        let rules = self.entries(&settings.resolve, RESOLVE_FORM, ResolveRule::parse);
        let Some((is_https, host, port)) = address::authority(url) else {
            return rules;
        };
        let (Some(first), Some(place)) = (rules.first(), &settings.resolve.origin) else {
            return rules;
        };
        let (host, port) = match proxy.way(is_https, &host, port) {
            ProxyWay::Through(NamedProxy {
                proxy: Ok(proxy), ..
            }) => (proxy.host().to_string(), proxy.port()),
            _ => (host, port),
        };
        let is_used = rules.iter().any(|it| it.addresses(&host, port).is_some());
        if !is_used && !self.has_default_url(settings) {
            self.notices.push(format!(
                "`{}` says nothing of {host}:{port}, which requests go to (`{first}`): it holds \
                 for issuers of tokens alone",
                place.key
            ));
        }
        rules
    }

    fn entries<T>(
        &self,
        given: &Field<Vec<String>>,
        accepted: &str,
        parse: fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let texts = given.value.as_deref().unwrap_or_default();
        if texts.len() > ENTRIES_MAX {
            self.refuse(given, format!("has more than {ENTRIES_MAX} entries"), None);
            return Vec::new();
        }
        let parsed = texts.iter().filter_map(|text| {
            let parsed = parse(text.trim());
            if parsed.is_none() {
                self.refuse(given, format!("{} is not possible", quoted(text)), accepted);
            }
            parsed
        });
        parsed.collect()
    }

    fn proxy(&self, settings: &Settings, url: &str) -> ProxyChoice {
        let mut choice = ProxyChoice::of_environment(self.document.env);
        if let (Some(place), Some(text)) = (&settings.proxy.origin, &settings.proxy.value) {
            let proxy = Proxy::parse(&text.value);
            if let Err(fault) = &proxy {
                self.document.report(place, *fault, PROXY_FORM);
            }
            let named = Some(NamedProxy {
                by: place.key.clone(),
                proxy,
            });
            choice.http.clone_from(&named);
            choice.https = named;
            choice.has_loopback = true;
        }
        if let Some(lists) = &settings.no_proxy.value {
            let (exceptions, fault) = Exception::parse_list(&lists.join(","));
            choice.exceptions = exceptions;
            if let Some(entry) = fault {
                let message = format!("{} is not possible", quoted(&entry));
                self.refuse(&settings.no_proxy, message, EXCEPTION_FORM);
            }
        }
        for named in [&choice.http, &choice.https].into_iter().flatten() {
            let secrets = named.proxy.as_ref().map(Proxy::secrets);
            self.document.keep_secret(secrets.unwrap_or_default());
        }
        self.check_way(&choice, url);
        choice
    }

    /// What the environment names may be for others than this program: only where it would
    /// be used has it to be right.
    fn check_way(&self, choice: &ProxyChoice, url: &str) {
        let Some((is_https, host, port)) = address::authority(url) else {
            return;
        };
        let ProxyWay::Through(named) = choice.way(is_https, &host, port) else {
            return;
        };
        if let Err(fault) = &named.proxy
            && !choice.has_loopback
        {
            let accepted = format!(
                "{PROXY_FORM}; give another with `--proxy`, or go without by `--no-proxy \'*\'`"
            );
            self.refuse_flag(&named.by, *fault, &*accepted);
        }
    }
}
