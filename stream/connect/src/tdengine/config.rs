//! Properties of `tdengine3`.

use crate::http::{HttpConfig, basic, escape};
use crate::template::Template;
use crate::{ConnectError, Props};

/// Where rows go.
pub(super) struct Config {
    pub(super) request: HttpConfig,
    pub(super) table: Template,
    /// The super table the table is made from when it does not exist, with the columns that become its tags.
    pub(super) super_table: Option<(Template, Vec<String>)>,
    /// Name of the column with the time.
    pub(super) time: String,
    /// Take the time from the row instead of the database's clock.
    pub(super) provides_time: bool,
}

impl Config {
    pub(super) fn read(props: &Props) -> Result<Config, ConnectError> {
        let required = |key: &'static str| props.text(key)?.ok_or(ConnectError::Missing(key));
        let database = required("database")?;
        let table = Template::read(props, "table")?.ok_or(ConnectError::Missing("table"))?;
        let tags = props.list("tagFields")?;
        let super_table = match Template::read(props, "sTable")? {
            Some(_) if tags.is_empty() => return Err(ConnectError::Missing("tagFields")),
            Some(name) => Some((name, tags)),
            None => None,
        };
        let (host, port) = (props.text("host")?.unwrap_or("localhost"), props.number("port")?.unwrap_or(6_041));
        let user = props.text("user")?.unwrap_or("root");
        let password = props.text("password")?.unwrap_or("taosdata");
        let url = format!("http://{host}:{port}/rest/sql/{}", escape(database));
        Ok(Config {
            request: HttpConfig::post(props, ("host", &url), Some(basic(user, password)))?,
            table,
            super_table,
            time: required("tsFieldName")?.to_owned(),
            provides_time: props.flag("provideTs")?,
        })
    }
}
