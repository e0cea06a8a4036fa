//! Requests and the answers that belong to them.

use std::collections::HashMap;

use edgeward_wire::{Envelope, Failure, GoError, ObjectResp, operation};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::Error;

/// What the cloud answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The whole message.
    pub message: Envelope,
}

/// Why the cloud refused a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status code of the API, 0 if it told none.
    pub code: u16,
    /// `NotFound`, `Conflict`, …; empty if it told none.
    pub reason: String,
    /// Text for people.
    pub message: String,
}

impl Refusal {
    /// The object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code == 404 || self.reason == "NotFound"
    }

    /// The object exists already, or in another version.
    pub fn is_conflict(&self) -> bool {
        self.code == 409
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = if self.message.is_empty() { &self.reason } else { &self.message };
        if text.is_empty() { f.write_str("without a reason") } else { f.write_str(text) }
    }
}

impl From<GoError> for Refusal {
    fn from(error: GoError) -> Self {
        let status = error.status.unwrap_or_default();
        let Failure { code, reason, message, .. } = status;
        Self { code, reason, message }
    }
}

impl Answer {
    /// The object of the answer: the content itself or, in an `ObjectResp`, its `Object`; `None` for `"OK"` and for an
    /// empty object.
    pub fn object(&self) -> Result<Option<&RawValue>, Refusal> {
        let text = self.message.content.get();
        if self.message.route.operation == operation::ERROR {
            let message = self.message.read::<String>().unwrap_or_else(|_| text.to_owned());
            return Err(Refusal { message, ..Refusal::default() });
        }
        if !text.starts_with('{') {
            return Ok(None);
        }
        if let Ok(GoError { status: Some(status) }) = self.message.read::<GoError>() {
            return Err(GoError::from(status).into());
        }
        if !text.contains("\"Err\"") {
            return Ok(Some(&self.message.content));
        }
        match serde_json::from_str::<ObjectResp<'_>>(text) {
            Ok(ObjectResp { error: Some(error), .. }) => Err(error.into()),
            Ok(answer) => Ok(answer.object),
            // An object that only looks like one.
            Err(_) => Ok(Some(&self.message.content)),
        }
    }

    /// The new resourceVersion of what was written, as far as the answer tells it.
    pub fn version(&self) -> &str {
        &self.message.header.resource_version
    }
}

/// The unanswered requests of a session.
#[derive(Debug)]
pub(super) struct Requests {
    /// `None` once the session has ended.
    waiting: Mutex<Option<HashMap<String, oneshot::Sender<Envelope>>>>,
    limit: usize,
}

impl Requests {
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: Mutex::new(Some(HashMap::new())), limit }
    }

    /// Expects an answer to the message with this id.
    pub(super) fn expect(&self, id: &str) -> Result<oneshot::Receiver<Envelope>, Error> {
        let mut waiting = self.waiting.lock();
        let waiting = waiting.as_mut().ok_or(Error::Offline)?;
        if waiting.len() >= self.limit {
            return Err(Error::Busy(self.limit));
        }
        let (answer, answered) = oneshot::channel();
        waiting.insert(id.to_owned(), answer);
        Ok(answered)
    }

    /// Hands an answer to whoever waits for it. Returns whether somebody did.
    pub(super) fn answer(&self, message: Envelope) -> bool {
        let waiting = self.waiting.lock().as_mut().and_then(|waiting| waiting.remove(&message.header.parent_id));
        waiting.is_some_and(|waiting| waiting.send(message).is_ok())
    }

    /// Nobody waits any longer.
    pub(super) fn forget(&self, id: &str) {
        if let Some(waiting) = self.waiting.lock().as_mut() {
            waiting.remove(id);
        }
    }

    /// The session has ended: everybody who waits is told so.
    pub(super) fn close(&self) {
        self.waiting.lock().take();
    }
}

#[cfg(test)]
mod tests {
    use edgeward_wire::{Content, group, source};

    use super::*;

    fn answer(operation: &str, content: &str) -> Answer {
        let content: Content = serde_json::value::RawValue::from_string(content.to_owned()).unwrap();
        let resource = "default/podpatch/p".to_owned();
        Answer { message: Envelope::new(0, source::EDGE_CONTROLLER, group::RESOURCE, operation, resource, content) }
    }

    #[test]
    fn reads_every_form_of_answer() {
        let check = |operation: &str, content: &str, expect: Result<Option<&str>, (u16, &str, &str)>| {
            let answer = answer(operation, content);
            let got = answer.object().map(|object| object.map(RawValue::get));
            let expect = expect.map_err(|(code, reason, message)| Refusal {
                code,
                reason: reason.into(),
                message: message.into(),
            });
            assert_eq!(got, expect, "{content}");
        };
        check("response", "\"OK\"", Ok(None));
        check("response", "null", Ok(None));
        check("response", r#"{"kind":"Pod"}"#, Ok(Some(r#"{"kind":"Pod"}"#)));
        check("response", r#"{"Object":{"kind":"Pod"},"Err":null}"#, Ok(Some(r#"{"kind":"Pod"}"#)));
        check("response", r#"{"Object":null,"Err":null}"#, Ok(None));
        check("response", r#"{"Object":null,"Err":{}}"#, Err((0, "", "")));
        let status = r#"{"metadata":{},"status":"Failure","message":"pod not found","reason":"NotFound","code":404}"#;
        let gone = Err((404, "NotFound", "pod not found"));
        check("response", &format!(r#"{{"Object":null,"Err":{{"ErrStatus":{status}}}}}"#), gone);
        check("response", &format!(r#"{{"ErrStatus":{status}}}"#), gone);
        check("error", "\"not allowed\"", Err((0, "", "not allowed")));
        check("error", "{}", Err((0, "", "{}")));
    }

    #[test]
    fn answers_find_their_requests_and_no_others() {
        let requests = Requests::new(2);
        let mut first = requests.expect("a").unwrap();
        let second = requests.expect("b").unwrap();
        assert!(matches!(requests.expect("c"), Err(Error::Busy(2))));
        let mut message = answer("response", "\"OK\"").message;
        message.header.parent_id = "a".into();
        assert!(requests.answer(message.clone()));
        assert_eq!(first.try_recv().unwrap(), message);
        assert!(!requests.answer(message), "a second answer belongs to nobody");
        requests.forget("b");
        requests.expect("c").unwrap();
        drop(second);
        requests.close();
        assert!(matches!(requests.expect("d"), Err(Error::Offline)));
    }
}
