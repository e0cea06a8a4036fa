//! Query parameters: the pairs as they came, and typed access with Kubernetes' error texts.

use std::str::FromStr;

use edgeward_objects::ApiError;

use super::path::decode;

/// The parameters of one request, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Total: a pair whose escapes are broken is taken as written.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let plain = |text: &str| decode(text, true).unwrap_or_else(|| text.to_owned());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (plain(name), plain(value))
        });
        Self { pairs: pairs.collect() }
    }

    /// The first value of a parameter; an empty value counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether a parameter occurs at all: `?verbose`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| key == name)
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A boolean as Kubernetes converts it: `0` and `false` are false, any other value is true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        match self.pairs.iter().find(|(key, _)| key == name) {
            Some((_, value)) => !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"),
            None => false,
        }
    }

    /// A number, or 400 naming the parameter.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => {
                Err(ApiError::bad_request(format!("invalid query parameter {name}: {text:?} is not a number in range")))
            }
        }
    }

    /// `dryRun=All`; any other value is refused.
    pub(crate) fn dry_run(&self) -> Result<bool, ApiError> {
        let mut dry = false;
        for value in self.all("dryRun").filter(|value| !value.is_empty()) {
            if value != "All" {
                return Err(ApiError::bad_request(format!(
                    "dryRun: Unsupported value: {value:?}: supported values: \"All\""
                )));
            }
            dry = true;
        }
        Ok(dry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_clients_send() {
        let query = Query::parse(Some("labelSelector=a%2Fb%3Dc,d&watch=1&limit=500&x=a+b&verbose&dryRun=All&bad=%zz"));
        assert_eq!(query.get("labelSelector"), Some("a/b=c,d"));
        assert!(query.flag("watch") && !query.flag("missing") && query.has("verbose"));
        assert_eq!(query.number::<usize>("limit").unwrap(), Some(500));
        assert_eq!(query.get("x"), Some("a b"));
        assert_eq!(query.get("bad"), Some("%zz"));
        assert!(query.dry_run().unwrap());
        assert!(query.number::<u8>("limit").is_err());
        assert!(Query::parse(Some("dryRun=Some")).dry_run().is_err());
        assert!(!Query::parse(Some("watch=false")).flag("watch"));
        assert!(Query::parse(None).get("watch").is_none());
    }

    proptest! {
        #[test]
        fn is_total(text in "\\PC*") {
            let query = Query::parse(Some(&text));
            let _ = (query.get("a"), query.flag("a"), query.number::<i64>("a").is_ok());
        }
    }
}
