//! Properties that may be templates.

use edgeward_functions::Value;

use crate::{Error, Template};

/// Whether a property's text is a template (contains `{{`) rather than a constant.
pub fn is_dynamic(text: &str) -> bool {
    text.contains("{{")
}

/// A property of a sink: a constant, or a template evaluated for each message.
#[derive(Debug, Clone)]
pub enum Dynamic {
    /// The same text for every message.
    Constant(Box<str>),
    /// A text computed from the message.
    Template(Box<Template>),
}

impl Dynamic {
    /// Reads a property; `name` appears in error texts.
    ///
    /// # Errors
    /// The text contains `{{` and is not a valid template.
    pub fn parse(name: &str, text: &str) -> Result<Dynamic, Error> {
        if is_dynamic(text) {
            Ok(Dynamic::Template(Box::new(Template::parse(name, text)?)))
        } else {
            Ok(Dynamic::Constant(text.into()))
        }
    }

    /// The text for `data`, written into `buffer` when it has to be computed.
    ///
    /// # Errors
    /// The template fails on this data.
    pub fn text<'a>(&'a self, data: &Value, buffer: &'a mut Vec<u8>) -> Result<&'a str, Error> {
        match self {
            Dynamic::Constant(text) => Ok(text),
            Dynamic::Template(template) => {
                buffer.clear();
                template.execute(data, buffer)?;
                // Every piece written is text, so this check never fails.
                Ok(std::str::from_utf8(buffer).unwrap_or_default())
            }
        }
    }
}
