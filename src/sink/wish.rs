//! What `--out` says, and its places, opened before the load.

use std::path::Path;
use std::str::FromStr;

use super::ndjson::Ndjson;
use super::otlp::Otlp;
use super::pump::{OpenSink, SinkWriter};
use super::textfile::Textfile;
use crate::address;
use crate::error::{UserError, did_you_mean, shortened};
use crate::network::Network;
use crate::report::exposition::TextDialect;
use crate::scenario::Header;

/// One thread each: nobody needs more.
const SINKS_MAX: usize = 8;

/// Which form figures are told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SinkForm {
    Ndjson,
    Text(TextDialect),
    Otlp,
}

const FORMS: [(&str, SinkForm); 4] = [
    ("ndjson", SinkForm::Ndjson),
    ("prometheus", SinkForm::Text(TextDialect::Prometheus)),
    ("openmetrics", SinkForm::Text(TextDialect::Openmetrics)),
    ("otlp", SinkForm::Otlp),
];

/// A form and a place: `ndjson=FILE`, `prometheus=FILE`, `openmetrics=FILE`, `otlp=URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkWish {
    form: SinkForm,
    place: String,
}

impl SinkWish {
    /// The file that it writes; `None`: it sends to a collector.
    pub fn file(&self) -> Option<&Path> {
        (self.form != SinkForm::Otlp).then(|| Path::new(self.place.as_str()))
    }

    /// `ndjson=FILE` as it may be shown.
    fn shown(&self) -> String {
        let named = FORMS.iter().find(|(_, form)| *form == self.form);
        let name = named.map_or("", |(name, _)| name);
        match self.form {
            SinkForm::Otlp => format!("{name}={}", address::shown(&self.place)),
            _ => format!("{name}={}", self.place),
        }
    }
}

impl FromStr for SinkWish {
    type Err = String;

    /// # Errors
    /// A message for the user that says what is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        let names = || FORMS.iter().map(|(name, _)| *name);
        let (name, place) = text.split_once('=').unwrap_or((text, ""));
        let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == name) else {
            let near = did_you_mean(name, names());
            return Err(format!(
                "`{}` is not a form that figures are told in; accepted are `ndjson=FILE`, \
                 `prometheus=FILE`, `openmetrics=FILE` and `otlp=URL`{near}",
                shortened(name)
            ));
        };
        let place = place.to_string();
        if place.is_empty() {
            let what = match form {
                SinkForm::Otlp => "`otlp=http://127.0.0.1:4318`".to_string(),
                _ => format!("`{name}=FILE`"),
            };
            return Err(format!("`{name}` needs a place, as in {what}"));
        }
        Ok(Self { form: *form, place })
    }
}

/// Opens all places. `target` and `network`: the load's server and how it is reached, by
/// rules for names, proxies and trust that hold for collectors too; `headers`: those for collectors.
///
/// # Errors
/// Where there are too many, two write one file, or nothing can be written there.
pub fn open_all(
    wishes: &[SinkWish],
    target: &str,
    network: &Network,
    headers: &[Header],
) -> Result<Vec<OpenSink>, UserError> {
    if wishes.len() > SINKS_MAX {
        return Err(UserError::usage(format!(
            "`--out` is given {} times, at most {SINKS_MAX} are taken",
            wishes.len()
        )));
    }
    let open = |wish: &SinkWish| {
        let path = Path::new(&wish.place);
        let writer: Box<dyn SinkWriter> = match wish.form {
            SinkForm::Ndjson => Box::new(Ndjson::open(path)?),
            SinkForm::Text(dialect) => Box::new(Textfile::open(path, dialect)?),
            SinkForm::Otlp => Box::new(Otlp::open(&wish.place, target, network, headers)?),
        };
        Ok(OpenSink::new(wish.shown(), writer))
    };
    wishes.iter().map(open).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_and_a_place_are_read() {
        let read = |text: &str| text.parse::<SinkWish>();
        let wish = read("ndjson=a=b.jsonl").expect("a wish");
        assert_eq!(wish.file(), Some(Path::new("a=b.jsonl")));
        assert_eq!(read("otlp=http://x:4318").expect("a wish").file(), None);
        let fault = |text: &str| read(text).expect_err("no wish");
        assert!(fault("promtheus=x").contains("did you mean `prometheus`?"));
        assert!(fault("influx=x").contains("accepted are `ndjson=FILE`"));
        assert_eq!(
            fault("ndjson"),
            "`ndjson` needs a place, as in `ndjson=FILE`"
        );
        assert!(fault("otlp=").contains("otlp=http://"));
    }

    #[test]
    fn an_address_shows_no_secret() {
        let wish: SinkWish = "otlp=https://me:geheim@x/?key=s3cret"
            .parse()
            .expect("a wish");
        assert!(!wish.shown().contains("geheim") && !wish.shown().contains("s3cret"));
    }
}
