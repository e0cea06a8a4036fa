//! JSON text to and from values, without any intermediate tree.

mod complaint;
mod fastjson;
mod parse;
mod print;
mod swar;

pub use complaint::complaint;
pub use fastjson::decoder_complaint;
pub use parse::{Cursor, JsonError, MAX_DEPTH, Numbers, lenient, parse};
pub use print::{Printer, Unprintable, write_string};
