//! Properties of `nats`.

use crate::wire::Target;
use crate::{ConnectError, Props};

/// A server and how to log in there.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) target: Target,
    pub(super) login: Login,
}

/// Ways to log in.
#[derive(Clone, Debug)]
pub(super) enum Login {
    Nobody,
    User(String, String),
    Token(String),
}

impl Server {
    /// `server` (default `nats://127.0.0.1:4222`; `tls://` as well), `username` and `password`, or `token`.
    pub(super) fn read(props: &Props) -> Result<Server, ConnectError> {
        let text = props.text("server")?.unwrap_or("nats://127.0.0.1:4222");
        let mut target = Target::read(("server", text), (&["nats", "tls"], 4_222), props)?;
        if text.starts_with("tls://") && target.tls.is_none() {
            target.tls = Some(crate::tls::client_config(props, false)?);
        }
        let owned = |key| Ok::<_, ConnectError>(props.text(key)?.map(str::to_owned));
        let login = match (owned("username")?, owned("password")?, owned("token")?) {
            (Some(user), password, None) => Login::User(user, password.unwrap_or_default()),
            (None, None, Some(token)) => Login::Token(token),
            (None, None, None) => Login::Nobody,
            _ => {
                let reason = "use either username and password or token".to_owned();
                return Err(ConnectError::Invalid { key: "token", reason });
            }
        };
        Ok(Server { target, login })
    }
}

/// Checks a subject; only those that are listened to may have wildcards.
///
/// # Errors
/// The text says what is wrong. Nothing that passes can end its line of the protocol.
pub(super) fn check_subject(subject: &str, wildcards: bool) -> Result<(), String> {
    let bad = |why: &str| Err(format!("{subject:?} is no subject: {why}"));
    if subject.len() > 1_024 || subject.chars().any(|char| char.is_whitespace() || char.is_control()) {
        return bad("it is too long or has blanks");
    }
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        match token {
            "" => return bad("it has an empty part"),
            ">" if wildcards && tokens.peek().is_some() => return bad("> is not at its end"),
            "*" | ">" if !wildcards => return bad("wildcards are for listening only"),
            _ => {}
        }
    }
    Ok(())
}
